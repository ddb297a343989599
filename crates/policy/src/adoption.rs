//! Adoption: a line `Try_TLS:<key> NO` that the admin wrote by hand is looked after like an entry of ours.
//!
//! The line stays where it is, to the byte: to adopt it writes nothing into the access file. The peer is probed on the
//! schedule of all entries, and what sendmail makes of the line is counted; that the peer is mended is told once. But the
//! line is never taken out by itself, neither for good probes nor for not being used: only on an operator's word, and then it
//! and no other. An adoption ends when the line is gone or is another one, with a word in the log.
//!
//! One line is adopted for one relay, so a line that acts on more (a parent domain, a network, all hosts) cannot be: what a
//! probe of one finds says nothing of the others.
//!
//! The module is closed in itself: its own table, its own answers of the map. In the ledger an adoption is a row of its own.
//!
//! **What an attacker could try.** Who lets two probes through makes a mended peer of a broken one; that is told, and what
//! follows is the operator's decision.

mod way;
mod word;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use access::admins::AdminsLine;
use access::key::Key;
use access::remedy::Tagged;
use serde::{Deserialize, Serialize};

pub(crate) use self::way::{hear, on_freed, on_look, on_probed, on_tick, on_use, retry};
pub use self::word::{Refusal, adoptable, lift_refusal, refusal};
pub(crate) use self::word::{adopt, end, lift_on_word};
use crate::approval::cut;
use crate::hold::Line;
use crate::life::Life;

/// Lines that are adopted at most.
pub(crate) const MOST: usize = 1_000;

/// A line of the admin's that is looked after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// Its key, under `Try_TLS:`.
    #[serde(with = "key_text")]
    pub key: Key,
    /// The whole line. Foreign text.
    pub line: Box<str>,
    /// Who adopted it, when, and why.
    pub word: Word,
    /// Its life, which does not end by itself.
    pub life: Life,
    /// Since when probes find that the peer is mended, in seconds since 1970; 0 if they do not.
    #[serde(default)]
    pub mended: u32,
    /// It is to be taken out.
    #[serde(default)]
    pub lifting: bool,
    /// Why it could not be, as it was told.
    #[serde(skip)]
    pub(crate) trouble: Option<Box<str>>,
}

/// An operator's word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Who gave it: a login name. Foreign text.
    pub who: Box<str>,
    /// When, in seconds since 1970.
    pub at: u32,
    /// Why, in his words; empty if he gave no reason. Foreign text.
    pub reason: Box<str>,
}

impl Word {
    /// With texts of bounded length.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self { who: cut(&self.who), reason: cut(&self.reason), ..self }
    }
}

impl Adopted {
    /// The line, for whoever takes it out.
    pub(crate) fn admins_line(&self) -> AdminsLine {
        AdminsLine { entry: Tagged::try_tls(self.key.clone()), text: self.line.clone() }
    }
}

/// The lines that are adopted, by relay.
#[derive(Clone, Debug, Default)]
pub struct Adoptions {
    pub(crate) table: BTreeMap<Box<str>, Adopted>,
    /// Relays whose row changed since it was last asked for.
    changed: BTreeSet<Box<str>>,
}

impl Adoptions {
    /// What is adopted for the relay.
    pub fn get(&self, relay: &str) -> Option<&Adopted> {
        self.table.get(relay)
    }

    /// All, by relay.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Adopted)> {
        self.table.iter().map(|(relay, adopted)| (&**relay, adopted))
    }

    pub(crate) fn get_mut(&mut self, relay: &str) -> Option<&mut Adopted> {
        let adopted = self.table.get_mut(relay)?;
        self.changed.insert(relay.into());
        Some(adopted)
    }

    pub(crate) fn put(&mut self, relay: &str, adopted: Adopted) {
        self.changed.insert(relay.into());
        self.table.insert(relay.into(), adopted);
    }

    pub(crate) fn remove(&mut self, relay: &str) -> Option<Adopted> {
        let adopted = self.table.remove(relay)?;
        self.changed.insert(relay.into());
        Some(adopted)
    }

    /// As it was saved.
    pub(crate) fn restore(&mut self, relay: &str, adopted: Adopted) {
        let life = adopted.life.bounded();
        self.table.insert(relay.into(), Adopted { life, ..adopted });
    }

    /// The rows that changed since the last call, each with what it is now; none if it is gone.
    pub(crate) fn take_changed(&mut self) -> Vec<(Box<str>, Option<Adopted>)> {
        let changed = std::mem::take(&mut self.changed);
        let row = |relay: Box<str>| {
            let adopted = self.table.get(&relay).cloned();
            (relay, adopted)
        };
        changed.into_iter().map(row).collect()
    }

    pub(crate) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The clock was set by so many seconds.
    pub(crate) fn shift(&mut self, by: i64) {
        for relay in self.relays(|_| true) {
            if let Some(adopted) = self.get_mut(&relay) {
                adopted.life.shift(by);
            }
        }
    }

    /// The relays whose adoptions fit.
    fn relays(&self, fits: impl Fn(&Adopted) -> bool) -> Vec<Box<str>> {
        let fitting = self.table.iter().filter(|(_, adopted)| fits(adopted));
        fitting.map(|(relay, _)| relay.clone()).collect()
    }
}

/// What is learnt of the taking out of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineNews {
    /// It is in the file and in the map no more.
    TakenOut,
    /// Dry run: it was shown, and stays.
    Withheld,
    /// It stays: it is not the line that was meant, or with it gone a second one for the same key would be in force; says
    /// which.
    Stays(Box<str>),
    /// It could not be taken out; file and map are as before.
    Failed(Box<str>),
}

/// Something that is so from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptionChange {
    /// The line is adopted.
    Adopted(Line, Word),
    /// What was asked for is not done.
    Refused(Refusal),
    /// Two good probes in a row: an operator may take the line out.
    Mended(Line),
    /// The line is to be taken out, on a word; and the relay gets no entry until then, in seconds since 1970.
    TakingOut(Line, u32),
    /// Dry run: it was shown, and stays.
    Withheld(Line),
    /// It stays, or could not be taken out yet.
    Stays(Box<str>),
    /// The adoption has ended.
    Ended(AdoptionEnding),
}

/// Why an adoption ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptionEnding {
    /// Its line was taken out on a word; which.
    Lifted(Box<str>),
    /// Somebody took the line out.
    Gone(Box<str>),
    /// The line for the key is another one now.
    Changed(Line),
    /// On a word; the line stays.
    OnWord(Line),
}

/// A key as the text that the access file has.
mod key_text {
    use access::key::Key;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &Key, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Key, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
