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
use maillog::calendar::StampReader;
use maillog::event::{Event, What};
use maillog::finder::Finder;
use maillog::kinds::Kinds;
use maillog::stamp::Calendar;
use tailer::{Next, Options, Start, Tail, Waker};
use tokio::sync::mpsc::Sender;
use tracing::{info, warn};

use crate::clock;
use crate::config::Config;
use crate::output::Safe;

/// What the daemon wants to know.
pub(crate) const KINDS: Kinds = Kinds::ATTEMPTS.with(Kinds::OUTCOMES).with(Kinds::SUCCESSES);

/// An event with its moment.
#[derive(Debug)]
pub(crate) struct Sighting {
    pub(crate) event: Event<'static>,
    pub(crate) at: Timestamp,
}

/// What the heart hears from the reader.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Events, in their order.
    Events(Vec<Sighting>),
    /// Every log has been read up to its end, or is not there. Told once.
    AllRead,
}

/// The running thread.
pub(crate) struct Reader {
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Reader {
    /// Starts it. What it reads goes to `heart`, the events of one block in one message.
    pub(crate) fn start(config: &Config, heart: Sender<Heard>) -> anyhow::Result<Self> {
        let logs = config.log.path.0.iter().map(|path| (path.clone(), Start::Beginning));
        let tail = Tail::new(logs, Options::default());
        let (waker, logs) = (tail.waker(), config.log.path.0.len());
        let window = config.policy.window.0;
        let reading = Reading::new(tail, logs, window, heart);
        let thread =
            thread::Builder::new().name("reader".to_owned()).spawn(move || reading.run())?;
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

/// What the thread works with.
struct Reading {
    tail: Tail,
    window: SignedDuration,
    finders: Vec<Finder>,
    stamps: StampReader,
    /// Which logs have been read up to their end; empty once that was told.
    unread: Vec<usize>,
    heart: Sender<Heard>,
}

/// The heart has gone.
struct Gone;

impl Reading {
    fn new(tail: Tail, logs: usize, window: SignedDuration, heart: Sender<Heard>) -> Self {
        let stamps = Calendar { latest: clock::now(), zone: TimeZone::system() }.reader();
        let finders = (0..logs).map(|_| Finder::new(KINDS)).collect();
        Self { tail, window, finders, stamps, unread: (0..logs).collect(), heart }
    }

    fn run(mut self) {
        while self.next().is_ok() {}
    }

    fn next(&mut self) -> Result<(), Gone> {
        match self.tail.wait() {
            Next::Lines { log, bytes, live, .. } => {
                let now = clock::now();
                self.stamps.set_latest(now);
                let Some(finder) = self.finders.get_mut(log) else { return Ok(()) };
                let (stamps, window) = (&mut self.stamps, self.window);
                let mut batch = Vec::new();
                finder.feed(bytes, &mut |event| {
                    // An old line of a host whose clock is wrong happened now at the latest.
                    let at = if live {
                        now
                    } else {
                        stamps.resolve(event.stamp).unwrap_or(now).min(now)
                    };
                    let counts = now.duration_since(at) <= window;
                    if counts || matches!(event.what, What::Success(_)) {
                        batch.push(Sighting { event: event.into_owned(), at });
                    }
                });
                if batch.is_empty() {
                    return Ok(());
                }
                self.tail.mattered();
                self.tell(Heard::Events(batch))
            }
            Next::Lost { loss, .. } => {
                warn!("{}; lines may have been missed", Safe(&loss.to_string()));
                Ok(())
            }
            Next::CaughtUp { log } => self.read_up(log),
            Next::Missing { log } => {
                let path = self.tail.path(log).unwrap_or(Path::new("?")).display();
                info!(%path, "the log is missing; waiting for it");
                self.read_up(log)
            }
            Next::Trouble { log, error } => {
                warn!("{}; trying again", Safe(&error.to_string()));
                self.read_up(log)
            }
            Next::Called => Err(Gone),
            Next::Quiet => Ok(()),
        }
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

    fn tell(&self, heard: Heard) -> Result<(), Gone> {
        self.heart.blocking_send(heard).map_err(|_| Gone)
    }
}
