//! The questions whose answers a candidate waits for, and the answers that have come.

use std::net::IpAddr;

use maillog::relay::{Form, Relay, is_plain_name};

use crate::choice::Located;
use crate::domains::Domains;
use crate::evidence::ADDRESSES;
use crate::fact::{Answer, Fact, Ptr, Question, Sts, Tlsa};

/// What was asked of one relay, each with its answer once it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The PTR of each address at which mail was stuck.
    pub ptr: Vec<Row<IpAddr, Ptr>>,
    /// The TLSA records of its name; none for an address literal, which can have none.
    pub tlsa: Option<Row<Box<str>, Tlsa>>,
    /// The MTA-STS policy of each recipient's domain.
    pub sts: Vec<Row<Box<str>, Option<Sts>>>,
}

/// What was asked about, and the answer once it has come.
pub type Row<Q, A> = (Q, Option<Answer<A>>);

impl Asked {
    /// All that is to be asked.
    pub fn of(relay: &Relay<'_>, addresses: &[IpAddr], domains: Option<&Domains>) -> Self {
        let tlsa = match relay.form() {
            Form::Name(name) | Form::Bracketed(name) => Some((name.into(), None)),
            Form::Address(_) | Form::Odd => None,
        };
        let mut asked = Self {
            ptr: addresses.iter().map(|address| (*address, None)).collect(),
            tlsa,
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
        ptr.map(|(address, _)| Question::Ptr(*address))
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

    /// Adds a recipient's domain; the question, if it is a new one and the domain can have a policy. Of one that is no
    /// plain name (not in ASCII, or cut) nobody can be asked, so it is unknown.
    pub(crate) fn add_domain(&mut self, domain: &str) -> Option<Question> {
        let none = domain.is_empty() || domain.starts_with('[');
        if none || self.sts.iter().any(|(known, _)| **known == *domain) {
            return None;
        }
        if !is_plain_name(domain) {
            self.sts.push((domain.into(), Some(Answer::Unknown("it is no plain name".into()))));
            return None;
        }
        self.sts.push((domain.into(), None));
        Some(Question::Sts(domain.into()))
    }

    /// Files an answer; whether it was waited for.
    pub fn answer(&mut self, fact: &Fact) -> bool {
        match fact {
            Fact::Ptr(address, answer) => file(&mut self.ptr, address, answer),
            Fact::Tlsa(name, answer) => file(self.tlsa.as_mut_slice(), name, answer),
            Fact::Sts(domain, answer) => file(&mut self.sts, domain, answer),
        }
    }

    /// The addresses with what is known of them.
    pub(crate) fn located(&self) -> Vec<Located> {
        let known = |answer: &Option<Answer<Ptr>>| answer.clone().unwrap_or(Answer::NotAsked);
        let located = self.ptr.iter();
        located.map(|(address, ptr)| Located { address: *address, ptr: known(ptr) }).collect()
    }

    /// The PTR names of its addresses that their forward look-ups confirm.
    pub(crate) fn confirmed_names(&self) -> impl Iterator<Item = &str> {
        let known = self.ptr.iter().filter_map(|(_, answer)| match answer {
            Some(Answer::Known(ptr)) => Some(&ptr.names),
            _ => None,
        });
        known.flatten().filter(|name| name.confirmed).map(|name| &*name.name)
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ptr.iter().map(|(address, _)| *address)
    }
}

fn file<Q: PartialEq, A: Clone>(rows: &mut [Row<Q, A>], question: &Q, answer: &Answer<A>) -> bool {
    let row = rows.iter_mut().find(|(asked, answer)| asked == question && answer.is_none());
    let Some((_, slot)) = row else { return false };
    *slot = Some(answer.clone());
    true
}
