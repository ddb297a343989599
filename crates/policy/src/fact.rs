//! What was learnt on the way: facts about a relay, each with "unknown" as an answer of its own.
//!
//! An unknown answer never turns TLS off (a timeout is what an attacker can always produce).

use std::net::IpAddr;

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

/// A question about a relay, put to the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The PTR names of the address, each confirmed forward.
    Ptr(IpAddr),
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The PTR names of the address.
    Ptr(IpAddr, Answer<Ptr>),
}
