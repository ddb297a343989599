//! What can go wrong with a log, and on which path.
//!
//! Paths are printed quoted and escaped: a pattern can match a file whose name holds control characters.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file. (A [`Follower`](crate::Follower) waits for it instead.)
    #[error("cannot read {path:?}: there is no such file")]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The file or a directory on the way to it may not be read.
    #[error("cannot read {path:?}: permission denied")]
    Denied {
        /// The file.
        path: PathBuf,
    },
    /// The path names a directory.
    #[error("cannot read {path:?}: it is a directory, not a log file")]
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The path names a pipe, a socket or a device. Such a thing has no place to come back to, so it is not followed.
    #[error(
        "cannot follow {path:?}: it is no regular file (pipes, sockets and devices are not followed)"
    )]
    NotRegular {
        /// The pipe, socket or device.
        path: PathBuf,
    },
    /// Opening it failed for another reason.
    #[error("cannot open {path:?}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed.
    #[error("cannot read {path:?} at byte {offset}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// How far it was read, in bytes (unpacked bytes if it is compressed).
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A gzip file ends too early.
    #[error(
        "{path:?} is truncated: the gzip data ends after {offset} unpacked bytes; the lines up to there were read"
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Unpacked bytes that could be read.
        offset: u64,
    },
    /// A gzip file is damaged.
    #[error(
        "{path:?} is damaged after {offset} unpacked bytes: {source}; the lines up to there were read"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Unpacked bytes that could be read.
        offset: u64,
        /// What the decoder said.
        source: io::Error,
    },
    /// The rotated files beside the log are renamed faster than they can be looked at.
    #[error("the files beside {path:?} are renamed all the time; its place cannot be looked for")]
    Unsteady {
        /// The log.
        path: PathBuf,
    },
    /// The file is compressed in a way that is not read here.
    #[error(
        "cannot read {path:?}: it is packed with {tool}; use `{tool} -dc FILE | trytlsd scan -`"
    )]
    Packed {
        /// The file.
        path: PathBuf,
        /// The program that unpacks it.
        tool: &'static str,
    },
    /// journalctl cannot be run.
    #[error("cannot run {program:?}: {source}")]
    NoJournalctl {
        /// journalctl.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// journalctl ended before it should.
    #[error("journalctl, reading {journal:?}, ended ({status}): {said}")]
    Journalctl {
        /// The journal.
        journal: PathBuf,
        /// How it ended.
        status: String,
        /// The first line of what it said.
        said: String,
    },
    /// A pattern matches no file.
    #[error("no file matches {pattern:?}")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// A pattern is no pattern.
    #[error("{pattern:?} is no valid file pattern: {source}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
}

impl Error {
    /// The error of a failed open, stat or directory listing.
    pub(crate) fn open(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::PermissionDenied => Self::Denied { path },
            io::ErrorKind::IsADirectory => Self::IsDirectory { path },
            _ => Self::Open { path, source },
        }
    }

    /// The error of a failed read.
    pub(crate) fn read(path: &Path, offset: u64, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::IsADirectory => Self::IsDirectory { path },
            _ => Self::Read { path, offset, source },
        }
    }

    /// Whether `other` says the same of the same path, so that it need not be reported again.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Open { path: a, source: x }, Self::Open { path: b, source: y })
            | (Self::Read { path: a, source: x, .. }, Self::Read { path: b, source: y, .. }) => {
                a == b && x.raw_os_error() == y.raw_os_error() && x.kind() == y.kind()
            }
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}
