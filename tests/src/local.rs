//! A trytlsd that runs on the host itself, as any user, in a folder of its own: for the demo and for
//! what is measured. Its config names only files in that folder.

use std::env;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::namespace::command;
use crate::{trytlsd, wait};

/// The trytlsd to run: `$TRYTLSD_BIN`; under cargo the workspace's own, built where it is out of date;
/// else the one beside this program.
///
/// # Errors
/// Where there is none.
pub fn program() -> Result<PathBuf> {
    if env::var_os("TRYTLSD_BIN").is_some() || env::var_os("CARGO").is_some() {
        return trytlsd::binary();
    }
    let this = env::current_exe().context("the path of this program")?;
    let path = this.with_file_name("trytlsd");
    ensure!(
        path.is_file(),
        "no trytlsd at {}: cargo build --release -p trytlsd makes it, or TRYTLSD_BIN names one",
        path.display()
    );
    Ok(path)
}

/// A line that trytlsd wrote, and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// When the line was whole.
    pub at: Instant,
    /// Whether it came on standard output: a proposed entry. All else is the log of the daemon.
    pub proposed: bool,
    /// The line without its end.
    pub line: String,
}

/// The running daemon. Killed when dropped.
#[derive(Debug)]
pub struct Local {
    child: Child,
    lines: Receiver<Said>,
    /// All that came so far.
    said: Vec<Said>,
}

impl Local {
    /// Start `PROGRAM ARGS...` in `folder`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(program: &Path, args: &[&str], folder: &Path) -> Result<Self> {
        let name = program.to_str().context("the path of trytlsd is no UTF-8")?;
        let mut child = command(name)
            .args(args)
            .current_dir(folder)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let (sender, lines) = channel();
        let stdout = child.stdout.take().context("the standard output of trytlsd")?;
        let stderr = child.stderr.take().context("the standard error of trytlsd")?;
        let collect = |pipe: Box<dyn Read + Send>, proposed| {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut pipe = BufReader::new(pipe);
                let mut bytes = Vec::new();
                while matches!(pipe.read_until(b'\n', &mut bytes), Ok(1..)) {
                    let at = Instant::now();
                    let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                    if sender.send(Said { at, proposed, line }).is_err() {
                        return;
                    }
                    bytes.clear();
                }
            });
        };
        collect(Box::new(stdout), true);
        collect(Box::new(stderr), false);
        Ok(Self { child, lines, said: Vec::new() })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it said so far.
    pub fn said(&mut self) -> &[Said] {
        self.said.extend(self.lines.try_iter());
        &self.said
    }

    /// Wait until it says a line that `wanted` is true for, at most `limit`; gives that line. A line
    /// that was there before the call counts too.
    ///
    /// # Errors
    /// Where no such line comes in time.
    pub fn wait_for(
        &mut self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&Said) -> bool,
    ) -> Result<Said> {
        let end = Instant::now() + limit;
        let mut looked_at = 0;
        loop {
            let new = self.said.get(looked_at..).unwrap_or_default();
            if let Some(found) = new.iter().find(|said| wanted(said)) {
                return Ok(found.clone());
            }
            looked_at = self.said.len();
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(said) => self.said.push(said),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("waited {} s in vain for {what}", limit.as_secs_f32())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.try_wait().ok().flatten();
                    bail!("trytlsd has ended ({status:?}) without {what}")
                }
            }
        }
    }

    /// Send it a signal.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("signal to {pid}"))
    }

    /// End it as the system would, within 10 s.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let limit = Duration::from_secs(10);
        wait::until(limit, "the end of trytlsd", || self.child.try_wait().ok().flatten())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
