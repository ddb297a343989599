//! The agreement: what has passed every guard here waits for the others.
//!
//! It comes last. Whoever waits has said so in his row, and waits as long as his evidence stands: no success, and the last
//! attempt within the window. At each look the rows are counted key by key. Once enough of them name one, and that has stood
//! for [`Fleet::settle`] without an objection, the relay goes through all guards again, for they may speak by now; and past
//! them the rows are counted once more.
//!
//! An operator's approval overrules guards, and so makes a vote of this MTA where it would not have one. It is never the
//! agreement itself.

use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::relay::Relay;
use serde::{Deserialize, Serialize};

use super::{Fleet, Objection};
use crate::candidate::{consider_again, hold_back, relays};
use crate::guard::{Guard, Says};
use crate::hold::{Hold, mtas};
use crate::moment::{seconds, seconds_of};
use crate::record::{Record, Work};
use crate::state::State;
use crate::step::Outcome;

/// Relays that wait at one time, at most; each is a row in the directory. Further ones wait until there is room.
pub(super) const MOST: usize = 500;

/// What of a relay waits for the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// The entries that are needed, in order.
    pub(crate) keys: Vec<Tagged>,
    /// What the rows said at the last look.
    stand: Stand,
    /// Since when as many agree on the same keys, in seconds since 1970.
    since: u32,
}

/// What the rows say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stand {
    /// How many MTAs name the key that most of them name.
    have: u16,
    /// The keys that enough of them name.
    agreed: Vec<Tagged>,
    /// Who speaks against it.
    against: Option<Objection>,
}

/// The same as the ledger keeps it. What was agreed is counted anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedWaits {
    keys: Vec<String>,
    #[serde(default)]
    have: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    against: Option<Objection>,
}

impl Waits {
    pub(crate) fn save(&self) -> SavedWaits {
        SavedWaits {
            keys: self.keys.iter().map(Tagged::brief).collect(),
            have: self.stand.have,
            against: self.stand.against.clone(),
        }
    }

    /// From the ledger; none if nothing of it can be read.
    pub(crate) fn load(saved: SavedWaits) -> Option<Self> {
        let keys: Vec<Tagged> = saved.keys.iter().filter_map(|text| text.parse().ok()).collect();
        let SavedWaits { have, against, .. } = saved;
        let stand = Stand { have, agreed: Vec::new(), against };
        (!keys.is_empty()).then_some(Self { keys, stand, since: 0 })
    }

    fn hold(&self, fleet: &Fleet) -> Hold {
        if let Some(objection) = &self.stand.against {
            return Hold::Objected(objection.clone());
        }
        let keys = self.keys.iter().map(Tagged::to_string).collect::<Vec<_>>().join(" ");
        Hold::Agreement { keys: keys.into(), have: self.stand.have, want: fleet.quorum.get() }
    }

    fn note(&mut self, stand: Stand, now: u32) {
        if self.stand.agreed != stand.agreed {
            self.since = now;
        }
        self.stand = stand;
    }

    /// What may be written: what was agreed on, if that has stood for long enough and nobody objects.
    fn written(&self, fleet: &Fleet, now: u32) -> &[Tagged] {
        let settled = now.abs_diff(self.since) >= seconds_of(fleet.settle);
        if settled && self.stand.against.is_none() { &self.stand.agreed } else { &[] }
    }
}

/// At the gate, with keys that have passed all guards: those of them that may be written.
///
/// # Errors
/// The hold that says for what the relay waits.
pub(crate) fn pass(
    state: &mut State,
    relay: &Relay<'_>,
    mut keys: Vec<Tagged>,
    now: Timestamp,
) -> Result<Vec<Tagged>, Hold> {
    let Some(fleet) = state.rules.fleet.clone() else { return Ok(keys) };
    keys.sort_unstable();
    let stand = stand(state, &fleet, relay, &keys, now);
    let full = state.relays.iter().filter(|(_, record)| record.waits().is_some()).count() >= MOST;
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return Ok(Vec::new()) };
    if full && record.waits().is_none() {
        return Err(Hold::TooManyWait(MOST));
    }
    let waits = record.standing().waits.get_or_insert_default();
    waits.keys = keys;
    waits.note(stand, seconds(now));
    match waits.written(&fleet, seconds(now)) {
        [] => Err(waits.hold(&fleet)),
        agreed => Ok(agreed.to_vec()),
    }
}

