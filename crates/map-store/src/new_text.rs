//! The access file's new text: prepared beside the old one, put in its place, put back.
//!
//! Beside the text lies a note that says which text was read and which was made of it. Should this process be killed
//! right after the exchange of names, before it has looked at what came out, the next one can tell by the note whether
//! that was what had been read or a save of the admin's; see [`crate::left`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::live::open_plain;
use crate::replace::{self, Replaced, Scratch, Swapped};
use crate::source::{Identity, Source};
use crate::{Error, FileStore, point};

/// The name of the note.
const NOTE: &str = "note";
/// The new text is named as the access file, after this.
const TEXT: &str = "text.";

/// A new text, on disk beside the old one.
pub(crate) struct NewText {
    scratch: Scratch,
    path: PathBuf,
}

/// A new text in its place.
pub(crate) struct Put {
    /// Keeps the old file's folder.
    pub(crate) scratch: Scratch,
    pub(crate) replaced: Replaced,
    /// What was put there.
    pub(crate) new: Source,
}

/// What the note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) read: Digest,
    pub(crate) new: Digest,
}

impl NewText {
    pub(crate) fn prepare(source: &Source, text: &[u8]) -> Result<Self, Error> {
        let scratch = Scratch::new(&source.folder)?;
        let mut name = OsString::from(TEXT);
        name.push(source.path.file_name().unwrap_or_default());
        let path = scratch.path(&name);
        replace::write_like(&path, text, &source.file, &source.path)?;
        Note { read: Digest::of(&source.text), new: Digest::of(text) }.write(&scratch)?;
        point::pass("text-prepared");
        Ok(Self { scratch, path })
    }

    /// When it was written: seconds and nanoseconds since 1970.
    pub(crate) fn mtime(&self) -> Result<(i64, i64), Error> {
        let error = |source| Error::Write { path: self.path.clone(), source };
        Ok(Identity::of(&self.path.metadata().map_err(error)?).mtime)
    }
}

impl FileStore {
    /// Puts the text in place of the source, if that is still what was read; else leaves everything as it is.
    pub(crate) fn put(&mut self, text: NewText, source: &Source) -> Result<Option<Put>, Error> {
        if !source.is_still_at(&source.path) {
            return Ok(None);
        }
        let new = Source::read(&text.path)?;
        let error = |error| Error::Replace { path: source.path.clone(), source: error };
        point::at("text-checked").map_err(error)?;
        let expected = |kept: &Path| {
            point::pass("text-replaced");
            source.is_still_at(kept)
        };
        let ours = |path: &Path| new.is_still_at(path);
        let (scratch, path) = (text.scratch, text.path);
        let (file, was) = match replace::swap(&path, &source.path, expected, ours)? {
            Swapped::Done(replaced) => return Ok(Some(Put { scratch, replaced, new })),
            Swapped::Undone => (new.file.try_clone(), &new),
            Swapped::Overtaken => (open_plain(&path), source),
            Swapped::Stuck(error) => return Err(stuck(scratch, source, error)),
        };
        self.hold_displaced(file, was, scratch);
        Ok(None)
    }

    /// Puts the old text back after a failure, if nobody has changed the new one since.
    pub(crate) fn put_back(&mut self, put: Option<Put>, source: &Source, cause: Error) -> Error {
        let Some(put) = put else { return cause };
        point::pass("put-back-begun");
        let lost = |why: String, cause: Error| Error::NotPutBack {
            path: source.path.clone(),
            why,
            cause: Box::new(cause),
        };
        match self.swap_back(put, source) {
            Ok(true) => {}
            Ok(false) => return lost("others have changed it since".to_owned(), cause),
            Err(why) => return lost(why.to_string(), cause),
        }
        replace::sync(&source.folder);
        point::pass("put-back-done");
        cause
    }

    fn swap_back(&mut self, put: Put, source: &Source) -> Result<bool, Error> {
        let Put { scratch, replaced, new } = put;
        let Some(kept) = replaced.kept else {
            if !new.is_still_at(&source.path) {
                return Ok(false);
            }
            let text = NewText::prepare(source, &source.text)?;
            replace::replace(&text.path, &source.path)?;
            return Ok(true);
        };
        let is_new = |path: &Path| {
            point::pass("put-back-replaced");
            new.is_still_at(path)
        };
        let is_old = |path: &Path| source.is_still_at(path);
        let swapped = replace::swap(&kept, &source.path, is_new, is_old)?;
        let done = matches!(swapped, Swapped::Done(_));
        let (file, was) = match swapped {
            Swapped::Done(_) => (new.file.try_clone(), &new),
            Swapped::Undone => (source.file.try_clone(), source),
            Swapped::Overtaken => (open_plain(&kept), &new),
            Swapped::Stuck(error) => return Err(stuck(scratch, source, error)),
        };
        self.hold_displaced(file, was, scratch);
        Ok(done)
    }
}

/// What others saved stays in our folder.
fn stuck(scratch: Scratch, source: &Source, cause: Error) -> Error {
    let why = format!("what others saved is in {}", scratch.leave().display());
    Error::NotPutBack { path: source.path.clone(), why, cause: Box::new(cause) }
}

impl Note {
    fn write(&self, scratch: &Scratch) -> Result<(), Error> {
        let path = scratch.path(NOTE);
        let text = format!("{} {}\n", self.read, self.new);
        let error = |source| Error::Write { path: path.clone(), source };
        let mut file = File::options().write(true).create_new(true).open(&path).map_err(error)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(error)?;
        file.sync_all().map_err(error)
    }

    /// Whether the file is one of the two that it speaks of.
    pub(crate) fn knows(&self, file: &Path) -> std::io::Result<bool> {
        let digest = Digest::of_file(file)?;
        Ok(digest == self.read || digest == self.new)
    }

    /// The note in a folder that was left; `None` if it had not been written to its end: then no name was changed.
    pub(crate) fn read(folder: &Path) -> std::io::Result<Option<Self>> {
        let text = match std::fs::read_to_string(folder.join(NOTE)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let halves = text.strip_suffix('\n').and_then(|line| line.split_once(' '));
        Ok(halves.and_then(|(read, new)| {
            Some(Self { read: read.parse().ok()?, new: new.parse().ok()? })
        }))
    }
}

/// The name of the access file that a text in a folder of ours is meant for, by the text's name.
pub(crate) fn meant_for(name: &OsStr) -> Option<&OsStr> {
    use std::os::unix::ffi::OsStrExt;
    let name = name.as_bytes().strip_prefix(TEXT.as_bytes()).filter(|name| !name.is_empty())?;
    Some(OsStr::from_bytes(name))
}
