//! The access file as it was read, and whether it still is that.
//!
//! An admin's editor takes no lock. So we remember what we read, and compare just before we replace it: the file's
//! identity (device, inode, mtime in nanoseconds, size), and then every byte, since a file system may keep mtimes
//! coarser than two saves.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::live::open_plain;

/// Bytes of an access file at most; a million entries are about 50 MB.
pub(crate) const MAX_SIZE: u64 = 256 * 1024 * 1024;

/// The access file as it was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its real path: symbolic links are followed.
    pub(crate) path: PathBuf,
    /// The folder of the real path.
    pub(crate) folder: PathBuf,
    /// The text.
    pub(crate) text: Vec<u8>,
    /// The file that was read; its owner, mode and extended attributes are the model for the next one.
    pub(crate) file: File,
    /// What it was then.
    pub(crate) id: Identity,
}

/// What changes when a file is saved, and not when its name does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    dev: u64,
    ino: u64,
    /// Seconds and nanoseconds since 1970.
    pub(crate) mtime: (i64, i64),
    pub(crate) size: u64,
}

impl Source {
    /// Reads the access file.
    pub(crate) fn read(access: &Path) -> Result<Self, Error> {
        let error = |source| Error::Read { path: access.into(), source };
        let path = access.canonicalize().map_err(error)?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
        let (mut file, metadata) = open(&path).map_err(|why| match why {
            Why::Io(source) => error(source),
            Why::Other(error) => *error,
        })?;
        let size = usize::try_from(metadata.len()).unwrap_or_default();
        let mut text = Vec::with_capacity(size);
        Read::by_ref(&mut file).take(MAX_SIZE + 1).read_to_end(&mut text).map_err(error)?;
        let id = Identity::of(&file.metadata().map_err(error)?);
        Ok(Self { path, folder, text, file, id })
    }

    /// Whether the file at `path` is the one that was read, unchanged.
    pub(crate) fn is_still_at(&self, path: &Path) -> bool {
        let Ok((mut file, metadata)) = open(path) else { return false };
        Identity::of(&metadata) == self.id && holds(&mut file, &self.text).unwrap_or(false)
    }
}

/// Whether the file holds these bytes.
fn holds(file: &mut File, mut rest: &[u8]) -> io::Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(rest.is_empty());
        }
        match buffer.get(..read).and_then(|bytes| rest.strip_prefix(bytes)) {
            Some(after) => rest = after,
            None => return Ok(false),
        }
    }
}

enum Why {
    Io(io::Error),
    Other(Box<Error>),
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Opens a file that can be handled as an access file.
fn open(path: &Path) -> Result<(File, Metadata), Why> {
    let file = open_plain(path)?;
    let metadata = file.metadata()?;
    let refuse = |error| Err(Why::Other(Box::new(error)));
    if let Some(what) = oddness(&metadata) {
        return refuse(Error::NotAFile { path: path.into(), what });
    }
    if metadata.nlink() > 1 {
        return refuse(Error::HardLinked { path: path.into(), links: metadata.nlink() });
    }
    if metadata.len() > MAX_SIZE {
        return refuse(Error::TooLarge { path: path.into(), size: metadata.len() });
    }
    Ok((file, metadata))
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.len(),
        }
    }
}

/// What the file is, if it is no regular file.
pub(crate) fn oddness(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return None;
    }
    Some(match () {
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    })
}
