//! The time stamp of a syslog line.

use jiff::Timestamp;
use jiff::tz::TimeZone;

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
