//! The one sign by which a running sendmail notices a new map: the modification time of the file it has open.
//!
//! At each lookup sendmail asks the *open* file for its mtime and opens the map by name again if it is later, in whole
//! seconds, than when it was opened (read in sendmail's source, 8.12 to 8.18; measured on 8.17.1). It never looks at
//! the name. So after a rename the mtime of the file that was replaced is raised.
//!
//! The time of day is the kernel's (`UTIME_NOW`); no clock is read here.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

const OMIT: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ };
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW as _ };

/// The file's mtime in whole seconds.
pub(crate) fn seconds(file: &File) -> std::io::Result<i64> {
    Ok(file.metadata()?.mtime())
}

/// Raises the file's mtime to now, but to a later second than `above` in any case. Needs ownership of the file, or root.
pub(crate) fn raise_above(file: &File, above: i64) -> std::io::Result<()> {
    futimens(file, &Timestamps { last_access: OMIT, last_modification: NOW })?;
    if seconds(file)? > above {
        return Ok(());
    }
    let later = Timespec { tv_sec: above.saturating_add(1), tv_nsec: 0 };
    futimens(file, &Timestamps { last_access: OMIT, last_modification: later })?;
    Ok(())
}

/// Raises the file's mtime to this one (seconds and nanoseconds since 1970), if it is older.
pub(crate) fn not_before(file: &File, (seconds, nanos): (i64, i64)) -> std::io::Result<()> {
    let metadata = file.metadata()?;
    if (metadata.mtime(), metadata.mtime_nsec()) >= (seconds, nanos) {
        return Ok(());
    }
    let at = Timespec { tv_sec: seconds, tv_nsec: nanos as _ };
    futimens(file, &Timestamps { last_access: OMIT, last_modification: at })?;
    Ok(())
}

/// Raises the file's mtime to a later second than it has.
pub(crate) fn raise(file: &File) -> std::io::Result<()> {
    raise_above(file, seconds(file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_before_another() {
        let file = tempfile::tempfile().unwrap();
        let check = |at: (i64, i64), expect: (i64, i64)| {
            not_before(&file, at).unwrap();
            let metadata = file.metadata().unwrap();
            assert_eq!((metadata.mtime(), metadata.mtime_nsec()), expect);
        };
        let later = seconds(&file).unwrap() + 100;
        check((later, 500), (later, 500));
        check((later, 499), (later, 500));
        check((later, 501), (later, 501));
        check((0, 0), (later, 501));
    }

    #[test]
    fn it_rises_by_a_second_at_least() {
        let file = tempfile::tempfile().unwrap();
        let set = |tv_sec| {
            let at = Timespec { tv_sec, tv_nsec: 999_999_999 };
            futimens(&file, &Timestamps { last_access: OMIT, last_modification: at }).unwrap();
        };
        let now = seconds(&file).unwrap();
        for before in [0, now - 5, now, now + 5, now + 1_000_000] {
            set(before);
            raise(&file).unwrap();
            let after = seconds(&file).unwrap();
            assert!(after > before && after >= now, "{before} {after}");
            assert!(after <= before.max(now + 60) + 1, "{before} {after}");
        }
    }
}
