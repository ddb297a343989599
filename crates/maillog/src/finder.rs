//! Finds events in whole blocks of bytes.
//!
//! Each kind of line has a literal that stands in it. The block is searched for the literals of the kinds wanted, one
//! search for each, and only the lines in which one stands are read. Delivery lines are a fifth of a log, and of them only
//! those count whose process has failed with TLS before: they are searched for only while an attempt waits for its
//! outcome, and most are passed over by their process id alone.
//!
//! Measured (1 GB of generated log, a tenth of it successes): the searches for two literals take 0.07 s, one `regex` of
//! both 0.14 s; the literals are rare enough for `memmem` and too frequent for what the regex crate spends on each match.
//! While an attempt waits, the search for delivery lines adds 0.06 s, whatever the number of attempts, so there is no
//! other way for one attempt or for many.
//!
//! The reader of the lines is that of [`crate::plain`]; the literals are such that it would find nothing in any other line.

use memchr::arch::all::packedpair::HeuristicFrequencyRank;
use memchr::{memchr, memmem, memrchr};

use crate::client::{CLIENT, CLIENT_ERROR};
use crate::cursor::unsigned;
use crate::event::Event;
use crate::kinds::Kinds;
use crate::lines::{Lines, OF_ATTEMPTS, OF_DELIVERIES, OF_NAMED};
use crate::pattern::Patterns;
use crate::pending::Pending;
use crate::reply::GROUPWISE;
use crate::ruleset::{RESULT_OF_T, TLS_SERVER, TRY_TLS};
use crate::server::{FROM, SERVER, SERVER_ERROR};

/// Stands in every delivery line.
const DELIVERY: &str = ": to=";
/// Stands at the end of a delivery line of a message that waits.
const WAITING: &str = ", stat=Deferred";
/// No further match in this block.
const NONE: usize = usize::MAX;

/// Finds events in blocks of lines.
#[derive(Debug)]
pub struct Finder {
    lines: Lines,
    searches: Vec<Search>,
}

/// A search for one literal.
#[derive(Debug)]
struct Search {
    literal: memmem::Finder<'static>,
    role: Role,
    /// Where the literal was found last; to be searched for anew if that is behind.
    next: Option<usize>,
}

/// How often a byte stands in a log, for the choice of the two bytes of a literal that are looked for first. memchr's own
/// ranks come from other texts: there capitals are rare, while each line of a log has some. Measured on 1 GB: a tenth of
/// the CPU time of a scan.
struct Rank;

impl HeuristicFrequencyRank for Rank {
    fn rank(&self, byte: u8) -> u8 {
        match byte {
            b'_' => 0,
            b'L' | b'D' | b'f' => 1,
            b'c' => 2,
            b't' => 3,
            b'=' => 4,
            _ => 255,
        }
    }
}

/// What a literal tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The line is to be read.
    Line,
    /// It is to be read if it ends there.
    LineEnd,
    /// It is to be read if something may wait for its process's next.
    Delivery,
}

impl Finder {
    /// A finder of the kinds wanted.
    pub fn new(kinds: Kinds) -> Self {
        Self::with(kinds, Patterns::default(), Pending::default())
    }

