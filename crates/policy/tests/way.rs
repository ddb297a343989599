//! The way of a relay through the heart, told as a story.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use maillog::event::Fault;
use maillog::relay::Relay;
use policy::fact::{Answer, Fact, Ptr};
use policy::input::{Effect, Input, MapState, Proof, Request};
use policy::remedy::RelayRemedy;
use policy::rules::{Guards, KeyMode, Rules};
use policy::state::State;
use policy::step::step;
use story::{ASK, MX, Story, active, look, three};

#[test]
fn a_relay_that_stays_broken_gets_its_entry() {
    let mut story = Story::new(Rules::default());
    three(&mut story).ptr("192.0.2.1", MX).expect(&[
        "edit +mx.example.org -",
        "active mx.example.org: mx.example.org",
        "prove mx.example.org",
    ]);
    story.stuck(MX, "192.0.2.9").expect(&[]);
}

#[test]
fn a_hiccup_gets_none() {
    let mut story = Story::new(Rules::default());
    for _ in 0..20 {
        story.stuck(MX, "192.0.2.1").wait(1);
    }
    story.expect(&[]);
}

#[test]
fn a_success_clears_the_count_and_what_was_asked() {
    let mut story = Story::new(Rules::default());
    story.stuck(MX, "").wait(20).stuck(MX, "").wait(20).success(MX);
    story.expect(&["cleared mx.example.org"]).stuck(MX, "").expect(&[]);
    let mut story = Story::new(Rules::default());
    three(&mut story).success(MX).expect(&["cleared mx.example.org"]);
    story.ptr("192.0.2.1", MX).expect(&[]);
}

#[test]
fn what_does_not_count() {
    let mut story =
        Story::new(Rules { failures: 1, min_span: jiff::SignedDuration::ZERO, ..Rules::default() });
    story.stuck_as(Fault::Software, 503, MX, "192.0.2.1").expect(&[]);
    story.stuck_as(Fault::Protocol, 454, MX, "192.0.2.1").expect(&[]);
    story.stuck_as(Fault::Software, 403, MX, "").expect(&[
        "candidate mx.example.org: 1 in 0s",
        "edit +mx.example.org -",
        "active mx.example.org: mx.example.org",
        "prove mx.example.org",
    ]);
}

#[test]
fn the_never_list_holds_by_name_and_by_address() {
    let mut story =
        Story::new(Rules { failures: 1, min_span: jiff::SignedDuration::ZERO, ..Rules::default() });
    let held = "held mx.example.org: the never-list has 127.0.0.0/8";
    story.stuck(MX, "127.0.0.11").expect(&["candidate mx.example.org: 1 in 0s", held]);
    story.stuck(MX, "127.0.0.11").expect(&[]);
    story.stuck("[127.0.0.1]", "127.0.0.1");
    story.expect(&[
        "candidate [127.0.0.1]: 1 in 0s",
        "held [127.0.0.1]: the never-list has 127.0.0.0/8",
    ]);
}

#[test]
fn an_active_relay_gets_a_further_address_after_one_stuck_attempt() {
    let mut story = Story::new(Rules::default());
    three(&mut story).ptr("192.0.2.1", "").expect(&[
        "edit +192.0.2.1 -",
        "active mx.example.org: 192.0.2.1",
        "prove mx.example.org",
    ]);
    story.wait(60).stuck(MX, "192.0.2.2").expect(&["ask Ptr(192.0.2.2)"]);
    story.ptr("192.0.2.2", "").expect(&[
        "edit +192.0.2.2 -",
        "active mx.example.org: 192.0.2.2",
        "prove mx.example.org",
    ]);
    story.stuck(MX, "192.0.2.2").expect(&[]);
}

#[test]
fn dry_run_proposes_and_its_end_goes_through_the_guards_again() {
    let mut story = Story::new(Rules::default());
    story.dry_run = true;
    three(&mut story).ptr("192.0.2.1", "");
    story.expect(&["edit +192.0.2.1 -", "proposed mx.example.org: 192.0.2.1"]);
    story.stuck(MX, "192.0.2.1").expect(&[]);
    story.dry_run = false;
    story.input(Input::Request(Request::Arm)).expect(&[ASK]);
    story.ptr("192.0.2.1", "").expect(&[
        "edit +192.0.2.1 -",
        "active mx.example.org: 192.0.2.1",
        "prove mx.example.org",
    ]);
    story.input(Input::Request(Request::Arm)).expect(&[]);
}

