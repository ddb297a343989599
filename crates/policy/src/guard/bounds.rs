//! Bounds: how many entries there may be, and whether any is needed at all.

use super::{Case, Says};
use crate::hold::Hold;
use crate::moment::seconds;
use crate::remedy::RelayRemedy;

pub(super) fn limits(case: &Case<'_>) -> Says {
    let new = case.new_keys().len();
    if let Some(hold) = case.state.limit(new.max(1), case.now) {
        return Says::Holds(hold);
    }
    let entries = case.state.entries();
    let lately = case.state.entries_lately(seconds(case.now));
    Says::Silent(format!("{entries} entries in force, {lately} new ones within an hour"))
}

pub(super) fn falls_back(case: &Case<'_>) -> Says {
    if let (RelayRemedy::Fallback, Some(why)) = (case.remedy(), &case.state.host.no_fallback) {
        return Says::Holds(Hold::NoFallback(why.clone()));
    }
    match case.state.host.falls_back {
        true => Says::Holds(Hold::FallsBack),
        false => Says::Silent("off, or not known to be on".to_owned()),
    }
}
