//! What is learnt of the map: what became of an edit, what sendmail says of it, and what others did to the file.
//!
//! The file is the truth of what is in force. When it is not as we left it, the question is who did it and what he
//! meant:
//!
//! - the block is there, without an entry of ours: somebody took it out, so it is lifted and stays out for the hold-off;
//! - the admin has a line of his own for the key: his replaces ours;
//! - the block is gone and nothing else changed: all was lifted by hand;
//! - the block is gone and the rest was rewritten too: configuration management did it, without meaning us. The block is
//!   put back, not more often than the rules allow.
//!
//! In a fleet the map is a directory that all its MTAs write into, so an entry that is gone means something else
//! ([`fleet::gone`]), and one that we did not write is in force as well ([`fleet::follow`]).

use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::relay::Relay;

use crate::candidate::{self, hold_back, relays};
use crate::fact::Answer;
use crate::fleet;
use crate::guard::{Guard, against_return};
use crate::halt;
use crate::hold::Hold;
use crate::input::{Change, Edit, Effect, Ending, Look, MapState, Proof};
use crate::life::Life;
use crate::moment::seconds;
use crate::probation::Probation;
use crate::record::{Record, Work};
use crate::remedy::RelayRemedy;
use crate::rules::Rules;
use crate::state::State;
use crate::step::{Outcome, managed};
use crate::withdraw::{withdraw, withdraw_if_required, withdraw_required};

pub(crate) fn on_map(state: &mut State, map: MapState, now: Timestamp, outcome: &mut Outcome) {
    match map {
        MapState::Loaded(look) => {
            state.admin = Answer::Known(look.admins.clone());
            compare(state, &look, now, outcome);
            settle_all(state, &look, now, outcome);
            if state.rules.fleet.is_some() {
                // What was to go when all was disarmed has gone, or is on its way. What others wrote since is theirs.
                fleet::follow(state, &look, now, outcome);
            } else {
                adopt(state, look);
                if state.is_disarmed() {
                    halt::take_all_out(state, now, outcome);
                }
            }
            withdraw_required(state, now, outcome);
            put_back(state, now, outcome);
        }
        MapState::Seen(look) => {
            state.admin = Answer::Known(look.admins.clone());
            compare(state, &look, now, outcome);
            if state.rules.fleet.is_some() {
                fleet::follow(state, &look, now, outcome);
            }
            withdraw_required(state, now, outcome);
            put_back(state, now, outcome);
            try_again(state, now, outcome);
        }
        MapState::Written(relay, keys) => written(state, relay, keys, now, outcome),
        MapState::Removed(relay, keys) => {
            let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
            if let Some(standing) = record.standing_if_any() {
                standing.removing.retain(|key| !keys.contains(key));
                standing.touched = seconds(now);
            }
        }
        MapState::Withheld(relay, keys) => {
            let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
            settle(record, &keys);
            let standing = record.standing();
            // What is in force and should have been renewed stays as it is.
            let new: Vec<Tagged> =
                keys.into_iter().filter(|key| !standing.active.contains(key)).collect();
            if new.is_empty() {
                return;
            }
            standing.begin(now);
            standing.proposed.extend(new.iter().cloned());
            outcome.changes.push(Change::Proposed(relay, new));
        }
        MapState::Contradicted(relay, keys, line) => {
            let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
            settle(record, &keys);
            hold_back(state, &relay, Hold::Admins(line), now, outcome);
        }
        MapState::Overtaken(relay, keys) => {
            let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
            if settle(record, &keys) {
                return weigh_anew(state, &relay, now, outcome); // TLS worked meanwhile.
            }
            let enough = record.weigh(&state.rules, now).enough && record.is_open(now);
            // It was told as a candidate before the edit.
            if (record.is_decided() || enough) && !state.is_halted() {
                candidate::consider_again(state, &relay, now, outcome);
            }
        }
        MapState::Failed(relay, keys, why) => {
            let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
            if !keys.iter().any(|key| record.editing().contains(key)) {
                return; // It was to be taken out: tried again within the minute.
            }
            if settle(record, &keys) {
                return; // TLS worked meanwhile: nothing is wanted any more.
            }
            hold_back(state, &relay, Hold::MapFailed(why), now, outcome);
        }
    }
}

