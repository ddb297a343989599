//! What a change is called: in the daemon's own log, and in the history that the ledger keeps.

mod adoption;
mod client;

use access::remedy::Tagged;
use jiff::Timestamp;
use ledger::Happening;
use policy::alarm::About;
use policy::approval::Approval;
use policy::hold::Hold;
use policy::input::{Change, Ending, Proof};
use policy::life::Probed;
use policy::moment::moment;
use tracing::{debug, error, info, warn};

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
                info!(%relay, entry = key.line(), "proposed");
            }
        }
        Change::Active(relay, keys) => {
            for key in keys {
                info!(%relay, entry = key.line(), "active");
            }
        }
        Change::Joined(relay, keys) => {
            info!(%relay, keys = list(keys), "active, written by another MTA of the fleet");
        }
        Change::Proven(relay, proof) => info!(%relay, ?proof, "proof"),
        Change::Cleared(relay) => debug!(%relay, "TLS worked; the count is cleared"),
        Change::Approved(relay, approval) => {
            let until = moment(approval.until);
            let (who, reason) = (Safe(&approval.who), Safe(&approval.reason));
            info!(%relay, %who, %until, %reason, "approved");
        }
        Change::Refused(relay, hold, advice) => {
            warn!(%relay, reason = %Safe(&hold.to_string()), "the approval is refused: {advice}");
        }
        Change::Withdrawn(relay, keys, hold) => {
            warn!(%relay, keys = list(keys), reason = %Safe(&hold.to_string()), "withdrawn");
        }
        Change::Adoption(relay, change) => adoption::log(relay, change),
        Change::Client(address, change) => client::log(*address, change),
        Change::Halted(halt) => warn!(by = %Safe(&halt.who), "{}", halt.kind.word()),
        Change::WentOn(halt) => info!("no longer {}; going on", halt.kind.word()),
        Change::Raised(alarm) => {
            error!("ALARM: {}; {}", Safe(&alarm.says), alarm.about.meanwhile())
        }
        Change::Ended(About::OwnFault) => info!("the alarm has ended: other relays work again"),
        Change::Ended(About::Limit) => {
            info!("the alarm has ended: there is room for entries again")
        }
        Change::Ended(About::Map) => info!("the alarm has ended: the map can be rebuilt again"),
        Change::Ended(About::Log) => info!("the alarm has ended: the log can be read again"),
        Change::Probed(relay, probed) => info!(%relay, found = probe_words(probed), "probed"),
        Change::Renewed(relay, keys, until) => {
            let until = moment(*until);
            warn!(%relay, keys = list(keys), %until, "renewed: a probe found it broken");
        }
        Change::Over(relay, keys, ending) => {
            info!(%relay, keys = list(keys), why = ending_words(*ending), "lifted");
        }
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
                info!(%relay, entry = key.line(), "put back");
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
        Change::Held(relay, hold) => (relay, "held", held_words(hold)),
        Change::Proposed(relay, keys) => (relay, "proposed", list(keys)),
        Change::Active(relay, keys) => (relay, "active", list(keys)),
        Change::Joined(relay, keys) => {
            (relay, "active", format!("{}, written by another MTA of the fleet", list(keys)))
        }
        Change::Proven(relay, proof) => (relay, "proof", proof_words(proof)),
        Change::Probed(relay, probed) => (relay, "probed", probe_words(probed)),
        Change::Renewed(relay, keys, until) => {
            (relay, "renewed", format!("{} until {}", list(keys), moment(*until)))
        }
        Change::Over(relay, keys, ending) => {
            (relay, "lifted", format!("{}: {}", list(keys), ending_words(*ending)))
        }
        Change::Lifted(relay, keys, _) => (relay, "lifted", format!("{} by hand", list(keys))),
        Change::Replaced(relay, keys) => (relay, "replaced", list(keys)),
        Change::Wiped(relay, keys) => (relay, "wiped", list(keys)),
        Change::PutBack(relay, keys) => (relay, "put-back", list(keys)),
        Change::Approved(relay, Approval { until, who, reason, .. }) => {
            (relay, "approved", format!("until {} by {who}: {reason}", moment(*until)))
        }
        Change::Refused(relay, hold, advice) => (relay, "refused", format!("{hold}; {advice}")),
        Change::Withdrawn(relay, keys, hold) => {
            (relay, "withdrawn", format!("{}: {hold}", list(keys)))
        }
        Change::Adoption(relay, change) => {
            let (what, detail) = adoption::words(change);
            (relay, what, detail)
        }
        Change::Client(address, change) => return client::of(*address, change, at),
        Change::Halted(halt) => {
            return Some(of_all(at, halt.kind.word(), &format!("by {}", halt.who)));
        }
        Change::WentOn(halt) => {
            return Some(of_all(at, "resumed", &format!("no longer {}", halt.kind.word())));
        }
        Change::Raised(alarm) => return Some(of_all(at, "alarm", &alarm.says)),
        Change::Ended(about) => return Some(of_all(at, "alarm-ended", about.word())),
        Change::Cleared(_) => return None,
    };
    let relay = Some(relay.as_str().to_owned());
    Some(Happening { at, relay, what: what.to_owned(), detail })
}

/// What a proof said.
fn proof_words(proof: &Proof) -> String {
    match proof {
        Proof::Matches => "sendmail acts on it".to_owned(),
        Proof::ReadBack => "the keys are in the map; sendmail was not asked".to_owned(),
        Proof::NotYet => "others rebuild the map; not known yet".to_owned(),
        Proof::Refuted(said) => format!("sendmail does not act on it: {said}"),
    }
}

/// A hold as the history has it: the guard that speaks, a colon, and what it says; without a guard the words alone.
pub(crate) fn held_words(hold: &Hold) -> String {
    match hold.guard() {
        Some(guard) => format!("{guard}: {hold}"),
        None => hold.to_string(),
    }
}

/// What a probe found, in words.
pub(crate) fn probe_words(probed: &Probed) -> String {
    match probed {
        Probed::Good => "good".to_owned(),
        Probed::Broken { how, .. } => format!("broken: {how}"),
        Probed::Unreached => "not reached".to_owned(),
    }
}

fn ending_words(ending: Ending) -> &'static str {
    match ending {
        Ending::Mended => "two good probes in a row; on probation",
        Ending::Unused => "sendmail has not used it for long",
        Ending::Disarmed => "an operator has disarmed trytlsd",
        Ending::Quiet => "nothing was found broken for a week; on probation",
        Ending::NoFallback => "sendmail cannot fall back for one relay any more; on probation",
        Ending::Fleet => "another MTA of the fleet took it out; on probation",
        Ending::NotRenewed => {
            "its time has ended, and too few MTAs of the fleet find the peer broken"
        }
        Ending::Unreachable => "nobody answers there, and its time has ended",
    }
}

/// What concerns the daemon as a whole.
fn of_all(at: Timestamp, what: &str, detail: &str) -> Happening {
    Happening { at, relay: None, what: what.to_owned(), detail: detail.to_owned() }
}

fn list(keys: &[Tagged]) -> String {
    keys.iter().map(Tagged::brief).collect::<Vec<_>>().join(" ")
}