#[test]
fn what_recovered_before_dry_run_ended_is_not_written() {
    let mut story = Story::new(Rules::default());
    story.dry_run = true;
    three(&mut story).ptr("192.0.2.1", "").wait(5).success(MX);
    story.told.clear();
    story.dry_run = false;
    story.input(Input::Request(Request::Arm)).expect(&[]);
}

#[test]
fn a_map_that_cannot_be_changed_is_tried_again() {
    let mut story = Story::new(Rules { probe: false, ..Rules::default() });
    story.map_fails = true;
    three(&mut story).ptr("192.0.2.1", "").expect(&[
        "edit +192.0.2.1 -",
        "held mx.example.org: the map could not be changed: disk full",
    ]);
    story.map_fails = false;
    story.input(Input::Tick).expect(&[ASK]);
    story.ptr("192.0.2.1", "").expect(&[
        "edit +192.0.2.1 -",
        "active mx.example.org: 192.0.2.1",
        "prove mx.example.org",
    ]);
}

#[test]
fn an_entry_that_sendmail_does_not_act_on_is_taken_out() {
    let mut story = Story::new(Rules::default());
    three(&mut story).ptr("192.0.2.1", "");
    story.told.clear();
    let relay = Relay::parse(MX.as_bytes()).unwrap();
    story.input(Input::Proof(relay.clone(), Proof::Matches));
    story.expect(&["proof mx.example.org: Matches", "flush mx.example.org 6AN00000000001"]);
    story.input(Input::Proof(relay, Proof::Refuted("OK".into()))).expect(&[
        "proof mx.example.org: Refuted(\"OK\")",
        "held mx.example.org: sendmail was asked and does not act on the entry: OK",
        "edit + -192.0.2.1",
    ]);
    story.stuck(MX, "192.0.2.1").expect(&[]);
}

#[test]
fn the_ptr_mode_says_when_its_key_would_not_match() {
    let mut story = Story::new(Rules { key: KeyMode::Ptr, ..Rules::default() });
    three(&mut story).ptr("192.0.2.1", "ptr.example.org").expect(&[
        "held mx.example.org: the PTR name ptr.example.org would not match: sendmail looks up mx.example.org",
    ]);
}

#[test]
fn a_name_beneath_which_another_relay_was_seen_is_written_as_its_address() {
    let mut story = Story::new(Rules::default());
    story.success("a.mx.example.org");
    three(&mut story).ptr("192.0.2.1", MX);
    assert_eq!(story.told[0], "edit +192.0.2.1 -");
}

#[test]
fn entries_found_at_the_start_are_in_force() {
    let mut story = Story::new(Rules::default());
    story.input(Input::Map(MapState::Loaded(look(&[MX], true, false, &[]))));
    story.stuck(MX, "192.0.2.1").wait(20).stuck(MX, "192.0.2.1").wait(20).stuck(MX, "192.0.2.1");
    story.expect(&[]);
}

#[test]
fn an_entry_taken_out_by_hand_stays_out() {
    let lifted = "lifted mx.example.org: 192.0.2.1 for 30 days";
    let mut story = active();
    story.input(Input::Map(MapState::Seen(look(&[], true, true, &[])))).expect(&[lifted]);
    for _ in 0..4 {
        story.wait(30).stuck(MX, "192.0.2.1");
    }
    story.expect(&[]).wait(31 * 24 * 60);
    three(&mut story);
    // The whole block taken out, and nothing else touched: lifted as well.
    let mut story = active();
    story.input(Input::Map(MapState::Seen(look(&[], false, false, &[])))).expect(&[lifted]);
}

#[test]
fn a_block_lost_with_the_rest_is_put_back_but_not_all_the_time() {
    let mut story = active();
    let wiped = "wiped mx.example.org: 192.0.2.1";
    let back = ["edit +192.0.2.1 -", "put back mx.example.org: 192.0.2.1", "prove mx.example.org"];
    let lost = || Input::Map(MapState::Seen(look(&[], false, true, &[])));
    story.input(lost()).expect(&[&[wiped], &back[..]].concat());
    story.wait(10).input(lost()).expect(&[wiped]).input(Input::Tick).expect(&[]);
    // Another relay's entry makes a block; what was wiped away is not taken for lifted by hand.
    story.input(Input::Map(MapState::Seen(look(&["192.0.2.9"], true, false, &[])))).expect(&[]);
    story.wait(51).input(Input::Tick).expect(&back);
    // A moment that is yet to come is one of a clock that was wrong.
    story.wait(-24 * 60).input(lost()).expect(&[&[wiped], &back[..]].concat());
}

