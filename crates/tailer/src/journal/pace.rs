//! When the journal is to be read again.
//!
//! Soon after something in it has changed, and after ten seconds in any case. Every program logs into it: where changes go
//! on and on, and none of them is of sendmail's, what is read for nothing costs more rest each time.

use std::time::{Duration, Instant};

/// The shortest rest. A read costs 7 ms of a processor (900,000 entries in 12 files), 1.4 % at this pace.
const SHORTEST: Duration = Duration::from_millis(500);

/// The longest time between two reads.
const LONGEST: Duration = Duration::from_secs(10);

/// When it is to be read again.
#[derive(Debug)]
pub(crate) struct Pace {
    rest: Duration,
    /// If something has changed.
    soonest: Instant,
    /// In any case.
    latest: Instant,
}

impl Pace {
    /// At once.
    pub(crate) fn new(now: Instant) -> Self {
        Self { rest: SHORTEST, soonest: now, latest: now }
    }

    /// When that is.
    pub(crate) fn due(&self, changed: bool) -> Instant {
        if changed { self.soonest } else { self.latest }
    }

    /// It was read up to its end. `hinted`: because something had changed.
    pub(crate) fn read(&mut self, now: Instant, hinted: bool, found: bool) {
        self.rest = if hinted && !found { (self.rest * 2).min(LONGEST) } else { SHORTEST };
        self.soonest = now + self.rest;
        self.latest = now + LONGEST;
    }

    /// It could not be read, or not up to its end.
    pub(crate) fn failed(&mut self, now: Instant, found: bool) {
        if found {
            self.rest = SHORTEST;
        }
        self.latest = now + self.rest;
        self.soonest = self.latest;
        self.rest = (self.rest * 2).min(LONGEST);
    }

    /// It is to be read once more, after the shortest rest.
    pub(crate) fn again(&mut self, now: Instant) {
        self.latest = now + SHORTEST;
        self.soonest = self.latest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_grows_while_it_is_read_for_nothing() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!((pace.due(true), pace.due(false)), (now, now));
        let mut rests = Vec::new();
        for _ in 0..6 {
            pace.read(now, true, false);
            rests.push((pace.due(true) - now).as_millis());
            assert_eq!(pace.due(false), now + LONGEST);
        }
        assert_eq!(rests, [1000, 2000, 4000, 8000, 10_000, 10_000]);
        pace.read(now, true, true);
        assert_eq!(pace.due(true), now + SHORTEST);
        // By timer nothing is found where nothing has changed: what comes then is wanted soon.
        pace.read(now, false, false);
        assert_eq!(pace.due(true), now + SHORTEST);
    }

    #[test]
    fn what_fails_is_tried_again_less_and_less_often() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let mut rests = Vec::new();
        for _ in 0..6 {
            pace.failed(now, false);
            rests.push((pace.due(true) - now).as_millis());
            assert_eq!(pace.due(false), pace.due(true));
        }
        assert_eq!(rests, [500, 1000, 2000, 4000, 8000, 10_000]);
        pace.failed(now, true);
        assert_eq!(pace.due(true), now + SHORTEST);
        pace.again(now);
        assert_eq!(pace.due(false), now + SHORTEST);
    }
}
