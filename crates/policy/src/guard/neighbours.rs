//! The neighbours: an entry by address acts on every relay that sendmail reaches there, not on the one that failed alone.
//!
//! Anybody may point a name of his own at another's address. So before such an entry is made, what is known of the others
//! at that address is heard: relays on record there, the confirmed PTR names, and whether TLS has worked there lately,
//! with whatever relay. Of a relay that was never seen, and of which DNS says nothing there, nothing is known; its mail
//! would go in clear.

use std::net::IpAddr;

use access::remedy::Tagged;
use maillog::relay::Relay;

use super::{Case, Rule, Says, doubts, promises, words};
use crate::hold::Hold;
use crate::moment::moment;
use crate::record::Record;

/// What is asked of another relay: whatever rests on its name.
const OF_OTHERS: [Rule; 7] = [
    words::never,
    words::own_host,
    words::admin_try_tls,
    words::tls_rcpt,
    words::tls_srv,
    promises::dane,
    doubts::worked_lately,
];

pub(super) fn neighbours(case: &Case<'_>) -> Says {
    if !case.asked.is_located() {
        return Says::Waits("the PTR of its addresses".to_owned());
    }
    let addresses: Vec<IpAddr> = case.new_keys().iter().filter_map(Tagged::address).collect();
    if addresses.is_empty() {
        return Says::Silent("no entry by address would be new".to_owned());
    }
    let hold = addresses.iter().find_map(|address| {
        others(case, *address).or_else(|| named(case, *address)).or_else(|| worked(case, *address))
    });
    match hold {
        Some(hold) => Says::Holds(hold),
        None => Says::Silent("nothing speaks for other relays at its addresses".to_owned()),
    }
}

/// What speaks for the other relays on record at the address.
fn others(case: &Case<'_>, address: IpAddr) -> Option<Hold> {
    let there = |record: &Record| {
        record.evidence.addresses().contains(&address)
            || record.active().iter().any(|key| key.address() == Some(address))
    };
    let others = case.state.relays.iter();
    let mut others = others.filter(|(name, record)| *name != case.relay.as_str() && there(record));
    others.find_map(|(name, record)| {
        let held = record.hold().filter(|hold| hold.is_for_others());
        let hold = held.cloned().or_else(|| against(case, name));
        hold.map(|hold| Hold::Neighbour { address, name: name.into(), hold: Box::new(hold) })
    })
}

/// What speaks for those who are reached by the address's own names.
fn named(case: &Case<'_>, address: IpAddr) -> Option<Hold> {
    let mut names = case.asked.confirmed_names_of(address);
    names.find_map(|name| {
        let hold = against(case, name).filter(|_| name != case.relay.as_str())?;
        Some(Hold::Neighbour { address, name: name.into(), hold: Box::new(hold) })
    })
}

/// The first hold against an entry for a relay of this name.
fn against(case: &Case<'_>, name: &str) -> Option<Hold> {
    let relay = Relay::parse(name.as_bytes())?;
    let asked = case.asked.of_name(name);
    let other = Case { state: case.state, relay: &relay, asked: &asked, now: case.now };
    other.first(OF_OTHERS, |_| true)
}

/// TLS worked there lately, with another relay: what worked with this one is another guard's.
fn worked(case: &Case<'_>, address: IpAddr) -> Option<Hold> {
    let guards = &case.state.rules.guards;
    let there = case.state.last_success_at(address).filter(|_| !guards.trusted_for.is_zero())?;
    let own = case.state.last_success(case.relay.as_str());
    if own.is_some_and(|own| own.second >= there.second) {
        return None;
    }
    let at = moment(there.second);
    if case.now.duration_since(at) > guards.trusted_for {
        return None;
    }
    let failing = case.failing_since(there.second);
    let wanted = guards.trusted_min_span;
    (failing < wanted).then_some(Hold::WorkedThere { address, at, failing, wanted })
}
