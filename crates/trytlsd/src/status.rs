//! `trytlsd status`: what is going on, at a glance.

use std::fmt::Write;

use config::Config;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cli;
use crate::clock;
use crate::control::Vitals;
use crate::control::client::known;
use crate::explained::Halted;
use crate::notice;
use crate::output::{Safe, Style, print};
use crate::overview::Overview;

/// What is going on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    /// As of when.
    pub(crate) at: Timestamp,
    /// The trytlsd that says it: the daemon, or the command if none answers.
    pub(crate) version: String,
    /// Whether there is a ledger.
    pub(crate) ledger: bool,
    pub(crate) daemon: Daemon,
    /// Nothing is decided at present, by an operator's word.
    pub(crate) halt: Option<Halted>,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) stuck: Stuck,
    /// Lines in force.
    pub(crate) entries: usize,
    /// Lines that dry run has shown.
    pub(crate) proposed: usize,
    /// Lines of the admin's that are looked after.
    pub(crate) adopted: usize,
    /// Lines that are to be taken out and may still be in the file.
    pub(crate) removing: usize,
    /// Relays and clients that a guard holds back.
    pub(crate) held: usize,
    /// Of these, such as will not end by themselves.
    pub(crate) need_a_person: usize,
    /// None if nobody is told of what needs a person.
    pub(crate) notices: Option<Notices>,
}

/// Notices.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Notices {
    /// To whom they go, in words.
    pub(crate) to: String,
    /// When the last went.
    pub(crate) last: Option<Timestamp>,
    /// Since when they cannot be sent, if they cannot, and why.
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) why: Option<String>,
}

/// The daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Daemon {
    /// Its process; none if it does not run.
    pub(crate) pid: Option<u32>,
    /// When it was started, or last was.
    pub(crate) since: Option<Timestamp>,
    pub(crate) dry_run: bool,
    /// Whether the logs are read up to their ends; none if it was not asked.
    pub(crate) following: Option<bool>,
    /// When the ledger was last written.
    pub(crate) last_commit: Option<Timestamp>,
}

/// Something that needs a person.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Alarm {
    pub(crate) about: String,
    pub(crate) since: Timestamp,
    pub(crate) says: String,
}

/// Mail that waits.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stuck {
    pub(crate) relays: usize,
    pub(crate) messages: usize,
    /// Whether there may be more of them.
    pub(crate) at_least: bool,
    /// When the one that waits for longest came.
    pub(crate) oldest: Option<Timestamp>,
    /// When the first of them bounces.
    pub(crate) bounces: Option<Timestamp>,
}

/// Looks. `vitals`: those of this daemon, if one looks.
///
/// # Errors
/// If there is a ledger and it cannot be read.
pub(crate) fn look(config: &Config, vitals: Option<&Vitals>) -> anyhow::Result<Status> {
    let overview = Overview::take(config, clock::now())?;
    let Overview { daemon, counts, told, .. } = &overview;
    Ok(Status {
        notices: notice::is_on(config).then(|| Notices {
            to: notice::whom(config),
            last: told.at,
            failing_since: told.failing.as_ref().map(|failing| failing.since),
            why: told.failing.as_ref().map(|failing| failing.why.clone()),
        }),
        at: overview.at,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ledger: overview.ledger,
        daemon: Daemon {
            pid: vitals.map(|_| std::process::id()).or(daemon.pid),
            since: vitals.map(|vitals| vitals.started).or(daemon.since),
            dry_run: vitals.map_or(daemon.dry_run, Vitals::is_dry_run),
            following: vitals.map(Vitals::is_following),
            last_commit: daemon.last_commit,
        },
        stuck: Stuck {
            relays: counts.stuck,
            messages: counts.messages,
            at_least: counts.messages_at_least,
            oldest: overview.oldest(),
            bounces: overview.first_bounce(),
        },
        entries: counts.entries,
        proposed: counts.proposed,
        adopted: overview.adopted.len(),
        removing: overview.removing,
        held: counts.holds,
        need_a_person: overview.need_a_person(),
        alarms: overview
            .alarms
            .into_iter()
            .map(|alarm| Alarm {
                about: alarm.about.to_owned(),
                since: alarm.since,
                says: alarm.says,
            })
            .collect(),
        halt: overview.halt,
    })
}

