//! What the ledger holds at the start.

use std::path::PathBuf;

use rusqlite::{Connection, Row};

use crate::query::{moment, open_requests};
use crate::row::{Intent, Lifted, Request};

/// What the ledger holds at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Log and the place in it.
    pub places: Vec<(String, String)>,
    /// Log and its pending attempts.
    pub pending: Vec<(String, String)>,
    /// Relay and its record.
    pub relays: Vec<(String, String)>,
    /// Relay and the second since 1970 at which TLS with it last worked.
    pub successes: Vec<(String, i64)>,
    /// Intentions that were not settled. What became of them only the access file and the map can tell.
    pub intents: Vec<Intent>,
    /// Hold-offs, also such as have ended lately.
    pub lifted: Vec<Lifted>,
    /// Name and text of things of the daemon as a whole.
    pub notes: Vec<(String, String)>,
    /// Requests that are not settled, the oldest first.
    pub requests: Vec<Request>,
    /// Where a ledger that could not be read was put.
    pub set_aside: Option<PathBuf>,
    /// Whether there was no ledger before: a first start, or one that was set aside, or lost.
    pub fresh: bool,
}

impl Loaded {
    /// Reads all of it.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            places: all(connection, "SELECT log, place FROM place", pair)?,
            pending: all(connection, "SELECT log, attempts FROM pending", pair)?,
            relays: all(connection, "SELECT relay, record FROM relay", pair)?,
            successes: all(connection, "SELECT relay, seen FROM success", |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?,
            intents: all(connection, "SELECT key, relay, at, what FROM intent", |row| {
                let at = moment(row.get(2)?);
                Ok(Intent { key: row.get(0)?, relay: row.get(1)?, at, what: row.get(3)? })
            })?,
            lifted: all(connection, "SELECT key, relay, at, until FROM lifted", |row| {
                let (at, until) = (moment(row.get(2)?), moment(row.get(3)?));
                Ok(Lifted { key: row.get(0)?, relay: row.get(1)?, at, until })
            })?,
            notes: all(connection, "SELECT name, note FROM note", pair)?,
            requests: open_requests(connection)?,
            set_aside: None,
            fresh: false,
        })
    }
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(sql)?.query_map((), row)?.collect()
}

fn pair(row: &Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}
