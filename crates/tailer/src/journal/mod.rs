//! The system's journal as a log: what sendmail wrote into it, as lines, by journalctl.
//!
//! journalctl reads the files in whatever format they are, also those of other versions, rotated and compressed; it is on
//! every host that has a journal, and it is the one whose reading of them is right. It is run twice:
//!
//! 1. without `--follow`, from the entry that was given out last to the end. It gives what earlier boots have written too,
//!    which `--follow` leaves out (systemd 250 and later).
//! 2. with `--follow`, from there on, for as long as we live.
//!
//! Each time the last entry is asked for again, and passed over when it comes. If another comes first, it is gone: removed
//! with the oldest files ([`Loss::Place`]), and the oldest that is kept comes next.
//!
//! The place is the cursor of the last entry that was given out, believed or not; see `sender` for who is believed.
//!
//! **What fails.** No journalctl, no right to read the journal, a journalctl that ends: told as [`Next::Trouble`], once for
//! each cause, and tried again, at first after a second, then less and less often up to a minute. What journald itself
//! drops (its rate limit, `Storage=none`, a crash before it has written) never comes.
//!
//! What an attacker could try: entries that are not sendmail's (`sender`); entries without end or with strange fields
//! (`export`); a flood: journalctl waits for us when its pipe is full, and the journal itself is the queue.

mod child;
mod export;
mod sender;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

pub use self::child::Source;
use self::child::{From, Reading};
pub use self::sender::Believed;
use crate::begin::Loss;
use crate::error::Error;
use crate::file::FileId;
use crate::place::Place;
use crate::tail::Next;

/// What the journal is called where a log has a path.
pub const JOURNAL: &str = "journald";

/// Blocks that may wait for us.
const BLOCKS: usize = 4;

/// The first and the longest time before another attempt.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Forgers that are told of; whoever can write in sendmail's name can do so under many.
const MOST_TOLD: usize = 16;

/// As no file holds it.
const NO_FILE: FileId = FileId { dev: 0, ino: 0 };

/// What the threads around journalctl tell.
#[derive(Debug)]
pub(crate) enum Event {
    /// Entries: the lines of those that are believed, and the cursor of the last.
    Entries {
        number: u64,
        lines: Vec<u8>,
        cursor: String,
        /// One of those that another wrote in sendmail's name: name, user and program.
        forged: Option<[String; 3]>,
    },
    /// It has ended. `missed`: no entry came, though one was asked for. `gone`: another one came, and nothing more is read.
    Ended { number: u64, said: String, missed: bool, gone: bool },
    /// Somebody calls.
    Called,
}

/// What ends a wait from another thread.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    called: Arc<AtomicBool>,
    events: SyncSender<Event>,
}

impl Caller {
    pub(crate) fn call(&self) {
        self.called.store(true, Ordering::Release);
        // If there is no room there is something to take, and the call is seen after it.
        drop(self.events.try_send(Event::Called));
    }
}

/// Follows the journal, as [`Tail`](crate::Tail) follows files. It is log 0.
#[derive(Debug)]
pub struct Journal {
    source: Source,
    name: PathBuf,
    from: From,
    phase: Phase,
    caller: Caller,
    events: Receiver<Event>,
    /// That of the last child.
    number: u64,
    lines: Vec<u8>,
    /// They are to be given out.
    fresh: bool,
    /// Bytes that were given out.
    given: u64,
    /// The cursor after [`Journal::lines`].
    place: Option<String>,
    loss: Option<Loss>,
    trouble: Option<Error>,
    /// It is to be told.
    complains: bool,
    patience: Duration,
    /// Lines were given out since the last [`Next::CaughtUp`], or none was told yet.
    reading: bool,
    /// Whose forged entries were told of.
    told: Vec<[String; 3]>,
}

#[derive(Debug)]
enum Phase {
    /// To be started at that moment.
    Waits(Instant),
    /// What was written so far is read.
    CatchesUp(Reading),
    /// What is written is read as it comes.
    Follows(Reading),
}

impl Journal {
    /// Follows the journal from a place; where there is none, from what was written since that time.
    #[must_use]
    pub fn new(source: Source, place: Option<&Place>, since: SystemTime) -> Self {
        let (sender, events) = sync_channel(BLOCKS);
        let place = place.and_then(Place::cursor).map(str::to_owned);
        let from = place.clone().map_or_else(|| From::since(since), From::Cursor);
        Self {
            name: source.folder.clone().unwrap_or_else(|| PathBuf::from(JOURNAL)),
            source,
            from,
            phase: Phase::Waits(Instant::now()),
            caller: Caller { called: Arc::default(), events: sender },
            events,
            number: 0,
            lines: Vec::new(),
            fresh: false,
            given: 0,
            place,
            loss: None,
            trouble: None,
            complains: false,
            patience: PATIENCE.0,
            reading: true,
            told: Vec::new(),
        }
    }

