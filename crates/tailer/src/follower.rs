//! One log, followed through everything that rotation does to it.
//!
//! | what happens to the file | what is done |
//! | --- | --- |
//! | renamed, a new one in its place | the old descriptor is read to its end, then the new file from 0; see below |
//! | renamed or removed, nothing in its place | the old descriptor is followed on; [`State::Missing`] |
//! | copied and truncated (size below what was read) | read from 0; a half-written line is dropped: its rest is gone |
//! | a link is turned to another file, a directory is replaced | as renamed |
//! | renamed back while the former file is still held | followed on from where it was |
//! | not there, not permitted, a directory, a pipe | waited for; see [`State`] |
//!
//! **Late lines.** syslogd writes to the renamed file until it is told to reopen (logrotate's postrotate). So a former
//! file stays open until it has been quiet for a grace period (10 s) and its successor holds a first line; a successor
//! that stays empty extends this to [`EMPTY_GRACE`]. Meanwhile both are read, so the new one is not delayed. Just
//! before a block of the new file is given out, the former ones are read to their end once more: as one writer writes
//! to the former file first, its lines come in the order in which they were written.
//!
//! **Pipes** are refused ([`Error::NotRegular`]): a pipe has no place to come back to, so a restart would lose lines.
//! For rsyslog, a file or the journal does the same job.
//!
//! What is not seen yet: a file that shrank and grew past the old offset between two looks, and a file that came and
//! went between two looks. Both need a stored witness of what was read.
//!
//! What an attacker could try: nothing beyond what the [crate] names; who can rename the log can write it as well.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::file::{FileId, LogFile, Seen};
use crate::lines::Block;

/// How long a former file must be quiet before it is let go, if nothing else is asked for.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// The same, as long as its successor holds nothing yet: the writer may not have been told to reopen.
const EMPTY_GRACE: Duration = Duration::from_secs(300);

/// How many former files are held at most. Beyond, the oldest is let go as soon as it is at its end.
const MAX_FORMER: usize = 4;

/// Where to begin in a file that is there at the start. One that comes later is read from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first line.
    Beginning,
    /// After the last finished line. A line that is half-written at the start is given out.
    End,
}

/// How a log stands, see [`Follower::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There are lines to take.
    Lines,
    /// All lines were given out.
    CaughtUp,
    /// No file has this name. It is waited for; the former file, if any, is still followed.
    Missing,
    /// The file cannot be read, see [`Follower::trouble`]. It is tried again at each poll.
    Trouble,
}

/// One step of a follower, see [`Follower::step`].
#[derive(Debug)]
pub enum Step<'a> {
    /// Whole lines.
    Lines {
        /// The lines, each with its newline. Only the last line of a finished file may have none.
        bytes: &'a [u8],
        /// Where they stand in the file.
        offset: u64,
        /// The file.
        file: FileId,
        /// Whether they were written after the end of the log had been reached for the first time: if so they are as
        /// old as their arrival, if not they may be of any age.
        live: bool,
    },
    /// All lines were given out.
    CaughtUp,
    /// No file has this name, see [`State::Missing`].
    Missing,
    /// The file cannot be read, see [`State::Trouble`].
    Trouble(&'a Error),
}

/// Follows one path. Never waits; a [`Watch`](crate::Watch) says when to look again.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    grace: Duration,
    start: Start,
    current: Option<LogFile>,
    /// Oldest first.
    former: Vec<Former>,
    /// Which file the next block comes from.
    next: Origin,
    /// A file that could be read no longer, and how far it was given out.
    lost: Option<(FileId, u64)>,
    /// The end was reached once.
    live: bool,
    /// Since when no file has the name.
    missing_since: Option<Instant>,
    /// The path has come to name another file, or none, since this was last asked.
    turned: bool,
    trouble: Option<Error>,
    /// Over-long lines in files that were let go.
    skipped: u64,
}

/// A file that was renamed away or removed.
#[derive(Debug)]
struct Former {
    log: LogFile,
    /// When its last bytes were read, or when it was replaced.
    quiet_since: Instant,
    /// Read to its end for the last time; to be let go when its lines are given out.
    finished: bool,
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    Former(usize),
    Current,
}

/// What one look at the current file brought.
enum Look {
    /// Something has changed: go on.
    Again,
    /// Nothing more for now.
    Rest(State),
}

