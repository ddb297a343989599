//! What an operator's commands have in common: a request is queued in the ledger, the daemon is told, and its answer is
//! awaited.
//!
//! A daemon that does not run reads the row at its start. One that cannot be told (another user's) looks once a minute.

use std::thread;
use std::time::{Duration, Instant};

use config::Config;
use ledger::{Inbox, Request};
use serde::Serialize;

use crate::FAILED;
use crate::clock;
use crate::glimpse::Glimpse;
use crate::nudge::nudge;
use crate::output::{Safe, Style, print};
use crate::request::{Outcome, Wish};
use crate::subject::Subject;

/// How long the daemon's answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Queues the wish and waits for its answer. `done` is the word for one that is carried out: `approved`, `lifted`.
pub(crate) fn ask(
    config: &Config,
    glimpse: &Glimpse,
    subject: &Subject,
    wish: &Wish,
    done: &'static str,
) -> anyhow::Result<Answered> {
    let path = &config.ledger.path.0.0;
    let mut inbox = Inbox::open(path)?;
    let id = inbox.add(&who(), &wish.to_text(), clock::now())?;
    let told = nudge(path);
    let answer =
        |outcome, says| Answered { subject: subject.clone(), outcome, says, request: Some(id) };
    let deadline = Instant::now() + PATIENCE;
    while told && Instant::now() < deadline {
        if let Some(Request { settled: Some(settled), .. }) = inbox.request(id)? {
            let outcome = Outcome::of_text(&settled.outcome);
            return Ok(answer(if outcome.done { done } else { REFUSED }, outcome.says));
        }
        thread::sleep(LOOK_EVERY);
    }
    let says = match (told, ledger::holder(path)) {
        (true, _) => "the daemon was told and has not answered yet",
        (false, Some(_)) => "the daemon could not be told; it looks once a minute",
        (false, None) => "no daemon runs; the next one reads it at its start",
    };
    let known = subject.is_known(&glimpse.state);
    let hint = if known { "" } else { "; nothing is on record of it" };
    Ok(answer("queued", format!("{says}{hint}")))
}

/// The outcome of what is not carried out.
pub(crate) const REFUSED: &str = "refused";

/// What became of a request.
#[derive(Serialize)]
pub(crate) struct Answered {
    #[serde(flatten)]
    pub(crate) subject: Subject,
    /// What was done (`approved`, `lifted`), `refused` or `queued`.
    pub(crate) outcome: &'static str,
    pub(crate) says: String,
    /// The number of the request in the ledger, if it was queued.
    pub(crate) request: Option<i64>,
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

impl Answered {
    /// Prints it; the exit status.
    pub(crate) fn tell(&self, json: bool) -> anyhow::Result<u8> {
        print(if json {
            serde_json::to_string(self)? + "\n"
        } else {
            self.text(Style::of_stdout())
        })?;
        Ok(if self.outcome == REFUSED { FAILED } else { 0 })
    }

    fn text(&self, style: Style) -> String {
        let outcome = match self.outcome {
            REFUSED | "queued" => style.yellow(self.outcome),
            done => style.green(done),
        };
        let (name, argument) = (self.subject.to_string(), self.subject.argument());
        let (name, argument) = (Safe(&name), Safe(&argument));
        let says = Safe(&self.says);
        let more = match self.outcome {
            REFUSED => String::new(),
            _ => format!("see what follows with: trytlsd explain {argument}\n"),
        };
        format!("{name}: {outcome}: {says}\n{more}")
    }
}
