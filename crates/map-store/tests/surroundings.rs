//! Surroundings that do not permit: no room, a file system that is read-only, rights that are taken away while we run. Text
//! and map stay what they were, the error says why, and when it is mended the same change goes well.

#![expect(
    clippy::unwrap_used,
    reason = "test code, though some of it outside of the test functions"
)]

mod rig;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;

use map_store::{Error, FileStore, Looked, MapIs, Rebuild};
use rig::namespace::{alone, mount_small, read_only};
use rig::{Makemap, Rig, as_user, at_rest, become_nobody, entries, makemaps, put};

/// An access file of about 30 kB.
fn admin() -> String {
    (0..1000).map(|n| format!("To:user{n}@example.org\tREJECT\n")).collect()
}

/// Takes all room but that of so many pages.
fn fill(rig: &Rig, pages: u64) {
    use std::io::Write;
    let mut file = File::create(rig.path("ballast")).unwrap();
    let mut size: u64 = 0;
    while file.write_all(&[b'x'; 4096]).is_ok() {
        size += 4096;
    }
    file.set_len(size.saturating_sub(pages * 4096)).unwrap();
}

fn small_rig(makemap: &Makemap, way: Rebuild) -> Rig {
    let rig = Rig::new(makemap, b"");
    mount_small(&rig, "512k");
    put(&rig.access(), admin().as_bytes());
    at_rest(&rig.access());
    rig.make();
    rig.with(|s| s.rebuild = way)
}

/// With how little room the change fails, and with how much it goes well; what the errors said.
fn at_any_room(rig: &Rig) -> Vec<String> {
    let in_place = rig.settings.rebuild == Rebuild::Append;
    let new = usize::from(rig.settings.rebuild != Rebuild::None);
    let mut errors = Vec::new();
    for pages in (0..12).chain((12..60).step_by(6)) {
        fill(rig, pages);
        let (before, map) = (rig.state(), rig.map());
        let mut store = rig.open();
        match store.apply(&entries(&["mx.example.org"]), &[]) {
            Err(error) => {
                assert!(!matches!(error, Error::NotPutBack { .. }), "{pages}: {error}");
                errors.push(error.to_string());
                if in_place {
                    // makemap had its hands on the live map: it may need to be mended, when there is room
                    assert_eq!(rig.text(), admin(), "{pages}: {error}");
                    std::fs::remove_file(rig.path("ballast")).unwrap();
                    store.mend().unwrap();
                    assert_eq!(rig.map(), map, "{pages}: {error}");
                } else {
                    assert_eq!(rig.state(), before, "{pages}: {error}");
                }
            }
            Ok(_) => {
                std::fs::remove_file(rig.path("ballast")).unwrap();
                assert_eq!(rig.map().len(), map.len() + new);
                assert!(rig.text().contains("Try_TLS:mx.example.org\tNO\n"));
                store.apply(&[], &["mx.example.org".parse().unwrap()]).unwrap();
            }
        }
        assert!(rig.leftovers().is_empty(), "{pages}");
    }
    errors
}

#[test]
fn no_room() {
    if !alone("no_room") {
        return;
    }
    for makemap in makemaps() {
        for way in [Rebuild::Replace, Rebuild::None, Rebuild::Append] {
            let errors = at_any_room(&small_rig(&makemap, way.clone()));
            assert!((3..19).contains(&errors.len()), "{way:?}: {errors:?}");
            assert!(errors[0].contains("No space left on device"), "{}", errors[0]);
            for error in errors {
                let said = error.contains("No space left") || error.starts_with("makemap");
                assert!(said, "{error}");
            }
        }
    }
}

#[test]
fn a_file_system_that_becomes_read_only() {
    if !alone("a_file_system_that_becomes_read_only") {
        return;
    }
    for makemap in makemaps() {
        for way in [Rebuild::Replace, Rebuild::Append, Rebuild::None] {
            let rig = small_rig(&makemap, way);
            let mut store = rig.open();
            let before = rig.state();
            read_only(&rig, true);
            let error = store.apply(&entries(&["mx.example.org"]), &[]).unwrap_err().to_string();
            assert!(error.contains("Read-only file system"), "{error}");
            // to look is still possible
            let Looked::Found(look) = store.look(None).unwrap() else { panic!("it always finds") };
            assert!(matches!(look.map, MapIs::Fine | MapIs::Others), "{:?}", look.map);
            store.mend().unwrap();
            assert_eq!(rig.state(), before);
            read_only(&rig, false);
            store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
            assert!(rig.text().contains("Try_TLS:mx.example.org\tNO\n"));
        }
    }
}

