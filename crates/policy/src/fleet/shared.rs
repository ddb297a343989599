//! Entries that all share: what others wrote, and what others took out.
//!
//! The directory is the truth of what is in force, and its entry of when that ends. What another MTA wrote acts here too, so it
//! is looked after here. What is gone was taken out by the fleet: the relay is on probation, and no hold-off follows. An
//! operator's word is told from that by a row of its own ([`Says::Lifted`]), which every MTA takes up; so it outlives the MTA
//! that it was given to. Whoever deletes an object of the directory by hand says nothing of that kind.
//!
//! A look may come from a replica that lags behind. For some minutes after our own change of a relay's entries it is not believed
//! where it says otherwise.

use std::collections::{BTreeMap, HashMap, HashSet};

use access::managed::Managed;
use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::relay::Relay;

use super::{Fleet, Says};
use crate::candidate::relays;
use crate::input::{Change, Ending, Look};
use crate::map::{close, in_force, lift, take_out};
use crate::moment::seconds;
use crate::record::{Record, Work};
use crate::state::State;
use crate::step::Outcome;

/// A replica lags behind by so long at most, in seconds.
const LAG: u32 = 300;

/// A new end that is later by more is another term, in seconds: two MTAs may renew it within minutes.
const TERM: u32 = 3600;

/// Whether a look is believed about the relay: we have not changed its entries just before.
pub(crate) fn is_settled(record: &Record, now: Timestamp) -> bool {
    // A clock that was set back must not put it off.
    seconds(now).abs_diff(record.touched()) >= LAG
}

/// These entries are gone, and we did not take them out.
pub(crate) fn gone(
    state: &mut State,
    relay: Relay<'static>,
    keys: Vec<Tagged>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if record.active().is_empty() {
        close(record, Ending::Fleet, now);
    }
    outcome.changes.push(Change::Over(relay, keys, Ending::Fleet));
}

/// What others wrote is in force from now on, and ends when the directory says.
pub(crate) fn follow(state: &mut State, look: &Look, now: Timestamp, outcome: &mut Outcome) {
    let known = |record: &Record| [record.active(), record.editing(), record.removing()].concat();
    let known: HashSet<Tagged> = state.relays.iter().flat_map(|(_, r)| known(r)).collect();
    let mut new: BTreeMap<&str, Vec<&Managed>> = BTreeMap::new();
    for entry in look.ours.iter().filter(|entry| !known.contains(&entry.tagged())) {
        new.entry(&*entry.relay).or_default().push(entry);
    }
    for (relay, entries) in new {
        // Foreign text: one that is no relay's was not written by trytlsd.
        if let Some(relay) = Relay::parse(relay.as_bytes()) {
            join(state, relay.into_owned(), &entries, now, outcome);
        }
    }
    let until = |entry: &Managed| entry.until.map_or(u32::MAX, seconds);
    let ends: HashMap<Tagged, u32> =
        look.ours.iter().map(|entry| (entry.tagged(), until(entry))).collect();
    for relay in relays(state, |record| !record.active().is_empty()) {
        keep_time(state, relay, &ends, now, outcome);
    }
    forget_removed(state, &ends, now);
}

/// Another MTA wrote these for the relay. One that an operator had lifted here goes again.
fn join(
    state: &mut State,
    relay: Relay<'static>,
    entries: &[&Managed],
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let record = state.relays.get_or_insert_with(relay.as_str(), Record::default);
    record.last_seen = record.last_seen.max(seconds(now));
    let settled = is_settled(record, now);
    let touched = record.touched();
    let entries: Vec<&&Managed> =
        entries.iter().filter(|entry| settled || seconds(entry.since) > touched).collect();
    let keys: Vec<Tagged> = entries.iter().map(|entry| entry.tagged()).collect();
    if keys.is_empty() {
        return;
    }
    if record.is_lifted(now) {
        return take_out(state, relay, keys, outcome);
    }
    // sendmail is asked about it only where mail waits for it: each proof is a process, and a new MTA meets all entries.
    let waiting = record.queue().is_some();
    let before = outcome.effects.len();
    in_force(record, &state.rules, relay.clone(), keys, Change::Joined, now, outcome);
    if !waiting {
        outcome.effects.truncate(before);
    }
    if record.uncovered().is_empty() && matches!(record.work(), Work::Asking(_) | Work::Held(_)) {
        record.standing().work = Work::Idle;
    }
    entries.iter().for_each(|entry| state.note_made(entry.since));
}

/// Its entries end when the directory says.
fn keep_time(
    state: &mut State,
    relay: Relay<'static>,
    ends: &HashMap<Tagged, u32>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.record(relay.as_str()) else { return };
    let Some(before) = record.life().map(|life| life.until) else { return };
    let until = record.active().iter().filter_map(|key| ends.get(key)).max().copied();
    let editing = matches!(record.work(), Work::Editing { .. });
    let Some(until) = until.filter(|until| *until != before && !editing) else { return };
    let is_term = before <= seconds(now) && until > before.saturating_add(TERM);
    if !is_settled(record, now) && until < before {
        return; // As it was before we renewed it.
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let keys = record.active().to_vec();
    if let Some(life) = record.life_mut() {
        life.set_end(until, seconds(now));
    }
    if !is_term {
        return;
    }
    if matches!(record.work(), Work::Renewing(_) | Work::Held(_)) {
        (record.standing().work, record.standing().told) = (Work::Idle, None);
    }
    outcome.changes.push(Change::Renewed(relay, keys, until));
}

/// What was to be taken out is not there any more, whoever did it.
fn forget_removed(state: &mut State, there: &HashMap<Tagged, u32>, now: Timestamp) {
    let is_gone = |record: &Record| {
        is_settled(record, now) && record.removing().iter().any(|key| !there.contains_key(key))
    };
    for relay in relays(state, is_gone) {
        if let Some(record) = state.relays.get_mut(relay.as_str()) {
            record.standing().removing.retain(|key| there.contains_key(key));
        }
    }
}

/// An operator has said on another MTA that a relay gets no entry: that holds here too, unless the later word was given here.
pub(super) fn hear_lifted(state: &mut State, fleet: &Fleet, now: Timestamp, outcome: &mut Outcome) {
    let second = seconds(now);
    let mut lifted: Vec<(Relay<'static>, u32)> = Vec::new();
    for relay in state.ballot.relays() {
        for row in state.ballot.others(fleet, relay, second) {
            let Says::Lifted { until } = *row.says else { continue };
            let record = state.record(relay);
            let at = second.saturating_sub(row.seen);
            let is_known = record.and_then(Record::lifted_until).is_some_and(|own| own >= until);
            let overruled =
                record.and_then(|record| record.approval(now)).is_some_and(|own| own.at > at);
            if until > second
                && !is_known
                && !overruled
                && let Some(relay) = Relay::parse(relay.as_bytes())
            {
                lifted.push((relay.into_owned(), until));
            }
        }
    }
    for (relay, until) in lifted {
        let record = state.relays.get_or_insert_with(relay.as_str(), Record::default);
        record.last_seen = record.last_seen.max(second);
        let standing = record.standing();
        standing.proposed.clear();
        let keys = std::mem::take(&mut standing.active);
        lift(state, relay.clone(), keys.clone(), until, now, outcome);
        take_out(state, relay, keys, outcome);
    }
}
