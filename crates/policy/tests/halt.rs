//! An operator's halt, told as a story: paused, the log is read and counted and nothing follows; disarmed, all our entries go
//! as well; and what was gathered meanwhile is judged when he says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use std::borrow::Cow;

use jiff::SignedDuration;
use maillog::event::{Cause, CauseKind, Client, What};
use maillog::relay::Relay;
use policy::halt::{Halt, HaltKind};
use policy::input::{Input, MapState, Request};
use policy::rules::{Life, Receiving, Rules};
use policy::state::State;
use story::{ASK, MX, Story, active, admin, look, three};

const DAY: i64 = 24 * 60;
const OUT: &str = "edit + -192.0.2.1";

fn halt(story: &mut Story, kind: HaltKind) -> &mut Story {
    let halt = Halt { kind, since: seconds(story), who: "ann".into() };
    story.input(Input::Request(Request::Halt(halt)))
}

fn seconds(story: &Story) -> u32 {
    story.now().as_second().try_into().unwrap()
}

fn pause(story: &mut Story) -> &mut Story {
    halt(story, HaltKind::Paused)
}

fn disarm(story: &mut Story) -> &mut Story {
    halt(story, HaltKind::Disarmed)
}

fn go_on(story: &mut Story) -> &mut Story {
    story.input(Input::Request(Request::GoOn))
}

/// Three stuck attempts over half an hour.
fn fails(story: &mut Story) -> &mut Story {
    for _ in 0..3 {
        story.stuck(MX, "192.0.2.1").wait(15);
    }
    story
}

#[test]
fn paused_what_fails_is_counted_and_judged_later() {
    let mut story = Story::new(Rules::default());
    pause(&mut story).expect(&["paused by ann"]);
    fails(&mut story).tick(60).expect(&[]);
    pause(&mut story).expect(&[]);
    assert!(story.state.halt().unwrap().since < seconds(&story), "the first word stands");
    go_on(&mut story).expect(&["no longer paused", "candidate mx.example.org: 3 in 30m", ASK]);
    go_on(&mut story).expect(&[]);
}

#[test]
fn paused_a_success_still_clears_the_count() {
    let mut story = Story::new(Rules::default());
    pause(&mut story);
    fails(&mut story).success(MX);
    story.told.clear();
    go_on(&mut story).expect(&["no longer paused"]);
}

#[test]
fn a_pause_keeps_what_was_asked_about_from_being_written() {
    let mut story = Story::new(Rules::default());
    three(&mut story);
    pause(&mut story).expect(&["paused by ann"]);
    story.ptr("192.0.2.1", "").expect(&[]);
    go_on(&mut story).expect(&["no longer paused", "candidate mx.example.org: 3 in 30m", ASK]);
    story.ptr("192.0.2.1", "");
    assert!(story.told.contains(&"active mx.example.org: 192.0.2.1".to_owned()), "{story}");
}

#[test]
fn a_pause_lets_an_edit_that_is_under_way_end() {
    let mut story = Story::new(Rules::default());
    three(&mut story);
    story.map_is_slow = true;
    story.ptr("192.0.2.1", "").told.clear();
    pause(&mut story);
    story.map_is_slow = false;
    story.told.clear();
    let relay = Relay::parse(MX.as_bytes()).unwrap().into_owned();
    let written = MapState::Written(relay, vec!["192.0.2.1".parse().unwrap()]);
    story
        .input(Input::Map(written))
        .expect(&["active mx.example.org: 192.0.2.1", "prove mx.example.org"]);
}

#[test]
fn paused_no_peer_is_probed_and_no_entry_ends() {
    let mut story = active();
    let life = Life { unused_after: SignedDuration::from_hours(48), ..Life::default() };
    story.state.set_rules(Rules { life, ..Rules::default() });
    pause(&mut story).expect(&["paused by ann"]);
    story.tick(3 * DAY).expect(&[]);
    go_on(&mut story).expect(&["no longer paused"]);
    story.tick(1).expect(&["over mx.example.org: 192.0.2.1: Unused", OUT]);
}

#[test]
fn paused_what_others_wiped_away_waits() {
    let mut story = active();
    pause(&mut story).told.clear();
    story.input(Input::Map(MapState::Seen(look(&[], false, true, &[]))));
    story.tick(2 * 60).expect(&["wiped mx.example.org: 192.0.2.1"]);
    go_on(&mut story).expect(&[
        "no longer paused",
        "edit +192.0.2.1 -",
        "put back mx.example.org: 192.0.2.1",
        "prove mx.example.org",
    ]);
}

#[test]
fn paused_mail_that_would_bounce_still_takes_an_entry_out() {
    let mut story = active();
    story.to = vec!["example.org"];
    story.waiting(MX);
    pause(&mut story).told.clear();
    let mut look = look(&["192.0.2.1"], true, true, &[]);
    look.admins = admin("TLS_Srv:mx.example.org ENCR:112\n");
    story.input(Input::Map(MapState::Seen(look)));
    assert!(story.told.contains(&OUT.to_owned()), "{story}");
}

