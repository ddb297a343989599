//! PTR questions put to a DNS server: ours, which can lie, and dnsmasq, which cannot but was not written by us.

#![expect(clippy::expect_used, reason = "a test may fail")]

#[path = "../../../tests/src/dns.rs"]
pub mod dns;

use std::env;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns::{DnsServer, Manner, Zone};
use facts::{Resolver, Settings};
use hickory_proto::rr::rdata::{A, CNAME, PTR, TXT};
use hickory_proto::rr::{Name, RData, Record};
use jiff::Timestamp;
use policy::fact::{Answer, Fact, Question};

fn resolver(servers: &[SocketAddr], timeout: Duration) -> Resolver {
    Resolver::new(Settings { servers: servers.to_vec(), timeout, ..Settings::default() })
}

fn question(address: &str) -> Question {
    Question::Ptr(address.parse().expect("address"))
}

/// An answer in short: names with `+` if confirmed and `-` if not, or `? why`.
fn short(fact: &Fact, address: &str) -> String {
    let Fact::Ptr(about, answer) = fact else { panic!("{fact:?}") };
    assert_eq!(*about, address.parse::<IpAddr>().expect("address"));
    match answer {
        Answer::Known(ptr) => {
            let sign = |confirmed| if confirmed { '+' } else { '-' };
            let name = |n: &policy::fact::PtrName| format!("{}{}", sign(n.confirmed), n.name);
            ptr.names.iter().map(name).collect::<Vec<_>>().join(" ")
        }
        Answer::Unknown(why) => format!("? {why}"),
        Answer::NotAsked => "not asked".to_owned(),
    }
}

async fn ask(resolver: &Resolver, address: &str) -> String {
    short(&resolver.ask(question(address), Timestamp::UNIX_EPOCH).await, address)
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("name")
}

/// What any server must be able to tell: the zone of [`plain_zone`], or dnsmasq's config with the same records.
async fn plain_table(server: SocketAddr) {
    let resolver = resolver(&[server], Duration::from_secs(5));
    let check = async |address: &str, expect: &str| {
        assert_eq!(ask(&resolver, address).await, expect, "{address}");
    };
    check("192.0.2.1", "+mx.one.test").await;
    check("::ffff:192.0.2.1", "+mx.one.test").await;
    check("192.0.2.2", "-other.one.test").await; // has another address
    check("192.0.2.3", "-nowhere.one.test").await; // has no address
    check("192.0.2.4", "").await; // no PTR
    check("2001:db8::1", "+v6.one.test").await;
    check("2001:db8::2", "-v4only.one.test").await;
    check("127.0.0.11", "+loop.one.test").await; // hickory's own resolver would say localhost
}

fn plain_zone() -> Zone {
    Zone::new()
        .host("192.0.2.1", "mx.one.test")
        .ptr("192.0.2.2", "other.one.test")
        .address("other.one.test", "192.0.2.99")
        .ptr("192.0.2.3", "nowhere.one.test")
        .host("2001:db8::1", "v6.one.test")
        .ptr("2001:db8::2", "v4only.one.test")
        .address("v4only.one.test", "192.0.2.1")
        .host("127.0.0.11", "loop.one.test")
}

#[tokio::test]
async fn plain_answers_from_our_server() {
    let server = DnsServer::start(plain_zone()).expect("server");
    plain_table(server.address()).await;
}

