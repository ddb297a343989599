//! What `explain` found, as JSON and as text.

use std::fmt::{self, Display, Write};
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use policy::halt::{Halt, HaltKind};
use policy::moment::moment;
use serde::{Deserialize, Serialize, Serializer};

use crate::output::{Safe, Style};

/// All that is known of a relay.
#[derive(Debug, Serialize)]
pub(crate) struct Explained {
    pub(crate) relay: String,
    /// As of when.
    pub(crate) at: Timestamp,
    /// Whether there is a ledger.
    pub(crate) ledger: bool,
    /// The lines in force.
    pub(crate) entries: Vec<String>,
    /// The lines that dry run has shown.
    pub(crate) proposed: Vec<String>,
    /// The line of the admin's that is adopted for it.
    pub(crate) adopted: Option<Adopted>,
    /// Of the lines in force, or of the one that is adopted.
    pub(crate) life: Option<Lived>,
    /// Until when an entry that was lifted returns after one stuck attempt.
    pub(crate) probation: Option<Timestamp>,
    pub(crate) evidence: Option<Evidence>,
    pub(crate) last_success: Option<Success>,
    pub(crate) addresses: Vec<Address>,
    /// The domains of the recipients whose mail is stuck.
    pub(crate) domains: Vec<String>,
    /// Whether there were more than are remembered.
    pub(crate) more_domains: bool,
    pub(crate) guards: Vec<Guard>,
    pub(crate) alarms: Vec<Alarm>,
    /// Nothing is decided at present, by an operator's word.
    pub(crate) halt: Option<Halted>,
    pub(crate) approved: Option<Approved>,
    /// Until when it gets no entry, since somebody took one out by hand.
    pub(crate) lifted_until: Option<Timestamp>,
    /// The lines that an entry would be.
    pub(crate) lines: Vec<String>,
    /// The line of the admin's that could be adopted, in words.
    #[serde(skip)]
    pub(crate) adoptable: Option<String>,
    /// Why no line can be written.
    pub(crate) no_line: Option<String>,
    /// What is missing of evidence, in words.
    pub(crate) missing: String,
    /// The last lines of the log that speak against it, the oldest first.
    pub(crate) log: Vec<String>,
    /// What happened, the oldest first.
    pub(crate) history: Vec<Happened>,
}

/// How long the lines in force stand, what probes found, and whether sendmail uses them.
#[derive(Debug, Serialize)]
pub(crate) struct Lived {
    pub(crate) since: Timestamp,
    /// None: for ever.
    pub(crate) until: Option<Timestamp>,
    pub(crate) next_probe: Timestamp,
    pub(crate) last_probe: Option<Timestamp>,
    /// What it found, in words.
    pub(crate) found: Option<String>,
    /// How often sendmail has used them, and when last.
    pub(crate) hits: u32,
    pub(crate) last_used: Option<Timestamp>,
    /// What became of that mail.
    pub(crate) sent: u32,
    pub(crate) deferred: u32,
    pub(crate) failed: u32,
}

/// A line of the admin's that is looked after.
#[derive(Debug, Serialize)]
pub(crate) struct Adopted {
    pub(crate) line: String,
    /// Where it stands in the access file, from 1; none if it is not found there now.
    pub(crate) line_no: Option<usize>,
    pub(crate) at: Timestamp,
    pub(crate) who: String,
    /// Empty if none was given.
    pub(crate) reason: String,
    /// Since when probes find that the peer is mended.
    pub(crate) mended_since: Option<Timestamp>,
    /// Whether it is to be taken out.
    pub(crate) lifting: bool,
}

