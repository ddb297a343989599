//! The lock that keeps two trytlsd from working on one map at a time.
//!
//! It is a `flock` on the folder itself: no file of ours is left in the admin's folder, it goes with the process even
//! if that is killed. In particular it is not on the map: makemap takes that lock
//! itself, and a makemap that is run under it waits for ever (measured on sendmail 8.17.1). Where folders cannot be
//! locked (NFS), and where somebody does not let go of it (any local user may lock a folder that he can read), work goes
//! on without after a while: the text is compared before it is replaced anyway.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::Error;

const PAUSE: Duration = Duration::from_millis(20);

/// The lock; it goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Open as long as the lock is held; none where folders cannot be locked.
    folder: Option<OwnedFd>,
}

impl Lock {
    /// Waits for the lock, at most as long as `patience`, then goes on without.
    pub(crate) fn take(folder: &Path, patience: Duration) -> Result<Self, Error> {
        let error = |errno: Errno| Error::Lock { folder: folder.into(), source: errno.into() };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(folder, flags, Mode::empty()).map_err(error)?;
        let end = Instant::now() + patience;
        loop {
            match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { folder: Some(fd) }),
                Err(
                    Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS,
                ) => {
                    tracing::warn!(
                        ?folder,
                        "this file system cannot lock folders; going on without"
                    );
                    return Ok(Self { folder: None });
                }
                Err(Errno::AGAIN) if Instant::now() < end => sleep(PAUSE),
                Err(Errno::AGAIN) => {
                    tracing::warn!(?folder, "somebody keeps the folder locked; going on without");
                    return Ok(Self { folder: None });
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error(errno)),
            }
        }
    }

    /// Whether nobody else can hold it.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.folder.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_and_goes_on_without() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path(), Duration::ZERO).unwrap();
        assert!(first.is_exclusive());
        let second = Lock::take(folder.path(), Duration::from_millis(30)).unwrap();
        assert!(!second.is_exclusive());
        drop(first);
        assert!(Lock::take(folder.path(), Duration::ZERO).unwrap().is_exclusive());
    }

    #[test]
    fn a_folder_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let error = Lock::take(&folder.path().join("x"), Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
    }
}
