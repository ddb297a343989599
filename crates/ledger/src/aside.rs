//! Sets a ledger aside that cannot be read.
//!
//! The database goes first, its companions after it: a `kill -9` in between leaves a write-ahead log without its
//! database, which SQLite throws away; the other way round would leave an older database that looks whole. They keep
//! their endings, so `sqlite3 ledger.db.broken-…` still opens what can be opened.
//!
//! Kept are the last [`KEEP`]: whatever breaks the ledger at every start must not fill the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::error::Error;
use crate::files::{COMPANIONS, beside, folder};

/// Ledgers set aside that are kept.
pub(crate) const KEEP: usize = 5;

const MARK: &str = ".broken-";

/// Moves the ledger away and says where it is now. The lock must be held.
pub(crate) fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, Error> {
    let moved = || -> io::Result<PathBuf> {
        let earlier = earlier(path)?;
        let to = beside(path, &free_name(&earlier, now));
        rustix::fs::rename(path, &to)?;
        for suffix in COMPANIONS {
            match rustix::fs::rename(beside(path, suffix), beside(&to, suffix)) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if let Some(folder) = folder(path) {
            fs::File::open(folder)?.sync_all()?;
        }
        if let Err(error) = thin_out(path, &earlier) {
            tracing::warn!(?path, "cannot remove old ledgers that were set aside: {error}");
        }
        Ok(to)
    };
    moved().map_err(|source| Error::File {
        doing: "set aside the ledger that cannot be read,",
        path: path.into(),
        source,
    })
}

/// What follows the ledger's name in the names of those that were set aside before, the oldest first.
fn earlier(path: &Path) -> io::Result<Vec<String>> {
    let (Some(folder), Some(name)) = (folder(path), path.file_name().and_then(|n| n.to_str()))
    else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        let rest = entry.to_str().and_then(|entry| entry.strip_prefix(name));
        found.extend(rest.filter(|rest| order(rest).is_some()).map(str::to_owned));
    }
    found.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok(found)
}

/// A name that none has or had: within one second they are numbered on.
fn free_name(earlier: &[String], now: Timestamp) -> String {
    let stamp = now.strftime("%Y%m%dT%H%M%S").to_string();
    let of_this_second = earlier.iter().filter_map(|rest| order(rest)).filter(|o| o.0 == stamp);
    match of_this_second.map(|(_, number)| number).max() {
        Some(last) => format!("{MARK}{stamp}-{}", last.saturating_add(1)),
        None => format!("{MARK}{stamp}"),
    }
}

/// Removes the oldest, so that with the one just made there are [`KEEP`].
fn thin_out(path: &Path, earlier: &[String]) -> io::Result<()> {
    for old in earlier.iter().rev().skip(KEEP - 1) {
        for suffix in COMPANIONS.into_iter().chain([""]) {
            match fs::remove_file(beside(path, &format!("{old}{suffix}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The stamp and the number of a name that [`set_aside`] gave, from what follows the ledger's name.
fn order(rest: &str) -> Option<(&str, u32)> {
    let rest = rest.strip_prefix(MARK)?;
    let (stamp, number) = rest.split_once('-').unwrap_or((rest, "1"));
    let (day, time) = stamp.split_once('T')?;
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(day, 8) || !digits(time, 6) {
        return None;
    }
    Some((stamp, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_names() {
        let check = |name: &str, expect: Option<(&str, u32)>| assert_eq!(order(name), expect);
        check(".broken-20261123T215000", Some(("20261123T215000", 1)));
        check(".broken-20261123T215000-12", Some(("20261123T215000", 12)));
        check(".broken-20261123T215000-wal", None);
        check(".broken-20261123T215000-2-wal", None);
        check(".broken-keep-me", None);
        check(".broken-2026112T215000", None);
        check("-wal", None);
        check("", None);
    }
}
