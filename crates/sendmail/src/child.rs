//! One child process: makemap, sendmail, or the operator's own rebuild command.
//!
//! Every child of trytlsd is started here, so that all of them get the same bounds: a deadline, capped output, a clean
//! environment, a process group of its own, and never a shell. What stands in the arguments comes from the config and
//! from validated keys only, and each argument is handed over as it is.
//!
//! One thread does it all with `poll`: the input is fed and both outputs are drained side by side, so that neither a
//! full pipe nor a child that reads nothing can lock the two against each other. Output beyond its cap is read and
//! thrown away: a child that writes without end costs time up to the deadline, and no memory.
//!
//! At the deadline the whole group gets SIGTERM (make removes its half-made targets), and SIGKILL a second later. The
//! child is reaped only after that, for as long its number, and with it the group's, belongs to nobody else. A child
//! that ends well may leave a process behind that keeps the pipes open (a rebuild command that restarts a daemon): it
//! is not waited for, and not killed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Bytes of standard error that are kept; the rest is read and thrown away.
pub const STDERR_CAP: usize = 64 * 1024;

/// Where programs are looked for if the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// No deadline is later than this, whatever the config says.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Between SIGTERM and SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(1);

/// How long output is still awaited after the child has ended, if something else keeps its pipes open.
const LINGER: Duration = Duration::from_millis(250);

/// How long a killed child may take to vanish before it is left to a thread (it can hang in a dead file system).
const REAP: Duration = Duration::from_secs(2);

/// How often at least the child is asked whether it has ended.
const STEP: Duration = Duration::from_millis(50);

/// A child that is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Child<'a> {
    /// The program: a path, or a name without a slash that is looked up in `PATH`.
    pub program: &'a Path,
    /// Its arguments, without the program's name.
    pub args: &'a [&'a OsStr],
    /// What it reads from standard input. A child that stops reading early is no error.
    pub stdin: &'a [u8],
    /// From the start to the deadline.
    pub timeout: Duration,
    /// Bytes of standard output that are kept.
    pub stdout_cap: usize,
}

/// What a child that ended by itself left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended: an exit code, or a signal that did not come from us.
    pub status: ExitStatus,
    /// The first [`Child::stdout_cap`] bytes of standard output.
    pub stdout: Vec<u8>,
    /// The first [`STDERR_CAP`] bytes of standard error.
    pub stderr: Vec<u8>,
}