struct Dnsmasq(Child);

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The real program: where the environment says, or in the path.
fn dnsmasq() -> Option<PathBuf> {
    if let Some(path) = env::var_os("TRYTLSD_DNSMASQ") {
        return Some(path.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join("dnsmasq")).find(|file| file.is_file())
}

/// The records of [`plain_zone`]. Knows no other server, so it refuses what is not in `test` or `arpa`.
#[expect(clippy::disallowed_methods, reason = "a server that must outlive the call")]
fn start_dnsmasq(program: &PathBuf) -> (Dnsmasq, SocketAddr) {
    let free = UdpSocket::bind("127.0.0.1:0").expect("port");
    let address = free.local_addr().expect("address");
    drop(free);
    let v6_ptr = |text: &str| Name::from(text.parse::<IpAddr>().expect("address")).to_ascii();
    let user = if fs::read_dir("/proc/1/fd").is_ok() { "--user=root" } else { "--user=" };
    let mut command = std::process::Command::new(program);
    command
        .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
        .args(["--pid-file=", "--bind-interfaces", "--listen-address=127.0.0.1", user])
        .args(["--log-facility=-", "--local=/test/", "--local=/arpa/"])
        .arg(format!("--port={}", address.port()))
        .args(["--host-record=mx.one.test,192.0.2.1", "--host-record=other.one.test,192.0.2.99"])
        .args(["--host-record=v6.one.test,2001:db8::1", "--host-record=v4only.one.test,192.0.2.1"])
        .args(["--host-record=loop.one.test,127.0.0.11"])
        .args(["--ptr-record=1.2.0.192.in-addr.arpa,mx.one.test"])
        .args(["--ptr-record=2.2.0.192.in-addr.arpa,other.one.test"])
        .args(["--ptr-record=3.2.0.192.in-addr.arpa,nowhere.one.test"])
        .args(["--ptr-record=11.0.0.127.in-addr.arpa,loop.one.test"])
        .arg(format!("--ptr-record={},v6.one.test", v6_ptr("2001:db8::1").trim_end_matches('.')))
        .arg(format!(
            "--ptr-record={},v4only.one.test",
            v6_ptr("2001:db8::2").trim_end_matches('.')
        ))
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let child = Dnsmasq(command.spawn().expect("dnsmasq"));
    (child, address)
}

#[tokio::test]
async fn plain_answers_from_dnsmasq() {
    let Some(program) = dnsmasq() else {
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "dnsmasq is missing");
        eprintln!("left out: dnsmasq (not installed, and TRYTLSD_DNSMASQ is not set)");
        return;
    };
    let (_child, address) = start_dnsmasq(&program);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        // A fresh resolver each time: an unknown answer is remembered.
        let answer = ask(&resolver(&[address], Duration::from_secs(1)), "192.0.2.1").await;
        if !answer.starts_with('?') {
            break;
        }
        assert!(Instant::now() < deadline, "dnsmasq does not answer: {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    plain_table(address).await;
}

#[tokio::test]
async fn answers_of_all_kinds() {
    let ptr = |owner: &str, target: &str| {
        Record::from_rdata(name(owner), 300, RData::PTR(PTR(name(target))))
    };
    let alias = |owner: &str, target: &str| {
        Record::from_rdata(name(owner), 300, RData::CNAME(CNAME(name(target))))
    };
    let arpa = |last: u8| format!("{last}.2.0.192.in-addr.arpa.");
    let odd = Name::from_labels([b"a\nruleset=x".as_slice(), b"test"]).expect("name");
    let mut zone = Zone::new()
        // RFC 2317: the address's own name is an alias into the customer's zone.
        .alias(&arpa(1), "1.0-31.2.0.192.in-addr.arpa")
        .record("1.0-31.2.0.192.in-addr.arpa", RData::PTR(PTR(name("mx.classless.test."))))
        .address("mx.classless.test", "192.0.2.1")
        // The PTR's target is an alias.
        .ptr("192.0.2.2", "alias.test")
        .alias("alias.test", "real.test")
        .address("real.test", "192.0.2.2")
        // Two names, the one confirmed.
        .ptr("192.0.2.3", "b.test")
        .ptr("192.0.2.3", "A.Test")
        .address("b.test", "192.0.2.3")
        // Names that are none.
        .ptr("192.0.2.4", "*.test")
        .record(&arpa(4), RData::PTR(PTR(odd)))
        .ptr("192.0.2.4", "192.0.2.4")
        // A single label is looked up as it is, in no search domain.
        .host("192.0.2.5", "mx")
        // A name with many addresses.
        .ptr("192.0.2.6", "many.test")
        // The answer section is about another name: with the right target, it must not count.
        .reverse_manner("192.0.2.7", Manner::Lie(vec![ptr(&arpa(1), "mx.classless.test.")]))
        .ptr("192.0.2.8", "lied.test")
        .manner(
            "lied.test",
            Manner::Lie(vec![Record::from_rdata(
                name("other.test."),
                300,
                RData::A(A::new(192, 0, 2, 8)),
            )]),
        )
        // Aliases in a circle, within the answer and from question to question.
        .reverse_manner("192.0.2.9", Manner::Lie(vec![alias(&arpa(9), &arpa(9))]))
        .reverse_manner("192.0.2.10", Manner::Lie(vec![alias(&arpa(10), "x.test.")]))
        .manner("x.test", Manner::Lie(vec![alias("x.test.", "y.test.")]))
        .manner("y.test", Manner::Lie(vec![alias("y.test.", "x.test.")]))
        // An alias to nothing.
        .alias(&arpa(11), "gone.test")
        // Failures.
        .reverse_manner("192.0.2.12", Manner::ServFail)
        .reverse_manner("192.0.2.13", Manner::Refused)
        .reverse_manner("192.0.2.14", Manner::Referral)
        .reverse_manner("192.0.2.15", Manner::NxDomain)
        // One name confirmed, another in doubt; then only the one in doubt.
        .ptr("192.0.2.16", "doubt.test")
        .host("192.0.2.16", "good.test")
        .manner("doubt.test", Manner::ServFail)
        .ptr("192.0.2.17", "doubt.test")
        .ptr("192.0.2.17", "no.test")
        // Not records but an answer: junk of another kind.
        .reverse_manner(
            "192.0.2.18",
            Manner::Lie(vec![Record::from_rdata(
                name(&arpa(18)),
                300,
                RData::TXT(TXT::new(vec!["x".repeat(200); 200])),
            )]),
        );
    for last in 1..=60 {
        zone = zone.address("many.test", &format!("198.51.100.{last}"));
    }
    zone = zone.address("many.test", "192.0.2.6");
    // Hundreds of names, which takes TCP; the first eight in alphabetical order count.
    for i in 0..400 {
        zone = zone.ptr("192.0.2.20", &format!("n{i:03}.a-rather-long-domain-name.test"));
    }
    zone = zone.address("n003.a-rather-long-domain-name.test", "192.0.2.20");
    zone = zone.address("n300.a-rather-long-domain-name.test", "192.0.2.20");

    let server = DnsServer::start(zone).expect("server");
    let at = server.address();
    let resolver = resolver(&[at], Duration::from_secs(5));
    let check = async |last: u8, expect: &str| {
        assert_eq!(ask(&resolver, &format!("192.0.2.{last}")).await, expect, "{last}");
    };
    let unknown = async |last: u8, why: &str| {
        let expect = format!("? PTR of 192.0.2.{last}: {why}");
        assert_eq!(ask(&resolver, &format!("192.0.2.{last}")).await, expect);
    };
    check(1, "+mx.classless.test").await;
    check(2, "+alias.test").await;
    check(3, "-a.test +b.test").await;
    check(4, "").await;
    check(5, "+mx").await;
    check(6, "+many.test").await;
    unknown(7, "the answer is about other names").await;
    check(8, "? address of lied.test, the PTR of 192.0.2.8: the answer is about other names").await;
    unknown(9, "too many aliases (CNAME)").await;
    unknown(10, "too many aliases (CNAME)").await;
    check(11, "").await;
    unknown(12, &format!("{at}: SERVFAIL")).await;
    unknown(13, &format!("{at}: REFUSED")).await;
    unknown(14, &format!("{at}: a referral instead of an answer")).await;
    check(15, "").await;
    check(16, "-doubt.test +good.test").await;
    check(17, &format!("? address of doubt.test, the PTR of 192.0.2.17: {at}: SERVFAIL")).await;
    unknown(18, "the answer is about other names").await;
    let many = (0..8).map(|i| {
        let sign = if i == 3 { '+' } else { '-' };
        format!("{sign}n{i:03}.a-rather-long-domain-name.test")
    });
    check(20, &many.collect::<Vec<_>>().join(" ")).await;
}

#[tokio::test]
async fn silence_costs_the_timeout_and_no_more() {
    let zone = Zone::new()
        .reverse_manner("192.0.2.1", Manner::Silent)
        .host("192.0.2.2", "late.test")
        .reverse_manner("192.0.2.2", Manner::Late(Duration::from_millis(300)))
        .reverse_manner("192.0.2.3", Manner::Late(Duration::from_secs(60)))
        .ptr("192.0.2.4", "silent.test")
        .host("192.0.2.4", "works.test")
        .manner("silent.test", Manner::Silent)
        .host("192.0.2.5", "mx.test")
        .reverse_manner("192.0.2.5", Manner::OtherQuestion);
    let server = DnsServer::start(zone).expect("server");
    let at = server.address();
    let resolver = resolver(&[at], Duration::from_millis(1000));
    let check = async |address: &str, expect: &str, least: u64, most: u64| {
        let start = Instant::now();
        assert_eq!(ask(&resolver, address).await, expect);
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(least), "{address}: {took:?}");
        assert!(took < Duration::from_millis(most), "{address}: {took:?}");
    };
    let timed_out = |address: &str| format!("? PTR of {address}: {at}: timed out");
    check("192.0.2.1", &timed_out("192.0.2.1"), 990, 5000).await;
    check("192.0.2.1", &timed_out("192.0.2.1"), 0, 990).await; // remembered
    check("192.0.2.2", "+late.test", 300, 5000).await;
    check("192.0.2.3", &timed_out("192.0.2.3"), 990, 5000).await;
    check("192.0.2.4", "-silent.test +works.test", 990, 5000).await;
    check("192.0.2.5", &timed_out("192.0.2.5"), 990, 5000).await; // the answer to another question
}

