//! The life of an entry, told as a story: it is probed, goes when the peer is mended, and returns when it breaks again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use jiff::SignedDuration;
use maillog::event::{CauseKind, End, Freed, TryTls, What};
use maillog::relay::Relay;
use policy::fact::Answer;
use policy::host::Host;
use policy::input::{Input, MapState, Proof, Request};
use policy::rules::{Life, Rules};
use story::{MX, Story, active, admin, look, reload};

const DAY: i64 = 24 * 60;
const PROBE: &str = "probe mx.example.org [192.0.2.1]";

/// A relay with an entry that is never lifted for not being used.
fn kept() -> Story {
    let mut story = active();
    let life = Life { unused_after: SignedDuration::ZERO, ..Life::default() };
    story.state.set_rules(Rules { life, ..Rules::default() });
    story
}

#[test]
fn a_mended_peer_loses_its_entry_after_two_good_probes() {
    let mut story = active();
    let first = story.until_probe(PROBE);
    assert!((DAY * 9 / 10..=DAY * 11 / 10 + 1).contains(&first), "{first}");
    story.probed(MX, "good").expect(&["probed mx.example.org: good"]);
    let second = story.until_probe(PROBE);
    assert!((50..=70).contains(&second), "{second}");
    story.probed(MX, "good").expect(&[
        "probed mx.example.org: good",
        "over mx.example.org: 192.0.2.1: Mended",
        "edit + -192.0.2.1",
    ]);
    assert!(story.state.record(MX).unwrap().active().is_empty());
}

#[test]
fn a_peer_that_stays_broken_is_probed_less_often_and_its_entry_renewed() {
    let mut story = kept();
    let mut waits = Vec::new();
    let mut days = 0;
    while days < 45 * DAY {
        let wait = story.until_probe(PROBE);
        days += wait;
        waits.push(wait);
        story.probed(MX, "not-tls");
        let told = std::mem::take(&mut story.told);
        assert_eq!(told[0], "probed mx.example.org: not-tls");
        if days >= 30 * DAY && told.len() > 1 {
            assert_eq!(told[1..], ["ask Ptr(192.0.2.1)"]);
            story.ptr("192.0.2.1", "");
            story.expect(&["edit +192.0.2.1 -", "renewed mx.example.org: 192.0.2.1 for 30 days"]);
        }
    }
    assert!(waits[3] > 2 * DAY && waits.iter().all(|wait| *wait <= 5 * DAY), "{waits:?}");
    assert_eq!(story.state.record(MX).unwrap().active().len(), 1);
}

#[test]
fn an_unreachable_peer_keeps_its_entry_until_its_time_ends() {
    let mut story = kept();
    let mut days = 0;
    loop {
        days += story.until_probe(PROBE);
        story.probed(MX, "unreached");
        let told = std::mem::take(&mut story.told);
        if told.len() > 1 {
            assert_eq!(
                told[1..],
                ["over mx.example.org: 192.0.2.1: Unreachable", "edit + -192.0.2.1"]
            );
            break;
        }
    }
    assert!((30 * DAY - 1..31 * DAY).contains(&days), "{}", days / DAY);
}

#[test]
fn what_was_stuck_is_flushed_once_sendmail_acts_on_the_entry() {
    let mut story = Story::new(Rules::default());
    story.stuck(MX, "192.0.2.1").wait(15).stuck(MX, "192.0.2.1").waiting(MX).wait(15);
    story.stuck(MX, "192.0.2.1").ptr("192.0.2.1", "").told.clear();
    let proof = |story: &mut Story, proof: Proof| {
        let relay = Relay::parse(MX.as_bytes()).unwrap();
        story.input(Input::Proof(relay, proof));
        std::mem::take(&mut story.told)
    };
    assert_eq!(proof(&mut story, Proof::NotYet), ["proof mx.example.org: NotYet"]);
    let flush = "flush mx.example.org 6AN00000000001 6AN00000000002";
    assert_eq!(proof(&mut story, Proof::Matches), ["proof mx.example.org: Matches", flush]);
    assert_eq!(proof(&mut story, Proof::Matches), ["proof mx.example.org: Matches"]);
    let freed = |story: &mut Story, end: End| {
        let relay = Relay::parse(MX.as_bytes()).unwrap();
        story.event(What::Freed(Freed { relay, queue_id: "6AN00000000001".into(), end }));
    };
    for end in [End::Sent, End::Sent, End::Deferred, End::Failed] {
        freed(&mut story, end);
    }
    let life = story.state.record(MX).unwrap().life().unwrap();
    assert_eq!((life.sent, life.deferred, life.failed), (2, 1, 1));
}