/// Applies as a user whose rights `take` takes away after the store was opened, and gives back with `give`.
fn rights_taken(makemap: &Makemap, take: fn(&Rig), give: fn(&Rig), expect: &str) {
    let rig = Rig::new(makemap, b"a b\n");
    let mut store = as_user(rig.folder.path(), || FileStore::open(rig.settings.clone()).unwrap());
    let before = rig.text();
    take(&rig);
    let apply = |store: &mut FileStore| {
        std::thread::scope(|scope| {
            let work = || {
                if rustix::process::geteuid().is_root() {
                    become_nobody();
                }
                store.apply(&entries(&["mx.example.org"]), &[]).map_err(|error| error.to_string())
            };
            scope.spawn(work).join().unwrap()
        })
    };
    let error = apply(&mut store).unwrap_err();
    assert!(error.contains(expect), "{error}");
    give(&rig);
    assert_eq!(rig.text(), before);
    assert!(rig.leftovers().is_empty());
    apply(&mut store).unwrap();
    assert!(rig.text().contains("Try_TLS:mx.example.org\tNO\n"));
}

fn mode(rig: &Rig, name: &str, mode: u32) {
    let path = rig.folder.path().join(name);
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn rights_are_taken_away_while_running() {
    for makemap in makemaps() {
        let check = |take, give, expect| rights_taken(&makemap, take, give, expect);
        check(
            |rig| mode(rig, "", 0o500),
            |rig| mode(rig, "", 0o700),
            "cannot make a temporary folder in ",
        );
        check(
            |rig| mode(rig, "", 0o000),
            |rig| mode(rig, "", 0o700),
            "cannot read the access file ",
        );
        check(
            |rig| mode(rig, "access", 0o000),
            |rig| mode(rig, "access", 0o600),
            "cannot read the access file ",
        );
    }
}

#[test]
fn rights_are_missing() {
    for makemap in makemaps() {
        let check = |path: &str, mode: u32, expect: &str| {
            let rig = Rig::new(&makemap, b"a b\n");
            let settings = rig.settings.clone();
            let before = rig.text();
            let path = if path.is_empty() { rig.folder.path().into() } else { rig.path(path) };
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let error = as_user(rig.folder.path(), || {
                let mut store = FileStore::open(settings)?;
                store.apply(&entries(&["mx.example.org"]), &[])
            });
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
            assert_eq!(rig.text(), before);
        };
        check("", 0o500, "cannot make a temporary folder in ");
        check("access", 0o000, "cannot read the access file ");
        check("access.db", 0o000, "cannot open the map ");
    }
}

#[test]
fn a_file_whose_owner_cannot_be_kept_is_not_replaced() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("a_file_whose_owner_cannot_be_kept_is_not_replaced: left out: needs root");
        return;
    }
    for makemap in makemaps() {
        for file in ["access", "access.db"] {
            let rig = Rig::new(&makemap, b"a b\n");
            let (settings, text) = (rig.settings.clone(), rig.text());
            std::fs::set_permissions(rig.path(file), PermissionsExt::from_mode(0o644)).unwrap();
            let error = as_user(rig.folder.path(), || {
                // as_user gave all to nobody; this one is somebody else's
                FileStore::open(settings.clone())
            });
            let mut store = error.unwrap();
            std::os::unix::fs::chown(rig.path(file), Some(0), Some(0)).unwrap();
            let error = std::thread::scope(|scope| {
                let work = || {
                    become_nobody();
                    store.apply(&entries(&["mx.example.org"]), &[]).unwrap_err().to_string()
                };
                scope.spawn(work).join().unwrap()
            });
            assert!(error.contains("the owner and group (0:0) of the old one"), "{error}");
            assert_eq!(rig.text(), text);
            assert!(rig.leftovers().is_empty());
        }
    }
}
