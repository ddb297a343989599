//! `trytlsd check-config`: can the config be used, and is what it names there?
//!
//! What is named is judged by the doctor's checks; those that take long, or look beyond what the config names, are left
//! to `trytlsd doctor`.

use std::fmt::Write;

use config::Config;
use serde::Serialize;

use crate::cli;
use crate::doctor;
use crate::finding::Finding;
use crate::output::{Safe, Style, print};

/// The exit status if something that the config names is missing or wrong.
const FLAWED: u8 = 1;

#[derive(Serialize)]
struct Checked {
    files: Vec<String>,
    keys: Vec<KeyRow>,
    findings: Vec<Finding>,
    /// Whether nothing is wrong.
    good: bool,
}

#[derive(Serialize)]
struct KeyRow {
    key: String,
    /// As TOML.
    value: String,
    source: String,
    /// Whether it does something in this version.
    works: bool,
}

/// Runs the command.
pub(crate) fn run(args: &cli::CheckConfig, config: &Config) -> anyhow::Result<u8> {
    let findings = doctor::of_config(config);
    let good = findings.iter().all(|finding| finding.good);
    let checked = Checked {
        files: config.files.iter().map(|path| path.display().to_string()).collect(),
        keys: rows(config),
        findings,
        good,
    };
    print(if args.common.json {
        serde_json::to_string(&checked)? + "\n"
    } else {
        checked.text(Style::of_stdout())
    })?;
    Ok(if good { 0 } else { FLAWED })
}

fn rows(config: &Config) -> Vec<KeyRow> {
    let row = |shown: config::Shown| KeyRow {
        works: !Config::IDLE_KEYS.contains(&shown.name.as_str()),
        key: shown.name,
        value: shown.value,
        source: shown.source.to_string(),
    };
    config.shown().into_iter().map(row).collect()
}

impl Checked {
    fn text(&self, style: Style) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            let _infallible = writeln!(out, "{text}");
        };
        match self.files.as_slice() {
            [] => line("no config file; these are the defaults".to_owned()),
            files => line(format!("read {}", files.join(", "))),
        }
        line(String::new());
        for row in &self.keys {
            let idle = if row.works { "" } else { "  (does nothing yet)" };
            let source = style.faint(format!("# {}{idle}", Safe(&row.source)));
            line(format!("{:<48} {source}", format!("{} = {}", row.key, Safe(&row.value))));
        }
        line(String::new());
        for finding in &self.findings {
            line(finding.text(style));
        }
        line(String::new());
        line(match self.good {
            true => "the config can be used".to_owned(),
            false => {
                "the config can be used, but see above (trytlsd doctor looks closer)".to_owned()
            }
        });
        out
    }
}
