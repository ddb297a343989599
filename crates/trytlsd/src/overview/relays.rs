//! Relays with an entry, with one that dry run has shown, or with one that was lifted.

use access::remedy::Tagged;
use jiff::Timestamp;
use policy::life::Life;
use policy::moment::moment;
use policy::record::Record;
use policy::remedy::RelayRemedy;
use policy::state::State;
use serde::Serialize;

use crate::happening::probe_words;

/// A relay's entries in force.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) relay: String,
    /// The lines of the access file.
    pub(crate) lines: Vec<String>,
    /// What they do: `Try_TLS`, no TLS with the relay.
    pub(crate) remedy: &'static str,
    /// Why: who approved it and with which reason; else that the threshold was passed.
    pub(crate) reason: String,
    pub(crate) since: Timestamp,
    /// None: for ever.
    pub(crate) until: Option<Timestamp>,
    /// How often sendmail has used them, and when last.
    pub(crate) hits: u32,
    pub(crate) last_used: Option<Timestamp>,
    pub(crate) last_probe: Option<Timestamp>,
    /// What it found, in words.
    pub(crate) found: Option<String>,
    pub(crate) next_probe: Option<Timestamp>,
    /// What became of the mail in clear.
    pub(crate) sent: u32,
    pub(crate) deferred: u32,
    pub(crate) failed: u32,
}

/// What dry run has shown.
#[derive(Debug, Serialize)]
pub(crate) struct Proposed {
    pub(crate) relay: String,
    pub(crate) lines: Vec<String>,
    pub(crate) since: Timestamp,
}

/// A relay whose entry was lifted.
#[derive(Debug, Serialize)]
pub(crate) struct Lifted {
    pub(crate) relay: String,
    /// `held`: it gets no entry; `probation`: it may return at once.
    pub(crate) state: &'static str,
    pub(crate) until: Timestamp,
}

pub(super) fn entries(state: &State) -> Vec<Entry> {
    let with = state.records().filter(|(_, record)| !record.active().is_empty());
    let mut found: Vec<Entry> = with.map(|(relay, record)| entry(relay, record)).collect();
    found.sort_by(|a, b| (b.since, &a.relay).cmp(&(a.since, &b.relay)));
    found
}

fn entry(relay: &str, record: &Record) -> Entry {
    let life = record.life();
    let some = |second: u32| (second != 0 && second != u32::MAX).then(|| moment(second));
    let count = |of: fn(&Life) -> u32| life.map_or(0, of);
    let since = moment(record.since());
    let reason = match record.approval(since) {
        Some(approval) => format!("approved by {}: {}", approval.who, approval.reason),
        None => "the threshold was passed and no guard spoke".to_owned(),
    };
    Entry {
        relay: relay.to_owned(),
        lines: record.active().iter().map(Tagged::line).collect(),
        remedy: record.active().first().and_then(RelayRemedy::of).map_or("", remedy),
        reason,
        since,
        until: life.and_then(|life| some(life.until)),
        hits: count(|life| life.hits),
        last_used: life.and_then(|life| some(life.used)),
        last_probe: life.and_then(|life| life.last.as_ref()).map(|(at, _)| moment(*at)),
        found: life.and_then(|life| life.last.as_ref()).map(|(_, probed)| probe_words(probed)),
        next_probe: life.and_then(|life| some(life.next)),
        sent: count(|life| life.sent),
        deferred: count(|life| life.deferred),
        failed: count(|life| life.failed),
    }
}

/// What the entries do, in the words of the config.
fn remedy(remedy: RelayRemedy) -> &'static str {
    match remedy {
        RelayRemedy::TryTls => "try_tls",
        RelayRemedy::Fallback => "fallback",
    }
}

pub(super) fn proposed(state: &State) -> Vec<Proposed> {
    let with = state.records().filter(|(_, record)| !record.proposed().is_empty());
    let mut found: Vec<Proposed> = with
        .map(|(relay, record)| Proposed {
            relay: relay.to_owned(),
            lines: record.proposed().iter().map(Tagged::line).collect(),
            since: moment(record.since()),
        })
        .collect();
    found.sort_by(|a, b| (b.since, &a.relay).cmp(&(a.since, &b.relay)));
    found
}

pub(super) fn lifted(state: &State, now: Timestamp) -> Vec<Lifted> {
    let mut found = Vec::new();
    for (relay, record) in state.records() {
        let mut push = |state, until| {
            found.push(Lifted { relay: relay.to_owned(), state, until: moment(until) });
        };
        if let Some(until) = record.lifted_until().filter(|until| moment(*until) > now) {
            push("held", until);
        } else if let Some(probation) = record.probation(now) {
            push("probation", probation.until);
        }
    }
    found.sort_by(|a, b| (a.until, &a.relay).cmp(&(b.until, &b.relay)));
    found
}