/// What others wrote may speak against the relay. It is known by now: the guards are asked again, unless TLS worked
/// meanwhile and nothing is wanted any more.
fn weigh_anew(state: &mut State, relay: &Relay<'_>, now: Timestamp, outcome: &mut Outcome) {
    let Some(record) = state.record(relay.as_str()) else { return };
    if record.is_decided() || (!record.evidence.is_empty() && record.is_open(now)) {
        candidate::weigh(state, relay, now, outcome);
    }
}

fn written(
    state: &mut State,
    relay: Relay<'static>,
    keys: Vec<Tagged>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    record.standing().touched = seconds(now);
    if settle(record, &keys) {
        // TLS worked meanwhile, or one of them was lifted by hand: what was written is taken out again.
        record.standing().wiped.retain(|key| !keys.contains(key));
        take_out(state, relay.clone(), keys, outcome);
        return weigh_anew(state, &relay, now, outcome);
    }
    if keys.iter().any(|key| record.wiped().contains(key)) {
        state.put_back = Some(now);
    }
    let made = in_force(record, &state.rules, relay.clone(), keys, Change::Active, now, outcome);
    (0..made).for_each(|_| state.note_made(now));
    withdraw_if_required(state, &relay, now, outcome);
}

/// After others changed the file: what was held for its sake is considered again.
fn try_again(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    if !state.live {
        return;
    }
    let reads = |record: &Record| {
        let held = record.hold().and_then(Hold::guard);
        matches!(held, Some(Guard::AdminTryTls | Guard::TlsRcpt | Guard::TlsSrv))
    };
    for relay in relays(state, |record| reads(record) && !record.is_lifted(now)) {
        candidate::weigh(state, &relay, now, outcome);
    }
}