#[test]
fn an_entry_of_the_admins_own_replaces_ours() {
    let mut story = active();
    story.input(Input::Map(MapState::Seen(look(&["192.0.2.1"], true, true, &["192.0.2.1"]))));
    story.expect(&["replaced mx.example.org: 192.0.2.1", "edit + -192.0.2.1"]);
    let mut story = active();
    story.input(Input::Map(MapState::Seen(look(&[], true, true, &["192.0.2.1"]))));
    story.expect(&["replaced mx.example.org: 192.0.2.1"]);
}

/// A second address that is stuck while the map is rebuilt is not what the entry is proven at.
#[test]
fn an_entry_is_proven_where_it_is_to_act() {
    let mut story = Story::new(Rules::default());
    three(&mut story);
    let fact = Fact::Ptr("192.0.2.1".parse().unwrap(), Answer::Known(Ptr { names: vec![] }));
    let now = story.now();
    step(&mut story.state, Input::Fact(fact), now);
    story.stuck(MX, "192.0.2.2").expect(&[]);
    let relay = Relay::parse(MX.as_bytes()).unwrap();
    let written = MapState::Written(relay.clone(), vec!["192.0.2.1".parse().unwrap()]);
    let outcome = step(&mut story.state, Input::Map(written), now);
    assert_eq!(
        outcome.effects,
        [Effect::Prove(relay, RelayRemedy::TryTls, vec!["192.0.2.1".parse().ok()])]
    );
}

/// TLS works while the map is being rebuilt: what gets written is taken out again, and what fails is not tried again.
#[test]
fn a_success_during_an_edit_undoes_it() {
    let editing = || {
        let mut story = Story::new(Rules::default());
        three(&mut story);
        let fact = Fact::Ptr("192.0.2.1".parse().unwrap(), Answer::Known(Ptr { names: vec![] }));
        let now = story.now();
        step(&mut story.state, Input::Fact(fact), now);
        story.success(MX).expect(&["cleared mx.example.org"]);
        story
    };
    let (relay, keys) = (Relay::parse(MX.as_bytes()).unwrap(), vec!["192.0.2.1".parse().unwrap()]);
    let mut story = editing();
    story.input(Input::Map(MapState::Written(relay.clone(), keys.clone())));
    story.expect(&["edit + -192.0.2.1"]);
    let mut story = editing();
    story.input(Input::Map(MapState::Failed(relay, keys, "disk full".into()))).expect(&[]);
    story.wait(2).input(Input::Tick).expect(&[]);
}

/// What failed is tried again only while there is enough against the relay.
#[test]
fn a_retry_weighs_again() {
    let mut story = Story::new(Rules { probe: false, ..Rules::default() });
    story.map_fails = true;
    three(&mut story).ptr("192.0.2.1", "");
    story.told.clear();
    story.map_fails = false;
    story.wait(48 * 60).input(Input::Tick).expect(&[]);
}

/// The never-list holds a relay also if the address comes, or the list changes, while its facts are gathered.
#[test]
fn the_never_list_is_asked_again_before_the_edit() {
    let mut story = Story::new(Rules::default());
    three(&mut story).stuck(MX, "127.0.0.5").expect(&["ask Ptr(127.0.0.5)"]);
    story.ptr("192.0.2.1", "").ptr("127.0.0.5", "");
    story.expect(&["held mx.example.org: the never-list has 127.0.0.0/8"]);
}

/// A name that covers a host of the never-list is written as its address.
#[test]
fn a_name_above_a_host_of_the_never_list_is_not_written() {
    let mut story = Story::new(Rules::default());
    let mut rules = story.state.rules().clone();
    rules.never.0.push("secure.mx.example.org".parse().unwrap());
    story.state.set_rules(rules);
    three(&mut story).ptr("192.0.2.1", MX);
    assert_eq!(story.told[0], "edit +192.0.2.1 -");
}

/// While old lines are read nothing is judged: what recovered further down gets no entry.
#[test]
fn nothing_is_judged_before_the_end_of_the_log() {
    let mut story = Story::new(Rules::default());
    story.state = State::restored(story.state.rules().clone(), [], []);
    for relay in [MX, "mx.mended.example"] {
        for _ in 0..3 {
            story.stuck(relay, "192.0.2.1").wait(20);
        }
    }
    story.success("mx.mended.example").expect(&["cleared mx.mended.example"]);
    story.input(Input::Map(MapState::Loaded(look(&[], false, false, &[]))));
    story.input(Input::Request(Request::Resume));
    story.expect(&["candidate mx.example.org: 3 in 40m", ASK]);
}

