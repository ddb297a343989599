//! The withdrawal: entries that are in force, or on their way, and must not be any more. With them mail would bounce or be
//! stuck all the same by now (`TLS_Rcpt:`, `TLS_Srv:`), sendmail itself has found that the relay has DANE, or what speaks
//! against putting them back does so.
//!
//! An entry by address acts on whatever relay is there. So what must not be for one relay goes for all that share it, and
//! mail of a relay without an entry counts where another's acts.

use std::net::IpAddr;

use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::relay::Relay;

use crate::candidate::{hold_back, relays};
use crate::guard::requires_tls;
use crate::hold::Hold;
use crate::input::Change;
use crate::map::take_out;
use crate::record::{Record, Work};
use crate::state::State;
use crate::step::Outcome;

/// The entries of a relay are in force, or on their way, and must not be: they are taken out, and it is held.
pub(crate) fn withdraw(
    state: &mut State,
    relay: &Relay<'_>,
    hold: Hold,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let standing = record.standing();
    standing.proposed.clear();
    standing.wiped.clear();
    let keys = std::mem::take(&mut standing.active);
    standing.since = 0;
    (standing.life, standing.waits) = (None, None);
    if let Work::Editing { cleared, .. } = &mut standing.work {
        *cleared = true; // What is being written is taken out when that is answered.
    } else {
        hold_back(state, relay, hold.clone(), now, outcome);
    }
    if keys.is_empty() {
        return;
    }
    withdraw_shared(state, relay, &keys, &hold, now, outcome);
    let relay = relay.clone().into_owned();
    outcome.changes.push(Change::Withdrawn(relay.clone(), keys.clone(), hold));
    take_out(state, relay, keys, outcome);
}

/// Entries by address act on other relays there, and theirs on this one: what must not be for the one must not be for
/// any.
fn withdraw_shared(
    state: &mut State,
    relay: &Relay<'_>,
    keys: &[Tagged],
    hold: &Hold,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    // Whatever it does there: what is required of TLS at an address rules out any of our remedies.
    let is_one = |key: &Tagged| keys.iter().any(|one| one.key == key.key);
    let shares = |record: &Record| record.active().iter().chain(record.editing()).any(is_one);
    for other in relays(state, |record| shares(record)) {
        let Some(record) = state.relays.get_mut(other.as_str()) else { continue };
        let standing = record.standing();
        if let Work::Editing { keys: editing, cleared } = &mut standing.work {
            *cleared |= editing.iter().any(is_one);
        }
        let (shared, own): (Vec<Tagged>, Vec<Tagged>) =
            std::mem::take(&mut standing.active).into_iter().partition(|key| is_one(key));
        standing.active = own;
        let Some(address) = shared.iter().find_map(Tagged::address) else { continue };
        let of_another_kind = shared.iter().filter(|key| !keys.contains(key)).cloned().collect();
        let name = relay.as_str().into();
        let hold = Hold::Neighbour { address, name, hold: Box::new(hold.clone()) };
        if !matches!(record.work(), Work::Editing { .. }) {
            hold_back(state, &other, hold.clone(), now, outcome);
        }
        outcome.changes.push(Change::Withdrawn(other.clone(), shared, hold));
        take_out(state, other, of_another_kind, outcome);
    }
}

/// Mail of the relay is stuck at an address where an entry of another acts: it would bounce the next time.
pub(crate) fn withdraw_there_if_required(
    state: &mut State,
    relay: &Relay<'_>,
    address: Option<IpAddr>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(address) = address.map(|address| address.to_canonical()) else { return };
    let acts = |key: &&Tagged| key.address() == Some(address);
    let own = state.record(relay.as_str()).is_some_and(|own| own.active().iter().any(|k| acts(&k)));
    let mut there: Vec<Tagged> = Vec::new();
    for (_, record) in state.relays.iter() {
        let new: Vec<_> = record.active().iter().filter(acts).cloned().collect();
        there.extend(new.into_iter().filter(|key| !there.contains(key)).collect::<Vec<_>>());
    }
    if own || there.is_empty() {
        return;
    }
    let Some(hold) = requires_tls(state, relay, now) else { return };
    withdraw_shared(state, relay, &there, &hold, now, outcome);
    let relay = relay.clone().into_owned();
    take_out(state, relay, there, outcome);
}

/// Withdraws the relay's entries if mail would bounce with them, or be stuck all the same.
pub(crate) fn withdraw_if_required(
    state: &mut State,
    relay: &Relay<'_>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let decided = state.record(relay.as_str()).is_some_and(Record::is_decided);
    if let Some(hold) = decided.then(|| requires_tls(state, relay, now)).flatten() {
        withdraw(state, relay, hold, now, outcome);
    }
}

/// The admin may require TLS where he did not before.
pub(crate) fn withdraw_required(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    for relay in relays(state, Record::is_decided) {
        withdraw_if_required(state, &relay, now, outcome);
    }
}
