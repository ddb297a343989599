//! Requests from another process while the daemon runs; who holds the ledger; whether others wrote.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod rig;

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};

use ledger::{Batch, Error, Inbox, Ledger, Limits, Settled, TEXT_MAX, holder};
use rig::{NOBODY, Rig, at_place, now, one_test, put, without_rights};

const ASKED: &str = "LEDGER_TEST_ASKED";
const HELD: &str = "LEDGER_TEST_HELD";

/// For tests that start children, or say who holds a ledger: a child that is just being started holds what its parent
/// held (see the lock).
static ONE: Mutex<()> = Mutex::new(());

/// What the open requests ask for.
fn asked(ledger: &Ledger) -> Vec<String> {
    ledger.open_requests().wait().unwrap().into_iter().map(|request| request.what).collect()
}

fn news(ledger: &Ledger) -> bool {
    ledger.has_news().wait().unwrap()
}

fn child(test: &str, variable: &str, path: &Path) -> Child {
    let this = env::current_exe().unwrap();
    let mut command = one_test(this.to_str().unwrap(), &[], test);
    command.env(variable, path).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_request_is_seen_settled_and_watched() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let mut inbox = Inbox::open(&rig.path()).unwrap();
    assert!(!news(&ledger));
    let id = inbox.add("root", "lift a", now()).unwrap();
    assert!(news(&ledger));
    assert!(!news(&ledger));
    assert_eq!(asked(&ledger), ["lift a"]);
    assert_eq!(inbox.request(id).unwrap().unwrap().settled, None);
    let settled = Settled { at: now(), outcome: "lifted".into() };
    let batch = Batch { settled: vec![(id, settled.clone())], ..at_place("1") };
    ledger.commit(batch).wait().unwrap();
    assert!(!news(&ledger), "its own commit is no news");
    assert_eq!(inbox.request(id).unwrap().unwrap().settled, Some(settled));
    assert_eq!(inbox.request(id + 1).unwrap(), None);
    assert_eq!(asked(&ledger), [""; 0]);
    // Without a daemon it waits for the next.
    ledger.close().wait().unwrap();
    let id = inbox.add("root", "lift b", now()).unwrap();
    let (ledger, loaded) = rig.open();
    assert_eq!(loaded.requests.iter().map(|request| request.id).collect::<Vec<_>>(), [id]);
    assert!(!news(&ledger), "it was loaded");
}

/// Asks 50 times.
#[test]
fn another_process() {
    let Some(path) = env::var_os(ASKED) else { return };
    let mut inbox = Inbox::open(Path::new(&path)).unwrap();
    for n in 0..50 {
        inbox.add("another", &n.to_string(), now()).unwrap();
    }
}

#[test]
fn two_processes_and_the_owner_write_by_turns() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let mut children = [(); 2].map(|()| child("another_process", ASKED, &rig.path()));
    for n in 0..100 {
        ledger.commit(at_place(&n.to_string())).wait().unwrap();
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert!(news(&ledger));
    let mut found: Vec<usize> = asked(&ledger).iter().map(|what| what.parse().unwrap()).collect();
    found.sort_unstable();
    assert!(found.into_iter().eq((0..100).map(|n| n / 2)));
}

#[test]
fn what_is_no_ledger_of_this_schema_is_left_alone() {
    let check = |make: &dyn Fn(&Rig), expect: &dyn Fn(&Error) -> bool| {
        let rig = Rig::new();
        make(&rig);
        let before = std::fs::read(rig.path()).ok();
        let error = Inbox::open(&rig.path()).unwrap_err();
        assert!(expect(&error), "{error}");
        assert_eq!(std::fs::read(rig.path()).ok(), before);
        assert!(!rig.names().iter().any(|name| name.contains("broken")), "{:?}", rig.names());
    };
    let filled = |rig: &Rig, sql| {
        rig.commit(at_place("1"));
        rig.sql(sql);
    };
    check(&|_| {}, &|error| matches!(error, Error::Missing { .. }));
    check(&|rig| put(&rig.path(), b""), &|error| matches!(error, Error::Missing { .. }));
    check(&|rig| std::fs::create_dir(rig.path()).unwrap(), &|error| {
        matches!(error, Error::NotAFile { .. })
    });
    check(&|rig| filled(rig, "PRAGMA user_version = 99"), &|error| {
        matches!(error, Error::Newer { found: 99, .. })
    });
    check(&|rig| filled(rig, "PRAGMA user_version = 0"), &|error| {
        matches!(error, Error::Unreadable { .. })
    });
    check(&|rig| rig.sql("CREATE TABLE t (a)"), &|error| matches!(error, Error::Unreadable { .. }));
    check(&|rig| put(&rig.path(), &[b'x'; 5000]), &|error| {
        matches!(error, Error::Unreadable { .. })
    });
}

