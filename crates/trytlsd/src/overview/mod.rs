//! What a person wants to see at a glance: what is stuck, what was done about it, what is held, and what happened.
//!
//! It is made from the ledger alone, and from sendmail.cf for one number, so that the page and
//! the metrics can read it beside the daemon and never delay it. Nothing is asked of the network, and nothing is written.
//!
//! **What it cannot know.** A hold is not kept in the heart's rows, since a guard speaks again after a restart; it is read
//! from the history: the last decision about a relay that still fails. Of a relay's messages 32 are remembered; of more
//! the earliest are forgotten, and then "waiting" is a least number. Attempts are remembered as long as they count
//! (`[policy] window`).
//!
//! **What an attacker could try.** Names, replies and reasons are foreign text, of bounded length, and are given as they
//! are: who shows them escapes them.

mod adopted;
mod clients;
mod held;
mod relays;
mod stuck;

use std::fs;
use std::path::Path;

use config::Config;
use jiff::{SignedDuration, Timestamp};
use ledger::{Error, Loaded, View, Wanted};
use policy::moment::moment;
use policy::state::State;
use sendmail::cf::{Cf, QUEUE_RETURN};
use serde::Serialize;

pub(crate) use adopted::AdoptedLine;
pub(crate) use clients::ClientRow;
pub(crate) use held::{Held, Holds, needs_a_person};
pub(crate) use relays::{Entry, Lifted, Proposed};
pub(crate) use stuck::Stuck;

use crate::explained::Halted;
use crate::fleet::Fleet;
use crate::notice::Told;
pub(crate) use crate::remembered::CLIENT;
use crate::remembered::Remembered;

/// How far back happenings are read unless more is asked for.
pub(crate) const LOOK_BACK: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Happenings that are read at most: the latest.
const MOST_HAPPENINGS: u32 = 200_000;

/// All of it, as of one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    /// As of when.
    pub(crate) at: Timestamp,
    /// Whether there is a ledger at all.
    pub(crate) ledger: bool,
    pub(crate) daemon: Daemon,
    /// The alarms that were raised and have not ended.
    pub(crate) alarms: Vec<Alarm>,
    /// What notices told.
    #[serde(skip)]
    pub(crate) told: Told,
    /// Relays whose mail waits, the one that bounces first on top.
    pub(crate) stuck: Vec<Stuck>,
    /// Nothing is decided at present, by an operator's word.
    pub(crate) halt: Option<Halted>,
    /// Lines that are to be taken out and may still be in the file.
    pub(crate) removing: usize,
    /// Lines of the admin's that are looked after.
    pub(crate) adopted: Vec<AdoptedLine>,
    /// Entries in force, by relay.
    pub(crate) entries: Vec<Entry>,
    /// What dry run has shown.
    pub(crate) proposed: Vec<Proposed>,
    /// Relays and clients that a guard holds back.
    pub(crate) holds: Vec<Held>,
    /// Relays that were lifted: by hand, or on probation.
    pub(crate) lifted: Vec<Lifted>,
    /// Clients of the receiving side with an entry, or with broken handshakes.
    pub(crate) clients: Vec<ClientRow>,
    /// What the MTAs of a fleet say; none where the map is not shared.
    pub(crate) fleet: Option<Fleet>,
    pub(crate) counts: Counts,
    /// How long sendmail lets a message wait before it bounces, in seconds (`O Timeout.queuereturn`).
    pub(crate) queue_return: u32,
    /// Whether sendmail.cf says so; else it is sendmail's own default.
    pub(crate) queue_return_is_set: bool,
    /// What happened, the oldest first.
    #[serde(skip)]
    pub(crate) happened: Vec<Happened>,
    /// The number of the latest happening.
    #[serde(skip)]
    pub(crate) newest: i64,
    /// Stuck attempts that still count.
    #[serde(skip)]
    pub(crate) attempts: Vec<Attempt>,
    /// When TLS with each relay last worked.
    #[serde(skip)]
    pub(crate) successes: Vec<Worked>,
}

