//! Logs of a real sendmail 8.17.1 with real broken peers: every failure is found, none is invented.

#[allow(dead_code, reason = "each test uses its part")]
mod common;

use std::collections::BTreeMap;
use std::path::Path;

use maillog::event::{CauseKind, What};
use maillog::kinds::Kinds;

use common::{found, show};

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn log(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    std::fs::read(path).unwrap()
}

fn check(name: &str, expect: &[&str]) {
    let delivered = name == "gw450.log"; // All others have one line of this kind, which is not their matter.
    let events = found(Kinds::ALL, &log(name)).into_iter();
    let events = events.filter(|e| delivered || !matches!(e.what, What::ClientDelivered(_)));
    let got: Vec<_> = events.map(|event| show(&event)).collect();
    assert_eq!(got, expect, "{name}");
}

#[test]
fn broken_peers() {
    let broken = |name: &str, relay: &str, cause: &str, pid: u32, outcome: &str| {
        let attempt = format!("{pid} attempt {relay} Software 454 {cause}");
        check(name, &[&attempt, &format!("{pid} stuck {relay} {outcome}")]);
    };
    let wrong_version = "Handshake wrong version number";
    broken(
        "garbage.log",
        "garbage.mx.test",
        wrong_version,
        276,
        r#"127.0.0.11 6ANBUDwd000274 ["u@garbage.rcpt.test"]"#,
    );
    broken(
        "garbage.trad.log",
        "garbage.mx.test",
        wrong_version,
        276,
        r#"127.0.0.11 6ANBUDwd000274 ["u@garbage.rcpt.test"]"#,
    );
    broken(
        "noptr.log",
        "noptr.mx.test",
        wrong_version,
        753,
        r#"127.0.0.24 6ANAp6mY000751 ["u@noptr.rcpt.test"]"#,
    );
    broken(
        "v6bad.log",
        "v6bad.mx.test",
        wrong_version,
        1293,
        r#"fd00:1ab::41 6ANAq88a001291 ["u@v6bad.rcpt.test"]"#,
    );
    broken(
        "close.log",
        "close.mx.test",
        "Network unknown",
        258,
        r#"127.0.0.12 6ANAoejE000256 ["u@close.rcpt.test"]"#,
    );
    broken(
        "rst.log",
        "rst.mx.test",
        "Network unknown",
        573,
        r#"127.0.0.20 6ANAouUH000571 ["u@rst.rcpt.test"]"#,
    );
    broken(
        "nooverlap.log",
        "nooverlap.mx.test",
        "Handshake sslv3 alert handshake failure",
        303,
        r#"127.0.0.14 6ANAogvA000301 ["u@nooverlap.rcpt.test"]"#,
    );
    broken(
        "tls10.log",
        "tls10.mx.test",
        "Handshake legacy sigalg disallowed or unsupported",
        348,
        r#"127.0.0.15 6ANAojaw000346 ["u@tls10.rcpt.test"]"#,
    );
    broken(
        "weakdh.log",
        "weakdh.mx.test",
        "Handshake dh key too small",
        393,
        r#"127.0.0.16 6ANAolx7000391 ["u@weakdh.rcpt.test"]"#,
    );
    check("hang.log", &["798 attempt hang.mx.test Software 454 Network unknown"]);
}

#[test]
fn several_hosts() {
    check(
        "mm1.log",
        &[
            "1608 attempt garbage.mx.test Software 454 Handshake wrong version number",
            "1608 success good.mx.test TLSv1.3 FAIL",
            "1608 sent garbage.mx.test",
            "1608 served good.mx.test 127.0.0.21",
        ],
    );
    check(
        "multircpt-domains.log",
        &[
            "1880 attempt close.mx.test Software 454 Network unknown",
            r#"1880 stuck close.mx.test 127.0.0.12 6ANAqi7M001878 ["d@close.rcpt.test"]"#,
            "1880 attempt garbage.mx.test Software 454 Handshake wrong version number",
            r#"1880 stuck garbage.mx.test 127.0.0.11 6ANAqi7M001878 ["a@garbage.rcpt.test"]"#,
            "1880 success good.mx.test TLSv1.3 FAIL",
            "1880 served good.mx.test 127.0.0.21",
            "1880 waiting close.mx.test 6ANAqi7M001878",
        ],
    );
    check(
        "tlsfallbacktoclear.log",
        &[
            "2390 attempt garbage.mx.test Software 454 Handshake wrong version number",
            "2435 attempt garbage.mx.test Software 454 Handshake wrong version number",
            "2390 sent garbage.mx.test",
            "2435 sent garbage.mx.test",
        ],
    );
}

