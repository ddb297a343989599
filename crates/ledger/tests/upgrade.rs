//! A file of each earlier version, kept as the text that `sqlite3 ledger.db .dump` prints, opens as if nothing were.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod rig;

use jiff::Timestamp;
use ledger::{Loaded, Request, StsRow};
use rig::{Rig, at_place, happening, put, success};

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn version_1() {
    let rig = opens(include_str!("../testdata/v1.sql"));
    assert_eq!(rig.view().unwrap().lines("mx.example.org").unwrap(), []);
}

#[test]
fn version_2() {
    let rig = opens(include_str!("../testdata/v2.sql"));
    let lines = rig.view().unwrap().lines("mx.example.org").unwrap();
    assert!(lines.len() == 1 && lines[0].at == second(1_795_470_607), "{lines:?}");
    let votes = rig.view().unwrap().votes().unwrap();
    assert!(votes.len() == 1 && votes[0].mta == "mta1.example.net", "{votes:?}");
}

/// What all versions have is there.
fn opens(dump: &str) -> Rig {
    let rig = Rig::new();
    put(&rig.path(), b"");
    rig.sql(dump);
    let loaded = rig.load();
    let expect = Loaded {
        places: vec![("/var/log/mail.log".into(), "{\"offset\":4711}".into())],
        pending: vec![("/var/log/mail.log".into(), "[]".into())],
        relays: vec![
            ("mx.example.org".into(), "{\"stuck\":3}".into()),
            ("mx2.example.org".into(), "{}".into()),
        ],
        successes: vec![("good.example.org".into(), success(1_795_470_000))],
        policies: vec![StsRow {
            domain: "example.org".into(),
            mode: "enforce".into(),
            id: "20261101T000000".into(),
            fetched: 1_795_470_000,
            until: 1_796_074_800,
        }],
        notes: vec![("put back".into(), "1795470000".into())],
        requests: vec![Request {
            id: 2,
            who: "root".into(),
            at: second(1_795_470_600),
            what: "lift mx.example.org".into(),
            settled: None,
        }],
        set_aside: None,
        fresh: false,
    };
    assert_eq!(loaded, expect);
    rig.commit(at_place("2"));
    let history = rig.view().unwrap().history(None, second(0), 10).unwrap();
    assert_eq!(history, [happening(second(1_795_470_607), Some("mx.example.org"), "stuck")]);
    rig
}
