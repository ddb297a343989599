//! What is known of one relay.

use std::net::IpAddr;

use access::key::Key;

use crate::choice::Located;
use crate::evidence::Evidence;
use crate::fact::{Answer, Ptr};
use crate::hold::Hold;
use crate::table::Row;

/// One relay that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Stuck attempts since the last success.
    pub evidence: Evidence,
    /// The keys that are in force.
    pub active: Vec<Key>,
    /// The keys that dry run has shown.
    pub proposed: Vec<Key>,
    /// What is going on.
    pub work: Work,
    pub(crate) last_seen: u32,
}

/// What is going on with a relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Work {
    /// Nothing.
    #[default]
    Idle,
    /// Facts are gathered, address by address.
    Asking(Vec<(IpAddr, Option<Answer<Ptr>>)>),
    /// The map is being changed.
    Editing(Vec<Key>),
    /// A guard speaks.
    Held(Box<Hold>),
}

impl Record {
    /// What a guard says against the relay, if one speaks.
    pub fn hold(&self) -> Option<&Hold> {
        match &self.work {
            Work::Held(hold) => Some(hold),
            Work::Idle | Work::Asking(_) | Work::Editing(_) => None,
        }
    }

    /// The addresses whose facts are waited for.
    pub(crate) fn asked(&self) -> impl Iterator<Item = IpAddr> {
        let asked: &[(IpAddr, Option<Answer<Ptr>>)] = match &self.work {
            Work::Asking(asked) => asked,
            Work::Idle | Work::Editing(_) | Work::Held(_) => &[],
        };
        asked.iter().filter(|(_, answer)| answer.is_none()).map(|(address, _)| *address)
    }

    /// Whether a further stuck attempt may lead to a decision: not while one is on its way, nor while the hold is one
    /// that a further attempt does not mend.
    pub(crate) fn is_open(&self) -> bool {
        match &self.work {
            Work::Idle => true,
            Work::Held(hold) => !matches!(**hold, Hold::Refuted(_) | Hold::MapFailed(_)),
            Work::Asking(_) | Work::Editing(_) => false,
        }
    }

    /// Files an answer. All addresses with their answers, once the last is there.
    pub(crate) fn answer(&mut self, address: IpAddr, answer: &Answer<Ptr>) -> Option<Vec<Located>> {
        let Work::Asking(asked) = &mut self.work else { return None };
        let (_, slot) = asked.iter_mut().find(|(a, slot)| *a == address && slot.is_none())?;
        *slot = Some(answer.clone());
        asked
            .iter()
            .map(|(address, ptr)| Some(Located { address: *address, ptr: ptr.clone()? }))
            .collect()
    }

    /// Whether mail was stuck at an address that no key in force, proposed or being written covers.
    pub(crate) fn uncovered(&self) -> Vec<IpAddr> {
        let by_name = |key: &Key| matches!(key, Key::Name(_) | Key::Bracketed(_));
        if self.keys().any(by_name) {
            return Vec::new();
        }
        let covered =
            |address: &IpAddr| self.keys().any(|key| *key == Key::Address(address.to_canonical()));
        self.evidence.addresses().iter().copied().filter(|a| !covered(a)).collect()
    }

    /// Whether the relay is past its threshold: an entry is in force, proposed or being written.
    pub(crate) fn is_decided(&self) -> bool {
        self.keys().next().is_some()
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        let editing: &[Key] = match &self.work {
            Work::Editing(keys) => keys,
            Work::Idle | Work::Asking(_) | Work::Held(_) => &[],
        };
        self.active.iter().chain(&self.proposed).chain(editing)
    }
}

impl Row for Record {
    fn last_seen(&self) -> u32 {
        self.last_seen
    }

    fn must_stay(&self) -> bool {
        self.is_decided()
    }
}
