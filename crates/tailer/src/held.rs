//! An open file of a log: plain, so that it may still grow, or packed.

use std::path::Path;

use crate::error::Error;
use crate::file::{FileId, Filled, LogFile};
use crate::input::{Input, packed};
use crate::lines::Lines;
use crate::place::Mark;

/// As many bytes as tell how a file is packed.
const MAGIC: usize = 6;

#[derive(Debug)]
pub(crate) enum Held {
    Plain(LogFile),
    Packed(Box<Input>),
}

impl Held {
    /// Opens a rotated file at its beginning.
    ///
    /// # Errors
    /// Those of opening; [`Error::Packed`]; [`Error::Truncated`] if it is called `.gz` and holds nothing yet.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let log = LogFile::open(path)?;
        let mut head = [0; MAGIC];
        let filled = log.peek(&mut head, 0).map_err(|e| Error::read(path, 0, e))?;
        if packed(&head) {
            let file = log.into_file().map_err(|e| Error::read(path, 0, e))?;
            return Ok(Self::Packed(Box::new(Input::read_from(path.to_owned(), file)?)));
        }
        // A packer that has only begun. As a plain file it would be read on when it goes on.
        if filled < MAGIC && path.extension().is_some_and(|end| end == "gz") {
            return Err(Error::Truncated { path: path.to_owned(), offset: 0 });
        }
        Ok(Self::Plain(log))
    }

    pub(crate) fn id(&self) -> FileId {
        match self {
            Self::Plain(log) => log.id,
            Self::Packed(input) => input.id(),
        }
    }

    pub(crate) fn lines(&mut self) -> &mut Lines {
        match self {
            Self::Plain(log) => &mut log.lines,
            Self::Packed(input) => input.lines(),
        }
    }

    /// How many over-long lines were skipped.
    pub(crate) fn skipped(&self) -> u64 {
        match self {
            Self::Plain(log) => log.lines.skipped(),
            Self::Packed(input) => input.skipped(),
        }
    }

    /// How far it was given out.
    pub(crate) fn mark(&self) -> Mark {
        match self {
            Self::Plain(log) => log.mark(),
            Self::Packed(input) => input.mark(),
        }
    }

    /// Goes to a mark, if this is the marked file or a copy of it; whether it is. If not, this is of no more use.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn go_to_mark(&mut self, mark: &Mark, path: &Path) -> Result<bool, Error> {
        match self {
            // A mark at the beginning has seen no bytes: only the very file can be told.
            _ if mark.offset == 0 => Ok(self.id() == mark.id()),
            Self::Plain(log) => log.go_to_mark(mark).map_err(|e| Error::read(path, mark.offset, e)),
            Self::Packed(input) => input.go_to_mark(mark),
        }
    }

    /// Whether this is the marked file or, most likely, a copy of it: of a packed one only the head is looked at. This
    /// is of no more use then.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn looks_like(&mut self, mark: &Mark, path: &Path) -> Result<bool, Error> {
        match self {
            Self::Packed(input) => input.looks_like(mark),
            Self::Plain(_) => self.go_to_mark(mark, path),
        }
    }

    /// Reads once.
    ///
    /// # Errors
    /// Those of reading, after which there is nothing more to read.
    pub(crate) fn fill(&mut self, path: &Path) -> Result<Filled, Error> {
        match self {
            Self::Plain(log) => {
                let offset = log.lines.read_to();
                log.fill().map_err(|e| Error::read(path, offset, e))
            }
            Self::Packed(input) => {
                input.fill().map(|more| if more { Filled::More } else { Filled::End })
            }
        }
    }

    /// Whether it can still grow.
    pub(crate) fn may_grow(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}
