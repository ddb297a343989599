//! A server of ours, which says AD=1 of what the table says, and fails and lies as told.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use facts::{Dnssec, Resolver, Settings};
use hickory_proto::rr::rdata::{CNAME, NULL, SOA, TLSA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::dns::{DnsServer, Manner, Zone};
use crate::{ask, settings};

const STUB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

fn tlsa() -> RData {
    RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), vec![7; 32]))
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("name")
}

/// What the relay's records are sought at.
fn at(relay: &str) -> String {
    format!("_25._tcp.{relay}")
}

/// What makes a server look as if it did validate, or did not.
fn root(zone: Zone, validates: bool) -> Zone {
    let ns = name("a.root-servers.net.");
    let soa = RData::SOA(SOA::new(ns.clone(), ns, 1, 1800, 900, 604_800, 86_400));
    let zone = zone.record(".", soa);
    if validates { zone.proven(".") } else { zone }
}

/// A relay with records and one without, each proven or not, and aliases of all of them.
fn zone() -> Zone {
    let mut zone = Zone::new();
    for proven in ["secure", "insecure"] {
        for (relay, records) in [("has", 1), ("lacks", 0)] {
            let relay = format!("{relay}.{proven}.test");
            zone = zone.address(&relay, "192.0.2.1");
            zone = (0..records).fold(zone, |zone, _| zone.record(&at(&relay), tlsa()));
            for by in ["secure", "insecure"] {
                let alias = format!("to-{}.{by}.test", relay.replace('.', "-"));
                zone = zone.alias(&alias, &relay);
                zone = if by == "secure" { zone.proven(&alias).proven(&at(&alias)) } else { zone };
            }
            zone = if proven == "secure" { zone.proven(&relay).proven(&at(&relay)) } else { zone };
        }
    }
    zone
}

async fn check(server: SocketAddr, dnssec: Dnssec, relay: &str, expect: &str) {
    let resolver = Resolver::new(Settings { dnssec, ..settings(&[server]) });
    let answer = ask(&resolver, relay).await;
    let expect = match expect.strip_prefix("? ") {
        Some(why) => format!("? TLSA of {relay}: {server}: {why}"),
        None => expect.to_owned(),
    };
    assert_eq!(answer, expect, "{relay} {dnssec:?}");
}

/// What is said of each server beforehand.
#[tokio::test]
async fn a_survey() {
    let validates = DnsServer::start(root(zone(), true)).expect("server");
    let does_not = DnsServer::start(root(zone(), false)).expect("server");
    let gone = SocketAddr::from((Ipv4Addr::LOCALHOST, 9)); // Nobody listens there.
    let servers = [validates.address(), does_not.address(), gone];
    let timeout = Duration::from_secs(1);
    let resolver = Resolver::new(Settings { timeout, ..settings(&servers) });
    let found = resolver.survey().await;
    let short =
        found.iter().map(|server| (server.address, server.trusted, server.validates.clone().ok()));
    let expect =
        [(servers[0], true, Some(true)), (servers[1], true, Some(false)), (gone, true, None)];
    assert_eq!(short.collect::<Vec<_>>(), expect);
}

#[tokio::test]
async fn a_trusted_server_that_validates() {
    let server = DnsServer::start(root(zone(), true)).expect("server");
    for (relay, expect) in [
        ("has.secure.test", "Secure"),
        ("lacks.secure.test", "Absent"),
        ("nowhere.secure.test", "Absent"),
        ("has.insecure.test", "Insecure"),
        ("lacks.insecure.test", "Absent"),
        // The alias is proven: what counts is what is at its end.
        ("to-has-secure-test.secure.test", "Secure"),
        ("to-has-insecure-test.secure.test", "Insecure"),
        ("to-lacks-secure-test.secure.test", "Absent"),
        ("to-lacks-insecure-test.secure.test", "Absent"),
        // It is not, and so leads nowhere.
        ("to-has-secure-test.insecure.test", "Absent"),
        ("to-has-insecure-test.insecure.test", "Absent"),
    ] {
        check(server.address(), Dnssec::Auto, relay, expect).await;
        check(server.address(), Dnssec::Resolver, relay, expect).await;
    }
}

#[tokio::test]
async fn a_trusted_server_that_does_not_validate() {
    let server = DnsServer::start(root(zone(), false)).expect("server");
    let doubt = "? it does not validate";
    for (relay, expect) in [
        // It may say AD=1 of what it knows by itself.
        ("has.secure.test", "Secure"),
        ("has.insecure.test", doubt),
        ("lacks.insecure.test", doubt),
        ("nowhere.insecure.test", doubt),
        ("to-has-secure-test.insecure.test", "Secure"),
        ("to-has-insecure-test.insecure.test", doubt),
        ("to-lacks-insecure-test.insecure.test", doubt),
    ] {
        check(server.address(), Dnssec::Resolver, relay, expect).await;
    }
    // In the mode Auto the signatures are looked at then; there are none.
    let resolver = Resolver::new(settings(&[server.address()]));
    let answer = ask(&resolver, "has.insecure.test").await;
    assert!(answer.starts_with("? ") && !answer.contains("does not validate"), "{answer}");
}

