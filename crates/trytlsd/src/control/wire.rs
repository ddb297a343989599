//! What goes over the socket, as both sides write and read it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::request::{Outcome, Wish};

/// The header in which a command names the ledger that it means: two daemons may be mistaken for each other, their ledgers
/// may not.
pub(super) const LEDGER: &str = "trytlsd-ledger";

/// The longest body of a request, in bytes.
pub(super) const MOST_BODY: usize = 16 << 10;

/// The longest that news are awaited, in seconds.
pub(crate) const LONGEST_WAIT: u64 = 30;

/// Events in one answer at most.
pub(crate) const MOST_EVENTS: u32 = 1000;

/// An operator's request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) wish: Wish,
    /// The login name of who asks, as he says; the kernel knows his number.
    #[serde(default)]
    pub(crate) login: Option<String>,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Replied {
    /// Its number in the ledger.
    pub(crate) request: i64,
    /// None if the daemon has not answered in time: it will.
    pub(crate) outcome: Option<Outcome>,
}

/// What happened.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Ascending.
    pub(crate) id: i64,
    pub(crate) at: Timestamp,
    /// None for what concerns the daemon as a whole.
    pub(crate) relay: Option<String>,
    pub(crate) what: String,
    pub(crate) detail: String,
}

/// Some of what happened, the oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Events {
    pub(crate) events: Vec<Event>,
    /// The number after which to ask for more.
    pub(crate) last: i64,
}

/// Why there is no answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) error: Cow<'static, str>,
    /// What to do.
    pub(crate) hint: Cow<'static, str>,
}
