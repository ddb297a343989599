//! Notices: what needs a person is told to one who does not look, by mail or by a command of his own.
//!
//! The heart only says that there may be news. When it is time, the ledger is read on a thread beside it, as for the page, and
//! one notice tells all that needs a person then ([`needs`]): so a burst is one notice, and what has ended by itself is left
//! out. A summary follows each morning, if there is anything to say. Nothing here delays the heart: looking and sending are
//! blocking threads, and a child has a deadline.
//!
//! **Once.** All that needs a person began with a row of the ledger's history, and rows ascend. So one number says what was told:
//! all that began with it or before. It is committed, as on its way, before the notice is given away, and again with
//! what became of it. A daemon that is killed between the two takes it for told, so that no restart tells it twice; the next
//! summary tells it again while it lasts. (Only where sending had failed before it is tried again.)
//!
//! **What fails.** A program that is not there, or fails, or hangs: said once, kept for `status`, tried again after a minute, then
//! ever more seldom, up to an hour. The notice is made anew each time. Without a ledger (a dry run beside the service) there
//! are no notices.
//!
//! **What an attacker could try.** Whoever can make TLS fail can make holds, so notices are few by the clock, whatever happens. Names
//! and reasons are foreign text: see [`mail`].

mod advice;
pub(crate) mod command;
mod content;
mod mail;
mod needs;
mod send;
#[cfg(test)]
mod tests;
mod told;

use std::sync::Arc;
use std::time::Duration;

use config::Config;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use ledger::Happening;
use policy::clients::ClientChange;
use policy::input::Change;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::output::Safe;
use crate::overview::{Overview, needs_a_person};

pub(crate) use mail::Notice;
pub(crate) use send::UNIT;
pub(crate) use told::{Kind, Told};

use told::Going;

/// How long the first news wait for others to come with them.
const SETTLE: SignedDuration = SignedDuration::from_secs(120);

/// How long until what could not be sent is tried again, at first and at last.
const RETRY: SignedDuration = SignedDuration::from_secs(60);
const LAST_RETRY: SignedDuration = SignedDuration::from_hours(1);

/// When the summary is made, by the clock of this host.
const MORNING_HOUR: i64 = 6;

/// A summary looks back so far at most.
const LONGEST_SUMMARY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Who tells.
pub(crate) struct Notices {
    config: Arc<Config>,
    /// Whether what was told can be remembered.
    durable: bool,
    told: Told,
    /// Since when there may be news.
    news: Option<Timestamp>,
    /// Made, and to be given away once that is committed.
    ready: Option<Notice>,
    /// Looks and sendings under way: one at a time.
    jobs: JoinSet<Came>,
}

/// What a thread brought.
pub(crate) enum Came {
    /// What is to be told, if anything is, and all of which happening that is.
    Looked(Kind, Result<(Option<Notice>, i64), ledger::Error>),
    /// Whether it went.
    Sent(Result<(), String>),
}

impl Notices {
    /// With what was told before. `durable`: whether it can be remembered.
    pub(crate) fn new(config: &Config, told: Told, durable: bool) -> Self {
        let config = Arc::new(config.clone());
        Self { config, durable, told, news: None, ready: None, jobs: JoinSet::new() }
    }

    /// The config was read again.
    pub(crate) fn reload(&mut self, config: &Config) {
        self.config = Arc::new(config.clone());
    }

    fn is_on(&self) -> bool {
        self.durable && is_on(&self.config)
    }

    /// Something may need a person.
    pub(crate) fn hear(&mut self, change: &Change, now: Timestamp) {
        let hold = match change {
            Change::Held(_, hold) | Change::Client(_, ClientChange::Held(hold)) => hold,
            Change::Raised(_) => return self.may_be_news(now),
            _ => return,
        };
        if needs_a_person(hold.guard()) {
            self.may_be_news(now);
        }
    }

    /// It is to be looked whether something needs a person.
    pub(crate) fn may_be_news(&mut self, now: Timestamp) {
        self.news.get_or_insert(now);
    }

    /// How long until there is something to do, if that is known.
    pub(crate) fn wait(&self, now: Timestamp) -> Option<Duration> {
        if !self.is_idle() || !self.is_on() {
            return None;
        }
        let settled = left(self.news?, now, self.settle());
        let rested = self.told.at.map_or(SignedDuration::ZERO, |at| left(at, now, self.every()));
        let longest = settled.max(rested).max(self.until_retry(now));
        Some(longest.unsigned_abs())
    }

    /// What is due now.
    fn due(&self, now: Timestamp) -> Option<Kind> {
        let rested = self.told.at.is_none_or(|at| left(at, now, self.every()).is_zero());
        if !rested || !self.until_retry(now).is_zero() {
            return None;
        }
        let since = self.told.digest.filter(|_| *self.config.notice.digest);
        if since.is_some_and(|since| since < morning(now)) {
            return Some(Kind::Digest);
        }
        self.news.filter(|since| left(*since, now, self.settle()).is_zero()).map(|_| Kind::News)
    }

    fn every(&self) -> SignedDuration {
        self.config.notice.every.0
    }

    fn settle(&self) -> SignedDuration {
        SETTLE.min(self.every())
    }

    fn until_retry(&self, now: Timestamp) -> SignedDuration {
        let Some(failing) = &self.told.failing else { return SignedDuration::ZERO };
        let first = RETRY.min(self.every());
        let factor = 1_i32 << failing.tries.saturating_sub(1).min(20);
        left(failing.last, now, first.saturating_mul(factor).min(LAST_RETRY))
    }

    fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.ready.is_none()
    }

    /// Looks, if it is time, in the background. Whether what is remembered has changed.
    pub(crate) fn look(&mut self, now: Timestamp) -> bool {
        if !self.is_on() || !self.is_idle() {
            return false;
        }
        // The first summary is of what happens from now on.
        let first = self.told.digest.is_none();
        self.told.digest.get_or_insert(now);
        if let Some(kind) = self.due(now) {
            self.news = None;
            let (config, told) = (Arc::clone(&self.config), self.told.clone());
            self.jobs.spawn_blocking(move || Came::Looked(kind, look(&config, &told, kind, now)));
        }
        first
    }

    /// What a thread brings next; waits for ever if none is at work.
    pub(crate) async fn next(&mut self) -> Option<Came> {
        match self.jobs.join_next().await {
            Some(Ok(came)) => Some(came),
            Some(Err(error)) => {
                warn!("a notice was lost: {error}");
                self.told.going.take().map(|_| Came::Sent(Err("its thread has ended".to_owned())))
            }
            None => std::future::pending().await,
        }
    }

    /// Takes it into account; what is to stand in the history, if anything is.
    pub(crate) fn take(&mut self, came: Came, now: Timestamp) -> Option<Happening> {
        match came {
            Came::Looked(kind, Ok((Some(notice), upto))) => {
                self.told.going = Some(Going { kind, upto, at: now });
                self.ready = Some(notice);
                None
            }
            Came::Looked(kind, Ok((None, upto))) => {
                self.told.nothing(kind, upto, now);
                None
            }
            Came::Looked(_, Err(error)) => {
                self.failed(&error.to_string(), now).then(|| self.row(now, "not sent", &error))
            }
            Came::Sent(Ok(())) => {
                let going = self.told.going?;
                if self.told.failing.is_some() {
                    info!("notices can be sent again");
                }
                self.told.went(going);
                info!(kind = going.kind.word(), to = %Safe(&whom(&self.config)), "a notice was sent");
                Some(self.row(now, going.kind.word(), &format!("to {}", whom(&self.config))))
            }
            Came::Sent(Err(why)) => self.failed(&why, now).then(|| self.row(now, "not sent", &why)),
        }
    }

    /// Whether that is new.
    fn failed(&mut self, why: &str, now: Timestamp) -> bool {
        let new = self.told.failing.is_none();
        if new {
            warn!("a notice cannot be sent: {}; it is tried again", Safe(why));
        }
        self.told.failed(why, now);
        self.may_be_news(now);
        new
    }

    fn row(&self, at: Timestamp, what: &str, detail: &impl ToString) -> Happening {
        let detail = format!("{what}: {}", detail.to_string());
        Happening { at, relay: None, what: NOTICE.to_owned(), detail }
    }

    /// Whether a notice is to be given away, once that it is on its way is committed.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// Gives it away, in the background.
    pub(crate) fn send(&mut self) {
        let Some(notice) = self.ready.take() else { return };
        let config = Arc::clone(&self.config);
        self.jobs.spawn_blocking(move || Came::Sent(send::give_away(&config, &notice)));
    }

    /// What is to be remembered.
    pub(crate) fn told(&self) -> &Told {
        &self.told
    }
}

/// What notices are called in the history.
pub(crate) const NOTICE: &str = "notice";

/// Whether the config wants notices.
pub(crate) fn is_on(config: &Config) -> bool {
    !config.notice.mail_to.0.is_empty() || !config.notice.command.is_empty()
}

/// To whom they go, in words.
pub(crate) fn whom(config: &Config) -> String {
    let notice = &config.notice;
    match notice.command.first() {
        Some(program) => format!("the command {program}"),
        None => notice.mail_to.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// What is left of a span that began then. One that began later than now is of a clock that was wrong.
fn left(since: Timestamp, now: Timestamp, span: SignedDuration) -> SignedDuration {
    if now < since {
        return SignedDuration::ZERO;
    }
    span.saturating_sub(now.duration_since(since)).max(SignedDuration::ZERO)
}

/// The last morning that has begun.
fn morning(now: Timestamp) -> Timestamp {
    let zoned = now.to_zoned_datetime(TimeZone::system());
    let of = |day: &jiff::ZonedDateTime| {
        Some(day.start_of_day().ok()?.timestamp() + MORNING_HOUR.hours())
    };
    let today = of(&zoned).filter(|morning| *morning <= now);
    let before = || of(&zoned.checked_sub(1.day()).ok()?);
    today.or_else(before).unwrap_or(Timestamp::MIN)
}

/// Reads the ledger, and writes what is to be told; with the number of the latest happening.
fn look(
    config: &Config,
    told: &Told,
    kind: Kind,
    now: Timestamp,
) -> Result<(Option<Notice>, i64), ledger::Error> {
    let mut overview = Overview::take(config, now)?;
    let upto = overview.newest;
    let notice = match kind {
        Kind::News => content::news(config, &overview, told.upto),
        Kind::Digest => {
            let longest = now.saturating_sub(LONGEST_SUMMARY).unwrap_or(Timestamp::MIN);
            let since = told.digest.unwrap_or(longest).max(longest);
            overview.happened.retain(|happened| happened.at >= since);
            content::digest(config, &overview, since)
        }
    };
    Ok((notice, upto))
}
