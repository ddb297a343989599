//! The evidence against one relay: when its mail was stuck, and at which addresses.
//!
//! Kept small, since an attacker with a wildcard MX can invent relays: seconds in 32 bits, at most [`STAMPS`] of them,
//! at most [`ADDRESSES`] addresses, and no text of the log at all.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use maillog::event::{Cause, CauseKind};
use serde::{Deserialize, Serialize};

use crate::few::Few;
use crate::moment::seconds;
use crate::rules::Rules;

/// Moments kept for one relay.
pub const STAMPS: usize = 32;

/// Addresses kept for one relay.
pub const ADDRESSES: usize = 8;

/// Stuck attempts of one relay since its last success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Ascending.
    moments: Few<Moment>,
    /// In the order they were first seen.
    addresses: Few<Seen>,
    /// The second since 1970 at which the run of failures began: since then no success, and no gap longer than the
    /// window. 0 if there is none.
    #[serde(default)]
    began: u32,
}

/// An address, and the second since 1970 at which mail was last stuck there. Saved as a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(IpAddr, u32)", into = "(IpAddr, u32)")]
struct Seen {
    address: IpAddr,
    second: u32,
}

impl From<(IpAddr, u32)> for Seen {
    fn from((address, second): (IpAddr, u32)) -> Self {
        Self { address, second }
    }
}

impl From<Seen> for (IpAddr, u32) {
    fn from(seen: Seen) -> Self {
        (seen.address, seen.second)
    }
}

/// A second since 1970, and the number of stuck attempts that it stands for; how many of them are strong. Saved as a
/// triple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32, u32)", into = "(u32, u32, u32)")]
struct Moment {
    second: u32,
    attempts: u32,
    strong: u32,
}

impl From<(u32, u32, u32)> for Moment {
    fn from((second, attempts, strong): (u32, u32, u32)) -> Self {
        Self { second, attempts, strong: strong.min(attempts) }
    }
}

impl From<Moment> for (u32, u32, u32) {
    fn from(moment: Moment) -> Self {
        (moment.second, moment.attempts, moment.strong)
    }
}

/// How much a stuck attempt proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// TLS itself broke: an alert, a version, garbage.
    Strong,
    /// A reset, a close or a time-out, which any network does too; or nobody knows what it was.
    Weak,
}

impl Strength {
    /// By the `STARTTLS=client, error:` line.
    pub fn of(cause: Option<&Cause<'_>>) -> Self {
        match cause.map(|cause| cause.kind) {
            Some(CauseKind::Handshake) => Self::Strong,
            Some(CauseKind::Network) | None => Self::Weak,
        }
    }
}

/// How far the evidence is from a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Stuck attempts within the window.
    pub stuck: u32,
    /// From the first to the last of them.
    pub span: SignedDuration,
    /// Whether both rules are met.
    pub enough: bool,
    /// How many of them are strong.
    pub strong: u32,
    /// Whether the strong ones alone meet both rules.
    pub strong_enough: bool,
}

impl Evidence {
    /// Adds a stuck attempt. One that is older than the last (a log that is not in order) is put in its place.
    /// A gap that is longer than `window` begins a new run.
    pub fn add(
        &mut self,
        at: Timestamp,
        address: Option<IpAddr>,
        strength: Strength,
        window: SignedDuration,
    ) {
        let second = seconds(at);
        let strong = u32::from(strength == Strength::Strong);
        let gap = self.last().map(|last| i64::from(second) - i64::from(last));
        if self.began == 0 || gap.is_none_or(|gap| gap > window.as_secs()) {
            self.began = second;
        }
        let moments = self.moments.as_mut_slice();
        match moments.binary_search_by_key(&second, |m| m.second) {
            Ok(here) => {
                moments[here].attempts = moments[here].attempts.saturating_add(1);
                moments[here].strong = moments[here].strong.saturating_add(strong);
            }
            Err(here) => self.moments.insert(here, Moment { second, attempts: 1, strong }),
        }
        if self.moments.as_slice().len() > STAMPS {
            self.merge_closest();
        }
        if let Some(address) = address {
            self.add_address(address, second);
        }
    }

    /// The last stuck attempt, in seconds since 1970.
    pub fn last(&self) -> Option<u32> {
        self.moments.as_slice().last().map(|moment| moment.second)
    }

    /// When the unbroken run of failures began, in seconds since 1970; none if there is none.
    pub fn began(&self) -> Option<u32> {
        (self.began != 0).then_some(self.began)
    }

    /// For how long the relay has failed without a success; zero if it does not fail.
    pub(crate) fn failing_for(&self, now: Timestamp) -> SignedDuration {
        self.began().map_or(SignedDuration::ZERO, |began| {
            SignedDuration::from_secs(i64::from(seconds(now)) - i64::from(began))
        })
    }

    /// The stuck attempts that are remembered, the oldest first: the second since 1970, and how many it stands for.
    pub fn attempts(&self) -> impl Iterator<Item = (u32, u32)> {
        self.moments.as_slice().iter().map(|moment| (moment.second, moment.attempts))
    }

