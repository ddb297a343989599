//! Probation: an entry was lifted because the peer seemed mended. If it fails again at once, the entry returns without
//! the whole threshold, and is probed half as often as before.

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
}
