//! Is it us? What became of TLS with all relays lately, and when that means that the fault is our own.
//!
//! A certificate of ours that has expired, an OpenSSL policy that was tightened, a firewall that began to meddle: then
//! relays fail that never did, many of them, all at once. To turn TLS off for them one by one would be wrong, and the
//! worse the more there are. Three signs:
//!
//! - *a burst*: within an hour many relays ([`crate::rules::Guards::burst_relays`]) begin to fail. Only those count whose
//!   failing is known to be new: TLS with them had worked, or the log had been followed for an hour before they failed.
//!   A queue full of relays that have been broken for days is no burst;
//! - *a share*: of the relays that were tried within the hour more than [`crate::rules::Guards::burst_share`] failed last,
//!   those left out that have failed for more than a day: on a quiet night nobody else may be tried. It needs [`FEW`] failing relays at least: on a quiet host two of three are nobody's fault but theirs;
//! - *a CONFIG error*: sendmail itself says that it could not start TLS.
//!
//! The alarm ends when none of these signs is there any more and some handshake has worked since it was raised. What
//! failed until then was our fault and is no evidence against a relay: whose turn comes late is still waiting in the
//! queue at that moment, and must not lose TLS for it. Relays are counted, not attempts: one that is tried each minute
//! weighs no more than any other.
//!
//! **What an attacker could try.** Many names that all fail (a wildcard MX) raise the alarm, which holds entries back:
//! the mail waits as it does without trytlsd. A single success with a relay of his own does not end it, since the others
//! still fail. Memory is bounded: [`MOST`] failing relays; of more than that it is an alarm anyway.

use std::collections::HashMap;

use maillog::event::{Attempt, Fault};

use crate::ring::{HOUR, Ring};
use crate::rules::Guards;
use crate::suspect::Suspect;

/// Failing relays that a share must rest on.
pub(crate) const FEW: u32 = 10;

/// Failing relays that are remembered.
const MOST: usize = 20_000;

/// A relay that has failed for so long, in seconds, is no sign of a fault of ours.
const LONG: u32 = 86_400;

/// A relay that is failing is forgotten when it was not tried for so long, in seconds.
const FORGOTTEN: u32 = 2 * 86_400;

/// What became of TLS with all relays lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lately {
    /// Relays whose last handshake failed.
    failing: HashMap<Box<str>, Failing, foldhash::fast::RandomState>,
    /// By the second of their last failure.
    failed: Ring,
    /// Those that began to fail, by the second at which they did.
    began: Ring,
    /// Relays whose last handshake worked, by the second at which it did.
    worked: Ring,
    /// Those of `failing` with a CONFIG error, by the second of the last.
    config: Ring,
    /// The second of the first event.
    since: Option<u32>,
    /// The second of the last success.
    last_success: u32,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    last: u32,
    /// The first failure that is known of.
    first: u32,
    /// When it began, if that is known to be new.
    began: Option<u32>,
    /// Whether its last failure was a CONFIG error.
    config: bool,
    suspect: Suspect,
}

impl Lately {
    /// An attempt failed. `worked`: when TLS with the relay had worked last; `began`: when the run of its failures began,
    /// if that is known from elsewhere.
    pub(crate) fn failed(
        &mut self,
        attempt: &Attempt<'_>,
        worked: Option<u32>,
        began: Option<u32>,
        now: u32,
    ) {
        let observed = now.saturating_sub(*self.since.get_or_insert(now)) >= HOUR;
        let relay = attempt.relay.as_str();
        let config = attempt.fault == Fault::Config;
        let suspect = Suspect::of(attempt);
        if let Some(known) = self.failing.get_mut(relay) {
            self.failed.take_back(known.last);
            if known.config {
                self.config.take_back(known.last);
            }
            known.last = known.last.max(now);
            (known.config, known.suspect) = (config, suspect);
        } else {
            if self.failing.len() >= MOST {
                self.failing.retain(|_, failing| now.saturating_sub(failing.last) < FORGOTTEN);
            }
            if self.failing.len() >= MOST {
                return;
            }
            if let Some(worked) = worked {
                self.worked.take_back(worked);
            }
            let first = began.unwrap_or(now);
            let began = (worked.is_some() || observed).then_some(first);
            if let Some(began) = began {
                self.began.add(began);
            }
            let failing = Failing { last: now, first, began, config, suspect };
            self.failing.insert(relay.into(), failing);
        }
        self.failed.add(now);
        if config {
            self.config.add(now);
        }
    }

