//! What a daemon follows: files, or the journal.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::journal::{Caller, Journal};
use crate::place::Place;
use crate::tail::{Next, Tail};
use crate::watch;

/// The logs that are followed.
#[derive(Debug)]
pub enum Logs {
    /// Files.
    Files(Box<Tail>),
    /// The journal, as one log.
    Journal(Box<Journal>),
}

/// Ends the wait of a thread that follows logs.
#[derive(Clone, Debug)]
pub struct LogsWaker(Way);

#[derive(Clone, Debug)]
enum Way {
    Files(watch::Waker),
    Journal(Caller),
}

impl LogsWaker {
    /// Ends the present wait, or the next one if there is none. Several calls before a wait count as one.
    pub fn wake(&self) {
        match &self.0 {
            Way::Files(waker) => waker.wake(),
            Way::Journal(caller) => caller.call(),
        }
    }
}

impl Logs {
    /// Waits for what comes next, at most for `patience`, and then says [`Next::Quiet`]; without one, however long that
    /// takes.
    pub fn next(&mut self, patience: Option<Duration>) -> Next<'_> {
        match (self, patience) {
            (Self::Files(tail), None) => tail.wait(),
            (Self::Files(tail), Some(patience)) => tail.next_within(patience),
            (Self::Journal(journal), patience) => {
                journal.until(patience.and_then(|patience| Instant::now().checked_add(patience)))
            }
        }
    }

    /// A handle with which another thread ends the wait.
    pub fn waker(&self) -> LogsWaker {
        LogsWaker(match self {
            Self::Files(tail) => Way::Files(tail.waker()),
            Self::Journal(journal) => Way::Journal(journal.caller()),
        })
    }

    /// The place in a log after the lines of the last [`Next::Lines`].
    pub fn place(&self, log: usize) -> Place {
        match self {
            Self::Files(tail) => tail.place(log),
            Self::Journal(journal) => journal.place(),
        }
    }

    /// The path of a log, or what the journal is called.
    pub fn path(&self, log: usize) -> Option<&Path> {
        match self {
            Self::Files(tail) => tail.path(log),
            Self::Journal(journal) => Some(journal.path()),
        }
    }

    /// Declares that the last lines mattered, see [`Tail::mattered`].
    pub fn mattered(&self) {
        if let Self::Files(tail) = self {
            tail.mattered();
        }
    }
}