impl Follower {
    /// Follows `path` from `start`. Touches nothing before the first poll.
    pub fn new(path: impl Into<PathBuf>, start: Start) -> Self {
        Self {
            path: path.into(),
            grace: GRACE,
            start,
            current: None,
            former: Vec::new(),
            next: Origin::Current,
            lost: None,
            live: false,
            missing_since: None,
            turned: false,
            trouble: None,
            skipped: 0,
        }
    }

    /// Holds a former file until it has been quiet for `grace` (10 s if not set).
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Reads and looks as far as is needed for the next block of lines, and says how the log stands.
    pub fn poll(&mut self) -> State {
        let now = Instant::now();
        self.let_go();
        loop {
            if let Some(i) = self.former.iter_mut().position(|former| former.log.lines.ready()) {
                self.next = Origin::Former(i);
                return State::Lines;
            }
            // Also between reading a block of the current file and giving it out: see the module's head.
            if self.read_former(now) {
                continue;
            }
            if self.current.as_mut().is_some_and(|log| log.lines.ready()) {
                self.next = Origin::Current;
                return State::Lines;
            }
            match self.look(now) {
                Ok(Look::Again) => {}
                Ok(Look::Rest(state)) => {
                    self.trouble = None;
                    return state;
                }
                Err(error) => {
                    if !self.trouble.as_ref().is_some_and(|known| known.same(&error)) {
                        self.trouble = Some(error);
                    }
                    return State::Trouble;
                }
            }
        }
    }

    /// The block of lines that the last [`poll`](Self::poll) found, and the file it comes from.
    pub fn take(&mut self) -> Option<(FileId, Block<'_>)> {
        let log = match self.next {
            Origin::Former(i) => self.former.get_mut(i).map(|former| &mut former.log),
            Origin::Current => self.current.as_mut(),
        }?;
        let id = log.id;
        log.lines.take().map(|block| (id, block))
    }

