//! The heart: one input in, changes and effects out. No clock, no file, no socket, and it cannot fail.
//!
//! The way of a relay: stuck attempts gather as evidence; past the threshold it is a candidate and its facts are asked
//! for; a guard holds it, or its keys are chosen and the map is to be changed; the answer to that makes it active, or
//! proposed in dry run. A success clears the evidence on any of these ways.

use std::net::IpAddr;

use access::managed::Managed;
use jiff::Timestamp;
use maillog::event::{Event, Stuck, What};
use maillog::relay::Relay;

use crate::choice::{self, Located};
use crate::evidence::{ADDRESSES, seconds};
use crate::fact::{Answer, Fact, Ptr, Question};
use crate::hold::Hold;
use crate::input::{Change, Edit, Effect, Input, MapState, Proof, Request};
use crate::never::is_below;
use crate::record::{Record, Work};
use crate::rules::Rules;
use crate::table::{Row, Table};

/// Relays whose TLS worked, remembered at most.
const SUCCESSES: usize = 20_000;

/// All that the heart knows.
#[derive(Clone, Debug)]
pub struct State {
    rules: Rules,
    relays: Table<Record>,
    successes: Table<LastSuccess>,
}

/// When TLS with a relay last worked, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
struct LastSuccess(u32);

impl Row for LastSuccess {
    fn last_seen(&self) -> u32 {
        self.0
    }
}

/// What a step brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is so from now on, in order.
    pub changes: Vec<Change>,
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
}

impl State {
    /// Nothing known yet.
    pub fn new(rules: Rules) -> Self {
        let relays = Table::new(rules.max_relays);
        Self { rules, relays, successes: Table::new(SUCCESSES) }
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Changes the rules (a reload). What was decided stays; what is decided next follows them.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// What is known of a relay that failed, by its text in the ruleset line.
    pub fn record(&self, relay: &str) -> Option<&Record> {
        self.relays.get(relay)
    }

    /// When TLS with the relay last worked, in seconds since 1970.
    pub fn last_success(&self, relay: &str) -> Option<u32> {
        self.successes.get(relay).map(|s| s.0)
    }

    /// The addresses whose facts candidates wait for.
    pub fn asked(&self) -> impl Iterator<Item = IpAddr> {
        self.relays.iter().flat_map(|(_, record)| record.asked())
    }

    /// Whether another relay was seen below the name.
    fn covers_others(&self, name: &str) -> bool {
        let below = |relay: &str| is_below(relay.trim_matches(['[', ']']), name);
        self.relays.iter().any(|(relay, _)| below(relay))
            || self.successes.iter().any(|(relay, _)| below(relay))
    }
}

/// Takes one input. `now`: for an event when its line was written or arrived, otherwise the time of day.
pub fn step(state: &mut State, input: Input<'_>, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    match input {
        Input::Event(event) => on_event(state, event, now, &mut outcome),
        Input::Fact(Fact::Ptr(address, answer)) => {
            on_ptr(state, address, &answer, now, &mut outcome);
        }
        Input::Map(map) => on_map(state, map, &mut outcome),
        Input::Proof(relay, proof) => on_proof(state, relay, proof, &mut outcome),
        Input::Request(Request::Arm) => arm(state, now, &mut outcome),
        Input::Tick => retry(state, now, &mut outcome),
    }
    outcome
}

fn on_event(state: &mut State, event: &Event<'_>, now: Timestamp, outcome: &mut Outcome) {
    match &event.what {
        What::Stuck(stuck) if stuck.attempt.counts() => on_stuck(state, stuck, now, outcome),
        What::Success(success) => on_success(state, &success.relay, now, outcome),
        _ => {}
    }
}

