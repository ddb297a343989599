//! What can go wrong. After any of these the access file holds what it held before, to the byte, unless the error is
//! [`Error::NotPutBack`].

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use access::admins::Stays;
use access::key::Key;
use sendmail::child;

/// Why the map could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The access file is missing or cannot be read.
    #[error("cannot read the access file {}: {source}", .path.display())]
    Read {
        /// The access file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The access file is a directory, a device, a pipe.
    #[error("the access file {} is {what}, not a regular file", .path.display())]
    NotAFile {
        /// The access file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The access file has other names; they would keep the old text.
    #[error("the access file {} has {links} hard links; to replace it would part them", .path.display())]
    HardLinked {
        /// The access file.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// The access file is larger than 256 MiB.
    #[error("the access file {} has {size} bytes; more than 256 MiB are not handled", .path.display())]
    TooLarge {
        /// The access file.
        path: PathBuf,
        /// Bytes.
        size: u64,
    },
    /// The map is something that makemap and sendmail refuse.
    #[error("the map {} is {what}; makemap and sendmail refuse that", .path.display())]
    OddMap {
        /// The map's file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The map cannot be looked at.
    #[error("cannot open the map {}: {source}", .path.display())]
    OpenMap {
        /// The map's file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder of the access file or of the map is not writable, full, or gone.
    #[error("cannot make a temporary folder in {}: {source}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A new file could not be written: no room, a bad disk.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The new file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A new file cannot be given what the old one has.
    #[error("cannot give the new {} the {what} of the old one: {source}", .path.display())]
    Attributes {
        /// The file that was to be replaced.
        path: PathBuf,
        /// What: owner and group, mode, an extended attribute.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The rename failed.
    #[error("cannot replace {}: {source}", .path.display())]
    Replace {
        /// The file that was to be replaced.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder could not be locked.
    #[error("cannot lock {}: {source}", .folder.display())]
    Lock {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The key is no plain host name: its line would say something else.
    #[error("{key:?} is no key that may be written")]
    BadKey {
        /// The key.
        key: Key,
    },
    /// The admin's line is not taken out.
    #[error(transparent)]
    LineStays(#[from] Stays),
    /// The operator's command is empty.
    #[error("the rebuild command is empty")]
    NoCommand,
    /// makemap, or the operator's command, could not be run, or did not end in time.
    #[error(transparent)]
    Child(#[from] child::Error),
    /// makemap, or the operator's command, failed.
    #[error("{what} failed ({status}){}", after_colon(.said))]
    Failed {
        /// What was run, and why.
        what: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error, escaped.
        said: String,
    },
    /// makemap says it is done, and there is nothing that it could read back.
    #[error("{what} ended with {status}, but left no map that can be read{}", after_colon(.said))]
    NoMap {
        /// What was run.
        what: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error, escaped.
        said: String,
    },
    /// The new map does not say what the text says.
    #[error(
        "{what} ended with {status}, but in the map {} {} not as in the text{}",
        .keys.join(", "), if .keys.len() == 1 { "is" } else { "are" }, after_colon(.said)
    )]
    KeysWrong {
        /// What was run.
        what: String,
        /// How it ended.
        status: ExitStatus,
        /// The keys that are missing, or there with another value, or still there.
        keys: Vec<String>,
        /// What it wrote to standard error, escaped.
        said: String,
    },
    /// The new map has lost entries.
    #[error("{what} ended with {status}, but the map has {found} entries instead of {expected}{}", after_colon(.said))]
    CountWrong {
        /// What was run.
        what: String,
        /// How it ended.
        status: ExitStatus,
        /// How many different keys the text has.
        expected: usize,
        /// How many entries the map has.
        found: usize,
        /// What it wrote to standard error, escaped.
        said: String,
    },
    /// Others changed the access file since it was looked at, and what was decided by it may not hold.
    #[error("others changed the access file {} since it was looked at", .path.display())]
    Overtaken {
        /// The access file.
        path: PathBuf,
    },
    /// The admin saved the access file again and again while the map was being built.
    #[error("others changed the access file {} {tries} times in a row meanwhile", .path.display())]
    Changing {
        /// The access file.
        path: PathBuf,
        /// How often it was tried.
        tries: u32,
    },
    /// The rebuild failed after the access file had been changed, and the old text could not be put back.
    #[error("{cause}; and the access file {} could not be put back: {why}", .path.display())]
    NotPutBack {
        /// The access file.
        path: PathBuf,
        /// Why not.
        why: String,
        /// Why the rebuild failed.
        cause: Box<Error>,
    },
}

fn after_colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
