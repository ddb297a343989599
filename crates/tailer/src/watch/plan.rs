//! Which directories are to be watched, and which names in them matter.

use std::ffi::OsString;
use std::fs;
use std::path::{self, Path, PathBuf};

use super::Polling;
use crate::file::FileId;

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// File systems on which events cannot be relied on, by `f_type` (statfs(2), linux/magic.h): others can write there
/// without this kernel's knowing, or a write goes to another layer than the one that is watched.
const UNRELIABLE: &[(u32, &str)] = &[
    (0x0000_6969, "nfs"),
    (0x0000_517b, "smb"),
    (0xfe53_4d42, "smb2"),
    (0xff53_4d42, "cifs"),
    (0x6573_5546, "fuse"),
    (0x794c_7630, "overlay"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x0bd0_0bd0, "lustre"),
    (0x5346_414f, "afs"),
    (0x7375_7245, "coda"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
    (0x786f_4256, "vboxsf"),
];

/// What to watch, and which directories these are now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    dirs: Vec<Dir>,
    names: Vec<OsString>,
}

#[derive(Debug, PartialEq, Eq)]
struct Dir {
    path: PathBuf,
    /// `None` if there is no such directory.
    id: Option<FileId>,
}

impl Plan {
    /// The directories of `paths` and of each link's target on the way.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut plan = Self::default();
        for path in paths {
            let mut hop = path::absolute(path).unwrap_or_else(|_| path.clone());
            for _ in 0..MAX_LINKS {
                let (Some(dir), Some(name)) = (hop.parent(), hop.file_name()) else {
                    break;
                };
                plan.add(dir, name.to_owned());
                match fs::read_link(&hop) {
                    Ok(target) => hop = dir.join(target),
                    Err(_) => break,
                }
            }
        }
        plan
    }

    fn add(&mut self, path: &Path, name: OsString) {
        let id = fs::metadata(path).ok().filter(|m| m.is_dir()).map(|m| FileId::of(&m));
        // One directory under two names has one watch, which reports one of them.
        let same = |dir: &Dir| dir.path == path || (id.is_some() && dir.id == id);
        if !self.dirs.iter().any(same) {
            self.dirs.push(Dir { path: path.to_owned(), id });
        }
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// The names that matter.
    pub(super) fn names(&self) -> &[OsString] {
        &self.names
    }

    /// The directories that exist.
    pub(super) fn existing(&self) -> impl Iterator<Item = &Path> {
        self.dirs.iter().filter(|dir| dir.id.is_some()).map(|dir| dir.path.as_path())
    }

    /// The first reason why events are not enough.
    pub(super) fn unreliable(&self) -> Option<Polling> {
        self.dirs.iter().find_map(|dir| {
            if dir.id.is_none() {
                return Some(Polling::NoDirectory { dir: dir.path.clone() });
            }
            // The type is 32 bits of magic in a word whose width and sign differ between machines.
            let kind = rustix::fs::statfs(&dir.path).ok()?.f_type as u32;
            let (_, name) = UNRELIABLE.iter().find(|(magic, _)| *magic == kind)?;
            Some(Polling::FileSystem { dir: dir.path.clone(), name })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_link_on_the_way_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for dir in ["a", "b", "c"] {
            fs::create_dir(at(dir)).unwrap();
        }
        symlink("../b/second", at("a/first")).unwrap();
        symlink(at("c/third"), at("b/second")).unwrap();
        let plan = Plan::of(&[at("a/first"), at("a/other")]);
        assert_eq!(plan.names(), ["first", "second", "third", "other"]);
        assert_eq!(plan.existing().count(), 3);
    }

    #[test]
    fn a_loop_of_links_ends() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert_eq!(Plan::of(&[root.path().join("a")]).names(), ["a", "b"]);
    }

    #[test]
    fn one_directory_under_two_names_is_watched_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        symlink("real", root.path().join("link")).unwrap();
        let plan = Plan::of(&[root.path().join("real/x"), root.path().join("link/y")]);
        assert_eq!(plan.existing().count(), 1);
        assert_eq!(plan.names(), ["x", "y"]);
    }

    #[test]
    fn a_missing_directory_needs_the_timer() {
        let root = tempfile::tempdir().unwrap();
        let plan = Plan::of(&[root.path().join("none/x")]);
        assert_eq!(plan.existing().count(), 0);
        assert_eq!(plan.unreliable(), Some(Polling::NoDirectory { dir: root.path().join("none") }));
    }
}