/// The daemon.
#[derive(Debug, Serialize)]
pub(crate) struct Daemon {
    /// Its process; none if it does not run.
    pub(crate) pid: Option<u32>,
    /// When it was last started.
    pub(crate) since: Option<Timestamp>,
    /// Whether it only shows what it would write.
    pub(crate) dry_run: bool,
    /// When the ledger was last written.
    pub(crate) last_commit: Option<Timestamp>,
}

/// An alarm.
#[derive(Debug, Serialize)]
pub(crate) struct Alarm {
    pub(crate) about: &'static str,
    pub(crate) since: Timestamp,
    pub(crate) says: String,
    /// What it stops while it lasts.
    #[serde(skip)]
    pub(crate) meanwhile: &'static str,
    /// The number of the happening with which it was raised; 0 if that is not known any more.
    #[serde(skip)]
    pub(crate) id: i64,
}

/// Sums.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Counts {
    /// Relays that are remembered, failing or with an entry.
    pub(crate) relays: usize,
    /// Relays whose mail waits.
    pub(crate) stuck: usize,
    /// Messages that wait; a least number if `messages_at_least`.
    pub(crate) messages: usize,
    pub(crate) messages_at_least: bool,
    /// Lines in force, of relays and of clients.
    pub(crate) entries: usize,
    pub(crate) proposed: usize,
    pub(crate) holds: usize,
    pub(crate) alarms: usize,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Happened {
    pub(crate) at: Timestamp,
    /// None for what concerns the daemon as a whole.
    pub(crate) relay: Option<String>,
    pub(crate) what: String,
    pub(crate) detail: String,
    /// Its number in the ledger: ascending.
    #[serde(skip)]
    pub(crate) id: i64,
}

/// Stuck attempts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Attempt {
    pub(crate) at: Timestamp,
    pub(crate) relay: String,
    pub(crate) count: u32,
}

/// A handshake that worked, the last with that relay.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Worked {
    pub(crate) at: Timestamp,
    pub(crate) relay: String,
}

impl Overview {
    /// Looks at the ledger and at sendmail.cf. That there is no ledger yet is no error: then nothing is known.
    ///
    /// # Errors
    /// If there is a ledger and it cannot be read.
    pub(crate) fn take(config: &Config, now: Timestamp) -> Result<Self, Error> {
        let since = now.saturating_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
        Self::take_since(config, since, now)
    }

    /// The same, with what happened since then.
    ///
    /// # Errors
    /// See [`Overview::take`].
    pub(crate) fn take_since(
        config: &Config,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let path = &config.ledger.path.0.0;
        let looked_at = now.saturating_sub(LOOK_BACK).unwrap_or(Timestamp::MIN).min(since);
        let wanted = Wanted { of: None, after: None, since: looked_at, limit: MOST_HAPPENINGS };
        let mut votes = Vec::new();
        let (ledger, loaded, (history, newest)) = match View::open(path) {
            Ok(mut view) => {
                if config.is_shared() {
                    votes = view.votes()?;
                }
                let history = view.happenings(&wanted)?;
                (true, view.load()?, history)
            }
            Err(Error::Missing { .. }) => (false, Loaded::default(), (Vec::new(), 0)),
            Err(error) => return Err(error),
        };
        let mut remembered = Remembered::from(loaded);
        let run = remembered.run;
        let told = std::mem::take(&mut remembered.told);
        let successes = remembered.successes.iter().map(|(relay, success)| Worked {
            at: moment(success.second),
            relay: relay.to_string(),
        });
        let successes = successes.collect();
        let state = remembered.state(config.rules());
        let set = Cf::read(&config.access.cf.0.0).ok().and_then(|cf| cf.queue_return);
        let happened: Vec<Happened> = history
            .into_iter()
            .map(|(id, h)| Happened {
                id,
                at: h.at,
                relay: h.relay,
                what: h.what,
                detail: h.detail,
            })
            .collect();
        let daemon = Daemon {
            pid: ledger::holder(path),
            since: run.map(|run| run.since),
            dry_run: run.map_or(*config.top.dry_run, |run| run.dry_run),
            last_commit: last_commit(path),
        };
        let queue_return = set.unwrap_or(QUEUE_RETURN);
        let mut overview = Self {
            at: now,
            ledger,
            daemon,
            alarms: alarms(&state, &happened),
            told,
            stuck: stuck::stuck(&state, queue_return, now),
            halt: state.halt().map(Halted::of),
            removing: state.removing(),
            adopted: adopted::adopted(&state),
            entries: relays::entries(&state),
            proposed: relays::proposed(&state),
            holds: Vec::new(),
            lifted: relays::lifted(&state, now),
            clients: clients::clients(&state, now),
            fleet: config.is_shared().then(|| Fleet::of(config, votes)),
            counts: Counts::default(),
            queue_return,
            queue_return_is_set: set.is_some(),
            happened,
            newest,
            attempts: attempts(&state),
            successes,
        };
        overview.holds = Holds::of(&overview.happened).standing(&state, now);
        // A hold may be older than what is asked for.
        overview.happened.retain(|happened| happened.at >= since);
        overview.count(&state);
        Ok(overview)
    }

