//! The system's journal as a log: what sendmail wrote into it, as lines, by journalctl.
//!
//! journalctl reads the files in whatever format they are, also those of other versions, rotated and compressed; it is on
//! every host that has a journal, and it is the one whose reading of them is right. It is run anew each time: from the
//! entry that was given out last to the end. What says that it is time for that (`folders`: file events, and a timer) is
//! never the truth itself, so nothing that is missed there is missed for good.
//!
//! Not `journalctl --follow`: it shows the entries of one boot only (systemd 250 and later), ends where the journal is
//! empty, and has no watch on folders that are made later. A read that finds nothing costs 7 ms of a processor with
//! 900,000 entries in 12 files, and there is one in ten seconds where nothing is logged.
//!
//! The place is the cursor of the last entry that was given out, believed or not (see `sender` for who is believed), with
//! the numbers of those before it (`reached`): they tell what is new where the clock was set. That entry is asked for
//! again each time, and passed over when it comes. If it does not come it is gone, removed with the oldest files
//! ([`Loss::Entry`]), and what came after it is read all the same.
//!
//! **What fails.** No journalctl, no right to read the journal, a journalctl that ends with an error: told as
//! [`Next::Trouble`], once for each cause, and tried again, less and less often up to ten seconds. What journald itself
//! drops (its rate limit, `Storage=none`, a crash before it has written) never comes. In a folder in which the journals of
//! several hosts are gathered, what arrives later than younger entries of another host is missed.
//!
//! What an attacker could try: entries that are not sendmail's (`sender`); entries without end or with strange fields
//! (`export`); a flood: journalctl waits for us when its pipe is full, and the journal itself is the queue; changes without
//! end, to have us read for nothing (`pace`).

mod child;
mod export;
mod folders;
mod pace;
mod reached;
mod sender;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

pub use self::child::Source;
use self::child::{From, Reading};
use self::folders::{Folders, Hint};
use self::pace::Pace;
pub(crate) use self::reached::Reached;
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

/// Forgers that are told of; whoever can write in sendmail's name can do so under many.
const MOST_TOLD: usize = 16;

/// As no file holds it.
const NO_FILE: FileId = FileId { dev: 0, ino: 0 };

/// What the threads around journalctl tell.
#[derive(Debug)]
pub(crate) enum Event {
    /// Entries: the lines of those that are believed, and how far they reach.
    Entries {
        number: u64,
        lines: Vec<u8>,
        reached: Reached,
        /// One of those that another wrote in sendmail's name: name, user and program.
        forged: Option<[String; 3]>,
    },
    /// It has ended. `missed`: the last entry that was given out, which was asked for too, did not come.
    Ended { number: u64, said: String, missed: bool },
    /// The files have changed while it opened them, and nothing of what it prints is taken.
    Moved { number: u64 },
    /// Somebody calls.
    Called,
}

/// What ends a wait from another thread.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    called: Arc<AtomicBool>,
    hinted: Arc<AtomicBool>,
    events: SyncSender<Event>,
}

impl Caller {
    fn new(events: SyncSender<Event>) -> Self {
        Self { called: Arc::default(), hinted: Arc::default(), events }
    }

    pub(crate) fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.wake();
    }

    /// Something in the journal has changed.
    fn hint(&self) {
        if !self.hinted.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    fn take_hint(&self) -> bool {
        self.hinted.swap(false, Ordering::AcqRel)
    }

    fn wake(&self) {
        // If there is no room there is something to take, and the flags are seen after it.
        drop(self.events.try_send(Event::Called));
    }
}

/// Follows the journal, as [`Tail`](crate::Tail) follows files. It is log 0.
#[derive(Debug)]
pub struct Journal {
    source: Source,
    name: PathBuf,
    folders: Folders,
    hint: Hint,
    /// Where there is no place: from what was written so long ago.
    ago: Duration,
    /// The place is none: all that is kept.
    oldest: bool,
    /// See [`From::After`]. At the start, as far as one would go back without a place.
    back: Duration,
    /// While journalctl runs.
    reading: Option<Reading>,
    /// It was started because of a hint.
    hinted: bool,
    /// It has given entries.
    found: bool,
    pace: Pace,
    caller: Caller,
    events: Receiver<Event>,
    /// That of the last child.
    number: u64,
    lines: Vec<u8>,
    /// They are to be given out.
    fresh: bool,
    /// Bytes that were given out.
    given: u64,
    /// After [`Journal::lines`].
    reached: Option<Reached>,
    loss: Option<Loss>,
    trouble: Option<Error>,
    /// It is to be told.
    complains: bool,
    /// The end was reached, and no trouble came since: lines that come now are as old as their arrival.
    live: bool,
    /// The end was reached, and that is to be told.
    ended: bool,
    /// Lines were given out since the last [`Next::CaughtUp`], or none was told yet.
    untold: bool,
    /// The entry at the place is kept no more, and that was told.
    gone: bool,
    /// Whose forged entries were told of.
    told: Vec<[String; 3]>,
}

