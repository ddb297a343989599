//! A ledger that is only read: for the command line, with or without a daemon at work.
//!
//! It takes no lock and changes nothing in the file. SQLite itself needs the file's companions, and makes them if no
//! daemon has: so the folder must be writable for the reader then.

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use crate::connect;
use crate::error::{Error, reading};
use crate::files::resolve;
use crate::loaded::Loaded;
use crate::query::{self, Wanted};
use crate::row::{Happening, Line, Request, VoteRow};
use crate::schema::{self, Kind, STEPS};
use crate::store::newer;

/// A ledger that is only read.
#[derive(Debug)]
pub struct View {
    connection: Connection,
    path: PathBuf,
}

impl View {
    /// Opens the ledger for reading.
    ///
    /// # Errors
    /// If there is none, if it cannot be read, or if it is of another schema version than this trytlsd's.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = find(path)?;
        let connection = connect::reader(&path).map_err(|source| fault(&path, source))?;
        must_be_ours(&connection, &path)?;
        Ok(Self { connection, path })
    }

    /// All that the daemon would load, as of one moment.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load(&mut self) -> Result<Loaded, Error> {
        let mut read = || {
            let transaction = self.connection.transaction()?;
            Loaded::read(&transaction)
        };
        read().map_err(|source| fault(&self.path, source))
    }

    /// The latest happenings since then, of one relay or of all, at most `limit`; the oldest first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn history(
        &self,
        relay: Option<&str>,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Happening>, Error> {
        query::history(&self.connection, relay, since, limit)
            .map_err(|source| fault(&self.path, source))
    }

    /// The last lines of a log that speak against the relay, the oldest first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn lines(&self, relay: &str) -> Result<Vec<Line>, Error> {
        query::lines(&self.connection, relay).map_err(|source| fault(&self.path, source))
    }

    /// What the MTAs of the fleet say, as the daemon last saw it, by relay and MTA.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn votes(&self) -> Result<Vec<VoteRow>, Error> {
        query::votes(&self.connection).map_err(|source| fault(&self.path, source))
    }

    /// The wanted happenings, the oldest first, each with its number; and the number after which to ask for more. Numbers
    /// ascend; a ledger that was begun anew begins at 1 again.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn happenings(&self, wanted: &Wanted<'_>) -> Result<(Vec<(i64, Happening)>, i64), Error> {
        query::happenings(&self.connection, wanted).map_err(|source| fault(&self.path, source))
    }

    /// One request, with its outcome if it has one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn request(&self, id: i64) -> Result<Option<Request>, Error> {
        query::request(&self.connection, id).map_err(|source| fault(&self.path, source))
    }
}

/// The true path of a ledger that is there.
pub(crate) fn find(path: &Path) -> Result<PathBuf, Error> {
    let path = resolve(path)?;
    match path.metadata() {
        Ok(file) if !file.is_file() => Err(Error::NotAFile { path }),
        Ok(_) => Ok(path),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Err(Error::Missing { path }),
        Err(source) => Err(Error::File { doing: "open the ledger", path, source }),
    }
}

/// Refuses a file that is not a ledger of this schema.
pub(crate) fn must_be_ours(connection: &Connection, path: &Path) -> Result<(), Error> {
    let path = path.to_path_buf();
    match schema::kind(connection).map_err(|source| fault(&path, source))? {
        Kind::Blank => Err(Error::Missing { path }),
        Kind::Foreign => {
            let why = "it is a database of another program".to_owned();
            Err(Error::Unreadable { path, why })
        }
        Kind::Ours(found) => match usize::try_from(found).map(|v| v.cmp(&STEPS.len())) {
            Ok(Ordering::Equal) => Ok(()),
            Ok(Ordering::Less) => Err(Error::Older { path, found }),
            _ => Err(newer(&path, found)),
        },
    }
}

fn fault(path: &Path, source: rusqlite::Error) -> Error {
    reading("read", path, source)
}
