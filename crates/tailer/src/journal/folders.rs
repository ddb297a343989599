//! The folders of the journal's files: what lies in them, and whether something in them has changed.
//!
//! journalctl looks at what files there are, and then opens them. One that journald renames in between (a rotation) is
//! passed over without a word, and with it what was not yet read of it, while its successor is read: so what the folders
//! held before journalctl began and once it has opened all must be the same, or what it gives is not taken.
//!
//! File events (inotify) say only that it is worth while to look; see the head of [`journal`](super).

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::file::FileId;
use crate::journal::Caller;

/// Where journald keeps its files: for good, and until the next boot.
const SYSTEM: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// The folders that are looked at, each with those in it.
#[derive(Clone, Debug)]
pub(crate) struct Folders(Vec<PathBuf>);

/// What lies in them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    folders: Vec<(PathBuf, FileId)>,
    /// With their inodes.
    files: Vec<(PathBuf, u64)>,
}

impl Folders {
    /// That folder, or those of the system's journal.
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        Self(match folder {
            Some(folder) => vec![folder.to_owned()],
            None => SYSTEM.map(PathBuf::from).into(),
        })
    }

    /// What lies in them now.
    pub(crate) fn list(&self) -> Listing {
        let mut listing = Listing::default();
        for folder in &self.0 {
            listing.add(folder, true);
        }
        listing.folders.sort_by(|(a, _), (b, _)| a.cmp(b));
        listing.files.sort();
        listing
    }
}

impl Listing {
    /// One that cannot be read is one that is not there: journalctl cannot read it either.
    fn add(&mut self, folder: &Path, outermost: bool) {
        let (Ok(metadata), Ok(entries)) = (fs::metadata(folder), fs::read_dir(folder)) else {
            return;
        };
        self.folders.push((folder.to_owned(), FileId::of(&metadata)));
        for entry in entries.flatten() {
            if outermost && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(&entry.path(), false);
            } else if is_journal(&entry.file_name()) {
                self.files.push((entry.path(), entry.ino()));
            }
        }
    }
}

/// `system.journal`, `system@….journal`, and `….journal~` for one that was found damaged.
fn is_journal(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".journal") || name.ends_with(b".journal~")
}

/// Calls when something in the folders has changed, where the system tells.
#[derive(Debug, Default)]
pub(crate) struct Hint {
    /// All that is watched; none if one of them could not be.
    watched: Vec<(PathBuf, FileId)>,
    watcher: Option<RecommendedWatcher>,
    doubted: bool,
}

impl Hint {
    /// Watches the folders of the listing, if it does not do so already.
    pub(crate) fn watch(&mut self, listing: &Listing, caller: &Caller) {
        let doubted = std::mem::take(&mut self.doubted);
        if self.watcher.is_some() && self.watched == listing.folders && !doubted {
            return;
        }
        self.watcher = None;
        match watcher(&listing.folders, caller) {
            Ok(watcher) => {
                self.watched.clone_from(&listing.folders);
                self.watcher = Some(watcher);
            }
            Err(error) => tracing::debug!(%error, "the journal is looked at by timer"),
        }
    }

    /// Is set up anew the next time: it was silent where it should have called. A folder that was made anew may even have
    /// the inode of the old one.
    pub(crate) fn doubt(&mut self) {
        self.doubted = true;
    }
}

fn watcher(folders: &[(PathBuf, FileId)], caller: &Caller) -> notify::Result<RecommendedWatcher> {
    let caller = caller.clone();
    let hear = move |event: notify::Result<notify::Event>| {
        // That a file was opened is no change: journalctl does it.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            caller.hint();
        }
    };
    let mut watcher = RecommendedWatcher::new(hear, notify::Config::default())?;
    for (folder, _) in folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::time::Duration;

    use super::*;
    use crate::journal::Event;

    fn hears(events: &Receiver<Event>, caller: &Caller) -> bool {
        let heard = events.recv_timeout(Duration::from_secs(10)).is_ok();
        heard && caller.take_hint()
    }

    #[test]
    fn a_change_in_a_folder_or_one_in_it_is_heard() {
        let root = tempfile::tempdir().unwrap();
        let machine = root.path().join("0123");
        fs::create_dir(&machine).unwrap();
        let folders = Folders::new(Some(root.path()));
        let (sender, events) = sync_channel(1);
        let (caller, mut hint) = (Caller::new(sender), Hint::default());
        let empty = folders.list();
        hint.watch(&empty, &caller);
        let mut file = File::create(machine.join("system.journal")).unwrap();
        assert!(hears(&events, &caller));
        assert_ne!(folders.list(), empty);
        file.write_all(b"x").unwrap();
        assert!(hears(&events, &caller));

        // Made anew, it is watched anew.
        drop(file);
        fs::remove_dir_all(&machine).unwrap();
        fs::create_dir(&machine).unwrap();
        hint.doubt();
        hint.watch(&folders.list(), &caller);
        while events.try_recv().is_ok() {}
        caller.take_hint();
        File::create(machine.join("system.journal")).unwrap();
        assert!(hears(&events, &caller));
    }

    #[test]
    fn a_file_that_was_renamed_makes_another_listing() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        File::create(at("system.journal")).unwrap();
        let folders = Folders::new(Some(root.path()));
        let before = folders.list();
        assert_eq!(folders.list(), before);
        fs::hard_link(at("system.journal"), at("system@1.journal")).unwrap();
        fs::remove_file(at("system.journal")).unwrap();
        File::create(at("system.journal")).unwrap();
        assert_ne!(folders.list(), before);
    }
}
