//! What the other side has promised the world: that TLS works with it, and that mail must not come without.

use super::{Case, Says};
use crate::fact::{Answer, Sts, StsMode, Tlsa};
use crate::hold::Hold;
use crate::moment::{moment, seconds};

/// For how long sendmail's own warning holds, in seconds: a month.
const WARNING_HOLDS: u32 = 30 * 86_400;

pub(super) fn dane(case: &Case<'_>) -> Says {
    let warned = case.state.record(case.relay.as_str()).and_then(|record| record.dane_warned());
    if let Some(warned) = warned
        && seconds(case.now).saturating_sub(warned) < WARNING_HOLDS
    {
        return Says::Holds(Hold::DaneWarned(moment(warned)));
    }
    if case.asked.tlsa.is_empty() {
        return Says::Silent("an address literal has no TLSA records".to_owned());
    }
    let mut waits = None;
    let mut unknown = None;
    let mut facts = Vec::new();
    for (name, answer) in &case.asked.tlsa {
        match answer {
            None => waits = waits.or_else(|| Some(format!("TLSA of {name}"))),
            Some(Answer::Known(Tlsa::Secure)) => {
                return Says::Holds(Hold::DaneSecure(name.clone()));
            }
            Some(Answer::Known(Tlsa::Insecure)) => {
                facts.push(format!("{name} has TLSA records, but its zone is not signed"));
            }
            Some(Answer::Known(Tlsa::Absent)) => facts.push(format!("{name} has no TLSA records")),
            Some(Answer::Unknown(why)) => {
                unknown = unknown.or_else(|| Some(Hold::DaneUnknown(why.clone())));
            }
            Some(Answer::NotAsked) => facts.push(format!("{name} was not asked about")),
        }
    }
    if let Some(hold) = unknown {
        return Says::Holds(hold);
    }
    match waits {
        Some(question) => Says::Waits(question),
        None => Says::Silent(facts.join(", ")),
    }
}

pub(super) fn mta_sts(case: &Case<'_>) -> Says {
    let mut waits = None;
    let mut unknown = None;
    let mut facts = Vec::new();
    for (domain, answer) in &case.asked.sts {
        match answer {
            None => waits = waits.or_else(|| Some(format!("MTA-STS of {domain}"))),
            Some(Answer::Known(Some(Sts { mode: StsMode::Enforce, .. }))) => {
                return Says::Holds(Hold::StsEnforced(domain.clone()));
            }
            Some(Answer::Known(Some(Sts { mode: StsMode::Testing, fetched, .. }))) => {
                facts.push(format!("{domain}: mode testing, as of {fetched:.0}"));
            }
            Some(Answer::Known(Some(Sts { mode: StsMode::None, fetched, .. }))) => {
                facts.push(format!("{domain}: mode none, as of {fetched:.0}"));
            }
            Some(Answer::Known(None)) => facts.push(format!("{domain}: no policy")),
            Some(Answer::Unknown(why)) => {
                unknown = unknown.or_else(|| Some(Hold::StsUnknown(domain.clone(), why.clone())));
            }
            Some(Answer::NotAsked) => facts.push(format!("{domain}: not asked")),
        }
    }
    if let Some(hold) = unknown {
        return Says::Holds(hold);
    }
    let domains = case.state.record(case.relay.as_str()).and_then(|record| record.domains());
    if domains.is_some_and(|domains| domains.has_more()) {
        return Says::Holds(Hold::StsTooMany);
    }
    if let Some(question) = waits {
        return Says::Waits(question);
    }
    if facts.is_empty() {
        return Says::Silent("no recipient's domain is known".to_owned());
    }
    Says::Silent(facts.join(", "))
}
