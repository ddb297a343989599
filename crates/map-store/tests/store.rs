//! Changes that go well, with each way of rebuilding, against the stand-in and the real makemap.

#![expect(
    clippy::unwrap_used,
    reason = "test code, though some of it outside of the test functions"
)]

mod rig;

use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Barrier;

use access::admins::{AdminsLine, Stays};
use access::managed::Managed;
use access::remedy::Tagged;
use map_store::{Class, Error, FileStore, Noticed, Rebuild, Rebuilt, Skipped};
use rig::{Rig, as_user, entries, entry, makemaps, put, real};

fn key(text: &str) -> Tagged {
    text.parse().unwrap()
}

const ADMIN: &[u8] = b"# mine\nConnect:127\tRELAY\nTo:x.example  REJECT # why\n";

#[test]
fn entries_come_and_go_and_the_admins_lines_stay() {
    for makemap in makemaps() {
        for class in [Class::Hash, Class::Btree] {
            let rig = Rig::new(&makemap, ADMIN).with(|s| s.class = class);
            rig.make();
            let before = rig.map();
            assert_eq!(before, ["connect:127=RELAY", "to:x.example=REJECT # why"]);
            let mut store = rig.open();
            let wanted = entries(&["mx.example.org", "192.0.2.1", "IPv6:fd00:1ab:0:0:0:0:0:41"]);
            let applied = store.apply(&wanted, &[]).unwrap();
            assert_eq!(applied.added, wanted);
            assert_eq!(applied.rebuilt, Rebuilt::Replaced);
            assert!(matches!(applied.noticed, Noticed::Yes));
            assert_eq!(store.read().unwrap().managed, wanted);
            let mut expect = before.clone();
            expect.extend([
                "try_tls:192.0.2.1=NO".to_owned(),
                "try_tls:ipv6:fd00:1ab:0:0:0:0:0:41=NO".to_owned(),
                "try_tls:mx.example.org=NO".to_owned(),
            ]);
            assert_eq!(rig.map(), expect, "{makemap:?}");
            let gone: Vec<Tagged> = wanted.iter().map(Managed::tagged).collect();
            let applied = store.apply(&[], &gone).unwrap();
            assert_eq!(applied.removed, gone);
            assert_eq!(rig.map(), before);
            assert_eq!(rig.text().as_bytes(), ADMIN);
            assert!(rig.leftovers().is_empty());
        }
    }
}

/// On his word only: that line, and no other byte.
#[test]
fn a_line_of_the_admins_is_taken_out() {
    let text = b"# mine\nTry_TLS:mx.example.org  NO\nTry_TLS:example.net\tNO\nConnect:127\tRELAY\n";
    let line = AdminsLine {
        entry: key("Try_TLS:mx.example.org"),
        text: "Try_TLS:mx.example.org  NO".into(),
    };
    for makemap in makemaps() {
        for rebuild in [Rebuild::Replace, Rebuild::Append] {
            let rig = Rig::new(&makemap, text).with(|s| s.rebuild = rebuild.clone());
            rig.make();
            let mut store = rig.open();
            store.apply(&entries(&["192.0.2.1"]), &[]).unwrap();
            let before = rig.text();
            let applied = store.take_out(&line).unwrap();
            assert_eq!((applied.rebuilt, applied.removed.len()), (Rebuilt::Replaced, 1));
            assert!(matches!(applied.noticed, Noticed::Yes));
            assert_eq!(rig.text(), before.replace("Try_TLS:mx.example.org  NO\n", ""));
            let expect = ["connect:127=RELAY", "try_tls:192.0.2.1=NO", "try_tls:example.net=NO"];
            assert_eq!(rig.map(), expect, "{makemap:?}");
            // Gone is gone, and a second line for the key would only take its place.
            assert!(matches!(store.take_out(&line), Err(Error::LineStays(Stays::Other(_)))));
            let twice = [&b"Try_TLS:mx.example.org  NO\n"[..], b"try_tls:MX.example.org NO\n"];
            put(&rig.path("access"), &twice.concat());
            let stays = store.take_out(&line);
            let second = Err::<(), _>(Stays::Second { entry: line.entry.clone(), line_no: 2 });
            assert!(
                matches!(stays, Err(Error::LineStays(ref stays)) if Err(stays.clone()) == second)
            );
            assert_eq!(rig.text().as_bytes(), twice.concat());
        }
    }
}

