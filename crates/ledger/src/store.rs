//! The open ledger, as its owner thread has it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::aside::set_aside;
use crate::batch::{Batch, LINES_KEPT};
use crate::connect;
use crate::error::{Blame, Error, blame, is_damage};
use crate::files::{identity, is_same, open_or_make, resolve};
use crate::inbox::{check_request, insert};
use crate::limits::Limits;
use crate::loaded::Loaded;
use crate::lock::Lock;
use crate::purge::{self, Schedule};
use crate::row::{Line, StsRow, Success, VoteRow};
use crate::schema::{self, Kind, STEPS};

/// The open ledger.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
    limits: Limits,
    schedule: Schedule,
    /// The time of day, as last told.
    now: Timestamp,
    /// SQLite's number of what others have written, as last looked at.
    version: i64,
    /// After the connection: fields are dropped in order.
    _lock: Lock,
}

/// Why a file cannot be used.
enum Trouble {
    /// It cannot be read.
    Unreadable(String),
    /// It can, or could, but not by us or not now.
    Other(Error),
}

impl Store {
    /// Opens the ledger; one that cannot be read is set aside, and a fresh one begun.
    pub(crate) fn open(
        path: &Path,
        now: Timestamp,
        limits: Limits,
    ) -> Result<(Self, Loaded), Error> {
        let path = resolve(path)?;
        // Before the lock: beside a directory none is to be left.
        if path.metadata().is_ok_and(|file| !file.is_file()) {
            return Err(Error::NotAFile { path });
        }
        let lock = Lock::take(&path)?;
        let (aside, opened) = match ready(&path, now, &limits) {
            Err(Trouble::Unreadable(why)) => {
                let aside = set_aside(&path, now)?;
                tracing::warn!(?path, ?why, ?aside, "the ledger cannot be read and was set aside");
                (Some(aside), ready(&path, now, &limits))
            }
            opened => (None, opened),
        };
        let (connection, schedule, loaded) = opened.map_err(|trouble| match trouble {
            Trouble::Unreadable(why) => Error::Unreadable { path: path.clone(), why },
            Trouble::Other(error) => error,
        })?;
        let loaded = Loaded { set_aside: aside, ..loaded };
        let file = identity(&path).map_err(|source| Error::File {
            doing: "look at the ledger",
            path: path.clone(),
            source,
        })?;
        let version = data_version(&connection)
            .map_err(|source| Error::sqlite("open", path.clone(), source))?;
        let store = Self { connection, path, file, limits, schedule, now, version, _lock: lock };
        Ok((store, loaded))
    }

    /// The connection, for questions.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether another connection has written since this was last asked, or since the opening.
    pub(crate) fn has_news(&mut self) -> Result<bool, Error> {
        let version = data_version(&self.connection).map_err(|s| self.fault("look at", s))?;
        Ok(std::mem::replace(&mut self.version, version) != version)
    }

    /// Commits the batch. When it returns, it is on the disk.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<(), Error> {
        batch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        self.now = batch.now;
        let rows = self.limits.rows;
        self.write("write to", |transaction| apply(transaction, batch, rows))
    }

    /// Queues a request and returns its number.
    pub(crate) fn add_request(
        &mut self,
        who: &str,
        what: &str,
        at: Timestamp,
    ) -> Result<i64, Error> {
        check_request(who, what)?;
        let limit = self.limits.requests;
        let id = self
            .write("queue a request in", |transaction| insert(transaction, who, what, at, limit))?;
        id.ok_or(Error::TooManyRequests { limit })
    }

    /// Purges if it is time. A purge that fails is tried again another day.
    pub(crate) fn keep_house(&mut self, now: Timestamp, rows: usize) {
        let day = self.schedule.is_due(now, Instant::now());
        if !self.schedule.count(rows, &self.limits) && !day {
            return;
        }
        if let Err(error) = purge::purge(&mut self.connection, &self.limits, day.then_some(now)) {
            tracing::warn!(path = ?self.path, "cannot purge the ledger: {error}");
        }
    }

    /// The error for what SQLite says; a damaged file is set aside at once, so that the next start finds none.
    pub(crate) fn fault(&self, doing: &'static str, source: rusqlite::Error) -> Error {
        if !is_damage(&source) {
            return Error::sqlite(doing, self.path.clone(), source);
        }
        match set_aside(&self.path, self.now) {
            Ok(aside) => {
                tracing::warn!(path = ?self.path, ?aside, "the ledger is damaged and was set aside");
                Error::Damaged { path: self.path.clone(), aside, source }
            }
            Err(error) => {
                tracing::warn!("{error}");
                Error::Unreadable { path: self.path.clone(), why: source.to_string() }
            }
        }
    }

    fn write<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        is_same(&self.path, self.file)?;
        let write = || {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        write().map_err(|source| self.fault(doing, source))
    }
}

