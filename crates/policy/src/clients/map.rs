//! What is learnt of the map about clients' entries. The file is the truth of what is in force; what others did to it
//! means the same as for relays' entries (see [`crate::map`]).

use std::net::IpAddr;

use access::managed::Managed;
use access::remedy::Remedy;
use jiff::Timestamp;

use super::client::Entry;
use super::guard::{against_return, against_standing};
use super::way::{hold_back, take_all_out, take_out, weigh, write};
use super::{Became, Client, ClientChange, ClientNews, Standing, text};
use crate::hold::Hold;
use crate::input::{Change, Effect, Look, MapState, Proof};
use crate::moment::seconds;
use crate::state::State;
use crate::step::Outcome;

/// Takes what became of an edit, or what sendmail says.
pub(crate) fn hear(state: &mut State, news: ClientNews, now: Timestamp, outcome: &mut Outcome) {
    match news {
        ClientNews::Map(address, became) => on_answer(state, address, became, now, outcome),
        ClientNews::Proof(address, proof) => on_proof(state, address, proof, outcome),
    }
}

fn on_answer(
    state: &mut State,
    address: IpAddr,
    became: Became,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(client) = state.clients.table.get_mut(&text(address)) else { return };
    let tell =
        |outcome: &mut Outcome, change| outcome.changes.push(Change::Client(address, change));
    let (entry, back) = match (&client.standing, &became) {
        (Standing::Removing(_), Became::Removed) => {
            client.standing = Standing::None;
            return;
        }
        (Standing::Removing(_), _) => return, // Asked for again within a minute.
        // The late answer to an order that was given twice; the entry is on its way after it.
        (_, Became::Removed) => return,
        (Standing::Writing(entry), _) => (entry.clone(), false),
        (Standing::PuttingBack(entry), _) => (entry.clone(), true),
        _ => return,
    };
    match became {
        // Tried again within a minute; meanwhile the file may have been looked at anew.
        Became::Failed(_) | Became::Overtaken if back => client.standing = Standing::Wiped(entry),
        // Lifted meanwhile: what was written goes again.
        Became::Written if client.lifted_until > seconds(now) => {
            take_out(state, address, entry, outcome);
        }
        Became::Written => {
            client.evidence.clear();
            client.held = None;
            if back {
                state.put_back = Some(now);
                tell(outcome, ClientChange::PutBack(entry.tagged()));
            } else {
                tell(outcome, ClientChange::Active(entry.tagged()));
            }
            let name = client.name.clone();
            client.standing = Standing::Active(entry);
            outcome.effects.push(Effect::ProveClient(address, name));
        }
        Became::Withheld => {
            tell(outcome, ClientChange::Proposed(entry.tagged()));
            client.standing = Standing::Proposed(entry);
        }
        Became::Contradicted(line) => {
            client.standing = Standing::None;
            hold_back(state, address, Hold::Admins(line), outcome);
        }
        Became::Failed(why) => {
            client.standing = Standing::None;
            hold_back(state, address, Hold::MapFailed(why), outcome);
        }
        Became::Overtaken => {
            client.standing = Standing::None;
            weigh(state, address, now, outcome);
        }
        Became::Removed => {} // Said above.
    }
}

/// What is said of an entry that was taken out meanwhile says nothing of the next one.
fn on_proof(state: &mut State, address: IpAddr, proof: Proof, outcome: &mut Outcome) {
    let standing = state.clients.get(address).map(|client| client.standing.clone());
    let Some(Standing::Active(entry)) = standing else { return };
    let change = ClientChange::Proven(proof.clone());
    outcome.changes.push(Change::Client(address, change));
    let Proof::Refuted(said) = proof else { return };
    take_out(state, address, entry, outcome);
    hold_back(state, address, Hold::Refuted(said), outcome);
}

/// Takes clients' entries out of a look at the file before the relays are compared with it, and compares them.
pub(crate) fn on_look(
    state: &mut State,
    map: &mut MapState,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let (look, first) = match map {
        MapState::Loaded(look) => (look, true),
        MapState::Seen(look) => (look, false),
        _ => return,
    };
    let is_clients = |entry: &Managed| entry.remedy == Remedy::SrvFeatures;
    let (ours, relays) = std::mem::take(&mut look.ours).into_iter().partition(is_clients);
    look.ours = relays;
    compare(state, look, &ours, first, now, outcome);
    if first {
        adopt(state, ours);
        if state.is_disarmed() {
            take_all_out(state, outcome);
        }
    }
}