#[test]
fn any_text_comes_back_to_the_byte() {
    let texts =
        ["", "a b", "a b\r\n", "a b\r\nc d", "\u{feff}a b\n", "a b\na c\n bad\n", "x\0y z\na b"];
    for makemap in makemaps() {
        for text in texts {
            let rig = Rig::new(&makemap, text.as_bytes());
            let before = rig.map();
            let mut store = rig.open();
            store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
            assert!(rig.text().starts_with(text));
            assert_eq!(rig.map().len(), before.len() + 1, "{makemap:?} {text:?}");
            store.apply(&[], &[key("mx.example.org")]).unwrap();
            assert_eq!(rig.text(), text);
            assert_eq!(rig.map(), before, "{makemap:?} {text:?}");
        }
    }
}

#[test]
fn many_entries_are_one_rebuild_and_what_is_in_force_is_none() {
    for makemap in makemaps() {
        let rig =
            Rig::new(&makemap, ADMIN).wrap("echo \"$*\" >> $FOLDER/calls; exec $MAKEMAP \"$@\"");
        let calls = || {
            let all = std::fs::read_to_string(rig.path("calls")).unwrap_or_default();
            std::fs::remove_file(rig.path("calls")).ok();
            let builds = all.lines().filter(|line| !line.contains(" -u ")).count();
            (builds, all.lines().count() - builds)
        };
        let mut store = rig.open();
        let wanted: Vec<_> = (0..50).map(|n| entry(&format!("mx{n}.example.org"))).collect();
        store.apply(&wanted, &[]).unwrap();
        assert_eq!(calls(), (1, 1));
        let before = rig.state();
        let applied = store.apply(&wanted, &[key("other.example")]).unwrap();
        assert_eq!((applied.rebuilt, applied.skipped.len()), (Rebuilt::No, 50));
        assert_eq!(calls(), (0, 1));
        assert_eq!(rig.state(), before);
        // another date of the end: the text changes, the map need not
        let mut longer = entry("mx0.example.org");
        longer.until = Some("2027-01-01T00:00:00Z".parse().unwrap());
        let applied = store.apply(std::slice::from_ref(&longer), &[]).unwrap();
        assert_eq!((applied.rebuilt, applied.added.len()), (Rebuilt::No, 1));
        assert_eq!(calls(), (0, 1));
        assert_eq!(store.read().unwrap().managed.first(), Some(&longer));
        // gone and back in one change
        let applied = store.apply(&wanted[..1], &[key("mx0.example.org")]).unwrap();
        assert_eq!((applied.rebuilt, applied.removed.len()), (Rebuilt::No, 0));
    }
}

#[test]
fn a_map_that_lags_behind_its_text_is_rebuilt() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN);
        let mut store = rig.open();
        store.apply(&entries(&["a.example", "b.example"]), &[]).unwrap();
        let good = rig.map();
        // a map without our entries, an older one, garbage, an empty file, none
        let text = rig.text();
        put(&rig.access(), ADMIN);
        rig.make();
        put(&rig.access(), text.as_bytes());
        for damage in [None, Some(&b"garbage"[..]), Some(b"")] {
            if let Some(damage) = damage {
                put(&rig.db(), damage);
            }
            assert_eq!(store.apply(&[], &[]).unwrap().rebuilt, Rebuilt::Replaced);
            assert_eq!(rig.map(), good);
            assert_eq!(store.apply(&[], &[]).unwrap().rebuilt, Rebuilt::No);
        }
        std::fs::remove_file(rig.db()).unwrap();
        let applied = store.apply(&[], &[]).unwrap();
        assert!(matches!(applied.noticed, Noticed::Nothing));
        assert_eq!(rig.map(), good);
        assert_eq!(rig.text(), text);
        // a lifted entry that is still in the map
        store.apply(&[], &[key("a.example")]).unwrap();
        let lifted = rig.text();
        put(&rig.access(), text.as_bytes());
        rig.make();
        put(&rig.access(), lifted.as_bytes());
        let applied = store.apply(&[], &[]).unwrap();
        assert_eq!(applied.rebuilt, Rebuilt::Replaced);
        assert!(!rig.map().contains(&"try_tls:a.example=NO".to_owned()));
    }
}

