//! The way of a relay through the heart, told as a story: each line is an input, what comes of it stands below.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use jiff::Timestamp;
use maillog::event::{Attempt, Event, Fault, Stuck, Success, What};
use maillog::relay::Relay;
use maillog::stamp::Stamp;
use policy::fact::{Answer, Fact, Ptr, PtrName};
use policy::input::{Change, Effect, Input, MapState, Proof, Request};
use policy::rules::{KeyMode, Rules};
use policy::step::{Outcome, State, step};

struct Story {
    state: State,
    minute: i64,
    dry_run: bool,
    map_fails: bool,
    told: Vec<String>,
}

impl Story {
    fn new(rules: Rules) -> Self {
        let never = policy::never::NeverList(vec!["127.0.0.0/8".parse().unwrap()]);
        let rules = Rules { never, ..rules };
        Self { state: State::new(rules), minute: 0, dry_run: false, map_fails: false, told: vec![] }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + self.minute * 60).unwrap()
    }

    fn wait(&mut self, minutes: i64) -> &mut Self {
        self.minute += minutes;
        self
    }

    fn event(&mut self, what: What<'_>) -> &mut Self {
        let event = Event { stamp: Stamp::Full(self.now()), host: "mx1".into(), pid: 7, what };
        self.input(Input::Event(&event))
    }

    fn stuck_as(&mut self, fault: Fault, code: u16, relay: &str, address: &str) -> &mut Self {
        let attempt =
            Attempt { relay: Relay::parse(relay.as_bytes()).unwrap(), fault, code, cause: None };
        let address = (!address.is_empty()).then(|| address.parse().unwrap());
        let queue_id = "6AN00000000001".into();
        self.event(What::Stuck(Stuck { attempt, address, queue_id, recipients: vec![] }))
    }

    fn stuck(&mut self, relay: &str, address: &str) -> &mut Self {
        self.stuck_as(Fault::Software, 454, relay, address)
    }

    fn success(&mut self, relay: &str) -> &mut Self {
        let relay = Relay::parse(relay.as_bytes()).unwrap();
        self.event(What::Success(Success { relay, version: "TLSv1.3".into(), verify: "OK".into() }))
    }

    fn ptr(&mut self, address: &str, name: &str) -> &mut Self {
        let names = match name {
            "" => vec![],
            name => vec![PtrName { name: name.into(), confirmed: true }],
        };
        let fact = Fact::Ptr(address.parse().unwrap(), Answer::Known(Ptr { names }));
        self.input(Input::Fact(fact))
    }

    fn input(&mut self, input: Input<'_>) -> &mut Self {
        let now = self.now();
        let outcome = step(&mut self.state, input, now);
        self.tell(outcome)
    }

    /// Tells what came of it, and plays the map: edits are written, withheld or fail.
    fn tell(&mut self, outcome: Outcome) -> &mut Self {
        for change in &outcome.changes {
            self.told.push(match change {
                Change::Candidate(relay, weight) => {
                    format!("candidate {relay}: {} in {:#}", weight.stuck, weight.span)
                }
                Change::Held(relay, hold) => format!("held {relay}: {hold}"),
                Change::Proposed(relay, keys) => format!("proposed {relay}: {}", list(keys)),
                Change::Active(relay, keys) => format!("active {relay}: {}", list(keys)),
                Change::Proven(relay, proof) => format!("proof {relay}: {proof:?}"),
                Change::Cleared(relay) => format!("cleared {relay}"),
                Change::EditFailed(relay, why) => format!("failed {relay}: {why}"),
            });
        }
        for effect in outcome.effects {
            match effect {
                Effect::Ask(question) => self.told.push(format!("ask {question:?}")),
                Effect::Prove(relay, _) => self.told.push(format!("prove {relay}")),
                Effect::Edit(edit) => {
                    let keys: Vec<_> = edit.add.iter().map(|entry| entry.key.clone()).collect();
                    self.told.push(format!("edit +{} -{}", list(&keys), list(&edit.remove)));
                    if keys.is_empty() {
                        continue;
                    }
                    let answer = match (self.map_fails, self.dry_run) {
                        (true, _) => MapState::Failed(edit.relay, keys, "disk full".into()),
                        (_, true) => MapState::Withheld(edit.relay, keys),
                        _ => MapState::Written(edit.relay, keys),
                    };
                    self.input(Input::Map(answer));
                }
            }
        }
        self
    }

    fn expect(&mut self, expect: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.told), expect);
        self
    }
}

fn list(keys: &[access::key::Key]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

const MX: &str = "mx.example.org";
const ASK: &str = "ask Ptr(192.0.2.1)";

/// Three stuck attempts over half an hour.
fn three(story: &mut Story) -> &mut Story {
    story.stuck(MX, "192.0.2.1").wait(15).stuck(MX, "192.0.2.1").wait(15).expect(&[]);
    story.stuck(MX, "192.0.2.1").expect(&["candidate mx.example.org: 3 in 30m", ASK])
}

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
    story.stuck_as(Fault::Config, 454, MX, "192.0.2.1").expect(&[]);
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
    let mut story = Story::new(Rules::default());
    story.map_fails = true;
    three(&mut story).ptr("192.0.2.1", "").expect(&[
        "edit +192.0.2.1 -",
        "failed mx.example.org: disk full",
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
    story.expect(&["proof mx.example.org: Matches"]);
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
    let entry = access::managed::Managed {
        key: access::key::Key::Name(MX.into()),
        relay: MX.into(),
        why: "3 stuck attempts".into(),
        since: story.now(),
        until: None,
    };
    story.input(Input::Map(MapState::Loaded(vec![entry])));
    story.stuck(MX, "192.0.2.1").wait(20).stuck(MX, "192.0.2.1").wait(20).stuck(MX, "192.0.2.1");
    story.expect(&[]);
}
