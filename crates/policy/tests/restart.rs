//! What a restart makes of what was under way: the file says what became of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use access::remedy::Tagged;
use maillog::relay::Relay;
use policy::fact::{Answer, Fact, Ptr};
use policy::input::{Effect, Input, MapState, Proof, Request};
use policy::record::Saved;
use policy::rules::Rules;
use policy::state::State;
use policy::step::step;
use story::{ASK, MX, Story, active, look, reload, three};

fn relay() -> Relay<'static> {
    Relay::parse(MX.as_bytes()).unwrap()
}

fn keys() -> Vec<Tagged> {
    vec!["192.0.2.1".parse().unwrap()]
}

/// A relay whose entry is being written.
fn editing() -> Story {
    let mut story = Story::new(Rules::default());
    three(&mut story);
    let fact = Fact::Ptr("192.0.2.1".parse().unwrap(), Answer::Known(Ptr { names: vec![] }));
    let now = story.now();
    assert_eq!(step(&mut story.state, Input::Fact(fact), now).effects.len(), 1);
    story
}

/// The process is killed, and the next one finds these entries of ours.
fn restart(mut story: Story, ours: &[&str]) -> Story {
    story.state = reload(&story.state);
    story.input(Input::Map(MapState::Loaded(look(ours, !ours.is_empty(), false, &[]))));
    story.input(Input::Request(Request::Resume));
    story
}

/// Killed between the intention and the edit, or between the edit and its answer.
#[test]
fn an_edit_under_way_is_settled_by_the_file() {
    restart(editing(), &["192.0.2.1"])
        .expect(&["active mx.example.org: 192.0.2.1", "prove mx.example.org"])
        .stuck(MX, "192.0.2.1")
        .expect(&[]);
    restart(editing(), &[])
        .expect(&["candidate mx.example.org: 3 in 30m", ASK])
        .ptr("192.0.2.1", "")
        .expect(&["edit +192.0.2.1 -", "active mx.example.org: 192.0.2.1", "prove mx.example.org"]);
}

/// TLS worked while the entry was being written, and the process was killed before it could be taken out again.
#[test]
fn an_edit_that_a_success_made_void_is_undone_after_a_restart() {
    let void = || {
        let mut story = editing();
        story.success(MX).expect(&["cleared mx.example.org"]);
        story
    };
    restart(void(), &["192.0.2.1"]).expect(&["edit + -192.0.2.1"]);
    restart(void(), &[]).expect(&[]);
}

/// Killed before what was refuted is taken out: it is taken out by the next process, and is in force in neither.
#[test]
fn a_removal_under_way_is_settled_by_the_file() {
    let removing = || {
        let mut story = active();
        let (now, refuted) = (story.now(), Input::Proof(relay(), Proof::Refuted("OK".into())));
        let effects = step(&mut story.state, refuted, now).effects;
        assert!(matches!(&effects[..], [Effect::Edit(edit)] if edit.remove == keys()));
        story
    };
    let story = restart(removing(), &["192.0.2.1"]);
    assert_eq!(story.told[0], "edit + -192.0.2.1");
    assert_eq!(story.state.record(MX).unwrap().active(), []);
    let story = restart(removing(), &[]);
    assert!(story.told.iter().all(|told| !told.starts_with("edit + -")), "{:?}", story.told);
}

/// What cannot be taken out is tried again with each tick, also by the next process.
#[test]
fn a_removal_that_fails_is_tried_again() {
    let mut story = active();
    story.map_fails = true;
    story.input(Input::Proof(relay(), Proof::Refuted("OK".into())));
    story.told.clear();
    story.input(Input::Tick).expect(&["edit + -192.0.2.1"]);
    story.state = reload(&story.state);
    story.input(Input::Map(MapState::Loaded(look(&["192.0.2.1"], true, false, &[]))));
    story.expect(&["edit + -192.0.2.1"]);
    story.map_fails = false;
    story.input(Input::Tick).expect(&["edit + -192.0.2.1"]).input(Input::Tick).expect(&[]);
}

/// What was taken out by hand while nobody looked is lifted, and stays out over restarts; then it is forgotten.
#[test]
fn what_is_lifted_while_down_stays_out_for_the_hold_off() {
    let mut story = restart(active(), &[]);
    story.expect(&["lifted mx.example.org: 192.0.2.1 for 30 days"]);
    let mut story = restart(story, &[]);
    for _ in 0..4 {
        story.wait(30).stuck(MX, "192.0.2.1");
    }
    story.expect(&[]);
    let stays = |story: &Story| story.state.record(MX).unwrap().save().stays();
    story.wait(29 * 24 * 60).input(Input::Tick);
    assert!(stays(&story));
    story.wait(2 * 24 * 60).input(Input::Tick);
    assert!(!stays(&story));
}

/// Killed, or hindered, while a block that others wiped away is put back: it is put back later.
#[test]
fn a_putting_back_is_not_forgotten() {
    let lost = || Input::Map(MapState::Seen(look(&[], false, true, &[])));
    let back = ["edit +192.0.2.1 -", "put back mx.example.org: 192.0.2.1", "prove mx.example.org"];
    let mut story = active();
    let now = story.now();
    assert_eq!(step(&mut story.state, lost(), now).effects.len(), 1);
    // What is outside of the block is known by then.
    restart(story, &[]).expect(&back);
    let mut story = active();
    story.map_fails = true;
    story.input(lost()).told.clear();
    story.map_fails = false;
    story.wait(48 * 60).input(Input::Tick).expect(&back);
}

/// Rows that there is no room for at the start leave the ledger too.
#[test]
fn what_is_dropped_at_the_start_is_to_be_deleted() {
    let relays = (0..200).map(|n| {
        let mut story = Story::new(Rules::default());
        let name = format!("mx{n}.example.org");
        story.stuck(&name, "192.0.2.1");
        (name.as_str().into(), story.state.record(&name).unwrap().save())
    });
    let relays: Vec<(Box<str>, Saved)> = relays.collect();
    let mut state = State::restored(Rules { max_relays: 100, ..Rules::default() }, relays, []);
    let unsaved = state.unsaved();
    assert!(unsaved.relays.len() >= 100 && unsaved.relays.iter().all(|(_, saved)| saved.is_none()));
}
