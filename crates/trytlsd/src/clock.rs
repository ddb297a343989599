//! The time of day. The one place that reads it; everything else is handed it.

use std::time::SystemTime;

use jiff::Timestamp;

/// Now, as the file system has it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn system() -> SystemTime {
    SystemTime::now()
}

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
