//! The directory against a real slapd with sendmail's schema: what the map's entries and the votes go through, and what
//! can go wrong with servers.

#![expect(clippy::expect_used, reason = "a test may fail")]

#[path = "../../../../tests/src/need.rs"]
pub mod need;

mod certificate;
mod entries;
mod fleet;
mod lab;
mod mark;
mod sendmail;
mod trouble;
mod votes;
