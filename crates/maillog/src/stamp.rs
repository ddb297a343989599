//! The time stamp of a syslog line.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::cursor::Cursor;

/// A time stamp as the line has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// RFC 3339 or RFC 5424: complete.
    Full(Timestamp),
    /// Traditional (RFC 3164): local time without a year.
    Yearless {
        /// 1 to 12.
        month: i8,
        /// 1 to 31.
        day: i8,
        /// Seconds since midnight, 0 to 86,400.
        second: i32,
    },
}

/// What turns a stamp into a moment.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// No stamp is later than this, give or take a day: now, or when the file was last written.
    pub latest: Timestamp,
    /// The zone of stamps that name none.
    pub zone: TimeZone,
}

const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
const DAYS_IN: [i8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const DAY: i64 = 86_400;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Stamp {
    /// Seconds from `earlier` to `self`; negative if the log went backwards. 0 if one of them has a year and the other
    /// has none. Of two stamps without a year the second is taken to be less than half a year away from the first, and
    /// the year to be no leap year: over the end of a February the result may be a day too small, never too large.
    pub(crate) fn seconds_since(self, earlier: Self) -> i64 {
        match (self, earlier) {
            (Self::Full(new), Self::Full(old)) => new.as_second() - old.as_second(),
            (Self::Yearless { .. }, Self::Yearless { .. }) => {
                let year = 365 * DAY;
                let difference = self.second_of_year() - earlier.second_of_year();
                match difference {
                    d if d < -year / 2 => d + year,
                    d if d > year / 2 => d - year,
                    d => d,
                }
            }
            _ => 0,
        }
    }

    fn second_of_year(self) -> i64 {
        let Self::Yearless { month, day, second } = self else { return 0 };
        let month = usize::try_from(month).ok().and_then(|m| m.checked_sub(1));
        let before = month.and_then(|m| DAYS_BEFORE.get(m)).copied().unwrap_or(0);
        (before + i64::from(day)) * DAY + i64::from(second)
    }
}

impl fmt::Display for Stamp {
    /// As RFC 3339 in UTC, or as `Nov 23 11:30:13`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (month, day, second) = match self {
            Self::Full(timestamp) => return timestamp.fmt(f),
            Self::Yearless { month, day, second } => (month, day, second),
        };
        let index = usize::try_from(*month).ok().and_then(|m| m.checked_sub(1));
        let name = index.and_then(|i| MONTHS.get(i)).unwrap_or(&"???");
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{name} {day:2} {hour:02}:{minute:02}:{second:02}")
    }
}

/// Takes a traditional stamp and the blank after it: `Nov 23 11:30:13 `, `Nov  3 11:30:13 `; a fraction of a second, as
/// `journalctl -o short-precise` prints it, is passed over.
pub(crate) fn traditional(cursor: &mut Cursor<'_>) -> Option<Stamp> {
    let [m0, m1, m2, b' ', d0, d1, b' ', time @ ..] = cursor.rest().first_chunk::<15>()? else {
        return None;
    };
    let month = month([*m0, *m1, *m2])?;
    let day = two_digits(if *d0 == b' ' { b'0' } else { *d0 }, *d1)?;
    let second = clock(time)?;
    if day == 0 || day > *DAYS_IN.get(usize::try_from(month - 1).ok()?)? {
        return None;
    }
    cursor.take(15);
    if cursor.skip(".") {
        cursor.take_while(|b| b.is_ascii_digit());
    }
    cursor.skip(" ").then_some(Stamp::Yearless { month, day, second })
}

/// Takes a stamp of RFC 3339 and the blank after it: `2026-11-23T11:30:13.186271+00:00 `; the zone is `Z`, `+hh:mm` or
/// `+hhmm`; the fraction may be missing or have any length.
pub(crate) fn rfc3339(cursor: &mut Cursor<'_>) -> Option<Stamp> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't', time @ ..] =
        cursor.rest().first_chunk::<19>()?
    else {
        return None;
    };
    let year = i16::from(two_digits(*y0, *y1)?) * 100 + i16::from(two_digits(*y2, *y3)?);
    let (month, day) = (two_digits(*m0, *m1)?, two_digits(*d0, *d1)?);
    // A leap second has no place of its own: it is the second before it.
    let second = clock(time)?.min(86_399);
    cursor.take(19);
    let nanosecond = if cursor.skip(".") {
        let digits = cursor.take_while(|b| b.is_ascii_digit());
        (0..9).fold(0, |n, i| n * 10 + digits.get(i).map_or(0, |d| i32::from(d - b'0')))
    } else {
        0
    };
    let offset = offset(cursor)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let (hour, minute, second) =
        (i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?);
    let civil = DateTime::new(year, month, day, hour, minute, second, nanosecond).ok()?;
    let timestamp = offset.to_timestamp(civil).ok()?;
    cursor.skip(" ").then_some(Stamp::Full(timestamp))
}

