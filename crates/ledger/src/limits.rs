//! How long rows are kept, and how many.

use jiff::SignedDuration;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How long rows are kept, and how many. Ages are looked at on opening and once a day; the number of relays, of
/// successes and of MTA-STS policies at least whenever [`Limits::rows`] / 8 of them were written, that of happenings at
/// every commit. A policy says itself how long it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Happenings, and requests that are settled.
    pub history: SignedDuration,
    /// Relays that were not seen, but for those that stay.
    pub relays: SignedDuration,
    /// Relays with which TLS worked.
    pub successes: SignedDuration,
    /// Rows of each of the tables of happenings, relays, successes, policies.
    pub rows: u32,
    /// Requests that are not settled; a further one is refused.
    pub requests: u32,
}

impl Default for Limits {
    /// 90 days of history, 60 of all else; 200,000 rows, 1,000 requests.
    fn default() -> Self {
        Self {
            history: DAY * 90,
            relays: DAY * 60,
            successes: DAY * 60,
            rows: 200_000,
            requests: 1000,
        }
    }
}
