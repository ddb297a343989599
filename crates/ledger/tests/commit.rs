//! What is committed is there after the next opening; who may open; what is asked in between.

mod rig;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use ledger::{
    Batch, Error, LINES_KEPT, Limits, Line, Loaded, PENDING_MAX, RECORD_MAX, Request, Settled,
    TEXT_MAX,
};
use proptest::prelude::*;
use rig::{DAY, Rig, at_place, happening, now, policy, put, relay, success};

#[test]
fn all_that_was_committed_is_loaded() {
    let rig = Rig::new();
    let (ledger, loaded) = rig.open();
    assert_eq!(loaded, Loaded { fresh: true, ..Loaded::default() });
    let seen = now().as_second();
    let first = Batch {
        places: vec![("/var/log/mail.log".into(), "1".into())],
        pending: vec![("/var/log/mail.log".into(), "p1".into())],
        relays: vec![relay("a.example", seen, "{}"), relay("b.example", seen, "{}")],
        successes: ["s", "t", "u"].map(|relay| (relay.into(), Some(success(seen)))).into(),
        notes: vec![("a".into(), Some("1".into())), ("b".into(), Some("1".into()))],
        policies: vec![policy("a.example", seen, seen + 1), policy("b.example", seen, seen + 1)],
        ..Batch::new(now())
    };
    let mut gone = relay("b.example", seen, "");
    gone.record = None;
    let second = Batch {
        places: vec![("/var/log/mail.log".into(), "2".into()), ("stdin".into(), "x".into())],
        pending: vec![("/var/log/mail.log".into(), "p2".into())],
        relays: vec![relay("a.example", seen, "{\"'\u{0}\":1}"), gone],
        successes: vec![("s".into(), Some(success(seen + 1))), ("u".into(), None)],
        notes: vec![("a".into(), None), ("b".into(), Some("2".into()))],
        policies: vec![policy("b.example", seen + 5, seen + 9)],
        ..Batch::new(now())
    };
    ledger.commit(first).wait().unwrap();
    ledger.commit(second).wait().unwrap();
    ledger.close().wait().unwrap();
    let expect = Loaded {
        places: vec![("/var/log/mail.log".into(), "2".into()), ("stdin".into(), "x".into())],
        pending: vec![("/var/log/mail.log".into(), "p2".into())],
        relays: vec![("a.example".into(), "{\"'\u{0}\":1}".into())],
        successes: vec![("s".into(), success(seen + 1)), ("t".into(), success(seen))],
        notes: vec![("b".into(), "2".into())],
        policies: vec![
            policy("a.example", seen, seen + 1),
            policy("b.example", seen + 5, seen + 9),
        ],
        ..Loaded::default()
    };
    assert_eq!(rig.view().unwrap().load().unwrap(), expect);
    assert_eq!(rig.load(), expect);
}

/// Of each relay the last lines are kept, whichever commits they came with; they go with their age.
#[test]
fn the_last_lines_of_a_relay_are_kept() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let line = |relay: &str, n: i64| Line {
        relay: relay.to_owned(),
        at: now() - DAY * 70 + SignedDuration::from_secs(n),
        line: format!("line {n} of {relay}"),
    };
    let old = vec![line("old.example", 1)];
    ledger.commit(Batch { lines: old, ..Batch::new(now()) }).wait().unwrap();
    for n in 0..i64::from(LINES_KEPT) + 3 {
        let at = now();
        let lines = ["a.example", "b.example"].map(|relay| Line { at, ..line(relay, n) }).into();
        ledger.commit(Batch { lines, ..Batch::new(now()) }).wait().unwrap();
    }
    ledger.close().wait().unwrap();
    let lines = |relay: &str| -> Vec<String> {
        let lines = rig.view().unwrap().lines(relay).unwrap();
        lines.into_iter().map(|kept| kept.line).collect()
    };
    let expect: Vec<String> = (3..9).map(|n| format!("line {n} of a.example")).collect();
    assert_eq!((lines("a.example"), lines("none.example")), (expect, Vec::new()));
    assert_eq!(lines("old.example").len(), 1);
    drop(rig.open());
    assert_eq!((lines("b.example").len(), lines("old.example").len()), (6, 0));
}

