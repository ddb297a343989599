//! The schema, version by version.
//!
//! `application_id` tells our files from other programs', `user_version` counts the steps that were taken. A step is
//! never changed once it was released: a new one is added, and a file of the version before it is kept under
//! `testdata/`, from which a test goes up. Each step is one transaction with the change of its number, so a `kill -9`
//! leaves a file of one version or of the next.
//!
//! Tables are STRICT: what is read back has the type that was written. Moments are seconds since 1970
//! (`datetime(at, 'unixepoch')`). Columns say what a row is to the ledger; the meaning of a text is its writer's.

use rusqlite::{Connection, TransactionBehavior};

/// "trYt", in the header of every file of ours.
pub(crate) const APPLICATION: i32 = 0x7472_5974;

/// The steps; a file of version N has gone through the first N.
pub(crate) const STEPS: &[&str] = &[
    // 1: the first release.
    "CREATE TABLE place (
        log   TEXT NOT NULL PRIMARY KEY,
        place TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;

     CREATE TABLE pending (
        log      TEXT NOT NULL PRIMARY KEY,
        attempts TEXT NOT NULL
     ) STRICT;

     CREATE TABLE relay (
        relay  TEXT NOT NULL PRIMARY KEY,
        seen   INTEGER NOT NULL,
        stays  INTEGER NOT NULL CHECK (stays IN (0, 1)),
        record TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;

     CREATE TABLE success (
        relay   TEXT NOT NULL PRIMARY KEY,
        seen    INTEGER NOT NULL,
        version TEXT NOT NULL,
        verify  TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE sts (
        domain  TEXT NOT NULL PRIMARY KEY,
        mode    TEXT NOT NULL,
        id      TEXT NOT NULL,
        fetched INTEGER NOT NULL,
        until   INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;

     CREATE TABLE note (
        name TEXT NOT NULL PRIMARY KEY,
        note TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;

     CREATE TABLE happening (
        id     INTEGER PRIMARY KEY,
        at     INTEGER NOT NULL,
        relay  TEXT,
        what   TEXT NOT NULL,
        detail TEXT NOT NULL
     ) STRICT;
     CREATE INDEX happening_of_relay ON happening (relay) WHERE relay IS NOT NULL;

     CREATE TABLE request (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        who     TEXT NOT NULL,
        at      INTEGER NOT NULL,
        what    TEXT NOT NULL,
        done_at INTEGER,
        outcome TEXT,
        CHECK ((done_at IS NULL) = (outcome IS NULL))
     ) STRICT;
     CREATE INDEX request_open ON request (id) WHERE done_at IS NULL;

     CREATE TABLE purge (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        at  INTEGER NOT NULL
     ) STRICT;",
    // 2: the last lines of each relay, and what the MTAs of a fleet say.
    "CREATE TABLE line (
        id    INTEGER PRIMARY KEY,
        relay TEXT NOT NULL,
        at    INTEGER NOT NULL,
        line  TEXT NOT NULL
     ) STRICT;
     CREATE INDEX line_of_relay ON line (relay);

     CREATE TABLE vote (
        relay   TEXT NOT NULL,
        mta     TEXT NOT NULL,
        says    TEXT NOT NULL,
        seen    INTEGER NOT NULL,
        written INTEGER NOT NULL,
        PRIMARY KEY (relay, mta)
     ) STRICT, WITHOUT ROWID;",
];

/// What a file is, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Empty.
    Blank,
    /// Ours, of this version.
    Ours(i64),
    /// Another program's.
    Foreign,
}

/// Looks at the header.
pub(crate) fn kind(connection: &Connection) -> rusqlite::Result<Kind> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    let (application, version) = (number("application_id")?, number("user_version")?);
    Ok(match (application, version, tables) {
        (0, 0, 0) => Kind::Blank,
        (id, 1.., 1..) if id == i64::from(APPLICATION) => Kind::Ours(version),
        _ => Kind::Foreign,
    })
}

/// Takes the steps from `version` on.
pub(crate) fn upgrade(
    connection: &mut Connection,
    version: usize,
    steps: &[&str],
) -> rusqlite::Result<()> {
    for (to, step) in (1i64..).zip(steps).skip(version) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", to)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables and indices, as SQLite keeps them.
    fn schema(connection: &Connection) -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name")
            .unwrap();
        statement.query_map((), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn every_earlier_version_comes_to_the_schema_of_a_fresh_file() {
        let mut fresh = Connection::open_in_memory().unwrap();
        upgrade(&mut fresh, 0, STEPS).unwrap();
        let kept = [include_str!("../testdata/v1.sql"), include_str!("../testdata/v2.sql")];
        assert_eq!(kept.len(), STEPS.len(), "keep a file of each version");
        for (n, dump) in kept.into_iter().enumerate() {
            let mut old = Connection::open_in_memory().unwrap();
            old.execute_batch(dump).unwrap();
            let version = i64::try_from(n + 1).unwrap();
            assert_eq!(kind(&old), Ok(Kind::Ours(version)));
            upgrade(&mut old, n + 1, STEPS).unwrap();
            assert_eq!(schema(&old), schema(&fresh), "from version {version}");
        }
    }

    #[test]
    fn steps_are_taken_once_and_whole() {
        let two = ["CREATE TABLE a (n INTEGER) STRICT", "ALTER TABLE a RENAME TO b"];
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(kind(&connection), Ok(Kind::Blank));
        upgrade(&mut connection, 0, &two[..1]).unwrap();
        assert_eq!(kind(&connection), Ok(Kind::Ours(1)));
        let bad = ["", "DROP TABLE a; CREATE TABLE b (n INTEGER); nonsense"];
        upgrade(&mut connection, 1, &bad).unwrap_err();
        assert_eq!(kind(&connection), Ok(Kind::Ours(1)));
        assert_eq!(schema(&connection), ["CREATE TABLE a (n INTEGER) STRICT"]);
        upgrade(&mut connection, 1, &two).unwrap();
        assert_eq!(kind(&connection), Ok(Kind::Ours(2)));
        upgrade(&mut connection, 2, &two).unwrap();
        assert_eq!(schema(&connection), ["CREATE TABLE \"b\" (n INTEGER) STRICT"]);
    }

    #[test]
    fn whose_a_file_is() {
        let check = |sql: &str, expect: Kind| {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(sql).unwrap();
            assert_eq!(kind(&connection), Ok(expect), "{sql}");
        };
        check("", Kind::Blank);
        check("CREATE TABLE t (a)", Kind::Foreign);
        check("PRAGMA application_id = 5", Kind::Foreign);
        check("PRAGMA user_version = 5", Kind::Foreign);
        let ours = format!("PRAGMA application_id = {APPLICATION}");
        check(&ours, Kind::Foreign);
        check(&format!("{ours}; PRAGMA user_version = 7"), Kind::Foreign);
        check(&format!("{ours}; PRAGMA user_version = 7; CREATE TABLE t (a)"), Kind::Ours(7));
    }
}
