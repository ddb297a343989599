//! The flush: stuck messages whose way is free now are delivered at once, instead of with the next run of the queue.
//!
//! `sendmail -Am -qI<id>` passes over no host that is marked as dead. A queue run may deliver locally, with filters and
//! programs of users, so as a service it never runs within the daemon's sandbox: systemd starts a unit of its own for each
//! message (`trytlsd-flush@<id>.service`). Its exit status proves nothing; what became of the mail the log says.
//!
//! **What an attacker could try.** Queue ids come from the log and stand on a command line: the heart lets nothing but
//! letters and digits through, and no shell is between.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{Config, FlushWay};
use maillog::relay::Relay;
use sendmail::child::{self, Child};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::host::program_or_name;
use crate::output::Safe;

/// Runs of the queue at the same time.
const AT_ONCE: usize = 2;

/// The longest that one may take: sendmail's own time-outs end it much earlier, mostly.
const LONGEST: Duration = Duration::from_secs(3600);

/// Of what it says so much is read, in bytes.
const SAID: usize = 16 << 10;

/// Who flushes.
pub(crate) struct Flusher {
    way: Way,
    turns: Arc<Semaphore>,
}

#[derive(Clone)]
enum Way {
    /// Messages wait for the queue.
    Off,
    /// sendmail itself is run.
    Sendmail(PathBuf),
    /// systemd runs it, in a unit of its own.
    Unit(PathBuf),
}

impl Flusher {
    pub(crate) fn new(config: &Config) -> Self {
        let sendmail = || Way::Sendmail(program_or_name(&config.access.sendmail));
        let unit = || Way::Unit(program_or_name("systemctl"));
        let way = match *config.flush.way {
            FlushWay::Auto if is_service() => unit(),
            FlushWay::Auto | FlushWay::Sendmail => sendmail(),
            FlushWay::Unit => unit(),
            FlushWay::Off => Way::Off,
        };
        Self { way, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Has the messages delivered, in the background.
    pub(crate) fn flush(&self, relay: Relay<'static>, ids: Vec<Box<str>>) {
        let (program, args) = match &self.way {
            Way::Off => return,
            Way::Sendmail(program) => {
                let limits = ids.iter().map(|id| format!("-qI{id}"));
                (program.clone(), std::iter::once("-Am".to_owned()).chain(limits).collect())
            }
            Way::Unit(program) => {
                let units = ids.iter().map(|id| format!("trytlsd-flush@{id}.service"));
                let start = ["start", "--no-block"].map(str::to_owned).into_iter();
                (program.clone(), start.chain(units).collect::<Vec<String>>())
            }
        };
        info!(%relay, messages = ids.len(), "flushing");
        let turns = Arc::clone(&self.turns);
        tokio::spawn(async move {
            let Ok(_turn) = turns.acquire().await else { return };
            let ran = tokio::task::spawn_blocking(move || run(&program, &args)).await;
            if let Ok(Err(why)) = ran {
                warn!("cannot flush: {}; the messages wait for the queue", Safe(&why));
            }
        });
    }
}

/// Whether systemd has started this process as a service.
pub(crate) fn is_service() -> bool {
    std::env::var_os("INVOCATION_ID").is_some() && Path::new("/run/systemd/system").is_dir()
}

fn run(program: &Path, args: &[String]) -> Result<(), String> {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    let args: Vec<&OsStr> = args.iter().map(OsString::as_os_str).collect();
    let child = Child { program, args: &args, stdin: b"", timeout: LONGEST, stdout_cap: SAID };
    let output = child::run(&child).map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    match said.lines().find(|line| !line.trim().is_empty()) {
        Some(line) if !output.status.success() => Err(format!("{}: {line}", program.display())),
        _ => Ok(()),
    }
}
