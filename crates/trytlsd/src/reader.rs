//! The thread that reads the logs and finds events in them.
//!
//! Reads are blocking and the searches are not short, so both have a thread of their own. Events go to the heart through
//! a bounded channel: when the heart is slow the reader waits, and the log itself is the queue; nothing is dropped.
//!
//! With the events of a block goes a mark: how far the log has been read by then, and which attempts wait for their
//! delivery line. The heart commits it together with what the events did. A log of nothing but noise is marked now and
//! then too, so that a restart need not read it again.
//!
//! A live line happened when it arrived: the log's own stamp may lack the year, or come from a clock that is wrong. An old
//! line happened when its stamp says. What is older than the window cannot count any more and is left out; so is, where
//! the place in a log was lost, what is not newer than what was counted of it last.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, UNIX_EPOCH};

use config::{Config, LogSource};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use maillog::calendar::StampReader;
use maillog::event::{Event, What};
use maillog::evidence::evidence;
use maillog::finder::Finder;
use maillog::kinds::Kinds;
use maillog::pattern::Patterns;
use maillog::stamp::Calendar;
use serde::{Deserialize, Serialize};
use tailer::journal::Journal;
use tailer::{Logs, LogsWaker, Loss, Next, Options, Place, Since, Start, Tail};
use tokio::sync::mpsc::Sender;
use tracing::{info, warn};

use crate::book::Mark;
use crate::clock;
use crate::journal;
use crate::output::Safe;
use crate::pulse::{Part, Pulse, WAITS};
use crate::remembered::Remembered;

/// What the daemon wants to know. An attempt counts towards an entry when its outcome is known, and at once where it is
/// asked whether the fault is ours.
pub(crate) const KINDS: Kinds = Kinds::OUTCOMES
    .with(Kinds::ATTEMPTS)
    .with(Kinds::SUCCESSES)
    .with(Kinds::SERVED)
    .with(Kinds::TRY_TLS)
    .with(Kinds::WAITING)
    .with(Kinds::DANE_WARNINGS)
    .with(Kinds::REPLIES);

/// What it wants to know besides where the receiving side is looked at. A line for each message that comes in is read for
/// it, so it costs something, and nothing where it is off.
const OF_CLIENTS: Kinds =
    Kinds::CLIENT_FAILURES.with(Kinds::CLIENT_SUCCESSES).with(Kinds::CLIENT_DELIVERIES);

/// A log without events is marked after so many bytes ...
const MARK_BYTES: u64 = 16 << 20;

/// ... or, at its end, after so long.
const MARK_EVERY: Duration = Duration::from_secs(60);

/// An event with its moment.
#[derive(Debug)]
pub(crate) struct Sighting {
    pub(crate) event: Event<'static>,
    pub(crate) at: Timestamp,
    /// The line of one that speaks against its relay, as evidence for people.
    pub(crate) line: Option<String>,
}

/// What the heart hears from the reader.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Events, in their order, and how far the log was read with them.
    Events(Vec<Sighting>, Mark),
    /// Every log has been opened, or is not there. Told once, before anything else is told of the last of them.
    Opened,
    /// Every log has been read up to its end, or is not there. Told once.
    AllRead,
    /// Why a log cannot be read; none: all can, again.
    Trouble(Option<String>),
}

/// A place as the ledger keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    place: Place,
    /// The second since 1970 of the latest event that was counted.
    last: i64,
}

/// The running thread.
pub(crate) struct Reader {
    waker: LogsWaker,
    wishes: Arc<Mutex<Wishes>>,
    thread: JoinHandle<()>,
}

/// What the thread is asked for.
#[derive(Debug, Default)]
struct Wishes {
    end: bool,
    /// Other patterns, from now on.
    patterns: Option<Patterns>,
}

impl Reader {
    /// Starts it. What it reads goes to `heart`, the events of one block in one message.
    pub(crate) fn start(
        config: &Config,
        remembered: &Remembered,
        heart: Sender<Heard>,
        pulse: Pulse,
    ) -> anyhow::Result<Self> {
        let reading = Reading::new(config, remembered, heart, pulse);
        let waker = reading.tail.waker();
        let wishes = Arc::clone(&reading.wishes);
        let thread =
            thread::Builder::new().name("reader".to_owned()).spawn(move || reading.run())?;
        Ok(Self { waker, wishes, thread })
    }

