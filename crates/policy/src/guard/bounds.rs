//! Bounds: how many entries there may be, and whether any is needed at all.

use super::{Case, Says};
use crate::candidate::keys_for;
use crate::evidence::seconds;
use crate::hold::Hold;

pub(super) fn limits(case: &Case<'_>) -> Says {
    let keys = keys_for(case.state, case.relay, case.asked).unwrap_or_default();
    let in_force = case.record().map_or(&[][..], |record| record.active());
    let new = keys.iter().filter(|key| !in_force.contains(key)).count();
    if let Some(hold) = case.state.limit(new.max(1), case.now) {
        return Says::Holds(hold);
    }
    let entries = case.state.entries();
    let lately = case.state.entries_lately(seconds(case.now));
    Says::Silent(format!("{entries} entries in force, {lately} new ones within an hour"))
}

pub(super) fn falls_back(case: &Case<'_>) -> Says {
    match case.state.host.falls_back {
        true => Says::Holds(Hold::FallsBack),
        false => Says::Silent("off, or not known to be on".to_owned()),
    }
}
