//! The metrics, in Prometheus' text format 0.0.4. None has a label for a relay: names come from MX records that anybody
//! can write, and each would be a time series for ever.

use std::fmt::{Display, Write as _};

use jiff::Timestamp;

use crate::overview::Overview;

/// The type of the text.
pub(super) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A day, in seconds.
const DAY: i64 = 86_400;

struct Text(String);

impl Text {
    /// What a metric is. All of ours go up and down.
    fn gauge(&mut self, name: &str, help: &str) {
        let _infallible = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn sample(&mut self, name: &str, label: Option<(&str, &str)>, value: impl Display) {
        let _infallible = match label {
            Some((label, text)) => {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                writeln!(self.0, "{name}{{{label}=\"{text}\"}} {value}")
            }
            None => writeln!(self.0, "{name} {value}"),
        };
    }

    fn one(&mut self, name: &str, help: &str, value: impl Display) {
        self.gauge(name, help);
        self.sample(name, None, value);
    }

    /// A moment that may be none: then there is no sample.
    fn moment(&mut self, name: &str, help: &str, at: Option<Timestamp>) {
        self.gauge(name, help);
        if let Some(at) = at {
            self.sample(name, None, at.as_second());
        }
    }

    /// Each word with how often it occurs; those of `always` also when they do not.
    fn each<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        always: &[&'a str],
        words: impl Iterator<Item = &'a str>,
    ) {
        let mut counts: std::collections::BTreeMap<&str, u64> =
            always.iter().map(|word| (*word, 0)).collect();
        for word in words {
            *counts.entry(word).or_default() += 1;
        }
        self.gauge(name, help);
        for (word, count) in counts {
            self.sample(name, Some((label, word)), count);
        }
    }
}

/// All of them.
pub(super) fn text(overview: &Overview) -> String {
    let mut out = Text(String::with_capacity(4096));
    let Overview { daemon, counts, .. } = overview;
    out.gauge("trytlsd_build_info", "The version of trytlsd.");
    out.sample("trytlsd_build_info", Some(("version", env!("CARGO_PKG_VERSION"))), 1);
    out.one(
        "trytlsd_dry_run",
        "Whether entries are only shown (1) or written (0).",
        u8::from(daemon.dry_run),
    );
    let commit = daemon.last_commit;
    out.moment(
        "trytlsd_last_commit_timestamp_seconds",
        "When the ledger was last written.",
        commit,
    );
    out.one("trytlsd_stuck_relays", "Relays whose mail waits.", counts.stuck);
    out.one(
        "trytlsd_stuck_messages",
        "Messages that wait for such relays; of each relay 32 are remembered.",
        counts.messages,
    );
    out.moment(
        "trytlsd_oldest_message_timestamp_seconds",
        "When the message came that has waited for longest.",
        overview.oldest(),
    );
    let next = overview.first_bounce();
    out.moment(
        "trytlsd_next_bounce_timestamp_seconds",
        "When the first of the waiting messages bounces (Timeout.queuereturn).",
        next,
    );
    out.gauge("trytlsd_entries", "Lines in force in the access file, or shown by a dry run.");
    out.sample("trytlsd_entries", Some(("state", "active")), counts.entries);
    out.sample("trytlsd_entries", Some(("state", "proposed")), counts.proposed);
    let guards = overview.holds.iter().map(|held| held.guard.as_deref().unwrap_or("none"));
    let help = "Relays and clients that are held back, by the guard that speaks.";
    out.each("trytlsd_held", help, "guard", &[], guards);
    let alarms = overview.alarms.iter().map(|alarm| alarm.about);
    let help = "Alarms that are raised, by what they are about.";
    out.each("trytlsd_alarms", help, "about", &["limit", "log", "map", "own-fault"], alarms);
    out.one(
        "trytlsd_known_relays",
        "Relays that are remembered since their TLS failed.",
        counts.relays,
    );
    let day = overview.at.as_second() - DAY;
    let lately = overview.happened.iter().rev().take_while(|row| row.at.as_second() > day);
    let help = "What happened within the last 24 hours, by kind.";
    out.each(
        "trytlsd_happened_last_day",
        help,
        "what",
        &["active", "candidate", "held", "lifted", "probed", "proposed"],
        lately.map(|row| row.what.as_str()),
    );
    out.0
}
