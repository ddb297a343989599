//! What wakes the thread that follows logs.
//!
//! File events (inotify, through `notify`) say only "look again", never what happened: they are folded into one flag,
//! so no queue of ours can grow. A timer stands behind them always: 10 s while events work, 1 s where they cannot be
//! relied on, which is said once as a warning: network, FUSE and overlay file systems (a write from elsewhere makes no
//! event), no watch to be had (the user's inotify limits), a failing watcher (tried again each minute).
//!
//! The directory is watched, not the file: a watch on the file stays with the renamed one. Links are followed and the
//! directory of each hop is watched. A watched directory that is renamed or made anew goes silent: at its last event,
//! and when a look on each timer shows another directory in its place, all watches are set up anew.
//!
//! Events on other files of a busy /var/log cost a comparison of names; under load see [`crate::pace`].
//!
//! What an attacker could try: to flood the directory with events. They are folded, and their loss is no harm.

mod hearer;
mod plan;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::{Config, RecommendedWatcher, RecursiveMode, Watcher};

use self::hearer::Hearer;
use self::plan::Plan;
use crate::pace::LOOK;

/// How long a failed watcher is left alone.
const RETRY: Duration = Duration::from_secs(60);

/// How a log is watched.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether file events are used at all. `false` for file systems that are known to make none.
    pub events: bool,
    /// The timer while events work. 10 s.
    pub interval: Duration,
    /// The timer where they do not. 1 s.
    pub poll_interval: Duration,
    /// How long a renamed log must be quiet before it is let go. 10 s.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            events: true,
            interval: Duration::from_secs(10),
            poll_interval: Duration::from_secs(1),
            grace: crate::follower::GRACE,
        }
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something happened to a watched file.
    Event,
    /// The time is over.
    Timer,
    /// A [`Waker`] was used.
    Called,
}

/// Why the short timer is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polling {
    /// Events were switched off by [`Options::events`].
    Asked,
    /// This directory is on a file system where others' writes make no events.
    FileSystem {
        /// The directory.
        dir: PathBuf,
        /// The file system's name.
        name: &'static str,
    },
    /// This directory does not exist, so there is nothing to watch.
    NoDirectory {
        /// The directory.
        dir: PathBuf,
    },
    /// The watcher failed; the system's words.
    Failed {
        /// Its error.
        error: String,
    },
}

impl fmt::Display for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("file events are switched off"),
            Self::FileSystem { dir, name } => {
                write!(
                    f,
                    "{dir:?} is on a file system ({name}) where file events cannot be relied on"
                )
            }
            Self::NoDirectory { dir } => write!(f, "the directory {dir:?} does not exist"),
            Self::Failed { error } => write!(f, "the file watcher failed: {error}"),
        }
    }
}

/// Wakes a [`Watch`] from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Shared>);

impl Waker {
    /// Ends the present wait, or the next one if there is none. Several calls before a wait count as one.
    pub fn wake(&self) {
        self.0.tell(|news| news.called = true);
    }
}

/// Waits for something to happen to any of several paths.
#[derive(Debug)]
pub struct Watch {
    paths: Vec<PathBuf>,
    options: Options,
    shared: Arc<Shared>,
    watcher: Option<RecommendedWatcher>,
    plan: Plan,
    polling: Option<Polling>,
    /// When it was last checked; `None` if that is due.
    checked: Option<Instant>,
    retry_at: Option<Instant>,
}

/// What the hearer's thread and the wakers share with the waiting thread.
#[derive(Debug, Default)]
struct Shared {
    news: Mutex<News>,
    changed: Condvar,
    /// A renamed log is still read: files named like the log with something after it matter too.
    draining: AtomicBool,
    /// How many hearers rest, see [`crate::pace`]: while one does, no event is heard.
    resting: AtomicU32,
    rested: Condvar,
    /// Bytes that were read since the last rest began.
    bytes: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct News {
    event: bool,
    called: bool,
    /// Names may have changed: a link may have been turned.
    names: bool,
    /// A watched directory was removed or renamed. The one in its place may have its very inode (ext4 reuses them at
    /// once), so that a look does not show it.
    dirs: bool,
    /// What was read mattered: no rest now.
    mattered: bool,
    failed: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        let mut news = self.lock();
        let before = news.event || news.called;
        change(&mut news);
        let after = news.event || news.called;
        drop(news);
        if after && !before {
            self.changed.notify_one();
        }
    }
}

