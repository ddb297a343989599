//! Several logs followed on one thread, with one call to make.
//!
//! The logs take turns, one block each, so a huge one does not hold up the others.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::begin::{Loss, Start};
use crate::error::Error;
use crate::file::FileId;
use crate::follower::{Follower, State};
use crate::lines::Block;
use crate::place::Place;
use crate::watch::{Options, Polling, Waker, Watch, Woken};

/// What comes next. `log` is the position of the log in the list given to [`Tail::new`].
#[derive(Debug)]
pub enum Next<'a> {
    /// Whole lines.
    Lines {
        /// Which log.
        log: usize,
        /// The lines, each with its newline. Only the last line of a finished file may have none.
        bytes: &'a [u8],
        /// Where they stand in the file.
        offset: u64,
        /// The file.
        file: FileId,
        /// Whether they are as old as their arrival, see [`Step::Lines`](crate::Step::Lines).
        live: bool,
    },
    /// Lines of the log may have been missed.
    Lost {
        /// Which log.
        log: usize,
        /// How.
        loss: Loss,
    },
    /// All lines of the log were given out: told once after its lines.
    CaughtUp {
        /// Which log.
        log: usize,
    },
    /// No file has the log's name; it is waited for. Told once.
    Missing {
        /// Which log.
        log: usize,
    },
    /// The log cannot be read; it is tried again. Told once for each cause.
    Trouble {
        /// Which log.
        log: usize,
        /// Why.
        error: &'a Error,
    },
    /// A [`Waker`] was used.
    Called,
    /// The patience of [`Tail::next_within`] is over.
    Quiet,
}

/// Follows several logs.
#[derive(Debug)]
pub struct Tail {
    watch: Watch,
    logs: Vec<Log>,
    /// Whose turn it is.
    turn: usize,
}

#[derive(Debug)]
struct Log {
    follower: Follower,
    /// Nothing more was found since the last wait. What comes later wakes the watch.
    settled: bool,
    /// Lines were given out since the last [`Next::CaughtUp`].
    reading: bool,
    /// The caller knows that it is missing, or of this trouble.
    told: Told,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    CaughtUp,
    Missing,
    Trouble(String),
}

/// [`Next`] before the borrow.
#[derive(Clone, Copy)]
enum Found {
    Lines,
    Lost,
    CaughtUp,
    Missing,
    Trouble,
}

impl Tail {
    /// Follows logs, each from its start. None need exist.
    pub fn new(logs: impl IntoIterator<Item = (PathBuf, Start)>, options: Options) -> Self {
        let logs: Vec<Log> = logs
            .into_iter()
            .map(|(path, start)| Log {
                follower: Follower::new(path, start).with_grace(options.grace),
                settled: false,
                reading: false,
                told: Told::Nothing,
            })
            .collect();
        let watch = Watch::new(logs.iter().map(|log| log.follower.path().to_owned()), options);
        Self { watch, logs, turn: 0 }
    }

    /// A handle with which another thread ends the wait.
    pub fn waker(&self) -> Waker {
        self.watch.waker()
    }

    /// Why the short timer is used, if it is.
    pub fn polling(&self) -> Option<&Polling> {
        self.watch.polling()
    }

    /// The path of a log.
    pub fn path(&self, log: usize) -> Option<&Path> {
        self.logs.get(log).map(|log| log.follower.path())
    }

    /// The place in a log after the lines of the last [`Next::Lines`], to come back to by [`Start::At`]. Cheap: it is made
    /// from what is in memory.
    pub fn place(&self, log: usize) -> Place {
        self.logs.get(log).map(|log| log.follower.place()).unwrap_or_default()
    }

    /// How many lines were skipped, over all logs, because they were longer than [`MAX_LINE`](crate::MAX_LINE).
    pub fn skipped(&self) -> u64 {
        self.logs.iter().map(|log| log.follower.skipped()).sum()
    }

    /// Waits for what comes next, however long that takes. Never [`Next::Quiet`].
    pub fn wait(&mut self) -> Next<'_> {
        self.until(None)
    }

    /// The same, but waits for at most `patience` and then says [`Next::Quiet`].
    pub fn next_within(&mut self, patience: Duration) -> Next<'_> {
        self.until(Instant::now().checked_add(patience))
    }

    /// Declares that the last lines mattered, so that what comes next is wanted at once: by itself a log that gets more
    /// than some 320 lines a second is looked at four times a second only, to spare the CPU.
    pub fn mattered(&self) {
        self.watch.mattered();
    }

    fn until(&mut self, deadline: Option<Instant>) -> Next<'_> {
        loop {
            if self.watch.called() {
                return Next::Called;
            }
            if self.watch.maintain() {
                self.unsettle();
            }
            let found = self.find();
            if self.logs.iter_mut().any(|log| log.follower.take_turned()) {
                self.watch.check_soon();
            }
            if let Some((log, found)) = found {
                return self.give(log, found);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Next::Quiet;
            }
            let draining = self.logs.iter().any(|log| log.follower.draining());
            if self.watch.set_draining(draining) || self.watch.check_is_due() {
                self.unsettle();
                continue;
            }
            let looks = self.logs.iter().filter_map(|log| log.follower.next_look());
            let timeout = looks.chain(left).fold(self.watch.interval(), Duration::min);
            let woken = self.watch.wait(timeout);
            self.unsettle();
            if woken == Woken::Called {
                return Next::Called;
            }
        }
    }

    /// The first log, from whose turn it is, that has something new to tell.
    fn find(&mut self) -> Option<(usize, Found)> {
        for _ in 0..self.logs.len() {
            let at = self.turn;
            self.turn = (at + 1) % self.logs.len();
            let log = &mut self.logs[at];
            if !log.settled
                && let Some(found) = log.find()
            {
                return Some((at, found));
            }
        }
        None
    }

    fn unsettle(&mut self) {
        self.logs.iter_mut().for_each(|log| log.settled = false);
    }

    fn give(&mut self, log: usize, found: Found) -> Next<'_> {
        let follower = &mut self.logs[log].follower;
        let live = follower.live();
        match found {
            Found::Lines => match follower.take() {
                Some((file, Block { bytes, offset })) => {
                    self.watch.count(bytes.len());
                    Next::Lines { log, bytes, offset, file, live }
                }
                None => Next::CaughtUp { log },
            },
            Found::Lost => match follower.take_loss() {
                Some(loss) => Next::Lost { log, loss },
                None => Next::CaughtUp { log },
            },
            Found::CaughtUp => Next::CaughtUp { log },
            Found::Missing => Next::Missing { log },
            Found::Trouble => match follower.trouble() {
                Some(error) => Next::Trouble { log, error },
                None => Next::CaughtUp { log },
            },
        }
    }
}

impl Log {
    fn find(&mut self) -> Option<Found> {
        let (told, found) = match self.follower.poll() {
            State::Lines => {
                self.reading = true;
                return Some(Found::Lines);
            }
            State::Lost => return Some(Found::Lost),
            State::CaughtUp => (Told::CaughtUp, Found::CaughtUp),
            State::Missing => (Told::Missing, Found::Missing),
            State::Trouble => {
                let words = self.follower.trouble().map(ToString::to_string).unwrap_or_default();
                (Told::Trouble(words), Found::Trouble)
            }
        };
        self.settled = true;
        // A missing log or one in trouble may still give lines, from the descriptor of the renamed file.
        let was_reading = std::mem::take(&mut self.reading);
        if self.told != told {
            self.told = told;
            return Some(found);
        }
        was_reading.then_some(Found::CaughtUp)
    }
}