fn on_success(state: &mut State, relay: &Relay<'_>, now: Timestamp, outcome: &mut Outcome) {
    match state.successes.get_mut(relay.as_str()) {
        Some(last) => last.0 = seconds(now),
        None => {
            state.successes.get_or_insert_with(relay.as_str(), || LastSuccess(seconds(now)));
        }
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let was_counting = !record.evidence.is_empty();
    record.evidence.clear();
    record.proposed.clear();
    if !matches!(record.work, Work::Editing(_)) {
        record.work = Work::Idle;
    }
    if was_counting {
        outcome.changes.push(Change::Cleared(relay.clone().into_owned()));
    }
}

fn on_stuck(state: &mut State, stuck: &Stuck<'_>, now: Timestamp, outcome: &mut Outcome) {
    let relay = &stuck.attempt.relay;
    let record = state.relays.get_or_insert_with(relay.as_str(), Record::default);
    record.last_seen = seconds(now);
    record.evidence.add(now, stuck.address);
    if let (Work::Asking(asked), Some(address)) = (&mut record.work, stuck.address)
        && !asked.iter().any(|(known, _)| *known == address)
        && asked.len() < ADDRESSES
    {
        asked.push((address, None));
        outcome.effects.push(Effect::Ask(Question::Ptr(address)));
    }
    if !record.is_open() {
        return;
    }
    if record.is_decided() {
        let uncovered = record.uncovered();
        if !uncovered.is_empty() {
            consider(state, relay, &uncovered, now, outcome);
        }
        return;
    }
    let weight = record.evidence.weigh(&state.rules, now);
    if !weight.enough {
        return;
    }
    if record.hold().is_none() {
        outcome.changes.push(Change::Candidate(relay.clone().into_owned(), weight));
    }
    let addresses = record.evidence.addresses().to_vec();
    consider(state, relay, &addresses, now, outcome);
}

/// Puts a candidate to the guards that need no fact, then asks for the facts.
fn consider(
    state: &mut State,
    relay: &Relay<'_>,
    addresses: &[IpAddr],
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let never = &state.rules.never;
    let item = never
        .covers_relay(relay)
        .or_else(|| addresses.iter().find_map(|address| never.covers_address(*address)));
    if let Some(item) = item {
        let hold = Hold::Never(item.clone());
        return hold_back(state, relay, hold, outcome);
    }
    if addresses.is_empty() {
        return decide(state, relay, &[], now, outcome);
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    record.work = Work::Asking(addresses.iter().map(|address| (*address, None)).collect());
    let ask = addresses.iter().map(|address| Effect::Ask(Question::Ptr(*address)));
    outcome.effects.extend(ask);
}

fn on_ptr(
    state: &mut State,
    address: IpAddr,
    answer: &Answer<Ptr>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let waits = |record: &Record| match &record.work {
        Work::Asking(asked) => asked.iter().any(|(a, slot)| *a == address && slot.is_none()),
        Work::Idle | Work::Editing(_) | Work::Held(_) => false,
    };
    let mut waiting: Vec<String> =
        state.relays.iter().filter(|(_, r)| waits(r)).map(|(relay, _)| relay.to_owned()).collect();
    waiting.sort_unstable();
    for relay in waiting {
        let Some(relay) = Relay::parse(relay.as_bytes()) else { continue };
        let answered = state.relays.get_mut(relay.as_str()).map(|r| r.answer(address, answer));
        if let Some(Some(located)) = answered {
            decide(state, &relay, &located, now, outcome);
        }
    }
}

/// Chooses the keys and has them written.
fn decide(
    state: &mut State,
    relay: &Relay<'_>,
    located: &[Located],
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let chosen = choice::keys(state.rules.key, relay, located, |name| state.covers_others(name));
    let mut keys = match chosen {
        Ok(keys) => keys,
        Err(hold) => return hold_back(state, relay, hold, outcome),
    };
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    keys.retain(|key| !record.active.contains(key) && !record.proposed.contains(key));
    if keys.is_empty() {
        record.work = Work::Idle;
        return;
    }
    let weight = record.evidence.weigh(&state.rules, now);
    let why = match weight.stuck {
        1 => "1 stuck attempt at a further address".to_owned(),
        stuck => format!("{stuck} stuck attempts within {:#}", weight.span),
    };
    let since = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let add = keys
        .iter()
        .map(|key| Managed {
            key: key.clone(),
            relay: relay.as_str().into(),
            why: why.clone(),
            since,
            until: None,
        })
        .collect();
    record.work = Work::Editing(keys);
    let relay = relay.clone().into_owned();
    outcome.effects.push(Effect::Edit(Edit { relay, add, remove: Vec::new() }));
}

fn hold_back(state: &mut State, relay: &Relay<'_>, hold: Hold, outcome: &mut Outcome) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if record.hold() == Some(&hold) {
        return;
    }
    record.work = Work::Held(Box::new(hold.clone()));
    outcome.changes.push(Change::Held(relay.clone().into_owned(), hold));
}

fn on_map(state: &mut State, map: MapState, outcome: &mut Outcome) {
    match map {
        MapState::Loaded(entries) => load(state, entries),
        MapState::Written(relay, keys) => {
            let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
            settle(record, &keys);
            record.proposed.retain(|key| !keys.contains(key));
            record.active.extend(keys.iter().cloned());
            let mut at: Vec<Option<IpAddr>> =
                record.evidence.addresses().iter().copied().map(Some).collect();
            if at.is_empty() {
                at.push(None);
            }
            outcome.changes.push(Change::Active(relay.clone(), keys));
            outcome.effects.push(Effect::Prove(relay, at));
        }
        MapState::Withheld(relay, keys) => {
            let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
            settle(record, &keys);
            record.proposed.extend(keys.iter().cloned());
            outcome.changes.push(Change::Proposed(relay, keys));
        }
        MapState::Contradicted(relay, keys, line) => {
            let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
            settle(record, &keys);
            hold_back(state, &relay, Hold::Admins(line), outcome);
        }
        MapState::Failed(relay, keys, why) => {
            let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
            settle(record, &keys);
            outcome.changes.push(Change::EditFailed(relay.clone(), why.clone()));
            hold_back(state, &relay, Hold::MapFailed(why), outcome);
        }
    }
}

fn settle(record: &mut Record, keys: &[access::key::Key]) {
    if matches!(&record.work, Work::Editing(editing) if editing.iter().all(|k| keys.contains(k))) {
        record.work = Work::Idle;
    }
}

/// Our block at the start: its entries are in force.
fn load(state: &mut State, entries: Vec<Managed>) {
    for entry in entries {
        let record = state.relays.get_or_insert_with(&entry.relay, Record::default);
        record.last_seen = record.last_seen.max(seconds(entry.since));
        if !record.active.contains(&entry.key) {
            record.active.push(entry.key);
        }
    }
}

fn on_proof(state: &mut State, relay: Relay<'static>, proof: Proof, outcome: &mut Outcome) {
    outcome.changes.push(Change::Proven(relay.clone(), proof.clone()));
    let Proof::Refuted(said) = proof else { return };
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let remove = std::mem::take(&mut record.active);
    outcome.effects.push(Effect::Edit(Edit { relay: relay.clone(), add: Vec::new(), remove }));
    hold_back(state, &relay, Hold::Refuted(said), outcome);
}

/// What dry run has shown goes through the guards again.
fn arm(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    reconsider(state, now, outcome, |record| !std::mem::take(&mut record.proposed).is_empty());
}

/// What failed for the map's sake is tried again.
fn retry(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    reconsider(state, now, outcome, |record| {
        let failed = matches!(record.hold(), Some(Hold::MapFailed(_)));
        if failed {
            record.work = Work::Idle;
        }
        failed
    });
}

fn reconsider(
    state: &mut State,
    now: Timestamp,
    outcome: &mut Outcome,
    mut again: impl FnMut(&mut Record) -> bool,
) {
    let mut relays: Vec<String> = state.relays.iter().map(|(relay, _)| relay.to_owned()).collect();
    relays.sort_unstable();
    for relay in relays {
        let Some(record) = state.relays.get_mut(&relay) else { continue };
        if !again(record) {
            continue;
        }
        let addresses = if record.is_decided() {
            record.uncovered()
        } else {
            record.evidence.addresses().to_vec()
        };
        if let Some(relay) = Relay::parse(relay.as_bytes()) {
            consider(state, &relay, &addresses, now, outcome);
        }
    }
}
