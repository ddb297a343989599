//! A folder with an access file and a map, and the makemaps to test with.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "test code, though outside of the test functions")]
#![expect(clippy::print_stderr, reason = "what is left out is said by name")]

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use access::managed::Managed;
use access::remedy::Tagged;
use map_store::{Class, FileStore, Rebuild, Settings};
use tempfile::TempDir;

pub(crate) mod namespace;
#[cfg(debug_assertions)]
pub(crate) mod process;

/// A makemap.
#[derive(Clone, Debug)]
pub(crate) struct Makemap {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
}

/// The stand-in, and the real one if the host has one: `TRYTLSD_MAKEMAP`, or one in `PATH` or `/usr/sbin`.
pub(crate) fn makemaps() -> Vec<Makemap> {
    let mut all = vec![Makemap { name: "fake", path: fake() }];
    all.extend(real());
    all
}

/// The real makemap. Without one the test says so, and fails where nothing may be left out (`CI=true`).
pub(crate) fn real() -> Option<Makemap> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let named = std::env::var_os("TRYTLSD_MAKEMAP").map(PathBuf::from);
    let found = named.into_iter().chain(folders.map(|folder| folder.join("makemap")));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{test}: there is no makemap");
        eprintln!("{test}: left out with the real makemap: there is none (TRYTLSD_MAKEMAP, PATH)");
    }
    found.map(|path| Makemap { name: "real", path })
}

fn fake() -> PathBuf {
    example("fake-makemap")
}

/// A program beside the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.is_file(), "build it first: cargo build -p map-store --examples");
    path
}

/// The folder, with `access` in it and its map.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) makemap: PathBuf,
    pub(crate) settings: Settings,
}

impl Rig {
    /// A rig with this text and the map made of it.
    pub(crate) fn new(makemap: &Makemap, text: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let access = folder.path().join("access");
        put(&access, text);
        at_rest(&access);
        std::fs::set_permissions(&access, PermissionsExt::from_mode(0o640)).unwrap();
        let settings = Settings {
            map: access.clone(),
            access,
            class: Class::Hash,
            rebuild: Rebuild::Replace,
            makemap: makemap.path.clone(),
            cf: None,
            timeout: Duration::from_secs(20),
        };
        let rig = Self { folder, makemap: makemap.path.clone(), settings };
        rig.make();
        rig
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Uses a makemap that does this first, in a shell; `$MAKEMAP` is the true one, `$ACCESS` the access file.
    pub(crate) fn wrap(mut self, script: &str) -> Self {
        self.settings.makemap = self.script("wrapped-makemap", script);
        self
    }

    pub(crate) fn script(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path(name);
        let head = format!(
            "#!/bin/sh\nMAKEMAP='{}' ACCESS='{}' FOLDER='{}'\n",
            self.makemap.display(),
            self.settings.access.display(),
            self.folder.path().display()
        );
        put(&path, (head + script + "\n").as_bytes());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    pub(crate) fn open(&self) -> FileStore {
        FileStore::open(self.settings.clone()).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn access(&self) -> PathBuf {
        self.path("access")
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.settings.db()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.access()).unwrap()).into_owned()
    }

    /// Makes the map from the access file, as an admin does, in place.
    pub(crate) fn make(&self) {
        self.run(&[
            "-C",
            "/dev/null",
            self.settings.class.name(),
            self.settings.map.to_str().unwrap(),
        ]);
    }

    /// What the map says, sorted.
    pub(crate) fn map(&self) -> Vec<String> {
        let class = self.settings.class.name();
        let out = self.run(&["-C", "/dev/null", "-u", class, self.settings.map.to_str().unwrap()]);
        let mut lines: Vec<_> = out.lines().map(|line| line.replace('\t', "=")).collect();
        lines.sort();
        lines
    }

    #[expect(clippy::disallowed_methods, reason = "the test runs makemap by itself")]
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let text = std::fs::read(self.access()).unwrap();
        let mut child = Command::new(&self.makemap)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A makemap -u reads nothing.
        let _ended = child.stdin.take().unwrap().write_all(&text);
        String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
    }

    /// All that a reader could see: names, inodes, modes, bytes of the access file and of the map, and any leftovers.
    pub(crate) fn state(&self) -> Vec<String> {
        let mut all: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let m = path.symlink_metadata().unwrap();
                let bytes = if m.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
                let bytes = bytes.escape_ascii().to_string();
                format!(
                    "{} {} {:o} {}:{} {bytes}",
                    path.display(),
                    m.ino(),
                    m.mode(),
                    m.uid(),
                    m.gid()
                )
            })
            .collect();
        all.sort();
        all
    }

    /// Names of temporary folders that are left.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".trytlsd")).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "nobody reads the test's file yet")]
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// Makes the file one that was saved long ago, which nobody waits for.
pub(crate) fn at_rest(path: &Path) {
    use rustix::fs::{Timespec, Timestamps, futimens};
    let at = Timespec { tv_sec: 1_763_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: at, last_modification: at };
    futimens(std::fs::File::open(path).unwrap(), &times).unwrap();
}

pub(crate) fn entry(key: &str) -> Managed {
    let Tagged { remedy, key: parsed } = key.parse().unwrap();
    Managed {
        remedy,
        key: parsed,
        relay: key.into(),
        why: "3 stuck".to_owned(),
        since: "2026-11-23T10:50:38Z".parse().unwrap(),
        until: None,
    }
}

pub(crate) fn entries(keys: &[&str]) -> Vec<Managed> {
    keys.iter().map(|key| entry(key)).collect()
}

/// The user without rights.
const NOBODY: u32 = 65534;

/// Runs the closure as an unprivileged user; the folder is made that user's.
pub(crate) fn as_user<T: Send>(folder: &Path, work: impl FnOnce() -> T + Send) -> T {
    if !rustix::process::geteuid().is_root() {
        return work();
    }
    for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).chain([folder.into()])
    {
        std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    std::thread::scope(|scope| {
        let work = || {
            become_nobody();
            work()
        };
        scope.spawn(work).join().unwrap()
    })
}

/// Takes all rights from this thread, and from the children it starts.
pub(crate) fn become_nobody() {
    let (uid, gid) = (rustix::fs::Uid::from_raw(NOBODY), rustix::fs::Gid::from_raw(NOBODY));
    rustix::thread::set_thread_groups(&[]).unwrap();
    rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
    rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
}