#[test]
fn an_empty_batch_costs_nothing() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let wal = || rig.file("ledger.db-wal").metadata().unwrap().len();
    let before = wal();
    ledger.commit(Batch::new(now())).wait().unwrap();
    assert_eq!(wal(), before);
    ledger.commit(at_place("1")).wait().unwrap();
    assert!(wal() > before);
}

#[test]
fn of_two_openers_the_second_is_refused() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let error = ledger::open(&rig.path(), now()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    let text = error.to_string();
    let me = format!("another trytlsd (process {}) works with", std::process::id());
    assert!(text.starts_with(&me), "{text}");
    ledger.commit(at_place("1")).wait().unwrap();
    // a reader is welcome, and sees what is committed
    assert_eq!(rig.view().unwrap().load().unwrap().places.len(), 1);
    let other = ledger.clone();
    ledger.close().wait().unwrap();
    assert!(matches!(other.commit(at_place("2")).wait(), Err(Error::Ended)));
    let (again, loaded) = rig.open();
    assert_eq!(loaded.places[0].1, "1");
    // The lock goes with the last handle too, a little later: that is waited for.
    drop(again);
    rig.open();
}

#[test]
fn through_a_symbolic_link_it_is_the_same_ledger() {
    let rig = Rig::new();
    std::os::unix::fs::symlink(rig.path(), rig.file("link.db")).unwrap();
    rig.commit(at_place("1"));
    let (_ledger, loaded) = ledger::open(&rig.file("link.db"), now()).unwrap();
    assert_eq!(loaded.places[0].1, "1");
    let error = ledger::open(&rig.path(), now()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert_eq!(
        rig.names(),
        ["ledger.db", "ledger.db-shm", "ledger.db-wal", "ledger.db.lock", "link.db"]
    );
}

#[test]
fn texts_have_a_cap() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let long = |n: usize| "x".repeat(n);
    let check = |batch: Batch, expect: Option<&str>| {
        let said = ledger.commit(batch).wait().err().map(|error| error.to_string());
        assert_eq!(said.as_deref(), expect);
    };
    let place = |n: usize| at_place(&long(n));
    check(place(TEXT_MAX), None);
    check(place(TEXT_MAX + 1), Some("a place has 4097 bytes; the ledger keeps at most 4096"));
    let record =
        |n: usize| Batch { relays: vec![relay("a.example", 0, &long(n))], ..Batch::new(now()) };
    check(record(RECORD_MAX), None);
    check(record(RECORD_MAX + 1), Some("a record has 16385 bytes; the ledger keeps at most 16384"));
    let pending = |n: usize| Batch { pending: vec![("log".into(), long(n))], ..Batch::new(now()) };
    check(pending(PENDING_MAX), None);
    let said = "the pending attempts has 1048577 bytes; the ledger keeps at most 1048576";
    check(pending(PENDING_MAX + 1), Some(said));
    let name = Batch {
        places: vec![("/var/log/mail.log".into(), "not this either".into())],
        relays: vec![relay(&long(TEXT_MAX + 1), 0, "{}")],
        ..Batch::new(now())
    };
    check(name, Some("a relay has 4097 bytes; the ledger keeps at most 4096"));
    let detail =
        Batch { history: vec![happening(now(), None, &long(TEXT_MAX + 1))], ..Batch::new(now()) };
    check(detail, Some("a detail has 4097 bytes; the ledger keeps at most 4096"));
    let mut told = success(0);
    told.version = long(TEXT_MAX + 1);
    let told = Batch { successes: vec![("a.example".into(), Some(told))], ..Batch::new(now()) };
    check(told, Some("a TLS version has 4097 bytes; the ledger keeps at most 4096"));
    let policies = vec![policy(&long(TEXT_MAX + 1), 0, 0)];
    let domain = Batch { policies, ..Batch::new(now()) };
    check(domain, Some("a domain has 4097 bytes; the ledger keeps at most 4096"));
    ledger.close().wait().unwrap();
    assert_eq!(rig.load().places[0].1, long(TEXT_MAX));
}

