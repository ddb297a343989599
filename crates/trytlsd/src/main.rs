//! trytlsd: turns TLS off for relays whose STARTTLS is broken, so that stuck mail flows again.
//!
//! This crate wires the house together: config, command line, the daemon's loop. What a line means, when failures become
//! a decision and how the map is changed is known elsewhere; see docs/ARCHITECTURE.md.

mod check;
mod cli;
mod clock;
mod config;
mod daemon;
mod host;
mod mapper;
mod matching;
mod output;
mod progress;
mod reader;
mod report;
mod scan;
mod tally;
mod verdict;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::output::{complain, is_closed_pipe};

/// Something went wrong that is not the caller's fault.
const FAILED: u8 = 1;

/// The command line or the config is wrong.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
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
            log_to_stderr();
            let config = load(args.config.as_deref())?;
            daemon::run(&args, config)
        }
        Command::Scan(args) => scan::run(&args, &load(args.config.as_deref())?),
        Command::Match(args) => matching::run(&args),
        Command::CheckConfig(args) => check::run(&args, &load(args.config.as_deref())?),
    }
}

fn load(path: Option<&Path>) -> Result<Config, config::Error> {
    Config::load_or_default(path)
}

/// The log of the daemon: standard error (the journal, as a service), never the mail facility, whose lines it reads.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr())
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .init();
}
