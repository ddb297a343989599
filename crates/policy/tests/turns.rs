//! What happens while something else is under way: an edit that the map has not answered, a question, a probe. Whatever comes
//! first, what is in force in the end is what the last word said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use jiff::SignedDuration;
use maillog::event::CauseKind;
use maillog::relay::Relay;
use policy::fact::{Answer, Sts, StsMode, Tlsa};
use policy::input::{Input, MapState, Proof, Request};
use policy::never::NeverList;
use policy::rules::{Life, Rules};
use story::{MX, Story, active, admin, look, reload, three};

const DAY: i64 = 24 * 60;
const PROBE: &str = "probe mx.example.org [192.0.2.1]";
const OUT: &str = "edit + -192.0.2.1";

/// Hours pass, with a tick at the end of each.
fn hours(story: &mut Story, hours: i64) {
    for _ in 0..hours {
        story.wait(60).input(Input::Tick);
    }
}

/// A relay with an entry whose time has ended, and a probe that is waited for.
fn at_the_end() -> Story {
    let mut story = active();
    let life = Life { unused_after: SignedDuration::ZERO, ..Life::default() };
    story.state.set_rules(Rules { life, ..Rules::default() });
    hours(&mut story, 30 * 24);
    story.told.clear();
    until_probe(&mut story);
    story
}

/// Its renewal is being written.
fn renewing() -> Story {
    let mut story = at_the_end();
    story.map_is_slow = true;
    story.probed(MX, "not-tls").ptr("192.0.2.1", "").told.clear();
    assert_eq!(story.ordered.len(), 1);
    story
}

/// Whether the relay has anything in force, or on its way.
fn has_entry(story: &Story) -> bool {
    story.state.record(MX).is_some_and(|record| !record.active().is_empty())
}

/// Ticks until a probe is wanted.
fn until_probe(story: &mut Story) {
    while !story.told.iter().any(|told| told == PROBE) {
        story.tick(1);
    }
    story.told.clear();
}

fn lift(story: &mut Story) {
    let relay = Relay::parse(MX.as_bytes()).unwrap();
    story.input(Input::Request(Request::Lift(relay, None)));
}

#[test]
fn a_further_address_that_is_asked_about_is_forgotten_when_the_peer_is_mended() {
    let mut story = active();
    until_probe(&mut story);
    story.probed(MX, "good").told.clear();
    until_probe(&mut story);
    story.stuck(MX, "192.0.2.2").expect(&["ask Ptr(192.0.2.2)"]);
    story.probed(MX, "good").told.clear();
    story.ptr("192.0.2.2", "").expect(&[]);
    assert!(!has_entry(&story));
}

#[test]
fn a_further_address_that_is_being_written_goes_when_the_peer_is_mended() {
    let mut story = active();
    until_probe(&mut story);
    story.probed(MX, "good").told.clear();
    until_probe(&mut story);
    story.map_is_slow = true;
    story.stuck(MX, "192.0.2.2").ptr("192.0.2.2", "").told.clear();
    story.probed(MX, "good").expect(&[
        "probed mx.example.org: good",
        "over mx.example.org: 192.0.2.1: Mended",
        OUT,
    ]);
    story.answer().expect(&["edit + -192.0.2.2"]);
    let record = story.state.record(MX).unwrap();
    assert!(record.active().is_empty());
    assert!(record.probation(story.now()).is_some());
}

#[test]
fn a_lift_while_the_renewal_is_written_stays() {
    let mut story = renewing();
    lift(&mut story);
    story.expect(&["lifted mx.example.org: 192.0.2.1 for 30 days", OUT]);
    story.answer().expect(&[OUT]); // What the renewal wrote goes again.
    assert!(!has_entry(&story));
}

#[test]
fn a_withdrawal_while_the_renewal_is_written_stays() {
    let mut story = renewing();
    let mut there = look(&["192.0.2.1"], true, true, &[]);
    there.admins = admin("TLS_Rcpt: VERIFY\n");
    story.input(Input::Map(MapState::Seen(there)));
    assert!(story.told[0].starts_with("withdrawn mx.example.org: 192.0.2.1"), "{story}");
    story.told.clear();
    story.answer();
    assert!(story.told.contains(&OUT.to_owned()), "{story}");
    assert!(!has_entry(&story));
}

#[test]
fn a_renewal_is_told_when_it_is_written_and_settled_after_a_restart() {
    let mut story = renewing();
    story.expect(&[]);
    story.answer().expect(&["renewed mx.example.org: 192.0.2.1 for 30 days"]);

    let mut story = renewing();
    story.state = reload(&story.state);
    let there = look(&["192.0.2.1"], true, false, &[]);
    story.input(Input::Map(MapState::Loaded(there)));
    story.expect(&["renewed mx.example.org: 192.0.2.1 for 30 days"]);
}

