//! Replaying any split of a log gives the same decisions: a process that is killed anywhere, with whatever was under way
//! lost or done, ends where one ends that never was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use access::managed::Managed;
use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::event::{Attempt, Cause, CauseKind, Event, Fault, Stuck, Success, What};
use maillog::relay::Relay;
use maillog::stamp::Stamp;
use policy::fact::{Answer, Fact, Ptr, Question, Tlsa};
use policy::input::{Effect, Input, Look, MapState, Request};
use policy::rules::{Guards, Rules};
use policy::state::State;
use policy::step::step;
use proptest::prelude::*;

const RELAYS: [&str; 4] = ["mx.example.org", "b.mx.example.org", "[192.0.2.77]", "smart"];

/// What a line of the log says, and how many minutes after the line before.
#[derive(Clone, Debug)]
struct Line {
    relay: usize,
    /// Where mail was stuck; none if TLS worked.
    stuck: Option<u8>,
    minutes: i64,
}

/// What happens after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    /// The process is killed with all that it was about to do.
    Kill,
    /// The same, but the edits that it had ordered are in the file.
    KillAfterEdits,
}

/// A process, the ledger and the file.
struct World {
    state: State,
    now: Timestamp,
    relays: BTreeMap<Box<str>, String>,
    successes: BTreeMap<Box<str>, policy::successes::Success>,
    file: Vec<Managed>,
    due: VecDeque<Effect>,
    /// Whether lines are judged as they come, or when all are read.
    live: bool,
}

impl World {
    fn new(live: bool) -> Self {
        let mut world = Self {
            state: State::new(rules()),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            relays: BTreeMap::new(),
            successes: BTreeMap::new(),
            file: Vec::new(),
            due: VecDeque::new(),
            live,
        };
        world.start();
        world
    }

