//! The lock that keeps a second trytlsd from the ledger.
//!
//! SQLite's own locks would let two daemons write by turns, each believing that its memory is the state. So the owner
//! holds a `flock` on a file beside the ledger for as long as it lives; the kernel takes it back however it ends. It is
//! not on the ledger itself: to close any descriptor of that file would drop the locks that SQLite has on it in this
//! process, and a ledger that is set aside would take the lock with it. The file stays when the lock goes: to remove it
//! would let two processes lock two files of one name.
//!
//! A child that its holder was just starting has the lock too, until it has become the program that it is to run: a
//! daemon that is killed in that moment leaves it locked for some milliseconds. (Seen in 4 of 3,120 starts, in a test that
//! opens the ledger in one thread and starts children in another.) So a taken lock is tried again for half a second.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use crate::error::Error;
use crate::files::{beside, open_or_make, resolve};

/// How long a lock that is taken is tried again, in all and from one try to the next.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(10);

/// The lock; it goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says after half a second who has it.
    pub(crate) fn take(ledger: &Path) -> Result<Self, Error> {
        let path = beside(ledger, ".lock");
        let mut file = open_or_make("open the lock", &path)?;
        let end = Instant::now() + PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if Instant::now() < end => sleep(PAUSE),
                Err(Errno::AGAIN) => {
                    return Err(Error::Locked { path: ledger.into(), pid: told(&mut file) });
                }
                Err(errno) => {
                    let doing = "lock (local file systems can be locked, others may not)";
                    return Err(Error::File { doing, path, source: errno.into() });
                }
            }
        }
        // Who holds it is told for the reader's comfort; a full disk does not matter here.
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = written {
            tracing::debug!(?path, "cannot write the process id into the lock: {error}");
        }
        Ok(Self { _file: file })
    }
}

/// The process that holds the lock of this ledger at this moment, if one does and has said so: a daemon at work. The lock
/// is tried and given back at once; a daemon that starts in that moment tries again. One that is killed may seem to hold
/// it for some milliseconds more, if it was just starting a child.
pub fn holder(path: &Path) -> Option<u32> {
    let path = beside(&resolve(path).ok()?, ".lock");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    // Closing the file gives the lock back, if it was to be had.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::AGAIN) => told(&mut file),
        _ => None,
    }
}

/// The process that has the lock, as far as the file tells.
fn told(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