    /// Asks it to end: the last marks come, and then no more.
    pub(crate) fn end(&self) {
        self.wish(|wishes| wishes.end = true);
    }

    /// Reads what comes from now on with these patterns.
    pub(crate) fn use_patterns(&self, patterns: Patterns) {
        self.wish(|wishes| wishes.patterns = Some(patterns));
    }

    fn wish(&self, wish: impl FnOnce(&mut Wishes)) {
        wish(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner));
        self.waker.wake();
    }

    /// Waits for its end. The channel's receiver must be gone, or still be read, for the thread may wait for room.
    pub(crate) fn join(self) {
        if self.thread.join().is_err() {
            warn!("the reader ended with a panic");
        }
    }
}

/// What the thread works with.
struct Reading {
    tail: Logs,
    logs: Vec<Log>,
    window: SignedDuration,
    stamps: StampReader,
    /// Which logs have not been opened; empty once that was told.
    unopened: Vec<usize>,
    /// Which logs have not been read up to their end; empty once that was told.
    unread: Vec<usize>,
    /// Whether the heart was told last that a log cannot be read; none: nothing yet.
    troubled: Option<bool>,
    heart: Sender<Heard>,
    wishes: Arc<Mutex<Wishes>>,
    pulse: Pulse,
}

/// One of the logs.
struct Log {
    /// Its name in the ledger.
    name: Arc<str>,
    kinds: Kinds,
    finder: Finder,
    /// The second since 1970 of the latest event that was counted.
    last: i64,
    /// The place was lost: what is not newer than this second may have been counted.
    lost: Option<i64>,
    /// Which attempts wait has changed since the last mark.
    waiting: bool,
    /// Bytes since the last mark.
    unmarked: u64,
    marked: Instant,
    /// Why it cannot be read, if it cannot.
    trouble: Option<String>,
}

/// The heart has gone, or wants no more.
struct Gone;

impl Reading {
    fn new(config: &Config, remembered: &Remembered, heart: Sender<Heard>, pulse: Pulse) -> Self {
        let window = config.policy.window.0;
        let (tail, logs) = match *config.log.source {
            LogSource::File => files(config, remembered),
            LogSource::Journald => the_journal(config, remembered),
        };
        let stamps = Calendar { latest: clock::now(), zone: TimeZone::system() }.reader();
        Self {
            tail,
            unopened: (0..logs.len()).collect(),
            unread: (0..logs.len()).collect(),
            troubled: None,
            logs,
            window,
            stamps,
            heart,
            wishes: Arc::default(),
            pulse,
        }
    }

    fn run(mut self) {
        while self.next().is_ok() {}
        for log in 0..self.logs.len() {
            if self.logs.get(log).is_some_and(|log| log.unmarked > 0)
                && self.mark(log, Vec::new()).is_err()
            {
                return;
            }
        }
    }

    fn next(&mut self) -> Result<(), Gone> {
        self.pulse.step(Part::Reader);
        let next = self.tail.next(self.pulse.rest());
        if !self.unopened.is_empty()
            && let Some(log) = log_of(&next)
        {
            self.unopened.retain(|unopened| *unopened != log);
            if self.unopened.is_empty() {
                tell(&self.heart, &self.pulse, Heard::Opened)?;
            }
        }
        match next {
            Next::Lines { log, bytes, live, .. } => {
                let now = clock::now();
                self.stamps.set_latest(now);
                let Some(reading) = self.logs.get_mut(log) else { return Ok(()) };
                reading.trouble = None;
                let batch = reading.sightings(bytes, live, now, self.window, &mut self.stamps);
                if !batch.is_empty() {
                    self.tail.mattered();
                }
                reading.waiting |= reading.finder.pending_changed();
                if batch.is_empty() && !reading.waiting && reading.unmarked < MARK_BYTES {
                    return Ok(());
                }
                self.mark(log, batch)?;
                self.tell_trouble()
            }
            Next::CaughtUp { log } => {
                self.trouble(log, None)?;
                let due = |log: &Log| log.unmarked > 0 && log.marked.elapsed() >= MARK_EVERY;
                if self.logs.get(log).is_some_and(due) {
                    self.mark(log, Vec::new())?;
                }
                self.read_up(log)
            }
            Next::Missing { log } => {
                let path = self.tail.path(log).unwrap_or(Path::new("?"));
                info!(?path, "the log is missing; waiting for it");
                let words = format!("the log {} is missing", path.display());
                self.trouble(log, Some(words))?;
                self.read_up(log)
            }
            Next::Lost { log, loss } => {
                warn!("{}; lines may have been missed", Safe(&loss.to_string()));
                if let (Loss::Place { .. }, Some(log)) = (loss, self.logs.get_mut(log)) {
                    // One that is yet to come is of a clock that was wrong.
                    log.lost = Some(log.last.min(clock::now().as_second()));
                }
                Ok(())
            }
            Next::Trouble { log, error } => {
                let words = error.to_string();
                warn!("{}; trying again", Safe(&words));
                self.trouble(log, Some(words))?;
                self.read_up(log)
            }
            Next::Called => self.obey(),
            Next::Quiet => Ok(()),
        }
    }

