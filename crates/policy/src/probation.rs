//! Probation: an entry was lifted because the peer seemed mended. If it fails again at once, the entry returns without
//! the whole threshold, and is probed half as often as before.
//!
//! One failure of TLS itself is enough then, also after TLS has worked with the relay: it is known to break. A reset or a
//! time-out is not enough, for any network has those.

use serde::{Deserialize, Serialize};

/// How long it lasts, in seconds: a week.
const LASTS: u32 = 7 * 86_400;

/// A relay on probation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probation {
    /// Until when, in seconds since 1970.
    pub until: u32,
    /// The first interval between probes of the entry that would return, in seconds.
    pub interval: u32,
}

impl Probation {
    pub(crate) fn begin(interval: u32, now: u32) -> Self {
        Self { until: now.saturating_add(LASTS), interval }
    }

    /// Whether it lasts still.
    pub(crate) fn lasts(&self, now: u32) -> bool {
        now < self.until
    }

    /// The clock was set by so many seconds: its end stays as far away as it was.
    pub(crate) fn shift(&mut self, by: i64) {
        self.until = u32::try_from((i64::from(self.until) + by).max(1)).unwrap_or(u32::MAX);
    }
}
