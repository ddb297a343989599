//! The real trytlsd, run inside a bed.

use std::env;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bed::Bed;
use crate::namespace::command;
use crate::{need, wait};

/// Where the binary lies in the bed.
const INSIDE: &str = "/usr/local/sbin/trytlsd";

/// The default path of the configuration.
const CONFIG: &str = "/etc/trytlsd/trytlsd.toml";

/// The trytlsd binary: `$TRYTLSD_BIN`, else the workspace's own, built by cargo when it is out of
/// date (once for each process of the tests).
///
/// # Errors
/// Where cargo cannot build it.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(path) = env::var_os("TRYTLSD_BIN") {
        return Ok(PathBuf::from(path));
    }
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    // Of the whole workspace: the dependencies then have the features that the tests built them with,
    // and are not built twice. In release, as the caller, or not.
    let release: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let output = command(&cargo)
        .args(["build", "--quiet", "--workspace", "--bin", "trytlsd", "--bin", "pages"])
        .args(["--message-format", "json"])
        .args(release)
        .current_dir(need::repository())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {cargo}"))?;
    ensure!(output.status.success(), "cargo build of trytlsd: {}", output.status);
    // The path is asked of cargo, for the target folder may be anywhere.
    String::from_utf8_lossy(&output.stdout)
        .split('\n')
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "trytlsd")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo named no executable trytlsd")
}

/// The program that makes manual pages and completions: built with trytlsd, and beside it. `$PAGES_BIN`, where there is one.
///
/// # Errors
/// Where cargo cannot build it.
pub fn pages() -> Result<PathBuf> {
    match env::var_os("PAGES_BIN") {
        Some(path) => Ok(PathBuf::from(path)),
        None => Ok(binary()?.with_file_name("pages")),
    }
}

/// A trytlsd that runs in a bed. Killed when dropped.
#[derive(Debug)]
pub struct Trytlsd<'bed> {
    bed: &'bed Bed,
    child: Child,
    pid_file: String,
    stdout: Text,
    stderr: Text,
}

/// What a pipe has given so far.
pub(crate) type Text = Arc<Mutex<Vec<u8>>>;

impl<'bed> Trytlsd<'bed> {
    /// `trytlsd run` with this configuration, whose text is written to the default path.
    pub fn run(bed: &'bed Bed, config: &str) -> Result<Self> {
        Self::configure(bed, config)?;
        Self::start(bed, &["run"])
    }

    fn configure(bed: &Bed, config: &str) -> Result<()> {
        // The bed's dnsmasq does not validate, and there is no root above it.
        bed.sh("mkdir -p /etc/trytlsd/trytlsd.d")?;
        bed.namespace().write("/etc/trytlsd/trytlsd.d/bed.toml", "[dns]\ndnssec = \"off\"\n")?;
        bed.namespace().write(CONFIG, config)
    }

    /// The same, by a clock that the file names: `+400d` is so much later than the host's, `+0` the same. The file is
    /// read whenever trytlsd asks for the time.
    pub fn run_by(bed: &'bed Bed, config: &str, clock: &str) -> Result<Self> {
        Self::configure(bed, config)?;
        let library = bed.sh("ls /usr/lib/*/faketime/libfaketime.so.1")?;
        let variables = [
            ("LD_PRELOAD", library.trim()),
            ("FAKETIME_TIMESTAMP_FILE", clock),
            ("FAKETIME_NO_CACHE", "1"),
            // Time goes on as it does; only the time of day is another.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_DONT_RESET", "1"),
        ];
        Self::start_with(bed, &["run"], &variables)
    }

    /// Start `trytlsd ARGS...` and do not wait for it.
    pub fn start(bed: &'bed Bed, args: &[&str]) -> Result<Self> {
        Self::start_with(bed, args, &[])
    }

    fn start_with(bed: &'bed Bed, args: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        install(bed)?;
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let pid_file = format!("/run/trytlsd.{number}");
        let mut child = bed
            .namespace()
            .command("sh")
            // The pid that counts is the one inside; the child is nsenter.
            .args(["-c", "echo $$ >\"$0\" && exec env \"$@\"", &pid_file])
            .args(variables.iter().map(|(name, value)| format!("{name}={value}")))
            .arg(INSIDE)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start trytlsd in the bed")?;
        let stdout = collect(child.stdout.take().context("trytlsd's standard output")?);
        let stderr = collect(child.stderr.take().context("trytlsd's standard error")?);
        Ok(Self { bed, child, pid_file, stdout, stderr })
    }

