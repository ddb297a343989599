//! The rotated files of a log: what is where under which name now.
//!
//! A rotation may go on while they are looked at. So what is opened must be the file that was listed, and when all is
//! done the list must still be the same; if not, all is done again. A file that is there both plain and packed is being packed: the plain one is read.
//!
//! Not found are files in another directory (logrotate's `olddir`).
//!
//! What an attacker could try: who can make files beside the log can make them look like rotated ones; he can write
//! the log as well, or is root. A pipe or device under such a name is not opened.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::Error;
use crate::file::{FileId, LogFile};
use crate::held::Held;
use crate::place::Mark;
use crate::rotated::{Age, family, unpacked};

/// How many rotated files are looked at, the newest ones: as many as can be held open beside all else.
const MAX_SIBLINGS: usize = 200;

/// How often a list that was overtaken by a rotation is made again.
const TRIES: usize = 20;

/// The rotated files of one log, as listed.
#[derive(Debug)]
pub(crate) struct Siblings {
    /// Oldest first.
    files: Vec<Sibling>,
    /// All else in the log's directories: inode and path.
    others: Vec<(u64, PathBuf)>,
}

#[derive(Debug)]
pub(crate) struct Sibling {
    path: PathBuf,
    id: FileId,
    /// When it was last written: no line in it is younger.
    pub(crate) mtime: Option<SystemTime>,
}

impl From<Error> for Gone {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

/// A file and its position in the list.
pub(crate) type Found = (usize, Held);

/// Files to be read, oldest first, or why not.
pub(crate) type Opened = Vec<Result<Held, Error>>;

/// The files of the log that are open.
#[derive(Debug, Default)]
pub(crate) struct Open<'a> {
    pub(crate) former: Vec<FileId>,
    pub(crate) current: Option<&'a LogFile>,
}

/// Why a listed file is not there to be read.
#[derive(Debug)]
pub(crate) enum Gone {
    /// The list is overtaken.
    Stale,
    /// The file cannot be read.
    Unreadable(Error),
}

impl Siblings {
    /// Does something with a list of the siblings of the log at `path`, and again with another list when that was
    /// overtaken.
    pub(crate) fn look<T>(
        path: &Path,
        mut with: impl FnMut(&Self) -> Result<T, Gone>,
    ) -> Result<T, Error> {
        for _ in 0..TRIES {
            let listed = Self::list(path);
            let done = with(&listed);
            if !listed.same_files(&Self::list(path)) {
                continue;
            }
            match done {
                Ok(done) => return Ok(done),
                Err(Gone::Unreadable(error)) => return Err(error),
                Err(Gone::Stale) => {}
            }
        }
        Err(Error::Unsteady { path: path.to_owned() })
    }

    fn same_files(&self, other: &Self) -> bool {
        let pairs = self.files.iter().zip(&other.files);
        self.files.len() == other.files.len()
            && pairs.into_iter().all(|(a, b)| (a.id, &a.path) == (b.id, &b.path))
    }

