//! The same for clients of ours.

use std::net::IpAddr;

use jiff::Timestamp;
use ledger::Happening;
use policy::approval::Approval;
use policy::clients::ClientChange;
use policy::moment::moment;
use tracing::{debug, info, warn};

use crate::output::Safe;
use crate::remembered::CLIENT;

/// Logs a change. Foreign text is escaped.
pub(super) fn log(client: IpAddr, change: &ClientChange) {
    match change {
        ClientChange::Candidate(weight) => {
            info!(%client, broken = weight.stuck, span = format!("{:#}", weight.span), "candidate");
        }
        ClientChange::Held(hold) => warn!(%client, reason = %Safe(&hold.to_string()), "held"),
        ClientChange::Proposed(entry) => info!(%client, entry = entry.line(), "proposed"),
        ClientChange::Active(entry) => info!(%client, entry = entry.line(), "active"),
        ClientChange::Proven(proof) => info!(%client, ?proof, "proof"),
        ClientChange::Lifted(Some(entry), _) => {
            info!(%client, %entry, "lifted by hand; it stays out");
        }
        ClientChange::Lifted(None, until) => {
            info!(%client, until = %moment(*until), "held by hand; it had no entry");
        }
        ClientChange::Approved(approval) => {
            let until = moment(approval.until);
            let (who, reason) = (Safe(&approval.who), Safe(&approval.reason));
            info!(%client, %who, %until, %reason, "approved");
        }
        ClientChange::Refused(hold, advice) => {
            warn!(%client, reason = %Safe(&hold.to_string()), "the approval is refused: {advice}");
        }
        ClientChange::Replaced(entry) => {
            info!(%client, %entry, "the admin's own entry replaces ours");
        }
        ClientChange::Wiped(entry) => {
            warn!(%client, %entry, "others rewrote the file; to be put back");
        }
        ClientChange::PutBack(entry) => {
            info!(%client, %entry, "put back after others rewrote the file");
        }
        ClientChange::Withdrawn(entry, hold) => {
            warn!(%client, %entry, reason = %Safe(&hold.to_string()), "withdrawn");
        }
        ClientChange::Expired(entry) => {
            info!(%client, %entry, "its time is over; STARTTLS is offered again");
        }
        ClientChange::Disarmed(entry) => {
            info!(%client, %entry, "lifted: an operator has disarmed trytlsd");
        }
        ClientChange::Cleared => debug!(%client, "its mail gets through; the count is cleared"),
    }
}

/// The change as a row of the history; none for what happens all the time.
pub(super) fn of(client: IpAddr, change: &ClientChange, at: Timestamp) -> Option<Happening> {
    let (what, detail) = match change {
        ClientChange::Candidate(weight) => {
            ("candidate", format!("{} broken within {:#}", weight.stuck, weight.span))
        }
        ClientChange::Held(hold) => ("held", super::held_words(hold)),
        ClientChange::Proposed(entry) => ("proposed", entry.to_string()),
        ClientChange::Active(entry) => ("active", entry.to_string()),
        ClientChange::Proven(proof) => ("proof", super::proof_words(proof)),
        ClientChange::Lifted(entry, until) => {
            let entry = entry.as_ref().map_or("no entry".to_owned(), ToString::to_string);
            ("lifted", format!("{entry} until {}", moment(*until)))
        }
        ClientChange::Approved(Approval { until, who, reason, .. }) => {
            ("approved", format!("until {} by {who}: {reason}", moment(*until)))
        }
        ClientChange::Refused(hold, advice) => ("refused", format!("{hold}; {advice}")),
        ClientChange::Replaced(entry) => ("replaced", entry.to_string()),
        ClientChange::Wiped(entry) => ("wiped", entry.to_string()),
        ClientChange::PutBack(entry) => ("put-back", entry.to_string()),
        ClientChange::Withdrawn(entry, hold) => ("withdrawn", format!("{entry}: {hold}")),
        ClientChange::Expired(entry) => ("expired", entry.to_string()),
        ClientChange::Disarmed(entry) => {
            ("lifted", format!("{entry}: an operator has disarmed trytlsd"))
        }
        ClientChange::Cleared => return None,
    };
    let relay = Some(format!("{CLIENT}{client}"));
    Some(Happening { at, relay, what: what.to_owned(), detail })
}
