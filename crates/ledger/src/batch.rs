//! What one commit changes.

use jiff::Timestamp;

use crate::error::Error;
use crate::row::{Happening, Line, RelayChange, Settled, StsRow, Success, VoteRow};

/// The longest text, in bytes: a name, a key, a place, a detail. The longest host name has 255.
pub const TEXT_MAX: usize = 4 << 10;

/// The longest record of a relay, in bytes. A common one has 200; one with the answers for eight addresses in it has
/// more.
pub const RECORD_MAX: usize = 16 << 10;

/// Lines of a log that are kept of a relay.
pub const LINES_KEPT: u16 = 6;

/// The longest text of pending attempts of one log, in bytes.
pub const PENDING_MAX: usize = 1 << 20;

/// What one commit changes: all of it, or nothing. Where one row is named twice the later word stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The time of day of the commit; what is purged by age is purged by it.
    pub now: Timestamp,
    /// Log and the place in it.
    pub places: Vec<(String, String)>,
    /// Log and its pending attempts.
    pub pending: Vec<(String, String)>,
    /// Relays.
    pub relays: Vec<RelayChange>,
    /// Relay and the last handshake with it that worked; none deletes the row.
    pub successes: Vec<(String, Option<Success>)>,
    /// MTA-STS policies, new or fetched again.
    pub policies: Vec<StsRow>,
    /// Requests that were carried out or refused, by number.
    pub settled: Vec<(i64, Settled)>,
    /// Name and text of a thing of the daemon as a whole; none deletes it.
    pub notes: Vec<(String, Option<String>)>,
    /// What happened.
    pub history: Vec<Happening>,
    /// Lines of logs, in their order; of each relay the last [`LINES_KEPT`] are kept.
    pub lines: Vec<Line>,
    /// All that the MTAs of the fleet say, in place of what was kept of it; none leaves that as it is.
    pub votes: Option<Vec<VoteRow>>,
}

impl Batch {
    /// An empty batch.
    pub fn new(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        *self == Self::new(self.now)
    }

    /// How many rows it may add to the tables that a flood could fill.
    pub(crate) fn rows(&self) -> usize {
        self.relays.len() + self.successes.len() + self.policies.len() + self.lines.len()
    }

    /// Refuses texts that are too long.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (log, place) in &self.places {
            check("the path of a log", log, TEXT_MAX)?;
            check("a place", place, TEXT_MAX)?;
        }
        for (log, pending) in &self.pending {
            check("the path of a log", log, TEXT_MAX)?;
            check("the pending attempts", pending, PENDING_MAX)?;
        }
        for change in &self.relays {
            check("a relay", &change.relay, TEXT_MAX)?;
            check("a record", change.record.as_deref().unwrap_or_default(), RECORD_MAX)?;
        }
        for (relay, success) in &self.successes {
            check("a relay", relay, TEXT_MAX)?;
            if let Some(success) = success {
                check("a TLS version", &success.version, TEXT_MAX)?;
                check("what the check of a certificate gave", &success.verify, TEXT_MAX)?;
            }
        }
        for policy in &self.policies {
            check("a domain", &policy.domain, TEXT_MAX)?;
            check("the mode of a policy", &policy.mode, TEXT_MAX)?;
            check("the id of a policy", &policy.id, TEXT_MAX)?;
        }
        for (_, settled) in &self.settled {
            check("an outcome", &settled.outcome, TEXT_MAX)?;
        }
        for (name, note) in &self.notes {
            check("the name of a note", name, TEXT_MAX)?;
            check("a note", note.as_deref().unwrap_or_default(), TEXT_MAX)?;
        }
        for happening in &self.history {
            check("a relay", happening.relay.as_deref().unwrap_or_default(), TEXT_MAX)?;
            check("a happening", &happening.what, TEXT_MAX)?;
            check("a detail", &happening.detail, TEXT_MAX)?;
        }
        for line in &self.lines {
            check("a relay", &line.relay, TEXT_MAX)?;
            check("a line of a log", &line.line, TEXT_MAX)?;
        }
        for vote in self.votes.iter().flatten() {
            check("a relay", &vote.relay, TEXT_MAX)?;
            check("the name of an MTA", &vote.mta, TEXT_MAX)?;
            check("what an MTA says", &vote.says, TEXT_MAX)?;
        }
        Ok(())
    }
}

/// Refuses a text that is longer than `limit` bytes.
pub(crate) fn check(what: &'static str, text: &str, limit: usize) -> Result<(), Error> {
    if text.len() > limit {
        return Err(Error::TooLong { what, length: text.len(), limit });
    }
    Ok(())
}
