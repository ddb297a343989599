//! How far the journal was given out: the cursor of the last entry, and of each source how many.
//!
//! A cursor says where an entry stands: its number (`i=`, hexadecimal) within a source (`s=`), the boot and the time since
//! then (`b=`, `m=`), the time of day (`t=`), a hash of its fields (`x=`). What comes after it is found by the number in
//! files of the same source, by the time since the boot in others of that boot, and by the time of day in all others. That
//! last is not to be relied on: after a reboot with a slow clock entries of the boot before seem to come after ours, and
//! what was logged by the slow clock seems to come before them. So the numbers decide what is new, for within a source they
//! only grow; and at the start ([`Reached::seek`]) the time of day in the cursor is set back, to see what it would hide.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Sources that are kept, at most: those of which something was given out last. A host has one, and another after each
/// crash that damaged its file.
const MOST: usize = 32;

/// How far it was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reached {
    /// Of the last entry.
    cursor: String,
    /// Of each source, the number of its last entry. The source of the last entry comes last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<(String, u64)>,
}

impl Reached {
    /// The first entry that is given out.
    pub(crate) fn first(cursor: String) -> Self {
        let mut reached = Self { cursor: String::new(), sources: Vec::new() };
        reached.advance(cursor);
        reached
    }

    /// To the next entry.
    pub(crate) fn advance(&mut self, cursor: String) {
        if let Some((source, number)) = counted(&cursor) {
            self.sources.retain(|(known, _)| known != source);
            let spare = (self.sources.len() + 1).saturating_sub(MOST);
            self.sources.drain(..spare);
            self.sources.push((source.to_owned(), number));
        }
        self.cursor = cursor;
    }

    /// Whether an entry was given out already.
    pub(crate) fn holds(&self, cursor: &str) -> bool {
        let counts = |(source, number): (&str, u64)| {
            self.sources.iter().any(|(known, last)| known == source && number <= *last)
        };
        self.is_at(cursor) || counted(cursor).is_some_and(counts)
    }

    /// Whether the cursor is that of the last entry. When journald moves entries from /run to /var it counts them anew: so
    /// source and number may be others.
    pub(crate) fn is_at(&self, cursor: &str) -> bool {
        let rest = |cursor: &str| {
            let parts = ["b=", "m=", "t=", "x="].map(|name| part(cursor, name).map(str::to_owned));
            parts.iter().all(Option::is_some).then_some(parts)
        };
        self.cursor == cursor || rest(cursor).is_some_and(|parts| rest(&self.cursor) == Some(parts))
    }

    /// The cursor of the last entry; its time of day set back by so much.
    pub(crate) fn seek(&self, back: Duration) -> String {
        let back = u64::try_from(back.as_micros()).unwrap_or(u64::MAX);
        let set_back = |part: &str| match part.strip_prefix("t=").map(hexadecimal) {
            Some(Some(time)) => format!("t={:x}", time.saturating_sub(back).max(1)),
            _ => part.to_owned(),
        };
        self.cursor.split(';').map(set_back).collect::<Vec<_>>().join(";")
    }
}

/// Source and number.
fn counted(cursor: &str) -> Option<(&str, u64)> {
    let source = part(cursor, "s=").filter(|source| source.len() <= 32)?;
    Some((source, hexadecimal(part(cursor, "i=")?)?))
}

fn part<'a>(cursor: &'a str, name: &str) -> Option<&'a str> {
    cursor.split(';').find_map(|part| part.strip_prefix(name))
}

fn hexadecimal(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_out_is_known_by_its_number() {
        let mut reached = Reached::first("s=a;i=f;b=1;m=1;t=64;x=1".to_owned());
        let check = |reached: &Reached, cursor, expect| {
            assert_eq!(reached.holds(cursor), expect, "{cursor}");
        };
        check(&reached, "s=a;i=e;b=1;m=0;t=99;x=2", true);
        check(&reached, "s=a;i=10;b=1;m=2;t=1;x=2", false);
        check(&reached, "s=b;i=1;b=2;m=2;t=1;x=2", false);
        // The same entry, counted anew.
        check(&reached, "s=b;i=1;b=1;m=1;t=64;x=1", true);
        reached.advance("s=b;i=1;b=2;m=2;t=1;x=2".to_owned());
        check(&reached, "s=a;i=f;b=1;m=1;t=64;x=1", true);
        check(&reached, "s=b;i=2;b=2;m=2;t=1;x=2", true);
        check(&reached, "s=b;i=2;b=2;m=2;t=1;x=3", false);
        // Of a form that is not known: compared as it is.
        check(&Reached::first("new".to_owned()), "new", true);
        check(&Reached::first("new".to_owned()), "newer", false);
    }

    #[test]
    fn the_time_of_day_is_set_back() {
        let reached = Reached::first("s=a;i=f;b=1;m=1;t=f4245;x=1".to_owned());
        assert_eq!(reached.seek(Duration::ZERO), "s=a;i=f;b=1;m=1;t=f4245;x=1");
        assert_eq!(reached.seek(Duration::from_secs(1)), "s=a;i=f;b=1;m=1;t=5;x=1");
        assert_eq!(reached.seek(Duration::MAX), "s=a;i=f;b=1;m=1;t=1;x=1");
    }

    #[test]
    fn sources_without_end_are_bounded() {
        let mut reached = Reached::first("s=0;i=1".to_owned());
        for n in 1..100 {
            reached.advance(format!("s={n};i=1"));
        }
        assert_eq!(reached.sources.len(), MOST);
        assert!(reached.holds("s=99;i=1") && !reached.holds("s=0;i=1"));
    }
}
