//! What a killed trytlsd left behind: made good by the next one that holds the lock, before it does anything else.
//!
//! A folder of ours that is left holds one of these:
//!
//! - half a text, or a whole one that was never put in its place: there is no note, or the text is the new one of the
//!   note. It goes.
//! - the text that was read and then replaced. It goes; the new text is in its place, and the map is mended by
//!   [`crate::FileStore::mend`].
//! - a text that is neither: the admin saved just then, and his save came out when the names were exchanged. If one of
//!   the two of the note has the name, his gets it back: that is what the killed process would have done. If he has
//!   saved again since, it is kept beside the access file under a name of its own, for nobody but him can say what of it he
//!   still wants.
//! - a map, the new one or the one that was replaced. Of the latter the mtime is raised, so that a running sendmail that
//!   still holds it opens the new one. It goes.
//!
//! What cannot be made good (no rights, a bad disk) stays, with a warning.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::live::open_plain;
use crate::new_text::{Note, meant_for};
use crate::replace::{self, PREFIX, Swapped};
use crate::{mtime, point};

/// Files of one name that are kept beside the access file at most.
const MAX_KEPT: u32 = 100;

/// Makes good what is left in the folder, but for folders that we still use ourselves. Call it under the lock.
pub(crate) fn sweep(folder: &Path, in_use: &[&Path]) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if in_use.contains(&path.as_path()) {
            continue;
        }
        point::pass("left-found");
        match settle(&path, folder).and_then(|()| std::fs::remove_dir_all(&path)) {
            Ok(()) => tracing::info!(?path, "removed what a killed trytlsd had left"),
            Err(error) => {
                tracing::warn!(?path, %error, "cannot make good what a killed trytlsd left")
            }
        }
    }
}

fn settle(left: &Path, folder: &Path) -> io::Result<()> {
    let note = Note::read(left)?;
    for entry in std::fs::read_dir(left)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension() == Some(OsStr::new("db")) {
            raise(&path);
        }
        let name = entry.file_name();
        let (Some(name), Some(note)) = (meant_for(&name), note) else { continue };
        if !note.knows(&path)? {
            give_back(&path, &folder.join(name), note)?;
        }
    }
    Ok(())
}

fn raise(map: &Path) {
    if let Err(error) = open_plain(map).and_then(|map| mtime::raise(&map)) {
        tracing::debug!(?map, %error, "the mtime of a map that was left could not be raised");
    }
}

/// The text that was left is a save of the admin's.
fn give_back(text: &Path, target: &Path, note: Note) -> io::Result<()> {
    let known = |path: &Path| note.knows(path).unwrap_or(false);
    let saved = Digest::of_file(text)?;
    let is_saved = |path: &Path| Digest::of_file(path).is_ok_and(|digest| digest == saved);
    let swap = || replace::swap(text, target, known, is_saved).map_err(io::Error::other);
    if known(target) && matches!(swap()?, Swapped::Done(_)) {
        point::pass("left-put-back");
        tracing::warn!(path = ?target, "put back what others saved just when trytlsd was killed");
    } else {
        let kept = keep(text, target)?;
        tracing::warn!(
            ?kept, path = ?target,
            "others saved the access file just when trytlsd was killed, and then again; the first save is kept, look at both"
        );
    }
    replace::sync(target.parent().unwrap_or(Path::new("/")));
    Ok(())
}

/// Keeps a file beside the access file; its name.
pub(crate) fn keep(file: &Path, target: &Path) -> io::Result<PathBuf> {
    for n in 1..=MAX_KEPT {
        let mut name = OsString::from(target);
        name.push(format!(".saved-{n}"));
        match renameat_with(CWD, file, CWD, &name, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(name.into()),
            Err(Errno::EXIST) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
                if !Path::new(&name).try_exists()? =>
            {
                replace::rename(file, Path::new(&name))?;
                return Ok(name.into());
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::Error::other("there are too many saved texts beside the access file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "nobody reads the test's file yet")]
    fn put(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    /// What the access file says after a sweep, and what is kept beside it.
    fn check(left: Option<&str>, note: Option<&str>, live: &str, expect: (&str, Option<&str>)) {
        let folder = tempfile::tempdir().unwrap();
        let (access, scratch) = (folder.path().join("access"), folder.path().join(".trytlsd-abc"));
        std::fs::create_dir(&scratch).unwrap();
        std::fs::create_dir(folder.path().join("other")).unwrap();
        put(&folder.path().join(".trytlsd-file"), "x");
        put(&access, live);
        if let Some(left) = left {
            put(&scratch.join("text.access"), left);
        }
        if let Some(note) = note {
            put(&scratch.join("note"), note);
        }
        sweep(folder.path(), &[]);
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        let saved = read(&folder.path().join("access.saved-1"));
        assert_eq!((read(&access).as_deref(), saved.as_deref()), (Some(expect.0), expect.1));
        let names = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = names.map(|e| e.unwrap().file_name()).collect();
        names.retain(|name| name != "access" && name != "access.saved-1");
        names.sort();
        assert_eq!(names, [".trytlsd-file", "other"]);
    }

    #[test]
    fn what_is_left_goes_and_what_others_saved_stays() {
        let note = format!("{} {}\n", Digest::of(b"read"), Digest::of(b"new"));
        check(None, None, "live", ("live", None));
        // not yet put in its place: half, whole
        check(Some("ne"), None, "read", ("read", None));
        check(Some("new"), Some("6-85944"), "read", ("read", None));
        check(Some("new"), Some(&note), "read", ("read", None));
        check(Some("new"), Some(&note), "saved", ("saved", None));
        // in its place
        check(Some("read"), Some(&note), "new", ("new", None));
        check(Some("read"), Some(&note), "saved", ("saved", None));
        // a save came out
        check(Some("saved"), Some(&note), "new", ("saved", None));
        check(Some("saved"), Some(&note), "read", ("saved", None));
        check(Some("saved"), Some(&note), "again", ("again", Some("saved")));
    }
}