/// The keys are in file and map; `tell` tells of those that are new. How many these are.
pub(crate) fn in_force(
    record: &mut Record,
    rules: &Rules,
    relay: Relay<'static>,
    keys: Vec<Tagged>,
    tell: fn(Relay<'static>, Vec<Tagged>) -> Change,
    now: Timestamp,
    outcome: &mut Outcome,
) -> usize {
    let remedy = keys.iter().find_map(RelayRemedy::of).unwrap_or_default();
    let rules = rules.life.of(remedy);
    let standing = record.standing();
    standing.begin(now);
    standing.told = None;
    standing.proposed.retain(|key| !keys.contains(key));
    let (back, new): (Vec<Tagged>, Vec<Tagged>) =
        keys.iter().cloned().partition(|key| standing.wiped.contains(key));
    standing.wiped.retain(|key| !keys.contains(key));
    let new: Vec<Tagged> = new.into_iter().filter(|key| !standing.active.contains(key)).collect();
    let unknown = keys.iter().filter(|key| !standing.active.contains(key)).cloned();
    let unknown: Vec<Tagged> = unknown.collect();
    standing.active.extend(unknown);
    let relapse = standing.probation.take().map(|probation| probation.interval);
    let begin = || Box::new(Life::begin(&rules, relay.as_str(), relapse, seconds(now)));
    let life = standing.life.get_or_insert_with(begin);
    standing.probes = None;
    if let Some(waits) = &mut standing.waits {
        waits.keys.retain(|key| !keys.contains(key));
    }
    standing.waits = standing.waits.take().filter(|waits| !waits.keys.is_empty());
    if back.is_empty() && new.is_empty() {
        // Sendmail finds what it found before.
        life.renew(&rules, relay.as_str(), seconds(now));
        outcome.changes.push(Change::Renewed(relay, keys, life.until));
        return 0;
    }
    // A name has its effect whatever the address.
    let at = keys.iter().map(Tagged::address).collect();
    let made = new.len();
    if !back.is_empty() {
        outcome.changes.push(Change::PutBack(relay.clone(), back));
    }
    if !new.is_empty() {
        outcome.changes.push(tell(relay.clone(), new));
    }
    outcome.effects.push(Effect::Prove(relay, remedy, at));
    made
}

/// Nobody needs the entries of the relay any more: they are taken out, and so is what is being written for it. A peer that
/// was mended is on probation.
pub(crate) fn over(
    state: &mut State,
    relay: &Relay<'_>,
    ending: Ending,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let keys = std::mem::take(&mut record.standing().active);
    close(record, ending, now);
    let relay = relay.clone().into_owned();
    outcome.changes.push(Change::Over(relay.clone(), keys.clone(), ending));
    take_out(state, relay, keys, outcome);
}

/// The entries of the relay are no more.
pub(crate) fn close(record: &mut Record, ending: Ending, now: Timestamp) {
    record.clear_evidence();
    let standing = record.standing();
    standing.wiped.clear();
    (standing.since, standing.told) = (0, None);
    standing.abandon();
    let may_return = match ending {
        Ending::Mended | Ending::Quiet | Ending::NoFallback | Ending::Fleet => true,
        Ending::Unused | Ending::Unreachable | Ending::Disarmed | Ending::NotRenewed => false,
    };
    let life = standing.life.take().filter(|_| may_return);
    standing.probation = life.map(|life| Probation::begin(life.doubled(), seconds(now)));
}

/// An operator has the relay's entries taken out, and there are to be none until then, in seconds since 1970; for as long as
/// the rules say if he does not.
pub(crate) fn lift_on_word(
    state: &mut State,
    relay: &Relay<'static>,
    until: Option<u32>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let record = state.relays.get_or_insert_with(relay.as_str(), Record::default);
    record.last_seen = record.last_seen.max(seconds(now));
    let standing = record.standing();
    standing.proposed.clear();
    standing.wiped.clear();
    let keys = std::mem::take(&mut standing.active);
    let until = until.unwrap_or_else(|| state.rules.hold_off_until(now));
    lift(state, relay.clone(), keys.clone(), until, now, outcome);
    if let Some(record) = state.relays.get_mut(relay.as_str()) {
        record.standing().lifted_here = Some((until, seconds(now)));
    }
    take_out(state, relay.clone(), keys, outcome);
}

/// The keys are to be taken out of the file, but for those that another relay has as well. That is remembered until it
/// is answered. One that is being written for another relay waits: it is known within the minute whether it was.
pub(crate) fn take_out(
    state: &mut State,
    relay: Relay<'static>,
    mut keys: Vec<Tagged>,
    outcome: &mut Outcome,
) {
    keys.retain(|key| !others(state, &relay, key, Record::active));
    let wanted = |key: &Tagged| others(state, &relay, key, Record::editing);
    let (later, now): (Vec<Tagged>, Vec<Tagged>) = keys.iter().cloned().partition(wanted);
    let Some(record) = state.relays.get_mut(relay.as_str()).filter(|_| !keys.is_empty()) else {
        return;
    };
    let removing = &mut record.standing().removing;
    let new = keys.iter().filter(|key| !removing.contains(key)).cloned();
    removing.extend(new.collect::<Vec<_>>());
    if later.len() < keys.len() {
        outcome.effects.push(Effect::Edit(Edit { relay, add: Vec::new(), remove: now }));
    }
}

/// Whether another relay has the key among these of its own.
fn others(
    state: &State,
    relay: &Relay<'_>,
    key: &Tagged,
    of: impl Fn(&Record) -> &[Tagged],
) -> bool {
    let mut others = state.relays.iter().filter(|(other, _)| *other != relay.as_str());
    others.any(|(_, record)| of(record).contains(key))
}

/// What could not be taken out, or was not answered, is asked for again. To take out what is gone does nothing.
pub(crate) fn remove_again(state: &mut State, outcome: &mut Outcome) {
    for relay in relays(state, |record| !record.removing().is_empty()) {
        let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
        let keys = std::mem::take(&mut record.standing().removing);
        take_out(state, relay, keys, outcome);
    }
}

/// The writing of these keys is answered. Whether TLS worked meanwhile.
fn settle(record: &mut Record, answered: &[Tagged]) -> bool {
    let Some(standing) = record.standing_if_any() else { return false };
    let Work::Editing { keys, cleared } = &mut standing.work else { return false };
    keys.retain(|key| !answered.contains(key));
    let cleared = *cleared;
    if keys.is_empty() {
        standing.work = Work::Idle;
    }
    cleared
}

/// At the start: what became of edits that were under way, by what the file says. Keys that are in it were written;
/// where TLS worked meanwhile they are to be taken out. Keys that are not in it never were, or have been taken out.
fn settle_all(state: &mut State, look: &Look, now: Timestamp, outcome: &mut Outcome) {
    let is_there = |key: &Tagged| look.ours.iter().any(|entry| entry.tagged() == *key);
    let under_way = |record: &Record| !record.removing().is_empty() || !record.editing().is_empty();
    for relay in relays(state, under_way) {
        let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
        let standing = record.standing();
        let mut remove = std::mem::take(&mut standing.removing);
        let mut written = Vec::new();
        match std::mem::take(&mut standing.work) {
            Work::Editing { keys, cleared: true } => remove.extend(keys),
            Work::Editing { keys, cleared: false } => written = keys,
            other => standing.work = other,
        }
        remove.retain(is_there);
        written.retain(is_there);
        if !written.is_empty() {
            in_force(record, &state.rules, relay.clone(), written, Change::Active, now, outcome);
        }
        take_out(state, relay, remove, outcome);
    }
}

/// At the start: the entries of our block are in force, whether or not the ledger knew; but for those that it knows of
/// another relay, and those on their way out.
fn adopt(state: &mut State, look: Look) {
    for entry in look.ours {
        state.note_made(entry.since);
        let key = entry.tagged();
        let knows =
            |record: &Record| record.active().contains(&key) || record.removing().contains(&key);
        if state.relays.iter().any(|(_, record)| knows(record)) {
            continue;
        }
        let record = state.relays.get_or_insert_with(&entry.relay, Record::default);
        record.last_seen = record.last_seen.max(seconds(entry.since));
        let standing = record.standing();
        standing.begin(entry.since);
        standing.active.push(key);
    }
}

/// Compares the file with what should be in force.
fn compare(state: &mut State, look: &Look, now: Timestamp, outcome: &mut Outcome) {
    reopen(state);
    let rewritten = !look.block && look.rest_changed;
    let ours = |key: &Tagged| look.ours.iter().any(|entry| entry.tagged() == *key);
    let shared = state.rules.fleet.is_some();
    let is_believed = |record: &Record| !shared || fleet::is_settled(record, now);
    let ours_to_be = |record: &Record| {
        (!record.active().is_empty() || !record.wiped().is_empty()) && is_believed(record)
    };
    for relay in relays(state, ours_to_be) {
        let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
        let standing = record.standing();
        if shared {
            standing.wiped.clear(); // From a map of its own, before it joined.
        }
        let known = [&standing.active[..], &standing.wiped[..]].concat();
        let (replaced, rest): (Vec<Tagged>, Vec<Tagged>) =
            known.into_iter().partition(|key| look.admins.exact(key).is_some());
        let there = rest.iter().filter(|key| ours(key)).cloned().collect();
        let missing: Vec<Tagged> =
            standing.active.iter().filter(|key| !ours(key)).cloned().collect();
        let missing: Vec<Tagged> = missing.into_iter().filter(|key| rest.contains(key)).collect();
        // What was wiped away and is still gone goes on waiting.
        standing.wiped.retain(|key| rest.contains(key) && !ours(key));
        standing.active = there;
        if rewritten {
            standing.wiped.extend(missing.iter().cloned());
        }
        if !replaced.is_empty() {
            outcome.changes.push(Change::Replaced(relay.clone(), replaced.clone()));
        }
        if !missing.is_empty() && rewritten {
            outcome.changes.push(Change::Wiped(relay.clone(), missing));
        } else if !missing.is_empty() && shared {
            fleet::gone(state, relay.clone(), missing, now, outcome);
        } else if !missing.is_empty() {
            let until = state.rules.hold_off_until(now);
            lift(state, relay.clone(), missing, until, now, outcome);
        }
        take_out(state, relay, replaced.into_iter().filter(ours).collect(), outcome);
    }
}

/// The admin changed something: an entry of his that stood in the way may be gone.
fn reopen(state: &mut State) {
    for relay in relays(state, |record| matches!(record.hold(), Some(Hold::Admins(_)))) {
        if let Some(record) = state.relays.get_mut(relay.as_str()) {
            record.standing().work = Work::Idle;
        }
    }
}

/// Somebody took the entries out: they stay out until then, in seconds since 1970. What is being written for the relay is taken out again.
pub(crate) fn lift(
    state: &mut State,
    relay: Relay<'static>,
    keys: Vec<Tagged>,
    until: u32,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    record.clear_evidence();
    let standing = record.standing();
    standing.approved = None; // The later word stands.
    (standing.since, standing.lifted_at) = (0, seconds(now));
    (standing.life, standing.probation) = (None, None);
    standing.lifted_until = Some(until);
    standing.abandon();
    outcome.changes.push(Change::Lifted(relay, keys, until));
}

/// Puts back what others wiped away without meaning us, not more often than the rules allow.
pub(crate) fn put_back(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    // A directory is wiped by nobody but an operator.
    if state.is_halted() || !state.may_put_back(now) || state.rules.fleet.is_some() {
        return;
    }
    let waits = |record: &Record| {
        let idle = !matches!(record.work(), Work::Editing { .. });
        idle && record.wiped().iter().any(|key| !record.proposed().contains(key))
    };
    for relay in relays(state, waits) {
        if let Some(hold) = against_return(state, &relay, now) {
            withdraw(state, &relay, hold, now, outcome);
            continue;
        }
        let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
        let keys = record.wiped().to_vec();
        let why = "put back after others rewrote the file";
        let add =
            keys.iter().map(|key| managed(&state.rules, &relay, key.clone(), why, now)).collect();
        record.standing().work = Work::Editing { keys, cleared: false };
        outcome.effects.push(Effect::Edit(Edit { relay, add, remove: Vec::new() }));
    }
}

pub(crate) fn on_proof(
    state: &mut State,
    relay: Relay<'static>,
    proof: Proof,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    outcome.changes.push(Change::Proven(relay.clone(), proof.clone()));
    let Proof::Refuted(said) = proof else {
        return flush(state, relay, &proof, outcome);
    };
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if record.active().is_empty() {
        return; // It was asked about an entry that is gone by now.
    }
    if state.rules.fleet.is_some() {
        return; // It is for others too; that our sendmail does not find it may be our own fault.
    }
    let remove = std::mem::take(&mut record.standing().active);
    take_out(state, relay.clone(), remove, outcome);
    hold_back(state, &relay, Hold::Refuted(said), now, outcome);
}

/// What was stuck need not wait for the queue, once sendmail acts on the entry.
fn flush(state: &mut State, relay: Relay<'static>, proof: &Proof, outcome: &mut Outcome) {
    if *proof == Proof::NotYet {
        return; // Others build the map, later.
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if record.active().is_empty() {
        return;
    }
    let ids = record.take_messages();
    if !ids.is_empty() {
        outcome.effects.push(Effect::Flush(relay, ids));
    }
}
