//! A folder with a maillog, an access file and a config, and the real trytlsd run on it: no bed, no root, no network but
//! loopback. For what needs no sendmail.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::dns::{DnsServer, Zone};
use crate::trytlsd::{Text, binary, collect, text};
use crate::wait;

/// The admin's lines that every rig begins with.
pub const ACCESS: &str = "# the admin's\nConnect:127.0.0.1\tRELAY\nspam.example\tREJECT\n";

/// Settings with which one attempt is enough and no guard waits, so that a test need not either.
pub const AT_ONCE: &str = "[policy]\nfailures = 1\nmin_span = \"0s\"\n[guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\nburst_relays = 0\nburst_share = 0\nmax_entries = 0\nmax_per_hour = 0\n";

/// Where a rig's own programs are, in its folder.
const BIN: &str = "bin";

/// A folder of its own; gone when dropped.
#[derive(Debug)]
pub struct Rig {
    folder: TempDir,
    dns: DnsServer,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// Its exit status; none if a signal ended it.
    pub status: Option<i32>,
}

/// A trytlsd that runs. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Text,
    stderr: Text,
}

impl Rig {
    /// A folder with an access file and a config that names it: map class `text`, dry run, and a DNS server that knows
    /// no name at all.
    pub fn new() -> Result<Self> {
        let rig = Self { folder: tempfile::tempdir()?, dns: DnsServer::start(Zone::new())? };
        rig.write("access", ACCESS)?;
        rig.write("sendmail.cf", "Djown.host.example\n")?;
        // Probes would go to whatever address a test's log names, and a flush to the host's sendmail.
        rig.drop_in("00-rig.toml", "[policy]\nprobe = false\n[flush]\nway = \"off\"\n")?;
        rig.config("")?;
        Ok(rig)
    }

