//! The programs that are compared, where they are and what they are asked.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::namespace::command;
use crate::{local, need};

/// What is searched for with two patterns: the ruleset line and the Deferred line of a failure.
const TWO: &str = r"\]: (?:ruleset=tls_server, arg1=SOFTWARE, relay=[^, ]+, reject=4[0-9]{2} 4\.[0-9]\.[0-9] TLS handshake failed\.|[0-9A-Za-z]{14}: to=.*, relay=[^, ]+ \[[0-9A-Fa-fIPv6:.]+\], dsn=4\.[0-9]\.[0-9], stat=Deferred: 4[0-9]{2} 4\.[0-9]\.[0-9] TLS handshake failed\.)";

/// These and the handshakes that succeeded. Each alternative begins with what is rare: of the wordings
/// tried, with what stands before it as above, this one is three times as fast.
const ALL: &str = r"ruleset=tls_server, arg1=SOFTWARE, relay=[^, ]+, reject=4[0-9]{2} 4\.[0-9]\.[0-9] TLS handshake failed\.|, stat=Deferred: 4[0-9]{2} 4\.[0-9]\.[0-9] TLS handshake failed\.|STARTTLS=client, relay=[^, ]+, version=";

/// The same lines by plain words alone.
const WORDS: [&str; 2] = ["TLS handshake failed", "STARTTLS=client, relay="];

/// A program with a question.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) tool: Tool,
    /// The program and its arguments, all but the log.
    command: Vec<OsString>,
}

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// `trytlsd scan --no-dns --json`
    Trytlsd,
    /// ripgrep with the two patterns of a failure.
    RgTwo,
    /// ripgrep with these and the pattern of a success.
    RgAllPatterns,
    /// ripgrep with plain words that stand in the same lines.
    RgAllWords,
    /// grep with one plain word.
    Grep,
}

/// All programs that could be had.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) trytlsd: PathBuf,
    /// Those that read a log, trytlsd first.
    pub(super) readers: Vec<Reader>,
    left_out: Vec<String>,
    versions: Vec<String>,
    /// Holds the patterns and trytlsd's config until the end.
    _folder: TempDir,
}

impl Tool {
    /// What it is called in the tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Trytlsd => "trytlsd scan --no-dns --json",
            Self::RgTwo => "rg -c --no-mmap, two patterns",
            Self::RgAllPatterns => "rg -c --no-mmap, all kinds",
            Self::RgAllWords => "rg -cF --no-mmap, their words",
            Self::Grep => "grep -cF, one word",
        }
    }
}

impl Reader {
    /// The command on a log.
    pub(super) fn on(&self, log: &Path) -> Vec<OsString> {
        let mut command = self.command.clone();
        command.push(log.into());
        command
    }
}

impl Tools {
    /// Look for all of them; only trytlsd must be there.
    pub(super) fn find() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("trytlsd-bench.").tempdir();
        let folder = folder.context("make a temporary folder")?;
        let file = |name: &str, text: &str| -> Result<OsString> {
            let path = folder.path().join(name);
            let mut file = std::fs::File::create(&path)
                .with_context(|| format!("create {}", path.display()))?;
            writeln!(file, "{text}").with_context(|| format!("write {}", path.display()))?;
            Ok(path.into())
        };
        // The host's own config must not have a say.
        let config = file("trytlsd.toml", "# the defaults")?;
        let (two, all) = (file("two.re", TWO)?, file("all.re", ALL)?);
        let trytlsd = local::program()?;
        let mut tools = Self {
            trytlsd: trytlsd.clone(),
            readers: Vec::new(),
            left_out: Vec::new(),
            versions: Vec::new(),
            _folder: folder,
        };
        let scan = ["scan".into(), "--no-dns".into(), "--json".into(), "--config".into(), config];
        tools.add(Tool::Trytlsd, &[trytlsd.into()], &scan);
        match ripgrep() {
            Some(rg) => {
                let with = |args: &[&str], rest: &[OsString]| -> Vec<OsString> {
                    let all = ["--no-config", "--no-mmap"].iter().chain(args).map(OsString::from);
                    all.chain(rest.iter().cloned()).collect()
                };
                tools.add(Tool::RgTwo, &rg, &with(&["-c", "-f"], &[two]));
                tools.add(Tool::RgAllPatterns, &rg, &with(&["-c", "-f"], &[all]));
                tools.add(
                    Tool::RgAllWords,
                    &rg,
                    &with(&["-cF", "-e", WORDS[0], "-e", WORDS[1]], &[]),
                );
            }
            None => tools.left_out.push(
                "ripgrep (neither RG nor PATH names one, and no test bed: make bed)".to_owned(),
            ),
        }
        match version(&["grep".into()]) {
            Some(_) => {
                tools.add(Tool::Grep, &["grep".into()], &["-cF".into(), WORDS[0].into()]);
            }
            None => tools.left_out.push("grep (not in PATH)".to_owned()),
        }
        Ok(tools)
    }

    fn add(&mut self, tool: Tool, program: &[OsString], args: &[OsString]) {
        let said = version(program).unwrap_or_else(|| "no version".to_owned());
        if !self.versions.contains(&said) {
            self.versions.push(said);
        }
        self.readers.push(Reader { tool, command: [program, args].concat() });
    }

    /// Which versions are compared, and what is left out.
    pub(super) fn describe(&self) -> String {
        let mut text = self.versions.join(", ");
        for what in &self.left_out {
            text += &format!("\nleft out: {what}");
        }
        text
    }
}

/// ripgrep: `$RG`, else that in PATH, else the test bed's, which may need the bed's own libraries.
fn ripgrep() -> Option<Vec<OsString>> {
    let given = std::env::var_os("RG").map(|path| vec![path]);
    let own = Some(vec!["rg".into()]);
    let bed = need::program("rg").map(|path| vec![path.into()]);
    let with_libraries = need::root().ok().zip(need::program("rg")).map(|(root, program)| {
        let loader = root.join("lib64/ld-linux-x86-64.so.2");
        let libraries = root.join("usr/lib/x86_64-linux-gnu");
        vec![loader.into(), "--library-path".into(), libraries.into(), program.into()]
    });
    [given, own, bed, with_libraries].into_iter().flatten().find(|rg| version(rg).is_some())
}

/// The first line that a program prints with `--version`; none where it does not run.
fn version(program: &[OsString]) -> Option<String> {
    let [name, args @ ..] = program else { return None };
    let output = command(name.to_str()?)
        .args(args)
        .arg("--version")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split('\n').next().map(str::to_owned)
}
