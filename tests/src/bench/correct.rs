//! Whether what was counted is what is in the log.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::logs::Log;
use super::table::Row;
use super::tools::Tool;
use crate::generate::{Relay, Truth};

/// What a program said of a log.
#[derive(Debug)]
pub(super) enum Findings {
    /// The report of trytlsd.
    Report(Report),
    /// A number of lines of the two kinds of a failure.
    Failures(u64),
    /// A number of lines of these kinds and of successes.
    All(u64),
}

/// `trytlsd scan --json`, as far as it is compared.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    lines: u64,
    bytes: u64,
    relays: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    relay: String,
    attempts: u64,
    confirmed: u64,
    entries: Vec<String>,
}

impl Findings {
    pub(super) fn of(row: &Row) -> Result<Self> {
        let count = || row.count().with_context(|| format!("{} gave no number", row.tool.name()));
        Ok(match row.tool {
            Tool::Trytlsd => Self::Report(
                serde_json::from_slice(&row.cost.output).context("the report of trytlsd")?,
            ),
            Tool::RgTwo | Tool::Grep => Self::Failures(count()?),
            Tool::RgAllPatterns | Tool::RgAllWords => Self::All(count()?),
        })
    }

    /// What is wrong with them, in words.
    pub(super) fn errors(&self, log: &Log) -> Vec<String> {
        let truth = &log.truth;
        let number = |got: u64, expect: u64| match truth.hostile {
            // A search cannot tell an imitation: it may count too much, and only too much.
            0 if got != expect => vec![format!("{got} lines, and there are {expect}")],
            _ if got < expect => vec![format!("{got} lines, and there are {expect} at least")],
            _ => Vec::new(),
        };
        let failures = truth.attempts + truth.confirmed;
        match self {
            Self::Failures(got) => number(*got, failures),
            Self::All(got) => number(*got, failures + truth.successes),
            Self::Report(report) => report.errors(truth),
        }
    }
}

impl Report {
    fn errors(&self, truth: &Truth) -> Vec<String> {
        let mut errors = Vec::new();
        for (what, got, expect) in
            [("lines", self.lines, truth.lines), ("bytes", self.bytes, truth.bytes)]
        {
            if got != expect {
                errors.push(format!("{got} {what}, and there are {expect}"));
            }
        }
        let found: BTreeMap<&str, Relay> = self
            .relays
            .iter()
            .map(|Listed { relay, attempts, confirmed, .. }| {
                (relay.as_str(), Relay { attempts: *attempts, confirmed: *confirmed })
            })
            .collect();
        for (relay, expect) in &truth.relays {
            match found.get(relay.as_str()) {
                Some(got) if got == expect => {}
                got => errors.push(format!("{relay}: {got:?}, and the truth is {expect:?}")),
            }
        }
        for listed in &self.relays {
            if truth.relays.contains_key(&listed.relay) {
                continue;
            }
            let imitated = truth.imitated.contains(&listed.relay);
            errors.push(format!(
                "{} never failed{}, and has {} attempts and the entries {:?}",
                listed.relay,
                if imitated { " (imitations name it)" } else { "" },
                listed.attempts,
                listed.entries,
            ));
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Spec;

    #[test]
    fn errors() {
        let mut truth = Truth { lines: 9, bytes: 99, ..Truth::default() };
        truth.relays.insert("mx.a.example".to_owned(), Relay { attempts: 2, confirmed: 1 });
        truth.imitated.insert("mx.v.example".to_owned());
        (truth.attempts, truth.confirmed, truth.successes) = (2, 1, 4);
        let mut log = Log { path: "x".into(), spec: Spec::default(), truth };
        let report = |lines: u64, relay: &str, confirmed: u64| {
            Findings::Report(Report {
                lines,
                bytes: 99,
                relays: vec![Listed {
                    relay: relay.to_owned(),
                    attempts: 2,
                    confirmed,
                    entries: Vec::new(),
                }],
            })
        };
        let check = |findings: Findings, log: &Log, expect: usize| {
            let errors = findings.errors(log);
            assert_eq!(errors.len(), expect, "{errors:?}");
        };
        check(report(9, "mx.a.example", 1), &log, 0);
        check(report(8, "mx.a.example", 1), &log, 1);
        check(report(9, "mx.a.example", 2), &log, 1);
        check(report(9, "mx.v.example", 1), &log, 2);
        check(Findings::Failures(3), &log, 0);
        check(Findings::Failures(4), &log, 1);
        check(Findings::All(7), &log, 0);
        log.truth.hostile = 5;
        check(Findings::Failures(4), &log, 0);
        check(Findings::Failures(2), &log, 1);
    }
}
