//! Looking at what others did to the access file and the map, and mending it.

#![expect(
    clippy::unwrap_used,
    reason = "test code, though some of it outside of the test functions"
)]

mod rig;

use std::os::unix::fs::MetadataExt;

use map_store::{Class, Digest, FileStore, Known, Look, Looked, MapIs, Rebuild, Rebuilt};
use rig::{Makemap, Rig, at_rest, entries, entry, makemaps, put};

const ADMIN: &[u8] = b"# mine\nConnect:127\tRELAY\n";

/// What is there, whether or not anything is new.
fn found(store: &mut FileStore) -> Look {
    let Looked::Found(look) = store.look(None).unwrap() else { panic!("it always finds") };
    *look
}

/// The next looks: one that sees that others were at work, and one that finds what they did.
fn found_after(store: &mut FileStore, known: &Known) -> Look {
    let first = store.look(Some(known)).unwrap();
    assert!(matches!(first, Looked::Unsettled), "{first:?}");
    let Looked::Found(look) = store.look(Some(known)).unwrap() else { panic!("not found") };
    *look
}

fn is_same(store: &mut FileStore, known: &Known) -> bool {
    matches!(store.look(Some(known)).unwrap(), Looked::Same)
}

/// With two entries of ours in force.
fn rig(makemap: &Makemap, way: &Rebuild) -> (Rig, FileStore) {
    let rig = Rig::new(makemap, ADMIN).with(|s| s.rebuild = way.clone());
    let mut store = rig.open();
    store.apply(&entries(&["a.example", "b.example"]), &[]).unwrap();
    (rig, store)
}

/// Saves the text as an editor does.
fn save(rig: &Rig, text: &str) {
    put(&rig.path("access.new"), text.as_bytes());
    #[expect(clippy::disallowed_methods, reason = "the test plays the admin")]
    std::fs::rename(rig.path("access.new"), rig.access()).unwrap();
}

#[test]
fn what_others_did_to_the_text_is_told() {
    type Edit = fn(&str) -> String;
    // what was done; then: keys of ours, whether the block is there, whether the rest is another, keys of the admin's
    let check = |edit: Edit, ours: &[&str], block: bool, rest: bool, admins: &[&str]| {
        for makemap in makemaps() {
            let (rig, mut store) = rig(&makemap, &Rebuild::Replace);
            let before = found(&mut store);
            assert!(
                before.block
                    && before.admins.try_tls_keys().next().is_none()
                    && before.oddities.is_empty()
            );
            save(&rig, &edit(&rig.text()));
            let look = found_after(&mut store, &before.known);
            assert!(is_same(&mut store, &look.known));
            let keys: Vec<_> = look.ours.iter().map(|entry| entry.key.to_string()).collect();
            let mut mine: Vec<_> = look.admins.try_tls_keys().map(|k| k.to_string()).collect();
            mine.sort();
            let changed = look.rest != before.rest;
            assert_eq!((keys.as_slice(), mine.as_slice()), (&own(ours)[..], &own(admins)[..]));
            assert_eq!((look.block, changed), (block, rest), "{}", rig.text());
            // and the same after a restart
            let again = found(&mut rig.open());
            assert_eq!((again.rest, again.ours), (look.rest, look.ours));
            assert_eq!(look.rest.to_string().parse(), Ok(look.rest));
        }
    };
    const BOTH: &[&str] = &["a.example", "b.example"];
    check(|text| text.to_owned(), BOTH, true, false, &[]);
    check(|text| format!("{text}\n\n"), BOTH, true, false, &[]);
    check(|text| format!("{text}To:x y\n"), BOTH, true, true, &[]);
    check(|text| without(text, &["a.example"]), &["b.example"], true, false, &[]);
    check(|text| without(text, BOTH), &[], true, false, &[]);
    check(|text| without(text, &["trytlsd", "example"]), &[], false, false, &[]);
    check(|_| "To:x y\n".to_owned(), &[], false, true, &[]);
    check(|_| String::from_utf8_lossy(ADMIN).into_owned(), &[], false, false, &[]);
    check(
        |text| format!("Try_TLS:B.example YES\nTry_TLS:192.0.2 NO\n{text}"),
        BOTH,
        true,
        true,
        &["b.example"],
    );
    check(
        |text| without(text, &["a.example"]) + "Try_TLS:a.example\tNO\n",
        &["b.example"],
        true,
        true,
        &["a.example"],
    );
}