    /// [`poll`](Self::poll) and [`take`](Self::take) in one.
    pub fn step(&mut self) -> Step<'_> {
        let state = self.poll();
        let live = self.live;
        match state {
            State::Lines => match self.take() {
                Some((file, Block { bytes, offset })) => Step::Lines { bytes, offset, file, live },
                None => Step::CaughtUp,
            },
            State::CaughtUp => Step::CaughtUp,
            State::Missing => Step::Missing,
            State::Trouble => self.trouble.as_ref().map_or(Step::CaughtUp, Step::Trouble),
        }
    }

    /// The path that is followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the end was reached once: lines that come now are as old as their arrival.
    pub fn live(&self) -> bool {
        self.live
    }

    /// Why the log cannot be read, while it cannot.
    pub fn trouble(&self) -> Option<&Error> {
        self.trouble.as_ref()
    }

    /// How many lines were skipped because they were longer than [`MAX_LINE`](crate::MAX_LINE).
    pub fn skipped(&self) -> u64 {
        let held = self.former.iter().map(|former| &former.log).chain(&self.current);
        self.skipped + held.map(|log| log.lines.skipped()).sum::<u64>()
    }

    /// Whether a former file is still read: its new name matters as well.
    pub fn draining(&self) -> bool {
        !self.former.is_empty()
    }

    /// When to look again at the latest, events or not: for late lines, and for a file whose directory was removed (no
    /// event tells of a removed directory while a file that was in it is held open).
    pub(crate) fn next_look(&self) -> Option<Duration> {
        let newest = self.former.iter().map(|former| former.quiet_since).max();
        // Both nearly always come within the grace period; a long wait is left to events and the common timer.
        (newest.max(self.missing_since)?.elapsed() <= self.grace)
            .then(|| (self.grace / 10).max(Duration::from_millis(1)))
    }

    /// Whether the path has come to name another file, or none, since this was last asked: its directory may be
    /// another one as well.
    pub(crate) fn take_turned(&mut self) -> bool {
        std::mem::take(&mut self.turned)
    }

    /// Notes that no file has the name.
    fn missing(&mut self, now: Instant) -> Look {
        if self.missing_since.is_none() {
            self.missing_since = Some(now);
            self.turned = true;
        }
        Look::Rest(State::Missing)
    }

    /// Drops the former files that were given out to their last byte.
    fn let_go(&mut self) {
        let skipped = &mut self.skipped;
        self.former.retain_mut(|former| {
            let keep = !former.finished || former.log.lines.ready();
            if !keep {
                *skipped += former.log.lines.skipped();
            }
            keep
        });
    }

    /// Reads each former file once, oldest first; whether that brought lines or may bring more.
    fn read_former(&mut self, now: Instant) -> bool {
        let too_many = self.former.len() > MAX_FORMER;
        let successor_empty = self.current.as_ref().is_some_and(|log| log.lines.read_to() == 0);
        let grace = if successor_empty { self.grace.max(EMPTY_GRACE) } else { self.grace };
        for (i, former) in self.former.iter_mut().enumerate() {
            if former.finished {
                continue;
            }
            match former.log.fill() {
                Ok(0) => {
                    let quiet = now.saturating_duration_since(former.quiet_since);
                    if quiet < grace && !(too_many && i == 0) {
                        continue;
                    }
                    tracing::debug!(log = ?self.path, file = ?former.log.id, "former log let go");
                }
                Ok(_) => {
                    former.quiet_since = now;
                    return true;
                }
                Err(error) => {
                    let offset = former.log.lines.offset();
                    tracing::warn!(log = ?self.path, offset, %error, "cannot read the renamed log to its end");
                }
            }
            former.finished = true;
            former.log.lines.finish();
            if former.log.lines.ready() {
                return true;
            }
        }
        self.let_go();
        false
    }

    /// Reads the current file; at its end, looks whether the path still names it.
    fn look(&mut self, now: Instant) -> Result<Look, Error> {
        let Some(current) = &mut self.current else {
            return self.open(now);
        };
        match current.fill() {
            Ok(0) => {}
            Ok(_) => return Ok(Look::Again),
            Err(error) => return Err(self.lose(error)),
        }
        let seen = match Seen::at(&self.path) {
            Ok(seen) => seen,
            Err(Error::NotFound { .. }) => return Ok(self.missing(now)),
            Err(error) => return Err(error),
        };
        if seen.id != current.id {
            return self.replace(now);
        }
        self.missing_since = None;
        if seen.size >= current.lines.read_to() {
            self.live = true;
            return Ok(Look::Rest(State::CaughtUp));
        }
        tracing::info!(log = ?self.path, was = current.lines.read_to(), is = seen.size, "log truncated");
        match current.go_to(0) {
            Ok(()) => Ok(Look::Again),
            Err(error) => Err(self.lose(error)),
        }
    }

    /// Opens the log for the first time, or again after it was lost.
    fn open(&mut self, now: Instant) -> Result<Look, Error> {
        let mut log = match LogFile::open(&self.path) {
            Ok(log) => log,
            Err(Error::NotFound { .. }) => {
                // Whatever comes will be new.
                self.start = Start::Beginning;
                self.lost = None;
                self.live = true;
                return Ok(self.missing(now));
            }
            Err(error) => return Err(error),
        };
        match (self.lost, self.start) {
            (Some((id, offset)), _) if id == log.id => log.go_to(offset),
            (None, Start::End) => log.skip_to_end(),
            _ => Ok(()),
        }
        .map_err(|e| Error::read(&self.path, 0, e))?;
        self.lost = None;
        self.turned = true;
        self.current = Some(log);
        Ok(Look::Again)
    }

    /// Turns to the file that has taken the current one's place.
    fn replace(&mut self, now: Instant) -> Result<Look, Error> {
        let next = match LogFile::open(&self.path) {
            Ok(next) => next,
            Err(Error::NotFound { .. }) => return Ok(self.missing(now)),
            Err(error) => return Err(error),
        };
        if self.current.as_ref().is_some_and(|current| current.id == next.id) {
            return Ok(Look::Again);
        }
        let back = self.former.iter().position(|former| former.log.id == next.id);
        let next = match back {
            Some(i) if !self.former[i].finished => self.former.remove(i).log,
            _ => next,
        };
        tracing::info!(log = ?self.path, file = ?next.id, "log rotated");
        self.turned = true;
        if let Some(log) = self.current.replace(next) {
            self.former.push(Former { log, quiet_since: now, finished: false });
        }
        Ok(Look::Again)
    }

    /// Gives up a descriptor that cannot be read (a stale one of NFS, a failing disk). The path is opened again at the
    /// next poll, and read on if it is the same file.
    fn lose(&mut self, error: io::Error) -> Error {
        let mut offset = 0;
        if let Some(log) = self.current.take() {
            offset = log.lines.offset();
            self.skipped += log.lines.skipped();
            self.lost = Some((log.id, offset));
        }
        Error::read(&self.path, offset, error)
    }
}