#[test]
fn an_entry_that_is_not_used_goes() {
    let rules = || {
        let probe_every = SignedDuration::from_hours(24 * 365);
        Rules { life: Life { probe_every, ..Life::default() }, ..Rules::default() }
    };
    let mut story = active();
    story.state.set_rules(rules());
    let relay = Relay::parse(MX.as_bytes()).unwrap();
    story.tick(10 * DAY).told.clear();
    story.event(What::TryTls(TryTls { relay, address: None })).expect(&[]);
    let life = story.state.record(MX).unwrap().life().unwrap().clone();
    assert_eq!((life.hits, i64::from(life.used)), (1, story.now().as_second()));
    story.tick(13 * DAY);
    assert!(!story.told.iter().any(|told| told.starts_with("over")), "{story}");
    story.told.clear();
    story.tick(DAY);
    assert!(story.told.contains(&"over mx.example.org: 192.0.2.1: Unused".to_owned()), "{story}");
}

/// Lifted because the peer was mended, and on probation.
fn on_probation() -> Story {
    let mut story = active();
    story.until_probe(PROBE);
    story.probed(MX, "good").told.clear();
    story.until_probe(PROBE);
    story.probed(MX, "good").told.clear();
    story
}

#[test]
fn on_probation_one_failure_brings_the_entry_back() {
    let mut story = on_probation();
    // TLS worked in between: that is no reason to wait three days.
    story.wait(60).success(MX).wait(60).told.clear();
    story.stuck(MX, "192.0.2.1").ptr("192.0.2.1", "");
    story.expect(&[
        "candidate mx.example.org: 1 in 0s",
        "ask Ptr(192.0.2.1)",
        "edit +192.0.2.1 -",
        "active mx.example.org: 192.0.2.1",
        "prove mx.example.org",
    ]);
    // Probed half as often.
    let first = story.until_probe(PROBE);
    assert!((2 * DAY * 9 / 10..=2 * DAY * 11 / 10 + 1).contains(&first), "{first}");
}

#[test]
fn probation_survives_a_restart_and_ends() {
    let mut story = on_probation();
    story.state = reload(&story.state);
    story.input(Input::Request(Request::Resume));
    assert!(story.state.record(MX).unwrap().probation(story.now()).is_some());
    story.tick(7 * DAY).told.clear();
    story.stuck(MX, "192.0.2.1").expect(&[]);
    assert!(story.state.record(MX).unwrap().probation(story.now()).is_none());
}

#[test]
fn the_life_of_an_entry_survives_a_restart() {
    let mut story = active();
    story.until_probe(PROBE);
    story.probed(MX, "good").told.clear();
    let life = story.state.record(MX).unwrap().life().unwrap().clone();
    story.state = reload(&story.state);
    story.input(Input::Request(Request::Resume));
    assert_eq!(story.state.record(MX).unwrap().life(), Some(&life));
    story.until_probe(PROBE);
    story.probed(MX, "good");
    assert!(story.told.contains(&"over mx.example.org: 192.0.2.1: Mended".to_owned()), "{story}");
}

/// One real failure; then a probe each time one is wanted, as `found` says. The minutes until the entry, if there is one.
fn with_probes(found: impl Fn(i64) -> &'static str, set_up: impl Fn(&mut Story)) -> Option<i64> {
    let mut story = Story::new(Rules::default());
    set_up(&mut story);
    story.stuck(MX, "192.0.2.1");
    for minute in 1..120 {
        story.tick(1);
        if story.told.iter().any(|told| told == PROBE) {
            story.told.clear();
            story.probed(MX, found(minute));
        }
        if story.told.iter().any(|told| told.starts_with("ask Ptr")) {
            story.ptr("192.0.2.1", "");
        }
        if story.told.iter().any(|told| told.starts_with("active")) {
            return Some(minute);
        }
    }
    None
}

