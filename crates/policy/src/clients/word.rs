//! What an operator says of a client.

use std::net::IpAddr;

use jiff::Timestamp;

use super::guard::judge;
use super::way::{take_out, weigh};
use super::{Client, ClientChange, Standing, text};
use crate::approval::Approval;
use crate::guard::Says;
use crate::hold::Hold;
use crate::input::Change;
use crate::moment::seconds;
use crate::state::State;
use crate::step::Outcome;

/// An operator overrules what holds the client back, for a time; refused where its mail would be refused, or where an entry
/// would have no effect. A hold-off ends with it.
pub(crate) fn approve(
    state: &mut State,
    address: IpAddr,
    approval: Approval,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let lifted_at = state.clients.get(address).map_or(0, |client| client.lifted_at);
    if approval.until <= seconds(now) || approval.at < lifted_at {
        return; // It has ended, or a later word stands.
    }
    let mut tell = |change| outcome.changes.push(Change::Client(address, change));
    if let Some((hold, advice)) = refusal(state, address, now) {
        return tell(ClientChange::Refused(hold, advice));
    }
    let client = state.clients.table.get_or_insert_with(&text(address), Client::default);
    client.seen = client.seen.max(seconds(now));
    client.approved = Some(Box::new(approval.clone()));
    client.lifted_until = 0;
    tell(ClientChange::Approved(approval));
    if state.live {
        weigh(state, address, now, outcome);
    }
}

/// The hold for which an approval of the client is refused, with what to change instead.
pub fn refusal(state: &State, address: IpAddr, now: Timestamp) -> Option<(Hold, &'static str)> {
    let off = state.rules.receiving.is_none().then_some(Hold::ReceivingOff);
    let holds = judge(state, address, now).into_iter().filter_map(|opinion| match opinion.says {
        Says::Holds(hold) => Some(hold),
        Says::Silent(_) | Says::Waits(_) => None,
    });
    off.into_iter().chain(holds).find_map(|hold| {
        let advice = hold.overrule(state.host.dane).err()?;
        Some((hold, advice))
    })
}

/// The client's entry goes, if it has one, and it gets none until then, in seconds since 1970; for as long as the rules say
/// if the operator does not.
pub(crate) fn lift_on_word(
    state: &mut State,
    address: IpAddr,
    until: Option<u32>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let until = until.unwrap_or_else(|| state.rules.hold_off_until(now));
    let client = state.clients.table.get_or_insert_with(&text(address), Client::default);
    client.seen = client.seen.max(seconds(now));
    client.lift(until, now);
    let entry = match client.standing.clone() {
        // What is being written goes again when that is answered, if the word stands then.
        Standing::Writing(entry) | Standing::PuttingBack(entry) => Some(entry),
        Standing::Active(entry) => {
            take_out(state, address, entry.clone(), outcome);
            Some(entry)
        }
        Standing::Proposed(_) | Standing::Wiped(_) => {
            client.standing = Standing::None;
            None
        }
        Standing::None | Standing::Removing(_) => None,
    };
    let entry = entry.map(|entry| entry.tagged());
    outcome.changes.push(Change::Client(address, ClientChange::Lifted(entry, until)));
}

impl Client {
    /// Its entry was lifted by hand: there is none until then, and what was said before counts no more.
    pub(super) fn lift(&mut self, until: u32, now: Timestamp) {
        self.evidence.clear();
        (self.approved, self.held) = (None, None);
        (self.lifted_at, self.lifted_until) = (seconds(now), until);
    }
}

/// A hold-off or an approval that has ended is forgotten: the client may leave like any other.
pub(crate) fn end_terms(state: &mut State, now: Timestamp) {
    let ended = |client: &Client| {
        (client.lifted_until != 0 && client.lifted_until(now).is_none())
            || (client.approved.is_some() && client.approval(now).is_none())
    };
    for address in state.clients.which(ended) {
        let Some(client) = state.clients.table.get_mut(&text(address)) else { continue };
        client.lifted_until = client.lifted_until(now).unwrap_or(0);
        client.approved = client.approved.take().filter(|a| seconds(now) < a.until);
    }
}
