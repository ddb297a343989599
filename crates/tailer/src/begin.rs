//! Where to begin in a log at the start, and what of its rotated files is to be read first.
//!
//! A stored [`Place`] is looked for by device and inode together with the bytes (see [`witness`](crate::witness)) under
//! all names in the log's directory, and then by the bytes alone: in the current file (it was restored, or its
//! device has another number since the boot), in copies (copytruncate), in packed files. What is newer than the file
//! of the newest mark was not begun and is read whole, in the order of its age.
//!
//! What fails: the place is in none of the files, because they were removed, or cut without a copy. That is told as
//! [`Loss::Place`], and the current file is read from its beginning. A rotated file that cannot be read is told as
//! [`Loss::File`], and the next is read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::bisect::first_not_older;
use crate::error::Error;
use crate::file::LogFile;
use crate::held::Held;
use crate::place::{Mark, Place};
use crate::siblings::{Gone, Open, Opened, Siblings};

/// Where to begin in a log whose file is there at the start. One that comes later is read from its beginning.
#[derive(Debug)]
pub enum Start {
    /// At the first line of the current file.
    Beginning,
    /// After the last finished line. A line that is half-written at the start is given out.
    End,
    /// Where the log was left: what was written since is read first, whatever files it is in by now.
    At(Place),
    /// Where a time begins.
    Since(Since),
}

/// A time from which on lines are wanted, and how to find it in a log.
///
/// Found by bisection, so lines must be roughly in the order of time. Where the current file does not reach back so
/// far, its rotated files are read first, from the first that holds lines that are wanted. A packed one is read whole.
pub struct Since {
    time: SystemTime,
    older: Box<Judge>,
}

/// Whether a line, without its newline, is older than the time; `None` if it does not tell.
pub(crate) type Judge = dyn FnMut(&[u8]) -> Option<bool> + Send;

impl Since {
    /// Wants what was written at `time` or later. `older` says whether a line, without its newline, is older than that;
    /// `None` if the line does not tell.
    pub fn new(
        time: SystemTime,
        older: impl FnMut(&[u8]) -> Option<bool> + Send + 'static,
    ) -> Self {
        Self { time, older: Box::new(older) }
    }
}

impl fmt::Debug for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Since").field("time", &self.time).finish_non_exhaustive()
    }
}

/// Lines that may have been missed.
#[derive(Debug, thiserror::Error)]
pub enum Loss {
    /// The place where the log was left is in none of its files. It is read from the beginning of its current file: lines
    /// may come again.
    #[error("the place where {path:?} was left is in none of its files")]
    Place {
        /// The log.
        path: PathBuf,
    },
    /// The journal's entry that was read last is kept no more. What came after it is read, as far as that is kept; nothing
    /// comes again.
    #[error("the entry of {path:?} that was read last is kept no more")]
    Entry {
        /// The journal.
        path: PathBuf,
    },
    /// A file of the log that is not the current one cannot be read, or not to its end.
    #[error(transparent)]
    File(Error),
}

/// What is to be read.
#[derive(Debug, Default)]
pub(crate) struct Begin {
    /// Before the current file, in this order.
    pub(crate) former: Opened,
    /// `None` if there is none.
    pub(crate) current: Option<LogFile>,
    /// The place was in none of the files.
    pub(crate) lost: bool,
}

impl Begin {
    /// # Errors
    /// Those of opening and reading the current file, except that a missing one is none; [`Error::Unsteady`].
    pub(crate) fn new(path: &Path, start: &mut Start) -> Result<Self, Error> {
        match start {
            Start::Beginning => Ok(Self { current: current(path)?, ..Self::default() }),
            Start::End => {
                let mut current = current(path)?;
                if let Some(log) = &mut current {
                    log.skip_to_end().map_err(|e| Error::read(path, 0, e))?;
                }
                Ok(Self { current, ..Self::default() })
            }
            Start::At(place) => Siblings::look(path, |siblings| Self::at(path, place, siblings)),
            Start::Since(since) => {
                Siblings::look(path, |siblings| Self::since(path, since, siblings))
            }
        }
    }

