//! Questions that both the owner and a reader ask.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use crate::row::{Happening, Line, Request, Settled, VoteRow};

/// A moment from its second; what no calendar holds is its end or its beginning.
pub(crate) fn moment(second: i64) -> Timestamp {
    let end = if second < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(second).unwrap_or(end)
}

/// The latest happenings since then, at most `limit`, the oldest first.
pub(crate) fn history(
    connection: &Connection,
    relay: Option<&str>,
    since: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<Happening>> {
    let filter = if relay.is_some() { "relay = :relay AND" } else { ":relay IS NULL AND" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT at, relay, what, detail FROM happening WHERE {filter} at >= :since
         ORDER BY id DESC LIMIT :limit"
    ))?;
    let parameters = named_params! {
        ":relay": relay, ":since": since.as_second(), ":limit": limit,
    };
    let found = statement.query_map(parameters, |row| {
        let at = moment(row.get(0)?);
        Ok(Happening { at, relay: row.get(1)?, what: row.get(2)?, detail: row.get(3)? })
    })?;
    let mut found: Vec<Happening> = found.collect::<Result<_, _>>()?;
    found.reverse();
    Ok(found)
}

/// The last lines of a relay, the oldest first.
pub(crate) fn lines(connection: &Connection, relay: &str) -> rusqlite::Result<Vec<Line>> {
    let mut statement =
        connection.prepare_cached("SELECT at, line FROM line WHERE relay = ? ORDER BY id")?;
    let found = statement.query_map((relay,), |row| {
        Ok(Line { relay: relay.to_owned(), at: moment(row.get(0)?), line: row.get(1)? })
    })?;
    found.collect()
}

/// What the MTAs of the fleet say, by relay and MTA.
pub(crate) fn votes(connection: &Connection) -> rusqlite::Result<Vec<VoteRow>> {
    let mut statement = connection
        .prepare_cached("SELECT relay, mta, says, seen, written FROM vote ORDER BY relay, mta")?;
    let found = statement.query_map((), |row| {
        Ok(VoteRow {
            relay: row.get(0)?,
            mta: row.get(1)?,
            says: row.get(2)?,
            seen: row.get(3)?,
            written: row.get(4)?,
        })
    })?;
    found.collect()
}

/// Which happenings are wanted, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Those of a relay or a client of this name, whatever the case of its letters, with or without brackets; else all.
    pub of: Option<&'a str>,
    /// The first of those after this number; else the latest. Of a number that there is not yet, all: the ledger was begun
    /// anew.
    pub after: Option<i64>,
    /// Those since then.
    pub since: Timestamp,
    /// At most so many.
    pub limit: u32,
}

/// The wanted happenings, the oldest first, each with its number; and the number after which to ask for more.
pub(crate) fn happenings(
    connection: &Connection,
    wanted: &Wanted<'_>,
) -> rusqlite::Result<(Vec<(i64, Happening)>, i64)> {
    let newest: i64 =
        connection.query_row("SELECT coalesce(max(id), 0) FROM happening", (), |row| row.get(0))?;
    let after = wanted.after.filter(|after| *after <= newest).unwrap_or(0);
    let of = match wanted.of {
        Some(_) => "relay COLLATE NOCASE IN (:of, '[' || :of || ']', 'client ' || :of) AND",
        None => ":of IS NULL AND",
    };
    let order = if wanted.after.is_some() { "ASC" } else { "DESC" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT at, relay, what, detail, id FROM happening
         WHERE {of} id > :after AND id <= :newest AND at >= :since ORDER BY id {order} LIMIT :limit"
    ))?;
    let parameters = named_params! {
        ":of": wanted.of, ":after": after, ":newest": newest,
        ":since": wanted.since.as_second(), ":limit": wanted.limit,
    };
    let found = statement.query_map(parameters, |row| {
        let at = moment(row.get(0)?);
        let happening =
            Happening { at, relay: row.get(1)?, what: row.get(2)?, detail: row.get(3)? };
        Ok((row.get(4)?, happening))
    })?;
    let mut found: Vec<(i64, Happening)> = found.collect::<Result<_, _>>()?;
    if wanted.after.is_none() {
        found.reverse();
        return Ok((found, newest));
    }
    let full = u32::try_from(found.len()).is_ok_and(|count| count >= wanted.limit);
    let last = found.last().filter(|_| full).map_or(newest, |(id, _)| *id);
    Ok((found, last))
}

/// The requests that are not settled, the oldest first.
pub(crate) fn open_requests(connection: &Connection) -> rusqlite::Result<Vec<Request>> {
    connection
        .prepare_cached(
            "SELECT id, who, at, what, done_at, outcome FROM request
             WHERE done_at IS NULL ORDER BY id",
        )?
        .query_map((), request_of)?
        .collect()
}

/// One request.
pub(crate) fn request(connection: &Connection, id: i64) -> rusqlite::Result<Option<Request>> {
    connection
        .prepare_cached("SELECT id, who, at, what, done_at, outcome FROM request WHERE id = ?")?
        .query_row((id,), request_of)
        .optional()
}

fn request_of(row: &Row<'_>) -> rusqlite::Result<Request> {
    let settled = match (row.get::<_, Option<i64>>(4)?, row.get(5)?) {
        (Some(at), Some(outcome)) => Some(Settled { at: moment(at), outcome }),
        _ => None,
    };
    let at = moment(row.get(2)?);
    Ok(Request { id: row.get(0)?, who: row.get(1)?, at, what: row.get(3)?, settled })
}
