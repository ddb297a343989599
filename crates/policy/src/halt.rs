//! A halt: an operator's word that nothing is to be decided for now, until he says otherwise.
//!
//! *Paused*: the log is read and counted as ever, and what would follow from it waits: no entry is made, put back, renewed
//! or lifted, nothing is asked of the network, no peer is probed. *Disarmed*: the same, and all our entries are taken out.
//!
//! What does not wait: an operator's word about one relay, and entries with which mail would bounce or be stuck all the
//! same (`withdraw`); both only turn TLS on. Alarms are weighed, for whoever looks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::candidate::relays;
use crate::input::{Change, Ending};
use crate::record::Record;
use crate::state::State;
use crate::step::Outcome;
use crate::{clients, map, requests};

/// An operator's word that nothing is to be decided for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// How far it goes.
    pub kind: HaltKind,
    /// Since when, in seconds since 1970.
    pub since: u32,
    /// Who said it.
    pub who: Box<str>,
}

/// How far a halt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HaltKind {
    /// What is in force stays.
    Paused,
    /// All our entries go.
    Disarmed,
}

impl HaltKind {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Disarmed => "disarmed",
        }
    }
}

/// Nothing is decided from now on. One that is disarmed already is not paused by a later word; the first word stands.
pub(crate) fn halt(state: &mut State, halt: Halt, now: Timestamp, outcome: &mut Outcome) {
    let kind = halt.kind;
    if state.halt.as_ref().is_none_or(|halted| halted.kind < kind) {
        state.halt = Some(halt.clone());
        outcome.changes.push(Change::Halted(halt));
    }
    for relay in relays(state, |record| record.asked().is_some()) {
        if let Some(standing) =
            state.relays.get_mut(relay.as_str()).and_then(Record::standing_if_any)
        {
            standing.abandon();
        }
    }
    if kind == HaltKind::Disarmed {
        take_all_out(state, now, outcome);
    }
}

/// Whatever of ours is in force, on its way, or to be put back goes. No hold-off follows: what still breaks once the halt
/// has ended gets its entry again, by evidence of then.
pub(crate) fn take_all_out(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    for relay in relays(state, Record::is_decided) {
        let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
        record.standing().proposed.clear();
        if record.is_decided() {
            map::over(state, &relay, Ending::Disarmed, now, outcome);
        }
    }
    clients::take_all_out(state, outcome);
}

/// The halt has ended: what was gathered meanwhile is judged.
pub(crate) fn go_on(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    let Some(halt) = state.halt.take() else { return };
    outcome.changes.push(Change::WentOn(halt));
    if !state.live {
        return; // Once the log is read up to its end.
    }
    map::put_back(state, now, outcome);
    requests::resume(state, now, outcome);
    clients::resume(state, now, outcome);
    if state.armed {
        requests::arm(state, now, outcome);
        clients::arm(state, now, outcome);
    }
}