impl Journal {
    /// Follows the journal from a place; where there is none, from what was written so long ago.
    #[must_use]
    pub fn new(source: Source, place: Option<&Place>, ago: Duration) -> Self {
        let (sender, events) = sync_channel(BLOCKS);
        let reached = place.and_then(Place::reached).cloned();
        Self {
            name: source.folder.clone().unwrap_or_else(|| PathBuf::from(JOURNAL)),
            folders: Folders::new(source.folder.as_deref()),
            hint: Hint::default(),
            source,
            ago,
            oldest: false,
            back: ago,
            reading: None,
            hinted: false,
            found: false,
            pace: Pace::new(Instant::now()),
            caller: Caller::new(sender),
            events,
            number: 0,
            lines: Vec::new(),
            fresh: false,
            given: 0,
            reached,
            loss: None,
            trouble: None,
            complains: false,
            live: false,
            ended: false,
            untold: true,
            gone: false,
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
        self.reached.clone().map(Place::journal).unwrap_or_default()
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
            if std::mem::take(&mut self.ended) && std::mem::take(&mut self.untold) {
                return Next::CaughtUp { log: 0 };
            }
            let due = self.due();
            if due.is_some_and(|at| at <= Instant::now()) {
                self.start();
                continue;
            }
            match self.wait(due.into_iter().chain(deadline).min()) {
                Ok(event) => self.take(event),
                Err(_) if deadline.is_some_and(|at| at <= Instant::now()) => return Next::Quiet,
                Err(_) => {}
            }
        }
    }

    /// When it is to be read again; none while it is read.
    fn due(&self) -> Option<Instant> {
        let hinted = self.caller.hinted.load(Ordering::Acquire);
        self.reading.is_none().then(|| self.pace.due(hinted))
    }

    fn wait(&self, until: Option<Instant>) -> Result<Event, RecvTimeoutError> {
        match until {
            Some(at) => self.events.recv_timeout(at.saturating_duration_since(Instant::now())),
            // There is a child, whose end is an event.
            None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// The lines that were read.
    fn give(&mut self) -> Next<'_> {
        let (offset, live) = (self.given, self.live);
        self.given += self.lines.len() as u64;
        self.untold = true;
        Next::Lines { log: 0, bytes: &self.lines, offset, file: NO_FILE, live }
    }

    fn complain(&self) -> Next<'_> {
        match &self.trouble {
            Some(error) => Next::Trouble { log: 0, error },
            None => Next::CaughtUp { log: 0 },
        }
    }

    fn start(&mut self) {
        self.number += 1;
        // In this order: what changes after the hint was taken gives another one.
        self.hinted = self.caller.take_hint();
        self.found = false;
        let listing = self.folders.list();
        self.hint.watch(&listing, &self.caller);
        let held = (self.folders.clone(), listing);
        let from = match &self.reached {
            _ if self.oldest => From::Oldest,
            Some(reached) => From::After(reached.clone(), self.back),
            None => From::Ago(self.ago),
        };
        let events = self.caller.events.clone();
        match Reading::start(&self.source, &from, held, self.number, events) {
            Ok(reading) => self.reading = Some(reading),
            Err(source) => self.no_journalctl(source),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Entries { number, lines, reached, forged } if number == self.number => {
                if let Some(forged) = forged {
                    self.tell_forged(forged);
                }
                (self.found, self.oldest) = (true, false);
                self.fresh = !lines.is_empty();
                self.lines = lines;
                self.reached = Some(reached);
            }
            Event::Ended { number, said, missed } if number == self.number => {
                self.end(&said, missed);
            }
            Event::Moved { number } if number == self.number => {
                self.reading = None;
                self.pace.again(Instant::now());
            }
            // Of a child that was given up, or a call, which is seen by its flag.
            Event::Entries { .. } | Event::Ended { .. } | Event::Moved { .. } | Event::Called => {}
        }
    }

    fn end(&mut self, said: &str, missed: bool) {
        let Some(mut reading) = self.reading.take() else { return };
        let status = match reading.ended() {
            Ok(status) => status,
            Err(source) => return self.no_journalctl(source),
        };
        if status.success() {
            if missed && !self.gone {
                self.loss = Some(Loss::Entry { path: self.name.clone() });
            }
            (self.gone, self.back) = (missed && !self.found, Duration::ZERO);
            if self.found && !self.hinted {
                self.hint.doubt();
            }
            (self.live, self.ended, self.trouble) = (true, true, None);
            return self.pace.read(Instant::now(), self.hinted, self.found);
        }
        // A cursor that is none, as the ledger had it: all that is kept is read, and the caller is told.
        let no_cursor = said.contains("cursor") && said.contains("Invalid argument");
        if no_cursor && !self.oldest {
            self.loss = Some(Loss::Place { path: self.name.clone() });
            (self.oldest, self.live) = (true, false);
            return self.pace.again(Instant::now());
        }
        let said = said.lines().next().unwrap_or_default().to_owned();
        self.fail(Error::Journalctl {
            journal: self.name.clone(),
            status: status.to_string(),
            said,
        });
    }

    fn no_journalctl(&mut self, source: std::io::Error) {
        let program = self.source.program.clone();
        self.fail(Error::NoJournalctl { program, source });
    }

    /// It is tried again after a while. Told if it is another trouble than the last one.
    fn fail(&mut self, error: Error) {
        self.live = false;
        self.pace.failed(Instant::now(), self.found);
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
