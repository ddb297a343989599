//! Connections, and what they are told before anything else.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// How long the lock of a reader, or of another writer, is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// After a checkpoint the write-ahead log is cut to this. Bytes; SQLite checkpoints at 4 MiB.
const WAL_KEPT: i64 = 4 << 20;

/// KiB of memory for pages.
const CACHE: i64 = 512;

/// Statements that are kept prepared: all of a commit's.
const STATEMENTS: usize = 32;

/// Opens the file for writing. Nothing is written yet.
pub(crate) fn writer(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Sets how a file is written that has turned out to be ours, or empty.
pub(crate) fn arm(connection: &Connection, path: &Path, blank: bool) -> rusqlite::Result<()> {
    if blank {
        // Before the first table, or it has no effect.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        // As safe, slower, and readers wait.
        tracing::warn!(?path, mode, "this file system cannot have a write-ahead log");
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Opens the file for reading.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // The file may have been written by others: nothing in its schema is run, and cells are checked as they are read.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Looks through the whole file, indices included. The text of the first flaw, if there is one.
pub(crate) fn flaw(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let said: String = connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))?;
    Ok((said != "ok").then_some(said))
}
