//! The questions whose answers a candidate waits for, and the answers that have come.

use std::net::IpAddr;

use maillog::relay::{Form, Relay, is_plain_name};

use crate::choice::Located;
use crate::domains::Domains;
use crate::evidence::ADDRESSES;
use crate::fact::{Answer, Fact, Ptr, Question, Sts, Tlsa};

/// Names whose TLSA records are asked about, at most.
const MOST_NAMES: usize = 5;

/// What was asked of one relay, each with its answer once it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The PTR of each address at which mail was stuck.
    pub ptr: Vec<Row<IpAddr, Ptr>>,
    /// The TLSA records of its name; none for an address literal, which can have none. Where its entry would be by
    /// address, those of the confirmed PTR names too: whoever is reached by that name would share it.
    pub tlsa: Vec<Row<Box<str>, Tlsa>>,
    /// The addresses of its name, where the log told none.
    pub addresses: Option<Row<Box<str>, Vec<IpAddr>>>,
    /// The MTA-STS policy of each recipient's domain.
    pub sts: Vec<Row<Box<str>, Option<Sts>>>,
}

/// What was asked about, and the answer once it has come.
pub type Row<Q, A> = (Q, Option<Answer<A>>);

impl Asked {
    /// All that is to be asked.
    pub fn of(relay: &Relay<'_>, addresses: &[IpAddr], domains: Option<&Domains>) -> Self {
        let name: Option<Box<str>> = match relay.form() {
            Form::Name(name) | Form::Bracketed(name) => Some(name.into()),
            Form::Address(_) | Form::Odd => None,
        };
        let mut asked = Self {
            ptr: addresses.iter().map(|address| (*address, None)).collect(),
            tlsa: name.iter().map(|name| (name.clone(), None)).collect(),
            addresses: name.filter(|_| addresses.is_empty()).map(|name| (name, None)),
            sts: Vec::new(),
        };
        for domain in domains.map_or(&[][..], Domains::list) {
            asked.add_domain(domain);
        }
        asked
    }

    /// The questions that wait for an answer.
    pub fn open(&self) -> impl Iterator<Item = Question> {
        let ptr = self.ptr.iter().filter(|(_, answer)| answer.is_none());
        let tlsa = self.tlsa.iter().filter(|(_, answer)| answer.is_none());
        let sts = self.sts.iter().filter(|(_, answer)| answer.is_none());
        let addresses = self.addresses.iter().filter(|(_, answer)| answer.is_none());
        ptr.map(|(address, _)| Question::Ptr(*address))
            .chain(addresses.map(|(name, _)| Question::Addresses(name.clone())))
            .chain(tlsa.map(|(name, _)| Question::Tlsa(name.clone())))
            .chain(sts.map(|(domain, _)| Question::Sts(domain.clone())))
    }

    /// Whether all has been answered.
    pub fn is_answered(&self) -> bool {
        self.open().next().is_none()
    }

    /// Adds an address; the question, if it is a new one.
    pub(crate) fn add_address(&mut self, address: IpAddr) -> Option<Question> {
        if self.ptr.len() >= ADDRESSES || self.ptr.iter().any(|(known, _)| *known == address) {
            return None;
        }
        self.ptr.push((address, None));
        Some(Question::Ptr(address))
    }

    /// Adds a recipient's domain; the question, if it is a new one and the domain can have a policy.
    pub(crate) fn add_domain(&mut self, domain: &str) -> Option<Question> {
        if !is_plain_name(domain) || self.sts.iter().any(|(known, _)| **known == *domain) {
            return None;
        }
        self.sts.push((domain.into(), None));
        Some(Question::Sts(domain.into()))
    }

    /// Files an answer; gives the questions that follow from it.
    pub fn answer(&mut self, fact: &Fact) -> Vec<Question> {
        match fact {
            Fact::Ptr(address, answer) => {
                file(&mut self.ptr, address, answer);
                return self.add_tlsa(answer);
            }
            Fact::Tlsa(name, answer) => file(&mut self.tlsa, name, answer),
            Fact::Sts(domain, answer) => file(&mut self.sts, domain, answer),
            Fact::Addresses(name, answer) => file(self.addresses.as_mut_slice(), name, answer),
        }
        Vec::new()
    }

    /// The confirmed PTR names are asked about as the relay's own.
    fn add_tlsa(&mut self, answer: &Answer<Ptr>) -> Vec<Question> {
        let Answer::Known(ptr) = answer else { return Vec::new() };
        let mut new = Vec::new();
        for name in ptr.names.iter().filter(|name| name.confirmed).map(|name| &name.name) {
            if self.tlsa.len() < MOST_NAMES && self.tlsa.iter().all(|(known, _)| known != name) {
                self.tlsa.push((name.clone(), None));
                new.push(Question::Tlsa(name.clone()));
            }
        }
        new
    }

    /// The addresses with what is known of them.
    pub(crate) fn located(&self) -> Vec<Located> {
        let known = |answer: &Option<Answer<Ptr>>| answer.clone().unwrap_or(Answer::NotAsked);
        let located = self.ptr.iter();
        located.map(|(address, ptr)| Located { address: *address, ptr: known(ptr) }).collect()
    }

    /// The PTR names of its addresses that their forward look-ups confirm.
    pub(crate) fn confirmed_names(&self) -> impl Iterator<Item = &str> {
        self.ptr.iter().flat_map(|(address, _)| self.confirmed_names_of(*address))
    }

    /// Those of one address.
    pub(crate) fn confirmed_names_of(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        let known = self.ptr.iter().filter(move |(asked, _)| asked.to_canonical() == address);
        let known = known.filter_map(|(_, answer)| match answer {
            Some(Answer::Known(ptr)) => Some(&ptr.names),
            _ => None,
        });
        known.flatten().filter(|name| name.confirmed).map(|name| &*name.name)
    }

    /// What was learnt of another name on the way.
    pub(crate) fn of_name(&self, name: &str) -> Self {
        let tlsa = self.tlsa.iter().filter(|(asked, _)| **asked == *name).cloned().collect();
        Self { tlsa, ..Self::default() }
    }

    /// The addresses at which mail was stuck; where the log told none, those of the name.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let named = match &self.addresses {
            Some((_, Some(Answer::Known(addresses)))) => addresses.as_slice(),
            _ => &[],
        };
        self.ptr.iter().map(|(address, _)| *address).chain(named.iter().copied())
    }

    /// Whether the key of an entry can be told: what it depends on has been answered.
    pub(crate) fn is_located(&self) -> bool {
        self.ptr.iter().all(|(_, answer)| answer.is_some())
    }
}

fn file<Q: PartialEq, A: Clone>(rows: &mut [Row<Q, A>], question: &Q, answer: &Answer<A>) {
    let row = rows.iter_mut().find(|(asked, answer)| asked == question && answer.is_none());
    if let Some((_, slot)) = row {
        *slot = Some(answer.clone());
    }
}
