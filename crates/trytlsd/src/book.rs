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

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use ledger::{
    Batch, Error, Happening, LINES_KEPT, Ledger, Line, Loaded, RECORD_MAX, RelayChange, Request,
    Settled, Success, TEXT_MAX, VoteRow,
};
use policy::alarm::Alarm;
use policy::clients::ClientChange;
use policy::fact::{Answer, Fact};
use policy::fleet::Vote;
use policy::input::Change;
use policy::record::Saved;
use policy::state::{State, Unsaved};
use tracing::{info, warn};

use crate::clock;
use crate::fleet;
use crate::happening;
use crate::notice::{NOTICE, Told};
use crate::output::Safe;
use crate::pulse::{Part, Pulse};
use crate::remembered::{
    ADOPTED, ALARMS, CLIENT, CLOCK, HALT, NOTICES, PUT_BACK, REST, RUN, Remembered, Run, sts_row,
};
use crate::request::Outcome;

/// How long what only counts may wait for its commit.
const PATIENCE: Duration = Duration::from_secs(1);

/// Events that may wait for a commit: a bound on what is kept in memory twice while a large log is read. Measured with
/// 100,000 new relays at once: with 20,000 some 20 MB more.
const MOST_EVENTS: usize = 2_000;

/// How often the clock is noted.
const CLOCK_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Statements of MTAs that are kept for people, at most.
const MOST_VOTES: usize = 5_000;

/// Of one that says the same again it is kept when, in seconds.
const VOTES_EVERY: i64 = 600;