/// Why there is no [`Output`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started: no such program, no permission, no process left.
    #[error("cannot start {}: {source}", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It had not ended at the deadline; its process group was killed.
    #[error("{} did not end within {} s and was killed", .program.display(), .after.as_secs_f32())]
    Timeout {
        /// The program.
        program: PathBuf,
        /// [`Child::timeout`].
        after: Duration,
    },
    /// A pipe to it, or the waiting for it, failed; its process group was killed.
    #[error("lost touch with {}: {source}", .program.display())]
    Io {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Runs the child to its end or to the deadline, blocking: call it from a thread that may wait.
///
/// The environment holds `PATH`, `TZ` (each if set here), `LANG=C` and `LC_ALL=C`, and nothing else: no loader
/// variables, no locale that changes the words of a message.
///
/// # Errors
/// See [`Error`]. A child that ends with a failure is no error: see [`Output::status`].
pub fn run(child: &Child<'_>) -> Result<Output, Error> {
    let deadline = Instant::now() + child.timeout.min(LONGEST);
    let program = || child.program.to_path_buf();
    let mut process = spawn(child).map_err(|source| Error::Spawn { program: program(), source })?;
    let group = Pid::from_child(&process);
    match attend(&mut process, group, child, deadline) {
        Ok(Some((stdout, stderr))) => match process.wait() {
            Ok(status) => Ok(Output { status, stdout, stderr }),
            Err(source) => Err(Error::Io { program: program(), source }),
        },
        Ok(None) => {
            kill(process, group);
            Err(Error::Timeout { program: program(), after: child.timeout })
        }
        Err(source) => {
            kill(process, group);
            Err(Error::Io { program: program(), source })
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts children")]
fn spawn(child: &Child<'_>) -> io::Result<std::process::Child> {
    let path = std::env::var_os("PATH").filter(|path| !path.is_empty());
    let mut command = Command::new(child.program);
    command
        .args(child.args)
        .env_clear()
        .env("PATH", path.unwrap_or_else(|| OsString::from(DEFAULT_PATH)))
        .env("LANG", "C")
        .env("LC_ALL", "C")
        .stdin(if child.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(zone) = std::env::var_os("TZ") {
        command.env("TZ", zone);
    }
    command.spawn()
}

/// Feeds and drains until the child has ended: its output, or `None` at the deadline. Does not reap it.
fn attend(
    process: &mut std::process::Child,
    group: Pid,
    child: &Child<'_>,
    deadline: Instant,
) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut stdin = Feed::new(process.stdin.take(), child.stdin)?;
    let mut stdout = Drain::new(process.stdout.take(), child.stdout_cap)?;
    let mut stderr = Drain::new(process.stderr.take(), STDERR_CAP)?;
    let mut ended: Option<Instant> = None;
    let mut pause = Duration::from_millis(1);
    loop {
        stdin.step()?;
        stdout.step()?;
        stderr.step()?;
        let now = Instant::now();
        if ended.is_none() && has_ended(group)? {
            ended = Some(now);
            stdin.pipe = None;
            continue; // what it wrote last may have come after the look above
        }
        let drained = stdout.pipe.is_none() && stderr.pipe.is_none();
        match ended {
            Some(at) if drained || now >= deadline.min(at + LINGER) => {
                return Ok(Some((stdout.kept, stderr.kept)));
            }
            None if now >= deadline => return Ok(None),
            _ => {}
        }
        let left = deadline.saturating_duration_since(now).min(STEP);
        if drained && stdin.pipe.is_none() {
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(STEP);
        } else {
            wait(&stdin, &stdout, &stderr, left)?;
        }
    }
}

/// Waits until one of the pipes can go on.
fn wait<R: AsFd, S: AsFd>(
    stdin: &Feed<'_>,
    stdout: &Drain<R>,
    stderr: &Drain<S>,
    left: Duration,
) -> io::Result<()> {
    let input = stdin.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT));
    let outputs = [stdout.pipe.as_ref().map(AsFd::as_fd), stderr.pipe.as_ref().map(AsFd::as_fd)];
    let outputs = outputs.into_iter().flatten();
    let mut fds: Vec<PollFd<'_>> = input
        .into_iter()
        .chain(outputs.map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)))
        .collect();
    let left = Timespec { tv_sec: 0, tv_nsec: left.min(STEP).subsec_nanos().into() };
    match poll(&mut fds, Some(&left)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether the child has ended. It stays a zombie, so that its number is not given to another process.
fn has_ended(child: Pid) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(child), options) {
        Ok(status) => Ok(status.is_some()),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// SIGTERM to the group, SIGKILL after [`TERM_GRACE`], then the child is reaped.
fn kill(mut process: std::process::Child, group: Pid) {
    // A group that is gone is what we want: nothing to do about an error.
    if kill_process_group(group, Signal::TERM).is_ok() {
        until(TERM_GRACE, || !matches!(has_ended(group), Ok(false)));
    }
    let _gone = kill_process_group(group, Signal::KILL);
    if !until(REAP, || !matches!(process.try_wait(), Ok(None))) {
        thread::spawn(move || process.wait());
    }
}

/// Asks again and again until it is true or the time is over.
fn until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !done() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// The child's standard input: what is still to be written.
struct Feed<'a> {
    pipe: Option<ChildStdin>,
    rest: &'a [u8],
}

impl<'a> Feed<'a> {
    fn new(pipe: Option<ChildStdin>, rest: &'a [u8]) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { pipe, rest })
    }

    /// Writes what the pipe takes; closes it after the last byte, or when the child has closed its end.
    fn step(&mut self) -> io::Result<()> {
        while let Some(pipe) = &self.pipe {
            if self.rest.is_empty() {
                self.pipe = None;
                return Ok(());
            }
            match rustix::io::write(pipe, self.rest) {
                Ok(written) => self.rest = self.rest.get(written..).unwrap_or_default(),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => self.pipe = None,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// One of the child's outputs: what was kept of it.
struct Drain<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
    cap: usize,
}

impl<R: AsFd> Drain<R> {
    fn new(pipe: Option<R>, cap: usize) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { pipe, kept: Vec::new(), cap })
    }

    /// Reads what is there, but no more than 1 MiB at a time: the other pipes and the deadline want their turn.
    fn step(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        for _ in 0..64 {
            let Some(pipe) = &self.pipe else { return Ok(()) };
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(read) => {
                    let room = self.cap - self.kept.len();
                    self.kept.extend(buffer.iter().take(read.min(room)));
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}
