//! `trytlsd scan`: what it reads, what it counts, what it says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::BTreeMap;

use serde_json::Value;
use tests::dns::{DnsServer, Zone};
use tests::need;
use tests::rig::Rig;

/// A failure of `relay` at `address`, as sendmail logs it; `minute` of 23 November.
fn failure(relay: &str, address: &str, minute: u32) -> String {
    let (hour, minute) = (minute / 60, minute % 60);
    let stamp = format!("2026-11-23T{hour:02}:{minute:02}:00.000000+00:00 mx1 sm-mta[276]: ");
    format!(
        "{stamp}STARTTLS=client, error: connect failed=-1, reason=wrong version number, SSL_error=1, errno=0, retry=-1\n\
         {stamp}ruleset=tls_server, arg1=SOFTWARE, relay={relay}, reject=454 4.7.0 TLS handshake failed.\n\
         {stamp}6ANBUDwd000274: to=<u@example.org>, delay=00:00:00, xdelay=00:00:00, mailer=esmtp, pri=30078, \
         relay={relay}. [{address}], dsn=4.7.0, stat=Deferred: 454 4.7.0 TLS handshake failed.\n"
    )
}

/// Three failures over half an hour: past the threshold.
fn broken(relay: &str, address: &str) -> String {
    [0, 15, 30].iter().map(|minute| failure(relay, address, *minute)).collect()
}

fn success(relay: &str, minute: u32) -> String {
    format!(
        "2026-11-23T01:{minute:02}:00.000000+00:00 mx1 sm-mta[300]: STARTTLS=client, relay={relay}., version=TLSv1.3, \
         verify=OK, cipher=TLS_AES_256_GCM_SHA384, bits=256/256\n"
    )
}