/// How long until a batch that was not taken is given again.
const RETRY: Duration = Duration::from_secs(2);

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
    /// Others have written into the ledger, and what they asked for was not read yet.
    has_news: bool,
    /// What the clock said when it was last noted.
    clock: Option<Timestamp>,
    /// What is kept of what the MTAs of the fleet say; none before the first look.
    votes: Option<Vec<VoteRow>>,
    pulse: Pulse,
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
    pub(crate) fn open(
        path: &Path,
        dry_run: bool,
        pulse: Pulse,
    ) -> Result<(Self, Remembered), Error> {
        make_folder(path);
        let (ledger, loaded) = match ledger::open(path, clock::now()) {
            Ok((ledger, loaded)) => (Some(ledger), loaded),
            Err(error) if dry_run => {
                warn!("{}; this dry run remembers nothing", Safe(&error.to_string()));
                (None, Loaded::default())
            }
            Err(error) => return Err(error),
        };
        let book = Self {
            ledger,
            batch: Batch::default(),
            events: 0,
            since: None,
            has_news: false,
            clock: None,
            votes: None,
            pulse,
        };
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
        if matches!(change, Change::PutBack(..) | Change::Client(_, ClientChange::PutBack(_))) {
            self.note(PUT_BACK, at.as_second().to_string());
        }
        match change {
            Change::Halted(halt) => {
                self.note(HALT, serde_json::to_string(halt).unwrap_or_default())
            }
            Change::WentOn(_) => {
                put(&mut self.batch.notes, HALT, None);
                self.dirty();
            }
            _ => {}
        }
        if let Some(happening) = happening::of(change, at) {
            self.batch.history.push(short(happening));
            self.dirty();
        }
    }

    /// A line of the log speaks against the relay: kept for people, as long as it is one of the last.
    pub(crate) fn keep_line(&mut self, relay: &str, at: Timestamp, line: String) {
        let lines = &mut self.batch.lines;
        let of_relay = |kept: &&Line| kept.relay == relay;
        if lines.iter().filter(of_relay).count() >= usize::from(LINES_KEPT)
            && let Some(oldest) = lines.iter().position(|kept| kept.relay == relay)
        {
            lines.remove(oldest);
        }
        lines.push(Line { relay: relay.to_owned(), at, line: cut(line) });
        self.dirty();
    }

    /// What the MTAs of the fleet say, by a look at the directory. Kept where it is other than what was kept, and now and then.
    pub(crate) fn keep_votes(&mut self, votes: &[Vote], now: Timestamp) {
        let rows: Vec<VoteRow> = votes
            .iter()
            .take(MOST_VOTES)
            .map(|vote| {
                let row = fleet::row_of(vote, now);
                VoteRow { says: cut(row.says), ..row }
            })
            .collect();
        let same = self.votes.as_ref().is_some_and(|kept| {
            let alike = |(row, kept): (&VoteRow, &VoteRow)| {
                (&row.relay, &row.mta, &row.says) == (&kept.relay, &kept.mta, &kept.says)
                    && row.written - kept.written < VOTES_EVERY
            };
            rows.len() == kept.len() && rows.iter().zip(kept).all(alike)
        });
        if !same {
            self.batch.votes = Some(rows.clone());
            self.votes = Some(rows);
            self.dirty();
        }
    }

    /// A fact was learnt: an MTA-STS policy holds for as long as it says, over restarts too.
    pub(crate) fn learn(&mut self, fact: &Fact) {
        if let Fact::Sts(domain, Answer::Known(Some(sts))) = fact {
            self.batch.policies.push(sts_row(domain, sts));
            self.dirty();
        }
    }

    /// The alarms that are raised.
    pub(crate) fn note_alarms(&mut self, alarms: &[Alarm]) {
        self.note(ALARMS, serde_json::to_string(alarms).unwrap_or_default());
    }

    /// What the clock says: so that the next start can tell whether it was set. Noted each hour.
    pub(crate) fn note_clock(&mut self, now: Timestamp) {
        if self.clock.is_none_or(|noted| noted.duration_since(now).abs() >= CLOCK_EVERY) {
            self.clock = Some(now);
            self.note(CLOCK, now.as_second().to_string());
        }
    }

    /// How this daemon was started: for those who read the ledger beside it.
    pub(crate) fn note_run(&mut self, run: Run) {
        self.note(RUN, serde_json::to_string(&run).unwrap_or_default());
    }

    /// What notices told, and what is to stand in the history of that.
    pub(crate) fn note_notices(&mut self, told: &Told, happening: Option<Happening>) {
        self.note(NOTICES, told.to_text());
        self.batch.history.extend(happening.map(short));
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

    /// What operators have asked for since this was last asked. What cannot be read now is read the next time.
    pub(crate) async fn requests(&mut self) -> Vec<Request> {
        let Some(ledger) = &self.ledger else {
            // There is none that could hang.
            self.pulse.step(Part::Ledger);
            return Vec::new();
        };
        let read = async {
            self.has_news |= ledger.has_news().await?;
            match self.has_news {
                true => ledger.open_requests().await,
                false => Ok(Vec::new()),
            }
        };
        let read = read.await;
        self.pulse.step(Part::Ledger);
        match read {
            Ok(requests) => {
                self.has_news = false;
                requests
            }
            Err(error) => {
                warn!("{}", Safe(&error.to_string()));
                Vec::new()
            }
        }
    }

    /// A request has been answered.
    pub(crate) fn answer(&mut self, id: i64, outcome: &Outcome, at: Timestamp) {
        let settled = Settled { at, outcome: cut(outcome.to_text()) };
        self.batch.settled.push((id, settled));
        self.dirty();
    }

    /// Whether a commit is due.
    pub(crate) fn is_due(&self) -> bool {
        !self.batch.settled.is_empty()
            || self.batch.history.iter().any(|row| row.what == NOTICE)
            || self.events >= MOST_EVENTS
            || self.deadline().is_some_and(|at| at <= Instant::now())
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
            let committed = ledger.commit(Arc::clone(&batch)).await;
            self.pulse.step(Part::Ledger);
            match committed {
                Ok(()) => break,
                Err(error) if error.may_pass() => {
                    // The heart is at work too: it asks again.
                    self.pulse.step(Part::Heart);
                    self.pulse.feed();
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
    for (address, client) in unsaved.clients {
        batch.relays.push(RelayChange {
            relay: format!("{CLIENT}{address}"),
            seen: client.as_ref().map_or(0, |client| client.last_seen().into()),
            stays: client.as_ref().is_some_and(|client| client.stays()),
            record: client.and_then(|client| serde_json::to_string(&client).ok()),
        });
    }
    for (relay, adopted) in unsaved.adoptions {
        batch.relays.push(RelayChange {
            relay: format!("{ADOPTED}{relay}"),
            seen: adopted.as_ref().map_or(0, |adopted| adopted.word.at.into()),
            stays: adopted.is_some(),
            record: adopted.and_then(|adopted| serde_json::to_string(&adopted).ok()),
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
    happening.detail = cut(happening.detail);
    happening
}

fn cut(mut text: String) -> String {
    while text.len() > TEXT_MAX {
        text.pop();
    }
    text
}
