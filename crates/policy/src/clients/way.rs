//! A client's way from broken handshakes to an entry.

use std::net::IpAddr;

use access::key::Key;
use access::managed::Managed;
use access::remedy::{Remedy, Tagged};
use jiff::Timestamp;
use maillog::event::{Cause, Client as Logged, What};
use maillog::relay::is_plain_name;

use super::client::{Entry, Sign};
use super::{Client, ClientChange, ClientEdit, ClientKey, Standing, guard, text};
use crate::evidence::{Strength, Weight};
use crate::hold::Hold;
use crate::input::{Change, Effect};
use crate::moment::{moment, seconds, whole};
use crate::ring::HOUR;
use crate::rules::Rules;
use crate::state::State;
use crate::step::Outcome;

/// What OpenSSL says of a client that speaks HTTP: a scanner, a browser.
const HTTP: [&str; 2] = ["http request", "https proxy request"];

/// Takes what the log says of clients.
pub(crate) fn on_event(state: &mut State, what: &What<'_>, now: Timestamp, outcome: &mut Outcome) {
    if state.rules.receiving.is_none() {
        return;
    }
    match what {
        What::ClientFailed(client, cause) => failed(state, client, cause, now, outcome),
        What::ClientSucceeded(client) => {
            gets_through(state, client.address, Sign::Handshake, now, outcome);
        }
        What::ClientDelivered(client) => {
            gets_through(state, client.address, Sign::Mail, now, outcome);
        }
        _ => {}
    }
}

fn failed(
    state: &mut State,
    logged: &Logged<'_>,
    cause: &Cause<'_>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    if HTTP.contains(&&*cause.reason) {
        return;
    }
    let window = state.rules.window;
    let address = logged.address.to_canonical();
    let client = state.clients.table.get_or_insert_with(&text(address), Client::default);
    client.seen = client.seen.max(seconds(now));
    client.evidence.add(now, None, Strength::of(Some(cause)), window);
    let confirmed = logged.name.as_deref().filter(|_| !logged.may_be_forged);
    let name = confirmed.filter(|name| is_plain_name(name)).map(str::to_ascii_lowercase);
    client.name = name.map(Into::into);
    if state.live {
        weigh(state, address, now, outcome);
    }
}

/// TLS with it works, or its mail comes in without: nothing is wanted for it. The row is touched at most once an hour for
/// it, since every message that comes in says so.
fn gets_through(
    state: &mut State,
    address: IpAddr,
    sign: Sign,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let (row, second) = (text(address), seconds(now));
    if let Some(client) = state.clients.table.get(&row)
        && client.evidence.is_empty()
        && second < client.last(sign).saturating_add(HOUR)
    {
        return;
    }
    let client = state.clients.table.get_or_insert_with(&row, Client::default);
    client.seen = client.seen.max(second);
    client.gave(sign, second);
    if client.evidence.last().is_none_or(|last| last > second) {
        return; // None, or of an older log: it failed after that.
    }
    client.evidence.clear();
    client.held = None;
    if let Standing::Proposed(_) = client.standing {
        client.standing = Standing::None;
    }
    outcome.changes.push(Change::Client(address, ClientChange::Cleared));
}

/// Goes on with a client that has no entry, if there is enough against it.
pub(super) fn weigh(state: &mut State, address: IpAddr, now: Timestamp, outcome: &mut Outcome) {
    if state.is_halted() {
        return; // When it ends.
    }
    let Some(receiving) = state.rules.receiving.clone() else { return };
    let row = text(address);
    let Some(client) = state.clients.table.get(&row) else { return };
    let idle = client.standing == Standing::None && client.lifted_until(now).is_none();
    if !idle || matches!(client.held, Some(Hold::Refuted(_))) {
        return;
    }
    let client = client.clone();
    let Some(weight) = weight(state, &client, now) else { return };
    if !weight.enough {
        return;
    }
    let key = key(state, address, client.name.as_deref(), receiving.key);
    if is_anothers(state, address, &client, &key, now) {
        return;
    }
    if client.held.is_none() {
        outcome.changes.push(Change::Client(address, ClientChange::Candidate(weight)));
    }
    if let Some(hold) = guard::against(state, address, &client, now) {
        return hold_back(state, address, hold, outcome);
    }
    let until = now.saturating_add(receiving.ttl).unwrap_or(Timestamp::MAX);
    let entry = Entry { key, until: seconds(until) };
    let who = client.name.map_or(String::new(), |name| format!(" ({name})"));
    let by = client.approved.map_or("", |_| ", approved by an operator");
    let (count, span) = (weight.stuck, weight.span);
    let why = format!("{count} broken handshakes of a client within {span:#}{who}{by}");
    write(state, address, entry, &why, now, outcome);
}

/// What counts against it; none while the receiving side is off.
pub fn weight(state: &State, client: &Client, now: Timestamp) -> Option<Weight> {
    let rules = rules_for(&state.rules, client)?;
    Some(client.evidence.clone().weigh(&rules, now))
}

/// The rules that its count is weighed by: one that is known by its mail needs no more than a relay, a stranger must have
/// tried for hours. None while the receiving side is off.
pub fn rules_for(rules: &Rules, client: &Client) -> Option<Rules> {
    let min_span = rules.receiving.as_ref()?.min_span;
    let min_span = if client.is_known() { rules.min_span } else { min_span };
    Some(Rules { min_span, ..rules.clone() })
}

/// The entry that the client would get; none while the receiving side is off.
pub fn entry_for(state: &State, address: IpAddr) -> Option<Tagged> {
    let which = state.rules.receiving.as_ref()?.key;
    let name = state.clients.get(address).and_then(|client| client.name.as_deref());
    Some(Tagged::srv_features(key(state, address, name, which)))
}

