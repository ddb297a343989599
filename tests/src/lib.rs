//! The end-to-end tests' tools: a bed with a real sendmail, rsyslog and DNS server in it, SMTP peers
//! of every kind of brokenness, and a runner for the real trytlsd.
//!
//! ```text
//! let Some(bed) = Bed::new()
//!     .peer(Peer::new("garbage", "127.0.0.11", Mode::Garbage))
//!     .start_or_skip("mail to a broken peer is stuck")
//! else { return };
//! bed.send(&["user@garbage.rcpt.test"])?;
//! ```
//!
//! Everything runs in namespaces that the test makes itself, with "lo" as the only interface, but for the
//! wires between the networks of one fleet: no packet and no file of a test reaches the host. What the
//! bed needs is made by `make bed` (`tests/bed/build`); where it cannot be had, a test says `skipped:
//! NAME: why` and passes, except under `CI=true`, where it fails.

mod authority;
pub mod bed;
pub mod bench;
pub mod certificate;
pub mod chromium;
pub mod client;
pub mod clock;
pub mod demo;
mod dialogue;
pub mod dns;
pub mod filled;
pub mod fleet;
pub mod fleet_load;
pub mod generate;
pub mod http;
pub mod journal;
pub mod lines;
pub mod local;
pub mod makemap;
pub mod mta;
pub mod namespace;
pub mod need;
pub mod peers;
pub mod quantity;
pub mod rig;
mod session;
pub mod slapd;
pub mod soak;
pub mod trytlsd;
pub mod wait;
mod zone;
