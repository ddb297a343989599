//! `trytlsd check-config`: can the config be used, and is what it names there?

use std::fmt::Write;
use std::fs::File;
use std::path::Path;

use config::{Config, LogPattern, RebuildWay};
use serde::Serialize;

use crate::cli;
use crate::host::{self, Finding, Host};
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
    let mut findings = Vec::new();
    for path in &config.log.path.0 {
        findings.push(readable("the log", path));
    }
    findings.extend(config.log.pattern.iter().flat_map(samples));
    findings.push(readable("the access file", &config.access.file.0.0));
    let host = Host::look(config);
    if *config.access.rebuild != RebuildWay::None && host.has_map() {
        findings.push(readable("the map", &host.settings(config).db()));
    }
    if matches!(*config.access.rebuild, RebuildWay::Replace | RebuildWay::Append) && host.has_map()
    {
        findings.push(program("makemap", &config.access.makemap));
    }
    if host.asked(config).is_some() {
        findings.push(program("sendmail", &config.access.sendmail));
    }
    findings.push(folder_of_ledger(&config.ledger.path.0.0));
    findings.extend(host.findings);
    let good = findings.iter().all(|finding| finding.good);
    let checked = Checked {
        files: config.files.iter().map(|path| path.display().to_string()).collect(),
        keys: rows(config),
        findings,
        good,
    };
    print(if args.json {
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

fn readable(what: &str, path: &Path) -> Finding {
    let shown = path.display();
    let opened = std::fs::metadata(path).and_then(|meta| match meta.is_file() {
        true => File::open(path).map(|_| true),
        false => Ok(false),
    });
    match opened {
        Ok(true) => Finding { good: true, text: format!("{what} {shown} can be read") },
        Ok(false) => Finding { good: false, text: format!("{what} {shown} is no regular file") },
        Err(error) => Finding { good: false, text: format!("{what} {shown}: {error}") },
    }
}

/// Whether a pattern matches its samples, and whose words it takes them for.
fn samples(pattern: &LogPattern) -> Vec<Finding> {
    let name = &pattern.name;
    let tried = pattern.samples.iter().zip(1..).map(|(sample, n): (&String, u32)| {
        let (good, text) = match pattern.compiled.try_line(sample.as_bytes()) {
            Ok(reply) => {
                (true, format!("pattern {name:?}, sample {n}: a reply of {}", reply.relay))
            }
            Err(why) => (false, format!("pattern {name:?}, sample {n}: {why}")),
        };
        Finding { good, text }
    });
    if pattern.samples.is_empty() {
        let text = format!("pattern {name:?} has no samples; nobody knows whether it matches");
        return vec![Finding { good: false, text }];
    }
    tried.collect()
}

/// Whether the ledger's folder is there, or can be made: the daemon makes the last one.
fn folder_of_ledger(path: &Path) -> Finding {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let shown = folder.display();
    if folder.is_dir() {
        return Finding { good: true, text: format!("the ledger's folder {shown} is there") };
    }
    if folder.parent().is_some_and(Path::is_dir) {
        return Finding {
            good: true,
            text: format!("the ledger's folder {shown} is made at the start"),
        };
    }
    let text = format!("the ledger's folder {shown} is not there, nor the one it would be made in");
    Finding { good: false, text }
}

/// Whether the program is there.
fn program(what: &str, name: &str) -> Finding {
    match host::program(name) {
        Some(found) => Finding { good: true, text: format!("{what} is {}", found.display()) },
        None => {
            Finding { good: false, text: format!("{what}: {name} is not there, or not in PATH") }
        }
    }
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
            let mark = if finding.good { style.green("ok") } else { style.yellow("!!") };
            line(format!("{mark} {}", Safe(&finding.text)));
        }
        line(String::new());
        line(match self.good {
            true => "the config can be used".to_owned(),
            false => "the config can be used, but see above".to_owned(),
        });
        out
    }
}
