//! An operator's requests, put in by another process while the daemon runs.
//!
//! The owner's lock keeps a second daemon out, whose memory would be the state. A request is no state: it is one row,
//! which the owner reads when it is told to look ([`crate::Ledger::has_news`]), and SQLite lets the two write by turns.
//! So an inbox takes no lock, and does nothing but this: it neither makes nor upgrades nor purges nor sets aside.
//!
//! **What fails.** No ledger, one of another schema, another program's file: an error, and nothing is written. If the
//! owner is at work on the file for more than five seconds, an error that may pass. A ledger that is set aside after an
//! inbox was opened takes the inbox with it, so its path is looked at before each request.
//!
//! **What an attacker could try.** Who may write the file may ask; rights to the file are the only check, and who may
//! write it could change any row of it. Requests that wait are bounded in number, their texts in length. Root may ask
//! of any user's ledger: files that SQLite makes beside it are given to the ledger's owner.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::batch::{TEXT_MAX, check};
use crate::connect;
use crate::error::{Error, reading};
use crate::files::{identity, is_same};
use crate::limits::Limits;
use crate::query;
use crate::row::Request;
use crate::view;

/// A ledger that requests are put into, whoever owns it.
#[derive(Debug)]
pub struct Inbox {
    connection: Connection,
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
}

impl Inbox {
    /// Opens an existing ledger for requests, without its lock.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none; if it cannot be read or written, or if it is of another schema version than
    /// this trytlsd's.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = view::find(path)?;
        let file = identity(&path).map_err(|source| Error::File {
            doing: "look at the ledger",
            path: path.clone(),
            source,
        })?;
        let connection = connect::writer(&path).map_err(|source| reading("open", &path, source))?;
        view::must_be_ours(&connection, &path)?;
        let armed = connection.pragma_update(None, "synchronous", "FULL");
        armed.map_err(|source| reading("open", &path, source))?;
        Ok(Self { connection, path, file })
    }

    /// Queues a request and returns its number. It is on the disk then. `who` and `what` have at most [`TEXT_MAX`]
    /// bytes.
    ///
    /// # Errors
    /// If a text is too long, if so many requests wait already as [`Limits::default`] permits, or if it cannot be
    /// written: see [`Error::may_pass`].
    pub fn add(&mut self, who: &str, what: &str, at: Timestamp) -> Result<i64, Error> {
        let limit = Limits::default().requests;
        check_request(who, what)?;
        is_same(&self.path, self.file)?;
        let mut write = || {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let id = insert(&transaction, who, what, at, limit)?;
            transaction.commit()?;
            Ok(id)
        };
        let id = write().map_err(|source| reading("queue a request in", &self.path, source))?;
        id.ok_or(Error::TooManyRequests { limit })
    }

    /// One request, with its outcome if it has one; none if there is no such number, or no longer.
    ///
    /// # Errors
    /// If it cannot be read, or the ledger is not at its path any more.
    pub fn request(&self, id: i64) -> Result<Option<Request>, Error> {
        is_same(&self.path, self.file)?;
        query::request(&self.connection, id)
            .map_err(|source| reading("read the requests in", &self.path, source))
    }
}

/// Refuses a request whose texts are too long.
pub(crate) fn check_request(who: &str, what: &str) -> Result<(), Error> {
    check("who asks", who, TEXT_MAX)?;
    check("a request", what, TEXT_MAX)
}

/// Writes a request; its number, or none if `limit` of them wait already.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    who: &str,
    what: &str,
    at: Timestamp,
    limit: u32,
) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT count(*) FROM request WHERE done_at IS NULL";
    let open: u32 = transaction.query_row(sql, (), |row| row.get(0))?;
    if open >= limit {
        return Ok(None);
    }
    transaction.execute(
        "INSERT INTO request (who, at, what) VALUES (?, ?, ?)",
        params![who, at.as_second(), what],
    )?;
    Ok(Some(transaction.last_insert_rowid()))
}
