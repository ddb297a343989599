//! What an operator asks for.

use jiff::Timestamp;
use maillog::relay::Relay;

use crate::approval::Approval;
use crate::candidate::{consider_again, relays, weigh};
use crate::guard::{Guard, Says, judge};
use crate::hold::Hold;
use crate::input::Change;
use crate::moment::seconds;
use crate::record::{Record, Work};
use crate::state::State;
use crate::step::Outcome;

/// What dry run has shown goes through the guards again, as much of it as there may be new entries: the rest stays
/// proposed until there is room.
pub(crate) fn arm(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    if !state.live {
        return; // The log is not read up to its end: it is done then.
    }
    state.armed = true;
    if state.is_halted() {
        return; // When that ends.
    }
    for relay in relays(state, |record| !record.proposed().is_empty()) {
        if let Some(hold) = state.limit(1, now) {
            return state.raise_limit(&hold, now, &mut outcome.changes);
        }
        let one = |record: &Record| !record.proposed().is_empty();
        let Some(record) = state.relays.get_mut(relay.as_str()).filter(|record| one(record)) else {
            continue;
        };
        record.standing().proposed.clear();
        consider_again(state, &relay, now, outcome);
    }
}

/// Dry run has begun: nothing that it shows is written.
pub(crate) fn disarm(state: &mut State) {
    state.armed = false;
}

/// With room again, what dry run has shown goes on.
pub(crate) fn go_on(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    if state.armed && state.relays.iter().any(|(_, record)| !record.proposed().is_empty()) {
        arm(state, now, outcome);
    }
}

/// The log has been read up to its end: what was gathered is judged. That takes up again what was under way when the
/// last process ended, too.
pub(crate) fn resume(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    state.live = true;
    for relay in relays(state, |record| !record.evidence.is_empty() && record.is_open(now)) {
        weigh(state, &relay, now, outcome);
    }
}

/// An operator overrules what holds the relay back, for a time; refused where mail would bounce, or where an entry would
/// do no good. A hold-off of an entry that was lifted by hand ends with it: that, too, was an operator's word.
pub(crate) fn approve(
    state: &mut State,
    relay: &Relay<'static>,
    approval: Approval,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let lifted_at = state.record(relay.as_str()).map_or(0, Record::lifted_at);
    if approval.until <= seconds(now) || approval.at < lifted_at {
        return; // It has ended, or a later word stands.
    }
    if let Some((hold, advice)) = refusal(state, relay, now) {
        return outcome.changes.push(Change::Refused(relay.clone(), hold, advice));
    }
    let record = state.relays.get_or_insert_with(relay.as_str(), Record::default);
    record.last_seen = record.last_seen.max(seconds(now));
    let standing = record.standing();
    standing.approved = Some(Box::new(approval.clone()));
    (standing.lifted_until, standing.lifted_here) = (None, None);
    if matches!(standing.work, Work::Held(_)) {
        standing.work = Work::Idle;
    }
    outcome.changes.push(Change::Approved(relay.clone(), approval));
    if state.live && state.record(relay.as_str()).is_some_and(|record| record.is_open(now)) {
        weigh(state, relay, now, outcome);
    }
}

/// The hold for which an approval of the relay is refused, with what to change instead; from what is known without a
/// question to the network.
pub fn refusal(state: &State, relay: &Relay<'_>, now: Timestamp) -> Option<(Hold, &'static str)> {
    // The others of a fleet are waited for after an approval as before it: it is this one's vote.
    let mut opinions = judge(state, relay, &state.would_ask(relay), now).into_iter();
    opinions.find_map(|opinion| match opinion.says {
        Says::Holds(hold) if opinion.guard != Guard::Fleet => {
            let advice = hold.overrule(state.host().dane).err()?;
            Some((hold, advice))
        }
        Says::Holds(_) | Says::Silent(_) | Says::Waits(_) => None,
    })
}

/// A hold-off, an approval or a probation that has ended is forgotten: the record may leave like any other.
pub(crate) fn end_terms(state: &mut State, now: Timestamp) {
    let ended = |record: &Record| {
        (record.has_hold_off() && !record.is_lifted(now))
            || (record.has_approval() && record.approval(now).is_none())
            || (record.was_on_probation() && record.probation(now).is_none())
    };
    for relay in relays(state, ended) {
        let standing = state.relays.get_mut(relay.as_str()).and_then(Record::standing_if_any);
        let Some(standing) = standing else { continue };
        standing.lifted_until = standing.lifted_until.filter(|until| seconds(now) < *until);
        standing.lifted_here = standing.lifted_here.filter(|(until, _)| seconds(now) < *until);
        standing.probation = standing.probation.filter(|p| p.lasts(seconds(now)));
        standing.approved = standing.approved.take().filter(|a| seconds(now) < a.until);
    }
}
