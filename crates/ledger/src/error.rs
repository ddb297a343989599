//! What can go wrong, and what an error of SQLite says of the file.

use std::ffi::c_int;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::{
    SQLITE_IOERR_CORRUPTFS, SQLITE_IOERR_READ, SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_SHORT_READ,
};

/// Why the ledger could not be opened, read or changed. Whatever it is, the last commit stands.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the ledger, or its folder, is missing, or cannot be opened, made or looked at.
    #[error("cannot {doing} {}: {source}{}", .path.display(), advice(.source))]
    File {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no ledger to read.
    #[error("there is no ledger at {}", .path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The path names a directory, a device, a pipe.
    #[error("the ledger {} is no regular file; move it away, or set another [ledger] path", .path.display())]
    NotAFile {
        /// The ledger.
        path: PathBuf,
    },
    /// Another trytlsd works with this ledger.
    #[error(
        "another trytlsd{} works with the ledger {}; end that one, or set another [ledger] path",
        of_process(.pid), .path.display()
    )]
    Locked {
        /// The ledger.
        path: PathBuf,
        /// The other process, if it said so.
        pid: Option<u32>,
    },
    /// The ledger was written by a newer trytlsd.
    #[error(
        "the ledger {} has schema version {found}, and this trytlsd knows versions up to {known}; \
         run the newer trytlsd, or move the ledger away to begin anew",
        .path.display()
    )]
    Newer {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// The ledger was written by an older trytlsd, and a reader does not change it.
    #[error(
        "the ledger {} has the older schema version {found}; `trytlsd run` brings it up to date",
        .path.display()
    )]
    Older {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// The disk, or the quota, is used up.
    #[error("no space left to {doing} the ledger {}; make room, it is tried again", .path.display())]
    NoSpace {
        /// What was attempted.
        doing: &'static str,
        /// The ledger.
        path: PathBuf,
    },
    /// The file cannot be opened or written with the rights of this process.
    #[error(
        "cannot {doing} the ledger {}: {source}; the file, those beside it and their folder must be \
         writable for the user that trytlsd runs as, on a file system that is",
        .path.display()
    )]
    Refused {
        /// What was attempted.
        doing: &'static str,
        /// The ledger.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The ledger cannot be read, and is not to be set aside: a reader found it, or a fresh one is no better.
    #[error("the ledger {} cannot be read: {why}", .path.display())]
    Unreadable {
        /// The ledger.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The ledger turned out to be damaged while in use. The next start begins a fresh one.
    #[error("the ledger {} is damaged ({source}); it was set aside as {}", .path.display(), .aside.display())]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The file is not at its path any more: what is committed would be lost at the next start.
    #[error(
        "the ledger {} was moved, removed or replaced while in use; start trytlsd again", .path.display()
    )]
    Moved {
        /// The ledger.
        path: PathBuf,
    },
    /// Something else that SQLite says.
    #[error("cannot {doing} the ledger {}: {source}", .path.display())]
    Sqlite {
        /// What was attempted.
        doing: &'static str,
        /// The ledger.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// A text is longer than is kept.
    #[error("{what} has {length} bytes; the ledger keeps at most {limit}")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// Bytes.
        length: usize,
        /// Bytes.
        limit: usize,
    },
    /// So many requests wait that a further one is not taken.
    #[error("{limit} requests wait already; try again when some are settled")]
    TooManyRequests {
        /// How many may wait.
        limit: u32,
    },
    /// So much work waits for the owner thread that no more is taken.
    #[error("the ledger is busy; try again")]
    Busy,
    /// The owner thread could not be started.
    #[error("cannot start the thread of the ledger: {source}")]
    Thread {
        /// The system's reason.
        source: io::Error,
    },
    /// The ledger was closed, or set aside.
    #[error("the ledger is closed")]
    Ended,
}

impl Error {
    /// Whether the same may succeed later without a new start: when there is room again, or a right was given back.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoSpace { .. } | Self::Refused { .. } | Self::Sqlite { .. } => true,
            Self::Busy | Self::TooManyRequests { .. } => true,
            Self::File { .. }
            | Self::Missing { .. }
            | Self::NotAFile { .. }
            | Self::Locked { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Unreadable { .. }
            | Self::Damaged { .. }
            | Self::Moved { .. }
            | Self::TooLong { .. }
            | Self::Thread { .. }
            | Self::Ended => false,
        }
    }

    /// The error for what SQLite says about an attempt.
    pub(crate) fn sqlite(doing: &'static str, path: PathBuf, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NoSpace { doing, path },
            // The index of the write-ahead log could not be made as large as it must be.
            _ if has_code(&source, &[SQLITE_IOERR_SHMSIZE]) => Self::NoSpace { doing, path },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::Refused { doing, path, source }
            }
            _ => Self::Sqlite { doing, path, source },
        }
    }
}

/// What an error on opening says of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The file cannot be read, and never will be.
    File,
    /// Its surroundings: rights, room, locks, memory.
    Surroundings,
}

/// Who is to blame for an error on opening. What is not clearly the surroundings is the file: to set a good ledger aside
/// costs a count that begins anew, to keep a bad one costs a daemon that never starts.
pub(crate) fn blame(error: &rusqlite::Error) -> Blame {
    let Some(code) = error.sqlite_error_code() else { return Blame::File };
    match code {
        ErrorCode::SystemIoFailure if is_read_fault(error) => Blame::File,
        ErrorCode::SystemIoFailure
        | ErrorCode::PermissionDenied
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::OutOfMemory
        | ErrorCode::ReadOnly
        | ErrorCode::OperationInterrupted
        | ErrorCode::DiskFull
        | ErrorCode::CannotOpen
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::NoLargeFileSupport => Blame::Surroundings,
        _ => Blame::File,
    }
}

/// The error of one who does not own the ledger: a file that cannot be read is left where it is.
pub(crate) fn reading(doing: &'static str, path: &Path, source: rusqlite::Error) -> Error {
    match blame(&source) {
        Blame::File => Error::Unreadable { path: path.into(), why: source.to_string() },
        Blame::Surroundings => Error::sqlite(doing, path.into(), source),
    }
}

/// Whether a file that was good at the start has turned out to be damaged.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
        Some(ErrorCode::SystemIoFailure) => is_read_fault(error),
        _ => false,
    }
}

/// A bad sector, or a file that ends too early.
fn is_read_fault(error: &rusqlite::Error) -> bool {
    has_code(error, &[SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_CORRUPTFS])
}

/// Whether it is one of these extended codes.
fn has_code(error: &rusqlite::Error, codes: &[c_int]) -> bool {
    error.sqlite_error().is_some_and(|error| codes.contains(&error.extended_code))
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "; make the folder, owned by the user that trytlsd runs as",
        io::ErrorKind::PermissionDenied => {
            "; it and its folder must be writable for the user that trytlsd runs as"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; mount the file system for writing, or set another [ledger] path"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there",
        _ => "",
    }
}

fn of_process(pid: &Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}
