//! The book: what the daemon must not forget, gathered and committed to the ledger as one.
//!
//! The place in the log, the attempts that wait for their delivery line, what is known of each relay and what was
//! decided go into one transaction. So a `kill -9` at any moment leaves a ledger that says: up to here all was counted,
//! once. What comes after is read again.
//!
//! A commit costs a sync of the disk, so not every block of lines has one: what only counts may wait a second, or for
//! more of its kind ([`Book::is_due`]). What is acted on may not: an edit of the map is committed as intended before the
//! map is touched.
//!
//! **What fails.** No room, a right that was taken away: the same batch is given again until it is taken; meanwhile
//! nothing is read and nothing is done, and the log itself is the queue. A ledger that turns out to be damaged ends the
//! daemon; the next start begins a fresh one. A dry run that may not have a ledger goes on without: it changes nothing,
//! so nothing can be done twice.
//!
//! **What an attacker could try.** Rows read back are text that others may have written: what cannot be read as what it
//! should be is passed over, and the log and our block of the access file tell it again.

use std::collections::{HashMap, HashSet};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ledger::{Batch, Error, Happening, Ledger, Loaded, RECORD_MAX, RelayChange, Success, TEXT_MAX};
use policy::alarm::Alarm;
use policy::handshake::Handshake;
use policy::input::Change;
use policy::record::Saved;
use policy::rules::Rules;
use policy::state::{State, Unsaved};
use tracing::{info, warn};

use crate::clock;
use crate::happening;
use crate::output::Safe;

/// How long what only counts may wait for its commit.
const PATIENCE: Duration = Duration::from_secs(1);

/// Events that may wait for a commit: a bound on what is kept in memory twice while a large log is read. Measured with
/// 100,000 new relays at once: with 20,000 some 20 MB more.
const MOST_EVENTS: usize = 2_000;

/// How long until a batch that was not taken is given again.
const RETRY: Duration = Duration::from_secs(2);

/// The name of the note that says what the access file was outside of our block.
const REST: &str = "rest of the access file";

/// The name of the note with the alarms that were raised and have not ended.
const ALARMS: &str = "alarms";

/// The name of the note that says when our block was last put back.
const PUT_BACK: &str = "put back";

/// The book of the running daemon.
#[derive(Debug)]
pub(crate) struct Book {
    /// None in a dry run that may not have one.
    ledger: Option<Ledger>,
    /// What is not committed yet, apart from the heart's rows, which are asked of the heart.
    batch: Batch,
    events: usize,
    /// Since when something waits.
    since: Option<Instant>,
}

/// What the ledger said at the start.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) relays: Vec<(Box<str>, Saved)>,
    pub(crate) successes: Vec<(Box<str>, policy::successes::Success)>,
    /// The place in each log, as the reader puts it.
    pub(crate) places: HashMap<String, String>,
    /// The attempts of each log that wait for their delivery line, as the reader puts them.
    pub(crate) pending: HashMap<String, String>,
    /// What the access file was outside of our block when it was last looked at.
    pub(crate) rest: Option<String>,
    /// When our block was last put back.
    pub(crate) put_back: Option<Timestamp>,
    /// The alarms that were raised and had not ended.
    pub(crate) alarms: Vec<Alarm>,
}

/// How far a log has been read.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) log: Arc<str>,
    pub(crate) place: String,
    /// The attempts that wait for their delivery line; none if these are as before.
    pub(crate) pending: Option<String>,
}

impl Book {
    /// Opens the ledger. A dry run that may not have it goes on without one.
    pub(crate) fn open(path: &Path, dry_run: bool) -> Result<(Self, Remembered), Error> {
        make_folder(path);
        let (ledger, loaded) = match ledger::open(path, clock::now()) {
            Ok((ledger, loaded)) => (Some(ledger), loaded),
            Err(error) if dry_run => {
                warn!("{}; this dry run remembers nothing", Safe(&error.to_string()));
                (None, Loaded::default())
            }
            Err(error) => return Err(error),
        };
        let book = Self { ledger, batch: Batch::default(), events: 0, since: None };
        Ok((book, Remembered::from(loaded)))
    }

    /// Whether anything is remembered: only then may the map be touched.
    pub(crate) fn is_durable(&self) -> bool {
        self.ledger.is_some()
    }

    /// So far the log has been read. To be told when all that was before is in the heart.
    pub(crate) fn mark(&mut self, mark: Mark, events: usize) {
        let Mark { log, place, pending } = mark;
        put(&mut self.batch.places, &log, place);
        if let Some(pending) = pending {
            put(&mut self.batch.pending, &log, pending);
        }
        self.events += events;
        self.dirty();
    }

    /// Something happened: for the history.
    pub(crate) fn tell(&mut self, change: &Change, at: Timestamp) {
        if matches!(change, Change::PutBack(..)) {
            self.note(PUT_BACK, at.as_second().to_string());
        }
        if let Some(happening) = happening::of(change, at) {
            self.batch.history.push(short(happening));
            self.dirty();
        }
    }

    /// The alarms that are raised.
    pub(crate) fn note_alarms(&mut self, alarms: &[Alarm]) {
        self.note(ALARMS, serde_json::to_string(alarms).unwrap_or_default());
    }

