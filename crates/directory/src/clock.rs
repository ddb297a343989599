//! The server's clock, by which the ages of statements are told, so that MTAs whose clocks are wrong agree all the same.
//!
//! LDAP has no way to ask for the time. But the server stamps what is written (`modifyTimestamp`), so each MTA has an object
//! of its own that it writes for the sake of the stamp: on each new connection, and every five minutes. Between, this host
//! counts the seconds, also those that it slept (CLOCK_BOOTTIME). The time of day of this host plays no part.
//!
//! Not seen is a pause in which this host does not run and its clock does not know, as when a virtual machine is stopped:
//! for up to five minutes after it the server's time is taken to be earlier than it is, and statements for younger. Where
//! more than one server takes writes, their clocks must agree.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use rustix::time::{ClockId, clock_gettime};

/// Seconds after which the server is asked again.
const KEEPS: i64 = 300;

/// What time it was there, and how long this host had been up then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    server: i64,
    uptime: i64,
    /// Which connection it was learnt over.
    connection: u64,
}

impl Clock {
    /// The server's time was `stamp` a moment after `uptime`.
    pub(crate) fn new(stamp: i64, uptime: i64, connection: u64) -> Self {
        Self { server: stamp, uptime, connection }
    }

    /// Whether it can still be gone by.
    pub(crate) fn is_fresh(&self, connection: u64) -> bool {
        self.connection == connection && uptime().saturating_sub(self.uptime) < KEEPS
    }

    /// Seconds since then, by the server; none if that is yet to come.
    pub(crate) fn since(&self, stamp: i64) -> u32 {
        let passed = uptime().saturating_sub(self.uptime);
        let age = self.server.saturating_add(passed).saturating_sub(stamp);
        u32::try_from(age.max(0)).unwrap_or(u32::MAX)
    }
}

/// How long this host has been up, in seconds.
pub(crate) fn uptime() -> i64 {
    clock_gettime(ClockId::Boottime).tv_sec
}

/// Reads a stamp (generalizedTime, RFC 4517: `20261127021259Z`, or with a fraction) in seconds since 1970.
pub(crate) fn stamp(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let part = |from: usize, to: usize| whole.get(from..to)?.parse::<i8>().ok();
    let year: i16 = whole.get(..4)?.parse().ok()?;
    let (month, day) = (part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    // A leap second counts as the one before it.
    let at = DateTime::new(year, month, day, hour, minute, second.min(59), 0).ok()?;
    Some(Offset::UTC.to_timestamp(at).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps() {
        let check = |text: &str, expect| assert_eq!(stamp(text.as_bytes()), expect, "{text}");
        check("19700101000001Z", Some(1));
        check("20261127021259Z", Some(1_795_745_579));
        check("20261127021259.123456Z", Some(1_795_745_579));
        check("20161231235960Z", Some(1_483_228_799));
        for text in
            ["", "Z", "20261127021259", "20261327021259Z", "2026112702125Z", "20261127021259.Z"]
        {
            check(text, None);
        }
        check("20261127021259+0100", None);
    }

    #[test]
    fn ages() {
        let clock = Clock::new(1_000_000, uptime() - 100, 1);
        assert!((1100..1110).contains(&clock.since(999_000)));
        assert_eq!(clock.since(2_000_000), 0);
        assert_eq!(clock.since(i64::MIN), u32::MAX);
        assert!(clock.is_fresh(1) && !clock.is_fresh(2));
        assert!(!Clock::new(0, uptime() - KEEPS, 1).is_fresh(1));
    }
}
