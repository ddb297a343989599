//! `trytlsd explain --client`: all that is known of a client, put to every guard as if the decision were now.

use std::net::IpAddr;

use jiff::Timestamp;
use ledger::Happening;
use policy::clients::{Client, Standing, entry_for, judge, weight};
use policy::moment::moment;

use crate::explain::{alarms, approved, evidence_of, guard, happened};
use crate::explained_client::{ExplainedClient, Standings};
use crate::glimpse::Glimpse;
use crate::verdict::missing;

/// What is known.
pub(crate) fn explain(
    glimpse: &Glimpse,
    address: IpAddr,
    history: Vec<Happening>,
    now: Timestamp,
) -> ExplainedClient {
    let state = &glimpse.state;
    let client = state.clients().get(address);
    let entry = client.and_then(|client| client.standing().entry());
    let [delivered, worked] = client.map(Client::gets_through).unwrap_or_default();
    let weighed = client.and_then(|client| weight(state, client, now));
    let rules = client.and_then(|client| policy::clients::rules_for(state.rules(), client));
    ExplainedClient {
        client: address,
        at: now,
        ledger: glimpse.has_ledger(),
        receiving: state.rules().receiving.is_some(),
        name: client.and_then(Client::name).map(str::to_owned),
        standing: client.map_or(Standings::None, |client| standing(client.standing())),
        entry: entry.map(|entry| entry.tagged().line()),
        until: entry.filter(|entry| entry.until != 0).map(|entry| moment(entry.until)),
        evidence: client
            .zip(weighed)
            .and_then(|(client, weight)| evidence_of(client.evidence(), weight)),
        last_delivery: delivered,
        last_success: worked,
        line: entry_for(state, address).map(|entry| entry.line()),
        guards: judge(state, address, now).iter().map(|opinion| guard(state, opinion)).collect(),
        approved: client.and_then(|client| client.approval(now)).map(approved),
        lifted_until: client.and_then(|client| client.lifted_until(now)).map(moment),
        alarms: alarms(state),
        missing: missing(rules.as_ref().unwrap_or(state.rules()), weighed),
        history: happened(history),
    }
}

fn standing(standing: &Standing) -> Standings {
    match standing {
        Standing::None => Standings::None,
        Standing::Proposed(_) => Standings::Proposed,
        Standing::Writing(_) | Standing::PuttingBack(_) => Standings::Writing,
        Standing::Active(_) => Standings::Active,
        Standing::Wiped(_) => Standings::Wiped,
        Standing::Removing(_) => Standings::Removing,
    }
}
