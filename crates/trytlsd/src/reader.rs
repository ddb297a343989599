//! The thread that reads the logs and finds events in them.
//!
//! Reads are blocking and the searches are not short, so both have a thread of their own. Events go to the heart through
//! a bounded channel: when the heart is slow the reader waits, and the log itself is the queue; nothing is dropped.
//!
//! A live line happened when it arrived: the log's own stamp may lack the year, or come from a clock that is wrong. An old
//! line happened when its stamp says. What is older than the window cannot count any more and is left out.

use std::path::Path;
use std::thread::{self, JoinHandle};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use maillog::event::{Event, What};
use maillog::finder::Finder;
use maillog::kinds::Kinds;
use maillog::stamp::Calendar;
use tailer::{Next, Options, Start, Tail, Waker};
use tokio::sync::mpsc::Sender;
use tracing::{debug, info, warn};

use crate::clock;
use crate::config::Config;

/// Events in one message at most; a message holds what one block of the log gave.
const BATCH: usize = 256;

/// What the daemon wants to know.
pub(crate) const KINDS: Kinds = Kinds::ATTEMPTS.with(Kinds::OUTCOMES).with(Kinds::SUCCESSES);

/// An event with its moment.
#[derive(Debug)]
pub(crate) struct Sighting {
    pub(crate) event: Event<'static>,
    pub(crate) at: Timestamp,
}

/// The running thread.
pub(crate) struct Reader {
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Reader {
    /// Starts it. Events go to `events`, many in one message.
    pub(crate) fn start(config: &Config, events: Sender<Vec<Sighting>>) -> anyhow::Result<Self> {
        let tail = Tail::new(config.log.path.0.clone(), Start::Beginning, Options::default());
        let (waker, logs) = (tail.waker(), config.log.path.0.len());
        let window = config.policy.window.0;
        let thread = thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || read(tail, logs, window, &events))?;
        Ok(Self { waker, thread })
    }

    /// Ends it. The channel's receiver must be gone, or still be read, for the thread may wait for room.
    pub(crate) fn stop(self) {
        self.waker.wake();
        if self.thread.join().is_err() {
            warn!("the reader ended with a panic");
        }
    }
}

fn read(mut tail: Tail, logs: usize, window: SignedDuration, events: &Sender<Vec<Sighting>>) {
    let mut finders: Vec<Finder> = (0..logs).map(|_| Finder::new(KINDS)).collect();
    let mut stamps = Calendar { latest: clock::now(), zone: TimeZone::system() }.reader();
    loop {
        match tail.wait() {
            Next::Lines { log, bytes, live, .. } => {
                let now = clock::now();
                stamps.set_latest(now);
                let Some(finder) = finders.get_mut(log) else { continue };
                let mut batch = Vec::new();
                let (mut gone, mut found) = (false, false);
                finder.feed(bytes, &mut |event| {
                    let at = if live { now } else { stamps.resolve(event.stamp).unwrap_or(now) };
                    if now.duration_since(at) > window && !matches!(event.what, What::Success(_)) {
                        return;
                    }
                    found = true;
                    batch.push(Sighting { event: event.into_owned(), at });
                    if batch.len() >= BATCH {
                        gone |= events.blocking_send(std::mem::take(&mut batch)).is_err();
                    }
                });
                if found {
                    tail.mattered();
                }
                if gone || (!batch.is_empty() && events.blocking_send(batch).is_err()) {
                    return;
                }
            }
            Next::CaughtUp { log } => debug!(log, "caught up"),
            Next::Missing { log } => {
                let path = tail.path(log).unwrap_or(Path::new("?")).display();
                info!(%path, "the log is missing; waiting for it");
            }
            Next::Trouble { error, .. } => warn!("{error}; trying again"),
            Next::Called => return,
            Next::Quiet => {}
        }
    }
}
