//! The access files that we replaced, kept open for a while: somebody may still write into them.
//!
//! A program that opened the access file before our rename and writes after it (`>>` in a script, an editor that saves
//! in place) writes into a file that has no name any more. No rename can foresee that. So the last few are held open,
//! and looked at with every change and every look: what was written there is brought into the file that has the name
//! now.
//!
//! It is taken as a whole where the lines outside our block are still those that were replaced; else what was added at
//! its end is added to the file of now; and where neither can be, it is kept beside under a name of its own, with a
//! warning. What is written there after [`MAX`] further changes of ours, or after our end, is lost: so it is with every
//! program that saves by rename.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use access::block;

use crate::digest::Digest;
use crate::left::keep;
use crate::new_text::{NewText, Put};
use crate::replace::{self, Scratch};
use crate::source::{Identity, MAX_SIZE, Source};
use crate::{Error, FileStore, point};

/// How many are held.
const MAX: usize = 16;

/// An access file that was replaced.
#[derive(Debug)]
pub(crate) struct Displaced {
    file: File,
    id: Identity,
    /// Of what it held.
    text: Digest,
    /// Of the lines outside our block in it.
    rest: Digest,
    /// The folder in which it still has a name, as long as there is something in it to be brought in: should we be killed,
    /// the next start finds it there.
    kept: Option<Scratch>,
}

impl Drop for Displaced {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.take() {
            let path = kept.leave();
            tracing::warn!(?path, "what others wrote meanwhile is left here, for the next start");
        }
    }
}

impl Displaced {
    fn new(file: File, was: &Source, scratch: Scratch) -> Self {
        let (text, rest) = (Digest::of(&was.text), Digest::of_rest(&was.text));
        let mut displaced = Self { file, id: was.id, text, rest, kept: None };
        if !matches!(displaced.written(), Ok(None)) {
            displaced.kept = Some(scratch);
        }
        displaced
    }

    /// The folder of ours that is not left by anybody else.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.kept.as_ref().map(Scratch::folder)
    }

    /// What it holds now, if that is something else.
    fn written(&mut self) -> io::Result<Option<Vec<u8>>> {
        let id = Identity::of(&self.file.metadata()?);
        if id == self.id {
            return Ok(None);
        }
        let mut text = Vec::new();
        self.file.rewind()?;
        Read::by_ref(&mut self.file).take(MAX_SIZE).read_to_end(&mut text)?;
        if Digest::of(&text) != self.text {
            return Ok(Some(text));
        }
        self.id = id;
        Ok(None)
    }

    /// The text of now with what was written here; `None` if the two cannot be brought together.
    fn merged(&self, written: &[u8], live: &Source) -> Option<Vec<u8>> {
        if Digest::of_rest(&live.text) == self.rest {
            return Some(block::edit(written, &block::parse(&live.text).managed));
        }
        let length = usize::try_from(self.text.length()).ok()?;
        let tail = written.get(length..).filter(|_| self.text.begins(written))?;
        let mut text = live.text.clone();
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend(tail);
        Some(text)
    }
}

impl FileStore {
    /// Holds a file that had the name of the access file and is in `scratch` now; `was` is what is known to have been in it.
    pub(crate) fn hold_displaced(
        &mut self,
        file: io::Result<File>,
        was: &Source,
        scratch: Scratch,
    ) {
        match file {
            Ok(file) => self.displaced.push(Displaced::new(file, was, scratch)),
            Err(error) => {
                tracing::warn!(%error, "the access file that was replaced is not held open")
            }
        }
        let over = self.displaced.len().saturating_sub(MAX);
        self.displaced.drain(..over);
    }

    /// Holds the file that `put` has replaced.
    pub(crate) fn hold_replaced(&mut self, put: Put, source: &Source) {
        if let Some(old) = put.replaced.old {
            self.hold_displaced(old, source, put.scratch);
        }
    }

    /// Whether somebody has written into a file that we had replaced. One that cannot be read any more is let go.
    pub(crate) fn has_displaced_writes(&mut self) -> bool {
        let mut found = false;
        self.displaced.retain_mut(|one| match one.written() {
            Ok(written) => {
                found |= written.is_some();
                true
            }
            Err(error) => {
                tracing::warn!(%error, "cannot see whether others write into the access file that was replaced");
                false
            }
        });
        found
    }

    /// Brings what others wrote into files that we had replaced into the access file; whether anything was brought in. What
    /// cannot be is tried again with the next change or look. Call it under the lock.
    pub(crate) fn rescue(&mut self) -> bool {
        self.has_displaced_writes()
            && self.bring_in().unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot bring in what others wrote into the access file that was replaced");
                false
            })
    }

    fn bring_in(&mut self) -> Result<bool, Error> {
        let mut found = false;
        for at in 0..self.displaced.len() {
            let Some(one) = self.displaced.get_mut(at) else { break };
            let error = |source| Error::Read { path: self.settings.access.clone(), source };
            let Some(written) = one.written().map_err(error)? else { continue };
            point::pass("displaced-found");
            found = true;
            let live = Source::read(&self.settings.access)?;
            match one.merged(&written, &live) {
                Some(text) => {
                    // Saved meanwhile: the next look tries again.
                    let text = NewText::prepare(&live, &text)?;
                    let Some(put) = self.put(text, &live)? else { return Ok(true) };
                    tracing::warn!(path = ?live.path, "brought in what others wrote into the file that was replaced");
                    self.known_as(at, &written);
                    self.hold_replaced(put, &live);
                    return Ok(true);
                }
                None => {
                    let scratch = Scratch::new(&live.folder)?;
                    let path = scratch.path("saved");
                    replace::write_like(&path, &written, &live.file, &live.path)?;
                    let error = |source| Error::Write { path: live.path.clone(), source };
                    let kept = keep(&path, &live.path).map_err(error)?;
                    tracing::warn!(
                        ?kept, path = ?live.path,
                        "others wrote into the file that was replaced, and changed the new one too; look at both"
                    );
                    self.known_as(at, &written);
                }
            }
        }
        Ok(found)
    }

    fn known_as(&mut self, at: usize, written: &[u8]) {
        let Some(one) = self.displaced.get_mut(at) else { return };
        (one.text, one.rest, one.kept) = (Digest::of(written), Digest::of_rest(written), None);
        if let Ok(metadata) = one.file.metadata()
            && metadata.len() == one.text.length()
        {
            one.id = Identity::of(&metadata);
        }
    }
}