    /// Gives the heart the events, and how far the log was read with them.
    fn mark(&mut self, log: usize, batch: Vec<Sighting>) -> Result<(), Gone> {
        let place = self.tail.place(log);
        let Some(reading) = self.logs.get_mut(log) else { return Ok(()) };
        let kept = Kept { place, last: reading.last };
        (reading.unmarked, reading.marked) = (0, Instant::now());
        let mark = Mark {
            log: Arc::clone(&reading.name),
            place: serde_json::to_string(&kept).unwrap_or_default(),
            pending: std::mem::take(&mut reading.waiting)
                .then(|| serde_json::to_string(&reading.finder.pending()).unwrap_or_default()),
        };
        self.tell(Heard::Events(batch, mark))
    }

    /// A log cannot be read, or can, again.
    fn trouble(&mut self, log: usize, words: Option<String>) -> Result<(), Gone> {
        if let Some(log) = self.logs.get_mut(log) {
            log.trouble = words;
        }
        self.tell_trouble()
    }

    /// Tells the heart whether all logs can be read, if that is not what it was told last.
    fn tell_trouble(&mut self) -> Result<(), Gone> {
        let trouble = self.logs.iter().find_map(|log| log.trouble.clone());
        if self.troubled.replace(trouble.is_some()) == Some(trouble.is_some()) {
            return Ok(());
        }
        self.tell(Heard::Trouble(trouble))
    }

    /// A log has been read up to its end. When it was the last one that was awaited, the heart is told.
    fn read_up(&mut self, log: usize) -> Result<(), Gone> {
        let awaited = self.unread.len();
        self.unread.retain(|unread| *unread != log);
        if awaited == 0 || !self.unread.is_empty() {
            return Ok(());
        }
        self.tell(Heard::AllRead)
    }

    /// Does what was asked for.
    fn obey(&mut self) -> Result<(), Gone> {
        let wishes =
            std::mem::take(&mut *self.wishes.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(patterns) = wishes.patterns {
            self.logs.iter_mut().for_each(|log| log.use_patterns(&patterns));
        }
        if wishes.end { Err(Gone) } else { Ok(()) }
    }

    fn tell(&self, heard: Heard) -> Result<(), Gone> {
        tell(&self.heart, &self.pulse, heard)
    }
}

/// Waits for room if there is none: the log itself is the queue.
fn tell(heart: &Sender<Heard>, pulse: &Pulse, heard: Heard) -> Result<(), Gone> {
    pulse.busy(Part::Reader, WAITS);
    let told = heart.blocking_send(heard).map_err(|_| Gone);
    pulse.step(Part::Reader);
    told
}

/// The log that it tells of.
fn log_of(next: &Next<'_>) -> Option<usize> {
    match next {
        Next::Lines { log, .. }
        | Next::Lost { log, .. }
        | Next::CaughtUp { log }
        | Next::Missing { log }
        | Next::Trouble { log, .. } => Some(*log),
        Next::Called | Next::Quiet => None,
    }
}

impl Log {
    /// The log as the ledger knows it, and where reading ended, if it is not new to us.
    fn new(path: &Path, remembered: &Remembered, config: &Config) -> (Self, Option<Place>) {
        let kinds = if *config.receiving.enabled { KINDS.with(OF_CLIENTS) } else { KINDS };
        let name: Arc<str> = path.to_string_lossy().into();
        let kept = remembered.places.get(&*name).and_then(|text| readable::<Kept>(path, text));
        let pending = remembered.pending.get(&*name).and_then(|text| readable(path, text));
        let (place, last) = match kept {
            Some(Kept { place, last }) => (Some(place), last),
            None => (None, 0),
        };
        let log = Self {
            name,
            kinds,
            finder: Finder::with(kinds, config.patterns(), pending.unwrap_or_default()),
            last,
            lost: None,
            waiting: false,
            unmarked: 0,
            marked: Instant::now(),
            trouble: None,
        };
        (log, place)
    }

