//! One entry of ours, with its reason.

use jiff::Timestamp;

use crate::key::Key;

/// An entry of our block: `Try_TLS:<key> NO` under a comment that says why, since when and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// What sendmail looks up.
    pub key: Key,
    /// The relay it stands for, verbatim as in the ruleset line.
    pub relay: Box<str>,
    /// Why, in words; printed in a comment, control characters escaped, cut to what fits the line.
    pub why: String,
    /// When it was decided, whole seconds.
    pub since: Timestamp,
    /// When it ends, whole seconds, if it does.
    pub until: Option<Timestamp>,
}

impl Managed {
    /// The line that sendmail's map is made from, without a line end.
    pub fn line(&self) -> String {
        line(&self.key)
    }
}

/// The line of the access file that turns TLS off for the key: a tab, `NO`, nothing after it.
pub fn line(key: &Key) -> String {
    format!("Try_TLS:{key}\tNO")
}
