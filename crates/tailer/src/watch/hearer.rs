//! Hears file events, on the watcher's own thread, and passes on "look again".

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::ModifyKind;
use notify::{Event, EventHandler, EventKind};

use super::Shared;
use super::plan::Plan;
use crate::pace::{Pace, REST};

/// The pause after an error: the watcher asks again at once, and could ask for ever.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Hearer {
    shared: Arc<Shared>,
    names: Vec<OsString>,
    dirs: Vec<PathBuf>,
    pace: Pace,
}

impl Hearer {
    pub(super) fn new(shared: Arc<Shared>, plan: &Plan) -> Self {
        Self {
            shared,
            names: plan.names().to_vec(),
            dirs: plan.existing().map(Path::to_owned).collect(),
            pace: Pace::default(),
        }
    }

    /// Whether the event concerns a log.
    fn matters(&self, event: &Event) -> bool {
        if event.paths.is_empty() || event.need_rescan() {
            return true;
        }
        let draining = self.shared.draining.load(Ordering::Relaxed);
        let mut names = event.paths.iter().filter_map(|path| path.file_name());
        names.any(|name| named(&self.names, name, draining))
    }

    /// Leaves events to the kernel for a while, unless what was read lately mattered.
    fn rest(&mut self) {
        let shared = &self.shared;
        shared.bytes.store(0, Ordering::Relaxed);
        let news = shared.lock();
        let (mut news, _) = shared
            .rested
            .wait_timeout_while(news, REST, |news| !news.mattered)
            .unwrap_or_else(PoisonError::into_inner);
        let mattered = std::mem::take(&mut news.mattered);
        drop(news);
        shared.resting.fetch_sub(1, Ordering::Relaxed);
        let bytes = if mattered { 0 } else { shared.bytes.load(Ordering::Relaxed) };
        self.pace.rested(Instant::now(), bytes);
    }

    /// Whether the event removed or renamed a watched directory.
    fn moves_directory(&self, event: &Event) -> bool {
        let moves =
            matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        moves && event.paths.iter().any(|path| self.dirs.contains(path))
    }
}

/// Whether `name` is one of the logs', or, while one is draining, one of the logs' with something after it.
fn named(names: &[OsString], name: &OsStr, draining: bool) -> bool {
    names.iter().any(|log| name == log || (draining && name.as_bytes().starts_with(log.as_bytes())))
}

impl EventHandler for Hearer {
    fn handle_event(&mut self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                self.shared.tell(|news| {
                    news.event = true;
                    news.failed = Some(error.to_string());
                });
                return thread::sleep(ERROR_PAUSE);
            }
        };
        // Our own opening of the log is such an event: to react to it would be a loop.
        if matches!(event.kind, EventKind::Access(_)) {
            return;
        }
        let dirs = self.moves_directory(&event);
        let rest = self.pace.event(Instant::now());
        if rest {
            // Before it is told: who waits after that knows of the rest.
            self.shared.resting.fetch_add(1, Ordering::Relaxed);
        }
        if rest || dirs || self.matters(&event) {
            let data = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
            self.shared.tell(|news| {
                news.event = true;
                news.names |= !data;
                news.dirs |= dirs;
            });
        }
        if rest {
            self.rest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_matter() {
        fn check(name: &str, draining: bool, expect: bool) {
            let names = [OsString::from("mail.log"), OsString::from("mail")];
            assert_eq!(named(&names[..1], OsStr::new(name), draining), expect, "{name}");
        }
        check("mail.log", false, true);
        check("mail.log.1", false, false);
        check("mail.log.1", true, true);
        check("mail.log-20260101", true, true);
        check("mail.err", true, false);
        check("syslog", true, false);
    }
}
