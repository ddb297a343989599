//! The live map, when others replace it.

#![expect(
    clippy::unwrap_used,
    reason = "test code, though some of it outside of the test functions"
)]

mod rig;

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use map_store::{LiveMap, Tended};
use rig::{Rig, entries, makemaps};

fn mtime(file: &File) -> i64 {
    file.metadata().unwrap().mtime()
}

/// As `make -C /etc/mail` does: a new map, renamed into place.
fn make_aside(rig: &Rig) {
    let script = rig.script(
        "make",
        "$MAKEMAP -C /dev/null hash $ACCESS.new < $ACCESS 2>/dev/null; mv -f $ACCESS.new.db $ACCESS.db",
    );
    sh(&script);
}

#[expect(clippy::disallowed_methods, reason = "the test plays the admin")]
fn sh(script: &std::path::Path) {
    assert!(std::process::Command::new(script).status().unwrap().success());
}

#[test]
fn a_map_that_others_replaced_is_noticed_by_those_who_hold_it() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, b"a b\n");
        let mut store = rig.open();
        assert!(matches!(store.tend().unwrap(), Tended::Same));
        for _ in 0..3 {
            let held = File::open(rig.db()).unwrap();
            let before = mtime(&held);
            make_aside(&rig);
            assert_eq!(mtime(&held), before);
            assert!(matches!(store.tend().unwrap(), Tended::Replaced));
            assert!(mtime(&held) > before);
            assert!(matches!(store.tend().unwrap(), Tended::Same));
        }
    }
}

#[test]
fn a_change_of_our_own_is_not_reported_as_others() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, b"a b\n");
        let mut store = rig.open();
        store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
        assert!(matches!(store.tend().unwrap(), Tended::Same));
        // nor is an in-place rebuild by the admin: sendmail notices that by itself
        rig.make();
        assert!(matches!(store.tend().unwrap(), Tended::Same));
    }
}

#[test]
fn what_others_put_there_just_before_our_change_is_healed_too() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, b"a b\n");
        let mut store = rig.open();
        let first = File::open(rig.db()).unwrap();
        make_aside(&rig);
        let second = File::open(rig.db()).unwrap();
        let before = (mtime(&first), mtime(&second));
        store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
        assert!(mtime(&first) > before.0 && mtime(&second) > before.1);
    }
}

#[test]
fn a_map_that_goes_and_comes_again() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, b"a b\n");
        let mut live = LiveMap::open(&rig.db()).unwrap();
        let held = File::open(rig.db()).unwrap();
        let before = mtime(&held);
        std::fs::remove_file(rig.db()).unwrap();
        assert!(matches!(live.tend().unwrap(), Tended::Gone));
        assert!(matches!(live.tend().unwrap(), Tended::Same));
        rig.make();
        assert!(matches!(live.tend().unwrap(), Tended::Replaced));
        assert!(mtime(&held) > before);
        assert!(matches!(live.tend().unwrap(), Tended::Same));
        // and one that was never there
        std::fs::remove_file(rig.db()).unwrap();
        let mut live = LiveMap::open(&rig.db()).unwrap();
        assert!(matches!(live.tend().unwrap(), Tended::Same));
        rig.make();
        assert!(matches!(live.tend().unwrap(), Tended::Appeared));
    }
}

#[test]
fn without_the_right_it_is_said_that_senders_do_not_notice() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("without_the_right_it_is_said_that_senders_do_not_notice: left out: needs root");
        return;
    }
    let makemap = makemaps().remove(0);
    let rig = Rig::new(&makemap, b"a b\n");
    // readable, but neither ours nor writable
    rig::as_user(rig.folder.path(), || ());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(rig.db(), mode).unwrap();
    std::os::unix::fs::chown(rig.db(), Some(0), Some(0)).unwrap();
    let tended = std::thread::scope(|scope| {
        let work = || {
            rig::become_nobody();
            let mut live = LiveMap::open(&rig.db()).unwrap();
            make_aside(&rig);
            live.tend().unwrap()
        };
        scope.spawn(work).join().unwrap()
    });
    assert!(matches!(tended, Tended::ReplacedUnnoticed(_)), "{tended:?}");
}
