//! The life of a relay's entries: until when they stand, when the peer is probed, and when they go.
//!
//! An entry lives only as long as the fault does. The peer is probed once in [`rules::Life::probe_every`], less
//! often while it stays broken, and never by the clock of all others: each probe is moved by up to a tenth of the time,
//! by the relay's name. Two good probes in a row, an hour apart at most, and the entry goes. At the end of its time it is
//! renewed if a probe finds the peer broken and no guard speaks by then, and dropped if nobody can reach it. An entry that
//! lets sendmail fall back has no such time, for it heals by itself. It goes once neither a probe nor sendmail has found the
//! peer broken for a week, so that the map stays clean; a peer that breaks and mends each day keeps its.
//!
//! **What an attacker could try.** Who sits on the way fails probes too, and keeps an entry alive; that is told with each
//! renewal. Who lets two probes through has the entry taken out, which only turns TLS on.

use maillog::event::End;
use serde::{Deserialize, Serialize};

use crate::moment::seconds_of;
use crate::rules;

/// The second good probe follows the first after so long at most, in seconds.
const AGAIN: u32 = 3600;

/// While the peer stays broken the time between two probes grows by half, up to so many times the first.
const SLOWEST: u32 = 4;

/// An interval that was doubled by a relapse is never longer than this, in seconds: 30 days.
const LONGEST: u32 = 30 * 86_400;

/// The life of a relay's entries. Moments in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// When the first of them was made.
    pub since: u32,
    /// Until when they stand.
    pub until: u32,
    /// When the peer is to be probed next.
    pub next: u32,
    /// The time between two probes, in seconds, as it began.
    pub interval: u32,
    /// The same as it is now.
    pace: u32,
    /// Good probes in a row.
    good: u8,
    /// The probe whose answer is waited for, by when it began. An answer to another one is too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<u32>,
    /// The last probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<(u32, Probed)>,
    /// When the peer was last found broken, by a probe or by sendmail; 0 if it never was.
    #[serde(default)]
    broken: u32,
    /// When sendmail last used one of them; 0 if it never did.
    #[serde(default)]
    pub used: u32,
    /// How often it did.
    #[serde(default)]
    pub hits: u32,
    /// Since when they are of no use to this MTA any more, in seconds since 1970; 0 if they are. Where a fleet shares them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mended: u32,
    /// Deliveries in clear that ended well.
    #[serde(default)]
    pub sent: u32,
    /// Those that were deferred, for another cause than TLS.
    #[serde(default)]
    pub deferred: u32,
    /// Those that failed for good.
    #[serde(default)]
    pub failed: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probed {
    /// Mail would flow without an entry: TLS works, or is not offered.
    Good,
    /// It would be stuck: TLS breaks as it does with sendmail.
    Broken {
        /// In which way: the prober's verdict.
        how: Box<str>,
        /// Whether TLS itself broke; else it was a close, a reset or a time-out, which any network has.
        strong: bool,
    },
    /// Nobody answered there.
    Unreached,
}

/// What follows from a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Stay,
    /// Broken at the end of its time: it stays for another.
    Renew,
    /// Good twice in a row.
    Lift,
    /// Unreachable at the end of its time, or after as long.
    Drop,
    /// Good, and not found broken for as long as the rules want.
    Quiet,
}

impl Life {
    /// Begins now. `interval`: another first interval than that of the rules, in seconds (after a relapse).
    pub(crate) fn begin(rules: &rules::Life, relay: &str, interval: Option<u32>, now: u32) -> Self {
        let interval = interval.unwrap_or_else(|| seconds_of(rules.probe_every)).max(1);
        let mut life = Self {
            since: now,
            until: rules.until(now),
            next: 0,
            interval,
            pace: interval,
            good: 0,
            asked: None,
            last: None,
            broken: 0,
            used: 0,
            hits: 0,
            mended: 0,
            sent: 0,
            deferred: 0,
            failed: 0,
        };
        life.plan(relay, interval, now);
        life
    }

    /// Whether a probe is due.
    pub(crate) fn is_due(&self, now: u32) -> bool {
        now >= self.next
    }

    /// A probe begins. If no answer ever comes, since the process ended meanwhile, another one is due within the hour.
    pub(crate) fn probing(&mut self, now: u32) {
        self.asked = Some(now);
        self.soon(now);
    }

    /// Whether the answer of the probe that began then is waited for.
    pub(crate) fn awaits(&self, began: u32) -> bool {
        self.asked == Some(began)
    }

