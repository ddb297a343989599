//! What a whole process costs: CPU time, time by the clock, and the most memory it held.
//!
//! Each process is started by a helper (this very program under another argument) that starts nothing
//! else, and so can ask the kernel what all its children together took. There is a second reason: the
//! memory that the kernel reports of a child is never below what its parent held when it was made, and
//! the helper is small.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::{Deserialize, Serialize};

use crate::namespace::command;

/// The argument that makes this program the helper; the command follows.
const HELPER: &str = "--measure-this-command";

/// What one run took, and what it printed.
#[derive(Clone, Debug, Default)]
pub(super) struct Cost {
    /// User and system time, seconds.
    pub(super) cpu: f64,
    /// Seconds by the clock.
    pub(super) wall: f64,
    /// The most memory held at once (resident set), bytes.
    pub(super) rss: u64,
    pub(super) output: Vec<u8>,
}

/// What the helper says.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    cpu: f64,
    wall: f64,
    rss: u64,
    status: Option<i32>,
}

/// Run a command to its end. Status 1 is taken too: grep and ripgrep say with it that nothing was
/// found.
pub(super) fn measure(program: &[OsString]) -> Result<Cost> {
    let helper = env::current_exe().context("the path of this program")?;
    let output = command(helper.to_str().context("the path of this program is no UTF-8")?)
        .arg(HELPER)
        .args(program)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .context("start the helper that measures")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    let figures = said.trim_end().rsplit('\n').next().unwrap_or_default();
    let Figures { cpu, wall, rss, status } =
        serde_json::from_str(figures).with_context(|| format!("what the helper said: {said}"))?;
    ensure!(matches!(status, Some(0 | 1)), "status {status:?}: {said}");
    Ok(Cost { cpu, wall, rss, output: output.stdout })
}

/// The command to measure, where this process is the helper.
pub(super) fn command_of_helper() -> Option<Vec<OsString>> {
    let mut args = env::args_os().skip(1);
    (args.next()? == OsStr::new(HELPER)).then(|| args.collect())
}

/// The helper's work: its one child has the helper's standard output, the figures go to standard
/// error.
pub(super) fn help(program: &[OsString]) -> Result<()> {
    let [name, args @ ..] = program else { bail!("no command to measure") };
    let name = name.to_str().context("the program's path is no UTF-8")?;
    let begin = Instant::now();
    let status = command(name).args(args).status().with_context(|| format!("start {name}"))?;
    let wall = begin.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("ask what the child took")?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let figures = Figures {
        cpu: micros as f64 / 1e6,
        wall,
        rss: u64::try_from(usage.max_rss()).unwrap_or(0) * 1024,
        status: status.code(),
    };
    let text = serde_json::to_string(&figures).context("write the figures as JSON")?;
    writeln!(io::stderr(), "{text}").context("say the figures")
}
