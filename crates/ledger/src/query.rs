//! Questions that both the owner and a reader ask.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use crate::row::{Happening, Request, Settled};

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
