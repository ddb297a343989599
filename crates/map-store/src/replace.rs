//! Putting a new file in an old one's place: the only module that renames.
//!
//! The new file is written in a folder of our own beside the old one (same file system; mode 0700, so nobody reads
//! it half-written), gets the old one's owner, mode and extended attributes (an ACL, a SELinux label), and is on disk
//! before its name changes. A reader sees the old file or the new one, whole.
//!
//! The names are exchanged rather than overwritten (`renameat2` with `RENAME_EXCHANGE`): so the very file that was
//! replaced is still there, to be compared with the one that was read (an admin's save in the last microsecond is not
//! lost), to be put back, inode and all, if what follows fails, and to have its mtime raised. Where the file system
//! cannot do that, a plain rename does.
//!
//! A process that is killed leaves its folder behind; see [`crate::left`].

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Gid, RenameFlags, Uid, XattrFlags};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::live::open_plain;
use crate::{Error, point};

/// The names of our temporary folders begin with it.
pub(crate) const PREFIX: &str = ".trytlsd-";

/// A temporary folder of ours; it goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    /// Makes one in the folder.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(PREFIX).permissions(PermissionsExt::from_mode(0o700));
        let error = |source| Error::Folder { folder: folder.into(), source };
        let made = Self(builder.tempdir_in(folder).map_err(error)?);
        point::at("scratch-made").map_err(error)?;
        Ok(made)
    }

    /// Leaves it where it is, for the next one that sweeps.
    pub(crate) fn leave(self) -> PathBuf {
        self.0.keep()
    }

    /// When it was made, by the clock of its file system: seconds and nanoseconds since 1970.
    pub(crate) fn made(&self) -> io::Result<(i64, i64)> {
        let metadata = self.0.path().metadata()?;
        Ok((metadata.mtime(), metadata.mtime_nsec()))
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Writes a new file that is like `model` in all but its bytes, and brings it to the disk. `target` is the file it is
/// meant for; it stands in errors.
pub(crate) fn write_like(
    path: &Path,
    bytes: &[u8],
    model: &File,
    target: &Path,
) -> Result<(), Error> {
    let error = |source| Error::Write { path: path.into(), source };
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).map_err(error)?;
    file.write_all(bytes).map_err(error)?;
    point::at("text-written").map_err(error)?;
    dress_like(&file, model, target)?;
    file.sync_all().map_err(error)
}

/// Gives the new file the owner, group, extended attributes and mode of the old one.
pub(crate) fn dress_like(new: &File, old: &File, target: &Path) -> Result<(), Error> {
    let error = |what: String| {
        move |source: io::Error| Error::Attributes { path: target.into(), what, source }
    };
    let owner = || "owner and group".to_owned();
    let (want, have): (Metadata, Metadata) =
        (old.metadata().map_err(error(owner()))?, new.metadata().map_err(error(owner()))?);
    let uid = (want.uid() != have.uid()).then(|| Uid::from_raw(want.uid()));
    let gid = (want.gid() != have.gid()).then(|| Gid::from_raw(want.gid()));
    if uid.is_some() || gid.is_some() {
        let what = format!("{} ({}:{})", owner(), want.uid(), want.gid());
        rustix::fs::fchown(new, uid, gid).map_err(io::Error::from).map_err(error(what))?;
    }
    let (names, extra) = (xattrs(old), xattrs(new));
    for name in extra.iter().filter(|name| !names.contains(name)) {
        // A default ACL of the folder, for instance. What the system gives every file cannot be taken away.
        if let Err(error) = rustix::fs::fremovexattr(new, name.as_str()) {
            tracing::debug!(name, %error, "the new file keeps an attribute that the old one has not");
        }
    }
    for name in &names {
        let what = || format!("extended attribute {name}");
        let value = xattr(old, name).map_err(error(what()))?;
        if xattr(new, name).ok().as_ref() != Some(&value) {
            rustix::fs::fsetxattr(new, name.as_str(), &value, XattrFlags::empty())
                .map_err(io::Error::from)
                .map_err(error(what()))?;
        }
    }
    let mode = want.mode() & 0o7777;
    let permissions = PermissionsExt::from_mode(mode);
    new.set_permissions(permissions).map_err(error(format!("mode {mode:04o}")))
}

/// The names of the file's extended attributes; none where there are none to be had.
fn xattrs(file: impl AsFd) -> Vec<String> {
    let mut list = vec![0; 64 * 1024];
    let Ok(length) = rustix::fs::flistxattr(file, &mut list[..]) else { return Vec::new() };
    let names = list.get(..length).unwrap_or_default().split(|&b| b == 0);
    names
        .filter_map(|n| std::str::from_utf8(n).ok())
        .filter(|n| !n.is_empty())
        .map(str::to_owned)
        .collect()
}

fn xattr(file: impl AsFd, name: &str) -> io::Result<Vec<u8>> {
    let mut value = vec![0; 64 * 1024];
    let length = rustix::fs::fgetxattr(file, name, &mut value[..])?;
    value.truncate(length);
    Ok(value)
}

