//! Surroundings that do not permit: no room, no right, a file system that is read-only. The last commit stands, the
//! error says what to do, nothing is set aside, and when it is mended the same batch goes in.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod rig;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use ledger::{Batch, Error, View};
use rig::{Rig, alone, at_place, happening, mount, now, put, relay, without_rights};

/// The text of the error of an attempt to open.
fn refused(rig: &Rig) -> String {
    let error = ledger::open(&rig.path(), now()).unwrap_err();
    error.to_string()
}

/// Takes all the room that is left, to the last byte.
fn fill(rig: &Rig) {
    let path = rig.file("ballast");
    let mut size = 1 << 20;
    let mut bytes = std::fs::read(&path).unwrap_or_default();
    while size > 0 {
        bytes.resize(bytes.len() + size, b'x');
        #[expect(clippy::disallowed_methods, reason = "the test's own file")]
        if std::fs::write(&path, &bytes).is_err() {
            bytes.truncate(bytes.len() - size);
            size /= 2;
        }
    }
    put(&path, &bytes);
}

fn make_room(rig: &Rig) {
    std::fs::remove_file(rig.file("ballast")).unwrap();
}

/// A batch whose rows are in step: the place, a record and a happening say the same number.
fn step(n: usize) -> Batch {
    Batch {
        relays: vec![relay("mx.example.org", now().as_second(), &n.to_string())],
        history: vec![happening(now(), None, &n.to_string())],
        pending: vec![("/var/log/mail.log".into(), "x".repeat(3000))],
        ..at_place(&n.to_string())
    }
}

/// What the ledger stands at: all rows say the same number.
fn stands_at(rig: &Rig) -> usize {
    let mut view = View::open(&rig.path()).unwrap();
    let loaded = view.load().unwrap();
    let history = view.history(None, now(), 1_000_000).unwrap();
    let n: usize = loaded.places[0].1.parse().unwrap();
    assert_eq!(loaded.relays[0].1, n.to_string());
    assert!(history.iter().map(|h| h.detail.clone()).eq((1..=n).map(|n| n.to_string())));
    n
}

#[test]
fn no_room_while_running() {
    if !alone("no_room_while_running") {
        return;
    }
    let rig = Rig::new();
    mount(&rig, "2m");
    let (ledger, _) = rig.open();
    ledger.commit(step(1)).wait().unwrap();
    fill(&rig);
    let mut n = 1;
    let (batch, error) = loop {
        let batch = Arc::new(step(n + 1));
        match ledger.commit(Arc::clone(&batch)).wait() {
            Ok(()) => n += 1,
            Err(error) => break (batch, error),
        }
    };
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    assert!(error.may_pass());
    let text = error.to_string();
    assert!(text.starts_with("no space left to write to the ledger") && text.contains("make room"));
    for _ in 0..20 {
        assert!(ledger.commit(Arc::clone(&batch)).wait().is_err());
        assert_eq!(stands_at(&rig), n);
    }
    // A crash in this state loses nothing either.
    let other = Rig::new();
    for name in ["ledger.db", "ledger.db-wal"] {
        std::fs::copy(rig.file(name), other.file(name)).unwrap();
    }
    assert_eq!(other.load().set_aside, None);
    assert_eq!(stands_at(&other), n);
    make_room(&rig);
    ledger.commit(batch).wait().unwrap();
    assert_eq!(stands_at(&rig), n + 1);
    ledger.close().wait().unwrap();
    assert_eq!(rig.load().set_aside, None);
    assert_eq!(stands_at(&rig), n + 1);
}

#[test]
fn no_room_at_the_start() {
    if !alone("no_room_at_the_start") {
        return;
    }
    let rig = Rig::new();
    mount(&rig, "2m");
    fill(&rig);
    let text = refused(&rig);
    assert!(text.contains("no space left") || text.contains("No space left"), "{text}");
    make_room(&rig);
    rig.commit(step(1));
    fill(&rig);
    let text = refused(&rig);
    assert!(text.contains("no space left") || text.contains("No space left"), "{text}");
    make_room(&rig);
    assert_eq!(rig.load().set_aside, None);
    assert_eq!(stands_at(&rig), 1);
}

/// However much room is left at the start, it starts or says why, and loses nothing.
#[test]
fn little_room_at_the_start() {
    if !alone("little_room_at_the_start") {
        return;
    }
    let rig = Rig::new();
    mount(&rig, "1m");
    rig.commit(step(1));
    for pages in 0..60 {
        // The lock's text must not be in the way of the count.
        fill(&rig);
        let ballast = std::fs::read(rig.file("ballast")).unwrap();
        put(&rig.file("ballast"), &ballast[..ballast.len().saturating_sub(pages * 4096)]);
        match ledger::open(&rig.path(), now()) {
            Ok((ledger, loaded)) => {
                assert_eq!((loaded.set_aside, loaded.fresh), (None, false), "{pages} pages");
                ledger.close().wait().unwrap();
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.to_lowercase().contains("no space left"), "{pages} pages: {text}");
            }
        }
        make_room(&rig);
        assert_eq!(stands_at(&rig), 1, "{pages} pages");
    }
    assert!(!rig.names().iter().any(|name| name.contains("broken")), "{:?}", rig.names());
}

#[test]
fn a_file_system_that_is_read_only() {
    if !alone("a_file_system_that_is_read_only") {
        return;
    }
    let rig = Rig::new();
    mount(&rig, "1m");
    let read_only = |flag| {
        let flags = rustix::mount::MountFlags::from_bits_retain(flag);
        rustix::mount::mount_remount(rig.folder.path(), flags, "").unwrap();
    };
    let rdonly = rustix::mount::MountFlags::RDONLY.bits();
    read_only(rdonly);
    let text = refused(&rig);
    assert!(text.contains("mount the file system for writing"), "{text}");
    read_only(0);
    rig.commit(step(1));
    read_only(rdonly);
    let text = refused(&rig);
    assert!(text.contains("mount the file system for writing"), "{text}");
    read_only(0);
    assert_eq!(stands_at(&rig), 1);
}

#[test]
fn no_right_to_the_folder() {
    let rig = Rig::new();
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(rig.folder.path(), mode).unwrap();
    };
    mode(0o555);
    let check = |expect: &str| {
        let text = without_rights(|| refused(&rig));
        assert!(text.contains(expect), "{text}");
    };
    check("must be writable for the user that trytlsd runs as");
    mode(0o000);
    check("Permission denied");
    // A ledger of its own in a folder that it may not write to: SQLite cannot make its companions.
    mode(0o777);
    without_rights(|| rig.commit(step(1)));
    mode(0o555);
    check("must be writable for the user that trytlsd runs as");
    mode(0o755);
    assert_eq!(stands_at(&rig), 1);
}

#[test]
fn a_right_that_is_taken_away_while_running() {
    let rig = Rig::new();
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(rig.folder.path(), mode).unwrap();
    };
    mode(0o777);
    // The owner thread keeps the rights that it was started with.
    let ledger = without_rights(|| {
        let (ledger, _) = rig.open();
        ledger.commit(step(1)).wait().unwrap();
        ledger
    });
    mode(0o000);
    ledger.commit(step(2)).wait().unwrap();
    ledger.close().wait().unwrap();
    mode(0o755);
    assert_eq!(stands_at(&rig), 2);
}

#[test]
fn there_is_no_folder() {
    let rig = Rig::new();
    let error = ledger::open(&rig.file("none/ledger.db"), now()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot open the folder of the ledger "), "{text}");
    assert!(text.ends_with("make the folder, owned by the user that trytlsd runs as"), "{text}");
}
