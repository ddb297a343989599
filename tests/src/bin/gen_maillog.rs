//! `gen_maillog`: write a sendmail log with a known share of broken handshakes, for measurements and
//! tests. The truth goes beside it (`OUT.truth.json`), or to standard error where the log goes to
//! standard output. See [`tests::generate`].

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use tests::generate::{Format, Limit, Spec, generate};
use tests::quantity::bytes;

/// Write a sendmail log with a known share of broken handshakes, and the truth beside it.
///
/// The log is a function of the arguments alone.
#[derive(Debug, Parser)]
struct Args {
    /// Bytes to write; k, M and G are powers of ten
    #[arg(long, value_parser = bytes, default_value = "100M", value_name = "BYTES")]
    size: u64,
    /// Lines to write instead
    #[arg(long, conflicts_with = "size")]
    lines: Option<u64>,
    /// Share of failures' ruleset and delivery lines among all lines, 0 to 0.3
    #[arg(long, default_value_t = 0.001)]
    share: f64,
    /// Share of lines in which text of a remote side imitates a failure, 0 to 0.3
    #[arg(long, default_value_t = 0.0)]
    hostile: f64,
    /// How many relays fail
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    relays: u32,
    /// How the time is written
    #[arg(long, value_enum, default_value_t = TimeFormat::Classic)]
    format: TimeFormat,
    /// The code of a failure: 454 since sendmail 8.17.1, 403 before
    #[arg(long, default_value_t = 454, value_parser = clap::value_parser!(u16).range(400..=499))]
    code: u16,
    /// Lines for each second of the log's time
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// The time of the first line, UTC
    #[arg(long, default_value = "2026-11-01T00:00:00")]
    start: jiff::civil::DateTime,
    /// The host that writes the log
    #[arg(long, default_value = "mx1")]
    host: String,
    /// The program name of the MTA's lines
    #[arg(long, default_value = "sm-mta")]
    tag: String,
    /// Where the random numbers start
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The file to write; standard output if none
    #[arg(short, long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TimeFormat {
    /// Nov 23 11:30:13
    Classic,
    /// 2026-11-23T11:30:13.186271+00:00
    Iso,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let spec = Spec {
        limit: args.lines.map_or(Limit::Bytes(args.size), Limit::Lines),
        share: args.share,
        hostile: args.hostile,
        relays: args.relays as usize,
        format: match args.format {
            TimeFormat::Classic => Format::Classic,
            TimeFormat::Iso => Format::Iso,
        },
        code: args.code,
        rate: args.rate,
        start: args.start,
        host: args.host,
        tag: args.tag,
        seed: args.seed,
    };
    let Some(path) = args.out else {
        let truth = generate(&spec, io::stdout().lock()).context("write the log")?;
        let text = serde_json::to_string(&truth).context("write the truth as JSON")?;
        return writeln!(io::stderr(), "{text}").context("write the truth");
    };
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let truth = generate(&spec, file).with_context(|| format!("write {}", path.display()))?;
    truth.save(&path)
}