/// What counts against the relay: since its last success, and within the window.
#[derive(Debug, Serialize)]
pub(crate) struct Evidence {
    pub(crate) stuck: u32,
    pub(crate) handshake: u32,
    pub(crate) network: u32,
    /// From the first to the last of them, in seconds.
    pub(crate) span: i64,
    /// When the run of failures began.
    pub(crate) began: Timestamp,
    pub(crate) last: Timestamp,
    /// Whether it is enough for an entry.
    pub(crate) enough: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Success {
    pub(crate) at: Timestamp,
    pub(crate) version: &'static str,
    pub(crate) verify: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Address {
    pub(crate) address: IpAddr,
    /// Its PTR names, in words.
    pub(crate) ptr: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Guard {
    pub(crate) guard: String,
    /// `silent`, `holds`, `unknown` (holds, since its fact cannot be had) or `waits`.
    pub(crate) says: &'static str,
    pub(crate) why: String,
    /// Of one that holds: what to do instead, or none where `approve` overrules it.
    #[serde(serialize_with = "to_do", skip_serializing_if = "Option::is_none")]
    pub(crate) to_do: Option<Option<&'static str>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Alarm {
    pub(crate) about: &'static str,
    pub(crate) since: Timestamp,
    pub(crate) says: String,
}

/// An operator's word that nothing is to be decided.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Halted {
    /// `paused` or `disarmed`.
    pub(crate) kind: HaltKind,
    pub(crate) since: Timestamp,
    pub(crate) who: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Approved {
    pub(crate) until: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) who: String,
    pub(crate) reason: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Happened {
    pub(crate) at: Timestamp,
    pub(crate) what: String,
    pub(crate) detail: String,
}

fn to_do<S: Serializer>(
    to_do: &Option<Option<&'static str>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(to_do.flatten().unwrap_or("approve"))
}

impl Halted {
    pub(crate) fn of(halt: &Halt) -> Self {
        Self { kind: halt.kind, since: moment(halt.since), who: halt.who.to_string() }
    }
}

impl Display for Halted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, since, who } = self;
        write!(f, "{} since {since:.0} by {}", kind.word(), Safe(who))
    }
}

impl Explained {
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// For people.
    pub(crate) fn text(&self, style: Style) -> String {
        let mut out = format!("{}\n", style.bold(Safe(&self.relay)));
        let mut row = |name: &str, text: String| {
            let _infallible = writeln!(out, "  {} {text}", style.faint(format!("{name:<19}")));
        };
        row("as of", format!("{:.0}", self.at));
        if !self.ledger {
            row("ledger", "there is none yet; nothing is known".to_owned());
        }
        for entry in &self.entries {
            row("entry in force", entry.clone());
        }
        if let Some(adopted) = &self.adopted {
            row("adopted", adopted.words());
        }
        for entry in &self.proposed {
            row("shown in dry run", entry.clone());
        }
        if let Some(lived) = &self.life {
            let until = lived.until.map_or("for ever".to_owned(), |at| format!("until {at:.0}"));
            row("stands", format!("since {:.0}, {until}", lived.since));
            let last = lived.last_probe.zip(lived.found.as_deref());
            let last = last.map(|(at, found)| format!("{found} at {at:.0}, "));
            let last = last.unwrap_or_default();
            row("probe", format!("{last}next at {:.0}", lived.next_probe));
            let used = lived.last_used.map_or("never".to_owned(), |at| {
                let Lived { hits, sent, deferred, failed, .. } = lived;
                let ends = format!("{sent} sent, {deferred} deferred, {failed} failed");
                format!("{hits} times, last at {at:.0}; deliveries: {ends}")
            });
            row("used by sendmail", used);
        }
        if let Some(until) = self.probation {
            row("on probation", format!("one stuck attempt until {until:.0} brings it back"));
        }
        row("stuck attempts", self.attempts());
        row(
            "last success",
            match &self.last_success {
                Some(Success { at, version, verify }) => {
                    format!("{at:.0}, {version}, verify={verify}")
                }
                None => "none on record".to_owned(),
            },
        );
        for Address { address, ptr } in &self.addresses {
            row("address", format!("{address}, PTR {}", Safe(ptr)));
        }
        if !self.domains.is_empty() {
            let more = if self.more_domains { " and more" } else { "" };
            row("mail to", format!("{}{more}", Safe(&self.domains.join(" "))));
        }
        if let Some(Approved { until, who, reason, .. }) = &self.approved {
            let words = format!("until {until:.0} by {}: {}", Safe(who), Safe(reason));
            row("approved", words);
        }
        if let Some(until) = self.lifted_until {
            row("lifted by hand", format!("it gets no entry until {until:.0}"));
        }
        if let Some(halt) = &self.halt {
            row("HALT", style.yellow(format!("{halt}; trytlsd resume ends it")));
        }
        for Alarm { since, says, .. } in &self.alarms {
            row("ALARM", style.yellow(format!("since {since:.0}: {}", Safe(says))));
        }
        let _infallible = writeln!(out, "guards");
        for guard in &self.guards {
            guard.write(&mut out, style);
        }
        self.write_end(&mut out, style);
        out
    }

