//! The control socket: over it the commands ask the running daemon, and others may: HTTP with JSON inside.
//!
//! ```text
//! GET  /v1/status                 what is going on
//! GET  /v1/entries                relays and clients with an entry, or held
//! GET  /v1/relays/RELAY           all that is known of a relay, as `explain` shows it
//! GET  /v1/clients/ADDRESS        the same of a client
//! GET  /v1/events?after=N&wait=S  what happened after number N; with none yet, it is awaited for S seconds
//! POST /v1/requests               an operator's request, and its answer
//! ```
//!
//! An error is `{"error": …, "hint": …}` with a status of HTTP.
//!
//! **Who may.** The file's mode says who may open it: the daemon's own user and root, and the members of
//! `[control] group`, if one is named. The kernel says who is there (`SO_PEERCRED`): only root and the daemon's own user
//! may ask for anything to be done, or have the network asked. Others may ask what is known.
//!
//! **Why a thread of its own.** A client may be slow, and an answer long; neither may delay the heart, which reads the log.
//! So the socket has its own thread and runtime, and reads the ledger as any command does. A request is put into the ledger
//! too, as by a command that has no socket, and the heart is woken: one way, as durable as the ledger, whoever asks.
//!
//! **What fails.** Without the socket (no folder, another's file in its place) the daemon goes on, and says so: mail
//! matters more. Commands then read the ledger, and queue what they ask for. A socket that a killed daemon left is
//! replaced, one at which another listens is not.
//!
//! **What an attacker could try.** He must be able to open it, so he is a member of the group. He may hold connections,
//! send nothing, or without end: connections are bounded, apart for those who may ask for something, so that he cannot keep
//! root out; so are the head (16 KiB), the body (16 KiB) and the time of each. The file is given its mode before anybody can
//! connect, in a folder in which only its owner can put another in its place.

pub(crate) mod client;
mod door;
mod routes;
mod serve;
pub(crate) mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use config::Config;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tracing::warn;

use self::serve::Server;
use crate::clock;
use crate::output::Safe;

/// What the ledger does not tell of the daemon at work.
#[derive(Debug)]
pub(crate) struct Vitals {
    pub(crate) started: Timestamp,
    dry_run: AtomicBool,
    following: AtomicBool,
}

impl Vitals {
    pub(crate) fn new(dry_run: bool) -> Self {
        let (dry_run, following) = (AtomicBool::new(dry_run), AtomicBool::new(false));
        Self { started: clock::now(), dry_run, following }
    }

    /// Whether nothing is written.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run.load(Ordering::Relaxed)
    }

    pub(crate) fn set_dry_run(&self, dry_run: bool) {
        self.dry_run.store(dry_run, Ordering::Relaxed);
    }

    /// Whether the logs were read up to their ends.
    pub(crate) fn is_following(&self) -> bool {
        self.following.load(Ordering::Relaxed)
    }

    pub(crate) fn set_following(&self) {
        self.following.store(true, Ordering::Relaxed);
    }
}

/// The running thread.
pub(crate) struct Control {
    config: watch::Sender<Arc<Config>>,
    end: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl Control {
    /// Opens the socket, if the config names one. `nudge` wakes the heart. Where that fails it is said, and there is none.
    pub(crate) fn start(config: &Config, vitals: Arc<Vitals>, nudge: Arc<Notify>) -> Option<Self> {
        let path: PathBuf = config.control.socket.0.as_ref()?.0.clone();
        let (config, watched) = watch::channel(Arc::new(config.clone()));
        let end = Arc::new(Notify::new());
        let server = Server { config: watched, vitals, nudge, end: Arc::clone(&end) };
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return warn!("there is no control socket: {error}"),
            };
            if let Err(error) = runtime.block_on(server.serve(&path)) {
                let shown = path.display().to_string();
                warn!(
                    "there is no control socket: {}: {}; commands use the ledger instead",
                    Safe(&shown),
                    Safe(&error.to_string())
                );
            }
            // An answer that is being read from the ledger is not waited for.
            runtime.shutdown_background();
        });
        match thread {
            Ok(thread) => Some(Self { config, end, thread }),
            Err(error) => {
                warn!("there is no control socket: {error}");
                None
            }
        }
    }

    /// The config was read again. The socket stays where it is.
    pub(crate) fn reload(&self, config: &Config) {
        drop(self.config.send(Arc::new(config.clone())));
    }

    /// Ends it, and takes the socket away.
    pub(crate) fn stop(self) {
        self.end.notify_one();
        if self.thread.join().is_err() {
            warn!("the control thread ended with a panic");
        }
    }
}