    /// A finder with other patterns, which goes on with what waits.
    fn use_patterns(&mut self, patterns: &Patterns) {
        self.waiting |= self.finder.pending_changed();
        self.finder = Finder::with(self.kinds, patterns.clone(), self.finder.pending());
    }

    /// The events of a block that may count, each with its moment.
    fn sightings(
        &mut self,
        bytes: &[u8],
        live: bool,
        now: Timestamp,
        window: SignedDuration,
        stamps: &mut StampReader,
    ) -> Vec<Sighting> {
        self.unmarked += bytes.len() as u64;
        let mut batch = Vec::new();
        let (last, lost) = (&mut self.last, self.lost);
        self.finder.feed(bytes, &mut |event| {
            // An old line of a host whose clock is wrong happened now at the latest.
            let at = if live { now } else { stamps.resolve(event.stamp).unwrap_or(now).min(now) };
            if !live && lost.is_some_and(|counted| at.as_second() <= counted) {
                return;
            }
            let counts = now.duration_since(at) <= window;
            let lasts = |what: &What<'_>| {
                matches!(
                    what,
                    What::Success(_) | What::ClientSucceeded(_) | What::ClientDelivered(_)
                )
            };
            if counts || lasts(&event.what) {
                *last = at.as_second().max(*last);
                let line = event.what.against().map(|_| evidence(event.line));
                batch.push(Sighting { event: event.into_owned(), at, line });
            }
        });
        batch
    }
}

/// The files of the config, each from where reading ended.
fn files(config: &Config, remembered: &Remembered) -> (Logs, Vec<Log>) {
    let paths = &config.log.path.0;
    let (logs, places): (Vec<Log>, Vec<Option<Place>>) =
        paths.iter().map(|path| Log::new(path, remembered, config)).unzip();
    let start = |place: Option<Place>| place.map_or_else(|| since(look_back(config)), Start::At);
    let starts = places.into_iter().map(start);
    let tail = Tail::new(paths.iter().cloned().zip(starts), Options::default());
    (Logs::Files(Box::new(tail)), logs)
}

/// The journal, from where reading ended.
fn the_journal(config: &Config, remembered: &Remembered) -> (Logs, Vec<Log>) {
    let (log, place) = Log::new(journal::name(config), remembered, config);
    let ago = look_back(config).unsigned_abs();
    let journal = Journal::new(journal::source(config), place.as_ref(), ago);
    (Logs::Journal(Box::new(journal)), vec![log])
}

/// How far back a log that is new to us is read: where the window begins, or the time for which a success is remembered.
fn look_back(config: &Config) -> SignedDuration {
    config.policy.window.0.max(config.guards.trusted_for.0)
}

/// A text of the ledger, read back. One that cannot be read is as good as none.
fn readable<T: for<'a> Deserialize<'a>>(path: &Path, text: &str) -> Option<T> {
    serde_json::from_str(text)
        .inspect_err(|error| {
            warn!(?path, "what the ledger says of this log cannot be read: {error}");
        })
        .ok()
}

/// To begin where the window begins.
fn since(window: SignedDuration) -> Start {
    let begin = clock::now().saturating_sub(window).unwrap_or(Timestamp::MIN);
    let written = clock::system().checked_sub(window.unsigned_abs()).unwrap_or(UNIX_EPOCH);
    let mut stamps = Calendar { latest: clock::now(), zone: TimeZone::system() }.reader();
    Start::Since(Since::new(written, move |line| {
        let (prefix, _) = maillog::prefix::split(line).ok()?;
        Some(stamps.resolve(prefix.stamp)? < begin)
    }))
}
