//! What waits for its next line, in a form that outlives the process.
//!
//! A failed delivery is told in up to three lines, with seconds between them; a restart may come in any gap. What a
//! [`crate::finder::Finder`] holds then is given out as a [`Pending`], kept by the caller together with the place in the
//! log, and handed to the next finder: the events are the same as if there had been no restart.
//!
//! **Bounds.** As JSON it stays below [`MOST_BYTES`]; of more, those that waited longest are left out. That takes
//! thousands of messages that fail at the same moment with the longest of names.
//!
//! **What an attacker could try.** What is read back was written by us, but a file may be damaged or changed: each item
//! is checked as if it were a line, and one that no line can have brought about is passed over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Attempt, Cause, CauseKind, Fault};
use crate::joiner::{Joiner, LONGEST_REASON};
use crate::prefix::{LONGEST_NAME, Prefix};
use crate::relay::Relay;
use crate::stamp::Stamp;
use crate::table::Table;

/// The longest JSON of a [`Pending`], in bytes.
pub const MOST_BYTES: usize = 1 << 20;

/// What waits for its next line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending(Version);

/// The forms that were ever written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
enum Version {
    #[serde(rename = "1")]
    V1 {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        causes: Vec<Waiting<SavedCause>>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attempts: Vec<Waiting<SavedAttempt>>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        served: Vec<Waiting<String>>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cleared: Vec<Waiting<String>>,
    },
}

