//! Moments as the heart keeps them: whole seconds since 1970 in 32 bits, half of what a timestamp takes, and there may be
//! many thousands of them. They reach to 2106; what lies beyond is clamped.

use jiff::{SignedDuration, Timestamp};

/// The moment in seconds.
pub(crate) fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_second().max(0)).unwrap_or(u32::MAX)
}

/// The same of a span; a negative one is none.
pub(crate) fn seconds_of(span: SignedDuration) -> u32 {
    u32::try_from(span.as_secs().max(0)).unwrap_or(u32::MAX)
}

/// The moment of a second since 1970.
pub fn moment(second: u32) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap_or(Timestamp::MAX)
}

/// The moment without what is less than a second.
pub(crate) fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
