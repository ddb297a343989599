//! A log file as the system sees it: which file it is, whatever its name.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::OFlags;

use crate::error::Error;
use crate::lines::{Lines, MAX_LINE};
use crate::place::Mark;
use crate::witness::Witness;

/// Which file: its device and inode.
///
/// Unique while the file is held open. A number is used again as soon as the file is gone (ext4 does so at once), so
/// a stored identity needs a second witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device that holds it (`st_dev`).
    pub dev: u64,
    /// Its inode (`st_ino`).
    pub ino: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { dev: metadata.dev(), ino: metadata.ino() }
    }
}

/// What a path names now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) id: FileId,
    /// When it was last written.
    pub(crate) mtime: Option<SystemTime>,
}

impl Seen {
    /// Looks at `path`, links followed. Pipes, sockets and devices are refused before anything opens them.
    pub(crate) fn at(path: &Path) -> Result<Self, Error> {
        Self::of(path, &fs::metadata(path).map_err(|e| Error::open(path, e))?)
    }

    fn of(path: &Path, metadata: &Metadata) -> Result<Self, Error> {
        if metadata.is_dir() {
            return Err(Error::IsDirectory { path: path.to_owned() });
        }
        if !metadata.is_file() {
            return Err(Error::NotRegular { path: path.to_owned() });
        }
        Ok(Self { id: FileId::of(metadata), mtime: metadata.modified().ok() })
    }
}

/// An open log and what was read from it and not yet given out.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    pub(crate) id: FileId,
    /// When it had last been written, as far as is known.
    pub(crate) mtime: Option<SystemTime>,
    pub(crate) lines: Lines,
}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// The end of the file as it is now.
    End,
    More,
    /// The bytes before those that were to be read are not the ones that were read: the file was cut, and may have
    /// grown since. What was read and not given out is worth nothing.
    Changed,
}

impl LogFile {
    /// Opens `path` at its beginning.
    ///
    /// # Errors
    /// All of [`Error`]'s that concern opening; a pipe is [`Error::NotRegular`] and is not waited on.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Seen::at(path)?;
        // O_NONBLOCK: should a pipe have taken the file's place since, the open does not wait for its writer.
        let nonblock = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(nonblock)
            .open(path)
            .map_err(|e| Error::open(path, e))?;
        let seen = Seen::of(path, &file.metadata().map_err(|e| Error::open(path, e))?)?;
        Ok(Self { file, id: seen.id, mtime: seen.mtime, lines: Lines::new() })
    }

    /// Goes to the start of the last line, if that is still being written, else to the end.
    pub(crate) fn skip_to_end(&mut self) -> io::Result<()> {
        let size = self.size()?;
        let mut tail = vec![0; size.min(MAX_LINE as u64 + 1) as usize];
        let from = size - tail.len() as u64;
        match self.file.read_exact_at(&mut tail, from) {
            Ok(()) => {}
            // It shrank in between. What it holds now is new.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        }
        // Without a line's end in so many bytes, the line being written is over-long: it is skipped from here on.
        let after = memchr::memrchr(b'\n', &tail).map_or(0, |end| end + 1);
        self.go_to(from + after as u64)
    }

    /// Goes to `offset`, or to the beginning if the file is shorter, and forgets what was read and not given out.
    pub(crate) fn go_to(&mut self, offset: u64) -> io::Result<()> {
        let (offset, witness) = match Witness::of(&self.file, offset)? {
            Some(witness) => (offset, witness),
            None => (0, Witness::default()),
        };
        self.start_from(offset, witness)
    }

    /// Goes to a mark, if this is the marked file or a copy of it; whether it is.
    pub(crate) fn go_to_mark(&mut self, mark: &Mark) -> io::Result<bool> {
        match Witness::of(&self.file, mark.offset)? {
            Some(witness) if mark.is_of(&witness) => {
                self.start_from(mark.offset, witness).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    fn start_from(&mut self, offset: u64, witness: Witness) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.lines.restart(offset, witness);
        Ok(())
    }

    /// Goes to the beginning of the file, which was cut.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.mtime = self.file.metadata()?.modified().ok();
        self.go_to(0)
    }

    /// How far it was given out.
    pub(crate) fn mark(&self) -> Mark {
        Mark::new(self.id, self.lines.offset(), self.lines.witness())
    }

    /// The end of the file as it is now. A file that cannot be read has none.
    pub(crate) fn end(&self) -> Option<Mark> {
        let size = self.size().ok()?;
        let witness = Witness::of(&self.file, size).ok()??;
        Some(Mark::new(self.id, size, &witness))
    }

    /// Whether `other` holds what is at the beginning of this file: it is a copy of it, or one that is being made. An
    /// empty file may have just been begun to be one.
    pub(crate) fn begins_with(&self, other: &Self) -> bool {
        let Some(end) = other.end() else { return false };
        let here = Witness::of(&self.file, end.offset);
        here.is_ok_and(|here| here.is_some_and(|here| end.is_of(&here)))
    }

    /// Whether the bytes that were read from it are still those before the next one.
    pub(crate) fn is_unchanged(&self) -> io::Result<bool> {
        let now = Witness::of(&self.file, self.lines.read_to())?;
        Ok(now.is_some_and(|now| now == self.lines.read_witness()))
    }

    /// How large it is, in bytes.
    pub(crate) fn size(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    /// Reads from `offset` without moving; fewer bytes than `buf` holds only at the end.
    pub(crate) fn peek(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    /// The descriptor, at the beginning of the file.
    pub(crate) fn into_file(mut self) -> io::Result<File> {
        self.file.rewind()?;
        Ok(self.file)
    }

    /// Reads once, at most 256 KiB, and then makes sure that the bytes before are still those that were read: a file
    /// that was cut and has grown past the place looks as if it had been appended to. Looking after the read leaves no
    /// gap between the two.
    pub(crate) fn fill(&mut self) -> io::Result<Filled> {
        let (offset, before) = (self.lines.read_to(), self.lines.read_witness());
        let read = self.lines.fill(&mut self.file)?;
        if Witness::of(&self.file, offset)?.is_none_or(|now| now != before) {
            return Ok(Filled::Changed);
        }
        Ok(if read == 0 { Filled::End } else { Filled::More })
    }
}

/// Reads up to `buf.len()` bytes, fewer only at the end.
pub(crate) fn read_full(from: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
