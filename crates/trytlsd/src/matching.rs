//! `trytlsd match`: how a log line is read, field by field, and why it counts or not.
//!
//! Each line is first read by itself, with the parsers of the finder; then what it means together with the lines before
//! it (the same process, the same relay) is told, as the daemon would see it.

use std::fmt::Write;
use std::path::Path;

use config::Config;
use maillog::event::{End, Event, What};
use maillog::finder::Finder;
use maillog::kinds::Kinds;
use maillog::pattern::{Pattern, Patterns};
use maillog::pending::Pending;
use maillog::reading::{Reading, Verdict, read};
use serde::Serialize;
use tailer::Source;

use crate::cli;
use crate::output::{Safe, Style, print};

/// The exit status if no line tells anything.
const NOTHING: u8 = 1;

/// One line, read.
#[derive(Serialize)]
struct Line {
    line: String,
    shape: String,
    verdict: &'static str,
    why: String,
    fields: Vec<Field>,
    /// What it means together with the lines before it.
    events: Vec<String>,
}

#[derive(Serialize)]
struct Field {
    name: &'static str,
    text: String,
    note: Option<&'static str>,
}

/// Runs the command.
pub(crate) fn run(args: &cli::Match, config: &Config) -> anyhow::Result<u8> {
    let patterns = config.patterns();
    let mut matcher = Matcher {
        finder: Finder::with(Kinds::ALL, patterns.clone(), Pending::default()),
        patterns,
        style: Style::of_stdout(),
        json: args.json,
        told: false,
    };
    if args.input.is_empty() {
        matcher.source(&Source::Stdin)?;
    }
    for input in &args.input {
        match input.as_str() {
            "-" => matcher.source(&Source::Stdin)?,
            path if Path::new(path).exists() => matcher.source(&Source::File(path.into()))?,
            line => matcher.lines(format!("{line}\n").as_bytes())?,
        }
    }
    Ok(if matcher.told { 0 } else { NOTHING })
}

struct Matcher {
    finder: Finder,
    patterns: Patterns,
    style: Style,
    json: bool,
    /// Whether some line told something.
    told: bool,
}

impl Matcher {
    fn source(&mut self, source: &Source) -> anyhow::Result<()> {
        let mut input = source.open()?;
        while let Some(block) = input.next_block()? {
            self.lines(block.bytes)?;
        }
        Ok(())
    }

    fn lines(&mut self, block: &[u8]) -> anyhow::Result<()> {
        for bytes in block.split_inclusive(|byte| *byte == b'\n') {
            let mut events = Vec::new();
            self.finder.feed(bytes, &mut |event| events.push(words(&event)));
            let mut reading = read(bytes);
            self.patterns.iter().for_each(|pattern| apply(pattern, bytes, &mut reading));
            self.told |= reading.verdict != Verdict::Ignored;
            let line = Line::new(bytes, reading, events);
            print(if self.json {
                serde_json::to_string(&line)? + "\n"
            } else {
                line.text(self.style)
            })?;
        }
        Ok(())
    }
}

/// What an operator's pattern makes of a line.
fn apply(pattern: &Pattern, line: &[u8], reading: &mut Reading<'_>) {
    let Ok(reply) = pattern.try_line(line) else { return };
    let name = pattern.name();
    let (verdict, does) = match reply.counts {
        true => (Verdict::Counts, "counts, as a reply and no attempt,"),
        false => (Verdict::Tells, "speaks, but does not count,"),
    };
    if reading.verdict != Verdict::Counts {
        reading.verdict = verdict;
        reading.why =
            format!("it matches the pattern {name:?}: it {does} against {}", reply.relay).into();
    }
    reading.fields.push(maillog::reading::Field {
        name: "pattern",
        text: name.to_owned().into(),
        note: Some("of [[log.pattern]]"),
    });
}

impl Line {
    fn new(bytes: &[u8], reading: Reading<'_>, events: Vec<String>) -> Self {
        let fields = reading.fields.into_iter().map(|field| Field {
            name: field.name,
            text: field.text.into_owned(),
            note: field.note,
        });
        Self {
            line: String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned(),
            shape: reading.shape.to_string(),
            verdict: match reading.verdict {
                Verdict::Counts => "counts",
                Verdict::Tells => "tells",
                Verdict::Ignored => "ignored",
            },
            why: reading.why.into_owned(),
            fields: fields.collect(),
            events,
        }
    }

    fn text(&self, style: Style) -> String {
        let mut out = format!("{}\n", style.bold(Safe(&self.line)));
        let mut row = |name: &str, text: String| {
            let _infallible = writeln!(out, "  {} {text}", style.faint(format!("{name:<9}")));
        };
        row("is", self.shape.clone());
        for field in &self.fields {
            let note = field.note.map_or(String::new(), |note| format!("  ({note})"));
            row(field.name, format!("{}{note}", Safe(&field.text)));
        }
        let verdict = match self.verdict {
            "counts" => style.green("counts"),
            other => other.to_owned(),
        };
        row("verdict", format!("{verdict}: {}", Safe(&self.why)));
        for event in &self.events {
            row("so", Safe(event).to_string());
        }
        out.push('\n');
        out
    }
}

/// What an event says, in words.
fn words(event: &Event<'_>) -> String {
    match &event.what {
        What::Attempt(attempt) if attempt.counts() => format!("an attempt with {}", attempt.relay),
        What::Attempt(attempt) => {
            format!("a broken STARTTLS with {}, which does not count", attempt.relay)
        }
        What::Stuck(stuck) => {
            let address = stuck.address.map_or(String::new(), |address| format!(" at {address}"));
            format!("mail is stuck for {}{address}", stuck.attempt.relay)
        }
        What::Sent(attempt) => format!("no mail is stuck for {}: it was sent", attempt.relay),
        What::Failed(attempt) => format!("no mail is stuck for {}: it failed", attempt.relay),
        What::Success(success) => format!("TLS with {} works: its count is cleared", success.relay),
        What::Served(served) => format!("TLS with {} works at {}", served.relay, served.address),
        What::Waiting(waiting) => {
            format!("message {} waits for {}", waiting.queue_id, waiting.relay)
        }
        What::TryTls(used) => format!("an entry turned TLS off for {}", used.relay),
        What::Freed(freed) => {
            let what = match freed.end {
                End::Sent => "was sent",
                End::Deferred => "is deferred, for another cause",
                End::Failed => "failed",
            };
            format!("message {} {what} to {}, in clear", freed.queue_id, freed.relay)
        }
        What::DaneWarning(relay) => format!("{relay} has DANE: to turn TLS off would be wrong"),
        What::Reply(reply) => {
            let address = reply.address.map_or(String::new(), |address| format!(" at {address}"));
            let counts = if reply.counts { "" } else { ", which does not count" };
            format!("a reply of {}{address} ({}){counts}", reply.relay, reply.by)
        }
        What::ClientDelivered(client) => format!("the client {} delivered mail", client.address),
        What::ClientFailed(client, _) => format!("the client {} failed", client.address),
        What::ClientSucceeded(client) => format!("the client {} succeeded", client.address),
    }
}
