//! Whatever comes first: log lines, ticks, answers of the map, of DNS and of probes, an operator's word and kills in any
//! order. Once all is answered, heart and file say the same, and what was lifted by hand is in neither.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use access::managed::Managed;
use access::remedy::Tagged;
use jiff::{SignedDuration, Timestamp};
use maillog::event::{Attempt, Cause, CauseKind, Event, Fault, Stuck, Success, What};
use maillog::relay::Relay;
use maillog::stamp::Stamp;
use policy::fact::{Answer, Fact, Ptr, Question, Tlsa};
use policy::input::{Edit, Effect, Input, Look, MapState, Request};
use policy::life::Probed;
use policy::rules::{Guards, Rules};
use policy::state::State;
use policy::step::step;
use proptest::prelude::*;

/// The second one is behind the same addresses as the first.
const RELAYS: [&str; 2] = ["mx.example.org", "mx.example.net"];

#[derive(Clone, Copy, Debug)]
enum Turn {
    /// Mail for this relay is stuck, at this address.
    Stuck(usize, u8),
    /// TLS with this relay works.
    Works(usize),
    /// So many hours pass.
    Hours(u8),
    /// The oldest order of the map is carried out and answered.
    Map,
    /// It fails.
    MapFails,
    /// The oldest question is answered.
    Dns,
    /// The oldest probe is answered: good, broken, unreached.
    Probe(u8),
    /// An operator takes the relay's entries out for a day.
    Lift(usize),
    /// The process is killed, and the next one starts.
    Kill,
}

/// A process, what it waits for, its ledger and the file.
struct World {
    state: State,
    now: Timestamp,
    ledger: BTreeMap<Box<str>, String>,
    successes: BTreeMap<Box<str>, policy::successes::Success>,
    file: Vec<Managed>,
    edits: VecDeque<Edit>,
    questions: VecDeque<Question>,
    probes: VecDeque<(Relay<'static>, u32)>,
    /// Until when each relay was lifted by hand.
    lifted: [Option<Timestamp>; 2],
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::new(rules()),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            ledger: BTreeMap::new(),
            successes: BTreeMap::new(),
            file: Vec::new(),
            edits: VecDeque::new(),
            questions: VecDeque::new(),
            probes: VecDeque::new(),
            lifted: [None; 2],
        };
        world.start();
        world
    }

    fn start(&mut self) {
        self.edits.clear();
        self.questions.clear();
        self.probes.clear();
        let rows = self.ledger.iter();
        let rows = rows.map(|(relay, text)| (relay.clone(), serde_json::from_str(text).unwrap()));
        let successes = self.successes.iter().map(|(relay, last)| (relay.clone(), *last));
        self.state = State::restored(rules(), rows, successes);
        let look =
            Look { ours: self.file.clone(), block: !self.file.is_empty(), ..Look::default() };
        self.input(Input::Map(MapState::Loaded(look)));
        self.input(Input::Request(Request::Resume));
    }

    /// What changed is committed before anything is done, as the daemon has it.
    fn input(&mut self, input: Input<'_>) {
        let outcome = step(&mut self.state, input, self.now);
        let unsaved = self.state.unsaved();
        for (relay, saved) in unsaved.relays {
            match saved {
                Some(saved) => {
                    drop(self.ledger.insert(relay, serde_json::to_string(&saved).unwrap()))
                }
                None => drop(self.ledger.remove(&relay)),
            }
        }
        self.successes.extend(unsaved.successes);
        for effect in outcome.effects {
            match effect {
                Effect::Ask(question) => self.questions.push_back(question),
                Effect::Edit(edit) => self.edits.push_back(edit),
                Effect::Probe(relay, _, began) => self.probes.push_back((relay, began)),
                Effect::Flush(..) | Effect::Prove(..) => {}
                Effect::Vote(_) | Effect::Unvote(_) => {}
                Effect::EditClient(_) | Effect::ProveClient(..) | Effect::TakeOut(..) => {}
            }
        }
    }

    fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Stuck(at, host) => {
                self.now += SignedDuration::from_mins(10);
                let attempt =
                    Attempt { relay: relay(at), fault: Fault::Software, code: 454, cause: broke() };
                self.event(What::Stuck(Box::new(Stuck {
                    attempt,
                    address: Some(format!("192.0.2.{host}").parse().unwrap()),
                    queue_id: "6AN00000000001".into(),
                    recipients: Default::default(),
                })));
            }
            Turn::Works(at) => {
                let (version, verify) = ("TLSv1.3".into(), "OK".into());
                self.event(What::Success(Success { relay: relay(at), version, verify }));
            }
            Turn::Hours(hours) => {
                for _ in 0..hours {
                    self.now += SignedDuration::from_hours(1);
                    self.input(Input::Tick);
                }
            }
            Turn::Map => self.map(true),
            Turn::MapFails => self.map(false),
            Turn::Dns => {
                let Some(question) = self.questions.pop_front() else { return };
                self.input(Input::Fact(match question {
                    Question::Ptr(address) => Fact::Ptr(address, Answer::Known(Ptr::default())),
                    Question::Tlsa(name) => Fact::Tlsa(name, Answer::Known(Tlsa::Absent)),
                    Question::Sts(domain) => Fact::Sts(domain, Answer::Known(None)),
                    Question::Addresses(name) => Fact::Addresses(name, Answer::Known(vec![])),
                }));
            }
            Turn::Probe(found) => {
                let Some((relay, began)) = self.probes.pop_front() else { return };
                let broken = Probed::Broken { how: "not-tls".into(), strong: true };
                let found = [Probed::Good, broken, Probed::Unreached][usize::from(found)].clone();
                self.input(Input::Probed(relay, began, found));
            }
            Turn::Lift(at) => {
                let until = self.now + SignedDuration::from_hours(24);
                self.lifted[at] = Some(until);
                let until = u32::try_from(until.as_second()).unwrap();
                self.input(Input::Request(Request::Lift(relay(at), Some(until))));
            }
            Turn::Kill => self.start(),
        }
    }

    fn event(&mut self, what: What<'_>) {
        let event =
            Event { stamp: Stamp::Full(self.now), host: "mx1".into(), pid: 7, line: b"", what };
        self.input(Input::Event(&event));
    }

    fn map(&mut self, works: bool) {
        let Some(Edit { relay, add, remove }) = self.edits.pop_front() else { return };
        let keys: Vec<Tagged> = add.iter().map(Managed::tagged).collect();
        if works {
            let touched = |key: &Tagged| remove.contains(key) || keys.contains(key);
            self.file.retain(|entry| !touched(&entry.tagged()));
            self.file.extend(add);
        }
        let answer = match (works, keys.is_empty()) {
            (true, true) => MapState::Removed(relay, remove),
            (true, false) => MapState::Written(relay, keys),
            (false, true) => MapState::Failed(relay, remove, "disk full".into()),
            (false, false) => MapState::Failed(relay, keys, "disk full".into()),
        };
        self.input(Input::Map(answer));
    }

    /// Everything is answered, and some minutes pass.
    fn settle(&mut self) {
        for _ in 0..5 {
            while !self.edits.is_empty() || !self.questions.is_empty() {
                self.take(Turn::Dns);
                self.take(Turn::Map);
            }
            self.now += SignedDuration::from_mins(2);
            self.input(Input::Tick);
        }
        while !self.edits.is_empty() {
            self.take(Turn::Map);
        }
    }

    fn in_force(&self, at: usize) -> Vec<Tagged> {
        let record = self.state.record(RELAYS[at]);
        record.map(|record| record.active().to_vec()).unwrap_or_default()
    }
}

