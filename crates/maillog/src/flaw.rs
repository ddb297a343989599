//! Why a line, or a part of it, is not what it would have to be.

/// What keeps a line from being read. Shown to the operator by `trytlsd match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The line does not begin with a time stamp.
    #[error(
        "no syslog time stamp at the start (known: `Nov 23 11:30:13`, RFC 3339 with a zone, RFC 5424)"
    )]
    Stamp,
    /// The host is missing.
    #[error("no host name after the time stamp")]
    Host,
    /// There is no `program[pid]: ` (RFC 5424: no process id).
    #[error("no `program[pid]: ` after the host name")]
    Tag,
    /// The message begins like none of the lines that tell anything about STARTTLS.
    #[error("the message does not begin as one of sendmail's STARTTLS, ruleset or delivery lines")]
    OtherMessage,
    /// A fixed text is missing at its place.
    #[error("`{0}` is missing at its place")]
    Missing(&'static str),
    /// A field has a value that sendmail does not write.
    #[error("`{0}` has a value that sendmail does not write")]
    Value(&'static str),
    /// A delivery line without `relay=`: queued, quarantined, or no host was asked.
    #[error("no `relay=` after `pri=`: no host was asked")]
    NoRelay,
    /// The list of recipients does not end: a quote or a bracket is left open.
    #[error("the list of recipients does not end: a quote or a bracket is left open")]
    OpenList,
}