/// What a file replaced.
#[derive(Debug)]
pub(crate) struct Replaced {
    /// The file that had the name before, if there was one.
    pub(crate) old: Option<io::Result<File>>,
    /// Where it is now, if it still has a name.
    pub(crate) kept: Option<PathBuf>,
}

/// Puts the file `new` in the place of `target`. The replaced file is then found under the name `new`, if the file
/// system can exchange names.
pub(crate) fn replace(new: &Path, target: &Path) -> Result<Replaced, Error> {
    let error = |source: io::Error| Error::Replace { path: target.into(), source };
    match rustix::fs::renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(Replaced { old: Some(open_plain(new)), kept: Some(new.into()) }),
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            overwrite(new, target).map_err(error)
        }
        Err(errno) => Err(error(errno.into())),
    }
}

/// What became of a [`swap`].
#[derive(Debug)]
pub(crate) enum Swapped {
    /// The new file is in its place.
    Done(Replaced),
    /// All is as it was.
    Undone,
    /// Others saved, and once more on top of ours before that was undone: their last save has the name, the one before is
    /// found under the name `new`.
    Overtaken,
    /// Others saved, and what they saved could not be given its name again; it is found under the name `new`.
    Stuck(Error),
}

/// Puts the file `new` in the place of `target`, if `expected` says of the file that was replaced (by its new name) that
/// it is the one that was to be.
///
/// Nobody can look and rename in one step; but the names were exchanged, so what came out can be looked at, and put back.
/// `ours` then says of what comes out whether it is the new file as it was.
pub(crate) fn swap(
    new: &Path,
    target: &Path,
    expected: impl FnOnce(&Path) -> bool,
    ours: impl FnOnce(&Path) -> bool,
) -> Result<Swapped, Error> {
    let error = |source: io::Error| Error::Replace { path: target.into(), source };
    let replaced = replace(new, target)?;
    let Some(kept) = &replaced.kept else { return Ok(Swapped::Done(replaced)) };
    if expected(kept) {
        return Ok(Swapped::Done(replaced));
    }
    if let Err(error) =
        point::at("text-unwanted").map_err(error).and_then(|()| replace(kept, target))
    {
        return Ok(Swapped::Stuck(error));
    }
    point::pass("text-undone");
    if ours(kept) {
        return Ok(Swapped::Undone);
    }
    Ok(match replace(kept, target) {
        Ok(_) => Swapped::Overtaken,
        Err(error) => Swapped::Stuck(error),
    })
}

/// As [`replace`], by plain rename; `target` need not be there.
fn overwrite(new: &Path, target: &Path) -> io::Result<Replaced> {
    let old = match open_plain(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened),
    };
    rename(new, target)?;
    Ok(Replaced { old, kept: None })
}

#[expect(clippy::disallowed_methods, reason = "the one place that replaces files")]
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Brings the folder's names to the disk. A file system that cannot is no reason to undo what is done.
pub(crate) fn sync(folder: &Path) {
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        tracing::warn!(?folder, %error, "cannot bring the folder to the disk");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str, mode: u32) {
        let mut file = File::options().write(true).create(true).truncate(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_permissions(PermissionsExt::from_mode(mode)).unwrap();
    }

    fn get(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn both_ways_replace() {
        type Way = fn(&Path, &Path) -> Replaced;
        let exchange: Way = |new, target| replace(new, target).unwrap();
        let rename: Way = |new, target| overwrite(new, target).unwrap();
        for way in [exchange, rename] {
            let folder = tempfile::tempdir().unwrap();
            let (new, target) = (folder.path().join("new"), folder.path().join("target"));
            put(&new, "first", 0o600);
            assert!(way(&new, &target).old.is_none());
            put(&new, "second", 0o600);
            let inode = target.metadata().unwrap().ino();
            let replaced = way(&new, &target);
            assert_eq!(replaced.old.unwrap().unwrap().metadata().unwrap().ino(), inode);
            assert_eq!(get(&target), "second");
            if let Some(kept) = replaced.kept {
                assert_eq!(get(&kept), "first");
            }
        }
    }

    #[test]
    fn the_new_file_is_dressed_like_the_old() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        put(&old, "a", 0o640);
        let model = File::open(&old).unwrap();
        let xattr_works =
            rustix::fs::fsetxattr(&model, "user.note", b"kept", XattrFlags::empty()).is_ok();
        write_like(&new, b"b", &model, &old).unwrap();
        assert_eq!(get(&new), "b");
        let (a, b) = (old.metadata().unwrap(), new.metadata().unwrap());
        assert_eq!((a.uid(), a.gid(), a.mode()), (b.uid(), b.gid(), b.mode()));
        if xattr_works {
            assert_eq!(xattr(File::open(&new).unwrap(), "user.note").unwrap(), b"kept");
        }
    }
}