    fn attempts(&self) -> String {
        let Some(evidence) = &self.evidence else { return "none".to_owned() };
        let Evidence { stuck, handshake, network, span, began, last, .. } = evidence;
        let span = SignedDuration::from_secs(*span);
        let kinds = format!("{handshake} broken handshakes, {network} resets and time-outs");
        format!("{stuck} within {span:#}: {kinds}; failing since {began:.0}, last {last:.0}")
    }

    /// What is missing, what can be done, and what happened.
    fn write_end(&self, out: &mut String, style: Style) {
        let _infallible = writeln!(out, "until an entry");
        let mut line = |text: String| {
            let _infallible = writeln!(out, "  {text}");
        };
        let relay = Safe(&self.relay);
        if let Some(Adopted { mended_since, .. }) = &self.adopted {
            let mended = mended_since.map_or("", |_| " (the peer is mended)");
            line(format!(
                "yours acts, and is looked after; it goes with: trytlsd lift {relay}{mended}"
            ));
        } else if let Some(line_text) = &self.adoptable {
            line(format!("{}; to have it looked after: trytlsd adopt {relay}", Safe(line_text)));
        }
        if self.entries.is_empty() {
            line(format!("evidence: {}", self.missing));
            match (&self.no_line, self.lines.as_slice()) {
                (Some(why), _) => line(format!("no line can be written: {}", Safe(why))),
                (None, lines) => lines.iter().for_each(|entry| line(entry.clone())),
            }
        } else {
            line("it has its entry".to_owned());
        }
        let argument = relay.to_string();
        write_to_do(&self.guards, self.approved.is_some(), &argument, out);
        if !self.log.is_empty() {
            let _infallible = writeln!(out, "last lines in the log");
        }
        for line in &self.log {
            let _infallible = writeln!(out, "  {}", Safe(line));
        }
        write_happened(&self.history, out, style);
    }
}

/// What can be done about the guards that hold. `argument`: as the commands take whom they are about.
pub(crate) fn write_to_do(guards: &[Guard], approved: bool, argument: &str, out: &mut String) {
    let holding: Vec<&Guard> = guards.iter().filter(|guard| guard.to_do.is_some()).collect();
    let approvable = holding.iter().filter(|guard| guard.to_do == Some(None)).count();
    for (guard, advice) in holding.iter().filter_map(|g| Some((g, g.to_do??))) {
        let _infallible = writeln!(out, "  {}: {advice}", guard.guard);
    }
    if approvable > 0 && approvable == holding.len() && !approved {
        let command = format!("trytlsd approve {argument} --reason '…'");
        let _infallible = writeln!(out, "  to overrule what holds: {command}");
    }
}

/// What happened, if anything did.
pub(crate) fn write_happened(history: &[Happened], out: &mut String, style: Style) {
    if history.is_empty() {
        return;
    }
    let _infallible = writeln!(out, "what happened");
    for Happened { at, what, detail } in history {
        let at = style.faint(format!("{at:.0}"));
        let _infallible = writeln!(out, "  {at} {what}: {}", Safe(detail));
    }
}

impl Adopted {
    fn words(&self) -> String {
        let Self { line, line_no, at, who, reason, mended_since, lifting } = self;
        let line_no = line_no.map_or("not found now".to_owned(), |n| format!("line {n}"));
        let mended = mended_since.map_or(String::new(), |at| format!("; mended since {at:.0}"));
        let lifting = if *lifting { "; to be taken out" } else { "" };
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let (line, who) = (format!("{line:?}"), format!("{who}{reason}"));
        let (line, who) = (Safe(&line), Safe(&who));
        format!("{line} ({line_no}), at {at:.0} by {who}{mended}{lifting}")
    }
}

impl Guard {
    pub(crate) fn write(&self, out: &mut String, style: Style) {
        let says = format!("{:<7}", self.says);
        let says = match self.says {
            "silent" => style.faint(says),
            _ => style.yellow(says),
        };
        let name = format!("{:<19}", self.guard);
        let _infallible = writeln!(out, "  {name} {says} {}", Safe(&self.why));
    }
}