    /// The addresses at which mail was stuck, in the order they were seen.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.as_slice().iter().map(|seen| seen.address).collect()
    }

    /// Forgets what is older than the window, and weighs the rest as of `now`. What is later than `now` (a clock that was
    /// set back, a line from a host whose clock is wrong) is kept and not counted.
    pub fn weigh(&mut self, rules: &Rules, now: Timestamp) -> Weight {
        let oldest = i64::from(seconds(now)) - rules.window.as_secs();
        self.moments.retain(|m| i64::from(m.second) > oldest);
        self.addresses.retain(|seen| i64::from(seen.second) > oldest);
        if self.moments.as_slice().is_empty() {
            self.began = 0;
        }
        let all = self.moments.as_slice();
        let moments = &all[..all.partition_point(|m| m.second <= seconds(now))];
        let stuck = moments.iter().fold(0, |sum: u32, m| sum.saturating_add(m.attempts));
        let strong = moments.iter().fold(0, |sum: u32, m| sum.saturating_add(m.strong));
        let span = span(moments.iter());
        let strong_span = span_of_strong(moments);
        let meets =
            |count: u32, span: SignedDuration| count >= rules.failures && span >= rules.min_span;
        Weight {
            stuck,
            span,
            enough: meets(stuck, span),
            strong,
            strong_enough: meets(strong, strong_span),
        }
    }

    /// With no more than is ever kept, and in order: what is read back may have been changed.
    pub(crate) fn bounded(mut self) -> Self {
        self.moments.as_mut_slice().sort_by_key(|moment| moment.second);
        while self.moments.as_slice().len() > STAMPS {
            self.moments.remove(0);
        }
        while self.addresses.as_slice().len() > ADDRESSES {
            self.addresses.remove(0);
        }
        self
    }

    /// Whether nothing speaks against the relay.
    pub fn is_empty(&self) -> bool {
        self.moments.as_slice().is_empty() && self.addresses.as_slice().is_empty()
    }

    /// A success clears: the moments go, the addresses with them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// At the cap, the address that was not seen for longest makes room.
    fn add_address(&mut self, address: IpAddr, second: u32) {
        let known = self.addresses.as_mut_slice();
        if let Some(seen) = known.iter_mut().find(|seen| seen.address == address) {
            seen.second = seen.second.max(second);
            return;
        }
        if known.len() >= ADDRESSES
            && let Some(oldest) = (0..known.len()).min_by_key(|at| known[*at].second)
        {
            self.addresses.remove(oldest);
        }
        let end = self.addresses.as_slice().len();
        self.addresses.insert(end, Seen { address, second });
    }

    /// Merges the two neighbours that lie closest, never the first: the span stays true, and the count too. What is
    /// lost is when, within the window, the merged ones fall out of it: a little later than they should.
    fn merge_closest(&mut self) {
        let moments = self.moments.as_slice();
        let gap = |i: &usize| moments[*i].second - moments[*i - 1].second;
        let Some(at) = (2..moments.len()).min_by_key(gap) else { return };
        let Some(earlier) = self.moments.remove(at - 1) else { return };
        let later = &mut self.moments.as_mut_slice()[at - 1];
        later.attempts = later.attempts.saturating_add(earlier.attempts);
        later.strong = later.strong.saturating_add(earlier.strong);
    }
}

fn span_of_strong(moments: &[Moment]) -> SignedDuration {
    span(moments.iter().filter(|moment| moment.strong > 0))
}

/// From the first to the last.
fn span<'a>(mut moments: impl DoubleEndedIterator<Item = &'a Moment>) -> SignedDuration {
    let Some(first) = moments.next() else { return SignedDuration::ZERO };
    let last = moments.next_back().unwrap_or(first);
    SignedDuration::from_secs(i64::from(last.second) - i64::from(first.second))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    #[test]
    fn the_threshold() {
        let check = |minutes: &[i64], expect: bool| {
            let rules = Rules::default();
            let mut evidence = Evidence::default();
            minutes.iter().for_each(|m| evidence.add(at(*m), None, Strength::Strong, rules.window));
            let weight = evidence.weigh(&rules, at(*minutes.last().unwrap()));
            assert_eq!(weight.enough, expect, "{minutes:?}: {weight:?}");
        };
        check(&[0, 15, 30], true);
        check(&[0, 15, 29], false);
        check(&[0, 40], false);
        check(&[0, 0, 30], true);
        check(&[0, 1400, 1439], true);
        check(&[0, 1430, 1440], false);
        check(&[0, 1400, 1410, 1440], true);
    }

    proptest! {
        /// The bounded form decides as the full list of moments does, as long as it holds them all; beyond that it
        /// never counts fewer.
        #[test]
        fn agrees_with_the_plain_rule(minutes in prop::collection::vec(0i64..5000, 1..80), failures in 1u32..10) {
            let rules = Rules { failures, ..Rules::default() };
            let mut sorted = minutes.clone();
            sorted.sort_unstable();
            let now = *sorted.last().unwrap();
            let mut evidence = Evidence::default();
            sorted.iter().for_each(|m| evidence.add(at(*m), None, Strength::Strong, rules.window));
            let weight = evidence.weigh(&rules, at(now));
            let within: Vec<_> = sorted.iter().filter(|m| **m > now - 24 * 60).collect();
            let span = now - **within.first().unwrap();
            if minutes.len() <= STAMPS {
                prop_assert_eq!(weight.stuck as usize, within.len());
                prop_assert_eq!(weight.span.as_secs(), span * 60);
            } else {
                prop_assert!(weight.stuck as usize >= within.len());
            }
            prop_assert!(evidence.moments.as_slice().len() <= STAMPS);
        }
    }
}