#[test]
fn the_admins_line_for_a_key_stays_whatever_it_says() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, b"try_tls:A.example YES\nTry_TLS:b.example NO\n");
        let mut store = rig.open();
        let before = rig.state();
        let applied =
            store.apply(&entries(&["a.example", "b.example"]), &[key("b.example")]).unwrap();
        let admins = |entry, line_no, same| Skipped::Admins { entry, line_no, same };
        assert_eq!(
            applied.skipped,
            [admins(key("b.example"), 2, true), admins(key("a.example"), 1, false)]
        );
        assert_eq!(rig.state(), before);
    }
}

#[test]
fn bad_lines_and_duplicates_of_the_admin_are_told_and_no_failure() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, b"a b\nA c\n lead\nalone\n");
        let mut store = rig.open();
        let applied = store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
        assert!(applied.said.contains("duplicate key"), "{}", applied.said);
        assert_eq!(rig.map(), ["a=b", "try_tls:mx.example.org=NO"]);
        let faults = store.read().unwrap().faults;
        assert_eq!(faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4]);
    }
}

#[test]
fn owner_mode_and_attributes_are_kept() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN);
        for (path, mode) in [(rig.access(), 0o604), (rig.db(), 0o642)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(&path, Some(65534), Some(12)).unwrap();
            }
            let file = File::open(&path).unwrap();
            let flags = rustix::fs::XattrFlags::empty();
            if rustix::fs::fsetxattr(&file, "user.note", b"kept", flags).is_err() {
                eprintln!("owner_mode_and_attributes_are_kept: no extended attributes here");
            }
        }
        let look = |path| {
            let file = File::open(path).unwrap();
            let m = file.metadata().unwrap();
            let mut note = vec![0; 16];
            let length = rustix::fs::fgetxattr(&file, "user.note", &mut note[..]).unwrap_or(0);
            note.truncate(length);
            (m.uid(), m.gid(), m.mode(), note)
        };
        let before = (look(rig.access()), look(rig.db()));
        let mut store = rig.open();
        store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
        assert_eq!((look(rig.access()), look(rig.db())), before, "{makemap:?}");
    }
}

#[test]
fn a_running_sendmail_is_told_by_the_mtime_of_the_old_file() {
    for makemap in makemaps() {
        for way in [Rebuild::Replace, Rebuild::Append] {
            let rig = Rig::new(&makemap, ADMIN).with(|s| s.rebuild = way.clone());
            let held = File::open(rig.db()).unwrap();
            let before = held.metadata().unwrap();
            let mut store = rig.open();
            store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
            let after = held.metadata().unwrap();
            assert!(after.mtime() > before.mtime(), "{way:?}");
            let same = rig.db().metadata().unwrap().ino() == before.ino();
            assert_eq!(same, way == Rebuild::Append);
            // and again, with the file that is live now, in the same second
            let held = File::open(rig.db()).unwrap();
            let before = held.metadata().unwrap().mtime();
            store.apply(&entries(&["my.example.org"]), &[]).unwrap();
            assert!(held.metadata().unwrap().mtime() > before);
        }
    }
}

