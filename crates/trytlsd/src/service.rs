//! What the service manager is told: that the daemon is ready, reloads, stops, and how things stand.
//!
//! By the protocol of sd_notify(3), to the socket that the manager names; without one nothing is told. Ready means that
//! the ledger is open, access file and map were looked at, and every log was opened or is known to be missing: whoever
//! waits for the start (`systemctl start`, a unit that comes after) can rely on what happens from then on being seen.
//!
//! A reload is told with its moment, as `Type=notify-reload` wants it (systemd 253 and later); `Type=notify` with
//! `ExecReload=kill -HUP` does not need it.
//!
//! **What an attacker could try.** What is told as status may hold foreign text (the words of a config that is broken):
//! it is escaped, so that a line break begins no second message.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use policy::figures::Figures;
use sd_notify::NotifyState;
use tracing::warn;

use crate::output::Safe;

/// Characters of the reason why a config cannot be used that are told: systemctl shows them in one line.
const LONGEST: usize = 400;

/// What the service manager knows of us.
#[derive(Debug, Default)]
pub(crate) struct Service {
    phase: Phase,
    dry_run: bool,
    /// Why the config on the disk is not the one in force, if it is not.
    broken: Option<String>,
    /// The status that was told last.
    told: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The logs are not opened yet.
    #[default]
    Starting,
    /// What was logged before the start is read.
    CatchingUp,
    Following,
}

impl Service {
    /// The logs are opened: all that ready means is so.
    pub(crate) fn ready(&mut self, figures: Figures) {
        self.phase = Phase::CatchingUp;
        tell(&[NotifyState::Ready]);
        self.stands(figures);
    }

    /// Whether that was told: before, the manager has another limit than the watchdog's.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase != Phase::Starting
    }

    /// All that was logged before the start is read.
    pub(crate) fn follows(&mut self, figures: Figures) {
        self.phase = Phase::Following;
        self.stands(figures);
    }

    /// Whether the map is left alone, from now on.
    pub(crate) fn set_dry_run(&mut self, dry_run: bool) {
        self.dry_run = dry_run;
    }

    /// The config is read again.
    pub(crate) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!("no monotonic clock for the service manager: {error}"),
        }
    }

    /// The config was read again, or why it cannot be used.
    pub(crate) fn reloaded(&mut self, broken: Option<&str>, figures: Figures) {
        self.broken = broken.map(|why| {
            let why: String = why.split_whitespace().collect::<Vec<_>>().join(" ");
            Safe(&why.chars().take(LONGEST).collect::<String>()).to_string()
        });
        // Before the logs are opened the end of a reload must not look like the end of the start.
        if self.is_ready() {
            tell(&[NotifyState::Ready]);
        }
        self.stands(figures);
    }

    /// How things stand. Told only if it is not what was told last.
    pub(crate) fn stands(&mut self, figures: Figures) {
        let status = self.status(figures);
        if self.told != status {
            tell(&[NotifyState::Status(&status)]);
            self.told = status;
        }
    }

    fn status(&self, figures: Figures) -> String {
        let mut status = String::new();
        if self.dry_run {
            status += "dry run: ";
        }
        status += &figures.to_string();
        if self.phase != Phase::Following {
            status += "; reading what was logged before the start";
        }
        if let Some(why) = &self.broken {
            status += "; the config is broken and the old one is in force: ";
            status += why;
        }
        status
    }
}

/// The end begins.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How often the watchdog of this process wants to be fed; none if it has none.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|every| !every.is_zero())
}

/// All goes on.
pub(crate) fn feed_watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// A message that cannot be told is lost: the manager acts on its absence. That it is so is said once.
fn tell(states: &[NotifyState<'_>]) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if let Err(error) = sd_notify::notify(states)
        && !SAID.swap(true, Ordering::Relaxed)
    {
        warn!("cannot tell the service manager (NOTIFY_SOCKET): {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: Figures = Figures { stuck: 2, held: 1, in_force: 5, proposed: 0 };

    fn check(service: &Service, expect: &str) {
        assert_eq!(service.status(FIGURES), expect);
    }

    #[test]
    fn how_things_stand_in_one_line() {
        let mut service = Service { phase: Phase::Following, ..Service::default() };
        check(&service, "2 relays stuck (1 held), 5 entries in force");
        service.set_dry_run(true);
        check(&service, "dry run: 2 relays stuck (1 held), 5 entries in force");
        let one = Figures { stuck: 1, held: 0, in_force: 1, proposed: 3 };
        assert_eq!(service.status(one), "dry run: 1 relay stuck, 1 entry in force, 3 proposed");
        service.reloaded(Some("TOML parse error\n  |\n1 | \u{1b}[2J"), FIGURES);
        check(
            &service,
            "dry run: 2 relays stuck (1 held), 5 entries in force; the config is broken and the old one is in force: \
             TOML parse error | 1 | \\u{1b}[2J",
        );
        service.reloaded(None, FIGURES);
        check(&service, "dry run: 2 relays stuck (1 held), 5 entries in force");
        service.phase = Phase::CatchingUp;
        service.set_dry_run(false);
        check(
            &service,
            "2 relays stuck (1 held), 5 entries in force; reading what was logged before the start",
        );
    }
}
