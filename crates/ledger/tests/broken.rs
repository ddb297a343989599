//! Ledgers that cannot be read: set aside under a name of their own, and a fresh one begun.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod rig;

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use ledger::{Batch, Error, Loaded};
use proptest::prelude::*;
use rig::{Rig, at_place, happening, now, put, relay};

/// A closed ledger of some pages.
fn filled() -> Rig {
    let rig = Rig::new();
    let seen = now().as_second();
    let relays =
        (0..300).map(|n| relay(&format!("mx{n}.example"), seen, &"r".repeat(200))).collect();
    let history = (0..300).map(|_| happening(now(), Some("mx1.example"), "detail")).collect();
    rig.commit(Batch { relays, history, ..at_place("1") });
    rig
}

/// The ledger is set aside with all its bytes, and a fresh one works.
fn is_set_aside(rig: &Rig, what: &str) -> PathBuf {
    let bytes = std::fs::read(rig.path()).unwrap();
    let (ledger, loaded) = rig.open();
    let aside = loaded.set_aside.clone();
    assert_eq!(
        loaded,
        Loaded { set_aside: aside.clone(), fresh: true, ..Loaded::default() },
        "{what}"
    );
    let Some(aside) = aside else { panic!("{what}: not set aside") };
    assert!(std::fs::read(&aside).unwrap() == bytes, "{what}: its bytes have changed");
    ledger.commit(at_place("anew")).wait().unwrap();
    ledger.close().wait().unwrap();
    let again = rig.load();
    assert_eq!((again.set_aside, again.fresh), (None, false), "{what}");
    assert_eq!(again.places[0].1, "anew", "{what}");
    aside
}

#[test]
fn what_cannot_be_read_is_set_aside() {
    let check = |what: &str, spoil: &dyn Fn(&Rig)| {
        let rig = filled();
        spoil(&rig);
        let aside = is_set_aside(&rig, what);
        assert_eq!(aside, rig.file("ledger.db.broken-20261123T215007"), "{what}");
    };
    let cut = |rig: &Rig, to: u64| {
        OpenOptions::new().write(true).open(rig.path()).unwrap().set_len(to).unwrap();
    };
    check("garbage", &|rig| put(&rig.path(), &b"garbage\n".repeat(10_000)));
    check("a little garbage", &|rig| put(&rig.path(), b"xy"));
    check("zeros", &|rig| put(&rig.path(), &[0; 8192]));
    check("half of it", &|rig| cut(rig, rig.path().metadata().unwrap().len() / 2));
    check("all but a page", &|rig| cut(rig, rig.path().metadata().unwrap().len() - 4096));
    check("the first page", &|rig| cut(rig, 4096));
    check("half of the first page", &|rig| cut(rig, 2048));
    check("the header", &|rig| cut(rig, 100));
    check("another program's", &|rig| {
        put(&rig.path(), b"");
        rig.sql("CREATE TABLE bookmark (url); PRAGMA user_version = 3");
    });
    check("another program's number", &|rig| rig.sql("PRAGMA application_id = 1"));
    check("no tables", &|rig| {
        put(&rig.path(), b"");
        rig.sql("PRAGMA application_id = 1953651060; PRAGMA user_version = 1");
    });
    check("a table is missing", &|rig| rig.sql("DROP TABLE relay"));
    check("a column is missing", &|rig| rig.sql("ALTER TABLE relay RENAME COLUMN record TO r"));
    check("an index tells otherwise", &|rig| {
        rig.sql(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET rootpage =
                (SELECT rootpage FROM sqlite_schema WHERE name = 'request_open')
             WHERE name = 'happening_of_relay'",
        );
    });
    check("foreign types", &|rig| {
        rig.sql(
            "DROP TABLE success;
             CREATE TABLE success (relay, seen, version, verify);
             INSERT INTO success VALUES (x'00', 'then', 1, 2)",
        );
    });
}

#[test]
fn an_empty_file_is_a_first_start() {
    let fresh = Loaded { fresh: true, ..Loaded::default() };
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock"] {
        let rig = Rig::new();
        put(&rig.file(name), b"");
        assert_eq!(rig.load(), fresh, "{name}");
    }
    // Killed before the first table was made.
    let rig = Rig::new();
    rig.sql("PRAGMA auto_vacuum = 2; PRAGMA journal_mode = WAL");
    assert_eq!(rig.load(), fresh);
    assert_eq!(rig.load(), Loaded::default());
}

#[test]
fn a_file_of_a_newer_schema_is_refused_and_left_alone() {
    let rig = filled();
    rig.sql("PRAGMA user_version = 99; DROP TABLE relay");
    let bytes = std::fs::read(rig.path()).unwrap();
    for error in [ledger::open(&rig.path(), now()).unwrap_err(), rig.view().unwrap_err()] {
        assert!(matches!(error, Error::Newer { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("schema version 99"), "{error}");
    }
    assert!(std::fs::read(rig.path()).unwrap() == bytes, "it was changed");
}

#[test]
fn what_is_no_file_is_left_alone() {
    let rig = Rig::new();
    std::fs::create_dir(rig.path()).unwrap();
    for error in [ledger::open(&rig.path(), now()).unwrap_err(), rig.view().unwrap_err()] {
        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    }
    assert_eq!(rig.names(), ["ledger.db"]);
    for path in ["/", "/dev/null", "/dev/null/ledger.db", ".."] {
        let error = ledger::open(Path::new(path), now()).unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. } | Error::File { .. }), "{error}");
    }
    assert!(!Path::new("/.lock").exists() && !Path::new("/dev/null.lock").exists());
}