#[test]
fn too_many_and_too_long_are_refused() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let mut inbox = Inbox::open(&rig.path()).unwrap();
    let limit = Limits::default().requests;
    rig.sql(&format!(
        "WITH RECURSIVE n(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < {limit})
         INSERT INTO request (who, at, what) SELECT 'root', 0, 'lift' FROM n"
    ));
    let error = inbox.add("root", &"x".repeat(TEXT_MAX + 1), now()).unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
    inbox.add("root", &"x".repeat(TEXT_MAX), now()).unwrap();
    let error = inbox.add("root", "lift", now()).unwrap_err();
    assert!(matches!(error, Error::TooManyRequests { .. }) && error.may_pass(), "{error}");
    assert_eq!(asked(&ledger).len(), usize::try_from(limit).unwrap());
}

#[test]
fn a_ledger_that_was_moved_takes_none() {
    let rig = Rig::new();
    rig.commit(at_place("1"));
    let mut inbox = Inbox::open(&rig.path()).unwrap();
    rustix::fs::rename(rig.path(), rig.file("away.db")).unwrap();
    assert!(matches!(inbox.add("root", "lift", now()), Err(Error::Moved { .. })));
    assert!(matches!(inbox.request(1), Err(Error::Moved { .. })));
}

#[test]
fn root_asks_in_a_ledger_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        // Root of a namespace with a range of users does as well; the script fails with CI=true where there is none.
        let test = "root_asks_in_a_ledger_of_another_user";
        let as_root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/bed/as-root");
        let this = env::current_exe().unwrap();
        let status = one_test(as_root, &[this.to_str().unwrap()], test).status().unwrap();
        if status.code() == Some(3) {
            writeln!(std::io::stderr(), "skipped: {test}: it needs root").unwrap();
            return;
        }
        assert!(status.success(), "{test}, as the root of a namespace, failed");
        return;
    }
    let rig = Rig::new();
    std::os::unix::fs::chown(rig.folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    without_rights(|| rig.commit(at_place("1")));
    assert_eq!(rig.names(), ["ledger.db", "ledger.db.lock"]);
    let mut inbox = Inbox::open(&rig.path()).unwrap();
    inbox.add("root", "lift a", now()).unwrap();
    assert_eq!(rig.names(), ["ledger.db", "ledger.db-shm", "ledger.db-wal", "ledger.db.lock"]);
    for name in rig.names() {
        let file = rig.file(&name).metadata().unwrap();
        assert_eq!((file.uid(), file.gid()), (NOBODY, NOBODY), "{name}");
    }
    // The daemon starts while root's files are there, and asks and answers go on.
    let ledger = without_rights(|| rig.open().0);
    assert_eq!(asked(&ledger), ["lift a"]);
    inbox.add("root", "lift b", now()).unwrap();
    assert_eq!(asked(&ledger), ["lift a", "lift b"]);
}

/// Holds the ledger until it is killed.
#[test]
fn holds_until_killed() {
    let Some(path) = env::var_os(HELD) else { return };
    let _held = ledger::open(Path::new(&path), now()).unwrap();
    writeln!(std::io::stdout(), "held").unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn who_holds_it() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rig = Rig::new();
    assert_eq!(holder(&rig.path()), None);
    assert_eq!(holder(&rig.file("none/ledger.db")), None);
    assert_eq!(rig.names(), [""; 0]);
    let (ledger, _) = rig.open();
    assert_eq!(holder(&rig.path()), Some(std::process::id()));
    ledger.close().wait().unwrap();
    assert_eq!(holder(&rig.path()), None);

    let mut child = child("holds_until_killed", HELD, &rig.path());
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("held\n") {
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "{line}");
    }
    assert_eq!(holder(&rig.path()), Some(child.id()));
    assert_eq!(holder(&rig.path()), Some(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(holder(&rig.path()), None);
    // It does not keep what it tried.
    rig.load();
}
