//! The heart: one input in, changes and effects out. No clock, no file, no socket, and it cannot fail.
//!
//! The way of a relay: stuck attempts gather as evidence; past the threshold it is a candidate and its facts are asked
//! for; a guard holds it, or its keys are chosen and the map is to be changed; the answer to that makes it active, or
//! proposed in dry run. A success clears the evidence on any of these ways.

use std::net::IpAddr;

use access::key::Key;
use access::managed::Managed;
use jiff::Timestamp;
use maillog::event::{Event, Stuck, What};
use maillog::relay::Relay;

use crate::choice::{self, Located};
use crate::evidence::{ADDRESSES, seconds};
use crate::fact::{Answer, Fact, Ptr, Question};
use crate::hold::Hold;
use crate::input::{Change, Edit, Effect, Input, Request};
use crate::map;
use crate::record::{Record, Work};
use crate::rules::KeyMode;
use crate::state::State;

/// Entries in force, or proposed, for one relay at most. One that comes with ever new addresses is no case for entries by address.
const MOST_KEYS: usize = 64;

/// What a step brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is so from now on, in order.
    pub changes: Vec<Change>,
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
}

/// Takes one input. `now`: for an event when its line was written or arrived, otherwise the time of day.
pub fn step(state: &mut State, input: Input<'_>, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    match input {
        Input::Event(event) => on_event(state, event, now, &mut outcome),
        Input::Fact(Fact::Ptr(address, answer)) => {
            on_ptr(state, address, &answer, now, &mut outcome);
        }
        Input::Fact(Fact::Tlsa(..) | Fact::Sts(..)) => {}
        Input::Map(found) => map::on_map(state, found, now, &mut outcome),
        Input::Proof(relay, proof) => map::on_proof(state, relay, proof, &mut outcome),
        Input::Request(Request::Arm) => arm(state, now, &mut outcome),
        Input::Request(Request::Resume) => resume(state, now, &mut outcome),
        Input::Tick => {
            end_hold_offs(state, now);
            map::remove_again(state, &mut outcome);
            retry(state, now, &mut outcome);
            map::put_back(state, now, &mut outcome);
        }
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
    state.successes.note(relay.as_str(), seconds(now));
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if record.evidence.last().is_some_and(|last| last > seconds(now)) {
        return; // Of an older log: it failed after that.
    }
    let was_counting = !record.evidence.is_empty();
    record.evidence.clear();
    if let Some(standing) = record.standing_if_any() {
        standing.proposed.clear();
        standing.told = None;
        match &mut standing.work {
            Work::Editing { cleared, .. } => *cleared = true,
            work => *work = Work::Idle,
        }
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
    if let (Some(standing), Some(address)) = (record.standing_if_any(), stuck.address)
        && let Work::Asking(asked) = &mut standing.work
        && !asked.iter().any(|(known, _)| *known == address)
        && asked.len() < ADDRESSES
    {
        asked.push((address, None));
        outcome.effects.push(Effect::Ask(Question::Ptr(address)));
    }
    if state.live && record.is_open(now) {
        weigh(state, relay, now, outcome);
    }
}

/// Goes on with a relay for which nothing is under way, if there is enough against it.
fn weigh(state: &mut State, relay: &Relay<'_>, now: Timestamp, outcome: &mut Outcome) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
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
    let told = record.standing_if_any().is_some_and(|standing| standing.told.is_some());
    if !told {
        outcome.changes.push(Change::Candidate(relay.clone().into_owned(), weight));
    }
    let addresses = record.evidence.addresses();
    consider(state, relay, &addresses, now, outcome);
}

/// Puts a candidate to the guards that need no fact, then asks for the facts.
pub(crate) fn consider(
    state: &mut State,
    relay: &Relay<'_>,
    addresses: &[IpAddr],
    now: Timestamp,
    outcome: &mut Outcome,
) {
    if let Some(hold) = never(state, relay, addresses.iter().copied()) {
        return hold_back(state, relay, hold, outcome);
    }
    if addresses.is_empty() {
        return decide(state, relay, &[], now, outcome);
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    record.standing().work =
        Work::Asking(addresses.iter().map(|address| (*address, None)).collect());
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
    let waits = |record: &Record| record.asked().any(|asked| asked == address);
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
    // Again: the rules may be new, and an address may have come since the relay was considered.
    if let Some(hold) = never(state, relay, located.iter().map(|l| l.address)) {
        return hold_back(state, relay, hold, outcome);
    }
    let by_address = |record: &Record| record.keys().any(|key| matches!(key, Key::Address(_)));
    let mode = match state.relays.get(relay.as_str()) {
        Some(record) if by_address(record) && !located.is_empty() => KeyMode::Ip,
        _ => state.rules.key,
    };
    let chosen = choice::keys(mode, relay, located, |name| state.covers_others(name));
    let mut keys = match chosen {
        Ok(keys) => keys,
        Err(hold) => return hold_back(state, relay, hold, outcome),
    };
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    keys.retain(|key| !record.active().contains(key) && !record.proposed().contains(key));
    if keys.is_empty() {
        record.standing().work = Work::Idle;
        return;
    }
    if record.keys().count() + keys.len() > MOST_KEYS {
        return hold_back(state, relay, Hold::TooManyKeys, outcome);
    }
    let weight = record.evidence.weigh(&state.rules, now);
    let why = match (record.active().is_empty(), weight.stuck) {
        (false, _) => "mail was stuck at a further address".to_owned(),
        (true, 0) => "it was proposed in dry run".to_owned(),
        (true, 1) => "1 stuck attempt".to_owned(),
        (true, stuck) => format!("{stuck} stuck attempts within {:#}", weight.span),
    };
    let add = keys.iter().map(|key| managed(relay, key.clone(), &why, now)).collect();
    let standing = record.standing();
    standing.removing.retain(|key| !keys.contains(key));
    standing.work = Work::Editing { keys, cleared: false };
    let relay = relay.clone().into_owned();
    outcome.effects.push(Effect::Edit(Edit { relay, add, remove: Vec::new() }));
}

/// What the never-list says against the relay or one of its addresses.
fn never(
    state: &State,
    relay: &Relay<'_>,
    mut addresses: impl Iterator<Item = IpAddr>,
) -> Option<Hold> {
    let never = &state.rules.never;
    let item = never
        .covers_relay(relay)
        .or_else(|| addresses.find_map(|address| never.covers_address(address)))?;
    Some(Hold::Never(item.clone()))
}

/// An entry of ours, from now on.
pub(crate) fn managed(relay: &Relay<'_>, key: Key, why: &str, now: Timestamp) -> Managed {
    let since = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Managed { key, relay: relay.as_str().into(), why: why.to_owned(), since, until: None }
}

pub(crate) fn hold_back(state: &mut State, relay: &Relay<'_>, hold: Hold, outcome: &mut Outcome) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let standing = record.standing();
    standing.work = Work::Held(hold.clone());
    if standing.told.replace(hold.clone()).is_some_and(|told| told.is_like(&hold)) {
        return;
    }
    outcome.changes.push(Change::Held(relay.clone().into_owned(), hold));
}

/// A hold-off that has ended is forgotten: the record may leave like any other.
fn end_hold_offs(state: &mut State, now: Timestamp) {
    for relay in relays(state, |record| record.has_hold_off() && !record.is_lifted(now)) {
        if let Some(standing) =
            state.relays.get_mut(relay.as_str()).and_then(Record::standing_if_any)
        {
            standing.lifted_until = None;
        }
    }
}

/// What dry run has shown goes through the guards again.
fn arm(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    let proposed = |record: &mut Record| {
        record.standing().proposed.clear();
        true
    };
    reconsider(state, now, outcome, |record| !record.proposed().is_empty(), proposed);
}

/// What failed for the map's sake is tried again, if there is still enough against the relay.
fn retry(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    let rules = state.rules.clone();
    let again = |record: &mut Record| {
        record.standing().work = Work::Idle;
        record.is_decided() || record.evidence.weigh(&rules, now).enough
    };
    let failed = |record: &Record| matches!(record.hold(), Some(Hold::MapFailed(_)));
    reconsider(state, now, outcome, failed, again);
}

/// Considers once more the relays that fit, if `again` says so.
fn reconsider(
    state: &mut State,
    now: Timestamp,
    outcome: &mut Outcome,
    fits: impl Fn(&Record) -> bool,
    again: impl Fn(&mut Record) -> bool,
) {
    for relay in relays(state, fits) {
        let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
        if !again(record) {
            continue;
        }
        let addresses =
            if record.is_decided() { record.uncovered() } else { record.evidence.addresses() };
        if record.is_decided() && addresses.is_empty() {
            continue;
        }
        consider(state, &relay, &addresses, now, outcome);
    }
}

/// The log has been read up to its end: what was gathered is judged. That takes up again what was under way when the
/// last process ended, too.
fn resume(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    state.live = true;
    for relay in relays(state, |record| !record.evidence.is_empty() && record.is_open(now)) {
        weigh(state, &relay, now, outcome);
    }
}

/// The relays whose records fit, by name.
pub(crate) fn relays(state: &State, fits: impl Fn(&Record) -> bool) -> Vec<Relay<'static>> {
    let mut relays: Vec<Relay<'static>> = state
        .relays
        .iter()
        .filter(|(_, record)| fits(record))
        .filter_map(|(relay, _)| Relay::parse(relay.as_bytes()).map(Relay::into_owned))
        .collect();
    relays.sort_unstable();
    relays
}
