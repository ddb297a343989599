//! What this MTA has to say, and the writing of it.
//!
//! Of a relay it says one thing, the first of these that is so: an operator lifted it here; a guard of ours forbids it, or TLS
//! with it works, where another MTA wants an entry; its entries are of no use any more; they are broken at the end of their
//! time, or what is needed waits for the others. Nothing is said without need, so the directory has rows of what is at issue.
//!
//! While everything is held (the fault seems ours, an operator has halted us) nothing is said that could turn TLS off, and
//! nothing that takes part in a decision. What objects stays: it only keeps TLS on.

use std::collections::BTreeSet;
use std::net::IpAddr;

use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::relay::Relay;

use super::{Fleet, Says, Vote};
use crate::candidate::relays;
use crate::guard;
use crate::input::Effect;
use crate::moment::{seconds, seconds_of};
use crate::record::Record;
use crate::state::State;
use crate::step::Outcome;

/// What is to be said, and how long ago it was seen, in seconds.
type Word = (Says, u32);

/// Compares what we want to say with our own rows, and has the difference written.
pub(super) fn reconcile(state: &State, fleet: &Fleet, now: Timestamp, outcome: &mut Outcome) {
    let second = seconds(now);
    let has_a_say = |record: &Record| {
        record.waits().is_some() || record.lifted_here(now).is_some() || record.life().is_some()
    };
    let own = state.relays.iter().filter(|(_, record)| has_a_say(record)).map(|(name, _)| name);
    let relays: BTreeSet<&str> = own.chain(state.ballot.relays()).collect();
    for name in relays {
        let Some(relay) = Relay::parse(name.as_bytes()) else { continue };
        let word = word(state, fleet, &relay, now);
        let row = state.ballot.own(fleet, name, second);
        let relay = relay.into_owned();
        match (word, row) {
            (None, None) => {}
            (None, Some(_)) => outcome.effects.push(Effect::Unvote(relay)),
            (Some((says, _)), Some(row)) if *row.says == says && row.age < fleet.ttl() / 2 => {}
            (Some((says, seen)), _) => {
                let mta = fleet.me.clone();
                outcome.effects.push(Effect::Vote(Vote { mta, relay, says, seen, age: 0 }));
            }
        }
    }
}

fn word(state: &State, fleet: &Fleet, relay: &Relay<'_>, now: Timestamp) -> Option<Word> {
    if !state.armed {
        return None;
    }
    let record = state.record(relay.as_str());
    record
        .and_then(|record| lifted(record, now))
        .or_else(|| objects(state, fleet, relay, now))
        .or_else(|| record.filter(|_| !state.is_halted()).and_then(|r| decides(state, r, now)))
}

/// An operator's word.
fn lifted(record: &Record, now: Timestamp) -> Option<Word> {
    let (until, at) = record.lifted_here(now)?;
    Some((Says::Lifted { until }, seconds(now).saturating_sub(at)))
}

/// What speaks against the entry that another MTA wants.
fn objects(state: &State, fleet: &Fleet, relay: &Relay<'_>, now: Timestamp) -> Option<Word> {
    let second = seconds(now);
    let mut keys: Vec<&Tagged> = Vec::new();
    for row in state.ballot.others(fleet, relay.as_str(), second) {
        if let Says::Broken { keys: wanted } = row.says {
            keys.extend(wanted);
        }
    }
    if keys.is_empty() {
        return None;
    }
    if forbids(state, relay, &keys, now) {
        return Some((Says::Forbids, 0));
    }
    let worked = works(state, relay, &keys)?;
    let seen = second.saturating_sub(worked);
    (seen <= seconds_of(state.rules.window)).then_some((Says::Works, seen))
}

/// Whether a guard of ours speaks for what was promised or required, of this relay or of another at an address that an entry
/// would act on. What is only unknown does not: an MTA that cannot ask says nothing.
fn forbids(state: &State, relay: &Relay<'_>, keys: &[&Tagged], now: Timestamp) -> bool {
    let held = state.record(relay.as_str()).and_then(Record::hold);
    if held.is_some_and(|hold| hold.is_for_others() && !hold.is_unknown())
        || guard::forbids(state, relay, now).is_some()
    {
        return true;
    }
    let addresses: Vec<IpAddr> = keys.iter().filter_map(|key| key.address()).collect();
    let there = |record: &Record| {
        let mut known = record.evidence.addresses().into_iter();
        known.any(|address| addresses.contains(&address.to_canonical()))
    };
    let others = relays(state, |record| !addresses.is_empty() && there(record));
    others.iter().any(|other| guard::forbids(state, other, now).is_some())
}

/// When TLS last worked with the relay, or at an address that an entry would act on; none if it has failed here since.
fn works(state: &State, relay: &Relay<'_>, keys: &[&Tagged]) -> Option<u32> {
    let there = keys.iter().filter_map(|key| state.last_success_at(key.address()?));
    let worked = state.last_success(relay.as_str()).into_iter().chain(there);
    let worked = worked.map(|success| success.second).max()?;
    let failed = state.record(relay.as_str()).and_then(|record| record.evidence.last());
    failed.is_none_or(|failed| failed < worked).then_some(worked)
}

/// What takes part in a decision.
fn decides(state: &State, record: &Record, now: Timestamp) -> Option<Word> {
    let ago = |then: u32| seconds(now).saturating_sub(then);
    let mut active = record.active().to_vec();
    active.sort_unstable();
    let life = record.life().filter(|_| !active.is_empty());
    let probed = life.and_then(|life| life.last.as_ref()).map_or(0, |(at, _)| *at);
    if life.is_some_and(|life| life.mended != 0) {
        return Some((Says::Mended { keys: active }, ago(probed)));
    }
    if state.own_fault().is_some() {
        return None;
    }
    let (mut keys, mut seen) = (Vec::new(), 0);
    if life.is_some_and(|life| life.is_broken_at_the_end()) {
        (keys, seen) = (active, probed);
    }
    if let Some(waits) = record.waits() {
        keys.extend(waits.keys.iter().cloned());
        seen = seen.max(record.evidence.last().unwrap_or(0));
    }
    keys.sort_unstable();
    keys.dedup();
    (!keys.is_empty()).then(|| (Says::Broken { keys }, ago(seen)))
}
