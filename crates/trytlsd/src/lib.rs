//! trytlsd: turns TLS off for relays whose STARTTLS is broken, so that stuck mail flows again.
//!
//! This crate wires the house together: config, command line, the daemon's loop. What a line means, when failures become
//! a decision and how the map is changed is known elsewhere; see docs/ARCHITECTURE.md.

mod adopt;
mod approve;
mod asking;
mod beside;
mod book;
mod check;
mod chronicle;
mod cli;
mod clock;
mod control;
mod daemon;
mod desk;
mod disarm;
mod doctor;
mod events;
mod explain;
mod explain_client;
mod explained;
mod explained_client;
mod finding;
mod fleet;
mod flush;
mod glimpse;
mod halt;
mod happening;
mod host;
mod html;
mod http;
mod journal;
mod keeper;
mod letter;
mod lift;
mod list;
mod logging;
mod mapper;
mod matching;
mod notice;
mod nudge;
mod output;
mod overview;
mod page;
mod place;
mod probe;
mod probed;
mod progress;
mod proof;
mod pulse;
mod reader;
mod remembered;
mod report;
mod request;
mod scan;
mod service;
mod shared;
mod status;
mod subject;
mod table;
mod tally;
mod verdict;
mod watcher;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use config::{self, Config};

use crate::cli::{Cli, Command};
use crate::output::{complain, is_closed_pipe};

/// Something went wrong that is not the caller's fault.
const FAILED: u8 = 1;

/// The command line or the config is wrong.
const MISUSED: u8 = 2;

/// The command line as `--help` shows it: what manual pages and completions are made from.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The program: reads the command line, runs the command, and gives its exit status.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(status) => ExitCode::from(status),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let status = if error.is::<config::Error>() { MISUSED } else { FAILED };
            complain(error);
            ExitCode::from(status)
        }
    }
}

fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Run(args) => {
            logging::start();
            let config = load(args.config.as_deref())?;
            daemon::run(&args, config)
        }
        Command::Scan(args) => scan::run(&args, &load(args.config.as_deref())?),
        Command::Match(args) => matching::run(&args, &load(args.config.as_deref())?),
        Command::Explain(args) => explain::run(&args, &load(args.about.common.config.as_deref())?),
        Command::Approve(args) => approve::run(&args, &load(args.about.common.config.as_deref())?),
        Command::Lift(args) => lift::lift(&args, &load(args.about.common.config.as_deref())?),
        Command::Hold(args) => lift::hold(&args, &load(args.about.common.config.as_deref())?),
        Command::Adopt(args) => adopt::run(&args, &load(args.common.config.as_deref())?),
        Command::Status(args) => status::run(&args.common, &load(args.common.config.as_deref())?),
        Command::List(args) => {
            let run = if args.fleet { fleet::run } else { list::run };
            run(&args.common, &load(args.common.config.as_deref())?)
        }
        Command::Pause(args) => halt::pause(&args, &load(args.common.config.as_deref())?),
        Command::Resume(args) => halt::resume(&args, &load(args.common.config.as_deref())?),
        Command::Disarm(args) => disarm::run(&args, &load(args.common.config.as_deref())?),
        Command::Events(args) => events::run(&args, &load(args.config.as_deref())?),
        Command::Report(args) => chronicle::run(&args, &load(args.common.config.as_deref())?),
        Command::Notice(args) => notice::command::run(&args, &load(args.config.as_deref())?),
        Command::Probe(args) => probe::run(&args, &load(args.config.as_deref())?),
        Command::CheckConfig(args) => check::run(&args, &load(args.common.config.as_deref())?),
        Command::Doctor(args) if args.write_config => doctor::run(&args, Config::default()),
        Command::Doctor(args) => doctor::run(&args, load(args.config.as_deref())?),
    }
}

fn load(path: Option<&Path>) -> Result<Config, config::Error> {
    Config::load_or_default(path)
}
