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
    /// The map cannot be rebuilt.
    Map,
    /// A log cannot be read.
    Log,
}

/// What the heart does not see itself: others tell that it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The map is changed.
    Map,
    /// The logs are read.
    Log,
}

impl From<Outside> for About {
    fn from(outside: Outside) -> Self {
        match outside {
            Outside::Map => Self::Map,
            Outside::Log => Self::Log,
        }
    }
}

impl About {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::OwnFault => "own-fault",
            Self::Limit => "limit",
            Self::Map => "map",
            Self::Log => "log",
        }
    }

    /// What it stops while it lasts.
    pub fn meanwhile(self) -> &'static str {
        match self {
            Self::OwnFault | Self::Limit => "nothing is written meanwhile",
            Self::Map => "it is tried again, and the map is as it was meanwhile",
            Self::Log => "it is tried again, and what stands there is not known meanwhile",
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
    /// What was seen, and the likely cause. Of map and log foreign text, of bounded length.
    pub says: Box<str>,
}
