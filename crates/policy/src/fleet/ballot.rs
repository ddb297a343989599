//! The rows of the directory as they were at the last look.
//!
//! Ages come from the directory's clock, so that those of the MTAs do not matter; from the look on ours counts them further.
//! A row that has died meanwhile says nothing, and neither does any row after a look that is not fresh: where the directory
//! cannot be reached, nobody agrees with anybody.

use std::collections::BTreeMap;

use access::remedy::Tagged;
use jiff::Timestamp;

use super::{Fleet, Objection, Says, Vote, Why};
use crate::moment::seconds;

/// A look that is older counts for nothing, in seconds.
const STALE: u32 = 600;

/// Rows that are taken from one look, at most.
const MOST_ROWS: usize = 50_000;

/// Keys of one row that count, at most.
const MOST_KEYS: usize = 64;

/// The longest name of an MTA, in bytes.
const LONGEST: usize = 255;

/// The last look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ballot {
    /// By relay; of each MTA one.
    rows: BTreeMap<Box<str>, Vec<Vote>>,
    /// When it was, in seconds since 1970; 0 before the first.
    looked: u32,
    /// Since when looks have come without a gap.
    since: u32,
}

/// A row that counts.
pub(super) struct Row<'a> {
    pub(super) mta: &'a str,
    pub(super) says: &'a Says,
    /// How long ago it was written, in seconds.
    pub(super) age: u32,
    /// How long ago that was seen, in seconds.
    pub(super) seen: u32,
}

impl Ballot {
    /// Takes a look. Our own rows come first, so that others' leave them their room.
    pub(super) fn take(&mut self, fleet: &Fleet, votes: Vec<Vote>, now: Timestamp) {
        let second = seconds(now);
        if !self.is_fresh(second) {
            self.since = second;
        }
        self.looked = second;
        self.rows.clear();
        let is_named = |vote: &Vote| !vote.mta.is_empty() && vote.mta.len() <= LONGEST;
        let named = votes.into_iter().filter(is_named).map(|mut vote| {
            vote.mta.make_ascii_lowercase();
            if let Says::Broken { keys } | Says::Mended { keys } = &mut vote.says {
                keys.sort_unstable();
                keys.dedup();
                keys.truncate(MOST_KEYS);
            }
            vote
        });
        let (own, others): (Vec<Vote>, Vec<Vote>) = named.partition(|vote| vote.mta == fleet.me);
        for vote in own.into_iter().chain(others).take(MOST_ROWS) {
            let rows = self.rows.entry(vote.relay.as_str().into()).or_default();
            match rows.iter_mut().find(|row| row.mta == vote.mta) {
                Some(row) if row.age > vote.age => *row = vote,
                Some(_) => {}
                None => rows.push(vote),
            }
        }
    }

    /// Whether the look counts still.
    pub(super) fn is_fresh(&self, now: u32) -> bool {
        self.looked != 0 && now.saturating_sub(self.looked) < STALE
    }

    /// For how long looks have come without a gap, in seconds.
    pub(super) fn watched_for(&self, now: u32) -> u32 {
        if self.is_fresh(now) { now.saturating_sub(self.since) } else { 0 }
    }

    /// The relays that any row is about.
    pub(super) fn relays(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(|relay| &**relay)
    }

    /// Our own row, dead or alive.
    pub(super) fn own(&self, fleet: &Fleet, relay: &str, now: u32) -> Option<Row<'_>> {
        let rows = self.rows.get(relay)?;
        rows.iter().find(|row| row.mta == fleet.me).map(|row| self.row(row, now))
    }

    /// The rows about the relay that count.
    pub(super) fn living(
        &self,
        fleet: &Fleet,
        relay: &str,
        now: u32,
    ) -> impl Iterator<Item = Row<'_>> {
        let rows = self.rows.get(relay).filter(|_| self.is_fresh(now));
        let ttl = fleet.ttl();
        let rows = rows.into_iter().flatten().map(move |row| self.row(row, now));
        rows.filter(move |row| row.age < ttl)
    }

    /// The same of others alone.
    pub(super) fn others(
        &self,
        fleet: &Fleet,
        relay: &str,
        now: u32,
    ) -> impl Iterator<Item = Row<'_>> {
        let me = fleet.me.clone();
        self.living(fleet, relay, now).filter(move |row| *row.mta != *me)
    }

    /// How many MTAs say that this entry is needed.
    pub(super) fn broken(&self, fleet: &Fleet, relay: &str, key: &Tagged, now: u32) -> u16 {
        self.count(fleet, relay, now, |says| match says {
            Says::Broken { keys } => keys.contains(key),
            _ => false,
        })
    }

    /// How many say that it is of no use any more.
    pub(super) fn mended(&self, fleet: &Fleet, relay: &str, key: &Tagged, now: u32) -> u16 {
        self.count(fleet, relay, now, |says| match says {
            Says::Mended { keys } => keys.contains(key),
            _ => false,
        })
    }

    /// The first of the others that speaks against an entry. `window`: for how long a success counts, in seconds.
    pub(super) fn objection(
        &self,
        fleet: &Fleet,
        relay: &str,
        window: u32,
        now: u32,
    ) -> Option<Objection> {
        self.others(fleet, relay, now).find_map(|row| {
            let why = match row.says {
                Says::Works if row.seen <= window => Why::Works,
                Says::Forbids => Why::Forbids,
                Says::Lifted { until } if *until > now => Why::Lifted,
                _ => return None,
            };
            Some(Objection { mta: row.mta.into(), why })
        })
    }

    fn count(&self, fleet: &Fleet, relay: &str, now: u32, fits: impl Fn(&Says) -> bool) -> u16 {
        let count = self.living(fleet, relay, now).filter(|row| fits(row.says)).count();
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    fn row<'a>(&self, vote: &'a Vote, now: u32) -> Row<'a> {
        let age = vote.age.saturating_add(now.saturating_sub(self.looked));
        Row { mta: &vote.mta, says: &vote.says, age, seen: age.saturating_add(vote.seen) }
    }
}