    /// The peer is probed again within the hour.
    pub(crate) fn soon(&mut self, now: u32) {
        self.next = now.saturating_add(AGAIN);
    }

    /// Takes the outcome of the probe whose answer is waited for.
    pub(crate) fn probed(
        &mut self,
        rules: &rules::Life,
        relay: &str,
        probed: Probed,
        now: u32,
    ) -> Next {
        self.asked = None;
        let ended = now >= self.until;
        let quiet_for = seconds_of(rules.quiet_for);
        let quiet = quiet_for > 0 && now.saturating_sub(self.broken.max(self.since)) >= quiet_for;
        let next = match &probed {
            Probed::Good => {
                self.good = self.good.saturating_add(1);
                let again = if quiet_for > 0 { self.interval } else { self.interval.min(AGAIN) };
                self.plan(relay, again, now);
                match quiet_for {
                    0 if self.good >= 2 => Next::Lift,
                    _ if quiet => Next::Quiet,
                    _ => Next::Stay,
                }
            }
            Probed::Broken { .. } => {
                self.broke(now);
                self.plan(relay, self.pace, now);
                let slowest = self.interval.saturating_mul(SLOWEST);
                self.pace = self.pace.saturating_add(self.pace / 2).min(slowest);
                if ended { Next::Renew } else { Next::Stay }
            }
            Probed::Unreached => {
                (self.good, self.mended) = (0, 0);
                self.plan(relay, self.interval, now);
                if ended || quiet { Next::Drop } else { Next::Stay }
            }
        };
        self.last = Some((now, probed));
        next
    }

    /// The peer is mended, and its line stays: it is probed at the first pace again.
    pub(crate) fn rest(&mut self, relay: &str, now: u32) {
        self.pace = self.interval;
        self.plan(relay, self.interval, now);
    }

    /// They are of no use to this MTA any more, and stay for the others.
    pub(crate) fn mend(&mut self, relay: &str, now: u32) {
        if self.mended == 0 {
            self.mended = now;
        }
        self.rest(relay, now);
    }

    /// Whether their time has ended, and the last probe since then found the peer broken.
    pub(crate) fn is_broken_at_the_end(&self) -> bool {
        matches!(&self.last, Some((at, Probed::Broken { .. })) if *at >= self.until)
    }

    /// Another MTA has set their end.
    pub(crate) fn set_end(&mut self, until: u32, now: u32) {
        self.until = until;
        self.next = self.next.min(until.max(now));
    }

    /// They stand for another term.
    pub(crate) fn renew(&mut self, rules: &rules::Life, relay: &str, now: u32) {
        self.until = rules.until(now);
        self.plan(relay, self.pace, now);
    }

    /// Whether they should have been renewed so long ago, in seconds.
    pub(crate) fn is_overdue(&self, by: u32, now: u32) -> bool {
        now >= self.until.saturating_add(by)
    }

    /// sendmail used an entry.
    pub(crate) fn used(&mut self, now: u32) {
        self.used = self.used.max(now);
        self.hits = self.hits.saturating_add(1);
    }

    /// The peer is broken.
    pub(crate) fn broke(&mut self, now: u32) {
        (self.good, self.mended) = (0, 0);
        self.broken = self.broken.max(now);
    }

    /// A delivery for which an entry was used has ended.
    pub(crate) fn freed(&mut self, end: End) {
        let count = match end {
            End::Sent => &mut self.sent,
            End::Deferred => &mut self.deferred,
            End::Failed => &mut self.failed,
        };
        *count = count.saturating_add(1);
    }

    /// Whether no entry was used for so long that they are of no use any more.
    pub(crate) fn is_unused(&self, rules: &rules::Life, now: u32) -> bool {
        let limit = seconds_of(rules.unused_after);
        limit > 0 && now.saturating_sub(self.used.max(self.since)) >= limit
    }

    /// The clock was set by so many seconds: what was to come stays as far away as it was.
    pub(crate) fn shift(&mut self, by: i64) {
        let shift = |moment: &mut u32| {
            if *moment != 0 && *moment != u32::MAX {
                *moment = u32::try_from((i64::from(*moment) + by).max(1)).unwrap_or(u32::MAX - 1);
            }
        };
        let Self { since, until, next, used, broken, mended, .. } = self;
        [since, until, next, used, broken, mended].into_iter().for_each(shift);
    }

