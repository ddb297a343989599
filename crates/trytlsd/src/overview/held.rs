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
    /// The number of the happening with which this guard began to speak.
    #[serde(skip)]
    pub(crate) id: i64,
}

/// The last hold of each relay, with every time that its guard was told to speak: a restart tells it again.
#[derive(Debug, Default)]
pub(crate) struct Holds(HashMap<String, (Held, Vec<(i64, Timestamp)>)>);

impl Holds {
    /// From what happened, the oldest first.
    pub(crate) fn of(happened: &[Happened]) -> Self {
        let mut holds: HashMap<String, (Held, Vec<(i64, Timestamp)>)> = HashMap::new();
        for row in happened {
            let Some(relay) = &row.relay else { continue };
            match row.what.as_str() {
                "held" => {
                    let (guard, says) = parted(&row.detail);
                    let before = holds.remove(relay).filter(|(before, _)| {
                        before.guard.as_deref() == guard.map(|(word, _)| word)
                    });
                    let mut told = before.map(|(_, told)| told).unwrap_or_default();
                    told.push((row.id, row.at));
                    let held = Held {
                        relay: relay.clone(),
                        guard: guard.map(|(word, _)| word.to_owned()),
                        says: says.to_owned(),
                        since: row.at,
                        needs_a_person: needs_a_person(guard.map(|(_, guard)| guard)),
                        id: row.id,
                    };
                    holds.insert(relay.clone(), (held, told));
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
        let standing = |(mut held, told): (Held, Vec<(i64, Timestamp)>)| {
            let evidence = match held.relay.strip_prefix(CLIENT) {
                Some(address) => {
                    let client = address.parse().ok().and_then(|a| state.clients().get(a));
                    client.map(policy::clients::Client::evidence)
                }
                None => state.record(&held.relay).map(|record| &record.evidence),
            }?;
            let began = moment(evidence.began()?);
            (held.id, held.since) = told.into_iter().find(|(_, at)| began <= *at)?;
            (evidence.clone().weigh(state.rules(), now).stuck > 0).then_some(held)
        };
        let mut held: Vec<Held> = self.0.into_values().filter_map(standing).collect();
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
pub(crate) fn needs_a_person(guard: Option<Guard>) -> bool {
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