#[test]
fn a_reader_sets_nothing_aside() {
    let rig = filled();
    put(&rig.path(), b"garbage that is long enough to be looked at");
    let error = rig.view().unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    std::fs::remove_file(rig.path()).unwrap();
    assert!(matches!(rig.view(), Err(Error::Missing { .. })));
    put(&rig.path(), b"");
    assert!(matches!(rig.view(), Err(Error::Missing { .. })));
}

#[test]
fn the_companions_go_along() {
    let rig = filled();
    for suffix in ["-wal", "-shm", "-journal"] {
        put(&rig.file(&format!("ledger.db{suffix}")), suffix.as_bytes());
    }
    // Such a write-ahead log is none, and would be thrown away; the database is what counts.
    put(&rig.path(), b"garbage, garbage, garbage, garbage");
    is_set_aside(&rig, "with companions");
    let names = rig.names();
    assert!(names.contains(&"ledger.db.broken-20261123T215007".to_owned()), "{names:?}");
    assert!(!names.contains(&"ledger.db-journal".to_owned()), "{names:?}");
}

#[test]
fn a_write_ahead_log_without_its_database_is_nothing() {
    // As a kill -9 leaves it in the middle of setting aside.
    let rig = Rig::new();
    let (_ledger, _) = {
        let (ledger, loaded) = rig.open();
        ledger.commit(at_place("old")).wait().unwrap();
        (ledger, loaded)
    };
    let other = Rig::new();
    std::fs::copy(rig.file("ledger.db-wal"), other.file("ledger.db-wal")).unwrap();
    std::fs::copy(rig.file("ledger.db-shm"), other.file("ledger.db-shm")).unwrap();
    assert_eq!(other.load(), Loaded { fresh: true, ..Loaded::default() });
}

#[test]
fn a_write_ahead_log_that_is_torn_loses_only_what_was_torn() {
    let rig = Rig::new();
    let (ledger, _) = rig.open();
    let mut lengths = vec![0];
    for n in 0..20 {
        ledger.commit(at_place(&n.to_string())).wait().unwrap();
        lengths.push(rig.file("ledger.db-wal").metadata().unwrap().len());
    }
    let wal = std::fs::read(rig.file("ledger.db-wal")).unwrap();
    for cut in (0..wal.len()).step_by(777) {
        let other = Rig::new();
        std::fs::copy(rig.path(), other.path()).unwrap();
        put(&other.file("ledger.db-wal"), &wal[..cut]);
        let whole = lengths[1..].iter().filter(|length| **length <= cut as u64).count();
        let loaded = other.load();
        assert_eq!(loaded.set_aside, None, "cut at {cut}");
        let place = loaded.places.first().map(|(_, place)| place.clone());
        assert_eq!(place, whole.checked_sub(1).map(|n| n.to_string()), "cut at {cut}");
    }
}

#[test]
fn only_so_many_are_kept() {
    let rig = Rig::new();
    put(&rig.file("ledger.db.broken-by-hand"), b"not ours");
    let names: Vec<String> = (0..8)
        .map(|_| {
            put(&rig.path(), b"garbage, garbage, garbage, garbage");
            let path = is_set_aside(&rig, "again");
            path.file_name().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    let expect = (2..9).map(|n| format!("ledger.db.broken-20261123T215007-{n}"));
    assert!(names[1..].iter().eq(&expect.collect::<Vec<_>>()), "{names:?}");
    let kept: Vec<_> =
        rig.names().into_iter().filter(|name| name.starts_with("ledger.db.broken-2")).collect();
    assert_eq!(kept, names[3..]);
    assert!(rig.file("ledger.db.broken-by-hand").exists());
}

#[test]
fn damage_that_shows_while_in_use() {
    let rig = filled();
    let (ledger, _) = rig.open();
    // The pages of the relays go bad under the running daemon.
    let file = OpenOptions::new().write(true).open(rig.path()).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&vec![0xff; usize::try_from(length).unwrap() - 4096], 4096).unwrap();
    let batch = || Batch { relays: vec![relay("mx7.example", 1, "r")], ..at_place("2") };
    let error = ledger.commit(batch()).wait().unwrap_err();
    let Error::Damaged { aside, .. } = &error else { panic!("{error}") };
    assert!(!error.may_pass());
    assert!(aside.exists() && !rig.path().exists());
    assert!(matches!(ledger.commit(batch()).wait(), Err(Error::Ended)));
    // The next start finds none, and no lock.
    assert_eq!(rig.load(), Loaded { fresh: true, ..Loaded::default() });
}

#[test]
fn a_file_that_may_not_be_read_is_not_set_aside() {
    let rig = filled();
    std::fs::set_permissions(rig.path(), PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::set_permissions(rig.folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let error = rig::without_rights(|| ledger::open(&rig.path(), now()).unwrap_err());
    assert!(error.to_string().contains("must be writable for the user"), "{error}");
    assert!(rig.path().exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is done to the bytes, the daemon starts: with what was there, or afresh.
    #[test]
    fn it_always_starts(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let rig = filled();
        let before = rig.load();
        let mut bytes = std::fs::read(rig.path()).unwrap();
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        put(&rig.path(), &bytes);
        match ledger::open(&rig.path(), now()) {
            Ok((ledger, loaded)) => {
                // A text may have been hit, which no database notices; or the moment at which a relay was last seen,
                // by which it is then purged.
                let same = loaded.places.len() == before.places.len()
                    && loaded.relays.len() <= before.relays.len();
                prop_assert!(loaded.fresh || same, "{:?}", loaded.places);
                prop_assert!(ledger.commit(at_place("2")).wait().is_ok());
                ledger.close().wait().unwrap();
                prop_assert_eq!(&rig.load().places[0].1, "2");
            }
            // The number of the version may have been hit.
            Err(error) => prop_assert!(matches!(error, Error::Newer { .. }), "{}", error),
        }
    }
}