impl Watch {
    /// Watches `paths`, which need not exist. A failing watcher is a slower watch, no error.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>, options: Options) -> Self {
        let mut watch = Self {
            paths: paths.into_iter().collect(),
            options,
            shared: Arc::default(),
            watcher: None,
            plan: Plan::default(),
            polling: None,
            checked: Some(Instant::now()),
            retry_at: None,
        };
        watch.plan = Plan::of(&watch.paths);
        watch.set_up();
        watch
    }

    /// A handle to wake this watch with.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared))
    }

    /// Why the short timer is used, if it is.
    pub fn polling(&self) -> Option<&Polling> {
        self.polling.as_ref()
    }

    /// The longest that a wait should last, see [`Options`].
    pub fn interval(&self) -> Duration {
        match self.polling {
            Some(_) => self.options.poll_interval,
            None => self.options.interval,
        }
    }

    /// Takes note of `bytes` that were read: by their number it is known whether load goes on.
    pub fn count(&self, bytes: usize) {
        self.shared.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Declares that what was read mattered, so that what comes next is wanted at once, load or not.
    pub fn mattered(&self) {
        self.shared.lock().mattered = true;
        self.shared.rested.notify_all();
    }

    /// Waits until something happens, a [`Waker`] is used, or `timeout` is over, under load 250 ms at most. What
    /// happened since the last wait counts.
    pub fn wait(&self, timeout: Duration) -> Woken {
        let resting = self.shared.resting.load(Ordering::Relaxed) > 0;
        let timeout = if resting { timeout.min(LOOK) } else { timeout };
        let news = self.shared.lock();
        let (mut news, _) = self
            .shared
            .changed
            .wait_timeout_while(news, timeout, |news| !news.event && !news.called)
            .unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut news.called) {
            return Woken::Called;
        }
        if std::mem::take(&mut news.event) { Woken::Event } else { Woken::Timer }
    }

    /// Whether a [`Waker`] was used since the last wait.
    pub fn called(&self) -> bool {
        std::mem::take(&mut self.shared.lock().called)
    }

    /// Says whether renamed logs matter, see [`Follower::draining`](crate::Follower::draining). Whether that is new:
    /// then the logs must be looked at once more before a wait, as an event may have been passed over.
    pub fn set_draining(&self, draining: bool) -> bool {
        self.shared.draining.swap(draining, Ordering::Relaxed) != draining
    }

    /// Makes the check of [`maintain`](Self::maintain) due: a path has come to name another file.
    pub fn check_soon(&mut self) {
        self.checked = None;
    }

    /// Whether [`check_soon`](Self::check_soon) was called since the last check.
    pub fn check_is_due(&self) -> bool {
        self.checked.is_none()
    }

    /// Checks, when that is due, that what is watched is what the paths name, and sets it right. Whether the watches
    /// were set up anew: then the logs must be looked at before a wait, as no event told of what came in between.
    pub fn maintain(&mut self) -> bool {
        let now = Instant::now();
        let (names, dirs, failed) = {
            let mut news = self.shared.lock();
            let dirs = std::mem::take(&mut news.dirs);
            (std::mem::take(&mut news.names), dirs, news.failed.take())
        };
        if let Some(error) = failed {
            self.watcher = None;
            self.fall_back(Polling::Failed { error }, now);
        }
        let due = names
            || self.checked.is_none_or(|at| now.saturating_duration_since(at) >= self.interval());
        let renew = dirs || self.retry_at.is_some_and(|at| now >= at);
        if !due && !renew {
            return false;
        }
        self.checked = Some(now);
        let plan = Plan::of(&self.paths);
        let renew = renew || plan != self.plan;
        if renew {
            self.plan = plan;
            self.set_up();
        }
        renew
    }

    /// Watches what the plan says, with a watcher of its own: an old one keeps watches on directories that were
    /// renamed, and reports them under names that are no longer theirs.
    fn set_up(&mut self) {
        self.watcher = None;
        self.retry_at = None;
        if !self.options.events {
            self.polling = Some(Polling::Asked);
            return;
        }
        let reason = match self.watcher() {
            Ok((watcher, None)) => {
                self.watcher = Some(watcher);
                self.plan.unreliable()
            }
            // What can be watched is watched; the timer is there for the rest.
            Ok((watcher, Some(error))) => {
                self.watcher = Some(watcher);
                Some(Polling::Failed { error: error.to_string() })
            }
            Err(error) => Some(Polling::Failed { error: error.to_string() }),
        };
        match reason {
            Some(reason) => self.fall_back(reason, Instant::now()),
            None => {
                if self.polling.take().is_some() {
                    tracing::info!("file events work");
                }
            }
        }
    }

    /// A watcher on the plan's directories, and why one of them cannot be watched.
    fn watcher(&self) -> notify::Result<(RecommendedWatcher, Option<notify::Error>)> {
        let hearer = Hearer::new(Arc::clone(&self.shared), &self.plan);
        let mut watcher = RecommendedWatcher::new(hearer, Config::default())?;
        let mut failed = None;
        for dir in self.plan.existing() {
            if let Err(error) = watcher.watch(dir, RecursiveMode::NonRecursive) {
                failed = Some(error);
            }
        }
        Ok((watcher, failed))
    }

    /// Turns to the short timer, with one warning for each reason.
    fn fall_back(&mut self, reason: Polling, now: Instant) {
        if matches!(reason, Polling::Failed { .. }) {
            self.retry_at = Some(now + RETRY);
        }
        if self.polling.as_ref() == Some(&reason) {
            return;
        }
        let seconds = self.options.poll_interval.as_secs_f64();
        if matches!(reason, Polling::NoDirectory { .. }) {
            tracing::info!(%reason, seconds, "the logs are looked at by timer");
        } else {
            tracing::warn!(%reason, seconds, "the logs are looked at by timer");
        }
        self.polling = Some(reason);
    }
}
