//! The access file's new text: prepared beside the old one, put in its place, put back.

use std::path::PathBuf;

use crate::Error;
use crate::replace::{self, Replaced, Scratch};
use crate::source::Source;

/// A new text, on disk beside the old one.
pub(crate) struct NewText {
    scratch: Scratch,
    path: PathBuf,
}

/// A new text in its place.
pub(crate) struct Put {
    /// Keeps the old file's folder.
    _scratch: Scratch,
    replaced: Replaced,
    /// What was put there.
    new: Source,
}

impl NewText {
    pub(crate) fn prepare(source: &Source, text: &[u8]) -> Result<Self, Error> {
        let scratch = Scratch::new(&source.folder)?;
        let path = scratch.path("access");
        replace::write_like(&path, text, &source.file, &source.path)?;
        Ok(Self { scratch, path })
    }

    /// Puts the text in place of the source, if that is still what was read; else leaves everything as it is.
    pub(crate) fn put(self, source: &Source) -> Result<Option<Put>, Error> {
        if !source.is_still_at(&source.path) {
            return Ok(None);
        }
        let new = Source::read(&self.path)?;
        let replaced = replace::replace(&self.path, &source.path)?;
        if let Some(kept) = &replaced.kept
            && !source.is_still_at(kept)
        {
            // Saved between the look and the exchange: that text goes back to its place.
            replace::replace(kept, &source.path)?;
            return Ok(None);
        }
        Ok(Some(Put { _scratch: self.scratch, replaced, new }))
    }
}

/// Puts the old text back after a failure, if nobody has changed the new one since.
pub(crate) fn put_back(put: Option<Put>, source: &Source, cause: Error) -> Error {
    let Some(put) = put else { return cause };
    let lost = |why: String, cause: Error| Error::NotPutBack {
        path: source.path.clone(),
        why,
        cause: Box::new(cause),
    };
    if !put.new.is_still_at(&source.path) {
        return lost("others have changed it since".to_owned(), cause);
    }
    let done = match &put.replaced.kept {
        Some(kept) => replace::rename(kept, &source.path).map_err(|error| error.to_string()),
        None => NewText::prepare(source, &source.text)
            .and_then(|text| replace::replace(&text.path, &source.path))
            .map(drop)
            .map_err(|error| error.to_string()),
    };
    if let Err(why) = done {
        return lost(why, cause);
    }
    replace::sync(&source.folder);
    cause
}
