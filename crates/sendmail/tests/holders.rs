//! Real processes that hold a real deleted file, seen through the real `/proc`.

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sendmail::holders::{Holders, heal};

struct Holder(Child);

impl Holder {
    /// A process that holds the file open for reading.
    #[expect(clippy::disallowed_methods, reason = "a process that must outlive the call")]
    fn of(path: &Path) -> Self {
        let stdin = File::open(path).expect("open");
        Self(std::process::Command::new("sleep").arg("600").stdin(stdin).spawn().expect("sleep"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The mtime of what it holds.
    fn mtime(&self) -> (i64, i64) {
        let held = fs::metadata(format!("/proc/{}/fd/0", self.pid())).expect("held");
        (held.mtime(), held.mtime_nsec())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A file with this mtime (and half a second).
fn file(path: &Path, seconds: u64) {
    let file = File::create(path).expect("create");
    let time = at(seconds) + Duration::from_millis(500);
    file.set_times(FileTimes::new().set_modified(time).set_accessed(at(7))).expect("times");
}

fn replace(path: &Path) {
    let new = path.with_extension("new");
    file(&new, 1_000);
    #[expect(clippy::disallowed_methods, reason = "as make -C /etc/mail does")]
    fs::rename(&new, path).expect("rename");
}

fn run(db: &Path, now: u64) -> Holders {
    heal(Path::new("/proc"), db, at(now)).expect("proc")
}

#[test]
fn the_deleted_map_gets_a_later_mtime() {
    let folder = tempfile::tempdir().expect("folder");
    let db = folder.path().join("access.db");
    file(&db, 2_000);
    let holder = Holder::of(&db);
    let second = Holder::of(&db);
    // Still in place: nobody's business here.
    assert_eq!(run(&db, 3_000), Holders::default());
    assert_eq!(holder.mtime(), (2_000, 500_000_000));
    replace(&db);
    let live = Holder::of(&db);
    let mut pids = vec![holder.pid(), second.pid()];
    pids.sort_unstable();
    let check = |now, expect| {
        let mut holders = run(&db, now);
        holders.healed.sort_unstable();
        assert_eq!((holders.healed, holders.refused), (pids.clone(), vec![]));
        assert_eq!(holder.mtime(), (expect, 0));
        let held = fs::metadata(format!("/proc/{}/fd/0", holder.pid())).expect("held");
        assert_eq!(held.atime(), 7);
    };
    check(3_000, 3_000);
    check(3_000, 3_001); // always later than it was, and once for both
    check(1_500, 3_002); // also when the clock was set back
    assert_eq!(live.mtime(), (1_000, 500_000_000));
}

#[test]
fn each_generation_is_healed() {
    let folder = tempfile::tempdir().expect("folder");
    let db = folder.path().join("access.db");
    file(&db, 2_000);
    let first = Holder::of(&db);
    replace(&db);
    let second = Holder::of(&db);
    replace(&db);
    run(&db, 5_000);
    assert_eq!((first.mtime(), second.mtime()), ((5_000, 0), (5_000, 0)));
}

#[test]
fn a_symlink_in_the_path() {
    let folder = tempfile::tempdir().expect("folder");
    let real = folder.path().join("real");
    fs::create_dir(&real).expect("folder");
    symlink(&real, folder.path().join("mail")).expect("link");
    let db = folder.path().join("mail/access.db");
    file(&db, 2_000);
    let holder = Holder::of(&db);
    replace(&db);
    assert_eq!(run(&db, 3_000).healed, [holder.pid()]);
}

#[test]
fn what_only_looks_like_it() {
    let folder = tempfile::tempdir().expect("folder");
    let db = folder.path().join("access.db");
    // A file of that very name, and one that still has another name.
    let named = folder.path().join("access.db (deleted)");
    file(&named, 2_000);
    let looks = Holder::of(&named);
    file(&db, 2_000);
    fs::hard_link(&db, folder.path().join("backup.db")).expect("link");
    let linked = Holder::of(&db);
    fs::remove_file(&db).expect("remove");
    assert_eq!(run(&db, 3_000), Holders::default());
    assert_eq!(looks.mtime(), (2_000, 500_000_000));
    assert_eq!(linked.mtime(), (2_000, 500_000_000));
}

#[test]
fn a_proc_full_of_oddities() {
    let folder = tempfile::tempdir().expect("folder");
    let proc = folder.path().join("proc");
    let db = folder.path().join("access.db");
    make(&proc, "self/fd");
    make(&proc, "99999999999999/fd");
    write(&make(&proc, "12").join("fd"), "no folder");
    write(&make(&proc, "13/fd").join("0"), "no link");
    let link = make(&proc, "14/fd").join("3");
    symlink(folder.path().join("access.db (deleted)"), link).expect("link");
    make(&proc, "15");
    assert_eq!(heal(&proc, &db, at(1)).expect("reads"), Holders::default());
    heal(&folder.path().join("none"), &db, at(1)).expect_err("no proc");
}

/// What root never meets. So root starts this test program once more as nobody, with a map that is root's in a folder
/// that is not.
#[test]
#[expect(clippy::disallowed_methods, reason = "a child under another user")]
fn without_rights() {
    let folder = tempfile::tempdir().expect("folder");
    if chown(folder.path(), Some(NOBODY), Some(NOBODY)).is_err() {
        eprintln!("left out: holders without rights (takes root)");
        return;
    }
    let db = folder.path().join("access.db");
    file(&db, 2_000);
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().expect("own path"), &program).expect("copy");
    let id = NOBODY.to_string();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .arg(&program)
        .args(["--exact", "as_nobody"])
        .env("TRYTLSD_TEST_DB", &db)
        .output()
        .expect("setpriv");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

const NOBODY: u32 = 65_534;

/// The part of `without_rights` that runs as nobody; nothing by itself.
#[test]
fn as_nobody() {
    let Some(db) = std::env::var_os("TRYTLSD_TEST_DB").map(PathBuf::from) else { return };
    let holder = Holder::of(&db);
    replace(&db);
    let holders = run(&db, 3_000);
    assert_eq!((holders.healed, holders.refused), (vec![], vec![holder.pid()]));
    assert_eq!(holder.mtime(), (2_000, 500_000_000));
    // Descriptors that may not be read count where the process is called like sendmail.
    let proc = db.with_file_name("proc");
    for (pid, name) in [("16", "sendmail-mta\n"), ("17", "sm-mta\n"), ("18", "sshd\n")] {
        write(&make(&proc, pid).join("comm"), name);
        let descriptors = make(&proc, &format!("{pid}/fd"));
        fs::set_permissions(descriptors, PermissionsExt::from_mode(0o000)).expect("mode");
    }
    let mut hidden = heal(&proc, &db, at(1)).expect("reads").hidden;
    hidden.sort_unstable();
    assert_eq!(hidden, [16, 17]);
}

fn make(proc: &Path, path: &str) -> PathBuf {
    let path = proc.join(path);
    fs::create_dir_all(&path).expect("folder");
    path
}

fn write(path: &Path, text: &str) {
    File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("file");
}
