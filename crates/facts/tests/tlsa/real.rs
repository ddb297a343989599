//! The same names by unbound's validation, whose AD bit we believe, and by our own over an unbound that does not
//! validate.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use facts::{Dnssec, Resolver, Settings};

use crate::lab::{Lab, Unbound};
use crate::{ask, need, settings};

/// Relays and what is true of them; `?` for what must be unknown.
const TRUTH: &[(&str, &str)] = &[
    ("mx.secure.test", "Secure"),
    ("plain.secure.test", "Absent"),
    ("nodata.secure.test", "Absent"),
    ("nowhere.secure.test", "Absent"),
    ("alias.secure.test", "Secure"),
    ("alias2.secure.test", "Secure"),
    ("to-plain.secure.test", "Absent"),
    ("to-nowhere.secure.test", "Absent"),
    ("to-unsigned.secure.test", "Insecure"),
    ("to-bogus.secure.test", "?"),
    ("by-alias.secure.test", "Secure"),
    ("by-unsigned.secure.test", "Insecure"),
    ("lost.secure.test", "Absent"),
    ("any.wild.secure.test", "Secure"),
    ("mx.star.secure.test", "Secure"),
    ("loop.secure.test", "?"),
    ("mx.nsec3.test", "Secure"),
    ("plain.nsec3.test", "Absent"),
    ("nodata.nsec3.test", "Absent"),
    ("nowhere.nsec3.test", "Absent"),
    ("alias.nsec3.test", "Secure"),
    ("to-plain.nsec3.test", "Absent"),
    ("any.wild.nsec3.test", "Secure"),
    ("other.star.nsec3.test", "Absent"),
    ("mx.unsigned.test", "Insecure"),
    ("plain.unsigned.test", "Absent"),
    ("nowhere.unsigned.test", "Absent"),
    ("alias.unsigned.test", "Absent"),
    ("mx.child.secure.test", "Insecure"),
    ("plain.child.secure.test", "Absent"),
    ("mx.bogus.test", "?"),
    ("plain.bogus.test", "Absent"),
    ("mx.stripped.test", "?"),
    ("mx.expired.test", "?"),
    ("plain.expired.test", "?"),
    ("mx.above.test", "?"),
    ("plain.above.test", "?"),
    ("mx.costly.test", "Secure"),
    ("mx.nowhere.test", "Absent"),
    ("mx.nowhere", "Absent"),
];

/// What unbound can tell and hickory 0.26 cannot: that a name just below a wildcard's parent is made from it (in a zone
/// with NSEC), and that there is none where proving it takes more than 100 rounds.
const BEYOND_US: &[(&str, &str)] =
    &[("other.star.secure.test", "Absent"), ("plain.costly.test", "Absent")];

/// The folder of unbound and its signer, which `tests/bed/unbound` prints.
pub(crate) fn tools(test: &str) -> Option<PathBuf> {
    let tools = env::var_os("TRYTLSD_UNBOUND").map(PathBuf::from);
    if tools.is_none() {
        need::skip(test, "TRYTLSD_UNBOUND is not set (tests/bed/unbound)");
    }
    tools
}

/// Waits until the server answers.
pub(crate) async fn ready(server: &Unbound) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let trusted = vec![server.address.ip()];
        let dnssec = Dnssec::Resolver;
        let settings = Settings { trusted, dnssec, ..settings(&[server.address]) };
        // A fresh resolver each time: an unknown answer is remembered.
        let answer = ask(&Resolver::new(settings), "plain.unsigned.test").await;
        if answer == "Absent" || answer.ends_with("it does not validate") {
            return;
        }
        assert!(Instant::now() < deadline, "unbound does not answer: {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn check(settings: &Settings, truth: &[(&str, &str)]) {
    let resolver = Resolver::new(settings.clone());
    let mut wrong = Vec::new();
    for (relay, expect) in truth {
        let answer = ask(&resolver, relay).await;
        if answer != *expect && (*expect != "?" || !answer.starts_with("? ")) {
            wrong.push(format!("{relay}: {answer}, but it is {expect}"));
        }
    }
    assert!(wrong.is_empty(), "{:?}: {wrong:#?}", settings.dnssec);
}

fn validating(lab: &Lab, server: SocketAddr, dnssec: Dnssec) -> Settings {
    Settings { dnssec, trust_anchor: Some(lab.anchor()), ..settings(&[server]) }
}

#[tokio::test]
async fn by_unbound() {
    let Some(tools) = tools("real::by_unbound") else { return };
    let lab = Lab::new(&tools);
    let server = lab.unbound(Ipv4Addr::LOCALHOST, true);
    ready(&server).await;
    for dnssec in [Dnssec::Auto, Dnssec::Resolver] {
        let settings = Settings { dnssec, ..settings(&[server.address]) };
        check(&settings, &[TRUTH, BEYOND_US].concat()).await;
    }
    // Our own validation behind its own.
    check(&validating(&lab, server.address, Dnssec::Validate), TRUTH).await;
}

#[tokio::test]
async fn by_ourselves() {
    let Some(tools) = tools("real::by_ourselves") else { return };
    let lab = Lab::new(&tools);
    for (host, dnssec) in
        [(Ipv4Addr::LOCALHOST, Dnssec::Validate), (Ipv4Addr::new(127, 0, 0, 53), Dnssec::Auto)]
    {
        let server = lab.unbound(host, false);
        ready(&server).await;
        check(&validating(&lab, server.address, dnssec), TRUTH).await;
        let unknown: Vec<_> = BEYOND_US.iter().map(|(relay, _)| (*relay, "?")).collect();
        check(&validating(&lab, server.address, dnssec), &unknown).await;
        // The real root's keys prove nothing here.
        let settings = Settings { dnssec, ..settings(&[server.address]) };
        check(&settings, &[("mx.secure.test", "?"), ("plain.secure.test", "?")]).await;
    }
}

/// A resolver on the loopback interface that does not validate: its AD=0 is no proof, but the signatures are.
#[tokio::test]
async fn by_both() {
    let Some(tools) = tools("real::by_both") else {
        return;
    };
    let lab = Lab::new(&tools);
    let server = lab.unbound(Ipv4Addr::LOCALHOST, false);
    ready(&server).await;
    check(&validating(&lab, server.address, Dnssec::Auto), TRUTH).await;
    // Nor is its word that there is nothing.
    let doubt: Vec<_> = TRUTH.iter().map(|(relay, _)| (*relay, "?")).collect();
    check(&validating(&lab, server.address, Dnssec::Resolver), &doubt).await;
}