    fn count(&mut self, state: &State) {
        let lines: usize = self.entries.iter().map(|entry| entry.lines.len()).sum();
        let clients = self.clients.iter().filter(|client| client.state == "active").count();
        let shown = self.clients.iter().filter(|client| client.state == "proposed").count();
        self.counts = Counts {
            relays: state.records().count(),
            stuck: self.stuck.len(),
            messages: self.stuck.iter().map(|stuck| stuck.messages).sum(),
            messages_at_least: self.stuck.iter().any(|stuck| stuck.messages_at_least),
            entries: lines + clients,
            proposed: self.proposed.iter().map(|row| row.lines.len()).sum::<usize>() + shown,
            holds: self.holds.len(),
            alarms: self.alarms.len(),
        };
    }

    /// The message that has waited for longest: when it came.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.stuck.iter().filter_map(|stuck| stuck.oldest).min()
    }

    /// When the first of the waiting messages bounces.
    pub(crate) fn first_bounce(&self) -> Option<Timestamp> {
        self.stuck.iter().filter_map(|stuck| stuck.bounces).min()
    }

    /// The holds that will not end by themselves.
    pub(crate) fn need_a_person(&self) -> usize {
        self.holds.iter().filter(|held| held.needs_a_person).count()
    }
}

fn alarms(state: &State, happened: &[Happened]) -> Vec<Alarm> {
    let is = |row: &Happened, alarm: &policy::alarm::Alarm| {
        row.relay.is_none() && row.what == "alarm" && *row.detail == *alarm.says
    };
    let id = |alarm: &policy::alarm::Alarm| {
        happened.iter().rev().find(|row| is(row, alarm)).map_or(0, |row| row.id)
    };
    let alarm = |alarm: &policy::alarm::Alarm| Alarm {
        about: alarm.about.word(),
        since: moment(alarm.since),
        says: alarm.says.to_string(),
        meanwhile: alarm.about.meanwhile(),
        id: id(alarm),
    };
    state.alarms().iter().map(alarm).collect()
}

fn attempts(state: &State) -> Vec<Attempt> {
    let of_relay = |(relay, record): (&str, &policy::record::Record)| {
        let relay = relay.to_owned();
        let attempt = |(second, count)| Attempt { at: moment(second), relay: relay.clone(), count };
        record.evidence.attempts().map(attempt).collect::<Vec<_>>()
    };
    state.records().flat_map(of_relay).collect()
}

/// When the ledger was last written: SQLite's write-ahead log is, with each commit.
fn last_commit(path: &Path) -> Option<Timestamp> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let written = |path: &Path| fs::metadata(path).ok()?.modified().ok();
    let at = written(Path::new(&log)).max(written(path))?;
    Timestamp::try_from(at).ok()
}