/// A number that changes with what other connections commit, and with nothing that this one does.
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// Makes a file ready for use: opened, looked through, brought up to date, purged, read.
fn ready(
    path: &Path,
    now: Timestamp,
    limits: &Limits,
) -> Result<(Connection, Schedule, Loaded), Trouble> {
    // SQLite would make it too, but with less to say about why it cannot.
    drop(open_or_make("open the ledger", path).map_err(Trouble::Other)?);
    let sqlite = |source: rusqlite::Error| match blame(&source) {
        Blame::File => Trouble::Unreadable(source.to_string()),
        Blame::Surroundings => Trouble::Other(Error::sqlite("open", path.into(), source)),
    };
    let mut connection = connect::writer(path).map_err(sqlite)?;
    let kind = schema::kind(&connection).map_err(sqlite)?;
    let version = match kind {
        Kind::Blank => 0,
        Kind::Ours(found) => match usize::try_from(found) {
            Ok(version) if version <= STEPS.len() => version,
            _ => return Err(Trouble::Other(newer(path, found))),
        },
        Kind::Foreign => {
            return Err(Trouble::Unreadable("it is a database of another program".to_owned()));
        }
    };
    connect::arm(&connection, path, version == 0).map_err(sqlite)?;
    if let Some(flaw) = connect::flaw(&connection).map_err(sqlite)? {
        return Err(Trouble::Unreadable(flaw));
    }
    schema::upgrade(&mut connection, version, STEPS).map_err(sqlite)?;
    let by_age = purge::believes(&connection, now).map_err(sqlite)?.then_some(now);
    match purge::purge(&mut connection, limits, by_age) {
        Ok(()) => {}
        Err(error) if blame(&error) == Blame::File => return Err(sqlite(error)),
        Err(error) => tracing::warn!(?path, "cannot purge the ledger: {error}"),
    }
    let loaded = Loaded::read(&connection).map_err(sqlite)?;
    connection.release_memory().map_err(sqlite)?;
    let schedule = Schedule::new(now, Instant::now());
    Ok((connection, schedule, Loaded { fresh: kind == Kind::Blank, ..loaded }))
}

/// The error for a file of a newer schema.
pub(crate) fn newer(path: &Path, found: i64) -> Error {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    Error::Newer { path: path.into(), found, known }
}

/// Writes a batch within a transaction.
fn apply(transaction: &Transaction<'_>, batch: &Batch, rows: u32) -> rusqlite::Result<()> {
    let put = |sql, parameters: &[&dyn rusqlite::ToSql]| {
        transaction.prepare_cached(sql)?.execute(parameters).map(drop)
    };
    for (log, place) in &batch.places {
        put("REPLACE INTO place (log, place) VALUES (?, ?)", params![log, place])?;
    }
    for (log, pending) in &batch.pending {
        put("REPLACE INTO pending (log, attempts) VALUES (?, ?)", params![log, pending])?;
    }
    for change in &batch.relays {
        match &change.record {
            Some(record) => put(
                "REPLACE INTO relay (relay, seen, stays, record) VALUES (?, ?, ?, ?)",
                params![change.relay, change.seen, change.stays, record],
            )?,
            None => put("DELETE FROM relay WHERE relay = ?", params![change.relay])?,
        }
    }
    for (relay, success) in &batch.successes {
        match success {
            Some(Success { seen, version, verify }) => put(
                "REPLACE INTO success (relay, seen, version, verify) VALUES (?, ?, ?, ?)",
                params![relay, seen, version, verify],
            )?,
            None => put("DELETE FROM success WHERE relay = ?", params![relay])?,
        }
    }
    for StsRow { domain, mode, id, fetched, until } in &batch.policies {
        put(
            "REPLACE INTO sts (domain, mode, id, fetched, until) VALUES (?, ?, ?, ?, ?)",
            params![domain, mode, id, fetched, until],
        )?;
    }
    for (name, note) in &batch.notes {
        match note {
            Some(note) => put("REPLACE INTO note (name, note) VALUES (?, ?)", params![name, note])?,
            None => put("DELETE FROM note WHERE name = ?", params![name])?,
        }
    }
    for (id, settled) in &batch.settled {
        put(
            "UPDATE request SET done_at = ?, outcome = ? WHERE id = ? AND done_at IS NULL",
            params![settled.at.as_second(), settled.outcome, id],
        )?;
    }
    for happening in &batch.history {
        put(
            "INSERT INTO happening (at, relay, what, detail) VALUES (?, ?, ?, ?)",
            params![happening.at.as_second(), happening.relay, happening.what, happening.detail],
        )?;
    }
    for Line { relay, at, line } in &batch.lines {
        put(
            "INSERT INTO line (relay, at, line) VALUES (?, ?, ?)",
            params![relay, at.as_second(), line],
        )?;
        put(
            "DELETE FROM line WHERE relay = ?1 AND id <=
                (SELECT id FROM line WHERE relay = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![relay, LINES_KEPT],
        )?;
    }
    if let Some(votes) = &batch.votes {
        put("DELETE FROM vote", &[])?;
        for VoteRow { relay, mta, says, seen, written } in votes {
            put(
                "REPLACE INTO vote (relay, mta, says, seen, written) VALUES (?, ?, ?, ?, ?)",
                params![relay, mta, says, seen, written],
            )?;
        }
    }
    if !batch.history.is_empty() {
        put(
            "DELETE FROM happening WHERE id <= (SELECT max(id) FROM happening) - ?",
            params![rows],
        )?;
    }
    Ok(())
}
