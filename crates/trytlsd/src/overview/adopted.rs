//! Lines of the admin's that are looked after like entries of ours.

use jiff::Timestamp;
use policy::moment::moment;
use policy::state::State;
use serde::Serialize;

/// A line that is adopted.
#[derive(Debug, Serialize)]
pub(crate) struct AdoptedLine {
    pub(crate) relay: String,
    pub(crate) line: String,
    /// Since when it is looked after.
    pub(crate) since: Timestamp,
    /// How often sendmail has used it, since then.
    pub(crate) hits: u32,
    /// Since when probes find that the peer is mended.
    pub(crate) mended_since: Option<Timestamp>,
}

pub(super) fn adopted(state: &State) -> Vec<AdoptedLine> {
    let row = |(relay, adopted): (&str, &policy::adoption::Adopted)| AdoptedLine {
        relay: relay.to_owned(),
        line: adopted.line.to_string(),
        since: moment(adopted.word.at),
        hits: adopted.life.hits,
        mended_since: (adopted.mended > 0).then(|| moment(adopted.mended)),
    };
    state.adoptions().iter().map(row).collect()
}
