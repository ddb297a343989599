//! How often file events may wake the process.
//!
//! A log that gets a thousand lines a second would wake it a thousand times a second for a few hundred bytes each, at
//! some 50 µs of CPU a time (measured: two threads are woken). The kernel folds equal events into one while nobody
//! fetches them, so the cure is to fetch them later: under load the thread that hears events rests for [`REST`], and
//! meanwhile the logs are looked at every [`LOOK`]. A log that is not under load is heard at once.
//!
//! Pure: it is handed the time.

use std::time::{Duration, Instant};

/// How long events are left alone under load.
pub(crate) const REST: Duration = Duration::from_secs(1);

/// How often the logs are looked at meanwhile.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// Load is more than this many events...
const BURST: u32 = 32;

/// ...within this time: 320 a second.
const WINDOW: Duration = Duration::from_millis(100);

/// It goes on while a rest brings as many bytes: 320 lines of 200 bytes.
const STILL: u64 = 64 * 1024;

/// Events that were fetched together come at most so far apart.
const TOGETHER: Duration = Duration::from_micros(500);

/// Counts events.
#[derive(Debug)]
pub(crate) enum Pace {
    /// Each event is heard at once.
    Calm {
        /// When the window began, and the events in it.
        since: Option<Instant>,
        events: u32,
    },
    /// The first event that does not belong to those fetched after a rest begins another rest.
    Loaded {
        /// When the last event was heard or the last rest ended.
        last: Instant,
    },
}

impl Default for Pace {
    fn default() -> Self {
        Self::Calm { since: None, events: 0 }
    }
}

impl Pace {
    /// Takes note of an event heard at `now`; whether to rest before the next is fetched.
    pub(crate) fn event(&mut self, now: Instant) -> bool {
        match self {
            Self::Calm { since: Some(since), events }
                if now.saturating_duration_since(*since) < WINDOW =>
            {
                *events += 1;
                *events > BURST
            }
            Self::Calm { since, events } => {
                (*since, *events) = (Some(now), 1);
                false
            }
            Self::Loaded { last } => {
                let gap = now.saturating_duration_since(*last);
                *last = now;
                if gap > REST {
                    *self = Self::default();
                    return self.event(now);
                }
                gap > TOGETHER
            }
        }
    }

    /// Takes note of a rest that ended at `now` and in which `bytes` were read.
    pub(crate) fn rested(&mut self, now: Instant, bytes: u64) {
        *self = if bytes >= STILL { Self::Loaded { last: now } } else { Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of 200 bytes, `gap` apart, for `lasting`: how many times events are fetched, and how many rests there are.
    fn run(gap: Duration, lasting: Duration) -> (u32, u32) {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let (mut at, mut fetched, mut rests) = (start, 0, 0);
        while at < start + lasting {
            fetched += 1;
            if pace.event(at) {
                rests += 1;
                at += REST;
                pace.rested(at, 200 * (REST.as_nanos() / gap.as_nanos()) as u64);
                // What came meanwhile was folded into one event, fetched at once.
                assert!(!pace.event(at) || gap > Duration::from_millis(1));
            }
            at += gap;
        }
        (fetched, rests)
    }

    #[test]
    fn a_steady_flood_is_heard_once_a_second() {
        let (fetched, rests) = run(Duration::from_millis(1), Duration::from_secs(20));
        assert!((32..70).contains(&fetched), "{fetched}");
        assert!((18..21).contains(&rests), "{rests}");
    }

    #[test]
    fn a_calm_log_is_heard_at_once() {
        assert_eq!(run(Duration::from_millis(5), Duration::from_secs(5)), (1000, 0));
    }

    #[test]
    fn load_ends_with_a_rest_that_brought_little_or_with_a_gap() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert!((0..BURST).all(|_| !pace.event(now)) && pace.event(now));
        pace.rested(now, STILL - 1);
        assert!(!pace.event(now + Duration::from_millis(10)));
        pace.rested(now, STILL);
        assert!(pace.event(now + Duration::from_millis(10)));
        pace.rested(now, STILL);
        assert!(!pace.event(now + REST + Duration::from_millis(10)));
        assert!(!pace.event(now + REST + Duration::from_millis(20)));
    }
}
