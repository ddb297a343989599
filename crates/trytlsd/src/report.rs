//! The report of `scan`, as JSON and as text.

use std::fmt::Write;
use std::net::IpAddr;

use access::remedy::Tagged;
use config::Config;
use jiff::Timestamp;
use policy::fact::{Answer, Ptr};
use serde::Serialize;

use crate::output::{Safe, Style};
use crate::tally;
use crate::verdict::Verdict;

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Lines read.
    pub(crate) lines: u64,
    /// Bytes read, after decompression.
    pub(crate) bytes: u64,
    /// Lines skipped because they are longer than 64 KiB.
    pub(crate) skipped: u64,
    /// Attempts of relays beyond those listed.
    pub(crate) unlisted: u64,
    pub(crate) relays: Vec<Listed>,
}

/// One relay.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    pub(crate) relay: String,
    pub(crate) attempts: u64,
    pub(crate) confirmed: u64,
    pub(crate) permanent: u64,
    pub(crate) protocol: u64,
    pub(crate) config: u64,
    /// Deferred lines in which the relay itself said that its STARTTLS is broken; not among the attempts.
    pub(crate) replies: u64,
    pub(crate) handshake: u64,
    pub(crate) network: u64,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) addresses: Vec<IpAddr>,
    /// The first PTR name of the first address that has one.
    pub(crate) ptr: Option<String>,
    /// Whether that name, looked up forward, gives the address back.
    pub(crate) ptr_confirmed: bool,
    /// What is known of the PTR, in words.
    pub(crate) ptr_state: String,
    pub(crate) verdict: Verdict,
    /// Why, in words.
    pub(crate) why: String,
    /// The lines for the access file, without their line ends.
    pub(crate) entries: Vec<String>,
}

/// OpenSSL's words, with how often.
#[derive(Debug, Serialize)]
pub(crate) struct Reason {
    pub(crate) reason: String,
    pub(crate) times: u64,
}

impl Listed {
    pub(crate) fn new(
        name: &str,
        relay: &tally::Relay,
        ptrs: &[Answer<Ptr>],
        verdict: Verdict,
        why: String,
        keys: &[Tagged],
    ) -> Self {
        let names = ptrs.iter().filter_map(|answer| match answer {
            Answer::Known(ptr) => Some(&ptr.names),
            Answer::Unknown(_) | Answer::NotAsked => None,
        });
        let names = names.flatten();
        let first = names.clone().find(|name| name.confirmed).or_else(|| names.clone().next());
        let ptr_state = match (first, ptrs.first()) {
            (Some(name), _) if name.confirmed => format!("{} (confirmed)", name.name),
            (Some(name), _) => format!("{} (not confirmed)", name.name),
            (None, Some(Answer::Known(_))) => "none".to_owned(),
            (None, Some(Answer::Unknown(why))) => format!("unknown: {why}"),
            (None, Some(Answer::NotAsked)) => "not asked".to_owned(),
            (None, None) => "no address known".to_owned(),
        };
        let mut reasons: Vec<Reason> = relay
            .reasons
            .iter()
            .map(|(reason, times)| Reason { reason: reason.to_string(), times: *times })
            .collect();
        reasons.sort_by(|a, b| b.times.cmp(&a.times).then(a.reason.cmp(&b.reason)));
        Self {
            relay: name.to_owned(),
            attempts: relay.attempts,
            confirmed: relay.confirmed,
            permanent: relay.permanent,
            protocol: relay.protocol,
            config: relay.config,
            replies: relay.replies,
            handshake: relay.handshake,
            network: relay.network,
            reasons,
            first: relay.first,
            last: relay.last,
            addresses: relay.addresses.clone(),
            ptr: first.map(|name| name.name.to_string()),
            ptr_confirmed: first.is_some_and(|name| name.confirmed),
            ptr_state,
            verdict,
            why,
            entries: keys.iter().map(Tagged::line).collect(),
        }
    }
}

impl Report {
    /// One JSON object on one line.
    pub(crate) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// For people: a paragraph a relay, then the lines for the access file.
    pub(crate) fn text(&self, config: &Config, style: Style) -> String {
        let mut out = String::new();
        for relay in &self.relays {
            relay.write(&mut out, style);
        }
        let entries: Vec<&String> = self.relays.iter().flat_map(|relay| &relay.entries).collect();
        let skipped = match self.skipped {
            0 => String::new(),
            n => format!(", {n} longer than 64 KiB skipped"),
        };
        let unlisted = match self.unlisted {
            0 => String::new(),
            n => format!(" ({n} attempts of further relays are not listed)"),
        };
        let relays = match self.relays.len() {
            1 => "1 relay".to_owned(),
            n => format!("{n} relays"),
        };
        let lines = self.lines;
        out += &format!("# {lines} lines{skipped}, {relays} with a broken STARTTLS{unlisted}\n");
        let file = config.access.file.0.0.display();
        match entries.len() {
            0 => out += &format!("# no entry for {file}\n"),
            1 => out += &format!("# 1 entry for {file}:\n"),
            n => out += &format!("# {n} entries for {file}:\n"),
        }
        for entry in entries {
            out += entry;
            out.push('\n');
        }
        out
    }
}

impl Listed {
    fn write(&self, out: &mut String, style: Style) {
        let verdict = match self.verdict {
            Verdict::Propose => style.green(self.verdict.word()),
            Verdict::Held => style.yellow(self.verdict.word()),
            _ => self.verdict.word().to_owned(),
        };
        let _infallible = writeln!(out, "{}", style.bold(Safe(&self.relay)));
        let mut row = |name: &str, text: String| {
            let _infallible = writeln!(out, "  {} {text}", style.faint(format!("{name:<9}")));
        };
        let mut attempts = format!("{}, {} confirmed", self.attempts, self.confirmed);
        for (count, what) in [
            (self.permanent, "refused for good (5xx, a requirement of the access map)"),
            (self.protocol, "PROTOCOL"),
            (self.config, "CONFIG (a fault of this host)"),
            (self.replies, "replies in which it says so itself"),
        ] {
            if count > 0 {
                attempts += &format!(", {count} {what}");
            }
        }
        let causes: Vec<String> = [(self.handshake, "handshake"), (self.network, "network")]
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, kind)| format!("{kind} {count}"))
            .collect();
        let reasons: Vec<String> = self
            .reasons
            .iter()
            .filter(|reason| !reason.reason.is_empty())
            .map(|reason| format!("{} ({})", Safe(&reason.reason), reason.times))
            .collect();
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        row("attempts", attempts);
        if !causes.is_empty() {
            row("kinds", causes.join(", "));
        }
        if !reasons.is_empty() {
            row("reasons", reasons.join(", "));
        }
        row("seen", format!("{:.0} to {:.0}", self.first, self.last));
        if !addresses.is_empty() {
            row("address", addresses.join(" "));
            row("PTR", self.ptr_state.clone());
        }
        row("verdict", format!("{verdict}: {}", Safe(&self.why)));
        for entry in &self.entries {
            row("entry", entry.clone());
        }
        out.push('\n');
    }
}