#[tokio::test]
async fn the_next_server_is_asked() {
    let good = DnsServer::start(Zone::new().host("192.0.2.1", "mx.test")).expect("server");
    let failing = |manner: Manner| {
        DnsServer::start(Zone::new().reverse_manner("192.0.2.1", manner)).expect("server")
    };
    let nowhere = "127.0.0.1:1".parse().expect("address"); // nobody listens
    for manner in [Manner::ServFail, Manner::Refused, Manner::Silent, Manner::Referral] {
        let bad = failing(manner.clone());
        let resolver = resolver(&[bad.address(), nowhere, good.address()], Duration::from_secs(2));
        assert_eq!(ask(&resolver, "192.0.2.1").await, "+mx.test", "{manner:?}");
        // The good one was remembered: it is the first to be asked now.
        let before = bad.asked().len();
        assert_eq!(ask(&resolver, "192.0.2.2").await, "");
        assert_eq!(bad.asked().len(), before);
    }
    // NXDOMAIN is an answer.
    let bad = failing(Manner::NxDomain);
    let resolver_ = resolver(&[bad.address(), good.address()], Duration::from_secs(2));
    assert_eq!(ask(&resolver_, "192.0.2.1").await, "");
    // All of them fail: each says why.
    let bad = failing(Manner::ServFail);
    let resolver = resolver(&[bad.address(), nowhere], Duration::from_millis(400));
    let expect = format!("? PTR of 192.0.2.1: {}: SERVFAIL; 127.0.0.1:1: ", bad.address());
    let answer = ask(&resolver, "192.0.2.1").await;
    assert!(answer.starts_with(&expect), "{answer}");
}

