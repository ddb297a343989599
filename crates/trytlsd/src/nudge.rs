//! A nudge: how a command tells the running daemon to look at the ledger (SIGUSR1).
//!
//! **What an attacker could try.** Which process is the daemon is read from a file that the daemon's user may write, and
//! SIGUSR1 ends a process that does not know it. So that root's command cannot be made to end another's process, the
//! process is taken hold of first, and the signal is sent only if it is owned by whoever owns the ledger.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Tells the daemon that has the ledger, if one does. Whether it was told.
pub(crate) fn nudge(ledger: &Path) -> bool {
    let Some(process) = ledger::holder(ledger) else { return false };
    let told = i32::try_from(process).ok().and_then(Pid::from_raw).and_then(|pid| {
        // From here on the number cannot become another process's.
        let held = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let owner = Path::new("/proc").join(process.to_string()).metadata().ok()?.uid();
        let ours = ledger.metadata().ok()?.uid();
        (owner == ours).then(|| pidfd_send_signal(held, Signal::USR1).ok())?
    });
    told.is_some()
}