#[test]
fn happenings_are_followed_by_number() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let names = [None, Some("MX1.example"), Some("[mx1.example]"), Some("client 192.0.2.1")];
    let all = names.iter().map(|name| happening(now(), *name, "")).collect();
    ledger.commit(Batch { history: all, ..Batch::new(now()) }).wait().unwrap();
    let view = rig.view().unwrap();
    let check = |of, after, limit, expect: &[i64], last| {
        let wanted = ledger::Wanted { of, after, since: Timestamp::MIN, limit };
        let (found, told) = view.happenings(&wanted).unwrap();
        let ids: Vec<i64> = found.into_iter().map(|(id, _)| id).collect();
        assert_eq!((&*ids, told), (expect, last), "{wanted:?}");
    };
    check(None, None, 10, &[1, 2, 3, 4], 4);
    check(None, None, 2, &[3, 4], 4); // The latest.
    check(None, Some(0), 2, &[1, 2], 2); // The first, and where to go on.
    check(None, Some(2), 2, &[3, 4], 4);
    check(None, Some(4), 2, &[], 4);
    check(Some("mx1.example"), Some(0), 10, &[2, 3], 4);
    check(Some("192.0.2.1"), None, 10, &[4], 4);
    check(Some("mx2.example"), Some(1), 10, &[], 4);
    // Of another ledger, that was there before: all.
    check(None, Some(99), 10, &[1, 2, 3, 4], 4);
}

#[test]
fn history_is_told_by_relay_and_time() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let all: Vec<_> = [
        (3, Some("a.example"), "1"),
        (2, Some("b.example"), "2"),
        (1, None, "3"),
        (0, Some("a.example"), "4"),
        (0, Some("a.example"), "5"),
    ]
    .into_iter()
    .map(|(days, relay, detail)| happening(now() - DAY * days, relay, detail))
    .collect();
    ledger.commit(Batch { history: all, ..Batch::new(now()) }).wait().unwrap();
    let view = rig.view().unwrap();
    let check = |relay, days: i32, limit, expect: &str| {
        let since = now() - DAY * days;
        let found = ledger.history(relay, since, limit).wait().unwrap();
        assert_eq!(view.history(relay, since, limit).unwrap(), found);
        let details: String = found.into_iter().map(|happening| happening.detail).collect();
        assert_eq!(details, expect, "{relay:?}, {days} days, {limit}");
    };
    check(None, 9, 100, "12345");
    check(None, 1, 100, "345");
    check(None, 9, 2, "45");
    check(Some("a.example"), 9, 100, "145");
    check(Some("a.example"), 1, 100, "45");
    check(Some("a.example"), 1, 1, "5");
    check(Some("' OR 1 --"), 9, 100, "");
}

