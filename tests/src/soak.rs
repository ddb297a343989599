//! The soak: the daemon against a log that rotates all the time, while it is killed at random; and what
//! it costs while nothing happens, and while much does. What was expected is counted against what was
//! done.
//!
//! From outside there is one thing to count: a relay gets its entry with its third failure. So a relay
//! that failed three times, over rotations and kills, and has no entry lost a line; and one that failed
//! twice and has an entry had a line counted twice. In the end the counts themselves are read from the
//! ledger.

mod cast;
mod down;
mod footprint;
mod kills;
mod process;
mod rotation;
mod stage;

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use serde::Serialize;

/// Kill, rotate and count.
#[derive(Clone, Debug, Parser)]
pub struct Args {
    /// Only these parts [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How often the daemon is killed
    #[arg(long, default_value_t = 1000)]
    kills: u32,
    /// How often each kind of rotation is done
    #[arg(long, default_value_t = 100)]
    rotations: u32,
    /// Rounds of lines that are written while nobody reads, of each kind
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Relays below the threshold
    #[arg(long, default_value_t = 100_000)]
    relays: u32,
    /// Seconds of idling
    #[arg(long, default_value_t = 60)]
    idle: u32,
    /// Lines of noise
    #[arg(long, default_value_t = 2_000_000)]
    noise: u32,
    /// Where the random numbers start
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What can be counted in half a minute. What the daemon costs is left to `make soak`: on a machine that does other
    /// things too, such figures come out as they like.
    #[must_use]
    pub fn brief() -> Self {
        let args =
            ["soak", "--only=rotation,down,kills", "--kills=30", "--rotations=20", "--rounds=1"];
        Self::parse_from(args)
    }
}

/// A part of the soak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Lines around rotations, while the daemon runs.
    Rotation,
    /// Lines written while it does not.
    Down,
    /// Random kills.
    Kills,
    /// Many relays below the threshold.
    Relays,
    /// A quiet log.
    Idle,
    /// A log of others' lines.
    Noise,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was tried or measured.
    pub what: String,
    /// What came out.
    pub got: String,
    /// What is wanted.
    pub wanted: String,
    /// Whether it is that.
    pub met: bool,
}

impl Figure {
    fn count(what: impl Into<String>, done: u32, of: u32, least: u32) -> Self {
        let wanted = if least == of { "all".to_owned() } else { format!("at least {least}") };
        Self { what: what.into(), got: format!("{done} of {of}"), wanted, met: done >= least }
    }

    /// None of these must be.
    fn none(what: impl Into<String>, found: usize) -> Self {
        Self { what: what.into(), got: found.to_string(), wanted: "0".to_owned(), met: found == 0 }
    }

    fn at_most(what: impl Into<String>, got: f64, limit: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            got: format!("{got:.2} {unit}"),
            wanted: format!("at most {limit} {unit}"),
            met: got <= limit,
        }
    }
}

/// The command; gives whether all figures are met.
///
/// # Errors
/// Where something could not be tried or measured at all.
pub fn main() -> Result<bool> {
    let args = Args::parse();
    let figures = run(&args)?;
    let met = figures.iter().all(|figure| figure.met);
    let text = if args.json {
        serde_json::to_string_pretty(&figures)? + "\n"
    } else {
        table(&figures) + if met { "soak: all met\n" } else { "soak: MISSED\n" }
    };
    io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(met)
}

/// All parts that are asked for.
///
/// # Errors
/// As [`main`].
pub fn run(args: &Args) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for part in Part::value_variants() {
        if !args.only.is_empty() && !args.only.contains(part) {
            continue;
        }
        let run = match part {
            Part::Rotation => rotation::run,
            Part::Down => down::run,
            Part::Kills => kills::run,
            Part::Relays => footprint::relays,
            Part::Idle => footprint::idle,
            Part::Noise => footprint::noise,
        };
        figures.extend(run(args).with_context(|| format!("the part {part:?}"))?);
    }
    Ok(figures)
}

fn table(figures: &[Figure]) -> String {
    let width = |column: fn(&Figure) -> &str| {
        figures.iter().map(|figure| column(figure).len()).max().unwrap_or(0)
    };
    let (what, got) = (width(|figure| &figure.what), width(|figure| &figure.got));
    figures
        .iter()
        .map(|figure| {
            let word = if figure.met { "met" } else { "MISSED" };
            let Figure { what: w, got: g, wanted, .. } = figure;
            format!("{word:<7} {w:<what$}  {g:>got$}  ({wanted})\n")
        })
        .collect()
}

/// Says what went wrong, and in which folder.
fn complain(text: std::fmt::Arguments<'_>) {
    // The verdict says it as well.
    drop(writeln!(io::stderr(), "soak: {text}"));
}

/// Shows how far a long part is, on a terminal alone.
fn progress(text: std::fmt::Arguments<'_>) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        // Nobody misses it where it cannot be written.
        drop(write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush()));
    }
}
