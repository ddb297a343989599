//! `trytlsd report`: what happened over a span of time, for somebody who was not there. Which relays, for how long TLS was off
//! with them, what became of the mail, what was done and undone, and by whom.
//!
//! It is made from the ledger alone, with a daemon at work or without, and asks nothing of the network.
//!
//! **What it cannot know.** The history is kept for 90 days, and of an entry that is gone what became of its mail is gone
//! with it; so "sent", "deferred" and "failed" are those of entries in force. A message is delayed here if it waits now.
//!
//! **What an attacker could try.** Names and reasons are foreign text: escaped in the text as on every terminal, in the page
//! by its writer, which refers to nothing outside of itself.

mod page;
mod row;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;

use anyhow::Context as _;
use config::Config;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli;
use crate::clock;
use crate::control::client::{self, Form, Reached};
use crate::html::{count, length, minute};
use crate::output::{Style, complain, print};
use crate::overview::Overview;
use crate::table::{Cell, Table, Tone, width_of_stdout};

use row::Row;

/// What happened in a span of time.
#[derive(Debug, Serialize)]
pub(crate) struct Chronicle {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// Whether entries are only shown at present.
    pub(crate) dry_run: bool,
    pub(crate) sums: Sums,
    /// Those with TLS off the longest on top.
    pub(crate) relays: Vec<Row>,
    /// What concerns the daemon as a whole: alarms, words about all relays.
    pub(crate) of_all: Vec<row::Done>,
}

/// Sums.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Sums {
    /// Relays and clients of which anything is told.
    pub(crate) relays: usize,
    /// Those with which TLS was off at some time.
    pub(crate) opted_out: usize,
    /// Those with which it is off now.
    pub(crate) in_force: usize,
    /// Those with which it was turned on again and still is.
    pub(crate) lifted: usize,
    /// Those that a guard holds now.
    pub(crate) held: usize,
    /// Messages that wait now; a least number if `waiting_at_least`.
    pub(crate) waiting: usize,
    pub(crate) waiting_at_least: bool,
    /// What became of the mail of entries in force.
    pub(crate) sent: u32,
    pub(crate) deferred: u32,
    pub(crate) failed: u32,
}

/// Runs the command: the daemon is asked; where none answers, the ledger.
pub(crate) fn run(args: &cli::Report, config: &Config) -> anyhow::Result<u8> {
    let since = clock::now().saturating_sub(args.since.0).unwrap_or(Timestamp::MIN);
    let text = Shown::Text(Form::of_stdout(), width_of_stdout());
    let page = args.html.as_ref().map(|path| (Shown::Page, Some(path)));
    let told = match (args.common.json, &page) {
        (true, _) => Some((Shown::Text(Form::Json, None), None)),
        (false, Some(_)) => None,
        (false, None) => Some((text, None)),
    };
    let mut told_of_ledger = false;
    for (shown, path) in page.into_iter().chain(told) {
        let report = match client::get(config, &client::about_report(since, shown))? {
            Reached::Answer(answer) => String::from_utf8_lossy(&answer).into_owned(),
            Reached::Refused(refusal) => return refusal.tell(),
            Reached::Nobody(why) => {
                if !std::mem::replace(&mut told_of_ledger, true) {
                    complain(format!("{why}; this is what the ledger says"));
                }
                look(config, since, shown)?
            }
        };
        match path {
            Some(path) => File::create(path)
                .and_then(|mut file| file.write_all(report.as_bytes()))
                .with_context(|| format!("{} cannot be written", path.display()))?,
            None => print(report)?,
        }
    }
    Ok(0)
}

/// How a report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// As text for a terminal so wide, or for a pipe; or as JSON.
    Text(Form, Option<usize>),
    /// As a page that stands for itself.
    Page,
}

/// What happened since then, by the ledger.
///
/// # Errors
/// If there is a ledger and it cannot be read.
pub(crate) fn look(config: &Config, since: Timestamp, shown: Shown) -> anyhow::Result<String> {
    let overview = Overview::take_since(config, since, clock::now())?;
    let chronicle = Chronicle::of(&overview, since);
    Ok(match shown {
        Shown::Page => page::page(&chronicle, &overview).into_string(),
        Shown::Text(form, width) => form.of(
            || Ok(serde_json::to_string(&chronicle)? + "\n"),
            |style| chronicle.text(width, style),
        )?,
    })
}

impl Chronicle {
    pub(crate) fn of(overview: &Overview, since: Timestamp) -> Self {
        let relays = row::rows(overview, since);
        let count = |fits: fn(&Row) -> bool| relays.iter().filter(|row| fits(row)).count();
        let sum = |of: fn(&Row) -> u32| relays.iter().fold(0_u32, |s, r| s.saturating_add(of(r)));
        let sums = Sums {
            relays: relays.len(),
            opted_out: count(|row| !row.off.is_empty()),
            in_force: count(Row::is_off),
            lifted: count(|row| !row.off.is_empty() && !row.is_off()),
            held: count(|row| row.held.is_some()),
            waiting: relays.iter().map(|row| row.waiting).sum(),
            waiting_at_least: relays.iter().any(|row| row.waiting_at_least),
            sent: sum(|row| row.sent),
            deferred: sum(|row| row.deferred),
            failed: sum(|row| row.failed),
        };
        let of_all = overview.happened.iter().filter(|row| row.relay.is_none());
        Self {
            since,
            until: overview.at,
            dry_run: overview.daemon.dry_run,
            sums,
            of_all: of_all.map(row::Done::of).collect(),
            relays,
        }
    }

    /// For a terminal so wide, or for a pipe.
    fn text(&self, width: Option<usize>, style: Style) -> String {
        let mut out = format!(
            "{}\n",
            style.bold(format!("{} to {}", minute(self.since), minute(self.until)))
        );
        for line in self.sums.lines() {
            let _infallible = writeln!(out, "  {line}");
        }
        if self.dry_run {
            let _infallible = writeln!(out, "  dry run: entries are only shown");
        }
        if self.relays.is_empty() {
            return out + "\nNothing happened with any relay.\n";
        }
        let mut table = Table::new(["RELAY", "STATE", "TLS OFF", "WAITING", "SENT", "LAST"]);
        for row in &self.relays {
            let tone = if row.is_off() || row.waiting > 0 { Tone::Bad } else { Tone::Plain };
            let last = row.done.last().map_or(String::new(), |done| {
                format!("{} {}: {}", minute(done.at), done.what, done.detail)
            });
            let least = if row.waiting_at_least { "+" } else { "" };
            table.push([
                Cell::new(&row.relay),
                Cell::toned(row.state, tone),
                Cell::new(if row.off.is_empty() { "-".to_owned() } else { length(row.off_for) }),
                Cell::new(format!("{}{least}", row.waiting)),
                Cell::new(row.sent),
                Cell::new(last),
            ]);
        }
        out + "\n" + &table.shown(width, style)
    }
}

impl Sums {
    /// In words, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let many = |count: usize, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {more}"),
        };
        let least = if self.waiting_at_least { "at least " } else { "" };
        vec![
            format!(
                "{}, TLS was off with {}: it is now with {}, and on again with {}",
                count(self.relays, "relay"),
                self.opted_out,
                self.in_force,
                self.lifted
            ),
            format!(
                "{least}{} now, {} held by a guard",
                many(self.waiting, "message waits", "messages wait"),
                many(self.held, "relay is", "relays are")
            ),
            format!(
                "of mail in clear by entries in force: {} delivered, {} deferred for another cause, {} failed",
                self.sent, self.deferred, self.failed
            ),
        ]
    }
}