#[test]
fn paused_an_operators_word_about_one_relay_counts() {
    let mut story = active();
    pause(&mut story).told.clear();
    let relay = Relay::parse(MX.as_bytes()).unwrap().into_owned();
    story
        .input(Input::Request(Request::Lift(relay, None)))
        .expect(&["lifted mx.example.org: 192.0.2.1 for 30 days", OUT]);
}

#[test]
fn disarmed_all_entries_go_and_none_is_made() {
    let mut story = active();
    disarm(&mut story).expect(&[
        "disarmed by ann",
        "over mx.example.org: 192.0.2.1: Disarmed",
        OUT,
    ]);
    assert_eq!(story.state.removing(), 0);
    fails(&mut story).tick(60).expect(&[]);
    // A lesser word does not end it.
    pause(&mut story).expect(&[]);
    assert_eq!(story.state.halt().unwrap().kind, HaltKind::Disarmed);
    // Nor was it a word against this relay: it fails still, and has its entry again.
    go_on(&mut story).expect(&["no longer disarmed", "candidate mx.example.org: 3 in 30m", ASK]);
}

#[test]
fn from_paused_to_disarmed() {
    let mut story = active();
    pause(&mut story).told.clear();
    disarm(&mut story).expect(&[
        "disarmed by ann",
        "over mx.example.org: 192.0.2.1: Disarmed",
        OUT,
    ]);
}

#[test]
fn disarmed_what_is_being_written_is_taken_out_again() {
    let mut story = Story::new(Rules::default());
    three(&mut story);
    story.map_is_slow = true;
    story.ptr("192.0.2.1", "").told.clear();
    disarm(&mut story);
    story.map_is_slow = false;
    story.told.clear();
    let relay = Relay::parse(MX.as_bytes()).unwrap().into_owned();
    let written = MapState::Written(relay, vec!["192.0.2.1".parse().unwrap()]);
    story.input(Input::Map(written)).expect(&[OUT]);
    assert!(story.state.record(MX).unwrap().active().is_empty());
}

#[test]
fn what_could_not_be_taken_out_is_asked_for_again() {
    let mut story = active();
    story.map_fails = true;
    disarm(&mut story).told.clear();
    assert_eq!(story.state.removing(), 1);
    story.map_fails = false;
    story.tick(1).expect(&[OUT]);
    assert_eq!(story.state.removing(), 0);
}

/// A restart stays disarmed, and what it finds in our block goes: a copy of the file may have been put back.
#[test]
fn a_restart_stays_disarmed() {
    let mut story = active();
    disarm(&mut story).told.clear();
    let halt = story.state.halt().cloned();
    story.state = State::restored(Rules::default(), [], []).with_halt(halt);
    story.input(Input::Map(MapState::Loaded(look(&["192.0.2.1"], true, true, &[]))));
    story.expect(&["over mx.example.org: 192.0.2.1: Disarmed", OUT]);
    story.input(Input::Request(Request::Resume)).expect(&[]);
    story.input(Input::Request(Request::Arm)).expect(&[]);
    fails(&mut story).tick(60).expect(&[]);
    go_on(&mut story).expect(&["no longer disarmed", "candidate mx.example.org: 3 in 30m", ASK]);
}

#[test]
fn what_dry_run_has_shown_waits_too() {
    let mut story = Story::new(Rules::default());
    story.dry_run = true;
    three(&mut story).ptr("192.0.2.1", "");
    story.told.clear();
    pause(&mut story).told.clear();
    story.dry_run = false;
    story.input(Input::Request(Request::Arm)).tick(10).expect(&[]);
    go_on(&mut story).expect(&["no longer paused", ASK]);
}

const CLIENT: &str = "192.0.2.7";

/// A client that has delivered breaks three handshakes over half an hour.
fn client_fails(story: &mut Story) {
    let client = || Client { name: None, address: CLIENT.parse().unwrap(), may_be_forged: false };
    story.event(What::ClientDelivered(client()));
    for _ in 0..3 {
        let reason = Cow::Borrowed("wrong version number");
        let cause = Cause { kind: CauseKind::Handshake, reason };
        story.event(What::ClientFailed(client(), cause)).wait(15);
    }
}

#[test]
fn clients_are_halted_with_the_relays() {
    let rules = Rules { receiving: Some(Receiving::default()), ..Rules::default() };
    let mut story = Story::new(rules);
    pause(&mut story).told.clear();
    client_fails(&mut story);
    story.tick(10).expect(&[]);
    go_on(&mut story);
    let active = "client 192.0.2.7: active Srv_Features:192.0.2.7".to_owned();
    assert!(story.told.contains(&active), "{story}");
    story.told.clear();
    disarm(&mut story).expect(&[
        "disarmed by ann",
        "client 192.0.2.7: disarmed Srv_Features:192.0.2.7",
        "- Srv_Features:192.0.2.7",
    ]);
    client_fails(&mut story);
    story.tick(2 * DAY).expect(&[]);
}