#[test]
fn append_adds_only_what_is_new() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN)
            .with(|s| s.rebuild = Rebuild::Append)
            .wrap("case \"$*\" in *' -o '*) tee -a $FOLDER/lines | $MAKEMAP \"$@\";; *) exec $MAKEMAP \"$@\";; esac");
        let mut store = rig.open();
        let inode = rig.db().metadata().unwrap().ino();
        for name in ["a.example", "b.example"] {
            let applied = store.apply(&entries(&[name]), &[]).unwrap();
            assert_eq!(applied.rebuilt, Rebuilt::Appended);
        }
        let lines = std::fs::read_to_string(rig.path("lines")).unwrap();
        assert_eq!(lines, "Try_TLS:a.example\tNO\nTry_TLS:b.example\tNO\n");
        assert_eq!(rig.db().metadata().unwrap().ino(), inode);
        assert_eq!(rig.map().len(), 4);
        // only a rebuild can take an entry away
        let applied = store.apply(&[], &[key("a.example")]).unwrap();
        assert_eq!(applied.rebuilt, Rebuilt::Replaced);
        assert_eq!(rig.map().len(), 3);
        // and only a rebuild mends a map that holds what the text does not
        let text = rig.text();
        put(&rig.access(), b"Try_TLS:c.example YES\n");
        rig.make();
        put(&rig.access(), text.as_bytes());
        let applied = store.apply(&entries(&["c.example"]), &[]).unwrap();
        assert_eq!(applied.rebuilt, Rebuilt::Replaced);
        assert!(rig.map().contains(&"try_tls:c.example=NO".to_owned()));
        assert!(rig.map().contains(&"connect:127=RELAY".to_owned()));
        // without a map there is nothing to append to
        std::fs::remove_file(rig.db()).unwrap();
        store.apply(&entries(&["d.example"]), &[]).unwrap();
        assert_eq!(rig.map().len(), 5);
    }
}

#[test]
fn the_operators_command_rebuilds() {
    let ways = [
        // in place
        "$MAKEMAP -C /dev/null hash $ACCESS < $ACCESS",
        // by rename, with the status that make gives for an admin's duplicate
        "$MAKEMAP -C /dev/null hash $ACCESS.new < $ACCESS; mv -f $ACCESS.new.db $ACCESS.db; exit 2",
        // later, by somebody else
        "(sleep 0.5; $MAKEMAP -C /dev/null hash $ACCESS < $ACCESS) >/dev/null 2>&1 &",
    ];
    for makemap in makemaps() {
        for way in ways {
            let rig = Rig::new(&makemap, ADMIN);
            let script = rig.script("rebuild", way).to_str().unwrap().to_owned();
            let rig =
                rig.with(|s| s.rebuild = Rebuild::Command(vec![script, "an argument".into()]));
            let held = File::open(rig.db()).unwrap();
            let before = held.metadata().unwrap().mtime();
            let mut store = rig.open();
            let applied = store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
            assert_eq!(applied.rebuilt, Rebuilt::ByCommand);
            assert!(rig.map().contains(&"try_tls:mx.example.org=NO".to_owned()));
            assert!(held.metadata().unwrap().mtime() > before, "{way}");
            store.apply(&[], &[key("mx.example.org")]).unwrap();
            assert_eq!(rig.text().as_bytes(), ADMIN);
            assert_eq!(rig.map().len(), 2);
        }
    }
}

#[test]
fn without_a_map_only_the_text_changes() {
    for makemap in makemaps() {
        for (class, rebuild) in [(Class::Text, Rebuild::Replace), (Class::Hash, Rebuild::None)] {
            let rig = Rig::new(&makemap, ADMIN);
            std::fs::remove_file(rig.db()).unwrap();
            let rig = rig.with(|s| {
                s.class = class;
                s.rebuild = rebuild;
                s.makemap = "/nonexistent/makemap".into();
            });
            let mut store = rig.open();
            let applied = store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
            assert_eq!(applied.rebuilt, Rebuilt::No);
            assert!(rig.text().contains("Try_TLS:mx.example.org\tNO\n"));
            assert!(!rig.db().exists());
            store.apply(&[], &[key("mx.example.org")]).unwrap();
            assert_eq!(rig.text().as_bytes(), ADMIN);
        }
    }
}

