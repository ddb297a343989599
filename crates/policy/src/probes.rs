//! Probes as evidence: hours pass between a queue's attempts, and mail waits. After the first real failure the relay is
//! probed a few times over some minutes. Each probe that fails as the real attempt did counts as an attempt; one that
//! succeeds clears the count.
//!
//! A probe never stands alone: at least one real attempt must. And their first and last must be [`SPREAD`] apart, so that
//! a hiccup, a restart of the peer, is none. That takes the place of `min_span`, which is measured by the queue's hours.
//!
//! **What an attacker could try.** Who sits on the way fails probes as he fails sendmail. All guards are asked as ever,
//! and a relay whose TLS worked lately waits that guard's span whatever probes say. A flood of failing relays starts at
//! most [`MOST`] of these at once; the others wait for the queue, as without probes.

/// When they are made, in seconds after the real attempt; further ones each [`FURTHER`] later.
const AT: [u32; 3] = [60, 180, 360];

/// Between two further ones, in seconds.
const FURTHER: u32 = 120;

/// Probes of one relay at most.
const MOST_PROBES: u32 = 10;

/// One that has not answered for so long is lost, in seconds.
const LOST: u32 = 1800;

/// From the first to the last that counts, in seconds, at least.
const SPREAD: u32 = 240;

/// For how long they count, and no further ones are made, in seconds: a queue's usual interval.
const COUNT_FOR: u32 = 3600;

/// Relays that are probed so at one time, at most.
pub(crate) const MOST: usize = 50;

/// The probes of one relay. Not kept over a restart: they take minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probes {
    /// When the real attempt was, in seconds since 1970.
    since: u32,
    /// Whether TLS itself broke then.
    strong: bool,
    /// Probes made, or on their way.
    made: u32,
    /// How many there are to be.
    wanted: u32,
    /// The one on its way, by when it began.
    out: Option<u32>,
    /// Those that failed in the same way.
    failed: u32,
    /// The first and the last of these, in seconds since 1970.
    span: (u32, u32),
}

impl Probes {
    /// After a real attempt. `failures`: attempts that make a candidate.
    pub(crate) fn begin(strong: bool, failures: u32, now: u32) -> Self {
        let least = u32::try_from(AT.len()).unwrap_or(3);
        let wanted = failures.saturating_sub(1).clamp(least, MOST_PROBES);
        Self { since: now, strong, made: 0, wanted, out: None, failed: 0, span: (0, 0) }
    }

    /// Whether one is due.
    pub(crate) fn is_due(&self, now: u32) -> bool {
        let made = usize::try_from(self.made).unwrap_or(usize::MAX);
        let further = self.made.saturating_sub(2) * FURTHER;
        let after = AT.get(made).copied().unwrap_or(AT[2] + further);
        let is_out = self.out.is_some_and(|began| now < began.saturating_add(LOST));
        !is_out && self.made < self.wanted && now >= self.since.saturating_add(after)
    }

    /// Whether the real attempt was so long ago that they count no more: another failure begins anew.
    pub(crate) fn are_over_since(&self, now: u32) -> bool {
        now >= self.since.saturating_add(COUNT_FOR)
    }

    pub(crate) fn start(&mut self, now: u32) {
        self.made += 1;
        self.out = Some(now);
    }

    /// Whether the answer of the one that began then is waited for.
    pub(crate) fn awaits(&self, began: u32) -> bool {
        self.out == Some(began)
    }

    /// The one on its way was answered; whether it failed as the real attempt did.
    pub(crate) fn answered(&mut self, same: bool, now: u32) {
        self.out = None;
        if !same {
            return;
        }
        self.failed += 1;
        if self.failed == 1 {
            self.span.0 = now;
        }
        self.span.1 = now;
    }

    /// How the real attempt failed.
    pub(crate) fn strong(&self) -> bool {
        self.strong
    }

    /// How many count.
    pub(crate) fn failed(&self) -> u32 {
        self.failed
    }

    /// Whether they make up, together with so many real attempts, for the queue's hours.
    pub(crate) fn suffice(&self, real: u32, failures: u32) -> bool {
        let spread = self.span.1.saturating_sub(self.span.0);
        real > 0 && self.failed >= 2 && real + self.failed >= failures && spread >= SPREAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probes each minute, of which those of `fails` fail; the minute at which they suffice.
    fn sufficient(failures: u32, fails: impl Fn(u32) -> bool) -> Option<u32> {
        let mut probes = Probes::begin(true, failures, 0);
        for minute in 0..60 {
            if probes.is_due(minute * 60) {
                probes.start(minute * 60);
                probes.answered(fails(minute), minute * 60);
            }
            if probes.suffice(1, failures) {
                return Some(minute);
            }
        }
        assert!(!probes.are_over_since(59 * 60) && probes.are_over_since(60 * 60));
        None
    }

    #[test]
    fn minutes_instead_of_hours() {
        assert_eq!(sufficient(3, |_| true), Some(6));
        assert_eq!(sufficient(1, |_| true), Some(6));
        assert_eq!(sufficient(6, |_| true), Some(10));

        assert_eq!(sufficient(3, |minute| minute < 4), None); // a hiccup of three minutes
        assert_eq!(sufficient(3, |_| false), None);
    }
}
