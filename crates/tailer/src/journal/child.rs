//! journalctl, run for as long as there is something to read from it.
//!
//! It gets its arguments as they are, no shell, a clean environment and a process group of its own. It ends with us: by
//! SIGKILL when this is dropped, and by itself when its output is closed, as when we were killed.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, UNIX_EPOCH};

use crate::journal::Event;
use crate::journal::export::{Field, Parser};
use crate::journal::sender::{self, Believed, Is};

/// Bytes that are read at a time.
const READ: usize = 64 * 1024;

/// Bytes of its standard error that are kept.
const SAID: usize = 4 * 1024;

/// The fields that are asked for; the cursor and the times come always.
const FIELDS: &str = "--output-fields=_SOURCE_REALTIME_TIMESTAMP,_TRANSPORT,_UID,_EXE,_PID,_HOSTNAME,SYSLOG_IDENTIFIER,MESSAGE";

/// Lines of the mail facility that came by syslog(3): all that sendmail logs, by whatever name.
const MATCHES: [&str; 2] = ["SYSLOG_FACILITY=2", "_TRANSPORT=syslog"];

/// Which journal, and what reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// journalctl: a path, or a name that is looked up in PATH.
    pub program: PathBuf,
    /// The folder of the journal's files; none for the system's journal.
    pub folder: Option<PathBuf>,
    /// Whose entries are believed.
    pub believed: Believed,
}

/// Which entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// This one, and what came after it.
    Cursor(String),
    /// Since then.
    Since(Duration),
}

impl Source {
    /// The arguments that every call has.
    fn common(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> =
            ["--no-pager", "--quiet", "--output=export", FIELDS].map(OsString::from).into();
        if let Some(folder) = &self.folder {
            let mut arg = OsString::from("--directory=");
            arg.push(folder);
            args.push(arg);
        }
        args
    }

    /// The arguments that show the latest entries that may be sendmail's, at most so many, newest first.
    #[must_use]
    pub fn latest(&self, most: u32) -> Vec<OsString> {
        let mut args = self.common();
        args.extend([format!("--lines={most}"), "--reverse".to_owned()].map(OsString::from));
        args.extend(MATCHES.map(OsString::from));
        args
    }

    fn args(&self, from: &From, follow: bool) -> Vec<OsString> {
        let mut args = self.common();
        if follow {
            // By itself it begins with the last ten.
            args.extend(["--follow", "--no-tail"].map(OsString::from));
        }
        args.push(match from {
            // The entry itself comes too: it is the proof that it is still there. (--after-cursor with matches loses an entry,
            // up to systemd 254.)
            From::Cursor(cursor) => format!("--cursor={cursor}").into(),
            From::Since(time) => format!("--since=@{}", time.as_secs()).into(),
        });
        args.extend(MATCHES.map(OsString::from));
        args
    }

    /// What [`Source::latest`] printed: how many entries there are, and the line of the first that is believed.
    #[must_use]
    pub fn believed_of(&self, printed: &[u8]) -> (usize, Option<String>) {
        let (mut entries, mut lines) = (0, Vec::new());
        Parser::default().feed(printed, |entry| {
            entries += 1;
            if lines.is_empty() && self.believed.judge(&entry) == Is::Sendmails {
                sender::write(&entry, &mut lines);
            }
        });
        let line = String::from_utf8_lossy(&lines).trim_end().to_owned();
        (entries, (!line.is_empty()).then_some(line))
    }
}

impl From {
    /// Since that time; none is earlier than 1970.
    pub(crate) fn since(time: std::time::SystemTime) -> Self {
        Self::Since(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// A journalctl that runs. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Reading {
    child: Child,
}

impl Reading {
    /// Starts it. Its entries come as events with this number: what an earlier one still has on its way is told by its own.
    pub(crate) fn start(
        source: &Source,
        from: &From,
        follow: bool,
        number: u64,
        events: SyncSender<Event>,
    ) -> io::Result<Self> {
        let mut child = spawn(&source.program, &source.args(from, follow))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reading = Self { child };
        let expect = match from {
            From::Cursor(cursor) => Some(cursor.clone()),
            From::Since(_) => None,
        };
        let believed = source.believed.clone();
        let pump = Pump { number, believed, expect, events };
        let said = thread::Builder::new()
            .name("journal-said".to_owned())
            .spawn(move || stderr.map(gather).unwrap_or_default())?;
        thread::Builder::new().name("journal".to_owned()).spawn(move || pump.run(stdout, said))?;
        Ok(reading)
    }

    /// How it ended; waits for it.
    pub(crate) fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // One that has ended already is no error.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a child that is read for as long as we live; the others have a deadline"
)]
fn spawn(program: &Path, args: &[OsString]) -> io::Result<Child> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// The first bytes of what it says; the rest is read and thrown away.
fn gather(mut stderr: ChildStderr) -> Vec<u8> {
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer) {
        let room = SAID - said.len();
        said.extend(buffer.iter().take(read.min(room)));
    }
    said
}

/// What goes from the child's output to the events.
struct Pump {
    number: u64,
    believed: Believed,
    /// The entry that must come first, if it is still there; it was given out already.
    expect: Option<String>,
    events: SyncSender<Event>,
}

impl Pump {
    fn run(mut self, stdout: Option<ChildStdout>, said: JoinHandle<Vec<u8>>) {
        let gone = match stdout.map(|stdout| self.read(stdout)) {
            Some(Err(())) => return, // Nobody wants it any more.
            Some(Ok(gone)) => gone,
            None => false,
        };
        if gone {
            // It may go on for as long as we live, and is ended by whoever hears of this.
            let (number, said) = (self.number, String::new());
            return drop(self.events.send(Event::Ended { number, said, missed: true, gone }));
        }
        let said = String::from_utf8_lossy(&said.join().unwrap_or_default()).into_owned();
        let missed = self.expect.is_some();
        drop(self.events.send(Event::Ended { number: self.number, said, missed, gone }));
    }

    /// Reads up to the end, or until it is seen that the expected entry is gone; whether it is. Where journalctl begins then is
    /// not to be relied on: nothing of it is given out. An error is a receiver that has gone.
    fn read(&mut self, mut stdout: ChildStdout) -> Result<bool, ()> {
        let mut parser = Parser::default();
        let mut buffer = vec![0; READ];
        loop {
            let read = match stdout.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Ok(false),
            };
            let (mut lines, mut cursor, mut forged, mut gone) = (Vec::new(), None, None, false);
            let (believed, expect) = (&self.believed, &mut self.expect);
            parser.feed(buffer.get(..read).unwrap_or_default(), |entry| {
                let Some(at) = entry.get(Field::Cursor) else { return };
                let at = String::from_utf8_lossy(at).into_owned();
                if gone {
                    return;
                }
                if let Some(expected) = expect.take() {
                    gone = expected != at;
                    return;
                }
                match believed.judge(&entry) {
                    Is::Sendmails => {
                        sender::write(&entry, &mut lines);
                    }
                    Is::Forged => forged = Some(entry),
                    Is::Others => {}
                }
                cursor = Some(at);
            });
            if gone {
                return Ok(true);
            }
            if let Some(cursor) = cursor {
                let number = self.number;
                let forged = forged.map(|entry| {
                    let text = |field| {
                        entry.get(field).map_or("none".into(), |v| v.escape_ascii().to_string())
                    };
                    [Field::Identifier, Field::Uid, Field::Exe].map(text)
                });
                let event = Event::Entries { number, lines, cursor, forged };
                self.events.send(event).map_err(drop)?;
            }
        }
    }
}
