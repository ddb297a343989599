//! What a change is called: in the daemon's own log, and in the history that the ledger keeps.

use access::key::Key;
use access::managed::line;
use jiff::Timestamp;
use ledger::Happening;
use policy::input::Change;
use tracing::{debug, info, warn};

use crate::output::Safe;

/// Logs a change. Foreign text is escaped.
pub(crate) fn log(change: &Change) {
    match change {
        Change::Candidate(relay, weight) => {
            info!(%relay, stuck = weight.stuck, span = format!("{:#}", weight.span), "candidate");
        }
        Change::Held(relay, hold) => warn!(%relay, reason = %Safe(&hold.to_string()), "held"),
        Change::Proposed(relay, keys) => {
            for key in keys {
                info!(%relay, entry = line(key), "proposed");
            }
        }
        Change::Active(relay, keys) => {
            for key in keys {
                info!(%relay, entry = line(key), "active");
            }
        }
        Change::Proven(relay, proof) => info!(%relay, ?proof, "proof"),
        Change::Cleared(relay) => debug!(%relay, "TLS worked; the count is cleared"),
        Change::Lifted(relay, keys, _) => {
            info!(%relay, keys = list(keys), "lifted by hand; it stays out");
        }
        Change::Replaced(relay, keys) => {
            info!(%relay, keys = list(keys), "the admin's own entry replaces ours");
        }
        Change::Wiped(relay, keys) => {
            warn!(%relay, keys = list(keys), "others rewrote the file; to be put back");
        }
        Change::PutBack(relay, keys) => {
            for key in keys {
                info!(%relay, entry = line(key), "put back");
            }
        }
    }
}

/// The change as a row of the history; none for what happens all the time.
pub(crate) fn of(change: &Change, at: Timestamp) -> Option<Happening> {
    let (relay, what, detail) = match change {
        Change::Candidate(relay, weight) => {
            (relay, "candidate", format!("{} stuck within {:#}", weight.stuck, weight.span))
        }
        Change::Held(relay, hold) => (relay, "held", hold.to_string()),
        Change::Proposed(relay, keys) => (relay, "proposed", list(keys)),
        Change::Active(relay, keys) => (relay, "active", list(keys)),
        Change::Proven(relay, proof) => (relay, "proof", format!("{proof:?}")),
        Change::Lifted(relay, keys, _) => (relay, "lifted", list(keys)),
        Change::Replaced(relay, keys) => (relay, "replaced", list(keys)),
        Change::Wiped(relay, keys) => (relay, "wiped", list(keys)),
        Change::PutBack(relay, keys) => (relay, "put-back", list(keys)),
        Change::Cleared(_) => return None,
    };
    let relay = Some(relay.as_str().to_owned());
    Some(Happening { at, relay, what: what.to_owned(), detail })
}

fn list(keys: &[Key]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