#[test]
fn requests_stay_until_they_are_settled() {
    let rig = Rig::new();
    let limits = Limits { requests: 2, ..Limits::default() };
    let (ledger, _) = rig.open_with(now(), limits);
    let add = |what: &str| ledger.add_request("root".into(), what.into(), now()).wait();
    assert_eq!(add("lift a").unwrap(), 1);
    assert_eq!(add("lift b").unwrap(), 2);
    let error = add("lift c").unwrap_err();
    assert!(matches!(error, Error::TooManyRequests { limit: 2 }), "{error}");
    assert!(error.may_pass());
    let expect = |id, what: &str, settled| Request {
        id,
        who: "root".into(),
        at: now(),
        what: what.into(),
        settled,
    };
    let settled = Settled { at: now() + DAY, outcome: "lifted".into() };
    let batch = Batch { settled: vec![(1, settled.clone())], ..at_place("1") };
    ledger.commit(batch).wait().unwrap();
    // the first word stands
    let late = Settled { at: now(), outcome: "too late".into() };
    ledger.commit(Batch { settled: vec![(1, late)], ..at_place("1") }).wait().unwrap();
    assert_eq!(ledger.open_requests().wait().unwrap(), [expect(2, "lift b", None)]);
    let first = expect(1, "lift a", Some(settled));
    assert_eq!(ledger.request(1).wait().unwrap(), Some(first.clone()));
    assert_eq!(rig.view().unwrap().request(1).unwrap(), Some(first));
    assert_eq!(ledger.request(9).wait().unwrap(), None);
    assert_eq!(add("lift c").unwrap(), 3);
    ledger.close().wait().unwrap();
    assert_eq!(rig.load().requests, [expect(2, "lift b", None), expect(3, "lift c", None)]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_awaits_what_a_thread_waits_for() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let batch = Arc::new(at_place("1"));
    ledger.commit(Arc::clone(&batch)).await.unwrap();
    // even in a task, where it is no good habit, waiting does no harm
    ledger.commit(batch).wait().unwrap();
    // one that nobody waits for is done all the same
    drop(ledger.commit(at_place("2")));
    ledger.close().await.unwrap();
    assert_eq!(rig.load().places[0].1, "2");
}

#[test]
fn a_backlog_is_bounded() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let big = Batch {
        pending: (0..20).map(|n| (format!("log {n}"), "x".repeat(PENDING_MAX))).collect(),
        ..Batch::new(now())
    };
    let mut answers = vec![ledger.commit(big)];
    answers.extend((0..80).map(|_| ledger.commit(at_place("1"))));
    drop(ledger);
    let results: Vec<_> = answers.into_iter().map(|answer| answer.wait()).collect();
    let busy = results.iter().filter(|r| matches!(r, Err(Error::Busy))).count();
    let done = results.iter().filter(|r| r.is_ok()).count();
    assert_eq!(busy + done, 81);
    assert!((64..=66).contains(&done), "{done}");
}

#[test]
fn a_ledger_that_was_moved_away_takes_no_more() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    ledger.commit(at_place("1")).wait().unwrap();
    #[expect(clippy::disallowed_methods, reason = "an admin does")]
    std::fs::rename(rig.path(), rig.file("old.db")).unwrap();
    let error = ledger.commit(at_place("2")).wait().unwrap_err();
    assert!(matches!(error, Error::Moved { .. }), "{error}");
    put(&rig.path(), b"");
    let error = ledger.commit(at_place("2")).wait().unwrap_err();
    assert!(matches!(error, Error::Moved { .. }), "{error}");
}

#[test]
fn only_the_owner_and_the_group_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    let (_ledger, _) = rig.open();
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock"] {
        let mode = rig.file(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{name}: {mode:o}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any text comes back as it was, and splitting batches otherwise gives the same state.
    #[test]
    fn any_text_comes_back(
        rows in prop::collection::vec((0usize..6, any::<i64>(), ".{0,20}"), 0..30),
        names in prop::collection::vec("(?s).{0,12}", 6),
        cut in 0usize..30,
    ) {
        let rig = Rig::new();
        let mut expect = std::collections::BTreeMap::new();
        let changes: Vec<_> = rows.iter().map(|(n, seen, record)| {
            let mut change = relay(&names[*n], *seen, record);
            change.stays = true;
            if record.len() % 4 == 3 {
                change.record = None;
                expect.remove(&names[*n]);
            } else {
                expect.insert(names[*n].clone(), record.clone());
            }
            change
        }).collect();
        let (first, second) = changes.split_at(cut.min(changes.len()));
        let (ledger, _) = rig.open();
        for part in [first, second] {
            ledger.commit(Batch { relays: part.to_vec(), ..Batch::new(now()) }).wait().unwrap();
        }
        ledger.close().wait().unwrap();
        let mut found = rig.load().relays;
        found.sort();
        prop_assert_eq!(found, expect.into_iter().collect::<Vec<_>>());
    }
}