    /// The path of a file in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path(name);
        let mut file = File::create(&path).with_context(|| path.display().to_string())?;
        file.write_all(bytes.as_ref()).with_context(|| path.display().to_string())
    }

    /// Appends to a file, as syslogd does.
    pub fn append(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let mut file = File::options().append(true).create(true).open(self.path(name))?;
        Ok(file.write_all(bytes.as_ref())?)
    }

    /// A file's text; empty if there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// Writes trytlsd.toml: `extra` after what names the rig's own files. A section that is begun in `extra` must not
    /// be `[log]`, `[access]`, `[dns]`, `[ledger]` or `[control]`; those are overridden by [`Rig::drop_in`].
    pub fn config(&self, extra: &str) -> Result<()> {
        let folder = self.folder.path().display();
        self.write(
            "trytlsd.toml",
            format!(
                "{extra}\n[log]\npath = \"{folder}/mail.log\"\n[access]\nfile = \"{folder}/access\"\n\
                 map = \"{folder}/access\"\ntype = \"text\"\ncf = \"{folder}/sendmail.cf\"\n\
                 [dns]\nservers = [\"{}\"]\ntimeout = \"1s\"\n\
                 [ledger]\npath = \"{folder}/ledger.db\"\n\
                 [control]\nsocket = \"{folder}/control.sock\"\n",
                self.dns.address(),
            ),
        )
    }

    /// Writes trytlsd.d/NAME.
    pub fn drop_in(&self, name: &str, toml: &str) -> Result<()> {
        fs::create_dir_all(self.path("trytlsd.d"))?;
        self.write(&format!("trytlsd.d/{name}"), toml)
    }

    /// A program that trytlsd finds before any other of that name: a shell script.
    pub fn program(&self, name: &str, script: &str) -> Result<()> {
        fs::create_dir_all(self.path(BIN))?;
        let path = format!("{BIN}/{name}");
        self.write(&path, format!("#!/bin/sh\n{script}\n"))?;
        Ok(fs::set_permissions(self.path(&path), Permissions::from_mode(0o755))?)
    }

    /// `trytlsd ARGS…` in the folder, to its end, with nothing on standard input.
    pub fn trytlsd<A: AsRef<OsStr>>(&self, args: &[A]) -> Result<Ran> {
        self.trytlsd_fed(args, b"")
    }

    /// The same, with `stdin` on standard input.
    pub fn trytlsd_fed<A: AsRef<OsStr>>(&self, args: &[A], stdin: &[u8]) -> Result<Ran> {
        let mut child = self.command(args)?.stdin(Stdio::piped()).spawn()?;
        let (stdout, stderr) = pipes(&mut child)?;
        if let Some(mut pipe) = child.stdin.take() {
            // One that reads nothing closes early: no error.
            drop(pipe.write_all(stdin));
        }
        let mut running = Running { child, stdout, stderr };
        let status = running.wait_end(Duration::from_secs(60))?;
        Ok(Ran { stdout: running.stdout(), stderr: running.stderr(), status: status.code() })
    }

    /// `trytlsd run` with the rig's config; waits until it follows the log.
    pub fn run(&self) -> Result<Running> {
        self.run_with(&[])
    }

    /// The same, with more arguments.
    pub fn run_with(&self, args: &[&str]) -> Result<Running> {
        let mut running = self.begin(args, &[])?;
        running.wait_says("following")?;
        Ok(running)
    }

    /// `trytlsd run` with more variables in its environment; does not wait.
    pub fn run_env(&self, variables: &[(&str, &str)]) -> Result<Running> {
        self.begin(&[], variables)
    }

    fn begin(&self, args: &[&str], variables: &[(&str, &str)]) -> Result<Running> {
        let args = [&["run", "--config", "trytlsd.toml"], args].concat();
        self.start(&args, variables)
    }

    /// `trytlsd ARGS…` whose standard output nobody reads: what it was written to is closed.
    pub fn unread(&self, args: &[&str]) -> Result<Ran> {
        let mut child = self.command(args)?.spawn()?;
        drop(child.stdout.take());
        let stderr = collect(child.stderr.take().context("standard error")?);
        let mut running = Running { child, stdout: Text::default(), stderr };
        let status = running.wait_end(Duration::from_secs(40))?;
        Ok(Ran { stdout: String::new(), stderr: running.stderr(), status: status.code() })
    }

    /// `trytlsd ARGS…` in the folder; does not wait.
    pub fn spawn(&self, args: &[&str]) -> Result<Running> {
        self.start(args, &[])
    }

    fn start(&self, args: &[&str], variables: &[(&str, &str)]) -> Result<Running> {
        let mut child = self.command(args)?.envs(variables.iter().copied()).spawn()?;
        let (stdout, stderr) = pipes(&mut child)?;
        Ok(Running { child, stdout, stderr })
    }

    #[expect(clippy::disallowed_methods, reason = "a test runs the program as a user does")]
    fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("TZ", "UTC")
            .env("PATH", format!("{}:{}", self.path(BIN).display(), env::var("PATH")?))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    /// The DNS server of its config.
    #[must_use]
    pub fn dns(&self) -> &DnsServer {
        &self.dns
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn pipes(child: &mut Child) -> Result<(Text, Text)> {
    let stdout = collect(child.stdout.take().context("standard output")?);
    let stderr = collect(child.stderr.take().context("standard error")?);
    Ok((stdout, stderr))
}

impl Running {
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

    /// Waits until standard output or standard error has `part`, at most 20 s.
    pub fn wait_says(&mut self, part: &str) -> Result<()> {
        let limit = Duration::from_secs(20);
        let found = wait::until(limit, &format!("trytlsd saying {part:?}"), || {
            (self.stdout().contains(part) || self.stderr().contains(part)).then_some(())
        });
        found.with_context(|| format!("stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr()))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let ended = wait::until(limit, "trytlsd's end", || self.child.try_wait().ok().flatten())?;
        // The threads that read its pipes end with them, and let go of what they gathered. A child of its own may hold a pipe
        // open for longer; what that says is nobody's.
        drop(wait::until(Duration::from_secs(5), "the end of its output", || {
            let mut texts = [&self.stdout, &self.stderr].into_iter();
            texts.all(|text| Arc::strong_count(text) == 1).then_some(())
        }));
        Ok(ended)
    }

    /// Ends it with SIGTERM; its exit status.
    pub fn stop(mut self) -> Result<Option<i32>> {
        self.signal(Signal::TERM)?;
        Ok(self.wait_end(Duration::from_secs(10))?.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