#[tokio::test]
async fn a_server_that_is_not_trusted() {
    let server = DnsServer::start_at(STUB, root(zone(), true)).expect("server");
    for relay in ["has.secure.test", "lacks.secure.test", "has.insecure.test"] {
        check(server.address(), Dnssec::Resolver, relay, "? not a trusted resolver").await;
        for dnssec in [Dnssec::Auto, Dnssec::Validate] {
            let resolver = Resolver::new(Settings { dnssec, ..settings(&[server.address()]) });
            let answer = ask(&resolver, relay).await;
            assert!(answer.starts_with("? TLSA of "), "{relay} {dnssec:?} {answer}");
        }
    }
    // The same one, named in the settings.
    let trusted = vec![STUB.into()];
    let resolver = Resolver::new(Settings { trusted, ..settings(&[server.address()]) });
    assert_eq!(ask(&resolver, "has.secure.test").await, "Secure");
    assert_eq!(ask(&resolver, "has.insecure.test").await, "Insecure");
    assert_eq!(ask(&resolver, "lacks.secure.test").await, "Absent");
    // Validation of our own is also for those who trust nobody.
    let own = DnsServer::start(root(zone(), true)).expect("server");
    let dnssec = Dnssec::Validate;
    let resolver = Resolver::new(Settings { dnssec, ..settings(&[own.address()]) });
    let answer = ask(&resolver, "has.secure.test").await;
    assert!(answer.starts_with("? TLSA of "), "{answer}");
}

#[tokio::test]
async fn troubles() {
    let record = |owner: &str, data: RData| Record::from_rdata(name(owner), 300, data);
    let own = at("a.test.");
    let odd = RData::CNAME(CNAME(Name::from_labels([b"a\nb".as_slice(), b"test"]).expect("name")));
    let malformed = RData::Unknown { code: RecordType::TLSA, rdata: NULL::with(vec![3]) };
    let long = name(&format!("{}test.", "a123456789.".repeat(22)));
    let few = Duration::from_millis(300);
    for (manner, expect) in [
        (Manner::ServFail, "? SERVFAIL"),
        (Manner::Refused, "? REFUSED"),
        (Manner::Silent, "? timed out"),
        (Manner::Late(few * 3), "? timed out"),
        (Manner::OtherQuestion, "? timed out"),
        (Manner::Referral, "? a referral instead of an answer"),
        (Manner::NxDomain, "Absent"),
        (Manner::Lie(vec![]), "Absent"),
        (Manner::Lie(vec![record(&at("b.test."), tlsa())]), "? the answer is about other names"),
        // AD=1 is of the answer, so a record that nobody can use is one.
        (Manner::Lie(vec![record(&own, tlsa())]), "Secure"),
        (
            Manner::Lie(vec![record(
                &own,
                RData::TLSA(TLSA::new(255.into(), 9.into(), 9.into(), vec![])),
            )]),
            "Secure",
        ),
        (Manner::Lie(vec![record(&own, malformed)]), "? protocol error"),
        (
            Manner::Lie(vec![record(&own, RData::CNAME(CNAME(name(&own))))]),
            "? too many aliases (CNAME)",
        ),
        (Manner::Lie(vec![record(&own, odd)]), "Absent"),
    ] {
        let zone = root(Zone::new(), true).address("a.test", "192.0.2.1").proven(&own);
        let server = DnsServer::start(zone.manner(&own, manner.clone())).expect("server");
        let timeout = few;
        let resolver = Resolver::new(Settings { timeout, ..settings(&[server.address()]) });
        let expect = match expect.strip_prefix("? ") {
            Some(why) => format!("? TLSA of a.test: {}: {why}", server.address()),
            None => expect.to_owned(),
        };
        let answer = ask(&resolver, "a.test").await;
        assert!(answer.starts_with(&expect), "{answer} {manner:?}");
    }
    for (data, expect) in [
        (RData::CNAME(CNAME(name("a.test."))), "? the name is an alias, by too many aliases"),
        (RData::CNAME(CNAME(long)), "? the alias is too long a name"),
        (RData::CNAME(CNAME(Name::root())), "Absent"),
    ] {
        let zone = root(Zone::new(), true).record("a.test", data).proven("a.test");
        let server = DnsServer::start(zone).expect("server");
        check(server.address(), Dnssec::Auto, "a.test", expect).await;
    }
}

