//! What speaks against an entry for a client. The first that speaks decides; what could not be found out speaks too.
//!
//! No guard of DANE and MTA-STS is here: they are promises of receivers, and here we are the receiver.

use std::net::IpAddr;

use access::key::Key;
use access::lookup::{Entries, Hit, Tag, lookup};
use jiff::Timestamp;

use super::Client;
use super::way::weight;
use crate::evidence::Weight;
use crate::fact::Answer;
use crate::guard::{Guard, Opinion, Says, quoted};
use crate::hold::Hold;
use crate::moment::{moment, seconds};
use crate::ring::HOUR;
use crate::state::State;

/// So many known clients must fail within an hour before their share says anything.
const FEW: usize = 5;

/// What every guard is shown.
struct Case<'a> {
    state: &'a State,
    address: IpAddr,
    client: &'a Client,
    now: Timestamp,
}

/// One guard's rule: its hold, if it speaks.
type Rule = fn(&Case<'_>) -> Option<Hold>;

/// The guards, in their order, with what each says where it is silent.
const ALL: [(Guard, Rule, &str); 8] = [
    (Guard::Never, |c| never(c.state, c.address, c.client), "no item covers it"),
    (Guard::OwnHost, |c| own_host(c.state, c.address, c.client), "it is none of this host's names"),
    (
        Guard::AdminSrvFeatures,
        |c| admins(c.state, c.address, c.client),
        "no entry of the admin's covers it",
    ),
    (Guard::TlsClt, |c| tls_clt(c.state, c.address, c.client), "no TLS is required of it"),
    (
        Guard::WorkedLately,
        |c| worked_lately(c.state, c.client, c.now),
        "TLS with it has not worked lately",
    ),
    (Guard::OwnFault, |c| own_fault(c.state, c.now), "no alarm is raised"),
    (Guard::WeakEvidence, weak_evidence, "nothing that any network does"),
    (Guard::Limits, limits, "there is room"),
];

/// The first hold that no approval overrules, if there is one.
pub(super) fn against(
    state: &State,
    address: IpAddr,
    client: &Client,
    now: Timestamp,
) -> Option<Hold> {
    let case = Case { state, address, client, now };
    let approved = client.approval(now).is_some();
    let counts = |hold: &Hold| !approved || hold.overrule(state.host.dane).is_err();
    ALL.into_iter().find_map(|(_, rule, _)| rule(&case).filter(&counts))
}

/// The opinions of all guards on a client, in order. They can be asked of one that is no candidate yet, too.
pub fn judge(state: &State, address: IpAddr, now: Timestamp) -> Vec<Opinion> {
    let unknown = Client::default();
    let client = state.clients.get(address).unwrap_or(&unknown);
    let case = Case { state, address, client, now };
    let opinion = |(guard, rule, silent): (Guard, Rule, &str)| {
        let says = rule(&case).map_or_else(|| Says::Silent(silent.to_owned()), Says::Holds);
        Opinion { guard, says }
    };
    ALL.into_iter().map(opinion).collect()
}

/// What speaks against putting an entry back that others wiped away; none where that is not known.
pub(super) fn against_return(state: &State, address: IpAddr, client: &Client) -> Option<Hold> {
    let spoken = [
        never(state, address, client),
        own_host(state, address, client),
        admins(state, address, client),
        tls_clt(state, address, client),
    ];
    let known = |hold: &Hold| !matches!(hold, Hold::OwnHostUnknown(_) | Hold::AccessUnknown(_));
    spoken.into_iter().flatten().find(known)
}

/// What speaks against an entry that is in force: by now the client is on the never-list, or the admin has a line of his own
/// that covers it. Ours, the more specific one, would be found before his.
pub(super) fn against_standing(state: &State, address: IpAddr, client: &Client) -> Option<Hold> {
    if let Some(hold) = never(state, address, client) {
        return Some(hold);
    }
    let found = admins(state, address, client).or_else(|| tls_clt(state, address, client));
    found.filter(|hold| !matches!(hold, Hold::AccessUnknown(_)))
}

fn never(state: &State, address: IpAddr, client: &Client) -> Option<Hold> {
    let never = &state.rules.never;
    let by_name = || client.name.as_deref().and_then(|name| never.covers_name(name));
    never.covers_address(address).or_else(by_name).cloned().map(Hold::Never)
}

fn own_host(state: &State, address: IpAddr, client: &Client) -> Option<Hold> {
    if address.is_loopback() || address.is_unspecified() {
        return Some(Hold::OwnHost(address.to_string().into()));
    }
    match &state.host.own {
        Answer::Unknown(why) => Some(Hold::OwnHostUnknown(why.clone())),
        Answer::Known(own) => {
            client.name.clone().filter(|name| own.contains(name)).map(Hold::OwnHost)
        }
        Answer::NotAsked => None,
    }
}

/// An entry of the admin's, whatever it says, is never merged with ours: it holds.
fn admins(state: &State, address: IpAddr, client: &Client) -> Option<Hold> {
    let entries = match &state.admin {
        Answer::Known(entries) => entries,
        Answer::Unknown(why) => return Some(Hold::AccessUnknown(why.clone())),
        Answer::NotAsked => return None,
    };
    let hit = found(entries, Tag::SrvFeatures, address, client)?;
    Some(Hold::AdminSrvFeatures(quoted(&hit)))
}

/// So does one that requires TLS of the client: not offered any, it could deliver nothing.
fn tls_clt(state: &State, address: IpAddr, client: &Client) -> Option<Hold> {
    let Answer::Known(entries) = &state.admin else { return None };
    found(entries, Tag::TlsClt, address, client).map(|hit| Hold::TlsClt(quoted(&hit)))
}

/// What sendmail would find for the client; where it has not confirmed a name, it takes the address in brackets for one.
fn found<'a>(entries: &'a Entries, tag: Tag, address: IpAddr, client: &Client) -> Option<Hit<'a>> {
    match client.name.as_deref() {
        Some(name) => lookup(entries, tag, name, Some(address)),
        None => lookup(entries, tag, &format!("[{}]", Key::Address(address)), Some(address)),
    }
}

