//! The rows that pass in and out. Moments are kept in whole seconds.

use jiff::Timestamp;

/// The state of one relay, new or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayChange {
    /// The relay, verbatim as in the log.
    pub relay: String,
    /// When it was last seen, in seconds since 1970. Rows not seen for long are purged.
    pub seen: i64,
    /// Whether the row stays whatever its age: an entry is in force, or about to be. With TLS off the log tells nothing more of a
    /// relay, so its age says nothing.
    pub stays: bool,
    /// The record, as the policy writes it; none deletes the row.
    pub record: Option<String>,
}

/// The last handshake with a relay that worked, as sendmail logged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// When, in seconds since 1970.
    pub seen: i64,
    /// The protocol: `TLSv1.3`.
    pub version: String,
    /// What the check of the certificate gave: `OK`, `FAIL`, `NO`.
    pub verify: String,
}

/// An MTA-STS policy of a domain (RFC 8461), in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsRow {
    /// The domain of the recipients.
    pub domain: String,
    /// The policy's `mode`: `enforce`, `testing`, `none` (section 3.2).
    pub mode: String,
    /// The `id` of the TXT record for which it was fetched (section 3.1).
    pub id: String,
    /// When it was fetched, in seconds since 1970.
    pub fetched: i64,
    /// Until when it holds, in seconds since 1970. A row whose time has passed is purged.
    pub until: i64,
}

/// Something that happened, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// To which relay; none for what concerns the daemon as a whole.
    pub relay: Option<String>,
    /// What, in one word: `held`, `active`.
    pub what: String,
    /// The rest.
    pub detail: String,
}

/// A line of a log that speaks against a relay, as evidence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The relay, verbatim as in the log.
    pub relay: String,
    /// When it counted.
    pub at: Timestamp,
    /// The line.
    pub line: String,
}

/// What one MTA of a fleet says of one relay, as it was last seen in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteRow {
    /// The relay.
    pub relay: String,
    /// The MTA.
    pub mta: String,
    /// What it says, in words.
    pub says: String,
    /// When what it says was seen there, in seconds since 1970.
    pub seen: i64,
    /// When it said so, in seconds since 1970.
    pub written: i64,
}

/// What an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number: ascending, never used again.
    pub id: i64,
    /// Who asked.
    pub who: String,
    /// When.
    pub at: Timestamp,
    /// For what, as its reader understands it.
    pub what: String,
    /// How it ended, if it has.
    pub settled: Option<Settled>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// When.
    pub at: Timestamp,
    /// With what outcome.
    pub outcome: String,
}
