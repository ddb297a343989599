//! From the stamp of a line to a moment: which year, which zone.
//!
//! A traditional stamp has no year. It is given the latest year that does not put it more than a day after
//! [`Calendar::latest`] (a day, for clocks that are wrong and zones that are). 29 February goes to the latest leap
//! year. A local time that the clocks skipped is taken as if they had not been put forward yet; one that came twice,
//! as the first.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::stamp::{Calendar, Stamp};

/// A day: how far a stamp may lie after [`Calendar::latest`].
const SLACK: SignedDuration = SignedDuration::from_hours(24);
/// Leap years are at most eight years apart (1896, 1904).
const YEARS_BACK: i16 = 8;

impl Calendar {
    /// The moment of a stamp. `None` for a date that no year has (the fields of [`Stamp::Yearless`] are open) and beyond
    /// the years that jiff knows.
    ///
    /// Measured: 60 ns for a stamp without a year; where there are many, [`Calendar::reader`] takes 6 ns.
    pub fn resolve(&self, stamp: Stamp) -> Option<Timestamp> {
        let (month, day, second) = match stamp {
            Stamp::Full(timestamp) => return Some(timestamp),
            Stamp::Yearless { month, day, second } => (month, day, second),
        };
        if !(0..=86_400).contains(&second) {
            return None;
        }
        let limit = self.latest.checked_add(SLACK).ok()?;
        let last_year = self.zone.to_datetime(limit).year();
        let second = SignedDuration::from_secs(i64::from(second));
        (0..=YEARS_BACK).find_map(|back| {
            let civil = Date::new(last_year.checked_sub(back)?, month, day).ok()?;
            let civil = civil.at(0, 0, 0, 0).checked_add(second).ok()?;
            let moment = self.zone.to_ambiguous_timestamp(civil).compatible().ok()?;
            (moment <= limit).then_some(moment)
        })
    }

    /// A reader of many stamps, which remembers the hour of the last one.
    pub fn reader(self) -> StampReader {
        StampReader { calendar: self, hour: None }
    }
}

/// Resolves stamps as [`Calendar::resolve`] does, faster where they follow each other closely.
#[derive(Clone, Debug)]
pub struct StampReader {
    calendar: Calendar,
    hour: Option<Hour>,
}

/// An hour in which local time runs evenly.
#[derive(Clone, Copy, Debug)]
struct Hour {
    month: i8,
    day: i8,
    /// Seconds since midnight at which it begins.
    second: i32,
    /// When it begins, in seconds since 1970.
    begin: i64,
}

impl StampReader {
    /// The moment of a stamp; see [`Calendar::resolve`].
    #[inline]
    pub fn resolve(&mut self, stamp: Stamp) -> Option<Timestamp> {
        let (month, day, second) = match stamp {
            Stamp::Full(timestamp) => return Some(timestamp),
            Stamp::Yearless { month, day, second } => (month, day, second),
        };
        if let Some(hour) = self.hour
            && (hour.month, hour.day) == (month, day)
            && (hour.second..hour.second + 3600).contains(&second)
        {
            return hour.after(second - hour.second);
        }
        self.hour = self.hour_of(month, day, second);
        self.calendar.resolve(stamp)
    }

    /// The hour of a stamp; `None` if the clocks are changed in it, or if it is not all of one year.
    fn hour_of(&self, month: i8, day: i8, second: i32) -> Option<Hour> {
        let first = second - second.checked_rem(3600)?;
        let at = |second| self.calendar.resolve(Stamp::Yearless { month, day, second });
        let hour = Hour { month, day, second: first, begin: at(first)?.as_second() };
        let even = first + 3599 < 86_400 && hour.after(3599) == at(first + 3599);
        even.then_some(hour)
    }

    /// Sets [`Calendar::latest`] anew.
    pub fn set_latest(&mut self, latest: Timestamp) {
        self.calendar.latest = latest;
        self.hour = None;
    }
}