    /// Standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// Standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Wait until both outputs together contain `part`, at most `limit`.
    pub fn wait_says(&mut self, limit: Duration, part: &str) -> Result<()> {
        let found = wait::until(limit, &format!("trytlsd saying {part:?}"), || {
            (self.stdout().contains(part) || self.stderr().contains(part)).then_some(())
        });
        found.with_context(|| format!("stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr()))
    }

    /// Wait until standard error contains `line` at least so often, at most `limit`.
    pub fn wait_says_times(&self, limit: Duration, line: &str, times: usize) -> Result<()> {
        let found = wait::until(limit, line, || {
            (self.stderr().matches(line).count() >= times).then_some(())
        });
        found.with_context(|| self.stderr())
    }

    /// Wait until it knows of so many relays whose mail is stuck: a line in the log need not have been read yet.
    pub fn wait_stuck(&self, limit: Duration, relays: u64) -> Result<()> {
        let known = || {
            let said = output(self.bed, &["status", "--json"]).ok()?;
            let status: Value = serde_json::from_slice(&said.stdout).ok()?;
            (status["stuck"]["relays"].as_u64()? >= relays).then_some(())
        };
        wait::until(limit, "what is stuck", known).with_context(|| self.stderr())
    }

    /// Send a signal by its name, as "TERM" or "HUP".
    pub fn signal(&self, name: &str) -> Result<()> {
        self.bed.sh(&format!("kill -s {name} \"$(cat {})\"", self.pid_file)).map(drop)
    }

    /// Wait for its end, at most `limit`.
    pub fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        wait::until(limit, "trytlsd's end", || self.child.try_wait().ok().flatten())
    }

    /// End it as the system would (SIGTERM), within 10 s.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.wait_end(Duration::from_secs(10))
    }
}

impl Drop for Trytlsd<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Where this fails the bed's end does it.
            drop(self.signal("KILL"));
            drop(self.child.wait());
        }
    }
}

/// `trytlsd ARGS...` in the bed, to its end.
pub fn output(bed: &Bed, args: &[&str]) -> Result<Output> {
    install(bed)?;
    bed.run(INSIDE, args)
}

/// What an administrator does to have trytlsd as a service of systemd's, up to `systemctl start`: the program, the units
/// of this repository and a configuration in their places.
pub fn install_service(bed: &Bed, config: &str) -> Result<()> {
    install(bed)?;
    bed.sh("cp /usr/local/sbin/trytlsd /usr/bin/trytlsd")?;
    for unit in ["trytlsd.service", "trytlsd-flush@.service", "trytlsd-notice.service"] {
        let text = fs::read(need::repository().join("systemd").join(unit))
            .with_context(|| format!("read systemd/{unit}"))?;
        bed.namespace().write(&format!("/etc/systemd/system/{unit}"), text)?;
    }
    Trytlsd::configure(bed, config)?;
    bed.sh("systemctl daemon-reload").map(drop)
}

/// Copy the binary into the bed; its libraries are those of the host's release, which is the bed's.
fn install(bed: &Bed) -> Result<()> {
    let inside = bed.namespace().path(INSIDE);
    if inside.exists() {
        return Ok(());
    }
    let binary = binary()?;
    fs::copy(&binary, &inside)
        .with_context(|| format!("copy {} into the bed", binary.display()))
        .map(drop)
}

/// A thread that takes all that a pipe gives, so that the other side never waits.
pub(crate) fn collect(mut pipe: impl Read + Send + 'static) -> Text {
    let text = Text::default();
    let into = Arc::clone(&text);
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut bytes) {
            let mut into = into.lock().unwrap_or_else(PoisonError::into_inner);
            into.extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
    });
    text
}

pub(crate) fn text(bytes: &Text) -> String {
    String::from_utf8_lossy(&bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}