/// What one process waits with. Those that were silent longest come first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting<T> {
    pid: u32,
    /// Each char is a byte: a host need be no UTF-8.
    host: String,
    last: SavedStamp,
    items: Vec<T>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum SavedStamp {
    Full(Timestamp),
    Yearless(i8, i8, i32),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedCause {
    kind: SavedKind,
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SavedKind {
    Handshake,
    Network,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedAttempt {
    relay: String,
    fault: SavedFault,
    code: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<SavedCause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SavedFault {
    Software,
    Protocol,
    Config,
}

impl Default for Version {
    fn default() -> Self {
        Self::V1 {
            causes: Vec::new(),
            attempts: Vec::new(),
            served: Vec::new(),
            cleared: Vec::new(),
        }
    }
}

impl Pending {
    /// What the joiner holds.
    pub(crate) fn of(joiner: &Joiner) -> Self {
        let mut room = MOST_BYTES;
        let attempts = saved(&joiner.attempts, &mut room, SavedAttempt::of);
        let causes = saved(&joiner.causes, &mut room, SavedCause::of);
        let text = |relay: &Relay<'_>| relay.as_str().to_owned();
        let cleared = saved(&joiner.cleared, &mut room, text);
        let served = saved(&joiner.served, &mut room, text);
        Self(Version::V1 { causes, attempts, served, cleared })
    }

    /// A joiner that holds it.
    pub(crate) fn joiner(self) -> Joiner {
        let Version::V1 { causes, attempts, served, cleared } = self.0;
        let mut joiner = Joiner::new();
        restore(&mut joiner.causes, causes, SavedCause::read);
        restore(&mut joiner.attempts, attempts, SavedAttempt::read);
        let relay = |text: String| Relay::parse(text.as_bytes()).map(Relay::into_owned);
        restore(&mut joiner.served, served, relay);
        restore(&mut joiner.cleared, cleared, relay);
        joiner
    }
}

/// The rows of a table, as many of the latest as there is room for.
fn saved<T, S: Size>(
    table: &Table<T>,
    room: &mut usize,
    save: impl Fn(&T) -> S,
) -> Vec<Waiting<S>> {
    let mut rows = Vec::new();
    for (pid, host, last, items) in table.latest_first() {
        let host: String = host.iter().copied().map(char::from).collect();
        let items: Vec<S> = items.iter().map(&save).collect();
        let size = 128 + escaped(&host) + items.iter().map(Size::size).sum::<usize>();
        let Some(left) = room.checked_sub(size) else { break };
        *room = left;
        rows.push(Waiting { pid, host, last: SavedStamp::of(last), items });
    }
    rows.reverse();
    rows
}

/// Puts rows back in the order in which they were last changed.
fn restore<T, S>(table: &mut Table<T>, rows: Vec<Waiting<S>>, read: impl Fn(S) -> Option<T>) {
    for Waiting { pid, host, last, items } in rows {
        let bytes = host.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<u8>>>();
        let plain = |host: &Vec<u8>| {
            (1..=LONGEST_NAME).contains(&host.len())
                && host.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
        };
        let (Some(host), Some(stamp)) = (bytes.filter(plain), last.read()) else { continue };
        let line = Prefix { stamp, host: &host, program: b"", pid };
        for item in items.into_iter().filter_map(&read) {
            table.push(&line, item);
        }
    }
}

/// How much JSON it makes at most.
trait Size {
    fn size(&self) -> usize;
}

/// A char is written with six bytes at most.
fn escaped(text: &str) -> usize {
    text.len() * 6
}

impl Size for String {
    fn size(&self) -> usize {
        64 + escaped(self)
    }
}

impl SavedStamp {
    fn of(stamp: Stamp) -> Self {
        match stamp {
            Stamp::Full(at) => Self::Full(at),
            Stamp::Yearless { month, day, second } => Self::Yearless(month, day, second),
        }
    }

    fn read(self) -> Option<Stamp> {
        match self {
            Self::Full(at) => Some(Stamp::Full(at)),
            Self::Yearless(month, day, second) => {
                let sane = (1..=12).contains(&month)
                    && (1..=31).contains(&day)
                    && (0..=86_400).contains(&second);
                sane.then_some(Stamp::Yearless { month, day, second })
            }
        }
    }
}

impl SavedCause {
    fn of(cause: &Cause<'_>) -> Self {
        let kind = match cause.kind {
            CauseKind::Handshake => SavedKind::Handshake,
            CauseKind::Network => SavedKind::Network,
        };
        Self { kind, reason: cause.reason.clone().into_owned() }
    }

    fn read(self) -> Option<Cause<'static>> {
        let kind = match self.kind {
            SavedKind::Handshake => CauseKind::Handshake,
            SavedKind::Network => CauseKind::Network,
        };
        (self.reason.len() <= LONGEST_REASON).then(|| Cause { kind, reason: self.reason.into() })
    }
}

impl Size for SavedCause {
    fn size(&self) -> usize {
        64 + escaped(&self.reason)
    }
}

impl SavedAttempt {
    fn of(attempt: &Attempt<'_>) -> Self {
        Self {
            relay: attempt.relay.as_str().to_owned(),
            fault: match attempt.fault {
                Fault::Software => SavedFault::Software,
                Fault::Protocol => SavedFault::Protocol,
                Fault::Config => SavedFault::Config,
            },
            code: attempt.code,
            cause: attempt.cause.as_ref().map(SavedCause::of),
        }
    }

    fn read(self) -> Option<Attempt<'static>> {
        let fault = match self.fault {
            SavedFault::Software => Fault::Software,
            SavedFault::Protocol => Fault::Protocol,
            SavedFault::Config => Fault::Config,
        };
        Some(Attempt {
            relay: Relay::parse(self.relay.as_bytes())?.into_owned(),
            fault,
            code: Some(self.code).filter(|code| (400..600).contains(code))?,
            cause: self.cause.and_then(SavedCause::read),
        })
    }
}

impl Size for SavedAttempt {
    fn size(&self) -> usize {
        96 + escaped(&self.relay) + self.cause.as_ref().map_or(0, Size::size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read back from this JSON, as JSON.
    fn check(json: &str, expect: &str) {
        let pending: Pending = serde_json::from_str(json).unwrap();
        let again = Pending::of(&pending.joiner());
        assert_eq!(serde_json::to_string(&again).unwrap(), expect);
    }

    #[test]
    fn what_no_line_can_have_brought_about_is_passed_over() {
        let none = r#"{"version":"1"}"#;
        check(none, none);
        let row = |row: &str| format!(r#"{{"version":"1","attempts":[{row}]}}"#);
        let good = row(
            r#"{"pid":7,"host":"mx1","last":[11,23,41413],"items":[{"relay":"mx.example.org","fault":"software","code":454,"cause":{"kind":"network","reason":"unknown"}}]}"#,
        );
        check(&good, &good);
        for (is, would_be) in [
            ("mx1", ""),
            ("mx1", "a b"),
            ("mx1", "a\\nb"),
            ("mx1", "\\u0100"),
            ("[11,", "[13,"),
            ("41413", "-1"),
            ("mx.example.org", "mx, example"),
            ("454", "250"),
        ] {
            check(&good.replace(is, would_be), none);
        }
        let reason = "x".repeat(LONGEST_REASON + 1);
        let without = good.replace(r#","cause":{"kind":"network","reason":"unknown"}"#, "");
        check(&good.replace("unknown", &reason), &without);
    }

    #[test]
    fn of_too_much_the_latest_are_kept() {
        let mut joiner = Joiner::new();
        let name = "\u{1}".repeat(LONGEST_REASON);
        let host = [0xff; LONGEST_NAME];
        for pid in 0..8000 {
            let stamp = Stamp::Yearless { month: 1, day: 1, second: 1 };
            let line = Prefix { stamp, host: &host, program: b"sendmail", pid };
            joiner.failed(&line, Cause { kind: CauseKind::Network, reason: name.as_str().into() });
        }
        let pending = Pending::of(&joiner);
        let json = serde_json::to_string(&pending).unwrap();
        assert!(json.len() <= MOST_BYTES, "{}", json.len());
        let Version::V1 { causes, .. } = &pending.0;
        assert!(causes.len() > 100 && causes.last().unwrap().pid == 7999);
        assert_eq!(Pending::of(&pending.clone().joiner()), pending);
    }
}