    /// The first interval of the next life, if the relay relapses.
    pub(crate) fn doubled(&self) -> u32 {
        self.interval.saturating_mul(2).min(LONGEST)
    }

    /// With no moment that could keep it from ever being probed: what is read back may have been changed.
    pub(crate) fn bounded(mut self) -> Self {
        self.interval = self.interval.clamp(1, LONGEST);
        self.pace = self.pace.clamp(1, self.interval.saturating_mul(SLOWEST));
        self
    }

    /// Plans the next probe so much later, more or less; at the end of its time at the latest.
    fn plan(&mut self, relay: &str, after: u32, now: u32) {
        let next = now.saturating_add(jittered(relay, after, now));
        self.next = if now < self.until { next.min(self.until) } else { next };
    }
}

/// The span, moved by up to a tenth either way: by the relay and the moment, so that it is the same in a replay.
fn jittered(relay: &str, span: u32, now: u32) -> u32 {
    let mut hash = 0x811c_9dc5_u32 ^ now;
    for byte in relay.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    let tenth = span / 10;
    span - tenth + hash % (2 * tenth + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u32 = 86_400;
    const MX: &str = "mx.example.org";

    fn broken() -> Probed {
        Probed::Broken { how: "not-tls".into(), strong: true }
    }

    #[test]
    fn good_twice_in_a_row() {
        let rules = rules::Life::default();
        let mut life = Life::begin(&rules, MX, None, 1000);
        assert!(!life.is_due(1000 + DAY / 2) && life.is_due(1000 + 2 * DAY));
        let mut tell = |probed, now| life.probed(&rules, MX, probed, now);
        assert_eq!(tell(Probed::Good, DAY), Next::Stay);
        assert_eq!(tell(broken(), 2 * DAY), Next::Stay);
        assert_eq!(tell(Probed::Good, 3 * DAY), Next::Stay);
        assert_eq!(tell(Probed::Unreached, 4 * DAY), Next::Stay);
        assert_eq!(tell(Probed::Good, 5 * DAY), Next::Stay);
        assert_eq!(tell(Probed::Good, 6 * DAY), Next::Lift);
    }

    #[test]
    fn the_end_of_its_time() {
        let rules = rules::Life::default();
        let end = |probed| {
            let mut life = Life::begin(&rules, MX, None, 0);
            let next = life.probed(&rules, MX, probed, 30 * DAY);
            (next, life.until)
        };
        assert_eq!(end(broken()), (Next::Renew, 30 * DAY));
        assert_eq!(end(Probed::Unreached), (Next::Drop, 30 * DAY));
        assert_eq!(end(Probed::Good), (Next::Stay, 30 * DAY));
    }

    #[test]
    fn unused() {
        let rules = rules::Life::default();
        let limit = seconds_of(rules.unused_after);
        let mut life = Life::begin(&rules, MX, None, 0);
        assert!(!life.is_unused(&rules, limit - 1) && life.is_unused(&rules, limit));
        life.used(limit - 1);
        assert!(!life.is_unused(&rules, limit) && life.is_unused(&rules, 2 * limit));
        let rules = rules::Life { unused_after: jiff::SignedDuration::ZERO, ..rules };
        assert!(!life.is_unused(&rules, u32::MAX));
    }

    proptest! {
        /// However it goes, there is a next probe, it is not at once, and none is planned beyond the end of its time.
        #[test]
        fn there_is_always_a_next_probe(
            kinds in prop::collection::vec(0u8..3, 1..60),
            relay in "[a-z.]{1,20}",
            interval in prop::option::of(60u32..100 * DAY),
        ) {
            let rules = rules::Life::default();
            let mut life = Life::begin(&rules, &relay, interval, 1_800_000_000);
            for kind in kinds {
                let now = life.next;
                life.probing(now);
                let probed = [Probed::Good, broken(), Probed::Unreached][usize::from(kind)].clone();
                let next = life.probed(&rules, &relay, probed, now);
                match next {
                    Next::Lift | Next::Drop | Next::Quiet => break,
                    Next::Renew => life.renew(&rules, &relay, now),
                    Next::Stay => {}
                }
                prop_assert!(life.next >= now + 54 || life.next == life.until, "{life:?}");
                prop_assert!(life.next <= life.until || life.until <= now, "{life:?}");
                prop_assert!(life.next <= now.saturating_add(life.interval.saturating_mul(5)));
            }
        }
    }
}