    /// What a record says of a relay that was failing when the last process ended: since when, and whether it is known
    /// that it worked before.
    pub(crate) fn recall(&mut self, relay: &str, last: u32, first: u32, was_new: bool) {
        if self.failing.len() >= MOST {
            return;
        }
        let began = was_new.then_some(first);
        if let Some(began) = began {
            self.began.add(began);
        }
        self.failed.add(last);
        let failing = Failing { last, first, began, config: false, suspect: Suspect::Unclear };
        self.failing.insert(relay.into(), failing);
    }

    /// That TLS with a relay that is not failing had worked when the last process ended.
    pub(crate) fn recall_worked(&mut self, second: u32) {
        self.last_success = self.last_success.max(second);
        self.worked.add(second);
    }

    /// TLS with the relay worked, for the first time since `before`.
    pub(crate) fn worked(&mut self, relay: &str, before: Option<u32>, now: u32) {
        self.since.get_or_insert(now);
        self.last_success = self.last_success.max(now);
        match self.failing.remove(relay) {
            Some(failing) => {
                self.failed.take_back(failing.last);
                if failing.config {
                    self.config.take_back(failing.last);
                }
                if let Some(began) = failing.began {
                    self.began.take_back(began);
                }
            }
            None => {
                if let Some(before) = before {
                    self.worked.take_back(before);
                }
            }
        }
        self.worked.add(now);
    }

    /// What speaks for a fault of our own, in words; none if nothing does.
    pub(crate) fn own_fault(&mut self, guards: &Guards, now: u32) -> Option<String> {
        let config = self.config.sum(now);
        if config > 0 {
            let seen = relays(config);
            return Some(format!(
                "sendmail could not start TLS with {seen} (CONFIG); {}",
                Suspect::OwnTls
            ));
        }
        let (began, failed) = (self.began.sum(now), self.failed.sum(now));
        let worked = self.worked.sum(now);
        let burst = guards.burst_relays > 0 && began >= guards.burst_relays;
        let is_share = |failed: u32| {
            let share = f64::from(failed) / f64::from(failed.saturating_add(worked).max(1));
            guards.burst_share > 0.0 && failed >= FEW && share > guards.burst_share
        };
        // Those that have been broken for long are nobody's fault but theirs, also on a quiet night.
        let failed = if is_share(failed) { self.failing_newly(now) } else { failed };
        let tried = failed.saturating_add(worked);
        let many = is_share(failed);
        if !burst && !many {
            return None;
        }
        let seen = if burst {
            format!("{} began to fail within an hour", relays(began))
        } else {
            format!("{failed} of {} tried within an hour fail", relays(tried))
        };
        Some(format!("{seen}; {}", self.likely(now)))
    }

    /// The relays that failed last within the hour, and not for longer than a day.
    fn failing_newly(&self, now: u32) -> u32 {
        let newly = |failing: &&Failing| {
            now.saturating_sub(failing.last) <= HOUR && now.saturating_sub(failing.first) <= LONG
        };
        u32::try_from(self.failing.values().filter(newly).count()).unwrap_or(u32::MAX)
    }

    /// Whether any handshake worked after that second.
    pub(crate) fn has_worked_since(&self, second: u32) -> bool {
        self.last_success > second
    }

    /// The most common suspect among the relays that failed within the hour.
    fn likely(&self, now: u32) -> Suspect {
        let lately = self.failing.values().filter(|f| now.saturating_sub(f.last) <= HOUR);
        let mut counts = [0_usize; Suspect::ALL.len()];
        for failing in lately {
            if let Some(count) = counts.get_mut(failing.suspect as usize) {
                *count += 1;
            }
        }
        let most = Suspect::ALL.into_iter().zip(counts).max_by_key(|(_, count)| *count);
        most.map_or(Suspect::Unclear, |(suspect, _)| suspect)
    }
}

fn relays(count: u32) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} relay{s}")
}
