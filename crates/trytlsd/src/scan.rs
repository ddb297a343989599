//! `trytlsd scan`: whole logs through the same heart as the daemon, with the map left alone.
//!
//! The lines are read first, with their log times; then the facts are asked for, all at once; then the verdicts are
//! given. A question that was raised in the middle of the log is therefore answered with what DNS says today.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maillog::event::Event;
use maillog::stamp::Calendar;
use maillog::{Finder, Kind, Kinds};
use policy::fact::{Answer, Fact, Ptr, Question};
use policy::input::{Effect, Input, MapState};
use policy::step::{State, step};
use tailer::Input as LogFile;

use crate::cli;
use crate::clock;
use crate::config::Config;
use crate::output::{Style, complain, print};
use crate::progress::Progress;
use crate::report::{Listed, Report};
use crate::tally::Tally;
use crate::verdict;

/// The exit status if something could not be read.
const UNREAD: u8 = 1;

/// One run over some logs.
struct Scan {
    state: State,
    tally: Tally,
    /// What was asked while the lines were read.
    asked: Vec<Question>,
    lines: u64,
    bytes: u64,
    last: Timestamp,
}

/// Runs the command.
pub(crate) fn run(args: &cli::Scan, config: &Config) -> anyhow::Result<u8> {
    let mut scan = Scan {
        state: State::new(config.rules()),
        tally: Tally::default(),
        asked: Vec::new(),
        lines: 0,
        bytes: 0,
        last: Timestamp::UNIX_EPOCH,
    };
    let mut status = 0;
    let (files, errors) = tailer::inputs(&args.files);
    for error in errors {
        complain(error);
        status = UNREAD;
    }
    let progress = Progress::start(&files);
    let mut finder = Finder::new(Kinds::of(&[Kind::Attempt, Kind::Outcome, Kind::ClientSuccess]));
    for path in files {
        if let Err(error) = scan.read(&path, &mut finder, &progress) {
            complain(error);
            status = UNREAD;
        }
    }
    progress.finish();
    let answers = if args.no_dns { HashMap::new() } else { scan.ask(config)? };
    scan.decide(&answers);
    let report = scan.report(&answers);
    let text = if args.json { report.json()? } else { report.text(config, Style::of_stdout()) };
    print(text)?;
    Ok(status)
}