    /// A finder that goes on with what waited when another one ended, and knows an operator's patterns. With patterns
    /// every delivery line is read.
    pub fn with(kinds: Kinds, patterns: Patterns, pending: Pending) -> Self {
        let lines = Lines::with_joiner(kinds, patterns, pending.joiner());
        let mut searches = Vec::new();
        let mut search = |wanted: bool, literal: &'static str, role| {
            if wanted {
                let literal = memmem::FinderBuilder::new().build_forward_with_ranker(Rank, literal);
                searches.push(Search { literal, role, next: None });
            }
        };
        let (named, attempts) = (kinds.any(OF_NAMED), kinds.any(OF_ATTEMPTS));
        let patterns = lines.has_patterns();
        match (attempts || patterns, kinds.any(Kinds::TRY_TLS)) {
            (true, true) => search(true, RESULT_OF_T, Role::Line),
            (attempts, uses) => {
                search(attempts, TLS_SERVER, Role::Line);
                search(uses, TRY_TLS, Role::Line);
            }
        }
        search(named, CLIENT, Role::Line);
        search(attempts && !named, CLIENT_ERROR, Role::Line);
        search(patterns, DELIVERY, Role::Line);
        search(kinds.any(OF_DELIVERIES) && !patterns, DELIVERY, Role::Delivery);
        search(kinds.any(Kinds::REPLIES) && !patterns, GROUPWISE, Role::Line);
        search(kinds.any(Kinds::WAITING), WAITING, Role::LineEnd);
        let (failures, successes) =
            (kinds.any(Kinds::CLIENT_FAILURES), kinds.any(Kinds::CLIENT_SUCCESSES));
        search(successes, SERVER, Role::Line);
        search(failures && !successes, SERVER_ERROR, Role::Line);
        search(kinds.any(Kinds::CLIENT_DELIVERIES), FROM, Role::Line);
        Self { lines, searches }
    }

    /// What waits for its next line.
    pub fn pending(&self) -> Pending {
        Pending::of(self.lines.joiner())
    }

    /// Whether that has changed since the last call.
    pub fn pending_changed(&mut self) -> bool {
        self.lines.take_changed()
    }

    /// Finds the events of a block of whole lines, in their order. Lines end in `\n` or `\r\n`; the last one need not.
    /// Where a log is cut into blocks makes no difference, as long as it is cut between lines.
    pub fn feed<'b>(&mut self, lines: &'b [u8], sink: &mut impl FnMut(Event<'b>)) {
        for search in &mut self.searches {
            search.next = None;
        }
        let mut at = 0;
        while let Some((hit, role)) = self.next_hit(lines, at) {
            if !self.may_matter(lines, hit, role) {
                at = hit + 1;
                continue;
            }
            let (before, after) = lines.split_at_checked(hit).unwrap_or_default();
            let begin = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
            let end = memchr(b'\n', after).map_or(lines.len(), |length| hit + length);
            self.lines.read(lines.get(begin..end).unwrap_or_default(), sink);
            at = end;
        }
    }

    /// Where the first literal stands from `at` on.
    #[inline]
    fn next_hit(&mut self, lines: &[u8], at: usize) -> Option<(usize, Role)> {
        let waits = self.lines.joiner().waits();
        let mut first = (NONE, Role::Line);
        for search in &mut self.searches {
            if search.role == Role::Delivery && !waits {
                continue;
            }
            let next = search.next_from(lines, at);
            if next < first.0 {
                first = (next, search.role);
            }
        }
        (first.0 != NONE).then_some(first)
    }

    /// Whether the line is worth reading. Never wrong when it says no: in a line that begins as syslog and sendmail
    /// write it, the first `: to=` is the one behind the queue id.
    fn may_matter(&self, lines: &[u8], hit: usize, role: Role) -> bool {
        match role {
            Role::Line => true,
            Role::LineEnd => {
                let after = lines.get(hit + WAITING.len()..).unwrap_or_default();
                matches!(after, [] | [b'\n' | b'\r', ..])
            }
            Role::Delivery => match pid_before(lines.get(..hit).unwrap_or_default()) {
                Some(pid) => self.lines.joiner().may_wait_for(pid),
                None => true,
            },
        }
    }
}

impl Search {
    /// Where the literal stands from `at` on; [`NONE`] if nowhere.
    #[inline]
    fn next_from(&mut self, lines: &[u8], at: usize) -> usize {
        match self.next {
            Some(next) if next >= at => next,
            _ => {
                let found = self.literal.find(lines.get(at..).unwrap_or_default());
                let next = found.map_or(NONE, |offset| at + offset);
                self.next = Some(next);
                next
            }
        }
    }
}

/// The process id in `…[PID]: QUEUEID`. `None` if the text ends otherwise; the line may be of another layout.
fn pid_before(text: &[u8]) -> Option<u32> {
    let id = text.iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count();
    let text = text.get(..text.len() - id)?.strip_suffix(b"]: ")?;
    let digits = text.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (text, pid) = text.split_at_checked(text.len() - digits)?;
    text.ends_with(b"[").then(|| unsigned(pid)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_ids_before_a_queue_id() {
        let check = |text: &str, expect| assert_eq!(pid_before(text.as_bytes()), expect, "{text}");
        check("lab sm-mta[276]: 6ANBUDwd000274", Some(276));
        check("lab sm-mta[276]: ", Some(276));
        check("[276]: x", Some(276));
        check("lab sendmail[276]: [ID 1 mail.info] 6ANBUDwd000274", None);
        check("lab sm-mta 276 - - 6ANBUDwd000274", None);
        check("276]: x", None);
        check("[]: x", None);
        check("", None);
        check("[99999999999]: x", None);
    }
}