    /// Lists them, beside the log and beside the file that it links to. A directory that cannot be listed has none.
    fn list(path: &Path) -> Self {
        let target = fs::canonicalize(path).ok();
        let mut listed: Vec<(Age, bool, PathBuf, FileId, Option<SystemTime>)> = Vec::new();
        let mut others = Vec::new();
        for log in std::iter::once(path).chain(target.as_deref()) {
            let dir = log.parent().filter(|dir| !dir.as_os_str().is_empty());
            let entries = match fs::read_dir(dir.unwrap_or(Path::new("."))) {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::debug!(?dir, %error, "cannot look for rotated logs");
                    continue;
                }
            };
            for entry in entries.flatten() {
                let file = log.with_file_name(entry.file_name());
                let (base, age) = family(&file);
                if base != log || age == Age::Newest {
                    others.push((entry.ino(), file));
                    continue;
                }
                let Some(metadata) = fs::metadata(&file).ok().filter(fs::Metadata::is_file) else {
                    continue;
                };
                let id = FileId::of(&metadata);
                let packed = unpacked(file.file_name().unwrap_or(OsStr::new(""))).is_some();
                if !listed.iter().any(|(_, _, _, known, _)| *known == id) {
                    listed.push((age, packed, file, id, metadata.modified().ok()));
                }
            }
        }
        listed.sort();
        let plain: HashSet<PathBuf> =
            listed.iter().filter(|file| !file.1).map(|file| file.2.clone()).collect();
        listed.retain(|file| !file.1 || !plain.contains(&file.2.with_extension("")));
        listed.drain(..listed.len().saturating_sub(MAX_SIBLINGS));
        let files =
            listed.into_iter().map(|(_, _, path, id, mtime)| Sibling { path, id, mtime }).collect();
        Self { files, others }
    }

    /// The listed files, oldest first.
    pub(crate) fn files(&self) -> &[Sibling] {
        &self.files
    }

    /// The marked file, at the mark, and its position, if it is among the first `below`.
    pub(crate) fn find_same(&self, mark: &Mark, below: usize) -> Result<Option<Found>, Gone> {
        self.find(below, |id| id == mark.id(), |held, path| held.go_to_mark(mark, path))
    }

    /// The newest copy of the marked file, packed or not, at the mark, and its position, if it is among the first
    /// `below`. A mark at the beginning has seen no bytes, so that no copy can be known by it.
    pub(crate) fn find_copy(&self, mark: &Mark, below: usize) -> Result<Option<Found>, Gone> {
        let may_be = |id| id != mark.id() && mark.offset > 0;
        self.find(below, may_be, |held, path| held.go_to_mark(mark, path))
    }

    fn find(
        &self,
        below: usize,
        may_be: impl Fn(FileId) -> bool,
        mut is: impl FnMut(&mut Held, &Path) -> Result<bool, Error>,
    ) -> Result<Option<Found>, Gone> {
        for (at, file) in self.files.iter().enumerate().take(below).rev() {
            if !may_be(file.id) {
                continue;
            }
            match file.open().and_then(|mut held| Ok((is(&mut held, &file.path)?, held))) {
                Ok((true, held)) => return Ok(Some((at, held))),
                Ok((false, _)) => {}
                Err(Gone::Stale) => return Err(Gone::Stale),
                Err(Gone::Unreadable(error)) => {
                    tracing::debug!(%error, "passed over in looking for a place");
                }
            }
        }
        Ok(None)
    }

    /// The newest copy of the marked file at the mark, and the files newer than that; none if there is no copy.
    pub(crate) fn rest_of_copy(&self, mark: &Mark, open: &Open<'_>) -> Result<Opened, Gone> {
        let Some((at, copy)) = self.find_copy(mark, usize::MAX)? else { return Ok(Vec::new()) };
        let mut files = vec![Ok(copy)];
        files.extend(self.after(at, open)?);
        Ok(files)
    }

    /// The files newer than the marked one or its copy; none if neither is there.
    pub(crate) fn newer_than(&self, mark: &Mark, open: &Open<'_>) -> Result<Opened, Gone> {
        let at = match self.find_same(mark, usize::MAX)? {
            None => self.find(usize::MAX, |_| true, |held, path| held.looks_like(mark, path))?,
            same => same,
        };
        at.map_or(Ok(Vec::new()), |(at, _)| self.after(at, open))
    }

    /// The files after the one at `at` and before the current one, each at its beginning, but for those that are open.
    /// One that cannot be read is an error in its place.
    ///
    /// The current one may be among them, or packed by now: it was renamed just now. Or a copy of it is being made: what
    /// is in that is still to be read from the current one itself.
    ///
    /// A file that was last written before the one at `at` is no newer, whatever its name: some number their rotations
    /// upwards.
    pub(crate) fn after(&self, at: usize, open: &Open<'_>) -> Result<Opened, Gone> {
        let written = self.files.get(at).and_then(|file| file.mtime);
        let mut opened = Vec::new();
        for file in self.files.iter().skip(at + 1).filter(|file| file.mtime >= written) {
            if open.former.contains(&file.id) {
                continue;
            }
            if open.current.is_some_and(|current| current.id == file.id) {
                break;
            }
            match (file.open(), open.current) {
                (Ok(Held::Plain(log)), Some(current)) if current.begins_with(&log) => {}
                (Ok(Held::Packed(_)), Some(current)) if file.packs(current)? => break,
                (Ok(held), _) => opened.push(Ok(held)),
                (Err(Gone::Unreadable(error)), _) => opened.push(Err(error)),
                (Err(Gone::Stale), _) => return Err(Gone::Stale),
            }
        }
        Ok(opened)
    }

    /// The marked file at the mark, under a name that no rotation gives.
    pub(crate) fn find_stray(&self, mark: &Mark) -> Option<Held> {
        self.others.iter().filter(|(ino, _)| *ino == mark.id().ino).find_map(|(_, path)| {
            let mut held = Held::open(path).ok().filter(|held| held.id() == mark.id())?;
            held.go_to_mark(mark, path).is_ok_and(|is| is).then_some(held)
        })
    }
}

impl Sibling {
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// Whether this, a packed file, holds all of `log`. What cannot be read does not.
    fn packs(&self, log: &LogFile) -> Result<bool, Gone> {
        let Some(end) = log.end().filter(|end| end.offset > 0) else { return Ok(false) };
        Ok(self.open()?.looks_like(&end, &self.path).unwrap_or_default())
    }

    /// Opens it at its beginning.
    pub(crate) fn open(&self) -> Result<Held, Gone> {
        match Held::open(&self.path) {
            Ok(held) if held.id() == self.id => Ok(held),
            Ok(_) | Err(Error::NotFound { .. }) => Err(Gone::Stale),
            Err(error) => Err(Gone::Unreadable(error)),
        }
    }
}
