//! MTA-STS hosts that redirect, never end, show another's certificate, answer from a private address.

use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::TXT;

use crate::ca::Wish;
use crate::case::{Case, Web, broken_to};
use crate::https::{Manner, Then};
use crate::wish;

fn policy(mode: &str) -> String {
    format!("version: STSv1\r\nmode: {mode}\r\nmx: *.test\r\nmax_age: 86400\r\n")
}

fn response(head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

const GOOD: &str = "200 OK\r\ncontent-type: text/plain";

fn good(body: &str) -> Manner {
    Manner::Talk(response(GOOD, body), Then::End)
}

/// Mail to a domain of its own, whose policy host is a web server at an address of its own.
struct Domain {
    n: usize,
    name: String,
    address: String,
}

impl Domain {
    fn new(n: usize) -> Self {
        Self { n, name: format!("w{n}.test"), address: format!("203.0.113.{}", 150 + n) }
    }

    fn case(&self, name: &str, wish: Wish, manner: Manner) -> Case {
        let Self { n, name: domain, address } = self;
        let log = broken_to(&format!("mx.{domain}"), address, &format!("<u@{domain}>"));
        let host = format!("127.0.1.{n}");
        let web = Web { address: format!("{host}:443"), wish, manner };
        let domain = domain.clone();
        Case::new(format!("MTA-STS: {name}"), log).web(web).dns(move |zone| {
            let record = RData::TXT(TXT::new(vec!["v=STSv1; id=1;".to_owned()]));
            zone.record(&format!("_mta-sts.{domain}"), record)
                .address(&format!("mta-sts.{domain}"), &host)
        })
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut n = 0;
    let mut next = || {
        n += 1;
        Domain::new(n)
    };
    let mut cases = Vec::new();
    let none = policy("none");
    let elsewhere = "301 Moved\r\nlocation: https://mta-sts.w1.test/.well-known/mta-sts.txt";
    let endless = format!("HTTP/1.1 {GOOD}\r\n\r\n{none}").into_bytes();
    let headers = b"HTTP/1.1 200 OK\r\n".to_vec();
    let long = format!("HTTP/1.1 {GOOD}\r\ncontent-length: 1000\r\n\r\n{none}").into_bytes();
    let big = format!("{none}x: {}", "x".repeat(70_000));
    let manners: Vec<(&str, Manner)> = vec![
        ("enforce", good(&policy("enforce"))),
        (
            "a redirect to a policy of mode none",
            Manner::Talk(response(elsewhere, &none), Then::End),
        ),
        (
            "a body that never ends",
            Manner::Talk(endless.clone(), Then::Repeat(b"x: y\r\n".to_vec())),
        ),
        (
            "a body that never ends, slowly",
            Manner::Talk(endless.clone(), Then::Trickle(b"x".to_vec())),
        ),
        ("a body without an end", Manner::Talk(endless.clone(), Then::Silence)),
        ("a body that is cut off", Manner::Talk(endless, Then::Cut)),
        ("a body that is shorter than it says", Manner::Talk(long, Then::End)),
        ("headers that never end", Manner::Talk(headers, Then::Trickle(b"a: b\r\n".to_vec()))),
        ("a body that is too large", good(&big)),
        ("a host that says nothing", Manner::Deaf),
        ("a host without TLS", Manner::Plain(response(GOOD, &none))),
        ("404", Manner::Talk(response("404 Not Found", &none), Then::End)),
        ("500", Manner::Talk(response("500 Oh\r\ncontent-type: text/plain", &none), Then::End)),
        ("HTML", Manner::Talk(response("200 OK\r\ncontent-type: text/html", &none), Then::End)),
        ("nothing", good("")),
        ("no mode", good("version: STSv1\r\nmx: a.test\r\nmax_age: 9\r\n")),
        ("a mode that there is not", good(&policy("off"))),
    ];
    for (name, manner) in manners {
        let domain = next();
        cases.push(domain.case(name, wish(&domain.name), manner));
    }
    let mut certified = |name: &str, bad: fn(Wish) -> Wish| {
        let domain = next();
        cases.push(domain.case(name, bad(wish(&domain.name)), good(&none)));
    };
    certified("another's certificate", |wish| Wish { names: vec!["mta-sts.w1.test"], ..wish });
    certified("a certificate that has expired", |wish| Wish { days: [-9, -1], ..wish });
    certified("a certificate of its own", |wish| Wish { own: true, ..wish });
    certified("TLS 1.1", |wish| Wish { old: true, ..wish });
    let domain = next();
    let host = format!("mta-sts.{}", domain.name);
    let case = domain.case("the host's address loops", wish(&domain.name), good(&none));
    cases.push(case.dns(move |zone| zone.manner(&host, tests::dns::Manner::ServFail)));
    for mode in ["none", "testing"] {
        let domain = next();
        let case = domain.case(mode, wish(&domain.name), good(&policy(mode)));
        cases.push(case.honest(&domain.address));
    }
    cases
}

/// Good policies of mode none, from where only a liar has them fetched.
pub(crate) fn from_private_addresses() -> Vec<Case> {
    (1..4)
        .map(Domain::new)
        .map(|domain| domain.case("from loopback", wish(&domain.name), good(&policy("none"))))
        .collect()
}
