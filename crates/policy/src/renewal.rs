//! The renewal: the peer is still broken at the end of its entries' time, so they stand for another term.
//!
//! That is a decision as the first was. What the admin, the recipients or the other side have said meanwhile is asked anew
//! (DANE and MTA-STS among it), and what speaks against the entries by now takes them out. An answer that does not come
//! leaves them as they are for [`GRACE`], and the question is put again within the hour: a DNS server that is down for a
//! night is no reason to hold all mail up. After that the unknown holds here as everywhere.
//!
//! The entries are written anew, for their comments say until when they stand. While that is under way an operator, a
//! guard or a probe may want them out: it is an edit as any other, and what it writes goes again then. The new term begins
//! when it is written; where that fails, the next probe brings it up again.

use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::relay::Relay;

use crate::asked::Asked;
use crate::candidate::hold_back;
use crate::fleet;
use crate::guard::{against_renewal, against_return};
use crate::hold::Hold;
use crate::input::{Edit, Effect};
use crate::moment::seconds;
use crate::probing::addresses;
use crate::record::Work;
use crate::state::State;
use crate::step::{Outcome, managed};
use crate::withdraw::withdraw;

/// For how long an unknown answer ends no entry whose time has ended, in seconds: a week.
pub(crate) const GRACE: u32 = 7 * 86_400;

/// Asks what must be known before the entries stand for another term.
pub(crate) fn begin(
    state: &mut State,
    relay: &Relay<'static>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let second = seconds(now);
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let asked = Asked::of(relay, &addresses(record.active()), record.domains());
    let busy = matches!(record.work(), Work::Asking(_) | Work::Renewing(_) | Work::Editing { .. });
    let Some(life) = record.life_mut() else { return };
    life.soon(second);
    if busy {
        return;
    }
    if let Some(hold) = against_return(state, relay, now) {
        return against(state, relay, hold, now, outcome);
    }
    if asked.is_answered() {
        return decide(state, relay, &asked, now, outcome);
    }
    outcome.effects.extend(asked.open().map(Effect::Ask));
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    record.standing().work = Work::Renewing(asked);
}

/// All is answered: the entries are written anew, or taken out.
pub(crate) fn decide(
    state: &mut State,
    relay: &Relay<'static>,
    asked: &Asked,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    if let Some(hold) = against_renewal(state, relay, asked, now) {
        return against(state, relay, hold, now, outcome);
    }
    if !fleet::is_renewed(state, relay, now) {
        return; // Enough said so when the guards were asked; at the next look, perhaps.
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let keys: Vec<Tagged> = record.active().to_vec();
    if keys.is_empty() {
        return;
    }
    let why = "renewed: a probe found it broken";
    let add = keys.iter().map(|key| managed(&state.rules, relay, key.clone(), why, now)).collect();
    record.standing().work = Work::Editing { keys, cleared: false };
    outcome.effects.push(Effect::Edit(Edit { relay: relay.clone(), add, remove: Vec::new() }));
}

/// Something speaks against another term. What is unknown, and a fault that seems ours, may pass.
fn against(
    state: &mut State,
    relay: &Relay<'static>,
    hold: Hold,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let may_pass = hold.is_unknown() || matches!(hold, Hold::OwnFault(_));
    let life = state.record(relay.as_str()).and_then(|record| record.life());
    if may_pass && life.is_some_and(|life| !life.is_overdue(GRACE, seconds(now))) {
        return hold_back(state, relay, hold, now, outcome);
    }
    withdraw(state, relay, hold, now, outcome);
}