#[test]
fn a_renewal_that_fails_comes_up_again_within_the_hour() {
    let mut story = renewing();
    story.map_fails = true;
    story.answer();
    assert!(story.told[0].starts_with("held mx.example.org: the map could not be changed"));
    (story.map_fails, story.told) = (false, vec![]);
    until_probe(&mut story);
    story.probed(MX, "not-tls").ptr("192.0.2.1", "");
    assert!(story.told.contains(&"renewed mx.example.org: 192.0.2.1 for 30 days".to_owned()));
}

#[test]
fn a_dry_run_stops_no_life() {
    let mut story = at_the_end();
    story.dry_run = true;
    story.probed(MX, "not-tls").ptr("192.0.2.1", "").told.clear();
    story.dry_run = false;
    until_probe(&mut story);
    story.probed(MX, "not-tls").ptr("192.0.2.1", "");
    assert!(story.told.contains(&"renewed mx.example.org: 192.0.2.1 for 30 days".to_owned()));
    assert!(story.state.record(MX).unwrap().proposed().is_empty());
}

#[test]
fn dane_and_mta_sts_are_asked_anew_before_a_renewal() {
    let mut story = at_the_end();
    story.tlsa = Answer::Known(Tlsa::Secure);
    story.probed(MX, "not-tls").ptr("192.0.2.1", "");
    let dane = "DNSSEC proves TLSA records for mx.example.org (DANE)";
    assert!(
        story.told.contains(&format!("withdrawn mx.example.org: 192.0.2.1: {dane}")),
        "{story}"
    );

    let mut story = Story::new(Rules::default());
    story.to = vec!["user@example.net"];
    three(&mut story).ptr("192.0.2.1", "");
    let life = Life { unused_after: SignedDuration::ZERO, ..Life::default() };
    story.state.set_rules(Rules { life, ..Rules::default() });
    hours(&mut story, 30 * 24);
    until_probe(&mut story);
    let fetched = story.now();
    let (id, until) = ("1".into(), fetched);
    let enforce = Sts { mode: StsMode::Enforce, id, fetched, until };
    story.sts.insert("example.net", Answer::Known(Some(enforce)));
    story.probed(MX, "not-tls").ptr("192.0.2.1", "");
    let sts = "withdrawn mx.example.org: 192.0.2.1: example.net enforces MTA-STS";
    assert!(story.told.contains(&sts.to_owned()), "{story}");
}

#[test]
fn an_unknown_answer_ends_an_entry_only_after_a_week() {
    let mut story = at_the_end();
    story.tlsa = Answer::Unknown("timeout".into());
    let mut days = 0;
    while has_entry(&story) {
        story.probed(MX, "not-tls").ptr("192.0.2.1", "").told.clear();
        hours(&mut story, 2);
        days += 1;
        assert!(days < 8 * 12, "{story}");
    }
    assert!(days > 6 * 12, "{days}");
}

#[test]
fn what_comes_onto_the_never_list_is_probed_no_more_and_loses_its_entry() {
    let never =
        || Rules { never: NeverList(vec!["mx.example.org".parse().unwrap()]), ..Rules::default() };
    let mut story = active();
    story.state.set_rules(never());
    story.tick(1);
    assert!(story.told[1].starts_with("withdrawn mx.example.org: 192.0.2.1: the never-list has"));
    assert!(!has_entry(&story));
    story.told.clear();
    story.tick(2 * DAY).expect(&[]);

    let mut story = Story::new(Rules::default());
    story.stuck(MX, "192.0.2.1");
    story.state.set_rules(never());
    story.tick(20).expect(&[]);
}

#[test]
fn on_probation_a_reset_brings_nothing_back() {
    let mut story = active();
    for _ in 0..2 {
        until_probe(&mut story);
        story.probed(MX, "good").told.clear();
    }
    story.wait(60).success(MX).wait(60).told.clear();
    story.cause = CauseKind::Network;
    story.stuck(MX, "192.0.2.1").expect(&[]);
    story.cause = CauseKind::Handshake;
    story.stuck(MX, "192.0.2.1").ptr("192.0.2.1", "");
    assert!(has_entry(&story), "{story}");
}

#[test]
fn only_a_mended_peer_is_on_probation() {
    let mut story = active();
    hours(&mut story, 15 * 24);
    assert!(story.told.contains(&"over mx.example.org: 192.0.2.1: Unused".to_owned()), "{story}");
    assert!(story.state.record(MX).unwrap().probation(story.now()).is_none());
}

#[test]
fn the_end_of_probation_stays_as_far_away_when_the_clock_is_set() {
    let mut story = active();
    for _ in 0..2 {
        until_probe(&mut story);
        story.probed(MX, "good").told.clear();
    }
    story.tick(1);
    story.wait(400 * DAY).input(Input::Tick);
    assert!(story.state.record(MX).unwrap().probation(story.now()).is_some());
    hours(&mut story, 7 * 24);
    assert!(story.state.record(MX).unwrap().probation(story.now()).is_none());
}