/// Runs the command.
pub(crate) fn run(args: &cli::Common, config: &Config) -> anyhow::Result<u8> {
    let status = match known(config, "/v1/status", || look(config, None))? {
        Ok(status) => status,
        Err(status) => return Ok(status),
    };
    print(match args.json {
        true => serde_json::to_string(&status)? + "\n",
        false => status.text(Style::of_stdout()),
    })?;
    Ok(0)
}

impl Status {
    fn text(&self, style: Style) -> String {
        let mut out = format!("trytlsd {}: {}\n", Safe(&self.version), self.daemon.words(style));
        let mut row = |name: &str, text: String| {
            let _infallible = writeln!(out, "  {} {text}", style.faint(format!("{name:<15}")));
        };
        row("as of", format!("{:.0}", self.at));
        if !self.ledger {
            row("ledger", "there is none yet; nothing is known".to_owned());
            return out;
        }
        if let Some(halt) = &self.halt {
            row("HALT", style.yellow(format!("{halt}; trytlsd resume ends it")));
        }
        for Alarm { since, says, .. } in &self.alarms {
            row("ALARM", style.yellow(format!("since {since:.0}: {}", Safe(says))));
        }
        row("mail stuck", self.stuck.words());
        let mut entries = format!("{} in force", self.entries);
        for (count, what) in [
            (self.proposed, "shown in dry run"),
            (self.adopted, "of your own looked after"),
            (self.removing, "to be taken out"),
        ] {
            if count > 0 {
                let _infallible = write!(entries, ", {count} {what}");
            }
        }
        row("entries", entries);
        let person = match self.need_a_person {
            0 => String::new(),
            count => {
                style.yellow(format!(", {count} will not end without a person (trytlsd list)"))
            }
        };
        row("held", format!("{}{person}", self.held));
        if let Some(notices) = &self.notices {
            let to = Safe(&notices.to).to_string();
            match (notices.failing_since, &notices.why) {
                (Some(since), Some(why)) => {
                    let words = format!("cannot be sent since {since:.0}, to {to}: {}", Safe(why));
                    row("NOTICES", style.yellow(words));
                }
                _ => {
                    let last = notices.last.map(|at| format!("the last {at:.0}"));
                    row("notices", format!("{}, to {to}", last.as_deref().unwrap_or("none yet")));
                }
            }
        }
        if let Some(at) = self.daemon.last_commit {
            row("ledger written", format!("{at:.0}"));
        }
        out
    }
}

impl Daemon {
    fn words(&self, style: Style) -> String {
        let Some(pid) = self.pid else { return style.yellow("not running") };
        let since = self.since.map_or(String::new(), |at| format!(" since {at:.0}"));
        let mode = if self.dry_run { ", dry run" } else { "" };
        let reading = match self.following {
            Some(false) => ", reading what was logged before",
            Some(true) | None => "",
        };
        let running = style.green("running");
        format!("{running} (pid {pid}){since}{mode}{reading}")
    }
}

impl Stuck {
    fn words(&self) -> String {
        if self.relays == 0 {
            return "none".to_owned();
        }
        let least = if self.at_least { "at least " } else { "" };
        let mut words = format!("{} relays, {least}{} messages", self.relays, self.messages);
        if let Some(oldest) = self.oldest {
            let _infallible = write!(words, ", the oldest of {oldest:.0}");
        }
        if let Some(bounces) = self.bounces {
            let _infallible = write!(words, ", the first bounces {bounces:.0}");
        }
        words
    }
}