fn compare(
    state: &mut State,
    look: &Look,
    ours: &[Managed],
    first: bool,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let until = state.rules.hold_off_until(now);
    let has_entry =
        |client: &Client| !matches!(client.standing, Standing::None | Standing::Proposed(_));
    for address in state.clients.which(has_entry) {
        let Some(client) = state.clients.table.get_mut(&text(address)) else { continue };
        let is_there = |entry: &Entry| ours.iter().any(|managed| managed.key == entry.key);
        let admins = |entry: &Entry| look.admins.exact(&entry.tagged()).is_some();
        let mut tell = |change| outcome.changes.push(Change::Client(address, change));
        match client.standing.clone() {
            Standing::Active(entry) | Standing::Wiped(entry) if admins(&entry) => {
                tell(ClientChange::Replaced(entry.tagged()));
                client.standing = Standing::None;
                if is_there(&entry) {
                    take_out(state, address, entry, outcome);
                }
            }
            Standing::Wiped(entry) if is_there(&entry) => client.standing = Standing::Active(entry),
            Standing::Active(entry) if !is_there(&entry) => {
                if !look.block && look.rest_changed {
                    tell(ClientChange::Wiped(entry.tagged()));
                    client.standing = Standing::Wiped(entry);
                } else {
                    tell(ClientChange::Lifted(Some(entry.tagged()), until));
                    client.standing = Standing::None;
                    client.lift(until, now);
                }
            }
            // At the start: what became of an edit that was under way.
            Standing::Writing(entry) | Standing::PuttingBack(entry)
                if first && is_there(&entry) && client.lifted_until > seconds(now) =>
            {
                take_out(state, address, entry, outcome);
            }
            Standing::Writing(entry) if first => {
                let written = is_there(&entry);
                client.standing = if written { Standing::Active(entry) } else { Standing::None };
            }
            Standing::PuttingBack(entry) if first => {
                let back = is_there(&entry);
                client.standing =
                    if back { Standing::Active(entry) } else { Standing::Wiped(entry) };
            }
            Standing::Removing(entry) if first && !is_there(&entry) => {
                client.standing = Standing::None;
            }
            Standing::Removing(entry) if first => take_out(state, address, entry, outcome),
            _ => {}
        }
    }
}

/// At the start: entries in the file are in force, whether or not the ledger knew; but for those that it knows of another
/// client, and those on their way out.
fn adopt(state: &mut State, ours: Vec<Managed>) {
    for managed in ours {
        state.note_made(managed.since);
        let Ok(address) = managed.relay.parse::<IpAddr>() else { continue };
        let knows = |client: &Client| client.stays() && client.standing.has(&managed.key);
        if state.clients.table.iter().any(|(_, client)| knows(client)) {
            continue;
        }
        let client = state.clients.table.get_or_insert_with(&text(address), Client::default);
        if matches!(client.standing, Standing::None | Standing::Proposed(_)) {
            client.seen = client.seen.max(seconds(managed.since));
            let until = managed.until.map_or(0, seconds);
            client.standing = Standing::Active(Entry { key: managed.key, until });
        }
    }
}

/// What follows from a look once the admin's lines are known: entries that must not stand are taken out, and what was
/// wiped away is put back, together with the relays'.
pub(crate) fn go_on(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    for address in state.clients.which(|client| matches!(client.standing, Standing::Active(_))) {
        let Some(client) = state.clients.get(address) else { continue };
        let Standing::Active(entry) = client.standing.clone() else { continue };
        let Some(hold) = against_standing(state, address, client) else { continue };
        set_held(state, address, &hold);
        let change = ClientChange::Withdrawn(entry.tagged(), hold);
        outcome.changes.push(Change::Client(address, change));
        take_out(state, address, entry, outcome);
    }
    if state.is_halted() || !state.may_put_back(now) {
        return;
    }
    for address in state.clients.which(|client| matches!(client.standing, Standing::Wiped(_))) {
        let Some(client) = state.clients.get(address) else { continue };
        let Standing::Wiped(entry) = client.standing.clone() else { continue };
        if let Some(hold) = against_return(state, address, client) {
            if let Some(client) = state.clients.table.get_mut(&text(address)) {
                client.standing = Standing::None;
            }
            hold_back(state, address, hold, outcome);
            continue;
        }
        write(state, address, entry, "put back after others rewrote the file", now, outcome);
    }
}

fn set_held(state: &mut State, address: IpAddr, hold: &Hold) {
    if let Some(client) = state.clients.table.get_mut(&text(address)) {
        client.held = Some(hold.clone());
    }
}
