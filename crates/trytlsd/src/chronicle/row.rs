//! One relay in the span: since when, for how long TLS was off with it, and what was done.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::overview::{Happened, Overview};

/// A relay, or `client <address>`.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) relay: String,
    /// `TLS off`, `held`, `stuck`, `proposed`, `lifted` or `quiet`.
    pub(crate) state: &'static str,
    /// When TLS was off with it.
    pub(crate) off: Vec<Off>,
    /// For how long in all, within the span, in seconds.
    pub(crate) off_for: i64,
    /// What holds it now.
    pub(crate) held: Option<String>,
    /// Messages that wait now; a least number if `waiting_at_least`.
    pub(crate) waiting: usize,
    pub(crate) waiting_at_least: bool,
    /// When the oldest of them came.
    pub(crate) oldest: Option<Timestamp>,
    /// What became of the mail of its entry, if that is in force.
    pub(crate) sent: u32,
    pub(crate) deferred: u32,
    pub(crate) failed: u32,
    /// What was decided and done, the oldest first.
    pub(crate) done: Vec<Done>,
}

/// A time without TLS.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Off {
    pub(crate) from: Timestamp,
    /// None: it still is.
    pub(crate) to: Option<Timestamp>,
}

/// Something that was done.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Done {
    pub(crate) at: Timestamp,
    pub(crate) what: String,
    pub(crate) detail: String,
}

impl Done {
    pub(crate) fn of(row: &Happened) -> Self {
        Self { at: row.at, what: row.what.clone(), detail: row.detail.clone() }
    }
}

impl Row {
    /// Whether TLS is off with it now.
    pub(crate) fn is_off(&self) -> bool {
        self.off.last().is_some_and(|off| off.to.is_none())
    }

    fn new(relay: &str) -> Self {
        Self {
            relay: relay.to_owned(),
            state: "quiet",
            off: Vec::new(),
            off_for: 0,
            held: None,
            waiting: 0,
            waiting_at_least: false,
            oldest: None,
            sent: 0,
            deferred: 0,
            failed: 0,
            done: Vec::new(),
        }
    }

    /// Takes what happened into account: an entry that comes turns TLS off, one that goes on.
    fn take(&mut self, happened: &Happened, since: Timestamp) {
        match happened.what.as_str() {
            "active" | "put-back" if !self.is_off() => {
                self.off.push(Off { from: happened.at, to: None });
            }
            "lifted" | "withdrawn" | "replaced" | "wiped" | "expired" => {
                match self.off.last_mut() {
                    Some(off) if off.to.is_none() => off.to = Some(happened.at),
                    Some(_) => {}
                    // It was in force before the span began. One that was lifted without an entry had none.
                    None if happened.what != "lifted" || names_a_line(&happened.detail) => {
                        self.off.push(Off { from: since, to: Some(happened.at) });
                    }
                    None => {}
                }
            }
            "probed" | "proof" => return,
            _ => {}
        }
        self.done.push(Done::of(happened));
    }
}

/// Whether the detail begins with keys: of one that was lifted before it had an entry it begins with a blank.
fn names_a_line(detail: &str) -> bool {
    detail.starts_with(|c: char| !c.is_whitespace() && c != ':')
}

/// All of which anything is told since then; those with TLS off the longest on top.
pub(super) fn rows(overview: &Overview, since: Timestamp) -> Vec<Row> {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for happened in &overview.happened {
        if let Some(relay) = happened.relay.as_deref() {
            rows.entry(relay).or_insert_with(|| Row::new(relay)).take(happened, since);
        }
    }
    for stuck in &overview.stuck {
        let row = rows.entry(&stuck.relay).or_insert_with(|| Row::new(&stuck.relay));
        (row.state, row.waiting) = ("stuck", stuck.messages);
        (row.waiting_at_least, row.oldest) = (stuck.messages_at_least, stuck.oldest);
    }
    for proposed in &overview.proposed {
        rows.entry(&proposed.relay).or_insert_with(|| Row::new(&proposed.relay)).state = "proposed";
    }
    for held in &overview.holds {
        let row = rows.entry(&held.relay).or_insert_with(|| Row::new(&held.relay));
        (row.state, row.held) = ("held", Some(held.says.clone()));
    }
    for entry in &overview.entries {
        let row = rows.entry(&entry.relay).or_insert_with(|| Row::new(&entry.relay));
        if !row.is_off() {
            row.off.push(Off { from: entry.since.max(since), to: None });
        }
        (row.sent, row.deferred, row.failed) = (entry.sent, entry.deferred, entry.failed);
    }
    let clients = overview.clients.iter().filter(|row| row.state == "active");
    let clients = clients.map(|row| format!("client {}", row.address));
    let in_force: BTreeSet<String> =
        overview.entries.iter().map(|entry| entry.relay.clone()).chain(clients).collect();
    let mut found: Vec<Row> = rows.into_values().collect();
    for row in &mut found {
        // One that is not in force any more ended at the last that is known of it.
        if row.is_off() && !in_force.contains(&row.relay) {
            let last = row.done.last().map_or(since, |done| done.at);
            if let Some(off) = row.off.last_mut() {
                off.to = Some(last);
            }
        }
        let length = |off: &Off| off.to.unwrap_or(overview.at).as_second() - off.from.as_second();
        row.off_for = row.off.iter().map(length).sum();
        row.state = match (row.is_off(), row.off.is_empty(), row.state) {
            (true, _, _) => "TLS off",
            (false, false, "quiet") => "lifted",
            (_, _, state) => state,
        };
    }
    found.sort_by(|a, b| (b.off_for, b.waiting, &a.relay).cmp(&(a.off_for, a.waiting, &b.relay)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// `10 active` and so on; when TLS was off, as `10-20` or `10-`.
    #[track_caller]
    fn check(happened: &[(i64, &str, &str)], expect: &str) {
        let mut row = Row::new("mx.example.org");
        for (second, what, detail) in happened {
            let relay = Some("mx.example.org".to_owned());
            let (what, detail) = ((*what).to_owned(), (*detail).to_owned());
            row.take(&Happened { id: 0, at: at(*second), relay, what, detail }, at(0));
        }
        let second = |at: Timestamp| at.as_second() - 1_800_000_000;
        let off = row.off.iter().map(|off| {
            let to = off.to.map_or(String::new(), |to| second(to).to_string());
            format!("{}-{to}", second(off.from))
        });
        assert_eq!(off.collect::<Vec<_>>().join(" "), expect);
    }

    #[test]
    fn when_tls_was_off() {
        let by_hand = "192.0.2.1 by hand";
        check(&[(5, "candidate", "3 stuck"), (10, "active", "192.0.2.1")], "10-");
        check(&[(10, "active", "a"), (15, "active", "b"), (20, "lifted", by_hand)], "10-20");
        check(&[(10, "active", "a"), (20, "wiped", "a"), (30, "put-back", "a")], "10-20 30-");
        check(&[(20, "withdrawn", "a: TLS_Rcpt")], "0-20"); // made before the span
        check(&[(20, "lifted", " by hand")], ""); // held by hand; there was none
        check(&[(10, "held", "DANE: no"), (20, "probed", "good")], "");
    }
}
