//! What was learnt on the way: facts about a relay, each with "unknown" as an answer of its own.
//!
//! An unknown answer never turns TLS off (a timeout is what an attacker can always produce).

use std::net::IpAddr;

use jiff::Timestamp;

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The answer.
    Known(T),
    /// There was none: a timeout, SERVFAIL, no route. Says which.
    Unknown(Box<str>),
    /// Nobody asked (`scan --no-dns`).
    NotAsked,
}

/// The PTR names of one address; none if the address has no PTR record.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ptr {
    /// The names, lower case, without the final dot, at most 8; only plain host names.
    pub names: Vec<PtrName>,
}

/// One PTR name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PtrName {
    /// The name.
    pub name: Box<str>,
    /// Whether a forward look-up of the name gives the address back.
    pub confirmed: bool,
}

/// What DNS says of the TLSA records of a relay (`_25._tcp.<relay>`, RFC 7672).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tlsa {
    /// There are some, and DNSSEC proves them: mail to this relay must not go in clear.
    Secure,
    /// There are some, and the zone is not signed: they bind nobody (RFC 7672, section 2.1.1).
    Insecure,
    /// There are none.
    Absent,
}

/// The MTA-STS policy of a recipient's domain (RFC 8461).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sts {
    /// Its mode.
    pub mode: StsMode,
    /// `id=` of the TXT record that it was fetched for: 1 to 32 letters and digits.
    pub id: Box<str>,
    /// When it was fetched.
    pub fetched: Timestamp,
    /// Until when it holds: `max_age` later, a year at most.
    pub until: Timestamp,
}

/// `mode:` of an MTA-STS policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StsMode {
    /// Mail must not go without TLS to a host of the policy.
    Enforce,
    /// Failures are only to be reported.
    Testing,
    /// The domain has no policy any more.
    None,
}

/// A question about a relay, put to the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The PTR names of the address, each confirmed forward.
    Ptr(IpAddr),
    /// The TLSA records of the relay of this name: a plain host name in lower case, without brackets.
    Tlsa(Box<str>),
    /// The MTA-STS policy of this recipient domain: a plain name in lower case.
    Sts(Box<str>),
    /// The addresses of this host: a plain name in lower case.
    Addresses(Box<str>),
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The PTR names of the address.
    Ptr(IpAddr, Answer<Ptr>),
    /// The TLSA records of the name.
    Tlsa(Box<str>, Answer<Tlsa>),
    /// The policy of the domain; none if it publishes none.
    Sts(Box<str>, Answer<Option<Sts>>),
    /// The addresses of the host, at most 16; none if it has none.
    Addresses(Box<str>, Answer<Vec<IpAddr>>),
}
