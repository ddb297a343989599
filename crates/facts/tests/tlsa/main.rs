//! TLSA questions put to DNS servers: ours, which can lie, and unbound, which was not written by us and checks
//! signatures, or leaves that to us.

#![expect(clippy::expect_used, reason = "a test may fail")]

#[path = "../../../../tests/src/dns.rs"]
pub mod dns;
#[path = "../../../../tests/src/need.rs"]
pub mod need;

mod fake;
mod hostile;
mod lab;
mod real;

use std::net::SocketAddr;
use std::time::Duration;

use facts::{Resolver, Settings};
use jiff::Timestamp;
use policy::fact::{Answer, Fact, Question};

fn settings(servers: &[SocketAddr]) -> Settings {
    let timeout = Duration::from_secs(5);
    Settings { servers: servers.to_vec(), timeout, ..Settings::default() }
}

/// An answer in short: `Secure`, `Insecure`, `Absent`, or `? why`.
async fn ask(resolver: &Resolver, relay: &str) -> String {
    let fact = resolver.ask(Question::Tlsa(relay.into()), Timestamp::UNIX_EPOCH).await;
    let Fact::Tlsa(about, answer) = fact else { panic!("{fact:?}") };
    assert_eq!(&*about, relay);
    match answer {
        Answer::Known(tlsa) => format!("{tlsa:?}"),
        Answer::Unknown(why) => {
            assert!(why.is_ascii() && !why.bytes().any(|b| b.is_ascii_control()), "{why}");
            assert!(why.len() < 500, "{why}");
            format!("? {why}")
        }
        Answer::NotAsked => "not asked".to_owned(),
    }
}