/// Doubt about one of the names of an alias is doubt about both, unless the other makes a promise.
#[tokio::test]
async fn doubt_about_an_alias() {
    let mut here = at("alias.test");
    let mut there = at("end.test");
    for _ in 0..2 {
        for (data, expect) in [(Some(tlsa()), "Secure"), (None, "? SERVFAIL")] {
            let zone = root(Zone::new(), true).address("end.test", "192.0.2.1");
            let zone = zone.alias("alias.test", "end.test").proven("alias.test");
            let zone = zone.proven(&here).proven(&there).manner(&there, Manner::ServFail);
            let zone = data.into_iter().fold(zone, |zone, data| zone.record(&here, data));
            let server = DnsServer::start(zone).expect("server");
            check(server.address(), Dnssec::Auto, "alias.test", expect).await;
        }
        (here, there) = (there, here);
    }
    // Whether it is an alias cannot be found out.
    let zone = root(Zone::new(), true).manner("alias.test", Manner::ServFail);
    let server = DnsServer::start(zone).expect("server");
    check(server.address(), Dnssec::Auto, "alias.test", "? SERVFAIL").await;
}

#[tokio::test]
async fn no_plain_name() {
    let server = DnsServer::start(root(zone(), true)).expect("server");
    let resolver = Resolver::new(settings(&[server.address()]));
    let long = "a.".repeat(127) + "a";
    for relay in ["", ".", "a..test", "a b.test", "a\n.test", "*.test", "192.0.2.1", "[::1]", &long]
    {
        assert_eq!(ask(&resolver, relay).await, "? TLSA: no plain host name", "{relay:?}");
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn every_server_by_its_own_rules() {
    let trusted = DnsServer::start(root(zone(), true)).expect("server");
    let stranger = DnsServer::start_at(STUB, root(zone(), true)).expect("server");
    let both = [stranger.address(), trusted.address()];
    let dnssec = Dnssec::Resolver;
    let resolver = Resolver::new(Settings { dnssec, ..settings(&both) });
    assert_eq!(ask(&resolver, "has.secure.test").await, "Secure");
    assert_eq!(stranger.asked(), Vec::<String>::new());
    // The second is down: the first is no better for that.
    trusted.set(Zone::new().manner(&at("has.insecure.test"), Manner::ServFail));
    let (stranger, trusted) = (stranger.address(), trusted.address());
    let expect = format!(
        "? TLSA of has.insecure.test: {trusted}: SERVFAIL; {stranger}: not a trusted resolver"
    );
    let answer = ask(&resolver, "has.insecure.test").await;
    // The alias is asked about after it, and there is none.
    assert_eq!(answer, expect);
}

/// The one about the root's SOA record is asked only where it is needed, and once.
#[tokio::test]
async fn what_is_asked() {
    let server = DnsServer::start(root(zone(), true)).expect("server");
    let resolver = Resolver::new(settings(&[server.address()]));
    for relay in ["has.secure.test", "has.insecure.test", "has.secure.test"] {
        ask(&resolver, relay).await;
    }
    ask(&resolver, "to-has-insecure-test.secure.test").await;
    let expect = [
        "TLSA _25._tcp.has.secure.test",
        "TLSA _25._tcp.has.insecure.test",
        "SOA ",
        "CNAME has.insecure.test",
        "TLSA _25._tcp.to-has-insecure-test.secure.test",
        "CNAME to-has-insecure-test.secure.test",
        "CNAME has.insecure.test",
        "TLSA _25._tcp.has.insecure.test",
    ];
    assert_eq!(server.asked(), expect);
}

#[tokio::test]
async fn the_trust_anchor_cannot_be_read() {
    let server = DnsServer::start_at(STUB, root(zone(), true)).expect("server");
    let folder = tempfile::tempdir().expect("folder");
    let trust_anchor = Some(folder.path().join("absent"));
    let resolver = Resolver::new(Settings { trust_anchor, ..settings(&[server.address()]) });
    let answer = ask(&resolver, "has.secure.test").await;
    assert!(answer.contains(": trust anchor ") && answer.contains("(os error 2)"), "{answer}");
    assert_eq!(server.asked(), Vec::<String>::new());
}

/// One deadline for all of it, whatever is asked.
#[tokio::test]
async fn the_time_is_bounded() {
    for (host, dnssec) in [(STUB, Dnssec::Validate), (Ipv4Addr::LOCALHOST, Dnssec::Auto)] {
        let late = Manner::Late(Duration::from_millis(250));
        let mut zone = root(Zone::new(), true).manner(&at("a0.test"), late.clone());
        for i in 0..6 {
            let (alias, end) = (format!("a{i}.test"), format!("a{}.test", i + 1));
            zone = zone.alias(&alias, &end).proven(&alias).manner(&alias, late.clone());
        }
        let server = DnsServer::start_at(host, zone).expect("server");
        let timeout = Duration::from_millis(120); // five times as long for all of it
        let resolver = Resolver::new(Settings { timeout, dnssec, ..settings(&[server.address()]) });
        let answer = ask(&resolver, "a0.test").await;
        assert!(answer.ends_with("timed out"), "{answer}");
    }
}