fn own(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

/// The text without the lines that hold one of these.
fn without(text: &str, words: &[&str]) -> String {
    let lines = text.split_inclusive('\n');
    lines.filter(|line| !words.iter().any(|word| line.contains(word))).collect()
}

#[test]
fn what_is_odd_about_our_block_is_told() {
    let (rig, mut store) = rig(&makemaps()[0], &Rebuild::Replace);
    save(&rig, &without(&rig.text(), &["END"]));
    let odd: Vec<_> = found(&mut store).oddities.iter().map(ToString::to_string).collect();
    assert_eq!(odd, ["line 3: the block of trytlsd has no end marker"]);
}

#[test]
fn a_look_at_what_nobody_touched_starts_no_makemap() {
    for makemap in makemaps() {
        let (rig, _) = rig(&makemap, &Rebuild::Replace);
        let rig = rig.wrap("echo >> $FOLDER/calls; exec $MAKEMAP \"$@\"");
        let calls = || std::fs::read(rig.path("calls")).unwrap_or_default().len();
        let mut store = rig.open();
        let known = found(&mut store).known;
        assert_eq!(calls(), 1);
        for _ in 0..3 {
            assert!(is_same(&mut store, &known));
        }
        assert_eq!(calls(), 1);
        // our own change is known to be good: it needs neither a second look nor a makemap
        store.apply(&entries(&["c.example"]), &[]).unwrap();
        let before = calls();
        let Looked::Found(look) = store.look(Some(&known)).unwrap() else { panic!("not found") };
        assert_eq!((look.ours.len(), look.map, calls()), (3, MapIs::Fine, before));
        assert!(is_same(&mut store, &look.known));
    }
}

#[test]
fn an_admin_at_work_is_not_disturbed() {
    let (rig, mut store) = rig(&makemaps()[0], &Rebuild::Replace);
    let known = found(&mut store).known;
    for n in 0..3 {
        save(&rig, &format!("{}Connect:{n} OK\n", rig.text()));
        assert!(matches!(store.look(Some(&known)).unwrap(), Looked::Unsettled));
    }
    // he has saved and runs makemap before the second look
    rig.make();
    assert!(matches!(store.look(Some(&known)).unwrap(), Looked::Unsettled));
    let Looked::Found(look) = store.look(Some(&known)).unwrap() else { panic!("not found") };
    assert_eq!(look.map, MapIs::Fine);
    // what he takes back is as if it had never been there, until it is found
    let text = rig.text();
    std::fs::remove_file(rig.access()).unwrap();
    assert!(matches!(store.look(Some(&look.known)).unwrap(), Looked::Unsettled));
    assert!(store.look(Some(&look.known)).unwrap_err().to_string().contains("No such file"));
    save(&rig, &text);
    assert_eq!(found_after(&mut store, &look.known).rest, look.rest);
}

#[test]
fn how_the_map_stands_is_told_and_mended() {
    let check = |damage: &dyn Fn(&Rig), expect: &dyn Fn(&MapIs) -> bool| {
        for makemap in makemaps() {
            let (rig, mut store) = rig(&makemap, &Rebuild::Replace);
            let good = found(&mut store);
            assert_eq!(good.map, MapIs::Fine);
            damage(&rig);
            let look = found_after(&mut store, &good.known);
            assert!(expect(&look.map), "{makemap:?}: {:?}", look.map);
            let text = rig.text();
            let mended = if look.map == MapIs::Fine {
                look
            } else {
                assert_eq!(store.mend().unwrap().rebuilt, Rebuilt::Replaced);
                found(&mut store)
            };
            assert_eq!((mended.map, rig.text()), (MapIs::Fine, text));
            // once is enough, and others see it too
            assert_eq!(store.mend().unwrap().rebuilt, Rebuilt::No);
            assert!(is_same(&mut store, &mended.known));
            let mut other = rig.open();
            assert_eq!(found(&mut other).map, MapIs::Fine);
            assert_eq!(other.mend().unwrap().rebuilt, Rebuilt::No);
            assert!(rig.map().contains(&"try_tls:a.example=NO".to_owned()));
        }
    };
    check(&|rig| rig.make(), &|map| *map == MapIs::Fine);
    check(&|rig| std::fs::remove_file(rig.db()).unwrap(), &|map| *map == MapIs::Gone);
    check(&|rig| put(&rig.db(), b"garbage"), &|map| matches!(map, MapIs::Unreadable(_)));
    check(&|rig| save(rig, &(rig.text() + "To:x y\n")), &|map| *map == MapIs::Older);
    let built_from = |rig: &Rig, text: &str| {
        let whole = rig.text();
        put(&rig.access(), text.as_bytes());
        rig.make();
        put(&rig.access(), whole.as_bytes());
        at_rest(&rig.access());
    };
    check(&|rig| built_from(rig, &without(&rig.text(), &["b.example"])), &|map| {
        *map == MapIs::Wrong(vec!["try_tls:b.example".to_owned()])
    });
    check(&|rig| built_from(rig, &rig.text().replace("a.example\tNO", "a.example\tYES")), &|map| {
        *map == MapIs::Wrong(vec!["try_tls:a.example".to_owned()])
    });
    check(&|rig| built_from(rig, &(rig.text() + "Try_TLS:c.example NO\n")), &|map| {
        *map == MapIs::Wrong(Vec::new())
    });
}

#[test]
fn where_others_build_the_map_nothing_is_mended() {
    for (class, rebuild) in [(Class::Text, Rebuild::Replace), (Class::Hash, Rebuild::None)] {
        let (rig, mut store) = rig(&makemaps()[0], &Rebuild::Replace);
        std::fs::remove_file(rig.db()).unwrap();
        let rig = rig.with(|s| {
            s.class = class;
            s.rebuild = rebuild;
        });
        drop(store);
        store = rig.open();
        let before = rig.state();
        let look = found(&mut store);
        assert_eq!((look.map, look.ours.len()), (MapIs::Others, 2));
        assert_eq!(store.mend().unwrap().rebuilt, Rebuilt::No);
        assert_eq!(rig.state(), before);
        assert!(is_same(&mut store, &look.known));
    }
}

#[test]
fn the_map_is_never_older_than_its_text() {
    let time = |path| {
        let metadata = std::fs::metadata(path).unwrap();
        (metadata.mtime(), metadata.mtime_nsec())
    };
    for makemap in makemaps() {
        let script = "$MAKEMAP -C /dev/null hash $ACCESS < $ACCESS";
        for way in ["replace", "append", "command"] {
            let rig = Rig::new(&makemap, ADMIN);
            let script = rig.script("rebuild", script).to_str().unwrap().to_owned();
            let rig = rig.with(|s| {
                s.rebuild = match way {
                    "replace" => Rebuild::Replace,
                    "append" => Rebuild::Append,
                    _ => Rebuild::Command(vec![script]),
                }
            });
            let check = |store: &mut FileStore| {
                assert!(time(rig.db()) >= time(rig.access()), "{way}");
                assert_eq!(found(store).map, MapIs::Fine, "{way}");
                assert_eq!(found(&mut rig.open()).map, MapIs::Fine, "{way}");
            };
            let mut store = rig.open();
            store.apply(&entries(&["a.example", "b.example"]), &[]).unwrap();
            check(&mut store);
            // only a comment: the map is not built
            let mut longer = entry("a.example");
            longer.until = Some("2027-01-01T00:00:00Z".parse().unwrap());
            let applied = store.apply(std::slice::from_ref(&longer), &[]).unwrap();
            assert_eq!((applied.rebuilt, applied.added.len()), (Rebuilt::No, 1));
            check(&mut store);
            store.apply(&[], &["b.example".parse().unwrap()]).unwrap();
            check(&mut store);
        }
    }
}

#[test]
fn what_the_admin_saved_and_did_not_build_is_not_hidden() {
    // A change of ours makes the map younger than his text: so it must hold what he saved.
    for makemap in makemaps() {
        for way in [Rebuild::Replace, Rebuild::Append] {
            let (rig, mut store) = rig(&makemap, &way);
            save(&rig, &(rig.text() + "To:x y\n"));
            let mut longer = entry("a.example");
            longer.until = Some("2027-01-01T00:00:00Z".parse().unwrap());
            store.apply(std::slice::from_ref(&longer), &[]).unwrap();
            assert!(rig.map().contains(&"to:x=y".to_owned()), "{way:?}");
            save(&rig, &(rig.text() + "To:z y\n"));
            store.apply(&entries(&["c.example"]), &[]).unwrap();
            assert!(rig.map().contains(&"to:z=y".to_owned()), "{way:?}");
        }
    }
}

#[test]
fn a_text_from_the_future_is_built_once() {
    use rustix::fs::{Timespec, Timestamps, futimens};
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN);
        let at = Timespec { tv_sec: 4_000_000_000, tv_nsec: 7 };
        let times = Timestamps { last_access: at, last_modification: at };
        futimens(std::fs::File::open(rig.access()).unwrap(), &times).unwrap();
        assert_eq!(found(&mut rig.open()).map, MapIs::Older);
        assert_eq!(rig.open().mend().unwrap().rebuilt, Rebuilt::Replaced);
        assert_eq!(rig.open().mend().unwrap().rebuilt, Rebuilt::No);
        assert_eq!(found(&mut rig.open()).map, MapIs::Fine);
    }
}

#[test]
fn the_sign_of_the_rest_is_fixed() {
    let rig = Rig::new(&makemaps()[0], ADMIN);
    let rest = found(&mut rig.open()).rest;
    // FNV-1a, 64 bits, of the two lines
    assert_eq!(rest, "19-313e36d31fbc8867".parse::<Digest>().unwrap());
}
