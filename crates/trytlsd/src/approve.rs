//! `trytlsd approve`: an operator overrules what holds a relay back.
//!
//! The request is a row in the ledger. A running daemon is told to look, and its answer is waited for; a stopped one
//! reads the row at its start. What would be refused there for a reason that is known here already is refused at once.

use std::thread;
use std::time::{Duration, Instant};

use config::Config;
use jiff::Timestamp;
use ledger::{Inbox, Request};
use maillog::relay::Relay;
use policy::requests::refusal;
use serde::Serialize;

use crate::cli;
use crate::clock;
use crate::glimpse::Glimpse;
use crate::nudge::nudge;
use crate::output::{Safe, Style, complain, print};
use crate::request::{Outcome, Wish};
use crate::{FAILED, MISUSED};

/// How long the daemon's answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What became of it.
#[derive(Serialize)]
struct Answered<'a> {
    relay: &'a str,
    /// `approved`, `refused` or `queued`.
    outcome: &'static str,
    says: String,
    /// The number of the request in the ledger, if it was queued.
    request: Option<i64>,
}

/// Runs the command.
pub(crate) fn run(args: &cli::Approve, config: &Config) -> anyhow::Result<u8> {
    let now = clock::now();
    let glimpse = Glimpse::take(config)?;
    let Some(relay) = glimpse.relay(&args.relay) else {
        complain(format!("{:?} is nothing that the log could name as a relay", args.relay));
        return Ok(MISUSED);
    };
    let answered = match refusal(&glimpse.state, &relay, now) {
        Some((hold, advice)) => Answered {
            relay: relay.as_str(),
            outcome: "refused",
            says: format!("{hold}; {advice}"),
            request: None,
        },
        None => queue(args, config, &glimpse, &relay, now)?,
    };
    print(if args.json {
        serde_json::to_string(&answered)? + "\n"
    } else {
        answered.text(Style::of_stdout())
    })?;
    Ok(if answered.outcome == "refused" { FAILED } else { 0 })
}

fn queue<'a>(
    args: &cli::Approve,
    config: &Config,
    glimpse: &Glimpse,
    relay: &'a Relay<'_>,
    now: Timestamp,
) -> anyhow::Result<Answered<'a>> {
    let path = &config.ledger.path.0.0;
    let mut inbox = Inbox::open(path)?;
    let until = now.saturating_add(args.r#for.0).unwrap_or(Timestamp::MAX).as_second();
    let wish =
        Wish::Approve { relay: relay.as_str().to_owned(), until, reason: args.reason.clone() };
    let id = inbox.add(&who(), &wish.to_text(), now)?;
    let told = nudge(path);
    let answer =
        |outcome, says| Answered { relay: relay.as_str(), outcome, says, request: Some(id) };
    let deadline = Instant::now() + PATIENCE;
    while told && Instant::now() < deadline {
        if let Some(Request { settled: Some(settled), .. }) = inbox.request(id)? {
            let Outcome { done, says } = Outcome::of_text(&settled.outcome);
            return Ok(answer(if done { "approved" } else { "refused" }, says));
        }
        thread::sleep(LOOK_EVERY);
    }
    let says = match (told, ledger::holder(path)) {
        (true, _) => "the daemon was told and has not answered yet",
        (false, Some(_)) => "the daemon could not be told; it looks once a minute",
        (false, None) => "no daemon runs; the next one reads it at its start",
    };
    let unknown = glimpse.state.record(relay.as_str()).is_none();
    let hint = if unknown { "; no failure of this relay is on record" } else { "" };
    Ok(answer("queued", format!("{says}{hint}")))
}

/// Who asks, for the record: the login name as the environment has it, and the user that the kernel knows.
fn who() -> String {
    let name = ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    let uid = rustix::process::getuid().as_raw();
    match name {
        Some(name) => format!("{} (uid {uid})", name.chars().take(100).collect::<String>()),
        None => format!("uid {uid}"),
    }
}

impl Answered<'_> {
    fn text(&self, style: Style) -> String {
        let outcome = match self.outcome {
            "approved" => style.green(self.outcome),
            other => style.yellow(other),
        };
        let relay = Safe(self.relay);
        let says = Safe(&self.says);
        let more = match self.outcome {
            "refused" => String::new(),
            _ => format!("see what follows with: trytlsd explain {relay}\n"),
        };
        format!("{relay}: {outcome}: {says}\n{more}")
    }
}