fn relay(at: usize) -> Relay<'static> {
    Relay::parse(RELAYS[at].as_bytes()).unwrap()
}

fn broke() -> Option<Cause<'static>> {
    Some(Cause { kind: CauseKind::Handshake, reason: "it broke".into() })
}

fn rules() -> Rules {
    let guards = Guards { max_per_hour: 0, ..Guards::default() };
    Rules { guards, min_span: SignedDuration::ZERO, ..Rules::default() }
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        6 => (0..2usize, 1..3u8).prop_map(|(at, host)| Turn::Stuck(at, host)),
        1 => (0..2usize).prop_map(Turn::Works),
        2 => (1..30u8).prop_map(Turn::Hours),
        1 => (100..250u8).prop_map(Turn::Hours),
        4 => Just(Turn::Map),
        1 => Just(Turn::MapFails),
        6 => Just(Turn::Dns),
        3 => (0..3u8).prop_map(Turn::Probe),
        1 => (0..2usize).prop_map(Turn::Lift),
        1 => Just(Turn::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn heart_and_file_agree_whatever_comes_first(turns in prop::collection::vec(turn(), 1..80)) {
        let mut world = World::new();
        for turn in turns {
            world.take(turn);
        }
        world.settle();
        let key = |key: &Tagged| key.to_string();
        let known: BTreeSet<String> =
            (0..2).flat_map(|at| world.in_force(at)).map(|k| key(&k)).collect();
        let written: BTreeSet<String> = world.file.iter().map(|entry| key(&entry.tagged())).collect();
        prop_assert_eq!(known, written, "heart and file");
        for (at, relay) in RELAYS.into_iter().enumerate() {
            if world.lifted[at].is_some_and(|until| world.now < until) {
                prop_assert!(world.in_force(at).is_empty(), "{} was lifted", relay);
            }
        }
    }
}
