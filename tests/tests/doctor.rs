//! The doctor without a real sendmail: what it says of DNS servers that validate, do not, or are not there, and of a log that
//! is another program's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData};
use serde_json::Value;
use tests::dns::{DnsServer, Zone};
use tests::rig::Rig;

/// What the doctor says of one thing: how good it is, and in words.
fn said(rig: &Rig, id: &str) -> (String, String) {
    let ran = rig.trytlsd(&["doctor", "--json", "--config", "trytlsd.toml"]).unwrap();
    // The rig has no sendmail that would answer.
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let all = report["findings"].as_array().unwrap();
    let found = all.iter().find(|finding| finding["id"] == id);
    let found = found.unwrap_or_else(|| panic!("{id} says nothing: {report}"));
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("grade"), text("text"))
}

#[test]
fn resolvers() {
    let soa = || {
        let ns = Name::from_ascii("a.root-servers.net.").unwrap();
        RData::SOA(SOA::new(ns.clone(), ns, 1, 1800, 900, 604_800, 86_400))
    };
    let rig = Rig::new().unwrap();
    rig.write("mail.log", "").unwrap();
    let check = |zone: Zone, resolver: (&str, &str), dnssec: (&str, &str)| {
        let server = DnsServer::start(zone).unwrap();
        let config = format!("[dns]\nservers = [\"{}\"]\ntimeout = \"1s\"\n", server.address());
        rig.drop_in("dns.toml", &config).unwrap();
        for (id, (grade, part)) in [("resolver", resolver), ("dnssec", dnssec)] {
            let (is, text) = said(&rig, id);
            assert!(is == grade && text.contains(part), "{id}: {is} {text}");
        }
    };
    check(
        Zone::new().record(".", soa()).proven("."),
        ("good", "answers and validates (trusted)"),
        ("good", "a trusted resolver validates"),
    );
    // One that validates nothing, and hands on no proofs either.
    check(
        Zone::new().record(".", soa()),
        ("good", "answers and does not validate (trusted)"),
        ("wrong", "nothing can be proven here"),
    );
    rig.drop_in("dns.toml", "[dns]\nservers = [\"127.0.0.1:9\"]\ntimeout = \"1s\"\n").unwrap();
    let (grade, text) = said(&rig, "resolver");
    assert!(grade == "wrong" && text.contains("no DNS server answers: 127.0.0.1:9"), "{text}");
}

#[test]
fn a_log_of_postfix() {
    let rig = Rig::new().unwrap();
    let line = "Nov 23 11:30:13 mx1 postfix/smtp[421]: 4F3A2B1C9D: to=<u@example.org>, relay=none, \
                delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (\u{1b}[31mtimed out)\n";
    rig.write("mail.log", line.repeat(200)).unwrap();
    let (grade, text) = said(&rig, "log-understood");
    assert!(grade == "wrong" && text.contains("programs: postfix/smtp"), "{text}");

    // Foreign text is shown, and harmless.
    rig.write("mail.log", "\u{1b}[31mred\n".repeat(200)).unwrap();
    let ran = rig.trytlsd(&["doctor", "--no-dns", "--config", "trytlsd.toml"]).unwrap();
    assert!(ran.stdout.contains("for instance: \\u{1b}[31mred"), "{ran:?}");
    assert!(!ran.stdout.contains('\u{1b}'), "{ran:?}");
}
