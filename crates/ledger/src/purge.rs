//! What is old leaves, and the file shrinks.
//!
//! Ages are judged by the time of day, and that may be wrong: a machine without a battery starts in another year, an
//! admin mistypes. A clock that was believed at once would empty the ledger. So a time of day that has run ahead of
//! what was to be expected is believed only when it has stood for a day.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use crate::limits::Limits;
use crate::query::moment;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How far the clock may run ahead from one day's purge to the next: it is set, or the machine was suspended.
const DRIFT: SignedDuration = SignedDuration::from_hours(48);

/// How long after the last purge a start is believed to be: a machine may be off for so long.
const ABSENCE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Free pages that are worth giving back. Fewer are used again soon.
const FREE: i64 = 64;

/// When the next purge is due.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// The last purge by age, or the moment from which a new time of day is observed.
    since: Instant,
    /// What the time of day was then.
    told: Timestamp,
    /// Relays, successes and policies that were written since the last purge.
    written: usize,
}

impl Schedule {
    /// The next purge is due in a day.
    pub(crate) fn new(told: Timestamp, since: Instant) -> Self {
        Self { since, told, written: 0 }
    }

    /// Whether a purge by age is due. Says so once; then a day goes by.
    pub(crate) fn is_due(&mut self, now: Timestamp, at: Instant) -> bool {
        let elapsed = at.saturating_duration_since(self.since);
        if elapsed < DAY {
            return false;
        }
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        let expected = self.told.saturating_add(elapsed + DRIFT).unwrap_or(Timestamp::MAX);
        (self.since, self.told) = (at, now);
        now <= expected
    }

    /// Counts rows that were written. Whether there may be so many that the table must be looked at.
    pub(crate) fn count(&mut self, rows: usize, limits: &Limits) -> bool {
        self.written += rows;
        let due = self.written > limits.rows as usize / 8;
        if due {
            self.written = 0;
        }
        due
    }
}

/// Whether the time of day at a start may be purged by.
pub(crate) fn believes(connection: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let last: Option<i64> =
        connection.query_row("SELECT at FROM purge", (), |row| row.get(0)).optional()?;
    Ok(last.is_none_or(|last| now.duration_since(moment(last)) <= ABSENCE))
}

/// Deletes what is too old as of `now`, if a time of day is given, and what is too much. Then gives free pages back.
pub(crate) fn purge(
    connection: &mut Connection,
    limits: &Limits,
    now: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let Some(now) = now {
        let before = |age| now.saturating_sub(age).unwrap_or(Timestamp::MIN).as_second();
        let ages = [
            ("DELETE FROM happening WHERE at < ?", limits.history),
            ("DELETE FROM request WHERE done_at < ?", limits.history),
            ("DELETE FROM relay WHERE seen < ? AND stays = 0", limits.relays),
            ("DELETE FROM line WHERE at < ?", limits.relays),
            ("DELETE FROM success WHERE seen < ?", limits.successes),
        ];
        for (sql, age) in ages {
            transaction.execute(sql, (before(age),))?;
        }
        transaction.execute("DELETE FROM sts WHERE until < ?", (now.as_second(),))?;
        transaction.execute("REPLACE INTO purge (one, at) VALUES (1, ?)", (now.as_second(),))?;
    }
    let newest = [
        "DELETE FROM happening WHERE id <= (SELECT max(id) FROM happening) - ?1",
        "DELETE FROM line WHERE id <= (SELECT max(id) FROM line) - ?1",
        "DELETE FROM request WHERE done_at IS NOT NULL
            AND id <= (SELECT max(id) FROM request) - ?1",
        "DELETE FROM relay WHERE (SELECT count(*) FROM relay) > ?1 AND relay IN
            (SELECT relay FROM relay ORDER BY stays DESC, seen DESC LIMIT -1 OFFSET ?1)",
        "DELETE FROM success WHERE (SELECT count(*) FROM success) > ?1 AND relay IN
            (SELECT relay FROM success ORDER BY seen DESC LIMIT -1 OFFSET ?1)",
        "DELETE FROM sts WHERE (SELECT count(*) FROM sts) > ?1 AND domain IN
            (SELECT domain FROM sts ORDER BY fetched DESC LIMIT -1 OFFSET ?1)",
    ];
    for sql in newest {
        transaction.execute(sql, (limits.rows,))?;
    }
    transaction.commit()?;
    shrink(connection)
}

/// Gives free pages back to the file system.
fn shrink(connection: &Connection) -> rusqlite::Result<()> {
    let free: i64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    if free <= FREE {
        return Ok(());
    }
    // Each step of the statement gives one page back.
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut steps = vacuum.query(())?;
    while steps.next()?.is_some() {}
    // The pages leave the file when the write-ahead log is written back.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_is_believed_after_a_day() {
        let start = Instant::now();
        let told: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        // Hours that have gone by, hours that the time of day shows more than then, whether a purge is due.
        let check = |steps: &[(u64, i64, bool)]| {
            let mut schedule = Schedule::new(told, start);
            for (elapsed, shown, expect) in steps {
                let at = start + Duration::from_secs(elapsed * 3600);
                let now = told + SignedDuration::from_hours(*shown);
                assert_eq!(schedule.is_due(now, at), *expect, "{elapsed} h, {shown} h: {steps:?}");
            }
        };
        let year = 365 * 24;
        check(&[(0, 0, false), (23, 23, false), (24, 24, true), (25, 25, false), (48, 48, true)]);
        check(&[(24, 24, true), (100, 100, true)]);
        // It runs ahead by a year, and is set right within the day: nothing was purged by it.
        check(&[(24, 24 + year, false), (25, 25 + year, false), (30, 30, false), (48, 48, true)]);
        // It runs ahead by a year, and stays there.
        check(&[(24, 24 + year, false), (47, 47 + year, false), (48, 48 + year, true)]);
        // It is set back: what is purged by it is older still.
        check(&[(24, 24 - year, true), (48, 48 - year, true), (72, 72, false), (96, 96, true)]);
        // A machine that slept over the weekend.
        check(&[(24, 24 + 48, true)]);
    }

    #[test]
    fn many_rows_are_counted() {
        let limits = Limits { rows: 80, ..Limits::default() };
        let mut schedule = Schedule::new(Timestamp::UNIX_EPOCH, Instant::now());
        let due: Vec<_> = [4, 6, 1, 10, 1, 500].map(|n| schedule.count(n, &limits)).into();
        assert_eq!(due, [false, false, true, false, true, true]);
    }
}
