//! A finished log, read once from its beginning to its end: a file, a gzip file, standard input.
//!
//! gzip is recognised by its first bytes, not by its name, and all members of a concatenated file are read. Memory does
//! not depend on the size, packed or unpacked. What is not packed is read straight into the buffer that the lines are
//! given out from.
//!
//! What fails: a truncated gzip file gives all whole lines before its end, then the error. A damaged one gives the whole
//! lines up to the place that the error names: what one read had unpacked (256 KiB at most) is lost with the damage that
//! it ran into. A line that is cut so is not given out.
//!
//! What an attacker could try: a gzip file that unpacks to far more than its size. It costs time, not memory.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::bufread::MultiGzDecoder;

use crate::error::Error;
use crate::file::{FileId, read_full};
use crate::lines::{Block, Lines};
use crate::place::Mark;
use crate::source::Source;
use crate::witness::Witness;

/// How much of a packed file is read at once, in bytes.
const PACKED_READ: usize = 64 * 1024;

/// The first bytes of packed files: the magic number, and the program that unpacks it.
const OTHER_PACKERS: &[(&[u8], &str)] =
    &[(b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2")];

/// The first bytes of a gzip file: its magic number and the only method there is (RFC 1952, 2.3.1).
const GZIP: &[u8] = b"\x1f\x8b\x08";

/// As many bytes as the longest magic number has.
const HEAD: usize = 6;

/// Whether a file that begins with `head` is packed, in a way that is read here or not.
pub(crate) fn packed(head: &[u8]) -> bool {
    head.starts_with(GZIP) || OTHER_PACKERS.iter().any(|(magic, _)| head.starts_with(magic))
}

/// One log, being read.
pub struct Input {
    path: PathBuf,
    bytes: Bytes,
    lines: Lines,
    id: FileId,
    mtime: Option<SystemTime>,
    size: Option<u64>,
    ended: bool,
}

/// Counts what is read from the file.
struct Counted {
    from: Chain<Cursor<Vec<u8>>, File>,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(into)?;
        self.read += n as u64;
        Ok(n)
    }
}

enum Bytes {
    Plain(Counted),
    Gzip(Box<MultiGzDecoder<BufReader<Counted>>>),
}

impl Input {
    /// Opens a source. A pipe with a name is waited for.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::IsDirectory`], [`Error::Open`]; [`Error::Read`] if its first
    /// bytes cannot be read; [`Error::Packed`] if it is packed by another program than gzip.
    pub fn open(source: &Source) -> Result<Self, Error> {
        let (path, file) = match source {
            Source::File(path) => (path.clone(), File::open(path)),
            // A descriptor of our own, past the buffer that the standard library puts before standard input.
            Source::Stdin => {
                let stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from);
                (PathBuf::from("standard input"), stdin)
            }
        };
        let file = file.map_err(|e| Error::open(&path, e))?;
        Self::read_from(path, file)
    }

    /// Reads an open file, which must be at its beginning.
    pub(crate) fn read_from(path: PathBuf, mut file: File) -> Result<Self, Error> {
        let metadata = file.metadata().map_err(|e| Error::open(&path, e))?;
        if metadata.is_dir() {
            return Err(Error::IsDirectory { path });
        }
        let mut head = vec![0; HEAD];
        let filled = read_full(&mut file, &mut head).map_err(|e| Error::read(&path, 0, e))?;
        head.truncate(filled);
        if let Some((_, tool)) = OTHER_PACKERS.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Err(Error::Packed { path, tool });
        }
        let is_gzip = head.starts_with(GZIP);
        let counted = Counted { from: Cursor::new(head).chain(file), read: 0 };
        let bytes = if is_gzip {
            let buffered = BufReader::with_capacity(PACKED_READ, counted);
            Bytes::Gzip(Box::new(MultiGzDecoder::new(buffered)))
        } else {
            Bytes::Plain(counted)
        };
        Ok(Self {
            path,
            bytes,
            lines: Lines::new(),
            id: FileId::of(&metadata),
            mtime: metadata.modified().ok().filter(|_| metadata.is_file()),
            size: metadata.is_file().then_some(metadata.len()),
            ended: false,
        })
    }

    /// The next whole lines; `None` at the end. The last line may have no newline.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Truncated`] and [`Error::Damaged`] for a gzip file, after the whole lines up to
    /// the offset it names were given out. After an error there is nothing more to read.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, Error> {
        while !self.lines.ready() && self.fill()? {}
        Ok(self.lines.take())
    }

    /// Reads once; `false` at the end. Then the rest is a line too.
    pub(crate) fn fill(&mut self) -> Result<bool, Error> {
        if self.ended {
            return Ok(false);
        }
        match self.bytes.fill(&mut self.lines) {
            Ok(0) => {
                self.ended = true;
                self.lines.finish();
            }
            Ok(_) => {}
            Err(error) => {
                self.ended = true;
                return Err(self.error(error));
            }
        }
        Ok(!self.ended)
    }

    /// Reads on from the beginning to a mark, if this is the marked file or a copy of it; whether it is. If not, or
    /// after an error, this is of no more use.
    pub(crate) fn go_to_mark(&mut self, mark: &Mark) -> Result<bool, Error> {
        let mut buf = vec![0; PACKED_READ];
        let (mut at, mut witness) = (0, Witness::default());
        while at < mark.offset {
            let piece = usize::try_from(mark.offset - at).unwrap_or(PACKED_READ).min(PACKED_READ);
            let read = read_full(&mut self.bytes, &mut buf[..piece]).map_err(|e| self.error(e))?;
            witness.pass(&buf[..read]);
            at += read as u64;
            // The first piece holds all of the head.
            if read < piece || !mark.has_head_of(&witness) {
                return Ok(false);
            }
        }
        self.lines.restart(at, witness.clone());
        Ok(mark.is_of(&witness))
    }

    /// Whether this is most likely the marked file or a copy of it. Reads no more than is needed to see its head, and
    /// is of no more use then.
    pub(crate) fn looks_like(&mut self, mark: &Mark) -> Result<bool, Error> {
        if mark.offset <= PACKED_READ as u64 {
            return self.go_to_mark(mark);
        }
        let mut buf = vec![0; PACKED_READ];
        let read = read_full(&mut self.bytes, &mut buf).map_err(|e| self.error(e))?;
        let mut witness = Witness::default();
        witness.pass(&buf[..read]);
        Ok(mark.has_head_of(&witness))
    }

    /// What was read and not yet given out.
    pub(crate) fn lines(&mut self) -> &mut Lines {
        &mut self.lines
    }

    /// How far it was given out.
    pub(crate) fn mark(&self) -> Mark {
        Mark::new(self.id, self.lines.offset(), self.lines.witness())
    }

    fn error(&self, source: io::Error) -> Error {
        let (path, offset) = (self.path.clone(), self.lines.read_to());
        match (&self.bytes, source.kind()) {
            (Bytes::Gzip(_), io::ErrorKind::UnexpectedEof) => Error::Truncated { path, offset },
            (Bytes::Gzip(_), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                Error::Damaged { path, offset, source }
            }
            _ => Error::read(&path, offset, source),
        }
    }

    /// Its path, or the words "standard input".
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// When the file was last written: no line in it is younger. `None` for a pipe.
    pub fn mtime(&self) -> Option<SystemTime> {
        self.mtime
    }

    /// How large the file is as stored, in bytes. `None` for a pipe.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Bytes read from the file as stored, to be compared with [`size`](Self::size).
    pub fn read_bytes(&self) -> u64 {
        match &self.bytes {
            Bytes::Plain(counted) => counted.read,
            Bytes::Gzip(decoder) => decoder.get_ref().get_ref().read,
        }
    }

    /// Bytes read, unpacked.
    pub fn unpacked_bytes(&self) -> u64 {
        self.lines.read_to()
    }

    /// Whether it is packed with gzip.
    pub fn is_packed(&self) -> bool {
        matches!(self.bytes, Bytes::Gzip(_))
    }

    /// How many lines were skipped because they were longer than [`MAX_LINE`](crate::MAX_LINE).
    pub fn skipped(&self) -> u64 {
        self.lines.skipped()
    }
}

impl Bytes {
    fn fill(&mut self, lines: &mut Lines) -> io::Result<usize> {
        match self {
            Self::Plain(file) => lines.fill(file),
            Self::Gzip(decoder) => lines.fill(decoder),
        }
    }
}

impl Read for Bytes {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(into),
            Self::Gzip(decoder) => decoder.read(into),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("path", &self.path)
            .field("packed", &self.is_packed())
            .field("read", &self.read_bytes())
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
