//! Probes: when the heart wants one, and what it makes of the answer.
//!
//! Of a relay with entries in force it keeps them alive or ends them (`life`); of one that has just failed for the first
//! time it counts as an attempt, or clears (`probes`).

use std::net::IpAddr;

use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::event::End;
use maillog::relay::Relay;

use crate::candidate::{self, relays};
use crate::evidence::Strength;
use crate::fleet;
use crate::guard::off_limits;
use crate::input::{Change, Effect, Ending};
use crate::life::{Life, Next, Probed};
use crate::map;
use crate::moment::seconds;
use crate::probes::{MOST, Probes};
use crate::record::{Record, Work};
use crate::renewal;
use crate::state::State;
use crate::step::Outcome;
use crate::withdraw;

/// A gap between two ticks that no pause of the host explains, in seconds: a week.
const JUMP: i64 = 7 * 86_400;

/// A relay has failed: it is probed a few times over some minutes, if that can shorten the wait.
pub(crate) fn begin(state: &mut State, relay: &Relay<'_>, strength: Strength, now: Timestamp) {
    if !state.rules.probe || state.is_halted() {
        return;
    }
    let failures = state.rules.failures;
    let Some(record) = state.relays.get(relay.as_str()) else { return };
    let waits = record.is_decided() || record.probes().is_some() || !record.is_open(now);
    if waits || off_limits(state, relay, now).is_some() {
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
    if !state.live || state.is_halted() {
        return;
    }
    for relay in relays(state, |record| !record.active().is_empty()) {
        tend(state, &relay, now, outcome);
    }
    for relay in relays(state, |record| record.probes().is_some()) {
        go_on(state, relay, now, outcome);
    }
}

/// Goes on with the probes of a relay that failed lately.
fn go_on(state: &mut State, relay: Relay<'static>, now: Timestamp, outcome: &mut Outcome) {
    let second = seconds(now);
    let forbidden = off_limits(state, &relay, now).is_some();
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let addresses = record.evidence.addresses();
    let standing = record.standing();
    let Some(probes) = &mut standing.probes else { return };
    if forbidden || probes.are_over_since(second) {
        standing.probes = None;
    } else if probes.is_due(second) {
        probes.start(second);
        outcome.effects.push(Effect::Probe(relay, addresses, second));
    }
}

/// Ticks come each few seconds. Where the clock says that weeks lie between two of them it was set, and no entry has become
/// unused by that.
pub(crate) fn set_clock(state: &mut State, now: Timestamp) {
    let second = seconds(now);
    let before = std::mem::replace(&mut state.ticked, second);
    let gap = i64::from(second) - i64::from(before);
    if before == 0 || gap.abs() < JUMP {
        return;
    }
    state.adoptions.shift(gap);
    for relay in relays(state, |record| record.life().is_some() || record.was_on_probation()) {
        let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
        let standing = record.standing();
        if let Some(life) = &mut standing.life {
            life.shift(gap);
        }
        if let Some(probation) = &mut standing.probation {
            probation.shift(gap);
        }
    }
}

/// Looks after the entries of one relay. One that has come onto the never-list has none any more.
fn tend(state: &mut State, relay: &Relay<'static>, now: Timestamp, outcome: &mut Outcome) {
    if let Some(hold) = off_limits(state, relay, now).filter(|hold| !hold.is_unknown()) {
        return withdraw::withdraw(state, relay, hold, now, outcome);
    }
    let second = seconds(now);
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let rules = &state.rules.life.of(record.remedy(&state.rules));
    if !record.proposed().is_empty() || matches!(record.work(), Work::Editing { .. }) {
        return;
    }
    let addresses = addresses(record.active());
    let begin = || Box::new(Life::begin(rules, relay.as_str(), None, second));
    let life = record.standing().life.get_or_insert_with(begin);
    if state.rules.fleet.is_none() && life.is_unused(rules, second) {
        return map::over(state, relay, Ending::Unused, now, outcome);
    }
    if life.is_due(second) {
        life.probing(second);
        outcome.effects.push(Effect::Probe(relay.clone(), addresses, second));
    }
}

/// Where the entries act; nowhere in particular if one is by name.
pub(crate) fn addresses(keys: &[Tagged]) -> Vec<IpAddr> {
    keys.iter().map(Tagged::address).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// What the probe found that began then. One that is not waited for any more says nothing: what it found may be long ago;
/// nor does one that had begun before a halt.
pub(crate) fn on_probed(
    state: &mut State,
    relay: &Relay<'static>,
    began: u32,
    probed: Probed,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    if state.is_halted() {
        return;
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if record.active().is_empty() {
        return count(state, relay, began, &probed, now, outcome);
    }
    let rules = &state.rules.life.of(record.remedy(&state.rules));
    let Some(life) = record.life_mut().filter(|life| life.awaits(began)) else { return };
    let next = life.probed(rules, relay.as_str(), probed.clone(), seconds(now));
    outcome.changes.push(Change::Probed(relay.clone(), probed));
    match next {
        Next::Stay => {}
        next if state.rules.fleet.is_some() => fleet::on_next(state, relay, next, now),
        Next::Renew => renewal::begin(state, relay, now, outcome),
        Next::Lift => map::over(state, relay, Ending::Mended, now, outcome),
        Next::Drop => map::over(state, relay, Ending::Unreachable, now, outcome),
        Next::Quiet => map::over(state, relay, Ending::Quiet, now, outcome),
    }
}

/// A probe of a relay that failed lately: one that failed as it did counts as an attempt, one that worked clears.
fn count(
    state: &mut State,
    relay: &Relay<'static>,
    began: u32,
    probed: &Probed,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let probes = record.standing_if_any().and_then(|standing| standing.probes.as_mut());
    let Some(probes) = probes.filter(|probes| probes.awaits(began)) else { return };
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
