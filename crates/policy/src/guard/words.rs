//! What was said in so many words: the config's never-list, the host's own names, the admin's lines in the access file.

use access::lookup::{Entries, Hit, Tag, lookup, lookup_recipients_of};

use super::{Case, Says};
use crate::fact::Answer;
use crate::hold::{Hold, Line};

/// Of a line of the access file so much is quoted, in characters.
const QUOTED: usize = 200;

pub(super) fn never(case: &Case<'_>) -> Says {
    let never = &case.state.rules.never;
    let item = never
        .covers_relay(case.relay)
        .or_else(|| case.addresses().find_map(|address| never.covers_address(address)));
    match item {
        Some(item) => Says::Holds(Hold::Never(item.clone())),
        None => Says::Silent(format!("none of its {} items covers it", never.0.len())),
    }
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
    by_host(case, Tag::TryTls, Hold::AdminTryTls)
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
        if let (true, Some(hit)) =
            (domains.is_some_and(|domains| domains.has_more()), entries.any_tls_rcpt())
        {
            return Says::Holds(Hold::TlsRcptUnknown(quoted(&hit)));
        }
        let s = if seen.len() == 1 { "" } else { "s" };
        Says::Silent(format!("no entry for its {} domain{s} of recipients", seen.len()))
    })
}

/// What sendmail would find for the relay at any of its addresses.
fn by_host(case: &Case<'_>, tag: Tag, hold: impl Fn(Line) -> Hold) -> Says {
    with_entries(case, |entries| {
        let relay = case.relay.as_str();
        let at_address =
            || case.addresses().find_map(|address| lookup(entries, tag, relay, Some(address)));
        match at_address().or_else(|| lookup(entries, tag, relay, None)) {
            Some(hit) => Says::Holds(hold(quoted(&hit))),
            None => Says::Silent("no entry of the admin's covers it".to_owned()),
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

fn quoted(hit: &Hit<'_>) -> Line {
    let text = String::from_utf8_lossy(hit.raw);
    Line { number: hit.line_no, text: text.chars().take(QUOTED).collect::<String>().into() }
}