/// The key: the address, or a name that sendmail has confirmed and that covers nobody else.
fn key(state: &State, address: IpAddr, name: Option<&str>, which: ClientKey) -> Key {
    let covers = |name: &str| name.split('.').count() <= 2 || state.rules.never.has_below(name);
    let name = name.filter(|name| which == ClientKey::Name && !covers(name));
    name.and_then(|name| Key::name(name).ok()).unwrap_or(Key::Address(address.to_canonical()))
}

/// Whether the name is that of another client which has the entry, or whose entry was taken out by hand: it is one for
/// all of that name, and has one owner.
fn is_anothers(state: &State, address: IpAddr, client: &Client, key: &Key, now: Timestamp) -> bool {
    let Key::Name(_) = key else { return false };
    let row = text(address);
    let has = |other: &Client| {
        let lifted = other.lifted_until(now).is_some() && other.name == client.name;
        lifted || other.standing.has(key)
    };
    state.clients.table.iter().any(|(of, other)| of != row && has(other))
}

/// Has the entry written.
pub(super) fn write(
    state: &mut State,
    address: IpAddr,
    entry: Entry,
    why: &str,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(client) = state.clients.table.get_mut(&text(address)) else { return };
    let managed = Managed {
        remedy: Remedy::SrvFeatures,
        key: entry.key.clone(),
        relay: text(address).into(),
        why: why.to_owned(),
        since: whole(now),
        until: (entry.until != 0).then(|| moment(entry.until)),
    };
    if let Standing::Wiped(_) = client.standing {
        client.standing = Standing::PuttingBack(entry);
    } else {
        client.standing = Standing::Writing(entry);
        state.made.push_back(seconds(now));
    }
    outcome.effects.push(Effect::EditClient(ClientEdit::Add(address, managed)));
}

/// Holds it back, and says so if it is news.
pub(super) fn hold_back(state: &mut State, address: IpAddr, hold: Hold, outcome: &mut Outcome) {
    let Some(client) = state.clients.table.get_mut(&text(address)) else { return };
    let told = client.held.replace(hold.clone()).is_some_and(|held| held.is_like(&hold));
    if !told {
        outcome.changes.push(Change::Client(address, ClientChange::Held(hold)));
    }
}

/// Has the entry taken out.
pub(super) fn take_out(state: &mut State, address: IpAddr, entry: Entry, outcome: &mut Outcome) {
    let Some(client) = state.clients.table.get_mut(&text(address)) else { return };
    let tagged = entry.tagged();
    client.standing = Standing::Removing(entry);
    outcome.effects.push(Effect::EditClient(ClientEdit::Remove(address, tagged)));
}

/// Whatever of ours is in force, on its way, or to be put back goes.
pub(crate) fn take_all_out(state: &mut State, outcome: &mut Outcome) {
    for address in state.clients.which(|client| client.standing.entry().is_some()) {
        let Some(client) = state.clients.table.get_mut(&text(address)) else { continue };
        match std::mem::take(&mut client.standing) {
            Standing::Active(entry) => {
                let disarmed = ClientChange::Disarmed(entry.tagged());
                outcome.changes.push(Change::Client(address, disarmed));
                take_out(state, address, entry, outcome);
            }
            // Its writing may be under way: to take out what is not there does nothing.
            Standing::Writing(entry) | Standing::PuttingBack(entry) => {
                take_out(state, address, entry, outcome);
            }
            _ => {}
        }
    }
}

/// The log has been read up to its end: what was gathered is judged.
pub(crate) fn resume(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    for address in state.clients.which(|client| !client.evidence.is_empty()) {
        weigh(state, address, now, outcome);
    }
}

/// What dry run has shown goes through the guards again.
pub(crate) fn arm(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    if state.is_halted() {
        return; // When that ends.
    }
    for address in state.clients.which(|client| matches!(client.standing, Standing::Proposed(_))) {
        if let Some(client) = state.clients.table.get_mut(&text(address)) {
            client.standing = Standing::None;
        }
        weigh(state, address, now, outcome);
    }
}

/// Time passed: entries end.
pub(crate) fn tick(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    if state.is_halted() {
        return;
    }
    let second = seconds(now);
    let over = |client: &Client| match &client.standing {
        Standing::Active(entry) => entry.until != 0 && entry.until <= second,
        _ => false,
    };
    for address in state.clients.which(over) {
        let Some(client) = state.clients.table.get_mut(&text(address)) else { continue };
        if let Standing::Active(entry) = client.standing.clone() {
            let expired = ClientChange::Expired(entry.tagged());
            outcome.changes.push(Change::Client(address, expired));
            take_out(state, address, entry, outcome);
        }
    }
}

/// Once a minute: what could not be taken out is asked for again, what a passing state of things has held is weighed anew.
pub(crate) fn retry(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    for address in state.clients.which(|client| matches!(client.standing, Standing::Removing(_))) {
        let Some(client) = state.clients.get(address) else { continue };
        if let Standing::Removing(entry) = client.standing.clone() {
            take_out(state, address, entry, outcome);
        }
    }
    let own_fault = guard::own_fault(state, now).is_some();
    let full = state.limit(1, now).is_some();
    let passed = |client: &Client| match &client.held {
        Some(Hold::MapFailed(_)) => true,
        Some(Hold::OwnFault(_)) => !own_fault,
        Some(Hold::EntriesLimit(..) | Hold::HourLimit(..)) => !full,
        _ => false,
    };
    for address in state.clients.which(passed) {
        weigh(state, address, now, outcome);
    }
}