#[test]
fn a_relay_that_is_really_broken_is_opted_out_within_minutes() {
    let minutes = with_probes(|_| "not-tls", |_| {}).unwrap();
    assert!(minutes < 10, "{minutes}");
}

#[test]
fn a_hiccup_never_is() {
    assert_eq!(with_probes(|minute| if minute < 5 { "not-tls" } else { "good" }, |_| {}), None);
    assert_eq!(with_probes(|_| "good", |_| {}), None);
    assert_eq!(with_probes(|_| "unreached", |_| {}), None);
    // In another way than the real attempt failed.
    assert_eq!(with_probes(|_| "timeout", |_| {}), None);
}

#[test]
fn probes_pass_no_guard() {
    assert_eq!(
        with_probes(
            |_| "not-tls",
            |story| {
                story.success(MX).wait(1);
            }
        ),
        None
    );
    let weak = |story: &mut Story| story.cause = CauseKind::Network;
    assert_eq!(with_probes(|_| "timeout", weak), None);
    let off = |story: &mut Story| {
        story.state.set_rules(Rules { probe: false, ..Rules::default() });
    };
    assert_eq!(with_probes(|_| "not-tls", off), None);
}

#[test]
fn nobody_knocks_at_the_never_list_or_at_ourselves() {
    let mut story = Story::new(Rules::default());
    let own = Answer::Known(["mx.own.example".into()].into());
    story.state.set_host(Host { own, ..Host::NOT_ASKED });
    story.stuck(MX, "127.0.0.9").stuck("mx.own.example", "192.0.2.1").tick(20);
    story.expect(&[]);
}

#[test]
fn nothing_is_renewed_against_the_admins_new_entry() {
    let mut story = kept();
    story.tick(30 * DAY).told.clear();
    let mut there = look(&["192.0.2.1"], true, true, &[]);
    there.admins = admin("Try_TLS:example.org YES\n");
    story.input(Input::Map(MapState::Seen(there))).expect(&[]);
    story.probed(MX, "not-tls");
    assert!(story.told[1].starts_with("held mx.example.org: the admin's own entry"), "{story}");
    assert!(story.told.contains(&"edit + -192.0.2.1".to_owned()), "{story}");
}

#[test]
fn a_good_probe_clears_what_was_counted() {
    let mut story = Story::new(Rules::default());
    story.stuck(MX, "192.0.2.1").tick(2).expect(&[PROBE]);
    story.probed(MX, "good");
    story.expect(&["probed mx.example.org: good", "cleared mx.example.org"]);
    assert!(story.state.record(MX).unwrap().evidence.is_empty());
}

#[test]
fn a_flood_of_failing_relays_starts_few_probes() {
    let mut story = Story::new(Rules::default());
    for n in 0..500 {
        story.stuck(&format!("mx{n}.example.org"), "192.0.2.1");
    }
    story.told.clear();
    story.tick(60);
    let probes = story.told.iter().filter(|told| told.starts_with("probe ")).count();
    assert!((1..=150).contains(&probes), "{probes}");
}

#[test]
fn a_clock_that_jumps_ends_no_entry() {
    let mut story = active();
    story.tick(5).told.clear();
    story.wait(400 * DAY).input(Input::Tick).tick(30).wait(-400 * DAY).input(Input::Tick).tick(30);
    story.expect(&[]);
    assert_eq!(story.state.record(MX).unwrap().active().len(), 1);
}

#[test]
fn lift_takes_the_entry_out_and_it_stays_out() {
    let mut story = active();
    let relay = || Relay::parse(MX.as_bytes()).unwrap();
    story.input(Input::Request(Request::Lift(relay(), None)));
    story.expect(&["lifted mx.example.org: 192.0.2.1 for 30 days", "edit + -192.0.2.1"]);
    for _ in 0..5 {
        story.wait(30).stuck(MX, "192.0.2.1");
    }
    story.expect(&[]);
    let until = u32::try_from(story.now().as_second()).unwrap() + 2 * 86_400;
    story.input(Input::Request(Request::Lift(relay(), Some(until))));
    story.expect(&["lifted mx.example.org:  for 2 days"]);
}
