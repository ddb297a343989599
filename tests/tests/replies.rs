//! Other texts: what a relay says itself of its broken STARTTLS, built in (GroupWise) and by an operator's pattern.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tests::rig::Rig;

const GROUPWISE: &str = "450 TLS negotation failure";
const PATTERN: &str = "[[log.pattern]]\nname = \"busy gateway\"\n\
    regex = 'relay=(?P<relay>[^, ]+) .*, reply=451 4\\.3\\.0 TLS is busy'\n";

/// A delivery line that was deferred for these words of the server, so many minutes ago.
#[expect(clippy::disallowed_methods, reason = "the lines are as old as the test says")]
fn deferred(minutes: i64, relay: &str, address: &str, words: &str) -> String {
    let at = Timestamp::now() - SignedDuration::from_mins(minutes);
    format!(
        "{at:.6} mx1 sm-mta[421]: 6ANAvgJL000419: to=<u@gw.example>, delay=00:00:00, xdelay=00:00:00, mailer=esmtp, \
         pri=30074, relay={relay}. [{address}], dsn=4.2.0, reply={words}, stat=Deferred: {words}\n"
    )
}

/// Three of them over seven hours.
fn three(relay: &str, address: &str, words: &str) -> String {
    [430, 200, 10].map(|minutes| deferred(minutes, relay, address, words)).concat()
}

fn scanned(rig: &Rig) -> Value {
    let ran = rig
        .trytlsd(&["scan", "--json", "--no-dns", "--config", "trytlsd.toml", "mail.log"])
        .unwrap();
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// It leads to an entry for the relay that said it, is counted as a reply, and speaks of no other relay.
#[test]
fn groupwise() {
    let rig = Rig::new().unwrap();
    rig.config("dry_run = false\n").unwrap();
    let lie = "451 relay=victim.example. [192.0.2.9], dsn=4.2.0, reply=450 TLS negotation failure";
    let log = [
        three("gw.example.org", "192.0.2.40", GROUPWISE),
        three("liar.example.org", "192.0.2.41", lie),
        three("mail-gateway-numbe...epartment.example", "192.0.2.42", GROUPWISE),
    ];
    rig.write("mail.log", log.concat()).unwrap();
    let report = scanned(&rig);
    let relays = report["relays"].as_array().unwrap();
    assert_eq!(relays.len(), 1, "{report}");
    let relay = &relays[0];
    assert_eq!(relay["relay"], "gw.example.org");
    assert_eq!((&relay["replies"], &relay["attempts"]), (&3.into(), &0.into()));
    assert_eq!(relay["entries"], serde_json::json!(["Try_TLS:192.0.2.40\tNO"]));
    let mut running = rig.run().unwrap();
    running.wait_says("INFO active relay=gw.example.org").unwrap();
    assert_eq!(running.stop().unwrap(), Some(0));
    let access = rig.read("access");
    assert!(access.contains("\nTry_TLS:192.0.2.40\tNO\n"), "{access}");
    assert!(!access.contains("victim") && !access.contains("192.0.2.9"), "{access}");
}

/// Words are weak evidence: three within an hour hold, and the hold says what is missing.
#[test]
fn words_within_an_hour_hold() {
    let rig = Rig::new().unwrap();
    let at = |minutes| deferred(minutes, "gw.example.org", "192.0.2.40", GROUPWISE);
    rig.write("mail.log", [50, 30, 10].map(at).concat()).unwrap();
    let report = scanned(&rig);
    assert_eq!(report["relays"][0]["verdict"], "held");
    let why = report["relays"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("only 0 of 3 attempts are more than resets"), "{why}");
}

/// A pattern of the operator's counts as GroupWise's text does, once its name is in the config.
#[test]
fn a_pattern() {
    let rig = Rig::new().unwrap();
    let words = "451 4.3.0 TLS is busy, ask victim.example";
    rig.write("mail.log", three("gw.example.org", "192.0.2.40", words)).unwrap();
    assert_eq!(scanned(&rig)["relays"], serde_json::json!([]));
    rig.drop_in("pattern.toml", PATTERN).unwrap();
    let report = scanned(&rig);
    assert_eq!(report["relays"][0]["relay"], "gw.example.org");
    assert_eq!(report["relays"][0]["replies"], 3);
    assert_eq!(report["relays"][0]["verdict"], "propose");

    let line = deferred(1, "gw.example.org", "192.0.2.40", words);
    let ran = rig.trytlsd(&["match", "--config", "trytlsd.toml", &line]).unwrap();
    for part in [
        "pattern   busy gateway",
        "verdict   counts: it matches the pattern \"busy gateway\"",
        "a reply of gw.example.org at 192.0.2.40 (busy gateway)",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }

    // One that is only told.
    rig.drop_in("pattern.toml", &format!("{PATTERN}counts = false\n")).unwrap();
    let report = scanned(&rig);
    assert_eq!(report["relays"][0]["replies"], 3);
    assert_eq!(report["relays"][0]["verdict"], "below-threshold");

    // A name out of the server's words is never taken.
    let greedy = PATTERN
        .replace("relay=(?P<relay>[^, ]+) .*, reply=451", "ask (?P<relay>victim.example)|451");
    rig.drop_in("pattern.toml", &greedy).unwrap();
    assert_eq!(scanned(&rig)["relays"], serde_json::json!([]));
}

/// check-config tries each pattern on its samples.
#[test]
fn samples() {
    let rig = Rig::new().unwrap();
    rig.write("mail.log", "").unwrap();
    let check = |samples: &str, says: &str| {
        rig.drop_in("pattern.toml", &format!("{PATTERN}samples = [{samples}]\n")).unwrap();
        let ran = rig.trytlsd(&["check-config", "--config", "trytlsd.toml"]).unwrap();
        assert!(ran.stdout.contains(says), "{says}: {ran:?}");
    };
    let line = |words: &str| {
        let line = deferred(1, "gw.example.org", "192.0.2.40", words);
        format!("'{}'", line.trim_end())
    };
    let good = line("451 4.3.0 TLS is busy");
    check(&good, "ok pattern \"busy gateway\", sample 1: a reply of gw.example.org");
    let bad = line("451 4.3.0 other");
    check(
        &format!("{good}, {bad}"),
        "!! pattern \"busy gateway\", sample 2: the pattern does not match it",
    );
    check("'hello'", "!! pattern \"busy gateway\", sample 1: it is no line of sendmail's");
    check("", "!! pattern \"busy gateway\" has no samples");
}
