//! What an operator's commands have in common: a request is queued in the ledger, the daemon is told, and its answer is
//! awaited. The daemon does the queueing itself where its control socket answers.
//!
//! A daemon that does not run reads the row at its start. One that cannot be told (another user's) looks once a minute.

use std::thread;
use std::time::{Duration, Instant};

use config::Config;
use ledger::{Inbox, Request};
use serde::Serialize;

use crate::FAILED;
use crate::clock;
use crate::control::client;
use crate::control::wire::Replied;
use crate::glimpse::Glimpse;
use crate::nudge::nudge;
use crate::output::{Safe, Style, print};
use crate::request::{Outcome, Wish};
use crate::subject::Subject;

/// How long the daemon's answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks for the wish about a relay and waits for the answer. `done` is the word for one that is carried out: `approved`,
/// `lifted`.
pub(crate) fn ask(
    config: &Config,
    glimpse: &Glimpse,
    subject: &Subject,
    wish: &Wish,
    done: &'static str,
) -> anyhow::Result<Answered> {
    let Put { request, became } = put(config, wish)?;
    let (outcome, says) = match became {
        Ok(outcome) if outcome.done => (done, outcome.says),
        Ok(outcome) => (REFUSED, outcome.says),
        Err(why) => {
            let known = subject.is_known(&glimpse.state);
            let hint = if known { "" } else { "; nothing is on record of it" };
            (QUEUED, format!("{why}{hint}"))
        }
    };
    Ok(Answered { subject: subject.clone(), outcome, says, request: Some(request) })
}

/// A wish that is in the ledger.
pub(crate) struct Put {
    /// Its number there.
    pub(crate) request: i64,
    /// The daemon's answer, or why it is not there yet.
    pub(crate) became: Result<Outcome, &'static str>,
}

/// Has the wish put into the ledger and waits for its answer: over the daemon's control socket, or, where none answers there,
/// by a row and a nudge.
pub(crate) fn put(config: &Config, wish: &Wish) -> anyhow::Result<Put> {
    if let Some(Replied { request, outcome }) = client::put(config, wish)? {
        return Ok(Put { request, became: outcome.ok_or(SLOW) });
    }
    let path = &config.ledger.path.0.0;
    let mut inbox = Inbox::open(path)?;
    let uid = rustix::process::getuid().as_raw();
    let who = client::who(client::login().as_deref(), uid);
    let request = inbox.add(&who, &wish.to_text(), clock::now())?;
    let told = nudge(path);
    let deadline = Instant::now() + PATIENCE;
    while told && Instant::now() < deadline {
        if let Some(Request { settled: Some(settled), .. }) = inbox.request(request)? {
            return Ok(Put { request, became: Ok(Outcome::of_text(&settled.outcome)) });
        }
        thread::sleep(LOOK_EVERY);
    }
    let why = match (told, ledger::holder(path)) {
        (true, _) => SLOW,
        (false, Some(_)) => "the daemon could not be told; it looks once a minute",
        (false, None) => "no daemon runs; the next one reads it at its start",
    };
    Ok(Put { request, became: Err(why) })
}

/// Why there is no answer from a daemon that was told.
const SLOW: &str = "the daemon was told and has not answered yet";

/// The outcome of what waits in the ledger.
pub(crate) const QUEUED: &str = "queued";

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
            REFUSED | QUEUED => style.yellow(self.outcome),
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
