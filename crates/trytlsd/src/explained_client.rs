//! What `explain --client` found, as JSON and as text.

use std::fmt::Write;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::explained::{Alarm, Approved, Evidence, Guard, Happened, write_happened, write_to_do};
use crate::output::{Safe, Style};

/// All that is known of a client.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainedClient {
    pub(crate) client: IpAddr,
    /// As of when.
    pub(crate) at: Timestamp,
    /// Whether there is a ledger.
    pub(crate) ledger: bool,
    /// Whether the receiving side is on.
    pub(crate) receiving: bool,
    /// Its PTR name, if sendmail has confirmed it.
    pub(crate) name: Option<String>,
    /// How its entry stands.
    pub(crate) standing: Standings,
    /// Its line.
    pub(crate) entry: Option<String>,
    /// When that ends; none: it does not, or there is none.
    pub(crate) until: Option<Timestamp>,
    /// Its broken handshakes.
    pub(crate) evidence: Option<Evidence>,
    /// When it last handed a message over, to the hour.
    pub(crate) last_delivery: Option<Timestamp>,
    /// When a handshake with it last succeeded, to the hour.
    pub(crate) last_success: Option<Timestamp>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) approved: Option<Approved>,
    /// Until when it gets no entry, since somebody took one out by hand.
    pub(crate) lifted_until: Option<Timestamp>,
    /// The line that an entry would be; none while the receiving side is off.
    pub(crate) line: Option<String>,
    /// What is missing of evidence, in words.
    pub(crate) missing: String,
    /// What happened, the oldest first.
    pub(crate) history: Vec<Happened>,
}

/// How a client's entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standings {
    /// There is none.
    None,
    /// Dry run has shown it.
    Proposed,
    /// It is being written.
    Writing,
    /// It is in force.
    Active,
    /// Others wiped it away; it is to be put back.
    Wiped,
    /// It is to be taken out.
    Removing,
}

impl Standings {
    fn words(self) -> &'static str {
        match self {
            Self::None => "no entry",
            Self::Proposed => "shown in dry run",
            Self::Writing => "being written",
            Self::Active => "entry in force",
            Self::Wiped => "to be put back",
            Self::Removing => "to be taken out",
        }
    }
}

impl ExplainedClient {
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// For people.
    pub(crate) fn text(&self, style: Style) -> String {
        let name = self.name.as_deref().map_or(String::new(), |name| format!(" ({})", Safe(name)));
        let mut out = format!("client {}{name}\n", style.bold(self.client));
        let mut row = |name: &str, text: String| {
            let _infallible = writeln!(out, "  {} {text}", style.faint(format!("{name:<19}")));
        };
        row("as of", format!("{:.0}", self.at));
        if !self.ledger {
            row("ledger", "there is none yet; nothing is known".to_owned());
        }
        if !self.receiving {
            row("receiving side", "off: clients are not counted ([receiving] enabled)".to_owned());
        }
        if let Some(entry) = &self.entry {
            let until = self.until.map_or("for ever".to_owned(), |at| format!("until {at:.0}"));
            row(self.standing.words(), format!("{entry}, {until}"));
        }
        row("broken handshakes", self.broken());
        let at =
            |at: Option<Timestamp>| at.map_or("none on record".to_owned(), |at| format!("{at:.0}"));
        row("last delivery", at(self.last_delivery));
        row("last success", at(self.last_success));
        if let Some(Approved { until, who, reason, .. }) = &self.approved {
            row("approved", format!("until {until:.0} by {}: {}", Safe(who), Safe(reason)));
        }
        if let Some(until) = self.lifted_until {
            row("lifted by hand", format!("it gets no entry until {until:.0}"));
        }
        for Alarm { since, says, .. } in &self.alarms {
            row("ALARM", style.yellow(format!("since {since:.0}: {}", Safe(says))));
        }
        let _infallible = writeln!(out, "guards");
        for guard in &self.guards {
            guard.write(&mut out, style);
        }
        let _infallible = writeln!(out, "until an entry");
        if self.standing == Standings::Active {
            let _infallible = writeln!(out, "  it has its entry");
        } else {
            let _infallible = writeln!(out, "  evidence: {}", self.missing);
            if let Some(line) = &self.line {
                let _infallible = writeln!(out, "  {line}");
            }
        }
        let argument = format!("--client {}", self.client);
        write_to_do(&self.guards, self.approved.is_some(), &argument, &mut out);
        write_happened(&self.history, &mut out, style);
        out
    }

    fn broken(&self) -> String {
        let Some(evidence) = &self.evidence else { return "none".to_owned() };
        let Evidence { stuck, handshake, network, span, began, last, .. } = evidence;
        let span = SignedDuration::from_secs(*span);
        let kinds = format!("{handshake} in TLS itself, {network} resets and time-outs");
        format!("{stuck} within {span:#}: {kinds}; failing since {began:.0}, last {last:.0}")
    }
}