    /// What the access file is outside of our block.
    pub(crate) fn note_rest(&mut self, rest: String) {
        self.note(REST, rest);
    }

    fn note(&mut self, name: &str, note: String) {
        put(&mut self.batch.notes, name, Some(note));
        self.dirty();
    }

    /// The heart has changed by something else than a block of lines.
    pub(crate) fn dirty(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// When what waits is to be committed at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + PATIENCE)
    }

    /// Whether a commit is due.
    pub(crate) fn is_due(&self) -> bool {
        self.events >= MOST_EVENTS || self.deadline().is_some_and(|at| at <= Instant::now())
    }

    /// Commits what waits and what the heart has changed. Answers when it is on the disk, however long that takes.
    ///
    /// # Errors
    /// If the ledger cannot be used any more; the next start sets that right.
    pub(crate) async fn commit(&mut self, state: &mut State) -> Result<(), Error> {
        let mut batch = std::mem::take(&mut self.batch);
        (self.events, self.since) = (0, None);
        rows(&mut batch, state.unsaved());
        let Some(ledger) = &self.ledger else { return Ok(()) };
        batch.now = clock::now();
        let batch = Arc::new(batch);
        let mut told = HashSet::new();
        loop {
            match ledger.commit(Arc::clone(&batch)).await {
                Ok(()) => break,
                Err(error) if error.may_pass() => {
                    let words = error.to_string();
                    if told.insert(words.clone()) {
                        warn!("{}; nothing is read or done until it is taken", Safe(&words));
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(RETRY).await;
        }
        if !told.is_empty() {
            info!("the ledger takes commits again; going on");
        }
        Ok(())
    }

    /// Closes the ledger.
    pub(crate) async fn close(self) {
        let Some(ledger) = self.ledger else { return };
        if let Err(error) = ledger.close().await {
            warn!("{}", Safe(&error.to_string()));
        }
    }
}

impl Remembered {
    /// The heart as it was. Takes what it is made of.
    pub(crate) fn state(&mut self, rules: Rules) -> State {
        let relays = std::mem::take(&mut self.relays);
        State::restored(rules, relays, std::mem::take(&mut self.successes))
            .with_put_back(self.put_back)
            .with_alarms(std::mem::take(&mut self.alarms))
    }
}

impl From<Loaded> for Remembered {
    fn from(loaded: Loaded) -> Self {
        let mut unreadable = 0;
        let mut relays = Vec::with_capacity(loaded.relays.len());
        for (relay, record) in loaded.relays {
            match serde_json::from_str(&record) {
                Ok(saved) => relays.push((relay.into(), saved)),
                Err(_) => unreadable += 1,
            }
        }
        if unreadable > 0 {
            warn!(unreadable, "records in the ledger cannot be read; what they said is lost");
        }
        let success = |(relay, last): (String, Success)| {
            let second = last.seen.try_into().ok()?;
            let handshake = Handshake::of(&last.version, &last.verify);
            Some((relay.into(), policy::successes::Success { second, handshake }))
        };
        let mut notes: HashMap<String, String> = loaded.notes.into_iter().collect();
        let put_back = notes.remove(PUT_BACK).and_then(|text| text.parse().ok());
        Self {
            relays,
            successes: loaded.successes.into_iter().filter_map(success).collect(),
            places: loaded.places.into_iter().collect(),
            pending: loaded.pending.into_iter().collect(),
            rest: notes.remove(REST),
            alarms: notes
                .remove(ALARMS)
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default(),
            put_back: put_back.and_then(|second| Timestamp::from_second(second).ok()),
        }
    }
}

/// Makes the ledger's folder where only that is missing. What fails is told by the opening.
fn make_folder(path: &Path) {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        drop(DirBuilder::new().mode(0o750).create(folder));
    }
}

/// Puts a row in, or in place of the one of that name.
fn put<T>(rows: &mut Vec<(String, T)>, name: &str, value: T) {
    match rows.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => rows.push((name.to_owned(), value)),
    }
}

/// The heart's rows.
fn rows(batch: &mut Batch, unsaved: Unsaved) {
    for (relay, saved) in unsaved.relays {
        let record = saved.as_ref().and_then(|saved| serde_json::to_string(saved).ok());
        if record.as_ref().is_some_and(|record| record.len() > RECORD_MAX) {
            // The policy's bounds see to it that there is none. A commit that can never be taken would be the end.
            warn!(relay = %Safe(&relay), "the record is too long for the ledger and is not kept");
            continue;
        }
        batch.relays.push(RelayChange {
            relay: relay.into(),
            seen: saved.as_ref().map_or(0, Saved::last_seen),
            stays: saved.as_ref().is_some_and(Saved::stays),
            record,
        });
    }
    let success = |(relay, last): (Box<str>, policy::successes::Success)| {
        let (version, verify) = (last.handshake.version(), last.handshake.verify());
        let (version, verify) = (version.to_owned(), verify.to_owned());
        (relay.into(), Some(Success { seen: last.second.into(), version, verify }))
    };
    batch.successes.extend(unsaved.successes.into_iter().map(success));
}

/// The happening with no more text than the ledger takes.
fn short(mut happening: Happening) -> Happening {
    while happening.detail.len() > TEXT_MAX {
        happening.detail.pop();
    }
    happening
}