    /// Its name: the folder, or [`JOURNAL`].
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.name
    }

    /// How far it was given out.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place.clone().map(Place::journal).unwrap_or_default()
    }

    pub(crate) fn caller(&self) -> Caller {
        self.caller.clone()
    }

    /// What comes next; waits for it until the deadline, or for as long as it takes.
    pub(crate) fn until(&mut self, deadline: Option<Instant>) -> Next<'_> {
        loop {
            if self.caller.called.swap(false, Ordering::AcqRel) {
                return Next::Called;
            }
            if let Some(loss) = self.loss.take() {
                return Next::Lost { log: 0, loss };
            }
            if std::mem::take(&mut self.fresh) {
                return self.give();
            }
            if std::mem::take(&mut self.complains) {
                return self.complain();
            }
            if matches!(self.phase, Phase::Waits(at) if at <= Instant::now()) {
                self.start(false);
                continue;
            }
            let Ok(event) = self.events.try_recv() else {
                if matches!(self.phase, Phase::Follows(_)) && std::mem::take(&mut self.reading) {
                    return Next::CaughtUp { log: 0 };
                }
                match self.wait(deadline) {
                    Ok(event) => self.take(event),
                    Err(_) if deadline.is_some_and(|at| at <= Instant::now()) => {
                        return Next::Quiet;
                    }
                    Err(_) => {}
                }
                continue;
            };
            self.take(event);
        }
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<Event, RecvTimeoutError> {
        let start = match self.phase {
            Phase::Waits(at) => Some(at),
            Phase::CatchesUp(_) | Phase::Follows(_) => None,
        };
        match [start, deadline].into_iter().flatten().min() {
            Some(at) => self.events.recv_timeout(at.saturating_duration_since(Instant::now())),
            // There is a child, whose end is an event.
            None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// The lines that were read.
    fn give(&mut self) -> Next<'_> {
        let (offset, live) = (self.given, matches!(self.phase, Phase::Follows(_)));
        self.given += self.lines.len() as u64;
        self.reading = true;
        Next::Lines { log: 0, bytes: &self.lines, offset, file: NO_FILE, live }
    }

    fn complain(&self) -> Next<'_> {
        match &self.trouble {
            Some(error) => Next::Trouble { log: 0, error },
            None => Next::CaughtUp { log: 0 },
        }
    }

    fn start(&mut self, follow: bool) {
        self.number += 1;
        let events = self.caller.events.clone();
        match Reading::start(&self.source, &self.from, follow, self.number, events) {
            Ok(reading) if follow => self.phase = Phase::Follows(reading),
            Ok(reading) => self.phase = Phase::CatchesUp(reading),
            Err(source) => {
                let program = self.source.program.clone();
                self.fail(Error::NoJournalctl { program, source });
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Entries { number, lines, cursor, forged } if number == self.number => {
                (self.patience, self.trouble) = (PATIENCE.0, None);
                if let Some(forged) = forged {
                    self.tell_forged(forged);
                }
                self.fresh = !lines.is_empty();
                self.lines = lines;
                self.place = Some(cursor.clone());
                self.from = From::Cursor(cursor);
            }
            Event::Ended { number, said, missed, gone } if number == self.number => {
                self.ended(&said, missed, gone);
            }
            // Of a child that was given up, or a call, which is seen by its flag.
            Event::Entries { .. } | Event::Ended { .. } | Event::Called => {}
        }
    }

    fn ended(&mut self, said: &str, missed: bool, gone: bool) {
        let phase = std::mem::replace(&mut self.phase, Phase::Waits(Instant::now()));
        let (mut reading, catches_up) = match phase {
            Phase::CatchesUp(reading) => (reading, true),
            Phase::Follows(reading) => (reading, false),
            Phase::Waits(_) => return,
        };
        if gone {
            return self.begin_at_the_oldest();
        }
        let status = match reading.ended() {
            Ok(status) => status,
            Err(source) => {
                let program = self.source.program.clone();
                return self.fail(Error::NoJournalctl { program, source });
            }
        };
        // An entry that is nowhere, or a cursor that is none: all that is kept is read, and the caller is told.
        let no_cursor = !status.success() && said.contains("cursor");
        if matches!(self.from, From::Cursor(_)) && (no_cursor || status.success() && missed) {
            return self.begin_at_the_oldest();
        }
        if status.success() && catches_up {
            return self.start(true);
        }
        let said = said.lines().next().unwrap_or_default().to_owned();
        self.fail(Error::Journalctl {
            journal: self.name.clone(),
            status: status.to_string(),
            said,
        });
    }

    /// The entry that was given out last is kept no more, so all that is kept is younger. The caller is told.
    fn begin_at_the_oldest(&mut self) {
        self.loss = Some(Loss::Place { path: self.name.clone() });
        self.from = From::Since(Duration::ZERO);
    }

    /// It is tried again after a while. Told if it is another trouble than the last one.
    fn fail(&mut self, error: Error) {
        self.phase = Phase::Waits(Instant::now() + self.patience);
        self.patience = (self.patience * 2).min(PATIENCE.1);
        let words = error.to_string();
        self.complains = self.trouble.as_ref().is_none_or(|known| known.to_string() != words);
        self.trouble = Some(error);
    }

    /// Once for each user and program: it is noise, or somebody tries.
    fn tell_forged(&mut self, forged: [String; 3]) {
        if self.told.len() < MOST_TOLD && !self.told.contains(&forged) {
            let [name, uid, exe] = &forged;
            tracing::warn!(
                %name, %uid, %exe,
                "lines in the journal have sendmail's name and are not sendmail's; they are not believed"
            );
            self.told.push(forged);
        }
    }
}