/// A clock that was wrong counts for nothing, and a success of an older log does not clear what came after it.
#[test]
fn time_runs_backwards() {
    let mut story = Story::new(Rules::default());
    story.wait(60 * 24 * 400).stuck(MX, "").stuck(MX, "").wait(-60 * 24 * 400).stuck(MX, "");
    story.expect(&[]);
    let mut story = Story::new(Rules::default());
    story.stuck(MX, "").wait(20).stuck(MX, "").wait(-10).success(MX).wait(30).expect(&[]);
    story.stuck(MX, "");
    assert_eq!(story.told[0], "candidate mx.example.org: 3 in 40m");
}

/// Addresses of long ago make room for those where mail is stuck now.
#[test]
fn old_addresses_are_forgotten() {
    let mut story = Story::new(Rules::default());
    for n in 0..8 {
        story.stuck(MX, &format!("192.0.2.{n}")).wait(60 * 24 * 5);
    }
    story.stuck(MX, "192.0.2.99").wait(20).stuck(MX, "192.0.2.99").wait(20).expect(&[]);
    story.stuck(MX, "192.0.2.99");
    story.expect(&["candidate mx.example.org: 3 in 40m", "ask Ptr(192.0.2.99)"]);
}

/// A relay that has entries by address gets a further address, never suddenly its name.
#[test]
fn a_further_address_is_written_as_an_address() {
    let mut story = active();
    story.stuck(MX, "192.0.2.2").ptr("192.0.2.2", MX);
    assert_eq!(story.told[1], "edit +192.0.2.2 -");
}

/// Somebody takes an entry out while another of the relay's is being written: both stay out.
#[test]
fn a_lift_during_an_edit_sticks() {
    let mut story = active();
    story.stuck(MX, "192.0.2.2");
    let fact = Fact::Ptr("192.0.2.2".parse().unwrap(), Answer::Known(Ptr { names: vec![] }));
    let now = story.now();
    assert_eq!(step(&mut story.state, Input::Fact(fact), now).effects.len(), 1);
    story.told.clear();
    story.input(Input::Map(MapState::Seen(look(&[], true, false, &[]))));
    story.expect(&["lifted mx.example.org: 192.0.2.1 for 30 days"]);
    let relay = Relay::parse(MX.as_bytes()).unwrap();
    story.input(Input::Map(MapState::Written(relay, vec!["192.0.2.2".parse().unwrap()])));
    story.expect(&["edit + -192.0.2.2"]);
    for _ in 0..4 {
        story.wait(30).stuck(MX, "192.0.2.1");
    }
    story.expect(&[]);
}

/// Two relays behind one address: what is taken out for the one stays for the other.
#[test]
fn an_entry_that_another_relay_has_too_is_not_taken_out() {
    let mut story = active();
    let other = "other.example.org";
    story.stuck(other, "192.0.2.1").wait(15).stuck(other, "192.0.2.1").wait(15);
    story.stuck(other, "192.0.2.1").ptr("192.0.2.1", "");
    story.told.clear();
    let relay = Relay::parse(MX.as_bytes()).unwrap();
    story.input(Input::Proof(relay, Proof::Refuted("OK".into())));
    assert!(story.told.iter().all(|told| !told.starts_with("edit")), "{:?}", story.told);
    assert_eq!(story.state.record(other).unwrap().active().len(), 1);
}

/// A relay that comes with ever new addresses is held at some point, in dry run as well.
#[test]
fn a_relay_gets_so_many_entries_and_no_more() {
    let mut story = active();
    let guards = Guards { max_per_hour: 0, ..Guards::default() };
    story.state.set_rules(Rules { guards, ..story.state.rules().clone() });
    story.dry_run = true;
    for n in 2..200 {
        let address = format!("192.0.2.{n}");
        story.stuck(MX, &address).ptr(&address, "").wait(1);
    }
    let record = story.state.record(MX).unwrap();
    assert_eq!(record.active().len() + record.proposed().len(), 64);
    assert!(story.told.contains(
        &"held mx.example.org: it has entries for too many addresses already".to_owned()
    ));
}