    fn at(path: &Path, place: &Place, siblings: &Siblings) -> Result<Self, Gone> {
        let mut begin = Self { current: current(path)?, ..Self::default() };
        let mut found = Found { path, siblings, held: BTreeMap::new(), below: CURRENT + 1 };
        let mut newest = None;
        for (i, mark) in place.marks().iter().rev().enumerate() {
            let slot = found.find(mark, &mut begin.current)?;
            newest = newest.or(slot);
            match slot {
                Some(_) => {}
                None if i == 0 && mark.offset > 0 => begin.lost = true,
                // It was renamed and most likely at its end when it was removed.
                None => tracing::info!(log = ?path, "a renamed file that was still read is gone"),
            }
        }
        let mut former: Opened = found.held.into_values().map(Ok).collect();
        if let Some(newest) = newest
            && newest < STRAY
        {
            let open = Open { former: Vec::new(), current: begin.current.as_ref() };
            former.extend(siblings.after(newest, &open)?);
        }
        begin.former = former;
        Ok(begin)
    }

    fn since(path: &Path, since: &mut Since, siblings: &Siblings) -> Result<Self, Gone> {
        let mut begin = Self { current: current(path)?, ..Self::default() };
        let mut begins_later = true;
        if let Some(log) = &mut begin.current {
            begins_later = go_to_first(log, path, since)?;
        }
        let id = begin.current.as_ref().map(|log| log.id);
        for file in siblings.files().iter().rev().filter(|file| Some(file.id()) != id) {
            if !begins_later || file.mtime.is_some_and(|written| written < since.time) {
                break;
            }
            match file.open() {
                Ok(mut held) => {
                    if let Held::Plain(log) = &mut held {
                        begins_later = go_to_first(log, path, since)?;
                    }
                    begin.former.insert(0, Ok(held));
                }
                Err(Gone::Unreadable(error)) => begin.former.insert(0, Err(error)),
                Err(Gone::Stale) => return Err(Gone::Stale),
            }
        }
        Ok(begin)
    }
}

fn current(path: &Path) -> Result<Option<LogFile>, Error> {
    match LogFile::open(path) {
        Ok(log) => Ok(Some(log)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Goes to the first line that is wanted; whether that is the first line of all.
fn go_to_first(log: &mut LogFile, path: &Path, since: &mut Since) -> Result<bool, Error> {
    let first = first_not_older(log, &mut since.older);
    let first = first.and_then(|first| log.go_to(first).map(|()| first));
    first.map(|first| first == 0).map_err(|e| Error::read(path, 0, e))
}

/// The slots of files by age: the rotated ones by their position in the list, one that was renamed otherwise, and the
/// current one.
const STRAY: usize = usize::MAX - 2;
const CURRENT: usize = usize::MAX - 1;

/// The files in which marks were found.
struct Found<'a> {
    path: &'a Path,
    siblings: &'a Siblings,
    /// Without the current one.
    held: BTreeMap<usize, Held>,
    /// The next mark is of an older file: its slot is less than this.
    below: usize,
}

impl Found<'_> {
    /// Finds the file of a mark, and goes to the mark in it; its slot.
    fn find(&mut self, mark: &Mark, current: &mut Option<LogFile>) -> Result<Option<usize>, Gone> {
        let mut current = current.as_mut().filter(|_| self.below > CURRENT);
        let mut in_current = |same: bool| match &mut current {
            Some(log) if (log.id == mark.id()) == same && (same || mark.offset > 0) => log
                .go_to_mark(mark)
                .map_err(|e| Gone::Unreadable(Error::read(self.path, mark.offset, e))),
            _ => Ok(false),
        };
        let slot = if in_current(true)? {
            CURRENT
        } else if let Some((slot, held)) = self.siblings.find_same(mark, self.below)? {
            self.held.insert(slot, held);
            slot
        } else if self.below > STRAY
            && let Some(held) = self.siblings.find_stray(mark)
        {
            self.held.insert(STRAY, held);
            STRAY
        } else if in_current(false)? {
            CURRENT
        } else if let Some((slot, held)) = self.siblings.find_copy(mark, self.below)? {
            self.held.insert(slot, held);
            slot
        } else {
            return Ok(None);
        };
        self.below = slot;
        Ok(Some(slot))
    }
}
