//! The files of a ledger: the database, its companions, the lock.
//!
//! SQLite keeps a write-ahead log and an index of it beside the database, under its name with `-wal` and `-shm`, and a
//! journal under `-journal` for the moment in which the file is made. They are of one piece: moved together or not at
//! all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::error::Error;

/// What SQLite puts after the name of the database.
pub(crate) const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The path with something after its last name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.into();
    name.push(suffix);
    name.into()
}

/// The true path: SQLite names the companions after the file that a symbolic link points to.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, Error> {
    if let Ok(path) = path.canonicalize() {
        return Ok(path);
    }
    let (Some(folder), Some(name)) = (folder(path), path.file_name()) else {
        return Err(Error::NotAFile { path: path.into() });
    };
    let doing = "open the folder of the ledger";
    let folder = folder.canonicalize().map_err(|source| Error::File {
        doing,
        path: folder.into(),
        source,
    })?;
    Ok(folder.join(name))
}

/// The folder that the path lies in.
pub(crate) fn folder(path: &Path) -> Option<&Path> {
    let folder = path.parent()?;
    Some(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

/// Opens a file for reading and writing, and makes it if need be: readable by the group, and where root makes it, given
/// to the folder's owner, who would otherwise be locked out by a command that root once ran.
pub(crate) fn open_or_make(doing: &'static str, path: &Path) -> Result<File, Error> {
    let open = || -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
        let made = rustix::fs::open(path, flags | OFlags::CREATE | OFlags::EXCL, mode);
        match made {
            Ok(fd) => {
                let file = File::from(fd);
                if rustix::process::geteuid().is_root()
                    && let Some(folder) = folder(path)
                {
                    let owner = fs::metadata(folder)?;
                    std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
                }
                Ok(file)
            }
            Err(rustix::io::Errno::EXIST) => {
                Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
            }
            Err(errno) => Err(errno.into()),
        }
    };
    open().map_err(|source| Error::File { doing, path: path.into(), source })
}

/// Which file a path names: device and inode.
pub(crate) fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Refuses a path at which the file is not any more. SQLite would go on writing to a file that has no name. Where the
/// right to look was taken away it goes on as well: the file is open.
pub(crate) fn is_same(path: &Path, file: (u64, u64)) -> Result<(), Error> {
    match identity(path) {
        Ok(found) if found == file => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Ok(()),
        _ => Err(Error::Moved { path: path.into() }),
    }
}
