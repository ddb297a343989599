//! Whatever comes first on the receiving side: clients that fail, deliver or speak TLS, hours, answers of the map and of
//! proofs, an admin's hand in the file, and kills in any order. Once all is answered, heart and file say the same, what was
//! taken out by hand stays out, and no admin's line has one of ours beside it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use access::lookup::Entries;
use access::managed::Managed;
use jiff::{SignedDuration, Timestamp};
use maillog::event::{Cause, CauseKind, Client, Event, What};
use maillog::stamp::Stamp;
use policy::clients::{Became, Client as Known, ClientEdit, ClientKey, ClientNews};
use policy::fact::Answer;
use policy::input::{Effect, Input, Look, MapState, Proof, Request};
use policy::rules::{Guards, Receiving, Rules};
use policy::state::State;
use policy::step::step;
use proptest::prelude::*;

/// The first two share their PTR name.
const CLIENTS: [&str; 3] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
const NAMES: [&str; 3] = ["cl.ptr.test", "cl.ptr.test", "other.ptr.test"];

#[derive(Clone, Copy, Debug)]
enum Turn {
    /// So many handshakes with this client break.
    Fails(usize, u8),
    /// It hands a message over.
    Delivers(usize),
    /// So many hours pass.
    Hours(u8),
    /// The oldest order of the map is carried out and answered.
    Map,
    /// It fails.
    MapFails,
    /// The oldest proof is answered: sendmail acts on the entry if it is in the file.
    Proof,
    /// The admin takes our entries out by hand.
    ByHand,
    /// The admin writes an entry of his own for all of the net, or takes it out again.
    Admins,
    /// The process is killed, and the next one starts.
    Kill,
}

/// A process, what it waits for, its ledger and the file.
struct World {
    state: State,
    rules: Rules,
    now: Timestamp,
    ledger: BTreeMap<Box<str>, String>,
    file: Vec<Managed>,
    admins: bool,
    /// With how many looks the heart had heard of by then.
    edits: VecDeque<(ClientEdit, u32)>,
    looks: u32,
    proofs: VecDeque<IpAddr>,
    /// Keys that were taken out by hand, and until when.
    by_hand: BTreeMap<String, Timestamp>,
}

impl World {
    fn new(key: ClientKey) -> Self {
        let rules = rules(key);
        let mut world = Self {
            state: State::new(rules.clone()),
            rules,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            ledger: BTreeMap::new(),
            file: Vec::new(),
            admins: false,
            edits: VecDeque::new(),
            looks: 0,
            proofs: VecDeque::new(),
            by_hand: BTreeMap::new(),
        };
        world.start();
        world
    }

    fn start(&mut self) {
        self.edits.clear();
        self.proofs.clear();
        let rows = self.ledger.iter();
        let rows: Vec<_> =
            rows.map(|(row, text)| (row.clone(), serde_json::from_str(text).unwrap())).collect();
        self.state = State::restored(self.rules.clone(), [], []).with_clients(rows);
        self.look(true);
        self.input(Input::Request(Request::Resume));
    }

    /// The heart hears what the file is.
    fn look(&mut self, first: bool) {
        let admins = if self.admins {
            Entries::parse(b"Srv_Features:192.0.2 V\n")
        } else {
            Entries::default()
        };
        self.state.set_admin(Answer::Known(admins.clone()));
        self.looks += 1;
        let block = !self.file.is_empty();
        let look = Look { ours: self.file.clone(), block, admins, ..Look::default() };
        self.input(Input::Map(if first { MapState::Loaded(look) } else { MapState::Seen(look) }));
    }

    /// What changed is committed before anything is done, as the daemon has it.
    fn input(&mut self, input: Input<'_>) {
        let outcome = step(&mut self.state, input, self.now);
        for (row, saved) in self.state.unsaved().clients {
            match saved {
                Some(saved) => {
                    drop(self.ledger.insert(row, serde_json::to_string(&saved).unwrap()))
                }
                None => drop(self.ledger.remove(&row)),
            }
        }
        for effect in outcome.effects {
            match effect {
                Effect::EditClient(edit) => self.edits.push_back((edit, self.looks)),
                Effect::ProveClient(address, _) => self.proofs.push_back(address),
                _ => {}
            }
        }
    }

    fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Fails(at, times) => {
                for _ in 0..times {
                    self.now += SignedDuration::from_mins(10);
                    let cause = Cause { kind: CauseKind::Handshake, reason: "it broke".into() };
                    self.event(What::ClientFailed(client(at), cause));
                }
            }
            Turn::Delivers(at) => self.event(What::ClientDelivered(client(at))),
            Turn::Hours(hours) => {
                for _ in 0..hours {
                    self.now += SignedDuration::from_hours(1);
                    self.input(Input::Tick);
                }
            }
            Turn::Map => self.map(true),
            Turn::MapFails => self.map(false),
            Turn::Proof => {
                let Some(address) = self.proofs.pop_front() else { return };
                let at = CLIENTS.iter().position(|client| address.to_string() == *client).unwrap();
                let acts = self.file.iter().any(|entry| {
                    let key = entry.key.to_string();
                    key == CLIENTS[at] || key == NAMES[at]
                });
                let proof = if acts { Proof::Matches } else { Proof::Refuted("OK".into()) };
                self.input(Input::Client(ClientNews::Proof(address, proof)));
            }
            Turn::ByHand => {
                let until = self.now + SignedDuration::from_hours(24 * 29);
                self.by_hand.extend(self.in_force().into_iter().map(|key| (key, until)));
                self.file.clear();
                self.look(false);
            }
            Turn::Admins => {
                self.admins = !self.admins;
                self.look(false);
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
        let Some((edit, looks)) = self.edits.pop_front() else { return };
        let (address, became) = match edit {
            // What was decided before the last look is not added.
            ClientEdit::Add(address, _) if looks < self.looks => (address, Became::Overtaken),
            ClientEdit::Add(address, _) if !works => (address, Became::Failed("disk full".into())),
            ClientEdit::Remove(..) if !works => return,
            ClientEdit::Add(address, managed) => {
                self.file.retain(|entry| entry.key != managed.key);
                self.file.push(managed);
                (address, Became::Written)
            }
            ClientEdit::Remove(address, gone) => {
                self.file.retain(|entry| entry.key != gone.key);
                (address, Became::Removed)
            }
        };
        self.input(Input::Client(ClientNews::Map(address, became)));
    }

    /// The keys that the heart takes to be in force.
    fn in_force(&self) -> BTreeSet<String> {
        let clients = CLIENTS.iter().filter_map(|at| self.state.clients().get(at.parse().unwrap()));
        let active = |client: &Known| {
            let standing = serde_json::to_value(client.standing()).unwrap();
            standing["Active"][0].as_str().map(str::to_owned)
        };
        clients.filter_map(active).collect()
    }

    /// Everything is answered, somebody looks, and some minutes pass.
    fn settle(&mut self) {
        for _ in 0..5 {
            while !self.edits.is_empty() || !self.proofs.is_empty() {
                self.take(Turn::Map);
                self.take(Turn::Proof);
            }
            self.look(false);
            self.now += SignedDuration::from_mins(2);
            self.input(Input::Tick);
        }
        while !self.edits.is_empty() {
            self.take(Turn::Map);
        }
    }
}

fn client(at: usize) -> Client<'static> {
    let address = CLIENTS[at].parse().unwrap();
    Client { name: Some(NAMES[at].into()), address, may_be_forged: false }
}

fn rules(key: ClientKey) -> Rules {
    let guards = Guards { max_per_hour: 0, burst_relays: 0, burst_share: 0.0, ..Guards::default() };
    let min_span = SignedDuration::from_mins(20);
    let ttl = SignedDuration::from_hours(72);
    let receiving = Some(Receiving { key, min_span, ttl, ..Receiving::default() });
    Rules { guards, receiving, min_span: SignedDuration::ZERO, ..Rules::default() }
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        8 => (0..3usize, 1..5u8).prop_map(|(at, times)| Turn::Fails(at, times)),
        1 => (0..3usize).prop_map(Turn::Delivers),
        2 => (1..30u8).prop_map(Turn::Hours),
        1 => (70..80u8).prop_map(Turn::Hours),
        4 => Just(Turn::Map),
        1 => Just(Turn::MapFails),
        2 => Just(Turn::Proof),
        1 => Just(Turn::ByHand),
        1 => Just(Turn::Admins),
        1 => Just(Turn::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn heart_and_file_agree_whatever_comes_first(
        turns in prop::collection::vec(turn(), 1..60),
        by_name in any::<bool>(),
    ) {
        let mut world = World::new(if by_name { ClientKey::Name } else { ClientKey::Address });
        for turn in turns {
            world.take(turn);
        }
        world.settle();
        let known = world.in_force();
        let written: BTreeSet<String> =
            world.file.iter().map(|entry| entry.key.to_string()).collect();
        prop_assert_eq!(known, written.clone(), "heart and file");
        prop_assert!(!world.admins || world.file.is_empty(), "beside the admin's: {:?}", written);
        for (key, until) in &world.by_hand {
            prop_assert!(world.now >= *until || !written.contains(key), "{key} was taken out by hand");
        }
    }
}
