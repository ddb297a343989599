//! The end of an entry that all share, and its renewal.
//!
//! *Mended*: each MTA probes for itself, and says so after two good probes in a row. As many as the quorum take the entry out,
//! and an MTA that finds the peer broken does not keep them from it. That only turns TLS on; one MTA with a fault of its own
//! must not keep it off for all; and for whom it does break still, one attempt on probation is a vote to have it back. The
//! others probe at once when one says so: their own turn may be days away.
//!
//! *The end of its time*: each MTA probes then, and one that finds the peer broken says so afresh. As many as the quorum, and it
//! is renewed by one of them that uses it: nobody renews what nobody uses. If so many do not agree within [`WITHIN`], it goes.
//! Not so while enough agree and an answer is unknown that the guards want, for as long as in `renewal`.
//!
//! Rows die while the directory cannot be reached. So an entry goes only after looks have come for [`WATCHED`].

use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::relay::Relay;

use super::agreement::is_idle;
use super::{Fleet, Says};
use crate::candidate::{hold_back, relays};
use crate::guard::Guard;
use crate::hold::Hold;
use crate::input::Ending;
use crate::life::Next;
use crate::map::over;
use crate::moment::{seconds, seconds_of};
use crate::record::{Record, Work};
use crate::renewal::{self, GRACE};
use crate::state::State;
use crate::step::Outcome;

/// As many must agree on the renewal so long after the end of the time, in seconds.
const WITHIN: u32 = 2 * 3600;

/// Looks must have come for so long before an entry goes for want of votes, in seconds.
const WATCHED: u32 = 1800;

/// What follows from a probe of an entry that all share: a vote.
pub(crate) fn on_next(state: &mut State, relay: &Relay<'_>, next: Next, now: Timestamp) {
    let second = seconds(now);
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    // An answer was unknown, perhaps: it is asked for again.
    if next == Next::Renew && matches!(record.hold(), Some(hold) if hold.is_unknown()) {
        record.standing().work = Work::Idle;
    }
    let Some(life) = record.life_mut() else { return };
    match next {
        Next::Stay => {}
        Next::Lift | Next::Quiet => life.mend(relay.as_str(), second),
        Next::Drop if second < life.until => life.mend(relay.as_str(), second),
        Next::Drop | Next::Renew => life.soon(second),
    }
}

/// Looks after the entries in force.
pub(super) fn tend(state: &mut State, fleet: &Fleet, now: Timestamp, outcome: &mut Outcome) {
    for relay in relays(state, |record| !record.active().is_empty()) {
        let Some(record) = state.record(relay.as_str()) else { continue };
        if matches!(record.work(), Work::Editing { .. }) {
            continue;
        }
        let agree = |count: &dyn Fn(&Tagged) -> u16| {
            record.active().iter().all(|key| count(key) >= fleet.quorum.get())
        };
        let (name, second) = (relay.as_str(), seconds(now));
        if agree(&|key| state.ballot.mended(fleet, name, key, second)) {
            over(state, &relay, Ending::Mended, now, outcome);
        } else if !end(state, fleet, &relay, now, outcome) {
            probe_too(state, fleet, &relay, now);
        }
    }
}

/// Renews what enough MTAs find broken at the end of its time, and ends what they do not. Whether it was so far.
fn end(
    state: &mut State,
    fleet: &Fleet,
    relay: &Relay<'static>,
    now: Timestamp,
    outcome: &mut Outcome,
) -> bool {
    let second = seconds(now);
    let Some(record) = state.record(relay.as_str()) else { return false };
    let Some(life) = record.life().filter(|life| life.is_overdue(0, second)) else {
        return false;
    };
    let rules = state.rules.life.of(record.remedy(&state.rules));
    let renewed = is_renewed(state, relay, now);
    let grace = if renewed { GRACE } else { WITHIN };
    if life.is_overdue(grace, second) && state.ballot.watched_for(second) >= WATCHED {
        over(state, relay, Ending::NotRenewed, now, outcome);
    } else if life.is_broken_at_the_end() && is_idle(record) {
        if !renewed {
            wait(state, fleet, relay, now, outcome);
        } else if !life.is_unused(&rules, second) {
            renewal::begin(state, relay, now, outcome);
        }
    }
    true
}

/// Whether as many as must find all entries of the relay broken at the end of their time, and nobody objects. True without a
/// fleet.
pub(crate) fn is_renewed(state: &State, relay: &Relay<'_>, now: Timestamp) -> bool {
    let Some(fleet) = &state.rules.fleet else { return true };
    let (name, second) = (relay.as_str(), seconds(now));
    let window = seconds_of(state.rules.window);
    let active = state.record(name).map_or(&[][..], Record::active);
    let agree = |key: &Tagged| state.ballot.broken(fleet, name, key, second) >= fleet.quorum.get();
    active.iter().all(agree) && state.ballot.objection(fleet, name, window, second).is_none()
}

/// Its time has ended, and too few find it broken so far.
fn wait(
    state: &mut State,
    fleet: &Fleet,
    relay: &Relay<'static>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let (name, second) = (relay.as_str(), seconds(now));
    let Some(record) = state.record(name) else { return };
    let have = |key: &Tagged| state.ballot.broken(fleet, name, key, second);
    let hold = Hold::Agreement {
        keys: record.active().iter().map(Tagged::to_string).collect::<Vec<_>>().join(" ").into(),
        have: record.active().iter().map(have).min().unwrap_or(0),
        want: fleet.quorum.get(),
    };
    if record.hold().and_then(Hold::guard) != Some(Guard::Fleet) {
        hold_back(state, relay, hold, now, outcome);
    }
}

/// Another MTA says that the peer is mended: it is probed here within the hour, once for each time that it was found so.
fn probe_too(state: &mut State, fleet: &Fleet, relay: &Relay<'_>, now: Timestamp) {
    let second = seconds(now);
    let Some(record) = state.record(relay.as_str()) else { return };
    let Some(life) = record.life().filter(|life| life.mended == 0) else { return };
    let probed = life.last.as_ref().map_or(life.since, |(at, _)| *at);
    let is_news = state.ballot.others(fleet, relay.as_str(), second).any(|row| {
        matches!(row.says, Says::Mended { .. }) && second.saturating_sub(row.seen) > probed
    });
    if is_news
        && life.next > second.saturating_add(3600)
        && let Some(life) = state.relays.get_mut(relay.as_str()).and_then(Record::life_mut)
    {
        life.soon(second);
    }
}