#[test]
fn a_probe_that_answers_late_does_not_count() {
    let mut story = active();
    until_probe(&mut story);
    let first = story.began[MX];
    until_probe(&mut story); // The first one was lost, or so it seemed.
    let second = story.began[MX];
    story.probed_since(MX, first, "good").expect(&[]);
    story.probed_since(MX, second, "good").expect(&["probed mx.example.org: good"]);
    story.probed_since(MX, second, "good").expect(&[]);
    assert!(has_entry(&story));
}

#[test]
fn a_probe_that_is_lost_keeps_no_relay_from_being_probed() {
    let mut story = Story::new(Rules::default());
    story.stuck(MX, "192.0.2.1").tick(2).expect(&[PROBE]);
    until_probe(&mut story); // Though the first one never answered.
}

#[test]
fn an_entry_that_another_relay_is_getting_stays_until_that_is_known() {
    let other = "other.example.net";
    let mut story = active();
    for _ in 0..2 {
        story.stuck(other, "192.0.2.1").wait(15);
    }
    story.map_is_slow = true;
    story.stuck(other, "192.0.2.1").ptr("192.0.2.1", "").told.clear();
    assert_eq!(story.ordered.len(), 1, "{story}");
    lift(&mut story);
    story.expect(&["lifted mx.example.org: 192.0.2.1 for 30 days"]);
    story.answer().told.clear();
    story.tick(2);
    assert!(!story.told.contains(&OUT.to_owned()), "{story}");
    assert_eq!(story.state.record(other).unwrap().active().len(), 1);

    // Where it is not written for the other, it goes.
    let mut story = active();
    for _ in 0..2 {
        story.stuck(other, "192.0.2.1").wait(15);
    }
    story.map_is_slow = true;
    story.stuck(other, "192.0.2.1").ptr("192.0.2.1", "").told.clear();
    lift(&mut story);
    story.map_fails = true;
    story.answer().told.clear();
    story.map_fails = false;
    story.success(other).tick(2);
    assert!(story.told.contains(&OUT.to_owned()), "{story}");
}

#[test]
fn a_candidate_whose_edit_others_overtook_is_told_once() {
    let ordered = |story: &mut Story| {
        let edit = story.ordered.pop().unwrap();
        let keys = edit.add.iter().map(|entry| entry.tagged()).collect();
        Input::Map(MapState::Overtaken(edit.relay, keys))
    };
    let candidates =
        |story: &Story| story.told.iter().filter(|told| told.starts_with("candidate ")).count();
    let mut story = Story::new(Rules::default());
    story.map_is_slow = true;
    three(&mut story).ptr("192.0.2.1", "");
    let overtaken = ordered(&mut story);
    story.told.clear();
    story.input(overtaken).ptr("192.0.2.1", "");
    assert_eq!((candidates(&story), story.ordered.len()), (0, 1), "{story}");

    // Where TLS worked meanwhile, what broke since then makes another candidate (held, for TLS just worked).
    story.success(MX);
    for _ in 0..3 {
        story.wait(15).stuck(MX, "192.0.2.1");
    }
    story.told.clear();
    let overtaken = ordered(&mut story);
    story.input(overtaken);
    assert_eq!((candidates(&story), story.ordered.len()), (1, 0), "{story}");
}

#[test]
fn a_removal_that_fails_late_brings_nothing_back() {
    let mut story = active();
    story.map_is_slow = true;
    lift(&mut story);
    story.tick(2); // Not answered yet, so it is ordered again.
    assert!(story.ordered.len() > 1, "{story}");
    let late = story.ordered.pop().unwrap();
    story.answer();
    for _ in 0..3 {
        story.wait(30).stuck(MX, "192.0.2.1");
    }
    story.told.clear();
    let failed = MapState::Failed(late.relay, late.remove, "disk full".into());
    story.input(Input::Map(failed)).tick(5).expect(&[]);
}

#[test]
fn an_entry_that_two_relays_had_is_nobodys_after_both_were_lifted() {
    let other = "other.example.net";
    let mut story = active();
    for _ in 0..3 {
        story.stuck(other, "192.0.2.1").wait(15);
    }
    story.ptr("192.0.2.1", "").told.clear();
    lift(&mut story);
    let mut there = look(&["192.0.2.1"], true, false, &[]);
    there.ours[0].relay = MX.into();
    story.input(Input::Map(MapState::Loaded(there)));
    assert!(!has_entry(&story), "{story}"); // The file has it for the other relay, whatever its comment says.
    assert_eq!(story.state.record(other).unwrap().active().len(), 1);
}

#[test]
fn a_proof_that_comes_late_holds_nobody() {
    let mut story = active();
    lift(&mut story);
    story.told.clear();
    let relay = Relay::parse(MX.as_bytes()).unwrap();
    story.input(Input::Proof(relay, Proof::Refuted("it still tries TLS".into())));
    story.expect(&["proof mx.example.org: Refuted(\"it still tries TLS\")"]);
    assert!(story.state.record(MX).unwrap().hold().is_none());
}
