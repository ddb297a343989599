//! Bounds: how many entries there may be, and whether any is needed at all.

use super::{Case, Says};
use crate::evidence::seconds;
use crate::hold::Hold;

pub(super) fn limits(case: &Case<'_>) -> Says {
    let guards = &case.state.rules.guards;
    let entries = case.state.entries();
    if guards.max_entries > 0 && entries >= guards.max_entries {
        return Says::Holds(Hold::EntriesLimit(entries));
    }
    let lately = case.state.entries_lately(seconds(case.now));
    if guards.max_per_hour > 0 && lately >= guards.max_per_hour {
        return Says::Holds(Hold::HourLimit(lately));
    }
    Says::Silent(format!("{entries} entries in force, {lately} new ones within an hour"))
}

pub(super) fn falls_back(case: &Case<'_>) -> Says {
    match case.state.host.falls_back {
        true => Says::Holds(Hold::FallsBack),
        false => Says::Silent("off, or not known to be on".to_owned()),
    }
}
