//! One entry of ours, with its reason.

use jiff::Timestamp;

use crate::key::Key;
use crate::remedy::{Remedy, Tagged};

/// An entry of our block, `Try_TLS:<key> NO` for instance, under a comment that says why, since when and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// What it does.
    pub remedy: Remedy,
    /// What sendmail looks up.
    pub key: Key,
    /// The relay it stands for, verbatim as in the ruleset line; the client, by name or address.
    pub relay: Box<str>,
    /// Why, in words; printed in a comment, control characters escaped, cut to what fits the line.
    pub why: String,
    /// When it was decided, whole seconds.
    pub since: Timestamp,
    /// When it ends, whole seconds, if it does.
    pub until: Option<Timestamp>,
}

impl Managed {
    /// What it is known by.
    pub fn tagged(&self) -> Tagged {
        Tagged { remedy: self.remedy, key: self.key.clone() }
    }

    /// The line that sendmail's map is made from, without a line end.
    pub fn line(&self) -> String {
        self.tagged().line()
    }
}
