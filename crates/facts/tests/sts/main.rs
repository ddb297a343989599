//! MTA-STS policies, from web servers with real TLS: good ones, and all sorts of others.

#![expect(clippy::expect_used, reason = "a test may fail")]

mod ca;
#[path = "../../../../tests/src/dns.rs"]
pub mod dns;
mod hostile;
mod https;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ca::{Authority, Wish};
use dns::{DnsServer, Manner as DnsManner, Zone};
use facts::{Resolver, Settings};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::TXT;
use https::{HttpsServer, Manner, Then};
use jiff::Timestamp;
use policy::fact::{Answer, Fact, Question, Sts, StsMode};

const DOMAIN: &str = "one.test";
const HOST: &str = "mta-sts.one.test";
const RECORD: &str = "_mta-sts.one.test";
const POLICY: &str = "version: STSv1\r\nmode: enforce\r\nmx: mx.one.test\r\nmax_age: 1000\r\n";

/// A time of day, in seconds after an arbitrary one.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).expect("time")
}

fn txt(text: &str) -> RData {
    RData::TXT(TXT::new(vec![text.to_owned()]))
}

/// A domain with a policy at 127.0.0.1, of this id.
fn zone(id: &str) -> Zone {
    Zone::new().record(RECORD, txt(&format!("v=STSv1; id={id};"))).address(HOST, "127.0.0.1")
}