#[test]
fn a_symbolic_link_is_followed_and_stays() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN);
        std::fs::create_dir(rig.path("real")).unwrap();
        put(&rig.path("real/text"), ADMIN);
        std::fs::remove_file(rig.access()).unwrap();
        symlink("real/text", rig.access()).unwrap();
        let mut store = rig.open();
        store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
        assert!(rig.access().symlink_metadata().unwrap().is_symlink());
        assert!(rig.text().contains("Try_TLS:mx.example.org\tNO\n"));
        assert_eq!(rig.map().len(), 3);
        assert!(rig.leftovers().is_empty());
    }
}

#[test]
fn two_at_work_lose_nothing() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN);
        let start = Barrier::new(2);
        let work = |who: &'static str| {
            let mut store = rig.open();
            start.wait();
            for n in 0..6 {
                store.apply(&entries(&[&format!("{who}{n}.example")]), &[]).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| work("a"));
            scope.spawn(|| work("b"));
        });
        assert_eq!(rig.open().read().unwrap().managed.len(), 12);
        assert_eq!(rig.map().len(), 14);
    }
}

#[test]
fn what_a_killed_process_left_is_removed() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN);
        std::fs::create_dir(rig.path(".trytlsd-abc123")).unwrap();
        put(&rig.path(".trytlsd-abc123/map.db"), b"half a m");
        rig.open().apply(&entries(&["mx.example.org"]), &[]).unwrap();
        assert!(rig.leftovers().is_empty());
    }
}

#[test]
fn it_works_without_root() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN);
        let settings = rig.settings.clone();
        let applied = as_user(rig.folder.path(), || {
            let mut store = FileStore::open(settings).unwrap();
            store.apply(&entries(&["mx.example.org"]), &[]).unwrap()
        });
        assert!(matches!(applied.noticed, Noticed::Yes), "{:?}", applied.noticed);
        // as root makemap refuses a map of somebody who is not the TrustedUser
        assert_eq!(as_user(rig.folder.path(), || rig.map()).len(), 3);
    }
}

/// The parser of the access file against makemap itself.
#[test]
fn the_text_is_read_as_makemap_reads_it() {
    use access::text::{Kind, records};
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    let Some(makemap) = real() else { return };
    let rig = Rig::new(&makemap, b"");
    let bytes = prop_oneof![
        4 => prop::sample::select(b"abAB:.#\t \r\n\x0b\x0c\0\xc3\xff".to_vec()),
        1 => any::<u8>(),
    ];
    let piece = prop_oneof![
        8 => prop::collection::vec(bytes, 0..40),
        1 => (1000_usize..1060, any::<bool>()).prop_map(|(n, end)| {
            let mut line = vec![b'k'; n];
            if let Some(b) = line.get_mut(500) { *b = b' ' }
            if end { line.push(b'\n') }
            line
        }),
    ];
    let text = prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat());
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() };
    let check = |text: Vec<u8>| {
        put(&rig.access(), &text);
        rig.make();
        let mut expect = std::collections::BTreeMap::new();
        for record in records(&text) {
            if let Kind::Entry { key, value } = record.kind {
                let line = [key.to_ascii_lowercase().as_slice(), b"=", value].concat();
                expect
                    .entry(key.to_ascii_lowercase())
                    .or_insert(String::from_utf8_lossy(&line).into_owned());
            }
        }
        let dump = rig.run(&["-C", "/dev/null", "-u", "hash", rig.settings.map.to_str().unwrap()]);
        let mut got: Vec<_> =
            dump.split_terminator('\n').map(|l| l.replacen('\t', "=", 1)).collect();
        let mut expect: Vec<_> = expect.into_values().collect();
        got.sort();
        expect.sort();
        prop_assert_eq!(got, expect);
        Ok(())
    };
    TestRunner::new(config).run(&text, check).unwrap();
}