    /// The next process: what the ledger has, and what the file says.
    fn start(&mut self) {
        self.due.clear();
        let relays = self.relays.iter();
        let relays =
            relays.map(|(relay, text)| (relay.clone(), serde_json::from_str(text).unwrap()));
        let successes = self.successes.iter().map(|(relay, last)| (relay.clone(), *last));
        self.state = State::restored(rules(), relays, successes);
        let look =
            Look { ours: self.file.clone(), block: !self.file.is_empty(), ..Look::default() };
        self.input(Input::Map(MapState::Loaded(look)));
        if self.live {
            self.input(Input::Request(Request::Resume));
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.due.extend(step(&mut self.state, input, self.now).effects);
    }

    fn commit(&mut self) {
        let unsaved = self.state.unsaved();
        for (relay, saved) in unsaved.relays {
            match saved {
                Some(saved) => {
                    drop(self.relays.insert(relay, serde_json::to_string(&saved).unwrap()))
                }
                None => drop(self.relays.remove(&relay)),
            }
        }
        self.successes.extend(unsaved.successes);
    }

    fn line(&mut self, line: &Line) {
        self.now += jiff::SignedDuration::from_mins(line.minutes);
        let relay = Relay::parse(RELAYS[line.relay].as_bytes()).unwrap();
        let what = match line.stuck {
            None => {
                What::Success(Success { relay, version: "TLSv1.3".into(), verify: "OK".into() })
            }
            Some(host) => What::Stuck(Box::new(Stuck {
                attempt: Attempt { relay, fault: Fault::Software, code: 454, cause: Some(broke()) },
                address: Some(format!("192.0.2.{host}").parse().unwrap()),
                queue_id: "6AN00000000001".into(),
                recipients: Default::default(),
            })),
        };
        let event =
            Event { stamp: Stamp::Full(self.now), host: "mx1".into(), pid: 7, line: b"", what };
        self.input(Input::Event(&event));
    }

    /// Does all that is wanted; whether edits are answered. No key is written that is in the file already.
    fn settle(&mut self, with_answers: bool) {
        self.commit();
        while let Some(effect) = self.due.pop_front() {
            match effect {
                Effect::Ask(Question::Ptr(address)) => {
                    self.input(Input::Fact(Fact::Ptr(address, Answer::Known(Ptr::default()))));
                }
                Effect::Ask(Question::Tlsa(name)) => {
                    let answer = Answer::Known(Tlsa::Absent);
                    self.input(Input::Fact(Fact::Tlsa(name, answer)));
                }
                Effect::Ask(Question::Addresses(name)) => {
                    self.input(Input::Fact(Fact::Addresses(name, Answer::Known(vec![]))));
                }
                Effect::Ask(Question::Sts(domain)) => {
                    self.input(Input::Fact(Fact::Sts(domain, Answer::Known(None))));
                }
                Effect::Edit(edit) => {
                    let known = |key: &Tagged| {
                        self.file.iter().any(|entry| {
                            entry.tagged() == *key && *entry.relay == *edit.relay.as_str()
                        })
                    };
                    assert!(
                        !edit.add.iter().any(|entry| known(&entry.tagged())),
                        "twice: {edit:?}"
                    );
                    self.file.retain(|entry| !edit.remove.contains(&entry.tagged()));
                    self.file.extend(edit.add.iter().cloned());
                    if with_answers && !edit.add.is_empty() {
                        let keys = edit.add.iter().map(Managed::tagged).collect();
                        self.input(Input::Map(MapState::Written(edit.relay, keys)));
                    } else if with_answers {
                        self.input(Input::Map(MapState::Removed(edit.relay, edit.remove)));
                    }
                }
                Effect::EditClient(_) | Effect::ProveClient(..) => {}
                Effect::Vote(_) | Effect::Unvote(_) => {}
                Effect::Prove(..) | Effect::Probe(..) | Effect::Flush(..) | Effect::TakeOut(..) => {
                }
            }
            self.commit();
        }
    }

    /// Relays and keys that are in force, as the heart has it; and as the file has it.
    fn in_force(&self) -> [BTreeSet<(String, String)>; 2] {
        let known = RELAYS.iter().flat_map(|relay| {
            let keys = self.state.record(relay).map(|record| record.active().to_vec());
            keys.unwrap_or_default().into_iter().map(|key| ((*relay).to_owned(), key.to_string()))
        });
        let written =
            self.file.iter().map(|entry| (entry.relay.to_string(), entry.tagged().to_string()));
        [known.collect(), written.collect()]
    }
}

/// All lines, with what happens after each; then the end of the log.
fn run(lines: &[Line], then: &[Then], live: bool) -> [BTreeSet<(String, String)>; 2] {
    let mut world = World::new(live);
    world.settle(true);
    for (line, then) in lines.iter().zip(then) {
        world.line(line);
        match then {
            Then::GoOn => world.settle(true),
            Then::Kill => {
                world.commit();
                world.start();
                world.settle(true);
            }
            Then::KillAfterEdits => {
                world.settle(false);
                world.start();
                world.settle(true);
            }
        }
    }
    world.input(Input::Request(Request::Resume));
    world.settle(true);
    world.in_force()
}

fn line() -> impl Strategy<Value = Line> {
    let stuck = prop::option::weighted(0.85, 1..4u8);
    (0..RELAYS.len(), stuck, 0..40i64).prop_map(|(relay, stuck, minutes)| Line {
        relay,
        stuck,
        minutes,
    })
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![2 => Just(Then::GoOn), 1 => Just(Then::Kill), 1 => Just(Then::KillAfterEdits)]
}

/// Without the limit of new entries in an hour, which counts from when the process that asks began.
fn rules() -> Rules {
    Rules { guards: Guards { max_per_hour: 0, ..Guards::default() }, ..Rules::default() }
}

fn broke() -> Cause<'static> {
    Cause { kind: CauseKind::Handshake, reason: "it broke".into() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_split_gives_the_same_decisions(
        steps in prop::collection::vec((line(), then()), 1..60),
        live in any::<bool>(),
    ) {
        let (lines, then): (Vec<Line>, Vec<Then>) = steps.into_iter().unzip();
        let whole = run(&lines, &vec![Then::GoOn; lines.len()], live);
        let split = run(&lines, &then, live);
        prop_assert_eq!(&whole[0], &whole[1], "heart and file");
        prop_assert_eq!(split, whole);
    }
}
