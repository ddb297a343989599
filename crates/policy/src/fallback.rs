//! Entries that let sendmail fall back (`TLS_Clt_features:<key> flags=C`): what the log says while they act.
//!
//! sendmail tries TLS each time. While the peer is broken it logs the broken handshake as ever and then delivers in clear;
//! once it is mended it uses TLS, and nothing tells that the entry is there (measured on 8.17.1.9). So a broken handshake
//! where such an entry acts is a use of it and says that it is still needed. It is no new evidence, and no sign of a fault
//! of our own: with many such entries there are always many broken handshakes. A deferral after it is one of the delivery
//! in clear (grey-listing, a full disk).
//!
//! sendmail falls back after a broken handshake alone. What a relay says in words later, over TLS or in clear, is not mended
//! by such an entry, and neither is an odd answer to STARTTLS.
//!
//! **What an attacker could try.** Who sits on the way breaks handshakes and keeps an entry alive, and reads the mail
//! meanwhile; as with `Try_TLS`, the guards are what stands against that, and when he leaves TLS is back at once.

use std::net::IpAddr;

use jiff::Timestamp;
use maillog::event::{Attempt, End, Fault};
use maillog::relay::Relay;

use crate::candidate::{hold_back, relays};
use crate::hold::Hold;
use crate::input::Ending;
use crate::map;
use crate::moment::seconds;
use crate::record::{Record, Work};
use crate::remedy::RelayRemedy;
use crate::state::State;
use crate::step::Outcome;

/// Whether the relay has such an entry in force at the address; if that is not known, at any.
pub(crate) fn acts(state: &State, relay: &Relay<'_>, address: Option<IpAddr>) -> bool {
    let address = address.map(|address| address.to_canonical());
    let Some(record) = state.record(relay.as_str()) else { return false };
    record.active().iter().any(|entry| {
        let there = address.is_none() || entry.address().is_none() || entry.address() == address;
        there && RelayRemedy::of(entry) == Some(RelayRemedy::Fallback)
    })
}

/// A handshake broke. Whether such an entry was there for it.
pub(crate) fn on_attempt(state: &mut State, attempt: &Attempt<'_>, now: Timestamp) -> bool {
    if attempt.fault != Fault::Software || !acts(state, &attempt.relay, None) {
        return false;
    }
    let record = state.relays.get_mut(attempt.relay.as_str());
    if let Some(life) = record.and_then(Record::life_mut) {
        life.used(seconds(now));
        life.broke(seconds(now));
    }
    true
}

/// What became of mail after a broken handshake.
pub(crate) fn on_end(state: &mut State, relay: &Relay<'_>, end: End) {
    if !acts(state, relay, None) {
        return;
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if let Some(life) = record.life_mut() {
        life.freed(end);
    }
    if end == End::Sent && !matches!(record.work(), Work::Asking(_)) {
        record.clear_evidence(); // What was stuck before the entry flows.
    }
}

/// The relay said in words that its STARTTLS is broken: sendmail does not fall back for that.
pub(crate) fn on_reply(
    state: &mut State,
    relay: &Relay<'_>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let record = state.relays.get_or_insert_with(relay.as_str(), Record::default);
    record.last_seen = seconds(now);
    if record.is_open(now) && !record.is_decided() {
        hold_back(state, relay, Hold::NoFallbackForReply, now, outcome);
    }
}

/// sendmail cannot fall back any more: such entries do nothing. They go, so that there is room for others.
pub(crate) fn end_idle(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    // What a fleet shares does something on its other MTAs.
    if !state.live || state.host.no_fallback.is_none() || state.rules.fleet.is_some() {
        return;
    }
    let idle = |record: &Record| {
        let editing = matches!(record.work(), Work::Editing { .. });
        !editing
            && record.active().iter().any(|e| RelayRemedy::of(e) == Some(RelayRemedy::Fallback))
    };
    for relay in relays(state, idle) {
        map::over(state, &relay, Ending::NoFallback, now, outcome);
    }
}
