//! `trytlsd doctor`: looks at the host and says what is right, what is wrong, and how to mend it. It changes nothing.
//!
//! First the host is looked at as it is ([`seen::Seen`]), then a list of small checks judges what was seen. `check-config`
//! and the daemon make some of the same checks, so that what is said of a thing is said once:
//!
//! * of sendmail.cf (`cf`): the daemon at its start, `check-config`, the doctor
//! * of what the config names (`named`): `check-config`, the doctor
//! * what takes longer, or lies beyond the config (`deep`): the doctor
//!
//! Without a config the doctor looks at what it finds itself, which is what `--write-config` prints.
//!
//! **Foreign text.** Log lines, DNS answers and what programs say are shown; all of it is escaped by [`Finding::text`].

mod cf;
mod deep;
mod directory;
mod fit;
mod named;
mod places;
mod sample;
mod seen;
mod sequence;

use std::fmt::Write;
use std::path::Path;

use config::Config;
use serde::Serialize;

use crate::cli;
use crate::finding::{Finding, Grade};
use crate::host::Host;
use crate::output::{Style, complain, print};

use places::Places;
use seen::Seen;

/// The exit status if something is wrong.
const WRONG: u8 = 1;

/// The exit status if the host could not be looked at.
const UNSEEN: u8 = 2;

#[derive(Serialize)]
struct Report {
    /// The config files that were read; none: what was found on the host was looked at.
    files: Vec<String>,
    findings: Vec<Finding>,
    /// Whether nothing is wrong.
    good: bool,
}

/// Checks of a map that is a file; a fleet's is none.
const OF_A_FILE: [&str; 9] = [
    "map-class",
    "beside",
    "access-file",
    "map-file",
    "makemap",
    "makemap-class",
    "map-age",
    "map-rights",
    "rights",
];

/// Whether a check has anything to look at.
fn applies(config: &Config, check: &str) -> bool {
    !config.is_shared() || !OF_A_FILE.contains(&check)
}

/// What sendmail.cf says, judged.
pub(crate) fn of_cf(config: &Config, host: &Host) -> Vec<Finding> {
    cf::findings(config, host)
}

/// What the config names, judged.
pub(crate) fn of_config(config: &Config) -> Vec<Finding> {
    named::findings(&Seen::of_config(config))
}

/// Runs the command. `config`: what is in force, if there is a config file.
pub(crate) fn run(args: &cli::Doctor, config: Config) -> anyhow::Result<u8> {
    let done = match (args.write_config, args.sequence_map) {
        (true, _) => write_config(),
        (_, true) => sequence_map(config),
        _ => look(args, config),
    };
    match done {
        Err(error) if !crate::output::is_closed_pipe(&error) => {
            complain(error);
            Ok(UNSEEN)
        }
        done => done,
    }
}

/// The config, or what fits the host where there is none.
fn or_fitting(config: Config, places: &Places) -> anyhow::Result<Config> {
    if !config.files.is_empty() {
        return Ok(config);
    }
    let fitting = Config::of_text(Path::new("/etc/trytlsd/trytlsd.toml"), &fit::text(places))?;
    Ok(Config { files: Vec::new(), ..fitting })
}

fn look(args: &cli::Doctor, config: Config) -> anyhow::Result<u8> {
    let config = or_fitting(config, &Places::look(Path::new("/")))?;
    let seen = Seen::whole(&config, !args.no_dns)?;
    let mut findings = named::findings(&seen);
    findings.extend(seen.deep.iter().flat_map(|deep| deep::findings(&seen, deep)));
    let report = Report {
        files: config.files.iter().map(|path| path.display().to_string()).collect(),
        good: findings.iter().all(|finding| finding.good),
        findings,
    };
    print(if args.json {
        serde_json::to_string(&report)? + "\n"
    } else {
        report.text(Style::of_stdout())
    })?;
    Ok(if report.good { 0 } else { WRONG })
}

fn write_config() -> anyhow::Result<u8> {
    let places = Places::look(Path::new("/"));
    let text = fit::text(&places);
    // What is printed must be a config.
    Config::of_text(Path::new("/etc/trytlsd/trytlsd.toml"), &text)?;
    for missing in fit::missing(&places) {
        complain(missing);
    }
    print(text)?;
    Ok(if places.is_whole() { 0 } else { WRONG })
}

fn sequence_map(config: Config) -> anyhow::Result<u8> {
    let config = or_fitting(config, &Places::look(Path::new("/")))?;
    print(sequence::text(&config.access.cf.0.0)?)?;
    Ok(0)
}

impl Report {
    /// What is wrong stands last, where it is seen first.
    fn text(&self, style: Style) -> String {
        let mut out = String::new();
        let mut count = [0; 3];
        for (n, grade) in [Grade::Good, Grade::Note, Grade::Wrong].into_iter().enumerate() {
            for finding in self.findings.iter().filter(|finding| finding.grade == grade) {
                let _infallible = writeln!(out, "{}", finding.named_text(style));
                if let Some(count) = count.get_mut(n) {
                    *count += 1;
                }
            }
        }
        let [good, notes, wrong] = count;
        let of = |count: u32, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {more}"),
        };
        let notes = of(notes, "note (--)", "notes (--)");
        let end = match wrong {
            0 => format!("all is right: {}, {notes}", of(good, "check", "checks")),
            wrong => format!("{} (!!), {notes}", of(wrong, "thing is wrong", "things are wrong")),
        };
        let _infallible = writeln!(out, "\n{}", style.bold(end));
        out
    }
}
