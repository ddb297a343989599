//! Holds, as the history tells them: the last decision about a relay that still fails is that a guard speaks.

use std::collections::HashMap;

use jiff::Timestamp;
use policy::guard::Guard;
use policy::moment::moment;
use policy::state::State;
use serde::Serialize;

use super::Happened;
use crate::remembered::CLIENT;

/// A hold that stands.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Held {
    /// The relay, or `client <address>`.
    pub(crate) relay: String,
    /// The guard that speaks; none where no key can be written or the map is in the way.
    pub(crate) guard: Option<String>,
    pub(crate) says: String,
    /// Since when this guard speaks.
    pub(crate) since: Timestamp,
    /// Whether it will not end by itself: somebody must say a word, or change something.
    pub(crate) needs_a_person: bool,
}

/// The last hold of each relay.
#[derive(Debug, Default)]
pub(crate) struct Holds(HashMap<String, Held>);

impl Holds {
    /// From what happened, the oldest first.
    pub(crate) fn of(happened: &[Happened]) -> Self {
        let mut holds: HashMap<String, Held> = HashMap::new();
        for row in happened {
            let Some(relay) = &row.relay else { continue };
            match row.what.as_str() {
                "held" => {
                    let (guard, says) = parted(&row.detail);
                    let before = holds
                        .get(relay)
                        .filter(|before| before.guard.as_deref() == guard.map(|(word, _)| word));
                    let since = before.map_or(row.at, |before| before.since);
                    let held = Held {
                        relay: relay.clone(),
                        guard: guard.map(|(word, _)| word.to_owned()),
                        says: says.to_owned(),
                        since,
                        needs_a_person: needs_a_person(guard.map(|(_, guard)| guard)),
                    };
                    holds.insert(relay.clone(), held);
                }
                "proposed" | "active" | "approved" | "lifted" | "replaced" | "put-back"
                | "expired" => {
                    holds.remove(relay);
                }
                _ => {}
            }
        }
        Self(holds)
    }

    /// Those of relays and clients that fail still: a hold is of the run of failures in which it was told.
    pub(super) fn standing(self, state: &State, now: Timestamp) -> Vec<Held> {
        let fails = |held: &Held| {
            let evidence = match held.relay.strip_prefix(CLIENT) {
                Some(address) => {
                    let client = address.parse().ok().and_then(|a| state.clients().get(a));
                    client.map(policy::clients::Client::evidence)
                }
                None => state.record(&held.relay).map(|record| &record.evidence),
            };
            let Some(evidence) = evidence else { return false };
            let began = evidence.began().map(moment);
            let counts = evidence.clone().weigh(state.rules(), now).stuck > 0;
            counts && began.is_some_and(|began| began <= held.since)
        };
        let mut held: Vec<Held> = self.0.into_values().filter(fails).collect();
        held.sort_by(|a, b| (a.since, &a.relay).cmp(&(b.since, &b.relay)));
        held
    }
}

/// The guard that a row's detail begins with, its word, and the rest.
fn parted(detail: &str) -> (Option<(&str, Guard)>, &str) {
    for guard in Guard::EVERY {
        let word = guard.to_string();
        let rest = detail.strip_prefix(&word).and_then(|rest| rest.strip_prefix(": "));
        if let (Some(rest), Some(word)) = (rest, detail.get(..word.len())) {
            return (Some((word, guard)), rest);
        }
    }
    (None, detail)
}

/// Whether waiting does not help. What ends by itself or is the operator's own word does not: time passes (worked
/// lately, weak evidence), others have yet to see it (fleet), an alarm tells of it (own fault, limits), or he wanted it
/// (never-list).
fn needs_a_person(guard: Option<Guard>) -> bool {
    match guard {
        Some(
            Guard::AdminTryTls
            | Guard::TlsRcpt
            | Guard::TlsSrv
            | Guard::Dane
            | Guard::MtaSts
            | Guard::Neighbours
            | Guard::AdminSrvFeatures
            | Guard::TlsClt,
        )
        | None => true,
        Some(
            Guard::Never
            | Guard::OwnHost
            | Guard::WorkedLately
            | Guard::OwnFault
            | Guard::WeakEvidence
            | Guard::Limits
            | Guard::FallsBack
            | Guard::Fleet,
        ) => false,
    }
}
