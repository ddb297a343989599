//! Failure points: the named steps of an update at which a test can end, stop, delay or fail it.
//!
//! Test builds only (`debug_assertions`): in a release both functions are empty and the names are gone. The variable
//! `TRYTLSD_FAIL` says what is to happen where: `text-replaced=kill`, several of them with commas between. `kill` is
//! SIGKILL, `stop` SIGSTOP (the test does something and sends SIGCONT), `pause:20` are milliseconds, `error` makes the
//! step fail; `2*error` does so the first two times only. A name that is none, and an action that is none, is a panic.

#[cfg(debug_assertions)]
pub use armed::POINTS;
#[cfg(debug_assertions)]
pub(crate) use armed::{at, pass};

/// A step that can fail.
#[cfg(not(debug_assertions))]
pub(crate) fn at(_name: &str) -> std::io::Result<()> {
    Ok(())
}

/// A step that cannot fail.
#[cfg(not(debug_assertions))]
pub(crate) fn pass(_name: &str) {}

#[cfg(debug_assertions)]
mod armed {
    use std::io;
    use std::sync::{LazyLock, Mutex, PoisonError};
    use std::thread::sleep;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    /// All of them, in the order of an update.
    pub const POINTS: [&str; 25] = [
        // what comes first
        "locked",
        "left-found",
        "left-put-back",
        "displaced-found",
        // beside the live files
        "scratch-made",
        "text-written",
        "text-prepared",
        "map-built",
        "map-read-back",
        "map-finished",
        // the text's name
        "text-checked",
        "text-replaced",
        "text-unwanted",
        "text-undone",
        "text-put",
        // the map
        "appended",
        "command-ended",
        "map-raised",
        "map-replaced",
        "synced",
        "old-map-raised",
        // a failure after the text's rename
        "put-back-begun",
        "put-back-replaced",
        "put-back-done",
        // what comes last
        "scratch-removed",
    ];

    #[derive(Clone, Copy)]
    enum Action {
        Kill,
        Stop,
        Error,
        Pause(Duration),
    }

    struct Armed {
        name: String,
        action: Action,
        left: u32,
    }

    static ARMED: LazyLock<Mutex<Vec<Armed>>> = LazyLock::new(|| {
        let text = std::env::var("TRYTLSD_FAIL").unwrap_or_default();
        let armed = text.split(',').filter(|one| !one.is_empty()).map(|one| {
            read(one).unwrap_or_else(|| panic!("TRYTLSD_FAIL: {one:?} is no failure point"))
        });
        Mutex::new(armed.collect())
    });

    fn read(text: &str) -> Option<Armed> {
        let (name, action) = text.split_once('=').filter(|(name, _)| POINTS.contains(name))?;
        let (left, action) = match action.split_once('*') {
            Some((count, action)) => (count.parse().ok()?, action),
            None => (u32::MAX, action),
        };
        let action = match action.split_once(':') {
            Some(("pause", ms)) => Action::Pause(Duration::from_millis(ms.parse().ok()?)),
            None if action == "kill" => Action::Kill,
            None if action == "stop" => Action::Stop,
            None if action == "error" => Action::Error,
            _ => return None,
        };
        Some(Armed { name: name.to_owned(), action, left })
    }

    pub(crate) fn at(name: &'static str) -> io::Result<()> {
        assert!(POINTS.contains(&name), "{name} is not in the list");
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = armed.iter_mut().find(|one| one.name == name && one.left > 0) else {
            return Ok(());
        };
        found.left -= 1;
        let action = found.action;
        drop(armed);
        match action {
            Action::Kill => kill_process(getpid(), Signal::KILL)?,
            Action::Stop => kill_process(getpid(), Signal::STOP)?,
            Action::Pause(time) => sleep(time),
            Action::Error => return Err(io::Error::other(format!("failure point {name}"))),
        }
        Ok(())
    }

    pub(crate) fn pass(name: &'static str) {
        if let Err(error) = at(name) {
            panic!("this step cannot fail: {error}");
        }
    }
}