/// What the rows say of these keys.
fn stand(
    state: &State,
    fleet: &Fleet,
    relay: &Relay<'_>,
    keys: &[Tagged],
    now: Timestamp,
) -> Stand {
    let (relay, second) = (relay.as_str(), seconds(now));
    let window = seconds_of(state.rules.window);
    let have = |key: &Tagged| state.ballot.broken(fleet, relay, key, second);
    Stand {
        have: keys.iter().map(have).max().unwrap_or(0),
        agreed: keys.iter().filter(|key| have(key) >= fleet.quorum.get()).cloned().collect(),
        against: state.ballot.objection(fleet, relay, window, second),
    }
}

/// Counts anew for all that wait, and goes on with those on which enough agree.
pub(super) fn tally(state: &mut State, fleet: &Fleet, now: Timestamp, outcome: &mut Outcome) {
    for relay in relays(state, |record| record.waits().is_some()) {
        let Some(record) = state.record(relay.as_str()) else { continue };
        let Some(waits) = record.waits().filter(|_| is_wanted(state, record, now)) else {
            forget(state, &relay);
            continue;
        };
        let stand = stand(state, fleet, &relay, &waits.keys, now);
        if waits.stand != stand {
            let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
            let Some(waits) = &mut record.standing().waits else { continue };
            waits.note(stand, seconds(now));
        }
        go_on(state, fleet, &relay, now, outcome);
    }
}

fn go_on(
    state: &mut State,
    fleet: &Fleet,
    relay: &Relay<'static>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.record(relay.as_str()) else { return };
    let Some(waits) = record.waits().filter(|_| is_idle(record) && !state.is_halted()) else {
        return;
    };
    if !waits.written(fleet, seconds(now)).is_empty() {
        return consider_again(state, relay, now, outcome);
    }
    let hold = waits.hold(fleet);
    if record.hold() != Some(&hold) {
        hold_back(state, relay, hold, now, outcome);
    }
}

/// Whether the relay waits for nothing but the others.
pub(super) fn is_idle(record: &Record) -> bool {
    match record.work() {
        Work::Idle => true,
        Work::Held(hold) => hold.guard() == Some(Guard::Fleet),
        Work::Asking(_) | Work::Renewing(_) | Work::Editing { .. } => false,
    }
}

/// Whether its evidence stands, for what has no entry yet.
fn is_wanted(state: &State, record: &Record, now: Timestamp) -> bool {
    let window = seconds_of(state.rules.window);
    let last = record.evidence.last();
    let fails = last.is_some_and(|last| seconds(now).saturating_sub(last) < window);
    let editing = matches!(record.work(), Work::Editing { .. });
    fails && (editing || !record.is_decided() || !record.uncovered().is_empty())
}

/// It waits no more.
fn forget(state: &mut State, relay: &Relay<'_>) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    let idle = is_idle(record);
    let standing = record.standing();
    standing.waits = None;
    if idle {
        (standing.work, standing.told) = (Work::Idle, None);
    }
}

/// As the last guard, for whoever asks why; none without a fleet.
pub(crate) fn opinion(state: &State, relay: &Relay<'_>, now: Timestamp) -> Option<Says> {
    let fleet = state.rules.fleet.as_ref()?;
    let record = state.record(relay.as_str());
    Some(match record.and_then(Record::waits) {
        Some(waits) if waits.written(fleet, seconds(now)).is_empty() => {
            Says::Holds(waits.hold(fleet))
        }
        Some(waits) => Says::Silent(format!("{} agree", mtas(waits.stand.have))),
        None if record.is_some_and(|record| !record.active().is_empty()) => {
            Says::Silent("it has its entry".to_owned())
        }
        None => Says::Waits(format!("the agreement of {}", mtas(fleet.quorum.get()))),
    })
}
