//! A folder with a ledger in it, rows to put into it, and surroundings that fail.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "test code, though outside of the test functions")]

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use ledger::{Batch, Error, Happening, Ledger, Limits, Loaded, RelayChange, StsRow, Success, View};
use rusqlite::Connection;
use tempfile::TempDir;

pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The day of these tests.
pub(crate) fn now() -> Timestamp {
    "2026-11-23T21:50:07Z".parse().unwrap()
}

/// A batch that puts the log at this place, and nothing else.
pub(crate) fn at_place(place: &str) -> Batch {
    Batch { places: vec![("/var/log/mail.log".into(), place.into())], ..Batch::new(now()) }
}

pub(crate) fn relay(name: &str, seen: i64, record: &str) -> RelayChange {
    RelayChange { relay: name.into(), seen, stays: false, record: Some(record.into()) }
}

pub(crate) fn success(seen: i64) -> Success {
    Success { seen, version: "TLSv1.3".to_owned(), verify: "OK".to_owned() }
}

pub(crate) fn policy(domain: &str, fetched: i64, until: i64) -> StsRow {
    let (mode, id) = ("enforce".to_owned(), "20261101".to_owned());
    StsRow { domain: domain.to_owned(), mode, id, fetched, until }
}

pub(crate) fn happening(at: Timestamp, relay: Option<&str>, detail: &str) -> Happening {
    Happening {
        at,
        relay: relay.map(str::to_owned),
        what: "held".to_owned(),
        detail: detail.to_owned(),
    }
}

/// The folder.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.file("ledger.db")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn open(&self) -> (Ledger, Loaded) {
        ledger::open(&self.path(), now()).unwrap()
    }

    pub(crate) fn open_with(&self, now: Timestamp, limits: Limits) -> (Ledger, Loaded) {
        ledger::open_with(&self.path(), now, limits).unwrap()
    }

    /// Opens it, commits, closes it.
    pub(crate) fn commit(&self, batch: Batch) {
        let (ledger, _) = self.open();
        ledger.commit(batch).wait().unwrap();
        ledger.close().wait().unwrap();
    }

    /// Opens it, says what it holds, closes it.
    pub(crate) fn load(&self) -> Loaded {
        let (ledger, loaded) = self.open();
        ledger.close().wait().unwrap();
        loaded
    }

    pub(crate) fn view(&self) -> Result<View, Error> {
        View::open(&self.path())
    }

    /// Does something to the file behind the ledger's back.
    pub(crate) fn sql(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    /// The names in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[expect(clippy::disallowed_methods, reason = "nobody reads the test's file yet")]
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// The user without rights.
pub(crate) const NOBODY: u32 = 65534;

/// Runs the closure without a root's rights, in a folder that stays whose it is.
pub(crate) fn without_rights<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if !rustix::process::geteuid().is_root() {
        return work();
    }
    let (uid, gid) = (rustix::fs::Uid::from_raw(NOBODY), rustix::fs::Gid::from_raw(NOBODY));
    std::thread::scope(|scope| {
        let work = || {
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            work()
        };
        scope.spawn(work).join().unwrap()
    })
}

/// This test's program, to run one of its tests by itself.
#[expect(clippy::disallowed_methods, reason = "the test runs itself")]
pub(crate) fn one_test(program: &str, before: &[&str], test: &str) -> Command {
    let mut command = Command::new(program);
    command.args(before).args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command
}

const ALONE: &str = "LEDGER_TEST_ALONE";

/// Whether this is the test in a mount namespace of its own. If not it is run in one, and has passed when this returns;
/// where there are none to be had it is left out by name, but not under `CI=true`.
pub(crate) fn alone(test: &str) -> bool {
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let this = env::current_exe().unwrap();
    let this = this.to_str().unwrap();
    for flags in ["-rm", "-m"] {
        #[expect(clippy::disallowed_methods, reason = "looks whether there are namespaces")]
        let can = Command::new("unshare").args([flags, "true"]).stderr(Stdio::null()).status();
        if can.is_ok_and(|status| status.success()) {
            let status = one_test("unshare", &[flags, "--", this], test).env(ALONE, "1").status();
            assert!(status.unwrap().success(), "{test}, in a namespace of its own, failed");
            return false;
        }
    }
    // Past the capture of the test harness, which would swallow a line of a test that passes.
    let said =
        writeln!(io::stderr(), "skipped: {test}: no mount namespace to be had (unshare -rm)");
    said.unwrap();
    assert_ne!(env::var("CI").as_deref(), Ok("true"), "CI=true, and {test} was to be skipped");
    false
}

/// Mounts a memory file system of this size over the rig's folder.
pub(crate) fn mount(rig: &Rig, size: &str) {
    let options = std::ffi::CString::new(format!("size={size},mode=755")).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", rig.folder.path(), "tmpfs", flags, &*options).unwrap();
}
