//! What the network tells about a relay: PTR with forward confirmation, TLSA records and whether DNSSEC proves them, the
//! MTA-STS policy of a domain. "Unknown" is an answer of its own; what follows from an answer is not decided here.
//!
//! Every answer comes from a server that anybody may run: a PTR zone belongs to whoever holds the address. So names are
//! checked before they are believed, answers must be to the question that was asked, and how much is asked, awaited and
//! remembered is bounded.

mod addresses;
mod cache;
mod chain;
mod ptr;
mod resolver;
mod servers;
mod sts;
mod survey;
mod tlsa;
mod upstream;

pub use resolver::{Dnssec, Resolver, Settings};
pub use survey::Surveyed;
