//! Probes: when the heart wants one, and what it makes of the answer.
//!
//! Of a relay with entries in force it keeps them alive or ends them (`life`); of one that has just failed for the first
//! time it counts as an attempt, or clears (`probes`).

use std::net::IpAddr;

use access::key::Key;
use jiff::Timestamp;
use maillog::event::End;
use maillog::relay::Relay;

use crate::candidate::{self, relays};
use crate::evidence::Strength;
use crate::guard::{against_return, is_off_limits};
use crate::input::{Change, Edit, Effect, Ending};
use crate::life::{Life, Next, Probed};
use crate::map;
use crate::moment::seconds;
use crate::probes::{MOST, Probes};
use crate::record::{Record, Work};
use crate::state::State;
use crate::step::{Outcome, managed};
use crate::withdraw;

/// A gap between two ticks that no pause of the host explains, in seconds: a week.
const JUMP: i64 = 7 * 86_400;

/// A relay has failed: it is probed a few times over some minutes, if that can shorten the wait.
pub(crate) fn begin(state: &mut State, relay: &Relay<'_>, strength: Strength, now: Timestamp) {
    if !state.rules.probe {
        return;
    }
    let failures = state.rules.failures;
    let Some(record) = state.relays.get(relay.as_str()) else { return };
    let waits = record.is_decided() || record.probes().is_some() || !record.is_open(now);
    if waits || is_off_limits(state, relay, now) {
        return;
    }
    if state.relays.iter().filter(|(_, other)| other.probes().is_some()).count() >= MOST {
        return;
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let probes = Probes::begin(strength == Strength::Strong, failures, seconds(now));
    record.standing().probes = Some(probes);
}

/// sendmail used an entry of the relay.
pub(crate) fn on_use(state: &mut State, relay: &Relay<'_>, now: Timestamp) {
    if let Some(life) = state.relays.get_mut(relay.as_str()).and_then(Record::life_mut) {
        life.used(seconds(now));
    }
}

/// What became of mail for which an entry was used.
pub(crate) fn on_freed(state: &mut State, relay: &Relay<'_>, end: End) {
    if let Some(life) = state.relays.get_mut(relay.as_str()).and_then(Record::life_mut) {
        life.freed(end);
    }
}

/// Starts the probes that are due, and ends the entries that nobody uses.
pub(crate) fn on_tick(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    set_clock(state, now);
    if !state.live {
        return;
    }
    for relay in relays(state, |record| !record.active().is_empty()) {
        tend(state, &relay, now, outcome);
    }
    let second = seconds(now);
    for relay in relays(state, |record| record.probes().is_some()) {
        let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
        let addresses = record.evidence.addresses();
        let standing = record.standing();
        let Some(probes) = &mut standing.probes else { continue };
        if probes.is_due(second) {
            probes.start();
            outcome.effects.push(Effect::Probe(relay, addresses));
        } else if probes.are_over_since(second) {
            standing.probes = None;
        }
    }
}

/// Ticks come each few seconds. Where the clock says that weeks lie between two of them it was set, and no entry has become
/// unused by that.
fn set_clock(state: &mut State, now: Timestamp) {
    let second = seconds(now);
    let before = std::mem::replace(&mut state.ticked, second);
    let gap = i64::from(second) - i64::from(before);
    if before == 0 || gap.abs() < JUMP {
        return;
    }
    for relay in relays(state, |record| record.life().is_some()) {
        if let Some(life) = state.relays.get_mut(relay.as_str()).and_then(Record::life_mut) {
            life.shift(gap);
        }
    }
}

/// Looks after the entries of one relay.
fn tend(state: &mut State, relay: &Relay<'static>, now: Timestamp, outcome: &mut Outcome) {
    let rules = &state.rules.life;
    let second = seconds(now);
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if !record.proposed().is_empty() || matches!(record.work(), Work::Editing { .. }) {
        return;
    }
    let addresses = addresses(record.active());
    let begin = || Box::new(Life::begin(rules, relay.as_str(), None, second));
    let life = record.standing().life.get_or_insert_with(begin);
    if life.is_unused(rules, second) {
        return map::over(state, relay, Ending::Unused, now, outcome);
    }
    if life.is_due(second) {
        life.probing(second);
        outcome.effects.push(Effect::Probe(relay.clone(), addresses));
    }
}

/// Where the entries act; nowhere in particular if one is by name.
fn addresses(keys: &[Key]) -> Vec<IpAddr> {
    keys.iter().map(Key::address).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// What a probe found.
pub(crate) fn on_probed(
    state: &mut State,
    relay: &Relay<'static>,
    probed: Probed,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if record.active().is_empty() {
        return count(state, relay, &probed, now, outcome);
    }
    let rules = &state.rules.life;
    let Some(life) = record.life_mut() else { return };
    let next = life.probed(rules, relay.as_str(), probed.clone(), seconds(now));
    outcome.changes.push(Change::Probed(relay.clone(), probed));
    match next {
        Next::Stay => {}
        Next::Renew => renew(state, relay, now, outcome),
        Next::Lift => map::over(state, relay, Ending::Mended, now, outcome),
        Next::Drop => map::over(state, relay, Ending::Unreachable, now, outcome),
    }
}

/// The entries stand for another term, if nothing speaks against them by now: their comments say so.
fn renew(state: &mut State, relay: &Relay<'static>, now: Timestamp, outcome: &mut Outcome) {
    if let Some(hold) = against_return(state, relay, now) {
        return withdraw::withdraw(state, relay, hold, now, outcome);
    }
    let Some(record) = state.relays.get(relay.as_str()) else { return };
    let Some(life) = record.life() else { return };
    let keys = record.active().to_vec();
    let until = life.until;
    let why = "renewed: a probe found it broken";
    let add = keys.iter().map(|key| managed(&state.rules, relay, key.clone(), why, now)).collect();
    outcome.changes.push(Change::Renewed(relay.clone(), keys, until));
    outcome.effects.push(Effect::Edit(Edit { relay: relay.clone(), add, remove: Vec::new() }));
}

/// A probe of a relay that failed lately: one that failed as it did counts as an attempt, one that worked clears.
fn count(
    state: &mut State,
    relay: &Relay<'static>,
    probed: &Probed,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let Some(probes) = record.standing_if_any().and_then(|standing| standing.probes.as_mut())
    else {
        return;
    };
    let same = matches!(probed, Probed::Broken { strong, .. } if *strong == probes.strong());
    probes.answered(same, seconds(now));
    outcome.changes.push(Change::Probed(relay.clone(), probed.clone()));
    if *probed == Probed::Good {
        return clear(record, relay, outcome);
    }
    if same && record.is_open(now) {
        candidate::weigh(state, relay, now, outcome);
    }
}

/// It works: what was counted is void.
fn clear(record: &mut Record, relay: &Relay<'static>, outcome: &mut Outcome) {
    record.clear_evidence();
    let standing = record.standing();
    standing.told = None;
    if matches!(standing.work, Work::Asking(_) | Work::Held(_)) {
        standing.work = Work::Idle;
    }
    outcome.changes.push(Change::Cleared(relay.clone()));
}