#[test]
fn peers_that_are_not_broken() {
    check(
        "good.log",
        &["618 success good.mx.test TLSv1.3 FAIL", "618 served good.mx.test 127.0.0.21"],
    );
    check(
        "expired.log",
        &["438 success expired.mx.test TLSv1.3 FAIL", "438 served expired.mx.test 127.0.0.17"],
    );
    check(
        "dropafter.log",
        &["663 success dropafter.mx.test TLSv1.3 FAIL", "663 served dropafter.mx.test 127.0.0.22"],
    );
    for name in ["plain.log", "s450.log", "s454.log"] {
        check(name, &[]);
    }
}

/// GroupWise breaks no handshake: it says what is wrong, and only that line tells.
#[test]
fn a_reply_of_groupwise() {
    let local = r#"419 delivered Some("lab.example.test") 127.0.0.1"#;
    let reply = r#"421 reply gw450.mx.test 127.0.0.40 GroupWise ["u@gw450.rcpt.test"]"#;
    check("gw450.log", &[local, reply]);
}

#[test]
fn the_receiving_side() {
    check(
        "server-garbage.log",
        &[r#"733 client failed Some("cl1.ptr.test") 127.0.0.50 wrong version number"#],
    );
    check("server-garbage-noptr.log", &["649 client failed None 127.0.0.52 wrong version number"]);
    check(
        "server-http.log",
        &[r#"271 client failed Some("cl1.ptr.test") 127.0.0.50 http request"#],
    );
    check("server-good.log", &[r#"565 client Some("cl1.ptr.test") 127.0.0.50"#]);
}

/// Attempts and stuck ones by relay, counted by hand (with `grep` and by process).
#[test]
fn interleaved_deliveries() {
    let expect = [
        ("[garbage.mx.test]", 3, 1),
        ("close.mx.test", 9, 9),
        ("garbage.mx.test", 10, 4),
        ("host1.example.test", 4, 3),
        ("mail-gateway-number-one-of-the-very-long-subdomain.department.mx.test", 3, 1),
        ("nooverlap.mx.test", 4, 4),
        ("rst.mx.test", 5, 5),
        ("tls10.mx.test", 4, 4),
        ("v6bad.mx.test", 4, 3),
        ("weakdh.mx.test", 3, 3),
    ];
    let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let (mut causes, mut addresses, mut successes) = (0, 0, 0);
    for event in found(Kinds::ALL, &log("mixed.log")) {
        match event.what {
            What::Attempt(attempt) => {
                assert!(attempt.counts());
                causes += u32::from(attempt.cause.is_some());
                counts.entry(attempt.relay.to_string()).or_default().0 += 1;
            }
            What::Stuck(stuck) => {
                addresses += u32::from(stuck.address.is_some());
                assert_eq!(stuck.recipients.list.len(), 1);
                counts.entry(stuck.attempt.relay.to_string()).or_default().1 += 1;
            }
            What::Success(_) => successes += 1,
            _ => {}
        }
    }
    let counts: Vec<_> = counts.iter().map(|(relay, (a, s))| (relay.as_str(), *a, *s)).collect();
    assert_eq!(counts, expect);
    // Two of the 37 went through two broken hosts: the delivery line names only the second.
    assert_eq!((causes, addresses, successes), (49, 35, 98));
}

/// With an entry in the map sendmail says so at each attempt; without one that matches, the attempt fails.
#[test]
fn entries_that_are_used() {
    let events = found(Kinds::ALL, &log("trytls_keys.log"));
    let count =
        |wanted: &dyn Fn(&What<'_>) -> bool| events.iter().filter(|e| wanted(&e.what)).count();
    assert_eq!(count(&|what| matches!(what, What::TryTls(t) if t.address.is_some())), 25);
    assert_eq!(count(&|what| matches!(what, What::Attempt(a) if a.counts())), 17);
    assert_eq!(count(&|what| matches!(what, What::Stuck(s) if s.address.is_some())), 17);
    let network = |what: &What<'_>| matches!(what, What::Attempt(a) if a.cause.as_ref().is_none_or(|c| c.kind == CauseKind::Network));
    assert_eq!(count(&network), 0);
}
