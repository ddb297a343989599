//! The verdict that `scan` gives on a relay, and how much is missing until an entry.

use jiff::SignedDuration;
use policy::evidence::Weight;
use policy::record::Record;
use policy::rules::Rules;
use serde::Serialize;

use crate::tally::Relay;

/// What would become of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// It would get its entries.
    Propose,
    /// Not enough stuck attempts, or too close together.
    BelowThreshold,
    /// It failed, but no mail was stuck for it.
    NotStuck,
    /// Its TLS worked after the last failure.
    Recovered,
    /// A guard speaks.
    Held,
    /// The never-list covers it.
    Ignored,
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Propose => "propose",
            Self::BelowThreshold => "below-threshold",
            Self::NotStuck => "not-stuck",
            Self::Recovered => "recovered",
            Self::Held => "held",
            Self::Ignored => "ignored",
        }
    }
}

/// The verdict with its reason in words.
pub(crate) fn judge(
    rules: &Rules,
    name: &str,
    relay: &Relay,
    record: Option<&Record>,
) -> (Verdict, String) {
    let parsed = maillog::relay::Relay::parse(name.as_bytes());
    let never = parsed
        .and_then(|relay| rules.never.covers_relay(&relay).cloned())
        .or_else(|| relay.addresses.iter().find_map(|a| rules.never.covers_address(*a)).cloned());
    if let Some(item) = never {
        return (Verdict::Ignored, format!("the never-list has {item}"));
    }
    if let Some(record) = record {
        if let Some(hold) = record.hold() {
            let verdict = if hold.is_never() { Verdict::Ignored } else { Verdict::Held };
            return (verdict, hold.to_string());
        }
        if !record.proposed().is_empty() {
            return (Verdict::Propose, "the threshold is passed and no guard speaks".to_owned());
        }
    }
    if let Some(at) = relay.recovered {
        return (Verdict::Recovered, format!("TLS worked at {at:.0}"));
    }
    if relay.confirmed == 0 && relay.replies == 0 && relay.attempts > 0 {
        let why = "no mail was stuck: another MX took it, or it was sent in clear";
        return (Verdict::NotStuck, why.to_owned());
    }
    let at = relay.last;
    let weight = record.map(|record| record.evidence.clone().weigh(rules, at));
    (Verdict::BelowThreshold, missing(rules, weight))
}

/// How much is missing, as of the last attempt.
pub(crate) fn missing(rules: &Rules, weight: Option<Weight>) -> String {
    let (stuck, span) = weight.map_or((0, SignedDuration::ZERO), |w| (w.stuck, w.span));
    let mut wants = Vec::new();
    if stuck < rules.failures {
        wants.push(format!("{} more within {:#}", rules.failures - stuck, rules.window));
    }
    if span < rules.min_span {
        wants.push(format!("{:#} more between the first and the last", rules.min_span - span));
    }
    if wants.is_empty() {
        return "nothing is missing".to_owned();
    }
    format!("{stuck} stuck within {:#}; missing: {}", rules.window, wants.join(", "))
}