/// A response with a length.
fn response(head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn good(body: &str) -> Manner {
    Manner::Talk(response("200 OK\r\ncontent-type: text/plain", body), Then::End)
}

/// A policy learnt long ago: of id `old`, until second 500.
fn old() -> (Box<str>, Sts) {
    let sts = Sts { mode: StsMode::Testing, id: "old".into(), fetched: at(-500), until: at(500) };
    (DOMAIN.into(), sts)
}

/// The two servers and the authority of the one.
struct Rig {
    ca: Authority,
    dns: DnsServer,
    https: HttpsServer,
}

impl Rig {
    fn start(zone: Zone, wish: &Wish, manner: Manner) -> Self {
        let ca = Authority::new();
        let https = HttpsServer::start("127.0.0.1:0", ca.acceptor(wish), manner);
        Self { dns: DnsServer::start(zone).expect("server"), https, ca }
    }

    fn good(zone: Zone) -> Self {
        Self::start(zone, &Wish::of(&[HOST]), good(POLICY))
    }

    /// Time enough for a slow machine: it is not what is tested.
    fn settings(&self) -> Settings {
        Settings {
            servers: vec![self.dns.address()],
            timeout: Duration::from_secs(30),
            sts_timeout: Duration::from_secs(60),
            sts_port: self.https.port(),
            sts_private: true,
            ca_file: Some(self.ca.file().to_owned()),
            ..Settings::default()
        }
    }

    fn resolver(&self) -> Resolver {
        Resolver::new(self.settings())
    }
}

/// An answer in short: `enforce 1 0..1000` (its id, and from when until when), `none published`, or `? why`.
async fn ask(resolver: &Resolver, second: i64) -> String {
    ask_about(resolver, DOMAIN, second).await
}

async fn ask_about(resolver: &Resolver, domain: &str, second: i64) -> String {
    let Fact::Sts(about, answer) = resolver.ask(Question::Sts(domain.into()), at(second)).await
    else {
        panic!("another fact than was asked for")
    };
    assert_eq!(&*about, domain);
    match answer {
        Answer::Known(Some(sts)) => {
            let [from, until] = [sts.fetched, sts.until].map(|t| t.as_second() - at(0).as_second());
            let mode = format!("{:?}", sts.mode).to_ascii_lowercase();
            format!("{mode} {} {from}..{until}", sts.id)
        }
        Answer::Known(None) => "none published".to_owned(),
        Answer::Unknown(why) => {
            assert!(why.len() <= 600 && why.bytes().all(|b| (b' '..=b'~').contains(&b)), "{why:?}");
            format!("? {why}")
        }
        Answer::NotAsked => "not asked".to_owned(),
    }
}

#[tokio::test]
async fn policies_are_fetched() {
    let check = async |wish: &Wish, manner: Manner, expect: &str| {
        let rig = Rig::start(zone("1"), wish, manner.clone());
        assert_eq!(ask(&rig.resolver(), 0).await, expect, "{manner:?}");
    };
    let wish = Wish::of(&[HOST]);
    let with = |from: &str, to: &str| POLICY.replace(from, to);
    check(&wish, good(POLICY), "enforce 1 0..1000").await;
    check(&wish, good(&with("\r\n", "\n")), "enforce 1 0..1000").await;
    check(&wish, good(&with("enforce", "testing")), "testing 1 0..1000").await;
    check(&wish, good(&with("enforce", "none")), "none 1 0..1000").await;
    check(&wish, good(&with("1000", "0")), "enforce 1 0..0").await;
    check(&wish, good(&with("1000", "31557600")), "enforce 1 0..31557600").await;
    check(&Wish::of(&["*.one.test"]), good(POLICY), "enforce 1 0..1000").await;
    let typed = |kind: &str| {
        let head = format!("200 OK\r\ncontent-type: {kind}");
        Manner::Talk(response(&head, POLICY), Then::Silence)
    };
    check(&wish, typed("text/plain; charset=utf-8"), "enforce 1 0..1000").await;
    check(&wish, typed("Text/PLAIN ;x"), "enforce 1 0..1000").await;
    let until_closed = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n{POLICY}");
    check(&wish, Manner::Talk(until_closed.into(), Then::End), "enforce 1 0..1000").await;
    let chunked =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = format!("{chunked}{:x}\r\n{POLICY}\r\n0\r\n\r\n", POLICY.len());
    check(&wish, Manner::Talk(chunked.into(), Then::Silence), "enforce 1 0..1000").await;
    let full = format!("{POLICY}x: {}", "x".repeat(64 * 1024 - POLICY.len() - 3));
    check(&wish, good(&full), "enforce 1 0..1000").await;
}

#[tokio::test]
async fn nothing_is_sent_but_the_request() {
    let rig = Rig::good(zone("1"));
    assert_eq!(ask(&rig.resolver(), 0).await, "enforce 1 0..1000");
    let port = rig.https.port();
    let (version, path) = (env!("CARGO_PKG_VERSION"), "/.well-known/mta-sts.txt");
    let expect = format!(
        "GET {path} HTTP/1.1\r\nhost: {HOST}:{port}\r\nuser-agent: trytlsd/{version}\r\n\r\n"
    );
    assert_eq!(rig.https.requests(), [expect]);
    assert_eq!(rig.https.calls(), 1);
    let asked = rig.dns.asked();
    assert_eq!(asked.first().map(String::as_str), Some("TXT _mta-sts.one.test"));
    assert_eq!(asked.len(), 3, "{asked:?}"); // and A and AAAA of the host
}

#[tokio::test]
async fn records_of_all_kinds() {
    let host = || Zone::new().address(HOST, "127.0.0.1");
    let one = || zone("1");
    // With a policy that is kept, and without.
    let check = async |zone: Zone, with: &str, without: &str, calls: usize| {
        let shown = format!("{zone:?}");
        let rig = Rig::good(zone);
        for (kept, expect) in [(true, with), (false, without)] {
            let resolver = rig.resolver();
            resolver.keep_policies(kept.then(old));
            let server = rig.dns.address().to_string();
            let answer = ask(&resolver, 0).await.replace(&server, "SERVER");
            assert_eq!(answer, expect, "kept: {kept}, {shown}");
        }
        assert_eq!(rig.https.calls(), calls, "{shown}");
    };
    let (new, kept, none) = ("enforce 1 0..1000", "testing old -500..500", "none published");
    check(one(), new, new, 2).await;
    check(host().alias(RECORD, "x.test").record("x.test", txt("v=STSv1; id=1")), new, new, 2).await;
    check(one().record(RECORD, txt("v=spf1 -all")), new, new, 2).await;
    check(one().record(RECORD, txt("v=STSv2; id=2")), new, new, 2).await;
    let split = RData::TXT(TXT::new(vec!["v=STSv1; i".to_owned(), "d=1;".to_owned()]));
    check(host().record(RECORD, split), new, new, 2).await;
    // Vanished, by whatever way.
    check(host(), kept, none, 0).await;
    check(host().address(RECORD, "192.0.2.1"), kept, none, 0).await;
    check(host().record(RECORD, txt("v=spf1 -all")), kept, none, 0).await;
    check(host().record(RECORD, txt("v=STSv1; id=!")), kept, none, 0).await;
    check(one().record(RECORD, txt("v=STSv1; id=2")), kept, none, 0).await; // two
    check(one().record(RECORD, txt("v=STSv1; broken")), kept, none, 0).await;
    check(host().alias(RECORD, "gone.test"), kept, none, 0).await;
    check(one().manner(RECORD, DnsManner::NxDomain), kept, none, 0).await;
    // The same id as the kept one has.
    let rig = Rig::good(zone("old"));
    let resolver = rig.resolver();
    resolver.keep_policies([old()]);
    assert_eq!(ask(&resolver, 0).await, kept);
    assert_eq!(rig.https.calls(), 0);
    // Trouble.
    for (manner, why) in [
        (DnsManner::ServFail, "SERVER: SERVFAIL"),
        (DnsManner::Refused, "SERVER: REFUSED"),
        (DnsManner::Referral, "SERVER: a referral instead of an answer"),
        (DnsManner::Lie(vec![]), none),
    ] {
        let unknown = match why == none {
            true => none.to_owned(),
            false => format!("? TXT of {RECORD}: {why}"),
        };
        check(one().manner(RECORD, manner), kept, &unknown, 0).await;
    }
}

#[tokio::test]
async fn names_that_are_none() {
    let rig = Rig::good(zone("1"));
    let resolver = rig.resolver();
    for domain in
        ["", ".", "one.test.", "a b", "192.0.2.1", "one.test/x", "a\r\nX: y", "[::1]", "\u{e4}"]
    {
        let answer = ask_about(&resolver, domain, 0).await;
        assert_eq!(answer, "? the domain is no plain name", "{domain:?}");
    }
    let long = format!("{}.test", vec!["x".repeat(60); 4].join("."));
    let expect = format!("? TXT of _mta-sts.{long}: it is no name that DNS can hold");
    assert_eq!(ask_about(&resolver, &long, 0).await, expect);
    assert_eq!((rig.dns.asked().len(), rig.https.calls()), (0, 0));
}

#[tokio::test]
async fn addresses_of_all_kinds() {
    let record = || Zone::new().record(RECORD, txt("v=STSv1; id=1"));
    let host = |addresses: &str| {
        addresses.split(' ').fold(record(), |zone, address| zone.address(HOST, address))
    };
    let check = async |zone: Zone, private: bool, expect: &str, calls: usize| {
        let shown = format!("{zone:?}");
        let rig = Rig::good(zone);
        let resolver = Resolver::new(Settings { sts_private: private, ..rig.settings() });
        let server = rig.dns.address().to_string();
        let answer = ask(&resolver, 0).await.replace(&server, "SERVER");
        assert!(answer.starts_with(expect), "{shown}: {answer}");
        assert_eq!(rig.https.calls(), calls, "{shown}");
    };
    let new = "enforce 1 0..1000";
    let refused =
        |first: &str| format!("? address of {HOST}: no address of it is a public one, not {first}");
    check(host("127.0.0.1"), true, new, 1).await;
    check(host("127.0.0.1"), false, &refused("127.0.0.1"), 0).await;
    check(host("10.0.0.1 192.168.0.1 ::1"), false, &refused("10.0.0.1"), 0).await;
    check(host("::ffff:127.0.0.1"), false, &refused("::ffff:127.0.0.1"), 0).await;
    check(host("64:ff9b::127.0.0.1"), false, &refused("64:ff9b::"), 0).await;
    check(host("169.254.169.254"), false, &refused("169.254.169.254"), 0).await;
    // Of two, the other one; a third is not tried. Nobody listens at 127.0.0.2 and 127.0.0.3.
    check(host("127.0.0.2 127.0.0.1"), true, new, 1).await;
    check(host("127.0.0.2 ::ffff:127.0.0.1"), true, new, 1).await;
    let both = format!("? MTA-STS policy of {DOMAIN}: 127.0.0.2: ");
    check(host("127.0.0.2 127.0.0.3 127.0.0.1"), true, &both, 0).await;
    // None at all.
    check(record(), true, &format!("? address of {HOST}: it has no address"), 0).await;
    let trouble = format!("? address of {HOST}: SERVER: SERVFAIL");
    check(record().manner(HOST, DnsManner::ServFail), true, &trouble, 0).await;
    check(record().alias(HOST, "x.test").address("x.test", "127.0.0.1"), true, new, 1).await;
}

#[tokio::test]
async fn from_policy_to_policy() {
    let rig = Rig::good(zone("1"));
    let resolver = rig.resolver();
    assert_eq!(ask(&resolver, 0).await, "enforce 1 0..1000");
    // Remembered: neither DNS nor the server are asked.
    let asked = rig.dns.asked().len();
    assert_eq!(ask(&resolver, 999).await, "enforce 1 0..1000");
    assert_eq!((rig.dns.asked().len(), rig.https.calls()), (asked, 1));
    // At its end it is fetched anew, though the id is the same.
    rig.https.set(good(&POLICY.replace("enforce", "testing")));
    assert_eq!(ask(&resolver, 1000).await, "testing 1 1000..2000");
    assert_eq!(rig.https.calls(), 2);
    // At its end, with nothing to be had: unknown, and left alone for a while.
    rig.https.set(Manner::Plain(Vec::new()));
    let unknown = ask(&resolver, 2000).await;
    assert!(unknown.starts_with("? MTA-STS policy of one.test: 127.0.0.1: "), "{unknown}");
    rig.https.set(good(POLICY));
    assert_eq!(ask(&resolver, 2001).await, unknown);
    assert_eq!(rig.https.calls(), 3);
    // At its end, with no record any more: none.
    let fresh = rig.resolver();
    fresh.keep_policies([old()]);
    rig.dns.set(Zone::new());
    assert_eq!(ask(&fresh, 499).await, "testing old -500..500");
    assert_eq!(ask(&fresh, 500).await, "none published");
}

#[tokio::test]
async fn over_a_restart() {
    let rig = Rig::good(zone("1"));
    let before = rig.resolver();
    let Fact::Sts(domain, Answer::Known(Some(sts))) =
        before.ask(Question::Sts(DOMAIN.into()), at(0)).await
    else {
        panic!("no policy")
    };
    drop(before);
    let restarted = || {
        let resolver = rig.resolver();
        resolver.keep_policies([(domain.clone(), sts.clone())]);
        resolver
    };
    // The same id: nothing is fetched.
    assert_eq!(ask(&restarted(), 10).await, "enforce 1 0..1000");
    assert_eq!(rig.https.calls(), 1);
    // No record, or a new id and no server: the old policy goes on, to its end.
    rig.dns.set(Zone::new());
    assert_eq!(ask(&restarted(), 999).await, "enforce 1 0..1000");
    assert_eq!(ask(&restarted(), 1000).await, "none published");
    rig.dns.set(zone("2"));
    rig.https.set(Manner::Plain(b"no".to_vec()));
    assert_eq!(ask(&restarted(), 999).await, "enforce 1 0..1000");
    assert!(ask(&restarted(), 1000).await.starts_with("? "));
    // A new id: the new policy, which may also take the old one back.
    rig.https.set(good("version: STSv1\nmode: none\nmax_age: 60\n"));
    let resolver = restarted();
    assert_eq!(ask(&resolver, 20).await, "none 2 20..80");
    assert_eq!(ask(&resolver, 79).await, "none 2 20..80");
}

#[tokio::test]
async fn a_policy_for_no_time_is_good_for_a_minute() {
    let rig = Rig::start(zone("1"), &Wish::of(&[HOST]), good(&POLICY.replace("1000", "0")));
    let resolver = rig.resolver();
    for second in [0, 1, 59] {
        assert_eq!(ask(&resolver, second).await, "enforce 1 0..0");
    }
    assert_eq!(rig.https.calls(), 1);
    assert_eq!(ask(&resolver, 60).await, "enforce 1 60..60");
    assert_eq!(rig.https.calls(), 2);
}

#[tokio::test]
async fn fetched_once_for_many() {
    let rig = Rig::good(zone("1"));
    let resolver = Arc::new(rig.resolver());
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { ask(&resolver, 0).await })
        })
        .collect();
    for one in asking {
        assert_eq!(one.await.expect("asks"), "enforce 1 0..1000");
    }
    assert_eq!(rig.https.calls(), 1);
}