#[tokio::test]
async fn asked_once() {
    let zone = Zone::new()
        .host("192.0.2.1", "mx.test")
        .reverse_manner("192.0.2.1", Manner::Late(Duration::from_millis(100)));
    let server = DnsServer::start(zone).expect("server");
    let resolver = Arc::new(resolver(&[server.address()], Duration::from_secs(5)));
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { ask(&resolver, "192.0.2.1").await })
        })
        .collect();
    for one in asking {
        assert_eq!(one.await.expect("asks"), "+mx.test");
    }
    assert_eq!(ask(&resolver, "192.0.2.1").await, "+mx.test");
    assert_eq!(server.asked(), ["PTR 1.2.0.192.in-addr.arpa", "A mx.test"]);
    // Negative answers are remembered too.
    for _ in 0..3 {
        assert_eq!(ask(&resolver, "192.0.2.2").await, "");
    }
    assert_eq!(server.asked().len(), 3);
    // The records change, the answer is still remembered.
    server.set(Zone::new());
    assert_eq!(ask(&resolver, "192.0.2.1").await, "+mx.test");
}

#[tokio::test]
async fn one_who_leaves_spoils_nothing() {
    let zone = Zone::new()
        .host("192.0.2.1", "mx.test")
        .reverse_manner("192.0.2.1", Manner::Late(Duration::from_millis(200)));
    let server = DnsServer::start(zone).expect("server");
    let resolver = Arc::new(resolver(&[server.address()], Duration::from_secs(5)));
    let first = tokio::spawn({
        let resolver = Arc::clone(&resolver);
        async move { ask(&resolver, "192.0.2.1").await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = tokio::spawn({
        let resolver = Arc::clone(&resolver);
        async move { ask(&resolver, "192.0.2.1").await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    first.abort();
    assert_eq!(second.await.expect("asks"), "+mx.test");
    assert_eq!(ask(&resolver, "192.0.2.1").await, "+mx.test");
}

#[tokio::test]
async fn eight_at_a_time() {
    let mut zone = Zone::new();
    for last in 1..=20 {
        zone = zone.reverse_manner(&format!("192.0.2.{last}"), Manner::Silent);
    }
    let server = DnsServer::start(zone).expect("server");
    let resolver = Arc::new(resolver(&[server.address()], Duration::from_secs(2)));
    let asking: Vec<_> = (1..=20)
        .map(|last| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { ask(&resolver, &format!("192.0.2.{last}")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.asked().len(), 8);
    for one in asking {
        assert!(one.await.expect("asks").starts_with("? "));
    }
    assert_eq!(server.asked().len(), 20);
}

#[tokio::test]
async fn what_was_forgotten_is_asked_again() {
    let server = DnsServer::start(Zone::new()).expect("server");
    let resolver = Resolver::new(Settings {
        servers: vec![server.address()],
        cache_cap: 2,
        ..Settings::default()
    });
    for last in [1, 2, 2, 1, 3, 3, 1] {
        ask(&resolver, &format!("192.0.2.{last}")).await;
    }
    let asked: Vec<String> =
        [1, 2, 3, 1].iter().map(|last| format!("PTR {last}.2.0.192.in-addr.arpa")).collect();
    assert_eq!(server.asked(), asked);
}

#[tokio::test]
async fn no_route_and_no_file() {
    let v6 = "[2001:db8::53]:53".parse().expect("address");
    let unreachable = resolver(&[v6], Duration::from_millis(300));
    let answer = ask(&unreachable, "192.0.2.1").await;
    assert!(answer.starts_with("? PTR of 192.0.2.1: [2001:db8::53]:53: "), "{answer}");
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("resolv.conf");
    let server = DnsServer::start(Zone::new().host("192.0.2.1", "mx.test")).expect("server");
    // resolv.conf knows no ports: all that can be seen here is that the server named in it is the one asked.
    fs::File::create(&path).expect("file");
    let resolver = Resolver::new(Settings {
        timeout: Duration::from_millis(300),
        resolv_conf: path,
        ..Settings::default()
    });
    let answer = ask(&resolver, "192.0.2.1").await;
    assert!(answer.starts_with("? PTR of 192.0.2.1: 127.0.0.1:53: "), "{answer}");
    assert_eq!(server.asked(), Vec::<String>::new());
}
