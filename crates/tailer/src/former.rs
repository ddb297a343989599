//! The files of a log that are not the current one and are still read: renamed ones that may get late lines, and
//! those that were rotated while nobody looked.
//!
//! They are read in the order of their age, each to its end before the next is begun. A file leaves the list only
//! when all older ones have left it: so the newest one that has left is known, and what is newer than that is all
//! that a place has to name.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::file::{FileId, Filled, LogFile};
use crate::held::Held;
use crate::lines::Block;
use crate::place::Mark;

/// How many former files are held at most. Beyond, the oldest is let go as soon as it is at its end.
const MAX_FORMER: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Formers {
    /// Oldest first.
    files: Vec<Former>,
    /// The newest file that was let go, at its end.
    left: Option<Mark>,
    /// Over-long lines in files that were let go.
    skipped: u64,
}

#[derive(Debug)]
struct Former {
    held: Held,
    /// When its last bytes were read, or when it was replaced.
    quiet_since: Instant,
    /// Read to its end for the last time; to be let go when its lines are given out.
    finished: bool,
}

/// What one look at all of them brought.
#[derive(Debug)]
pub(crate) enum Drained {
    /// Nothing.
    Quiet,
    /// Lines, or perhaps lines at the next look.
    More,
    /// One could not be read to its end.
    Lost(Error),
}

impl Formers {
    /// Adds a file that is newer than all others.
    pub(crate) fn push(&mut self, held: Held, now: Instant) {
        self.files.push(Former { held, quiet_since: now, finished: false });
    }

    /// The first that has lines to take.
    pub(crate) fn ready(&mut self) -> Option<usize> {
        self.files.iter_mut().position(|former| former.held.lines().ready())
    }

    /// The block that the one at `at` has ready.
    pub(crate) fn take(&mut self, at: usize) -> Option<(FileId, Block<'_>)> {
        let held = &mut self.files.get_mut(at)?.held;
        let id = held.id();
        held.lines().take().map(|block| (id, block))
    }

    /// Takes a file out that has become the current one again.
    pub(crate) fn take_back(&mut self, id: FileId) -> Option<LogFile> {
        let at = self.files.iter().position(|former| former.held.id() == id && !former.finished)?;
        if !self.files[at].held.may_grow() {
            return None;
        }
        match self.files.remove(at).held {
            Held::Plain(log) => Some(log),
            Held::Packed(_) => None,
        }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = FileId> {
        self.files.iter().map(|former| former.held.id())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// When the one that changed last did so.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        self.files.iter().map(|former| former.quiet_since).max()
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.skipped + self.files.iter().map(|former| former.held.skipped()).sum::<u64>()
    }

    /// How far each was given out, oldest first.
    pub(crate) fn marks(&self) -> impl Iterator<Item = Mark> {
        self.files.iter().map(|former| former.held.mark())
    }

    /// The newest file that was let go, at its end.
    pub(crate) fn left(&self) -> Option<Mark> {
        self.left
    }

    /// Takes note of a file that was let go elsewhere.
    pub(crate) fn set_left(&mut self, mark: Mark) {
        self.left = Some(mark);
    }

    /// Drops the oldest files as far as they were given out to their last byte.
    pub(crate) fn let_go(&mut self) {
        while let Some(oldest) = self.files.first_mut()
            && oldest.finished
            && !oldest.held.lines().ready()
        {
            let former = self.files.remove(0);
            self.skipped += former.held.skipped();
            self.left = Some(former.held.mark()).filter(|mark| mark.offset > 0).or(self.left);
        }
    }

    /// Drops them all.
    pub(crate) fn clear(&mut self) {
        self.skipped = self.skipped();
        self.files.clear();
    }

    /// Reads each once, oldest first, up to the first that brings something. One that was quiet for `grace` is
    /// finished.
    pub(crate) fn read(&mut self, path: &Path, grace: Duration, now: Instant) -> Drained {
        let too_many = self.files.len() > MAX_FORMER;
        for (i, former) in self.files.iter_mut().enumerate().filter(|(_, f)| !f.finished) {
            let lost = match former.held.fill(path) {
                Ok(Filled::More) => {
                    former.quiet_since = now;
                    return Drained::More;
                }
                Ok(Filled::End) => {
                    let quiet = now.saturating_duration_since(former.quiet_since);
                    if former.held.may_grow() && quiet < grace && !(too_many && i == 0) {
                        continue;
                    }
                    tracing::debug!(log = ?path, file = ?former.held.id(), "former log let go");
                    None
                }
                // Overwritten, by the next copy for instance: what it held was read before.
                Ok(Filled::Changed) => {
                    former.held.lines().forget();
                    None
                }
                Err(error) => Some(error),
            };
            former.finished = true;
            former.held.lines().finish();
            if let Some(error) = lost {
                return Drained::Lost(error);
            }
            if former.held.lines().ready() {
                return Drained::More;
            }
        }
        self.let_go();
        Drained::Quiet
    }
}