fn json(rig: &Rig, args: &[&str]) -> Value {
    let all: Vec<&str> = [&["scan", "--config", "trytlsd.toml", "--json"], args].concat();
    let ran = rig.trytlsd(&all).unwrap();
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

fn relay<'a>(report: &'a Value, name: &str) -> &'a Value {
    let relays = report["relays"].as_array().unwrap();
    relays.iter().find(|relay| relay["relay"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

/// What each of the real logs holds: attempts and confirmed ones by relay.
#[test]
fn every_failure_of_the_real_logs_is_found_and_none_invented() {
    /// A relay with its attempts and its confirmed ones.
    type Counted = (&'static str, u64, u64);
    let expect: &[(&str, &[Counted])] = &[
        ("garbage.log", &[("garbage.mx.test", 1, 1)]),
        ("garbage.trad.log", &[("garbage.mx.test", 1, 1)]),
        ("close.log", &[("close.mx.test", 1, 1)]),
        ("rst.log", &[("rst.mx.test", 1, 1)]),
        ("hang.log", &[("hang.mx.test", 1, 0)]),
        ("nooverlap.log", &[("nooverlap.mx.test", 1, 1)]),
        ("tls10.log", &[("tls10.mx.test", 1, 1)]),
        ("weakdh.log", &[("weakdh.mx.test", 1, 1)]),
        ("noptr.log", &[("noptr.mx.test", 1, 1)]),
        ("v6bad.log", &[("v6bad.mx.test", 1, 1)]),
        ("mm1.log", &[("garbage.mx.test", 1, 0)]),
        ("tlsfallbacktoclear.log", &[("garbage.mx.test", 2, 0)]),
        ("good.log", &[]),
        ("plain.log", &[]),
        ("expired.log", &[]),
        ("dropafter.log", &[]),
        ("s450.log", &[]),
        ("s454.log", &[]),
        ("gw450.log", &[("gw450.mx.test", 0, 0)]), // replies are no attempts
        ("server-garbage.log", &[]),
        ("server-garbage-noptr.log", &[]),
        ("server-good.log", &[]),
        ("server-http.log", &[]),
    ];
    let rig = Rig::new().unwrap();
    for (log, expect) in expect {
        let path = need::repository().join("crates/maillog/testdata").join(log);
        let report = json(&rig, &["--no-dns", path.to_str().unwrap()]);
        let found: BTreeMap<String, (u64, u64)> = report["relays"]
            .as_array()
            .unwrap()
            .iter()
            .map(|relay| {
                let number = |key: &str| relay[key].as_u64().unwrap();
                (
                    relay["relay"].as_str().unwrap().to_owned(),
                    (number("attempts"), number("confirmed")),
                )
            })
            .collect();
        let expect = expect.iter().map(|(name, a, c)| ((*name).to_owned(), (*a, *c))).collect();
        assert_eq!(found, expect, "{log}");
    }
}

#[test]
fn the_verdicts() {
    let rig = Rig::new().unwrap();
    rig.config("[policy]\nnever = [\"192.0.2.66\"]\n").unwrap();
    let mut log = broken("mx.broken.example", "192.0.2.1");
    log += &failure("mx.once.example", "192.0.2.2", 5);
    log += &broken("mx.mended.example", "192.0.2.3");
    log += &success("mx.mended.example", 0);
    log += &broken("mx.never.example", "192.0.2.66");
    log += &broken("a=b.example", "192.0.2.4");
    log += &failure("mx.sent.example", "192.0.2.5", 9).replace("stat=Deferred", "stat=Sent (x) ");
    rig.write("mail.log", log).unwrap();
    let report = json(&rig, &["--no-dns", "mail.log"]);
    let check = |name: &str, verdict: &str, entries: &[&str]| {
        let relay = relay(&report, name);
        assert_eq!(relay["verdict"], verdict, "{relay}");
        assert_eq!(relay["entries"], Value::from(entries.to_vec()), "{relay}");
    };
    check("mx.broken.example", "propose", &["Try_TLS:192.0.2.1\tNO"]);
    check("mx.once.example", "below-threshold", &[]);
    check("mx.mended.example", "recovered", &[]);
    check("mx.never.example", "ignored", &[]);
    check("a=b.example", "held", &[]);
    check("mx.sent.example", "not-stuck", &[]);
    assert_eq!(report["lines"], 4 * 9 + 2 * 3 + 1);
    assert_eq!(relay(&report, "mx.broken.example")["ptr"], Value::Null);
    assert_eq!(
        relay(&report, "mx.once.example")["why"],
        "1 stuck within 24h; missing: 2 more within 24h, 30m more between the first and the last"
    );
}

/// A relay whose address no line names is written by its name, and an address literal by its address.
#[test]
fn a_relay_without_an_address_line_is_not_lost() {
    let rig = Rig::new().unwrap();
    let elsewhere = |relay: &str| {
        broken(relay, "192.0.2.1")
            .replace(&format!("relay={relay}. ["), "relay=mx20.down.example. [")
    };
    rig.write("mail.log", elsewhere("mx10.broken.example") + &elsewhere("[192.0.2.7]")).unwrap();
    let report = json(&rig, &["--no-dns", "mail.log"]);
    for (name, entry) in [
        ("mx10.broken.example", "Try_TLS:mx10.broken.example\tNO"),
        ("[192.0.2.7]", "Try_TLS:192.0.2.7\tNO"),
    ] {
        let relay = relay(&report, name);
        assert_eq!(relay["addresses"], Value::from(Vec::<&str>::new()));
        assert_eq!((&relay["verdict"], &relay["entries"][0]), (&"propose".into(), &entry.into()));
    }
}

#[test]
fn dns_decides_between_name_and_address() {
    let rig = Rig::new().unwrap();
    let zone = Zone::new()
        .host("192.0.2.1", "mx.same.example")
        .host("192.0.2.2", "other.example")
        .ptr("192.0.2.3", "mx.liar.example");
    let dns = DnsServer::start(zone).unwrap();
    rig.drop_in("dns.toml", &format!("[dns]\nservers = [\"{}\"]\n", dns.address())).unwrap();
    let log = broken("mx.same.example", "192.0.2.1")
        + &broken("mx.differs.example", "192.0.2.2")
        + &broken("mx.liar.example", "192.0.2.3")
        + &broken("mx.none.example", "192.0.2.4");
    rig.write("mail.log", log).unwrap();
    let report = json(&rig, &["mail.log"]);
    let check = |name: &str, ptr: Value, confirmed: bool, entry: &str| {
        let relay = relay(&report, name);
        assert_eq!((&relay["ptr"], &relay["ptr_confirmed"]), (&ptr, &confirmed.into()), "{relay}");
        assert_eq!(relay["entries"], Value::from(vec![entry]), "{relay}");
    };
    check("mx.same.example", "mx.same.example".into(), true, "Try_TLS:mx.same.example\tNO");
    check("mx.differs.example", "other.example".into(), true, "Try_TLS:192.0.2.2\tNO");
    check("mx.liar.example", "mx.liar.example".into(), false, "Try_TLS:192.0.2.3\tNO");
    check("mx.none.example", Value::Null, false, "Try_TLS:192.0.2.4\tNO");
}

#[test]
fn the_text_for_people() {
    let rig = Rig::new().unwrap();
    rig.write("mail.log", broken("mx.broken.example", "192.0.2.1")).unwrap();
    let ran = rig.trytlsd(&["scan", "--config", "trytlsd.toml", "--no-dns", "mail.log"]).unwrap();
    let access = rig.path("access");
    assert_eq!(
        ran.stdout,
        format!(
            "mx.broken.example\n  attempts  3, 3 confirmed\n  kinds     handshake 3\n  reasons   wrong version number (3)\n\
             \x20 seen      2026-11-23T00:00:00Z to 2026-11-23T00:30:00Z\n  address   192.0.2.1\n  PTR       not asked\n\
             \x20 verdict   propose: the threshold is passed and no guard speaks\n  entry     Try_TLS:192.0.2.1\tNO\n\n\
             # 9 lines, 1 relay with a broken STARTTLS\n# 1 entry for {}:\nTry_TLS:192.0.2.1\tNO\n",
            access.display()
        )
    );
    assert_eq!((ran.stderr.as_str(), ran.status), ("", Some(0)));
}

/// Files, globs, gzip and standard input give the same; rotated files are read oldest first.
#[test]
fn all_kinds_of_input() {
    let rig = Rig::new().unwrap();
    let parts = [0, 15, 30].map(|minute| failure("mx.broken.example", "192.0.2.1", minute));
    rig.write("mail.log.2", &parts[0]).unwrap();
    rig.write("mail.log.1", &parts[1]).unwrap();
    rig.write("mail.log", &parts[2]).unwrap();
    let check = |report: Value| {
        let relay = relay(&report, "mx.broken.example");
        assert_eq!((&relay["attempts"], &relay["verdict"]), (&3.into(), &"propose".into()));
        assert_eq!(report["lines"], 9);
    };
    check(json(&rig, &["--no-dns", "mail.log*"]));
    check(json(&rig, &["--no-dns", "mail.log", "mail.log.1", "mail.log.2"]));
    let gzip = |name: &str| {
        #[expect(clippy::disallowed_methods, reason = "a test's own tool")]
        let done = std::process::Command::new("gzip").arg(rig.path(name)).status().unwrap();
        assert!(done.success());
    };
    gzip("mail.log.2");
    check(json(&rig, &["--no-dns", "mail.log*"]));
    let args = ["scan", "--config", "trytlsd.toml", "--json", "--no-dns", "-"];
    let ran = rig.trytlsd_fed(&args, parts.concat().as_bytes()).unwrap();
    check(serde_json::from_str(&ran.stdout).unwrap());
}

/// What cannot be read is said, the rest is scanned, and the exit status tells.
#[test]
fn bad_input() {
    let rig = Rig::new().unwrap();
    rig.write("mail.log", broken("mx.broken.example", "192.0.2.1")).unwrap();
    std::fs::create_dir(rig.path("folder")).unwrap();
    let check = |args: &[&str], status: i32, says: &str| {
        let all = [&["scan", "--config", "trytlsd.toml", "--no-dns"], args].concat();
        let ran = rig.trytlsd(&all).unwrap();
        assert_eq!(ran.status, Some(status), "{ran:?}");
        assert!(ran.stderr.contains(says), "{says}: {ran:?}");
        ran.stdout
    };
    let out = check(&["missing.log", "mail.log"], 1, "missing.log");
    assert!(out.contains("Try_TLS:192.0.2.1\tNO"), "{out}");
    check(&["folder"], 1, "directory");
    check(&["nothing*"], 1, "nothing*");
    check(&[], 2, "FILE");
    // Binary bytes, NULs, a line without end and one without its newline: what is whole is found.
    let mut bytes = b"\x00\xff\xfe\x80garbage\n".to_vec();
    bytes.extend(std::iter::repeat_n(b'x', 200_000));
    bytes.push(b'\n');
    bytes.extend(broken("mx.broken.example", "192.0.2.1").trim_end().as_bytes());
    rig.write("odd.log", &bytes).unwrap();
    let report = json(&rig, &["--no-dns", "odd.log"]);
    assert_eq!((&report["lines"], &report["skipped"]), (&11.into(), &1.into()));
    assert_eq!(relay(&report, "mx.broken.example")["confirmed"], 3);
    // A gzip that was cut gives what is before the cut.
    #[expect(clippy::disallowed_methods, reason = "a test's own tool")]
    let packed =
        std::process::Command::new("gzip").arg("-c").arg(rig.path("mail.log")).output().unwrap();
    rig.write("cut.log.gz", &packed.stdout[..packed.stdout.len() - 9]).unwrap();
    let out = check(&["cut.log.gz"], 1, "cut.log.gz");
    assert!(out.contains("mx.broken.example"), "{out}");
}

/// A log of many lines in which foreign text imitates failures: the counts are the truth's, and no imitated relay shows.
#[test]
fn imitations_count_for_nothing() {
    let rig = Rig::new().unwrap();
    let spec = tests::generate::Spec {
        limit: tests::generate::Limit::Bytes(8_000_000),
        share: 0.01,
        hostile: 0.05,
        ..tests::generate::Spec::default()
    };
    let mut log = Vec::new();
    let truth = tests::generate::generate(&spec, &mut log).unwrap();
    rig.write("mail.log", &log).unwrap();
    let report = json(&rig, &["--no-dns", "mail.log"]);
    let counts = |relay: &Value| (relay["attempts"].as_u64(), relay["confirmed"].as_u64());
    let relays = report["relays"].as_array().unwrap().iter();
    let found: BTreeMap<&str, _> =
        relays.map(|relay| (relay["relay"].as_str().unwrap(), counts(relay))).collect();
    let expect = truth.relays.iter();
    let expect: BTreeMap<&str, _> =
        expect.map(|(name, r)| (name.as_str(), (Some(r.attempts), Some(r.confirmed)))).collect();
    assert_eq!(found, expect);
    assert!(!truth.imitated.is_empty());
    assert_eq!(report["lines"], truth.lines);
}

/// A reader that goes away early is no error.
#[test]
fn a_closed_pipe_is_no_error() {
    let rig = Rig::new().unwrap();
    let log: String =
        (0..3000).map(|n| failure(&format!("mx{n}.example"), "192.0.2.1", 5)).collect();
    rig.write("mail.log", log).unwrap();
    let script = format!(
        "{} scan --config trytlsd.toml --no-dns mail.log | head -1; exit ${{PIPESTATUS[0]}}",
        tests::trytlsd::binary().unwrap().display()
    );
    #[expect(clippy::disallowed_methods, reason = "the shell's pipe is what is tested")]
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(rig.folder())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
