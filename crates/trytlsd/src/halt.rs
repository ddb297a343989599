//! `trytlsd pause` and `trytlsd resume`: words about the daemon as a whole.

use config::Config;
use serde::Serialize;

use crate::FAILED;
use crate::cli;
use crate::desk::{Put, QUEUED, REFUSED, put};
use crate::output::{Safe, Style, print};
use crate::request::Wish;

/// Runs `pause`.
pub(crate) fn pause(args: &cli::Pause, config: &Config) -> anyhow::Result<u8> {
    ask(config, &Wish::Pause, "paused")?.tell(args.common.json)
}

/// Runs `resume`.
pub(crate) fn resume(args: &cli::Resume, config: &Config) -> anyhow::Result<u8> {
    ask(config, &Wish::Resume, "resumed")?.tell(args.common.json)
}

/// Asks, and waits for the answer. `done` is the word for what is carried out.
pub(crate) fn ask(config: &Config, wish: &Wish, done: &'static str) -> anyhow::Result<Told> {
    let Put { request, became } = put(config, wish)?;
    let (outcome, says) = match became {
        Ok(outcome) if outcome.done => (done, outcome.says),
        Ok(outcome) => (REFUSED, outcome.says),
        Err(why) => (QUEUED, why.to_owned()),
    };
    Ok(Told { outcome, says, request: Some(request), left: None })
}

/// What became of it.
#[derive(Serialize)]
pub(crate) struct Told {
    /// `paused`, `resumed`, `disarmed`, `refused` or `queued`.
    pub(crate) outcome: &'static str,
    pub(crate) says: String,
    /// The number of the request in the ledger, if it was queued.
    pub(crate) request: Option<i64>,
    /// Of `disarm`: entries that are not out of file and map yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<usize>,
}

impl Told {
    /// Prints it; the exit status.
    pub(crate) fn tell(&self, json: bool) -> anyhow::Result<u8> {
        let style = Style::of_stdout();
        let outcome = match self.outcome {
            REFUSED | QUEUED => style.yellow(self.outcome),
            done => style.green(done),
        };
        print(match json {
            true => serde_json::to_string(self)? + "\n",
            false => format!("{outcome}: {}\n", Safe(&self.says)),
        })?;
        let failed = self.outcome == REFUSED || self.left.is_some_and(|left| left > 0);
        Ok(if failed { FAILED } else { 0 })
    }
}