/// Web servers that never answer take no turn from questions that go to DNS only.
#[tokio::test]
async fn the_deaf_hold_up_nobody() {
    let mut zone = Zone::new().host("192.0.2.1", "mx.test");
    for i in 0..20 {
        zone = zone.record(&format!("_mta-sts.{i}.test"), txt("v=STSv1; id=1"));
        zone = zone.address(&format!("mta-sts.{i}.test"), "127.0.0.1");
    }
    let rig = Rig::start(zone, &Wish::of(&[HOST]), Manner::Deaf);
    let resolver = Arc::new(rig.resolver());
    let mut asking = tokio::task::JoinSet::new();
    for i in 0..20 {
        let resolver = Arc::clone(&resolver);
        asking.spawn(async move { ask_about(&resolver, &format!("{i}.test"), 0).await });
    }
    while rig.https.calls() < 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let address = "192.0.2.1".parse().expect("address");
    let fact = resolver.ask(Question::Ptr(address), at(0)).await;
    assert!(matches!(fact, Fact::Ptr(_, Answer::Known(_))), "{fact:?}");
    assert_eq!(rig.https.calls(), 8);
}

#[tokio::test]
async fn no_server_and_no_authorities() {
    let rig = Rig::good(zone("1"));
    let nowhere: SocketAddr = "127.0.0.1:1".parse().expect("address"); // nobody listens
    let resolver = Resolver::new(Settings { sts_port: nowhere.port(), ..rig.settings() });
    let answer = ask(&resolver, 0).await;
    assert!(answer.starts_with("? MTA-STS policy of one.test: 127.0.0.1: "), "{answer}");
    let file = Some("/nonexistent".into());
    let resolver = Resolver::new(Settings { ca_file: file, ..rig.settings() });
    let answer = ask(&resolver, 0).await;
    assert!(answer.starts_with("? MTA-STS policy of one.test: 127.0.0.1: OpenSSL: "), "{answer}");
    assert_eq!(rig.https.calls(), 0);
    // Without our authority it is a stranger.
    let resolver = Resolver::new(Settings { ca_file: None, ..rig.settings() });
    let answer = ask(&resolver, 0).await;
    assert!(
        answer.starts_with("? MTA-STS policy of one.test: 127.0.0.1: certificate: "),
        "{answer}"
    );
    assert_eq!(rig.https.requests(), Vec::<String>::new());
}
