//! What is known of one client, and how its entry stands. Kept small: anybody can connect from as many addresses as he
//! has.

use access::key::Key;
use access::remedy::Tagged;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::approval::Approval;
use crate::evidence::Evidence;
use crate::hold::Hold;
use crate::moment::{moment, seconds};
use crate::table::Row;

/// One client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// When it was last seen, in seconds since 1970.
    pub(crate) seen: u32,
    /// When it last handed a message over, to the hour, in seconds since 1970; 0 if never.
    #[serde(default)]
    pub(crate) delivered: u32,
    /// When a handshake with it last succeeded, to the hour, in seconds since 1970; 0 if never.
    #[serde(default)]
    pub(crate) worked: u32,
    /// Its PTR name, if sendmail has confirmed it.
    #[serde(default)]
    pub(crate) name: Option<Box<str>>,
    /// Its broken handshakes.
    pub(crate) evidence: Evidence,
    /// How its entry stands.
    #[serde(default)]
    pub(crate) standing: Standing,
    /// An operator's word against the guards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) approved: Option<Box<Approval>>,
    /// When its entry was last lifted by hand, in seconds since 1970; 0 if it never was.
    #[serde(default)]
    pub(crate) lifted_at: u32,
    /// Until when a lifting by hand holds, in seconds since 1970; 0 if none does.
    #[serde(default)]
    pub(crate) lifted_until: u32,
    /// What it is held for, as it was told.
    #[serde(skip)]
    pub(crate) held: Option<Hold>,
}

/// How a client's entry stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It has none.
    #[default]
    None,
    /// Dry run: it was shown.
    Proposed(Entry),
    /// It is being written.
    Writing(Entry),
    /// It is in force.
    Active(Entry),
    /// Others wiped it away; it is to be put back.
    Wiped(Entry),
    /// It is being put back.
    PuttingBack(Entry),
    /// It is to be taken out.
    Removing(Entry),
}

/// An entry `Srv_Features:<key> S`. Saved as a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(String, u32)", into = "(String, u32)")]
pub struct Entry {
    /// Its key.
    pub key: Key,
    /// When it ends, in seconds since 1970; 0 if it does not.
    pub until: u32,
}

impl TryFrom<(String, u32)> for Entry {
    type Error = access::key::Invalid;

    fn try_from((key, until): (String, u32)) -> Result<Self, Self::Error> {
        Ok(Self { key: key.parse()?, until })
    }
}

impl From<Entry> for (String, u32) {
    fn from(entry: Entry) -> Self {
        (entry.key.to_string(), entry.until)
    }
}

impl Entry {
    /// When it ends, in seconds since 1970; none if it does not.
    pub fn until(&self) -> Option<u32> {
        (self.until != 0).then_some(self.until)
    }

    /// Tag and key.
    pub fn tagged(&self) -> Tagged {
        Tagged::srv_features(self.key.clone())
    }
}

impl Standing {
    /// The entry that is in force, proposed, or on its way.
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Proposed(entry)
            | Self::Writing(entry)
            | Self::Active(entry)
            | Self::Wiped(entry)
            | Self::PuttingBack(entry) => Some(entry),
            Self::None | Self::Removing(_) => None,
        }
    }

    /// Whether its entry has this key and is in force, proposed, or on its way in or out.
    pub(crate) fn has(&self, key: &Key) -> bool {
        match self {
            Self::Removing(entry) => entry.key == *key,
            _ => self.entry().is_some_and(|entry| entry.key == *key),
        }
    }
}

/// By what a client shows that it is a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// A handshake with it succeeded.
    Handshake,
    /// It handed a message over.
    Mail,
}

impl Client {
    /// When it last gave the sign, to the hour, in seconds since 1970; 0 if never.
    pub(crate) fn last(&self, sign: Sign) -> u32 {
        match sign {
            Sign::Handshake => self.worked,
            Sign::Mail => self.delivered,
        }
    }

    /// It gave the sign.
    pub(crate) fn gave(&mut self, sign: Sign, second: u32) {
        let last = match sign {
            Sign::Handshake => &mut self.worked,
            Sign::Mail => &mut self.delivered,
        };
        *last = second.max(*last);
    }

    /// Whether it is a mail server by what it has done: it handed mail over, or spoke TLS with us.
    pub fn is_known(&self) -> bool {
        self.delivered != 0 || self.worked != 0
    }

    /// An operator's word against the guards, if it holds.
    pub fn approval(&self, now: Timestamp) -> Option<&Approval> {
        self.approved.as_deref().filter(|approval| seconds(now) < approval.until)
    }

    /// Until when it gets no entry, since one was lifted by hand, in seconds since 1970.
    pub fn lifted_until(&self, now: Timestamp) -> Option<u32> {
        Some(self.lifted_until).filter(|until| seconds(now) < *until)
    }

    /// Its PTR name, if sendmail has confirmed it.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its broken handshakes.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// When it last handed a message over, and when a handshake with it last succeeded; to the hour.
    pub fn gets_through(&self) -> [Option<Timestamp>; 2] {
        [self.delivered, self.worked].map(|second| (second != 0).then(|| moment(second)))
    }

    /// How its entry stands.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// When it was last seen, in seconds since 1970.
    pub fn last_seen(&self) -> u32 {
        self.seen
    }

    /// Whether it must not be forgotten, whatever its age.
    pub fn stays(&self) -> bool {
        let terms = self.lifted_until != 0 || self.approved.is_some();
        terms || !matches!(self.standing, Standing::None | Standing::Proposed(_))
    }
}

impl Row for Client {
    fn last_seen(&self) -> u32 {
        self.seen
    }

    fn must_stay(&self) -> bool {
        self.stays()
    }
}
