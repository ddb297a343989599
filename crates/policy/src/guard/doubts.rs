//! Doubts about the evidence itself: TLS that worked a week ago, faults that look like ours, failures that any network
//! has. A further address of a relay that has its entry needs less: what failed before the entry was made counts for it.

use super::{Case, Says};
use crate::evidence::Weight;
use crate::hold::Hold;
use crate::moment::moment;

/// sendmail cuts the name in `STARTTLS=client, relay=…` after so many bytes.
const LOGGED: usize = 100;

pub(super) fn worked_lately(case: &Case<'_>) -> Says {
    let guards = &case.state.rules.guards;
    if guards.trusted_for.is_zero() {
        return Says::Silent("switched off".to_owned());
    }
    if case.relay.as_str().len() >= LOGGED {
        return Says::Holds(Hold::SuccessUnknown);
    }
    let Some(success) = case.state.last_success(case.relay.as_str()) else {
        return Says::Silent("no success is on record".to_owned());
    };
    let at = moment(success.second);
    let ago = case.now.duration_since(at);
    if ago > guards.trusted_for {
        return Says::Silent(format!("TLS with it worked at {at:.0}, longer ago than is trusted"));
    }
    if case.record().is_some_and(|record| success.second <= record.since()) {
        return Says::Silent(
            "it has its entry, and TLS has not worked since that was made".to_owned(),
        );
    }
    if case.relapses() {
        return Says::Silent("it is on probation, and TLS itself has broken again".to_owned());
    }
    let failing = case.failing_since(success.second);
    let wanted = guards.trusted_min_span;
    if failing >= wanted {
        return Says::Silent(format!(
            "TLS with it worked at {at:.0}, but it has failed for {failing:#} since"
        ));
    }
    Says::Holds(Hold::WorkedLately { at, handshake: success.handshake, failing, wanted })
}

pub(super) fn own_fault(case: &Case<'_>) -> Says {
    match case.state.own_fault() {
        Some(alarm) => Says::Holds(Hold::OwnFault(alarm.says.clone())),
        None => Says::Silent("other relays do not fail".to_owned()),
    }
}

pub(super) fn weak_evidence(case: &Case<'_>) -> Says {
    let wanted = case.state.rules.guards.weak_min_span;
    if case.relapses() {
        return Says::Silent("it is on probation, and TLS itself has broken again".to_owned());
    }
    let Some(weight) = case.weight() else {
        return Says::Silent("no attempts".to_owned());
    };
    let Weight { stuck, span, enough, strong, strong_enough } = weight;
    let weak = stuck.saturating_sub(strong);
    // A guard is no threshold: it has an opinion once there is a count to doubt. For a further address one attempt is
    // enough, so that one must be strong.
    let (counts, proven) = match case.is_decided() {
        true => (stuck > 0, strong > 0),
        false => (enough, strong_enough),
    };
    if wanted.is_zero() || proven || !counts || span >= wanted {
        return Says::Silent(format!("{strong} handshake failures, {weak} resets and time-outs"));
    }
    Says::Holds(Hold::WeakEvidence { strong, stuck, span, wanted })
}
