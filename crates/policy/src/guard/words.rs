//! What was said in so many words: the config's never-list, the host's own names, the admin's lines in the access file.

use access::lookup::{Entries, Hit, Tag, lookup, lookup_dotted, lookup_recipients_of};

use super::{Case, Says};
use crate::fact::Answer;
use crate::hold::{Hold, Line};
use crate::remedy::RelayRemedy;

/// Of a line of the access file so much is quoted, in characters.
const QUOTED: usize = 200;

pub(super) fn never(case: &Case<'_>) -> Says {
    let never = &case.state.rules.never;
    let item = never
        .covers_relay(case.relay)
        .or_else(|| case.addresses().into_iter().find_map(|address| never.covers_address(address)));
    if let Some(item) = item {
        return Says::Holds(Hold::Never(item.clone()));
    }
    let unknown = never.has_networks().then(|| addresses_unknown(case)).flatten();
    unknown
        .unwrap_or_else(|| Says::Silent(format!("none of its {} items covers it", never.0.len())))
}

pub(super) fn own_host(case: &Case<'_>) -> Says {
    match &case.state.host.own {
        Answer::Unknown(why) => Says::Holds(Hold::OwnHostUnknown(why.clone())),
        Answer::NotAsked => Says::Silent("not asked".to_owned()),
        Answer::Known(_) if case.state.host.is_own(case.relay) => {
            Says::Holds(Hold::OwnHost(case.relay.as_str().into()))
        }
        Answer::Known(own) => match case.asked.confirmed_names().find(|name| own.contains(*name)) {
            // Its forward zone is ours, so this is no lie: mail comes back to us by one of our addresses.
            Some(name) => Says::Holds(Hold::OwnHost(name.into())),
            None => Says::Silent(format!("it is none of the {} names", own.len())),
        },
    }
}

pub(super) fn admin_try_tls(case: &Case<'_>) -> Says {
    if let Answer::Unknown(why) = &case.state.admin {
        return Says::Holds(Hold::AccessUnknown(why.clone()));
    }
    match (by_host(case, Tag::TryTls, Hold::AdminTryTls), case.remedy()) {
        (Says::Silent(_), RelayRemedy::Fallback) => {
            by_host(case, Tag::TlsCltFeatures, Hold::AdminCltFeatures)
        }
        (says, _) => says,
    }
}

pub(super) fn tls_srv(case: &Case<'_>) -> Says {
    by_host(case, Tag::TlsSrv, Hold::TlsSrv)
}

pub(super) fn tls_rcpt(case: &Case<'_>) -> Says {
    with_entries(case, |entries| {
        let domains = case.state.record(case.relay.as_str()).and_then(|record| record.domains());
        let seen = domains.map_or(&[][..], |domains| domains.list());
        // Where no recipient was seen, the entries for all recipients still count.
        let nobody: [Box<str>; 1] = ["".into()];
        let asked = if seen.is_empty() { &nobody[..] } else { seen };
        let hit =
            asked.iter().find_map(|domain| Some((domain, lookup_recipients_of(entries, domain)?)));
        if let Some((domain, hit)) = hit {
            return Says::Holds(Hold::TlsRcpt { domain: domain.clone(), line: quoted(&hit) });
        }
        let is_known = domains.is_some_and(|d| !d.list().is_empty() && !d.has_more());
        let unknown = case.record().is_some() && !is_known;
        if let (true, Some(hit)) = (unknown, entries.any_tls_rcpt()) {
            return Says::Holds(Hold::TlsRcptUnknown(quoted(&hit)));
        }
        let s = if seen.len() == 1 { "" } else { "s" };
        Says::Silent(format!("no entry for its {} domain{s} of recipients", seen.len()))
    })
}

/// Where no address was seen and none could be found out, what is said of addresses may cover it.
fn addresses_unknown(case: &Case<'_>) -> Option<Says> {
    match &case.asked.addresses {
        Some((_, Some(Answer::Unknown(why)))) => {
            Some(Says::Holds(Hold::AddressesUnknown(why.clone())))
        }
        Some((name, None)) => Some(Says::Waits(format!("the addresses of {name}"))),
        _ => None,
    }
}

/// What sendmail would find for the relay at any of its addresses.
fn by_host(case: &Case<'_>, tag: Tag, hold: impl Fn(Line) -> Hold) -> Says {
    with_entries(case, |entries| {
        let relay = case.relay.as_str();
        let addresses = case.addresses();
        let mut addresses = addresses.into_iter();
        let mut at_address = || addresses.find_map(|a| lookup(entries, tag, relay, Some(a)));
        let unknown = entries.any_by_address(tag).then(|| addresses_unknown(case)).flatten();
        // Whether lookupdotdomain is on is not asked: the admin means something by such an entry.
        let at_name =
            || lookup(entries, tag, relay, None).or_else(|| lookup_dotted(entries, tag, relay));
        match at_address().or_else(at_name) {
            Some(hit) => Says::Holds(hold(quoted(&hit))),
            None => unknown
                .unwrap_or_else(|| Says::Silent("no entry of the admin's covers it".to_owned())),
        }
    })
}

/// An access file that is unknown is the matter of the first of these guards.
fn with_entries(case: &Case<'_>, opinion: impl Fn(&Entries) -> Says) -> Says {
    match &case.state.admin {
        Answer::Known(entries) => opinion(entries),
        Answer::Unknown(why) => Says::Holds(Hold::AccessUnknown(why.clone())),
        Answer::NotAsked => Says::Silent("not asked".to_owned()),
    }
}

pub(crate) fn quoted(hit: &Hit<'_>) -> Line {
    let text = String::from_utf8_lossy(hit.raw);
    Line { number: hit.line_no, text: text.chars().take(QUOTED).collect::<String>().into() }
}
