//! What the ledger holds at the start.

use std::path::PathBuf;

use rusqlite::{Connection, Row};

use crate::query::open_requests;
use crate::row::{Request, StsRow, Success};

/// What the ledger holds at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Log and the place in it.
    pub places: Vec<(String, String)>,
    /// Log and its pending attempts.
    pub pending: Vec<(String, String)>,
    /// Relay and its record.
    pub relays: Vec<(String, String)>,
    /// Relay and the last handshake with it that worked.
    pub successes: Vec<(String, Success)>,
    /// MTA-STS policies; one whose time has passed may be among them until the next purge.
    pub policies: Vec<StsRow>,
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
            successes: all(
                connection,
                "SELECT relay, seen, version, verify FROM success",
                success,
            )?,
            policies: all(connection, "SELECT domain, mode, id, fetched, until FROM sts", policy)?,
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

fn success(row: &Row<'_>) -> rusqlite::Result<(String, Success)> {
    let success = Success { seen: row.get(1)?, version: row.get(2)?, verify: row.get(3)? };
    Ok((row.get(0)?, success))
}

fn policy(row: &Row<'_>) -> rusqlite::Result<StsRow> {
    Ok(StsRow {
        domain: row.get(0)?,
        mode: row.get(1)?,
        id: row.get(2)?,
        fetched: row.get(3)?,
        until: row.get(4)?,
    })
}
