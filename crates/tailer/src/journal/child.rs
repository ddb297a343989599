//! journalctl, run until it has printed what there is.
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
use std::time::Duration;

use crate::journal::Event;
use crate::journal::export::{Entry, Field, Parser};
use crate::journal::folders::{Folders, Listing};
use crate::journal::reached::Reached;
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

/// Earlier than so long ago nothing is asked for: journalctl takes no time before 1970.
const LONGEST_AGO: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Which entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Those that are not held yet. For those that only the time of day would find, it is set back by so much.
    After(Reached, Duration),
    /// Those that are not older. Reckoned from when journalctl runs: a clock that is set back meanwhile hides none.
    Ago(Duration),
    /// All.
    Oldest,
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

    fn args(&self, from: &From) -> Vec<OsString> {
        let mut args = self.common();
        args.extend(match from {
            // The last entry itself comes too: it is the proof that it is still there. (--after-cursor with matches loses an
            // entry, up to systemd 254.)
            From::After(reached, back) => Some(format!("--cursor={}", reached.seek(*back)).into()),
            From::Ago(time) => {
                Some(format!("--since=-{}s", time.min(&LONGEST_AGO).as_secs()).into())
            }
            From::Oldest => None::<OsString>,
        });
        args.extend(MATCHES.map(OsString::from));
        args
    }

    /// What [`Source::latest`] printed, in pieces: how many entries there are, and the lines of those that are believed.
    pub fn believed_of<'a>(&self, printed: impl IntoIterator<Item = &'a [u8]>) -> (usize, Vec<u8>) {
        let (mut entries, mut lines, mut parser) = (0, Vec::new(), Parser::default());
        for piece in printed {
            parser.feed(piece, |entry| {
                entries += 1;
                if self.believed.judge(&entry) == Is::Sendmails {
                    sender::write(&entry, &mut lines);
                }
            });
        }
        (entries, lines)
    }
}

/// A journalctl that runs. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Reading {
    child: Child,
}

impl Reading {
    /// Starts it. Its entries come as events with this number: what an earlier one still has on its way is told by its own.
    /// `listing` is what the folders held just before.
    pub(crate) fn start(
        source: &Source,
        from: &From,
        (folders, listing): (Folders, Listing),
        number: u64,
        events: SyncSender<Event>,
    ) -> io::Result<Self> {
        let mut child = spawn(&source.program, &source.args(from))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reading = Self { child };
        let reached = match from {
            From::After(reached, _) => Some(reached.clone()),
            From::Ago(_) | From::Oldest => None,
        };
        let pump = Pump {
            number,
            believed: source.believed.clone(),
            expected: reached.clone(),
            reached,
            folders,
            listing: Some(listing),
            events,
        };
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
    reason = "a child that may print for as long as there are entries; the others have a deadline"
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
    /// Whose last entry must come, if it is still there; none once it came.
    expected: Option<Reached>,
    /// What was given out.
    reached: Option<Reached>,
    folders: Folders,
    /// What they held before the child began; taken once it was compared.
    listing: Option<Listing>,
    events: SyncSender<Event>,
}

/// Why nothing more is read.
enum Stop {
    /// Nobody wants it any more.
    Unwanted,
    /// Files were renamed, made or removed while the child opened them: it may have passed one over.
    Moved,
}

impl Pump {
    fn run(mut self, stdout: Option<ChildStdout>, said: JoinHandle<Vec<u8>>) {
        let read = stdout.map_or(Ok(()), |stdout| self.read(stdout));
        let event = match read.and_then(|()| self.compare()) {
            Err(Stop::Unwanted) => return,
            // It may have much to print yet, and is ended by whoever hears of this.
            Err(Stop::Moved) => Event::Moved { number: self.number },
            Ok(()) => Event::Ended {
                number: self.number,
                said: String::from_utf8_lossy(&said.join().unwrap_or_default()).into_owned(),
                missed: self.expected.is_some(),
            },
        };
        drop(self.events.send(event));
    }

    /// Reads up to the end.
    fn read(&mut self, mut stdout: ChildStdout) -> Result<(), Stop> {
        let mut parser = Parser::default();
        let mut buffer = vec![0; READ];
        loop {
            let read = match stdout.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Ok(()),
            };
            // It prints nothing before it has opened all.
            self.compare()?;
            let mut block = Block::default();
            let Self { believed, expected, reached, .. } = self;
            parser.feed(buffer.get(..read).unwrap_or_default(), |entry| {
                let Some(at) = entry.get(Field::Cursor) else { return };
                let at = String::from_utf8_lossy(at).into_owned();
                expected.take_if(|expected| expected.is_at(&at));
                if reached.as_ref().is_some_and(|reached| reached.holds(&at)) {
                    return;
                }
                match reached {
                    Some(reached) => reached.advance(at),
                    None => *reached = Some(Reached::first(at)),
                }
                block.add(entry, believed);
            });
            if let Some(reached) = self.reached.clone().filter(|_| block.any) {
                let event = block.event(self.number, reached);
                self.events.send(event).map_err(|_| Stop::Unwanted)?;
            }
        }
    }

    /// Whether the folders hold what they held before the child began; asked once.
    fn compare(&mut self) -> Result<(), Stop> {
        match self.listing.take() {
            Some(before) if self.folders.list() != before => Err(Stop::Moved),
            _ => Ok(()),
        }
    }
}

/// What one read gave.
#[derive(Default)]
struct Block {
    any: bool,
    lines: Vec<u8>,
    forged: Option<Entry>,
}

impl Block {
    fn add(&mut self, entry: Entry, believed: &Believed) {
        self.any = true;
        match believed.judge(&entry) {
            Is::Sendmails => {
                sender::write(&entry, &mut self.lines);
            }
            Is::Forged => self.forged = Some(entry),
            Is::Others => {}
        }
    }

    fn event(self, number: u64, reached: Reached) -> Event {
        let forged = self.forged.map(|entry| {
            let text =
                |field| entry.get(field).map_or("none".into(), |v| v.escape_ascii().to_string());
            [Field::Identifier, Field::Uid, Field::Exe].map(text)
        });
        Event::Entries { number, lines: self.lines, reached, forged }
    }
}
