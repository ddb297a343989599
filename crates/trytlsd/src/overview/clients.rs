//! Clients of the receiving side.

use std::net::IpAddr;

use jiff::Timestamp;
use policy::clients::{Client, Standing};
use policy::moment::moment;
use policy::state::State;
use serde::Serialize;

/// A client with an entry, or with broken handshakes.
#[derive(Debug, Serialize)]
pub(crate) struct ClientRow {
    pub(crate) address: String,
    /// Its PTR name, if sendmail has confirmed it.
    pub(crate) name: Option<String>,
    /// `failing`, `proposed`, `active`, `changing` (on its way in or out) or `lifted`.
    pub(crate) state: &'static str,
    /// The line of the access file.
    pub(crate) line: Option<String>,
    /// Until when it stands, or stays out.
    pub(crate) until: Option<Timestamp>,
    /// Broken handshakes within the window.
    pub(crate) broken: u32,
    pub(crate) last: Option<Timestamp>,
}

pub(super) fn clients(state: &State, now: Timestamp) -> Vec<ClientRow> {
    let rows =
        state.clients().iter().filter_map(|(address, client)| row(state, address, client, now));
    let mut found: Vec<ClientRow> = rows.collect();
    found.sort_by(|a, b| (a.state, b.last, &a.address).cmp(&(b.state, a.last, &b.address)));
    found
}

fn row(state: &State, address: IpAddr, client: &Client, now: Timestamp) -> Option<ClientRow> {
    let broken = client.evidence().clone().weigh(state.rules(), now).stuck;
    let standing = client.standing();
    let lifted = client.lifted_until(now);
    let (word, until) = match standing {
        Standing::None if lifted.is_some() => ("lifted", lifted),
        Standing::None if broken == 0 => return None,
        Standing::None => ("failing", None),
        Standing::Proposed(entry) => ("proposed", entry.until()),
        Standing::Active(entry) => ("active", entry.until()),
        Standing::Writing(_)
        | Standing::Wiped(_)
        | Standing::PuttingBack(_)
        | Standing::Removing(_) => ("changing", None),
    };
    Some(ClientRow {
        address: address.to_string(),
        name: client.name().map(str::to_owned),
        state: word,
        line: standing.entry().map(|entry| entry.tagged().line()),
        until: until.map(moment),
        broken,
        last: client.evidence().last().map(moment),
    })
}
