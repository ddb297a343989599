//! What is old leaves, what is too much leaves, and the file shrinks.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod rig;

use jiff::Timestamp;
use ledger::{Batch, Ledger, Limits, Loaded, Settled};
use rig::{DAY, Rig, happening, now, policy, relay, success};

/// Rows of this age in every table that is purged; one of the relays stays.
fn aged(days: i32) -> Batch {
    let then = now() - DAY * days;
    let mut staying = relay(&format!("stays-{days}"), then.as_second(), "{}");
    staying.stays = true;
    Batch {
        relays: vec![relay(&format!("relay-{days}"), then.as_second(), "{}"), staying],
        successes: vec![(format!("success-{days}"), Some(success(then.as_second())))],
        policies: vec![policy(
            &format!("sts-{days}"),
            then.as_second(),
            (then + DAY * 70).as_second(),
        )],
        history: vec![happening(then, None, &format!("history-{days}"))],
        ..Batch::new(then)
    }
}

/// The names of all that the ledger holds.
fn held(ledger: &Ledger, loaded: Loaded) -> Vec<String> {
    let history = ledger.history(None, Timestamp::MIN, 1_000_000).wait().unwrap();
    let mut names: Vec<String> = history.into_iter().map(|happening| happening.detail).collect();
    names.extend(loaded.relays.into_iter().map(|(relay, _)| relay));
    names.extend(loaded.policies.into_iter().map(|policy| policy.domain));
    names.extend(loaded.successes.into_iter().map(|(relay, _)| relay));
    names.sort();
    names
}

fn open_later(rig: &Rig, days: i32) -> Vec<String> {
    let (ledger, loaded) = rig.open_with(now() + DAY * days, Limits::default());
    let held = held(&ledger, loaded);
    ledger.close().wait().unwrap();
    held
}

#[test]
fn what_is_old_leaves_at_the_next_start() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    for days in [0, 59, 61, 89, 91] {
        ledger.commit(aged(days)).wait().unwrap();
    }
    ledger.close().wait().unwrap();
    let stays = ["stays-0", "stays-59", "stays-61", "stays-89", "stays-91"];
    let mut expect = vec!["history-0", "history-59", "history-61", "history-89"];
    expect.extend(["relay-0", "relay-59"]);
    expect.extend(stays);
    expect.extend(["sts-0", "sts-59", "sts-61", "success-0", "success-59"]);
    assert_eq!(open_later(&rig, 0), expect);
    let mut expect = vec!["history-0", "history-59", "relay-0"];
    expect.extend(stays);
    expect.extend(["sts-0", "success-0"]);
    assert_eq!(open_later(&rig, 30), expect);
}

#[test]
fn a_start_in_another_year_purges_nothing() {
    let rig = Rig::new();
    rig.commit(aged(0));
    let all = ["history-0", "relay-0", "stays-0", "sts-0", "success-0"];
    assert_eq!(open_later(&rig, 10 * 365), all);
    assert_eq!(open_later(&rig, -10 * 365), all);
    assert_eq!(open_later(&rig, 1), all);
}

#[test]
fn settled_requests_leave_open_ones_stay() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let mut ids = Vec::new();
    for days in [100, 80, 100] {
        let then = now() - DAY * days;
        ids.push(ledger.add_request("root".into(), "lift".into(), then).wait().unwrap());
        let settled = Settled { at: then, outcome: "done".into() };
        if ids.len() < 3 {
            let settled = vec![(ids[ids.len() - 1], settled)];
            ledger.commit(Batch { settled, ..Batch::new(now()) }).wait().unwrap();
        }
    }
    ledger.close().wait().unwrap();
    let (ledger, loaded) = rig.open();
    assert_eq!(loaded.requests.iter().map(|r| r.id).collect::<Vec<_>>(), ids[2..]);
    let there = ids.iter().map(|id| ledger.request(*id).wait().unwrap().is_some());
    assert_eq!(there.collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn a_flood_is_bounded() {
    let rig = Rig::new();
    let rows = 1000;
    let (ledger, _) = rig.open_with(now(), Limits { rows, ..Limits::default() });
    let mut last = 0;
    let mut largest = 0;
    for _ in 0..100 {
        let names: Vec<i64> = (last..last + 200).collect();
        last += 200;
        let mut staying = relay("in force", 0, "{}");
        staying.stays = true;
        let mut relays: Vec<_> =
            names.iter().map(|n| relay(&format!("mx{n}.example"), *n, "{}")).collect();
        relays.push(staying);
        let successes =
            names.iter().map(|n| (format!("mx{n}.example"), Some(success(*n)))).collect();
        let policies =
            names.iter().map(|n| policy(&format!("d{n}.example"), *n, i64::MAX)).collect();
        let history =
            names.iter().map(|n| happening(now(), Some("mx.example"), &n.to_string())).collect();
        let batch = Batch { relays, successes, policies, history, ..Batch::new(now()) };
        ledger.commit(batch).wait().unwrap();
        largest = largest.max(rig.path().metadata().unwrap().len());
    }
    let history = ledger.history(None, now(), 1_000_000).wait().unwrap();
    assert_eq!(history.len(), 1000);
    assert_eq!((history[0].detail.as_str(), history[999].detail.as_str()), ("19000", "19999"));
    let loaded = rig.view().unwrap().load().unwrap();
    assert!((1000..1600).contains(&loaded.relays.len()), "{}", loaded.relays.len());
    assert!((1000..1600).contains(&loaded.successes.len()), "{}", loaded.successes.len());
    assert!((1000..1600).contains(&loaded.policies.len()), "{}", loaded.policies.len());
    assert!(loaded.policies.iter().any(|policy| policy.domain == "d19999.example"));
    assert!(loaded.relays.iter().any(|(relay, _)| relay == "in force"));
    // the newest are there
    assert!(loaded.relays.iter().any(|(relay, _)| relay == "mx19999.example"));
    assert!(largest < 500_000, "{largest}");
}

#[test]
fn the_file_gives_room_back() {
    let rig = Rig::new();
    let then = now() - DAY * 80;
    let history = (0..20_000).map(|_| happening(then, None, &"x".repeat(100))).collect();
    rig.commit(Batch { history, ..Batch::new(now()) });
    let size = || rig.path().metadata().unwrap().len();
    let before = size();
    assert!(before > 2_000_000, "{before}");
    open_later(&rig, 0);
    assert_eq!(size(), before);
    open_later(&rig, 20);
    assert!(size() < 100_000, "{} of {before}", size());
}
