//! One log, followed through everything that rotation does to it.
//!
//! | what happens to the file | what is done |
//! | --- | --- |
//! | renamed, a new one in its place | the old descriptor is read to its end, then the new file from 0; see below |
//! | renamed or removed, nothing in its place | the old descriptor is followed on; [`State::Missing`] |
//! | copied and truncated (copytruncate) | the rest of the copy is read, then the file from 0; without a copy, a half-written line is dropped: its rest is gone |
//! | cut, and grown past what was read, or to the same size | the same: the bytes before the place are other ones |
//! | came and went between two looks (two rotations) | read whole, between those before and after it |
//! | a link is turned to another file, a directory is replaced | as renamed |
//! | renamed back | followed on from where it was |
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
//! **What cannot be read.** What was cut before it was looked at and is in no copy. What is written to a renamed file
//! after it was let go. What came and went between two looks while no line had ever been given out, or once the file
//! that had been read last was removed, for then nothing tells what is newer. What lies beyond an equal beginning: a
//! file that was cut and has the same first bytes and the same ones before the place is taken for the same.
//!
//! **What comes late.** A log that was filled, copied and cut within one step of the file system's clock (4 ms) after
//! it was seen empty, and late lines to a file that came and went unseen and was empty: with the next line of the log.
//!
//! What an attacker could try: nothing beyond what the [crate] names; who can rename the log can write it as well.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::begin::{Begin, Loss, Start};
use crate::error::Error;
use crate::file::{FileId, Filled, LogFile, Seen};
use crate::former::{Drained, Formers};
use crate::lines::Block;
use crate::place::{Mark, Place};

mod turn;

/// How long a former file must be quiet before it is let go, if nothing else is asked for.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// The same, as long as its successor holds nothing yet: the writer may not have been told to reopen.
const EMPTY_GRACE: Duration = Duration::from_secs(300);

/// How a log stands, see [`Follower::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There are lines to take.
    Lines,
    /// Lines may have been missed, see [`Follower::take_loss`].
    Lost,
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
    /// Lines may have been missed.
    Lost(Loss),
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
    /// Where to begin; `None` once that was found.
    start: Option<Start>,
    current: Option<LogFile>,
    former: Formers,
    /// Which file the next block comes from.
    next: Origin,
    losses: VecDeque<Loss>,
    /// The end was reached once.
    live: bool,
    /// Since when no file has the name.
    missing_since: Option<Instant>,
    /// The path has come to name another file, or none, since this was last asked.
    turned: bool,
    trouble: Option<Error>,
    /// Over-long lines in current files that were given up.
    skipped: u64,
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
            start: Some(start),
            current: None,
            former: Formers::default(),
            next: Origin::Current,
            losses: VecDeque::new(),
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
        self.former.let_go();
        loop {
            if !self.losses.is_empty() {
                return State::Lost;
            }
            if let Some(i) = self.former.ready() {
                self.next = Origin::Former(i);
                return State::Lines;
            }
            // Also between reading a block of the current file and giving it out: see the module's head.
            match self.former.read(&self.path, self.grace_now(), now) {
                Drained::Quiet => {}
                Drained::More => continue,
                Drained::Lost(error) => {
                    self.losses.push_back(Loss::File(error));
                    continue;
                }
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
        match self.next {
            Origin::Former(i) => self.former.take(i),
            Origin::Current => {
                let log = self.current.as_mut()?;
                let id = log.id;
                log.lines.take().map(|block| (id, block))
            }
        }
    }

    /// What the last [`poll`](Self::poll) found to be lost.
    pub fn take_loss(&mut self) -> Option<Loss> {
        self.losses.pop_front()
    }

    /// [`poll`](Self::poll) and [`take`](Self::take) or [`take_loss`](Self::take_loss) in one.
    pub fn step(&mut self) -> Step<'_> {
        let state = self.poll();
        let live = self.live;
        match state {
            State::Lines => match self.take() {
                Some((file, Block { bytes, offset })) => Step::Lines { bytes, offset, file, live },
                None => Step::CaughtUp,
            },
            State::Lost => self.take_loss().map_or(Step::CaughtUp, Step::Lost),
            State::CaughtUp => Step::CaughtUp,
            State::Missing => Step::Missing,
            State::Trouble => self.trouble.as_ref().map_or(Step::CaughtUp, Step::Trouble),
        }
    }

    /// The place after all lines that were given out. Reads nothing.
    pub fn place(&self) -> Place {
        if let Some(Start::At(place)) = &self.start {
            return place.clone();
        }
        let all = || self.former.marks().chain(self.current.as_ref().map(LogFile::mark));
        // Where nothing was given out there are no bytes to be known by: by device and inode alone another file may be
        // taken for it. It needs no mark: it is read whole as it is newer than the newest mark, or was empty when its
        // successor was begun.
        let marks: Vec<Mark> = all().filter(|mark| mark.offset > 0).collect();
        if marks.is_empty() {
            return Place::new(self.former.left().or(all().next()).into_iter().collect());
        }
        Place::new(marks)
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
        let current = self.current.as_ref().map_or(0, |log| log.lines.skipped());
        self.skipped + self.former.skipped() + current
    }

    /// Whether a former file is still read: its new name matters as well.
    pub fn draining(&self) -> bool {
        !self.former.is_empty()
    }

    /// When to look again at the latest, events or not: for late lines, and for a file whose directory was removed (no
    /// event tells of a removed directory while a file that was in it is held open).
    pub(crate) fn next_look(&self) -> Option<Duration> {
        // Both nearly always come within the grace period; a long wait is left to events and the common timer.
        (self.former.quiet_since().max(self.missing_since)?.elapsed() <= self.grace)
            .then(|| (self.grace / 10).max(Duration::from_millis(1)))
    }

    /// Whether the path has come to name another file, or none, since this was last asked: its directory may be
    /// another one as well.
    pub(crate) fn take_turned(&mut self) -> bool {
        std::mem::take(&mut self.turned)
    }

    /// How long a former file must be quiet now.
    fn grace_now(&self) -> Duration {
        let successor_empty = self.current.as_ref().is_some_and(|log| log.lines.read_to() == 0);
        if successor_empty { self.grace.max(EMPTY_GRACE) } else { self.grace }
    }

    /// Reads the current file; at its end, looks whether the path still names it.
    fn look(&mut self, now: Instant) -> Result<Look, Error> {
        if let Some(start) = &mut self.start {
            let begin = Begin::new(&self.path, start)?;
            self.begin(begin, now);
            return Ok(Look::Again);
        }
        let Some(current) = &mut self.current else { return self.appear(now) };
        let is_new = current.lines.read_to() == 0;
        match current.fill() {
            Ok(Filled::End) => {}
            Ok(Filled::More) if is_new => return self.first_read(now),
            Ok(Filled::More) => return Ok(Look::Again),
            Ok(Filled::Changed) => return self.restart(now),
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
        // An empty file that was written: it was filled, copied and cut before it was looked at.
        if is_new && current.mtime != seen.mtime {
            current.mtime = seen.mtime;
            self.push(self.unseen(), now);
            return Ok(Look::Again);
        }
        self.live = true;
        Ok(Look::Rest(State::CaughtUp))
    }
}
