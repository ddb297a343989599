//! Processes that hold a map which is no longer there.
//!
//! sendmail keeps the access map open. At each lookup it asks for the mtime of the file it holds, not of the path, and
//! opens the path anew only if that mtime, in whole seconds, is later than it was. So a process that holds a map which
//! was renamed over (`make -C /etc/mail` does that) never sees the new one. Measured on sendmail 8.17: a persistent
//! queue runner (`-qp`) holds `access.db (deleted)` for ever, and setting that file's mtime through `/proc/PID/fd/N`
//! healed it at its next lookup.
//!
//! Whose process it is does not matter: whatever holds this very map, deleted, wants the new one. What matters is that
//! nothing but such a file is touched, since this may run as root and processes of other users are looked into. So each
//! file is first opened as a mere reference (`O_PATH`, which opens no device and waits for no FIFO), and on that
//! reference it is checked that it is a regular file without a name and that its path was the map's; what the process
//! does with its descriptor meanwhile changes nothing. The worst that a local user can reach with a file arranged to
//! look so is a new mtime on that file of his own.
//!
//! Without rights (`/proc` shows the descriptors of one's own user only, and only the owner may set an mtime) nothing
//! happens but that it is counted, and the caller can say so.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fstat, open,
    readlinkat, utimensat,
};

/// What was found and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Processes that held a deleted map and will open the new one at their next lookup.
    pub healed: Vec<u32>,
    /// Processes that hold a deleted map whose mtime we may not set: they go on with the old map.
    pub refused: Vec<u32>,
    /// Processes named like sendmail whose descriptors we may not see.
    pub hidden: Vec<u32>,
}

/// Looks through all processes and raises the mtime of each deleted file that was the map, to `now` or one second later
/// than it was, whichever is later, in whole seconds.
///
/// `proc` is `/proc`; `db` is the map's file (`/etc/mail/access.db`). Our own process is passed over. Takes about a
/// millisecond per hundred processes.
///
/// # Errors
/// If `proc` cannot be read. A process that ends meanwhile is no error.
pub fn heal(proc: &Path, db: &Path, now: SystemTime) -> io::Result<Holders> {
    let links = deleted_links(db);
    let own = std::process::id();
    let mut holders = Holders::default();
    let mut raised = HashSet::new(); // by device and inode: forked processes share the file
    for entry in fs::read_dir(proc)? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == own {
            continue;
        }
        let descriptors = match fs::read_dir(entry.path().join("fd")) {
            Ok(descriptors) => descriptors,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if is_sendmail(&entry.path()) {
                    holders.hidden.push(pid);
                }
                continue;
            }
            Err(_) => continue, // ended
        };
        let (mut found, mut refused) = (false, false);
        for descriptor in descriptors.flatten() {
            let Some((file, stat)) = deleted_map(&descriptor.path(), &links) else { continue };
            found = true;
            let inode = (stat.st_dev, stat.st_ino);
            if raised.contains(&inode) {
                continue;
            }
            match raise(&file, &stat, now) {
                Ok(()) => _ = raised.insert(inode),
                Err(_) => refused = true,
            }
        }
        if refused {
            holders.refused.push(pid);
        } else if found {
            holders.healed.push(pid);
        }
    }
    Ok(holders)
}

/// What the links of a process's descriptors say if it holds the map, deleted. With a symlink in the map's path the
/// kernel shows where it led to.
fn deleted_links(db: &Path) -> Vec<OsString> {
    let deleted =
        |path: &Path| OsString::from_vec([path.as_os_str().as_bytes(), b" (deleted)"].concat());
    let mut links = vec![deleted(db)];
    let folder = db.parent().and_then(|folder| fs::canonicalize(folder).ok());
    if let (Some(folder), Some(name)) = (folder, db.file_name()) {
        links.push(deleted(&folder.join(name)));
    }
    links
}

/// A reference to the file behind a descriptor's link, if that is the map, deleted.
fn deleted_map(link: &Path, links: &[OsString]) -> Option<(OwnedFd, Stat)> {
    let is_ours = |target: &OsStr| links.iter().any(|link| link == target);
    if !is_ours(fs::read_link(link).ok()?.as_os_str()) {
        return None;
    }
    let file = open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let stat = fstat(&file).ok()?;
    let target = readlinkat(CWD, reference(&file), Vec::new()).ok()?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let same = is_ours(OsStr::from_bytes(target.as_bytes()));
    (regular && stat.st_nlink == 0 && same).then_some((file, stat))
}

/// Sets the file's mtime so that its holders see a change.
fn raise(file: &OwnedFd, stat: &Stat, now: SystemTime) -> io::Result<()> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let later = now.max(stat.st_mtime.saturating_add(1));
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: later, tv_nsec: 0 },
    };
    Ok(utimensat(CWD, reference(file), &times, AtFlags::empty())?)
}

/// A path to a file of our own that is open as a reference only.
fn reference(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Whether the process is called like sendmail: `sendmail`, `sendmail-mta`, `sm-mta`. What a process calls itself
/// proves nothing; it is only counted.
fn is_sendmail(process: &Path) -> bool {
    let name = fs::read(process.join("comm")).unwrap_or_default();
    name.starts_with(b"sendmail") || name.starts_with(b"sm-")
}