fn offset(cursor: &mut Cursor<'_>) -> Option<Offset> {
    if cursor.skip("Z") || cursor.skip("z") {
        return Some(Offset::UTC);
    }
    let [sign @ (b'+' | b'-')] = cursor.take(1) else { return None };
    let [h0, h1] = cursor.take(2) else { return None };
    cursor.skip(":");
    let [m0, m1] = cursor.take(2) else { return None };
    let seconds = i32::from(two_digits(*h0, *h1)?) * 3600 + i32::from(two_digits(*m0, *m1)?) * 60;
    Offset::from_seconds(if *sign == b'-' { -seconds } else { seconds }).ok()
}

/// `hh:mm:ss` as seconds since midnight; second 60 is a leap second.
fn clock(time: &[u8]) -> Option<i32> {
    let [h0, h1, b':', m0, m1, b':', s0, s1] = time else { return None };
    let (hour, minute) = (two_digits(*h0, *h1)?, two_digits(*m0, *m1)?);
    let second = two_digits(*s0, *s1)?;
    let valid = hour < 24 && minute < 60 && second <= 60;
    valid.then(|| i32::from(hour) * 3600 + i32::from(minute) * 60 + i32::from(second))
}

fn two_digits(tens: u8, ones: u8) -> Option<i8> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return None;
    }
    i8::try_from(tens * 10 + ones).ok()
}

fn month(name: [u8; 3]) -> Option<i8> {
    let index = MONTHS.iter().position(|month| month.as_bytes() == name)?;
    i8::try_from(index + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_without_a_year() {
        let read = |text: &str| {
            let mut cursor = Cursor::new(text.as_bytes());
            let stamp = traditional(&mut cursor)?;
            let Stamp::Yearless { month, day, second } = stamp else { return None };
            Some((month, day, second, String::from_utf8_lossy(cursor.rest()).into_owned()))
        };
        assert_eq!(read("Nov 23 11:30:13 lab"), Some((11, 23, 41_413, "lab".into())));
        assert_eq!(read("Nov  3 00:00:00 lab"), Some((11, 3, 0, "lab".into())));
        assert_eq!(read("Nov 03 00:00:00 lab"), Some((11, 3, 0, "lab".into())));
        assert_eq!(read("Feb 29 23:59:60 lab"), Some((2, 29, 86_400, "lab".into())));
        assert_eq!(read("Nov 23 11:30:13.186271 lab"), Some((11, 23, 41_413, "lab".into())));
        for wrong in [
            "",
            "Nov 23 11:30:13",
            "Nov 31 11:30:13 lab",
            "Feb 30 11:30:13 lab",
            "Nov 00 11:30:13 lab",
            "Nov 23 24:30:13 lab",
            "Nov 23 11:60:13 lab",
            "Nov 23 11:30:61 lab",
            "nov 23 11:30:13 lab",
            "Nov 2x 11:30:13 lab",
            "Nov 23 11-30-13 lab",
            "Nov  23 11:30:13 lab",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn stamps_of_rfc_3339() {
        let read = |text: &str| {
            let mut cursor = Cursor::new(text.as_bytes());
            match rfc3339(&mut cursor)? {
                Stamp::Full(timestamp) if cursor.rest() == b"lab" => Some(timestamp.to_string()),
                _ => None,
            }
        };
        let check = |text: &str, expect: &str| assert_eq!(read(text).as_deref(), Some(expect));
        check("2026-11-23T10:50:38.432249+00:00 lab", "2026-11-23T10:50:38.432249Z");
        check("2026-11-23T10:50:38Z lab", "2026-11-23T10:50:38Z");
        check("2026-11-23T10:50:38+0130 lab", "2026-11-23T09:20:38Z");
        check("2026-11-23T10:50:38.5-05:00 lab", "2026-11-23T15:50:38.5Z");
        check("2026-11-23T10:50:38.1234567891234Z lab", "2026-11-23T10:50:38.123456789Z");
        check("2016-12-31T23:59:60Z lab", "2016-12-31T23:59:59Z");
        for wrong in [
            "",
            "2026-11-23T10:50:38 lab",
            "2026-11-23 10:50:38Z lab",
            "2026-02-29T10:50:38Z lab",
            "2026-13-01T10:50:38Z lab",
            "2026-11-23T10:50:38+99:00 lab",
            "2026-11-23T10:50:38Zlab",
            "2026-11-23T10:50:38+00",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ages() {
        let at = |text: &str| {
            let text = format!("{text} ");
            let mut cursor = Cursor::new(text.as_bytes());
            traditional(&mut cursor).or_else(|| rfc3339(&mut cursor)).unwrap()
        };
        let age = |new: &str, old: &str| at(new).seconds_since(at(old));
        assert_eq!(age("Nov 23 11:30:13", "Nov 23 11:30:10"), 3);
        assert_eq!(age("Jan  1 00:00:01", "Dec 31 23:59:59"), 2);
        assert_eq!(age("Dec 31 23:59:59", "Jan  1 00:00:01"), -2);
        assert_eq!(age("Mar  1 00:00:01", "Feb 28 23:59:59"), 2);
        assert_eq!(age("Mar  1 00:00:01", "Feb 29 23:59:59"), 2 - DAY);
        assert_eq!(age("2026-03-01T00:00:01Z", "2026-02-28T23:59:59Z"), 2);
        assert_eq!(age("2026-03-01T00:00:01Z", "Feb 28 23:59:59"), 0);
    }
}
