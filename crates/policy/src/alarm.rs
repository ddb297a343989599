//! Alarms: what concerns the daemon as a whole and needs a person. One of a kind at a time, told once when it is raised
//! and once when it has ended.

use serde::{Deserialize, Serialize};

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// The fault seems to be ours: everything is held.
    OwnFault,
    /// The limit of entries in force, or of new ones in an hour, is reached.
    Limit,
}

impl About {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::OwnFault => "own-fault",
            Self::Limit => "limit",
        }
    }
}

/// An alarm that was raised and has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is about.
    pub about: About,
    /// When it was raised, in seconds since 1970.
    pub since: u32,
    /// What was seen, and the likely cause. Built of numbers and our own words.
    pub says: Box<str>,
}