impl Hour {
    fn after(self, seconds: i32) -> Option<Timestamp> {
        Timestamp::from_second(self.begin + i64::from(seconds)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    /// Middle Europe without a time zone database.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn calendar(latest: &str) -> Calendar {
        Calendar { latest: latest.parse().unwrap(), zone: berlin() }
    }

    fn yearless(month: i8, day: i8, hour: i32, minute: i32) -> Stamp {
        Stamp::Yearless { month, day, second: hour * 3600 + minute * 60 }
    }

    #[test]
    fn years() {
        let check = |latest: &str, month, day, hour, expect: &str| {
            let got = calendar(latest).resolve(yearless(month, day, hour, 0)).unwrap();
            assert_eq!(got.to_string(), expect, "{latest} {month}-{day} {hour}h");
        };
        check("2026-11-23T12:00:00Z", 11, 23, 11, "2026-11-23T10:00:00Z");
        check("2026-11-23T12:00:00Z", 11, 24, 11, "2026-11-24T10:00:00Z");
        check("2026-11-23T12:00:00Z", 11, 25, 11, "2025-11-25T10:00:00Z");
        check("2026-01-01T00:00:00Z", 12, 31, 23, "2025-12-31T22:00:00Z");
        check("2025-12-31T22:30:00Z", 1, 1, 0, "2025-12-31T23:00:00Z");
        check("2026-11-23T12:00:00Z", 2, 29, 12, "2024-02-29T11:00:00Z");
        check("1903-11-23T12:00:00Z", 2, 29, 12, "1896-02-29T11:00:00Z");
        check("2026-11-23T12:00:00Z", 7, 1, 12, "2026-07-01T10:00:00Z");
    }

    #[test]
    fn clocks_put_forward_and_back() {
        let calendar = calendar("2026-11-23T12:00:00Z");
        let at = |month, day, hour, minute| {
            calendar.resolve(yearless(month, day, hour, minute)).unwrap().to_string()
        };
        assert_eq!(at(3, 29, 1, 59), "2026-03-29T00:59:00Z");
        assert_eq!(at(3, 29, 2, 30), "2026-03-29T01:30:00Z");
        assert_eq!(at(3, 29, 3, 0), "2026-03-29T01:00:00Z");
        assert_eq!(at(10, 25, 2, 30), "2026-10-25T00:30:00Z");
        assert_eq!(at(10, 25, 3, 0), "2026-10-25T02:00:00Z");
    }

    #[test]
    fn dates_that_no_year_has() {
        let calendar = calendar("2026-11-23T12:00:00Z");
        assert_eq!(calendar.resolve(yearless(2, 30, 0, 0)), None);
        assert_eq!(calendar.resolve(yearless(13, 1, 0, 0)), None);
        let far = Stamp::Yearless { month: 1, day: 1, second: i32::MAX };
        assert_eq!(calendar.resolve(far), None);
        assert_eq!(calendar.clone().reader().resolve(far), None);
        let end = Calendar { latest: Timestamp::MAX, zone: berlin() };
        assert_eq!(end.resolve(yearless(1, 1, 0, 0)), None);
    }

    proptest! {
        #[test]
        fn a_reader_says_the_same(
            latest in 0_i64..4_000_000_000,
            stamps in prop::collection::vec((1_i8..=12, 1_i8..=31, 0_i32..=86_400, 0_i32..7200), 1..20),
        ) {
            let latest = Timestamp::from_second(latest).unwrap();
            let calendar = Calendar { latest, zone: berlin() };
            let mut reader = calendar.clone().reader();
            for (month, day, second, step) in stamps {
                for second in [second, second + step] {
                    let stamp = Stamp::Yearless { month, day, second };
                    prop_assert_eq!(reader.resolve(stamp), calendar.resolve(stamp));
                }
            }
        }

        #[test]
        fn every_hour_of_the_changes_of_the_clocks(second in 0_i32..86_400, spring in any::<bool>()) {
            let calendar = calendar("2026-11-23T12:00:00Z");
            let (month, day) = if spring { (3, 29) } else { (10, 25) };
            let mut reader = calendar.clone().reader();
            for second in [second, second / 2, second / 3600 * 3600] {
                let stamp = Stamp::Yearless { month, day, second };
                prop_assert_eq!(reader.resolve(stamp), calendar.resolve(stamp));
            }
        }
    }
}
