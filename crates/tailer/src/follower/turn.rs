//! What a follower does when the path names another file than before, or the file is not what it was.

use std::io;
use std::time::Instant;

use super::{Follower, Look, State};
use crate::begin::{Begin, Loss, Start};
use crate::error::Error;
use crate::file::LogFile;
use crate::held::Held;
use crate::siblings::{Gone, Open, Opened, Siblings};

impl Follower {
    /// Takes over what was found for the start.
    pub(super) fn begin(&mut self, begin: Begin, now: Instant) {
        self.start = None;
        if begin.lost {
            self.losses.push_back(Loss::Place { path: self.path.clone() });
        }
        self.push(begin.former, now);
        self.turned |= begin.current.is_some();
        self.current = begin.current;
    }

    /// Notes that no file has the name.
    pub(super) fn missing(&mut self, now: Instant) -> Look {
        if self.missing_since.is_none() {
            self.missing_since = Some(now);
            self.turned = true;
        }
        // Whatever comes will be new.
        self.live = true;
        Look::Rest(State::Missing)
    }

    /// Opens the log after it was missing from the start.
    pub(super) fn appear(&mut self, now: Instant) -> Result<Look, Error> {
        match LogFile::open(&self.path) {
            Ok(log) => {
                self.turned = true;
                self.missing_since = None;
                self.current = Some(log);
                self.push(self.unseen(), now);
                Ok(Look::Again)
            }
            Err(Error::NotFound { .. }) => Ok(self.missing(now)),
            Err(error) => Err(error),
        }
    }

    /// Turns to the file that has taken the current one's place.
    pub(super) fn replace(&mut self, now: Instant) -> Result<Look, Error> {
        let next = match LogFile::open(&self.path) {
            Ok(next) => next,
            Err(Error::NotFound { .. }) => return Ok(self.missing(now)),
            Err(error) => return Err(error),
        };
        if self.current.as_ref().is_some_and(|current| current.id == next.id) {
            return Ok(Look::Again);
        }
        let next = self.known_again(next)?;
        tracing::info!(log = ?self.path, file = ?next.id, "log rotated");
        self.turned = true;
        if self.current.as_ref().is_some_and(|log| log.lines.offset() == 0) {
            self.push(self.unseen(), now);
        }
        if let Some(log) = self.current.replace(next) {
            self.former.push(Held::Plain(log), now);
        }
        self.push(self.unseen(), now);
        Ok(Look::Again)
    }

    /// A file that was the current one before goes on where it was.
    fn known_again(&mut self, mut next: LogFile) -> Result<LogFile, Error> {
        if let Some(log) = self.former.take_back(next.id) {
            return Ok(log);
        }
        if let Some(left) = self.former.left().filter(|left| left.id() == next.id) {
            next.go_to_mark(&left).map_err(|e| Error::read(&self.path, left.offset, e))?;
        }
        Ok(next)
    }

    /// Reads the current file from its beginning, as it was cut. What was not yet read of it may be in a copy.
    pub(super) fn restart(&mut self, now: Instant) -> Result<Look, Error> {
        let Some(current) = &mut self.current else { return Ok(Look::Again) };
        let mark = current.mark();
        tracing::info!(log = ?self.path, offset = mark.offset, "log truncated");
        if let Err(error) = current.restart() {
            return Err(self.lose(error));
        }
        let found = if mark.offset == 0 {
            self.unseen()
        } else {
            let open = self.open();
            self.siblings(|siblings| siblings.rest_of_copy(&mark, &open))
        };
        if found.is_empty() && self.former.is_empty() && mark.offset > 0 {
            self.former.set_left(mark);
        }
        self.push(found, now);
        Ok(Look::Again)
    }

    /// Adds what came and went before the first bytes of the current file were read: it was filled, copied and cut.
    pub(super) fn first_read(&mut self, now: Instant) -> Result<Look, Error> {
        let unseen = self.unseen();
        // A copy that was complete in between holds what was just read: that is to be read from only one of them.
        match self.current.as_ref().map_or(Ok(true), LogFile::is_unchanged) {
            Ok(true) => self.push(unseen, now),
            Ok(false) => return self.restart(now),
            Err(error) => return Err(self.lose(error)),
        }
        Ok(Look::Again)
    }

    /// The files that came and went between two looks, before the current one: those newer than the newest of which
    /// something was given out. Before that was so, nothing can be known to be newer.
    pub(super) fn unseen(&self) -> Opened {
        match self.place().marks().last() {
            Some(mark) if mark.offset > 0 => {
                let open = self.open();
                self.siblings(|siblings| siblings.newer_than(mark, &open))
            }
            _ => Vec::new(),
        }
    }

    fn open(&self) -> Open<'_> {
        Open { former: self.former.ids().collect(), current: self.current.as_ref() }
    }

    fn siblings(&self, with: impl FnMut(&Siblings) -> Result<Opened, Gone>) -> Opened {
        Siblings::look(&self.path, with).unwrap_or_else(|error| vec![Err(error)])
    }

    /// Adds files that are newer than all other former ones.
    pub(super) fn push(&mut self, files: Opened, now: Instant) {
        for file in files {
            match file {
                Ok(held) => self.former.push(held, now),
                Err(error) => self.losses.push_back(Loss::File(error)),
            }
        }
    }

    /// Gives up a descriptor that cannot be read (a stale one of NFS, a failing disk). The place is looked for again at
    /// the next poll.
    pub(super) fn lose(&mut self, error: io::Error) -> Error {
        let place = self.place();
        self.former.clear();
        let mut offset = 0;
        if let Some(log) = self.current.take() {
            offset = log.lines.read_to();
            self.skipped += log.lines.skipped();
        }
        self.start = Some(Start::At(place));
        Error::read(&self.path, offset, error)
    }
}
