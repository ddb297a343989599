//! A candidate's way: from enough evidence, past the guards, to the keys that are to be written.
//!
//! The guards that need no answer from the network are asked first, so that a relay that is held anyway costs no
//! question. Once all answers are there every guard is asked, for the rules and the log may have moved on meanwhile.

use std::net::IpAddr;

use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::relay::Relay;

use crate::asked::Asked;
use crate::choice;
use crate::fact::Fact;
use crate::fleet;
use crate::guard::{self, Guard};
use crate::hold::Hold;
use crate::input::{Change, Edit, Effect};
use crate::probes::Probes;
use crate::record::{Record, Work};
use crate::renewal;
use crate::rules::KeyMode;
use crate::state::State;
use crate::step::{Outcome, managed};

/// Entries in force, or proposed, for one relay at most. One that comes with ever new addresses is no case for entries by
/// address.
const MOST_KEYS: usize = 64;

/// Goes on with a relay for which nothing is under way, if there is enough against it.
pub(crate) fn weigh(state: &mut State, relay: &Relay<'_>, now: Timestamp, outcome: &mut Outcome) {
    if state.is_halted() {
        return; // When it ends.
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if record.is_decided() {
        let uncovered = record.uncovered();
        if !uncovered.is_empty() {
            consider(state, relay, &uncovered, now, outcome);
        }
        return;
    }
    let weight = record.weigh(&state.rules, now);
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

/// Puts a candidate to the guards that need no answer, then asks for the answers.
fn consider(
    state: &mut State,
    relay: &Relay<'_>,
    addresses: &[IpAddr],
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let record = state.relays.get(relay.as_str());
    let Some(record) = record.filter(|record| !record.is_lifted(now)) else { return };
    let asked = Asked::of(relay, addresses, record.domains());
    if let Some(hold) = guard::against(state, relay, &asked, now) {
        return hold_back(state, relay, hold, now, outcome);
    }
    if asked.is_answered() {
        return decide(state, relay, &asked, now, outcome);
    }
    outcome.effects.extend(asked.open().map(Effect::Ask));
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    record.standing().work = Work::Asking(asked);
}

/// An answer: for each relay that waits for it, and with its last one the decision.
pub(crate) fn on_fact(state: &mut State, fact: &Fact, now: Timestamp, outcome: &mut Outcome) {
    for relay in relays(state, |record| record.waits_for(fact)) {
        let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
        let Some(asked) = record.standing_if_any().and_then(|s| s.work.asked_mut()) else {
            continue;
        };
        outcome.effects.extend(asked.answer(fact).into_iter().map(Effect::Ask));
        if !asked.is_answered() {
            continue;
        }
        match std::mem::take(&mut record.standing().work) {
            Work::Asking(asked) => decide(state, &relay, &asked, now, outcome),
            Work::Renewing(asked) => renewal::decide(state, &relay, &asked, now, outcome),
            Work::Idle | Work::Editing { .. } | Work::Held(_) => {}
        }
    }
}

/// Asks all guards, chooses the keys and has them written.
fn decide(
    state: &mut State,
    relay: &Relay<'_>,
    asked: &Asked,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    if let Some(hold) = guard::against(state, relay, asked, now) {
        return hold_back(state, relay, hold, now, outcome);
    }
    let mut keys = match keys_for(state, relay, asked) {
        Ok(keys) => keys,
        Err(hold) => return hold_back(state, relay, hold, now, outcome),
    };
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    keys.retain(|key| !record.active().contains(key) && !record.proposed().contains(key));
    if keys.is_empty() {
        record.standing().work = Work::Idle;
        return;
    }
    if record.keys().count() + keys.len() > MOST_KEYS {
        return hold_back(state, relay, Hold::TooManyKeys, now, outcome);
    }
    let keys = match fleet::pass(state, relay, keys, now) {
        Ok(keys) => keys,
        Err(hold) => return hold_back(state, relay, hold, now, outcome),
    };
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let weight = record.weigh(&state.rules, now);
    let mut why = match (record.active().is_empty(), weight.stuck) {
        (false, _) => "mail was stuck at a further address".to_owned(),
        (true, 0) => "it was proposed in dry run".to_owned(),
        (true, 1) => "1 stuck attempt".to_owned(),
        (true, stuck) => format!("{stuck} stuck attempts within {:#}", weight.span),
    };
    match record.probes().map_or(0, Probes::failed) {
        0 => {}
        1 => why.push_str(", and 1 probe"),
        failed => why.push_str(&format!(", and {failed} probes")),
    }
    if record.probation(now).is_some() {
        why.push_str(", after its entry was lifted");
    }
    if record.approval(now).is_some() {
        why.push_str(", approved by an operator");
    }
    if let Some(fleet) = &state.rules.fleet {
        why.push_str(&format!(", agreed on by {} or more MTAs", fleet.quorum));
    }
    let add = keys.iter().map(|key| managed(&state.rules, relay, key.clone(), &why, now)).collect();
    let standing = record.standing();
    standing.removing.retain(|key| !keys.contains(key));
    standing.work = Work::Editing { keys, cleared: false };
    let relay = relay.clone().into_owned();
    outcome.effects.push(Effect::Edit(Edit { relay, add, remove: Vec::new() }));
}

/// The entries that would be written for the relay, by what they are known by.
///
/// # Errors
/// The hold that says why none can be.
pub fn keys_for(state: &State, relay: &Relay<'_>, asked: &Asked) -> Result<Vec<Tagged>, Hold> {
    let by_address = |record: &Record| record.keys().any(|key| key.address().is_some());
    let located = asked.located();
    let mode = match state.relays.get(relay.as_str()) {
        Some(record) if by_address(record) && !located.is_empty() => KeyMode::Ip,
        _ => state.rules.key,
    };
    let keys = choice::keys(mode, relay, &located, |name| state.covers_others(name))?;
    let remedy = state.remedy_for(relay);
    Ok(keys.into_iter().map(|key| remedy.entry(key)).collect())
}

pub(crate) fn hold_back(
    state: &mut State,
    relay: &Relay<'_>,
    hold: Hold,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let standing = record.standing();
    standing.work = Work::Held(hold.clone());
    // A guard speaks: the fleet is not told any more that an entry is needed.
    if hold.guard() != Some(Guard::Fleet) && !matches!(hold, Hold::MapFailed(_)) {
        standing.waits = None;
    }
    let limit = matches!(hold, Hold::EntriesLimit(..) | Hold::HourLimit(..));
    let told = standing.told.replace(hold.clone()).is_some_and(|told| told.is_like(&hold));
    if limit {
        state.raise_limit(&hold, now, &mut outcome.changes);
    }
    if !told {
        outcome.changes.push(Change::Held(relay.clone().into_owned(), hold));
    }
}

/// What a passing state of things has held is tried again, if there is still enough against the relay.
pub(crate) fn retry(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    if state.is_halted() {
        return;
    }
    let rules = state.rules.clone();
    let again = |record: &mut Record| {
        let limited = matches!(record.hold(), Some(Hold::EntriesLimit(..) | Hold::HourLimit(..)));
        record.standing().work = Work::Idle;
        // What only a limit held back had passed the threshold, however long ago.
        limited || record.is_decided() || record.weigh(&rules, now).enough
    };
    let own_fault = state.own_fault().is_some();
    let full = state.limit(1, now).is_some();
    let passed = |record: &Record| match record.hold() {
        Some(Hold::MapFailed(_)) => true,
        Some(Hold::OwnFault(_)) => !own_fault,
        Some(Hold::EntriesLimit(..) | Hold::HourLimit(..)) => !full,
        _ => false,
    };
    reconsider(state, now, outcome, passed, again);
}

/// Considers once more the relays that fit, if `again` says so.
pub(crate) fn reconsider(
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
        consider_again(state, &relay, now, outcome);
    }
}

/// Considers the relay once more: what of it is not covered yet.
pub(crate) fn consider_again(
    state: &mut State,
    relay: &Relay<'_>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get(relay.as_str()) else { return };
    let addresses =
        if record.is_decided() { record.uncovered() } else { record.evidence.addresses() };
    if record.is_decided() && addresses.is_empty() {
        return;
    }
    consider(state, relay, &addresses, now, outcome);
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

/// The failing relays that a delivery line may mean by this name, which it may have cut.
pub(crate) fn relays_called(state: &State, logged: &str) -> Vec<Relay<'static>> {
    let mut failing = relays(state, |record| !record.evidence.is_empty());
    failing.retain(|relay| relay.is_logged_as(logged.as_bytes()));
    failing
}
