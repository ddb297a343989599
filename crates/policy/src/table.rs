//! A table of relays with a cap: the least recently seen leave.
//!
//! The names come from MX records, so whoever runs a zone can invent as many as he likes. Beyond the cap a sixteenth of
//! the table is dropped at once, oldest first: a flood costs a scan for every so many new names, not for each.
//! What must not be forgotten (a relay with an entry in force) says so and stays; such rows are few, since entries in
//! force are limited.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// Rows that room is made for from the beginning. A table that grows holds the old one beside the new for a moment, and
/// the allocator keeps what it took for both: measured with 100,000 relays, 4 MB. Room that is not used costs nothing.
const ROOM: usize = 200_000;

/// A row of a [`Table`].
pub trait Row {
    /// When the relay was last seen, in seconds; a larger number is later.
    fn last_seen(&self) -> u32;
    /// Whether the row must stay whatever its age.
    fn must_stay(&self) -> bool {
        false
    }
}

/// Rows by relay, at most a fixed number (apart from those that must stay).
#[derive(Clone, Debug)]
pub struct Table<R> {
    rows: HashMap<Box<str>, R, RandomState>,
    cap: usize,
    /// Rows that were changed, made or dropped since they were last asked for; none if nobody asks.
    changed: Option<HashSet<Box<str>>>,
}

impl<R: Row> Table<R> {
    /// An empty table of at most `cap` rows, at least one.
    pub fn new(cap: usize) -> Self {
        let rows = HashMap::with_capacity_and_hasher(cap.min(ROOM), RandomState::default());
        Self { rows, cap: cap.max(1), changed: None }
    }

    /// Remembers from now on which rows change, for [`Table::take_changed`].
    pub fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// The rows that changed since the last call, each with what it is now; none if it was dropped.
    pub fn take_changed(&mut self) -> impl Iterator<Item = (Box<str>, Option<&R>)> {
        let changed = self.changed.as_mut().map(std::mem::take).unwrap_or_default();
        changed.into_iter().map(|relay| {
            let row = self.rows.get(&relay);
            (relay, row)
        })
    }

    /// The rows are as they were saved: of what changed only those that were dropped are still to be told.
    pub fn forget_changes_but_drops(&mut self) {
        let rows = &self.rows;
        if let Some(changed) = &mut self.changed {
            changed.retain(|relay| !rows.contains_key(relay));
        }
    }

    /// Whether a row changed.
    pub fn has_changed(&self) -> bool {
        self.changed.as_ref().is_some_and(|changed| !changed.is_empty())
    }

    /// Changes the cap; a smaller one takes effect with the next new row.
    pub fn set_cap(&mut self, cap: usize) {
        self.cap = cap.max(1);
    }

    /// The relay's row.
    pub fn get(&self, relay: &str) -> Option<&R> {
        self.rows.get(relay)
    }

    /// The relay's row, to change.
    pub fn get_mut(&mut self, relay: &str) -> Option<&mut R> {
        let row = self.rows.get_mut(relay)?;
        note(&mut self.changed, relay);
        Some(row)
    }

    /// The relay's row, made if there is none.
    pub fn get_or_insert_with(&mut self, relay: &str, make: impl FnOnce() -> R) -> &mut R {
        if !self.rows.contains_key(relay) {
            self.make_room();
        }
        note(&mut self.changed, relay);
        self.rows.entry(relay.into()).or_insert_with(make)
    }

    /// All rows, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &R)> {
        self.rows.iter().map(|(relay, row)| (&**relay, row))
    }

    /// Rows in the table.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the table has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn make_room(&mut self) {
        if self.rows.len() < self.cap {
            return;
        }
        let mut ages: Vec<u32> =
            self.rows.values().filter(|row| !row.must_stay()).map(Row::last_seen).collect();
        let over = self.rows.len() - self.cap;
        let leave = (self.cap / 16).max(1).saturating_add(over).min(ages.len());
        if leave == 0 {
            return;
        }
        let (_, oldest, _) = ages.select_nth_unstable(leave - 1);
        let oldest = *oldest;
        let mut left = leave;
        let changed = &mut self.changed;
        self.rows.retain(|relay, row| {
            if left == 0 || row.must_stay() || row.last_seen() > oldest {
                return true;
            }
            left -= 1;
            note(changed, relay);
            false
        });
    }
}

fn note(changed: &mut Option<HashSet<Box<str>>>, relay: &str) {
    if let Some(changed) = changed
        && !changed.contains(relay)
    {
        changed.insert(relay.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Seen(u32, bool);

    impl Row for Seen {
        fn last_seen(&self) -> u32 {
            self.0
        }
        fn must_stay(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn the_least_recently_seen_leave_and_what_must_stay_stays() {
        let mut table = Table::new(32);
        for n in 0..1000u32 {
            table.get_or_insert_with(&format!("r{n}"), || Seen(n, n == 3));
            assert!(table.len() <= 33);
        }
        assert!(table.get("r3").is_some());
        assert!(table.get("r999").is_some() && table.get("r980").is_some());
        assert!(table.get("r2").is_none() && table.get("r900").is_none());
    }
}
