//! The benchmark: whole processes on the same logs in one run, trytlsd beside the programs that only
//! count, and the time from a line to a decision.
//!
//! On a shared machine a time says nothing by itself. So the programs take turns (A B C, A B C ...),
//! each figure is the median of its runs, and what is reported is the ratio. Counts are compared with
//! the truth of the generated log in the same run: a fast wrong answer is none.
//!
//! A wrong count ends the run with status 1; a target that is missed does so only with `--strict`.

mod correct;
mod latency;
mod logs;
mod measure;
mod table;
mod tools;

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;

use self::correct::Findings;
use self::logs::{Log, Logs};
use self::measure::Cost;
use self::table::Row;
use self::tools::{Reader, Tool, Tools};
use crate::generate::{Format, Limit, Spec};
use crate::quantity::{bytes, show_bytes};

/// Compare trytlsd with ripgrep and grep on generated logs.
#[derive(Debug, Parser)]
struct Args {
    /// Bytes of the large log; k, M and G are powers of ten
    #[arg(long, value_parser = bytes, default_value = "1G", value_name = "BYTES")]
    size: u64,
    /// Bytes of each of the other logs [default: a tenth of the large one]
    #[arg(long, value_parser = bytes, value_name = "BYTES")]
    small: Option<u64>,
    /// Runs of each program on each log; the median counts
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Trials of the time from a line to a decision; 0 leaves them out
    #[arg(long, default_value_t = 200)]
    trials: u32,
    /// End with status 1 where a target is missed
    #[arg(long)]
    strict: bool,
    /// Where the generated logs are kept [default: target/bench]
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
}

/// What was aimed at and what came out.
#[derive(Debug)]
struct Target {
    what: String,
    got: String,
    /// None where it could not be measured.
    met: Option<bool>,
}

/// The command; gives whether all is well.
///
/// # Errors
/// Where something could not be measured at all.
pub fn main() -> Result<bool> {
    if let Some(command) = measure::command_of_helper() {
        return measure::help(&command).map(|()| true);
    }
    let args = Args::parse();
    let tools = Tools::find()?;
    let logs = Logs::new(args.logs.clone(), args.size)?;
    let mut targets = Vec::new();
    let mut wrong = Vec::new();
    say(format_args!("{}", tools.describe()))?;

    let small = Limit::Bytes(args.small.unwrap_or(logs.largest() / 10));
    let of = |spec| -> Result<(Log, Vec<Row>)> { compare(&args, &tools, &logs, spec) };
    let (large, rows) = of(Spec { limit: Limit::Bytes(logs.largest()), ..Spec::default() })?;
    wrong.extend(wrong_counts(&large, &rows)?);
    targets.extend(speed_targets(&large, &rows));
    let large_memory = rows.first().map(|row| row.cost.rss);

    let others = [
        Spec { limit: small, ..Spec::default() },
        Spec { limit: small, share: 0.0, ..Spec::default() },
        Spec { limit: small, share: 0.05, ..Spec::default() },
        Spec { limit: small, format: Format::Iso, ..Spec::default() },
        Spec { limit: small, hostile: 0.05, format: Format::Iso, ..Spec::default() },
    ];
    let mut most = large_memory;
    for (number, spec) in others.into_iter().enumerate() {
        let (log, rows) = of(spec)?;
        wrong.extend(wrong_counts(&log, &rows)?);
        let memory = rows.first().map(|row| row.cost.rss);
        most = most.max(memory);
        if let (0, Some(large), Some(small)) = (number, large_memory, memory) {
            targets.push(flatness(&log, small, large));
        }
    }
    if let Some(most) = most {
        targets.insert(
            0,
            Target {
                what: "memory of trytlsd scan at most 12 MB".to_owned(),
                got: format!("{:.1} MB", megabytes(most)),
                met: Some(megabytes(most) <= 12.0),
            },
        );
    }
    if args.trials > 0 {
        targets.push(latency::run(&tools, args.trials)?);
    }
    conclude(&targets, &wrong)?;
    let missed = targets.iter().any(|target| target.met == Some(false));
    Ok(wrong.is_empty() && !(args.strict && missed))
}

/// Have all tools read a log, in turns, and show what it took them.
fn compare(args: &Args, tools: &Tools, logs: &Logs, spec: Spec) -> Result<(Log, Vec<Row>)> {
    let log = logs.make(spec)?;
    log.warm()?;
    let mut runs: Vec<(&Reader, Vec<Cost>)> =
        tools.readers.iter().map(|reader| (reader, Vec::new())).collect();
    for _ in 0..args.runs {
        for (reader, costs) in &mut runs {
            let cost = measure::measure(&reader.on(&log.path))
                .with_context(|| format!("measure {}", reader.tool.name()))?;
            costs.push(cost);
        }
    }
    let rows: Vec<Row> =
        runs.into_iter().filter_map(|(reader, costs)| Row::of(reader.tool, costs)).collect();
    let title = log.describe();
    say(format_args!("{}", table::render(&title, log.truth.bytes, &rows)))?;
    Ok((log, rows))
}

/// What was counted wrongly, in words.
fn wrong_counts(log: &Log, rows: &[Row]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for row in rows {
        let found = Findings::of(row)?;
        wrong.extend(
            found
                .errors(log)
                .into_iter()
                .map(|error| format!("{} on {}: {error}", row.tool.name(), log.describe())),
        );
    }
    Ok(wrong)
}

fn speed_targets(log: &Log, rows: &[Row]) -> Vec<Target> {
    let mut targets = Vec::new();
    let ours = rows.first().map(|row| row.cost.cpu);
    let mut ratio = |tool: Tool, limit: f64, what: String| {
        let other = rows.iter().find(|row| row.tool == tool).map(|row| row.cost.cpu);
        let ratio = ours.zip(other).map(|(ours, other)| ours / other);
        targets.push(Target {
            what,
            got: ratio.map_or("not measured".to_owned(), |ratio| format!("{ratio:.2}")),
            met: ratio.map(|ratio| ratio <= limit),
        });
    };
    let size = show_bytes(log.truth.bytes);
    // Delivery lines are read too, not only found, for where TLS worked; two patterns are no measure of that.
    let all = format!("CPU on {size} at most 2.5 times that of rg, all kinds as patterns");
    ratio(Tool::RgAllPatterns, 2.5, all);
    ratio(
        Tool::RgTwo,
        2.0,
        format!("CPU on {size} at most 2.0 times that of rg, two patterns (an aim)"),
    );
    targets
}

fn flatness(small_log: &Log, small: u64, large: u64) -> Target {
    let ratio = large as f64 / small as f64;
    Target {
        what: format!(
            "memory flat in file size: at most 1.1 times that on {}",
            show_bytes(small_log.truth.bytes)
        ),
        got: format!("{ratio:.2}"),
        met: Some(ratio <= 1.1),
    }
}

fn conclude(targets: &[Target], wrong: &[String]) -> Result<()> {
    say(format_args!("targets"))?;
    for Target { what, got, met } in targets {
        let word = match met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "left out",
        };
        say(format_args!("  {word:<9} {what}: {got}"))?;
    }
    if wrong.is_empty() {
        return say(format_args!("counts\n  equal     every count is that of the truth"));
    }
    say(format_args!("counts"))?;
    wrong.iter().try_for_each(|error| say(format_args!("  WRONG     {error}")))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn say(line: std::fmt::Arguments<'_>) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("write to standard output")
}
