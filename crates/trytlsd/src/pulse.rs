//! The pulse: whether each part of the daemon still makes progress, for the service manager's watchdog.
//!
//! A timer that feeds a watchdog proves that the timer runs. So each part counts its own steps, and the watchdog is fed
//! only when all of them have made one since it was fed last. While there is nothing to do a step is:
//!
//! | part | step |
//! | --- | --- |
//! | heart | a tick went through it, and what followed from it was settled; or a commit was refused that it goes on asking for |
//! | reader | the logs were looked at, or a block of lines was read |
//! | mapper | it came back for its next order, or looked whether there is one |
//! | ledger | it answered: a commit, or the question whether others have written; an error is an answer |
//!
//! Some steps are long for a reason, and a part says so before it begins one ([`Pulse::busy`]): makemap and sendmail have
//! their own time ([access] timeout), after which they are killed; the reader waits for a heart that is slow, which is
//! the heart's fault then, or the ledger's. Beyond the time that it named, a part that makes no step is hung.
//!
//! A ledger that takes no commits since the disk is full is no reason for a restart: the next start would not get
//! further. A ledger that does not answer at all is one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::service;

/// What must make progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Heart,
    Reader,
    Mapper,
    Ledger,
}

/// Their number.
const PARTS: usize = 4;

/// A step that may take as long as it wants: others are waited for, and they are judged themselves.
pub(crate) const WAITS: Duration = Duration::MAX;

/// The pulse of all parts; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    /// How often the watchdog wants to be fed; none where there is no watchdog.
    every: Option<Duration>,
    parts: [Counter; PARTS],
    /// The steps when it was fed last.
    fed: Mutex<[u64; PARTS]>,
}

#[derive(Debug, Default)]
struct Counter {
    steps: AtomicU64,
    /// Until when the present step may last, in milliseconds since the beginning; 0 if it is a short one.
    until: AtomicU64,
}

impl Pulse {
    /// For the watchdog that this process has, if it has one.
    pub(crate) fn new() -> Self {
        Self::with(service::watchdog())
    }

    fn with(every: Option<Duration>) -> Self {
        let inner = Inner {
            began: Instant::now(),
            every,
            parts: Default::default(),
            fed: Mutex::new([0; PARTS]),
        };
        Self(Arc::new(inner))
    }

    /// How often a part should make a step when it has nothing to do: three times before the watchdog must be fed.
    pub(crate) fn rest(&self) -> Option<Duration> {
        self.0.every.map(|every| every / 3)
    }

    /// The part has made a step.
    pub(crate) fn step(&self, part: Part) {
        let counter = self.of(part);
        counter.until.store(0, Ordering::Relaxed);
        counter.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// The part begins a step that may take so long. The next [`Pulse::step`] ends it.
    pub(crate) fn busy(&self, part: Part, limit: Duration) {
        let until = self.0.began.elapsed().saturating_add(limit);
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.of(part).until.store(until, Ordering::Relaxed);
    }

    /// Feeds the watchdog if every part has made progress since it was fed last.
    pub(crate) fn feed(&self) {
        if self.0.every.is_some() && self.take_progress(self.0.began.elapsed()) {
            service::feed_watchdog();
        }
    }

    /// Whether every part has made progress since this was last true. `now` is the time since the beginning.
    fn take_progress(&self, now: Duration) -> bool {
        let mut fed = self.0.fed.lock().unwrap_or_else(PoisonError::into_inner);
        let steps = self.0.parts.each_ref().map(|part| part.steps.load(Ordering::Relaxed));
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut parts = self.0.parts.iter().zip(steps).zip(*fed);
        let all = parts
            .all(|((part, steps), fed)| steps != fed || part.until.load(Ordering::Relaxed) > now);
        if all {
            *fed = steps;
        }
        all
    }

    fn of(&self, part: Part) -> &Counter {
        let [heart, reader, mapper, ledger] = &self.0.parts;
        match part {
            Part::Heart => heart,
            Part::Reader => reader,
            Part::Mapper => mapper,
            Part::Ledger => ledger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Part; PARTS] = [Part::Heart, Part::Reader, Part::Mapper, Part::Ledger];

    fn pulse() -> Pulse {
        Pulse::with(Some(Duration::from_secs(30)))
    }

    #[test]
    fn one_part_that_hangs_is_enough_to_let_the_watchdog_starve() {
        for hung in ALL {
            let pulse = pulse();
            ALL.iter().for_each(|part| pulse.step(*part));
            assert!(pulse.take_progress(Duration::ZERO));
            assert!(!pulse.take_progress(Duration::ZERO), "nothing has happened since");
            ALL.iter().filter(|part| **part != hung).for_each(|part| pulse.step(*part));
            assert!(!pulse.take_progress(Duration::ZERO), "{hung:?}");
            pulse.step(hung);
            assert!(pulse.take_progress(Duration::ZERO), "{hung:?}");
        }
    }

    #[test]
    fn a_long_step_is_progress_until_its_time_is_over() {
        let pulse = pulse();
        let others = [Part::Heart, Part::Reader, Part::Ledger];
        pulse.busy(Part::Mapper, Duration::from_secs(100));
        for (second, progress) in [(1, true), (99, true), (101, false), (200, false)] {
            others.iter().for_each(|part| pulse.step(*part));
            assert_eq!(pulse.take_progress(Duration::from_secs(second)), progress, "{second}");
        }
        pulse.step(Part::Mapper);
        assert!(pulse.take_progress(Duration::from_secs(201)));
        others.iter().for_each(|part| pulse.step(*part));
        assert!(!pulse.take_progress(Duration::from_secs(202)), "the long step has ended");
        pulse.busy(Part::Mapper, WAITS);
        assert!(pulse.take_progress(Duration::from_secs(1 << 40)));
    }
}