fn worked_lately(state: &State, client: &Client, now: Timestamp) -> Option<Hold> {
    let guards = &state.rules.guards;
    let at = moment(client.worked);
    if client.worked == 0 || now.duration_since(at) > guards.trusted_for {
        return None;
    }
    let failing = client.evidence.failing_for(now);
    let wanted = guards.trusted_min_span;
    (!guards.trusted_for.is_zero() && failing < wanted).then_some(Hold::ClientWorkedLately {
        at,
        failing,
        wanted,
    })
}

/// Whether it is us (our certificate, our ciphers): by known clients only, for strangers fail all day.
pub(super) fn own_fault(state: &State, now: Timestamp) -> Option<Hold> {
    if let Some(alarm) = state.own_fault() {
        return Some(Hold::OwnFault(alarm.says.clone()));
    }
    let guards = &state.rules.guards;
    let lately = |second: u32| second != 0 && seconds(now).saturating_sub(second) < HOUR;
    let (mut failing, mut working) = (0_usize, 0_usize);
    for (_, client) in state.clients.table.iter().filter(|(_, client)| client.is_known()) {
        if client.evidence.last().is_some_and(lately) {
            failing += 1;
        } else if lately(client.worked) {
            working += 1;
        }
    }
    let burst = usize::try_from(guards.burst_relays).unwrap_or(usize::MAX);
    let most = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let share = most(failing) / most(failing + working).max(1.0);
    let many = burst > 0 && failing >= burst;
    let large = guards.burst_share > 0.0 && failing >= FEW && share > guards.burst_share;
    (many || large).then(|| {
        let known = failing + working;
        let says = format!("within an hour {failing} of {known} known clients failed");
        Hold::OwnFault(says.into())
    })
}

fn weak_evidence(case: &Case<'_>) -> Option<Hold> {
    let wanted = case.state.rules.guards.weak_min_span;
    let weight = weight(case.state, case.client, case.now)?;
    let Weight { stuck, span, strong, strong_enough, .. } = weight;
    let holds = stuck > 0 && !wanted.is_zero() && !strong_enough && span < wanted;
    holds.then_some(Hold::WeakEvidence { strong, stuck, span, wanted })
}

fn limits(case: &Case<'_>) -> Option<Hold> {
    let has_entry = case.client.standing.entry().is_some();
    if has_entry { None } else { case.state.limit(1, case.now) }
}
