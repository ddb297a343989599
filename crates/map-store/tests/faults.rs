//! Changes that fail: whatever happens, the access file and the map are what they were, and the error says why.

#![expect(
    clippy::unwrap_used,
    reason = "test code, though some of it outside of the test functions"
)]

mod rig;

use std::fs::File;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::Duration;

use access::key::Key;
use map_store::{Error, FileStore, Rebuild, Rebuilt};
use rig::{Makemap, Rig, entries, entry, makemaps, put};

const ADMIN: &[u8] = b"Connect:127\tRELAY\nTo:x.example\tREJECT";

/// Applies an entry; the error's text. Nothing may have changed.
fn fails(rig: &Rig, store: &mut FileStore) -> String {
    let before = rig.state();
    let error = store.apply(&entries(&["mx.example.org"]), &[]).unwrap_err();
    assert_eq!(rig.state(), before, "{error}");
    assert!(!matches!(error, Error::NotPutBack { .. }), "{error}");
    error.to_string()
}

/// What can befall makemap, and what the error says of it. `-u` goes to the true one.
const FAULTS: [(&str, &str); 9] = [
    (
        "cat >/dev/null; echo disk on fire >&2; exit 1",
        "makemap failed (exit status: 1): disk on fire",
    ),
    ("cat >/dev/null; exit 74", "makemap failed (exit status: 74)"),
    ("cat >/dev/null; exit 65", "makemap ended with exit status: 65, but left no map"),
    (
        "grep -v ^Try_TLS: | $MAKEMAP \"$@\"; exit 65",
        "makemap ended with exit status: 65, but in the map try_tls:mx.example.org is not as in the text",
    ),
    (
        "sed s/NO$/YES/ | $MAKEMAP \"$@\"",
        "makemap ended with exit status: 0, but in the map try_tls:mx.example.org is not as in the text",
    ),
    (
        "grep -v ^Connect | $MAKEMAP \"$@\"",
        "makemap ended with exit status: 0, but the map has 2 entries instead of 3",
    ),
    ("cat >/dev/null; exit 0", "makemap ended with exit status: 0, but left no map"),
    ("kill -9 $$", "makemap failed (signal: 9 (SIGKILL))"),
    (
        "for last in \"$@\"; do :; done; echo garbage > $last.db; printf 'gar\\033bage\\n' >&2; exit 0",
        "makemap ended with exit status: 0, but left no map that can be read: gar\\x1bbage",
    ),
];

#[test]
fn whatever_befalls_makemap_nothing_changes() {
    for makemap in makemaps() {
        for (script, expect) in FAULTS {
            let script = format!("case \"$*\" in *' -u '*) exec $MAKEMAP \"$@\";; esac\n{script}");
            let rig = Rig::new(&makemap, ADMIN).wrap(&script);
            let said = fails(&rig, &mut rig.open());
            assert!(said.starts_with(expect), "{makemap:?} {script}: {said}");
        }
    }
}

/// The same where the new map is read back.
#[test]
fn whatever_befalls_the_reading_back_nothing_changes() {
    let check = |makemap: &Makemap, script: &str, expect: &str| {
        let script = format!("case \"$*\" in *' -u '*) {script};; esac\nexec $MAKEMAP \"$@\"");
        let rig =
            Rig::new(makemap, ADMIN).wrap(&script).with(|s| s.timeout = Duration::from_millis(700));
        let said = fails(&rig, &mut rig.open());
        assert!(said.contains(expect), "{makemap:?} {script}: {said}");
    };
    for makemap in makemaps() {
        check(&makemap, "exit 73", "left no map that can be read");
        check(&makemap, "kill -9 $$", "left no map that can be read");
        check(&makemap, "exit 0", "try_tls:mx.example.org is not as in the text");
        check(&makemap, "sleep 60", "did not end within 0.7 s");
        check(&makemap, "exec yes try_tls:mx.example.org", "did not end within 0.7 s");
    }
}

#[test]
fn a_makemap_that_talks_much_is_heard_out() {
    let much = "yes out | head -c 8000000; yes err | head -c 8000000 >&2";
    for makemap in makemaps() {
        let script = |end: &str| {
            format!("case \"$*\" in *' -u '*) ;; *) {much}; {end};; esac\nexec $MAKEMAP \"$@\"")
        };
        let rig = Rig::new(&makemap, ADMIN).wrap(&script("exit 1"));
        let said = fails(&rig, &mut rig.open());
        assert!(said.starts_with("makemap failed (exit status: 1): err; err; err"), "{said}");
        assert!(said.len() < 700, "{}", said.len());
        let rig = Rig::new(&makemap, ADMIN).wrap(&script(":"));
        let applied = rig.open().apply(&entries(&["mx.example.org"]), &[]).unwrap();
        assert!(applied.said.starts_with("err; err") && applied.said.len() < 700);
    }
}

#[test]
fn a_makemap_that_hangs_is_ended() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN)
            .wrap("sleep 60")
            .with(|s| s.timeout = Duration::from_millis(300));
        let said = fails(&rig, &mut rig.open());
        assert!(said.contains("did not end within 0.3 s"), "{said}");
    }
}

#[test]
fn there_is_no_makemap() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN).with(|s| s.makemap = "/nonexistent/makemap".into());
        let said = fails(&rig, &mut rig.open());
        assert!(said.starts_with("cannot start /nonexistent/makemap: No such file"), "{said}");
        let mut rig = rig;
        rig.settings.makemap = "/dev/null".into();
        assert!(fails(&rig, &mut rig.open()).contains("Permission denied"));
    }
}

#[test]
fn a_failed_append_puts_the_text_back() {
    for makemap in makemaps() {
        let ways = [
            (
                "cat >/dev/null; echo no room >&2; exit 74",
                "makemap -o failed (exit status: 74): no room",
            ),
            ("sleep 60", "did not end within"),
        ];
        for (script, expect) in ways {
            let script = format!("case \"$*\" in *' -u '*) exec $MAKEMAP \"$@\";; esac\n{script}");
            let rig = Rig::new(&makemap, ADMIN).wrap(&script).with(|s| {
                s.rebuild = Rebuild::Append;
                s.timeout = Duration::from_millis(500);
            });
            let said = fails(&rig, &mut rig.open());
            assert!(said.contains(expect), "{said}");
        }
        // garbage cannot be added to
        let rig = Rig::new(&makemap, ADMIN).with(|s| s.rebuild = Rebuild::Append);
        put(&rig.db(), b"garbage");
        let said = fails(&rig, &mut rig.open());
        assert!(said.starts_with("makemap -o failed (exit status: 73)"), "{said}");
    }
}

#[test]
fn a_failed_command_puts_the_text_back() {
    for makemap in makemaps() {
        let check = |script: &str, expect: &str| {
            let rig = Rig::new(&makemap, ADMIN);
            let path = rig.script("rebuild", script).to_str().unwrap().to_owned();
            let rig = rig.with(|s| {
                s.rebuild = Rebuild::Command(vec![path]);
                s.timeout = Duration::from_millis(700);
            });
            let said = fails(&rig, &mut rig.open());
            assert!(said.contains(expect), "{said}");
        };
        check(
            "echo no rule >&2; exit 2",
            "/rebuild\" ended with exit status: 2, but in the map try_tls:mx",
        );
        check("echo no rule >&2; exit 2", "as in the text: no rule");
        check("exit 0", "ended with exit status: 0, but in the map try_tls:mx.example.org is not");
        check("sleep 60", "did not end within 0.7 s");
        let rig = Rig::new(&makemap, ADMIN).with(|s| s.rebuild = Rebuild::Command(Vec::new()));
        assert_eq!(fails(&rig, &mut rig.open()), "the rebuild command is empty");
    }
}

#[test]
fn a_text_that_others_changed_is_not_put_back() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN);
        let script = "printf 'saved\\tmeanwhile\\n' >> $ACCESS; exit 1";
        let path = rig.script("rebuild", script).to_str().unwrap().to_owned();
        let rig = rig.with(|s| s.rebuild = Rebuild::Command(vec![path]));
        let error = rig.open().apply(&entries(&["mx.example.org"]), &[]).unwrap_err();
        assert!(matches!(error, Error::NotPutBack { .. }), "{error}");
        assert!(error.to_string().ends_with("others have changed it since"), "{error}");
        assert!(rig.text().ends_with("# END trytlsd\nsaved\tmeanwhile\n"), "{}", rig.text());
        assert!(rig.leftovers().is_empty());
    }
}

#[test]
fn an_admin_who_saves_meanwhile_loses_nothing() {
    let saves = [
        // in place
        "printf 'saved\\tmeanwhile\\n' >> $ACCESS",
        // as an editor does, with the same size and the same mtime
        "sed s/REJECT/ACCEPT/ $ACCESS > $ACCESS.new; touch -r $ACCESS $ACCESS.new; mv $ACCESS.new $ACCESS",
        // in place, the same size and the same mtime
        "cp -p $ACCESS $FOLDER/old; sed s/REJECT/ACCEPT/ $FOLDER/old > $ACCESS; touch -r $FOLDER/old $ACCESS",
    ];
    for makemap in makemaps() {
        for save in saves {
            let script = format!(
                "case \"$*\" in *' -u '*) ;; *) [ -e $FOLDER/once ] || {{ : > $FOLDER/once; {save}; }};; esac\n\
                 exec $MAKEMAP \"$@\""
            );
            let rig = Rig::new(&makemap, b"To:x.example\tREJECT\n").wrap(&script);
            let mut store = rig.open();
            store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
            let text = rig.text();
            assert!(text.contains("saved\tmeanwhile") || text.contains("ACCEPT"), "{save}: {text}");
            assert!(text.contains("Try_TLS:mx.example.org\tNO\n"));
            // and the map was made of that text
            assert!(
                rig.map().iter().any(|line| line == "saved=meanwhile" || line.ends_with("=ACCEPT"))
            );
            assert!(rig.leftovers().is_empty());
        }
    }
}

#[test]
fn an_admin_who_never_stops_saving_is_told() {
    for makemap in makemaps() {
        let script =
            "case \"$*\" in *' -u '*) ;; *) echo x y >> $ACCESS;; esac; exec $MAKEMAP \"$@\"";
        let rig = Rig::new(&makemap, ADMIN).wrap(script);
        let map = rig.map();
        let error = rig.open().apply(&entries(&["mx.example.org"]), &[]).unwrap_err();
        assert!(error.to_string().ends_with("5 times in a row meanwhile"), "{error}");
        assert!(!rig.text().contains("trytlsd"));
        assert_eq!(rig.map(), map);
        assert!(rig.leftovers().is_empty());
    }
}

/// The access file is something else than a file; nothing is made of it.
#[test]
fn odd_access_files_are_refused() {
    let check = |makemap: &Makemap, prepare: &dyn Fn(&Rig), expect: &str| {
        let rig = Rig::new(makemap, ADMIN);
        let mut opened = rig.open();
        prepare(&rig);
        let before = rig.state();
        let error = FileStore::open(rig.settings.clone()).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
        assert_eq!(opened.read().unwrap_err().to_string(), error);
        assert_eq!(fails(&rig, &mut opened), error);
        assert_eq!(rig.state(), before);
    };
    for makemap in makemaps() {
        let gone = |rig: &Rig| std::fs::remove_file(rig.access()).unwrap();
        check(&makemap, &gone, "access: No such file or directory");
        check(
            &makemap,
            &|rig| {
                gone(rig);
                std::fs::create_dir(rig.access()).unwrap();
            },
            "access is a directory, not a regular file",
        );
        check(
            &makemap,
            &|rig| {
                gone(rig);
                let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, rig.access(), kind, mode, 0).unwrap();
            },
            "access is a pipe, not a regular file",
        );
        check(
            &makemap,
            &|rig| std::fs::hard_link(rig.access(), rig.path("other")).unwrap(),
            "access has 2 hard links",
        );
        check(
            &makemap,
            &|rig| {
                gone(rig);
                symlink("nowhere", rig.access()).unwrap();
            },
            "access: No such file or directory",
        );
        check(
            &makemap,
            &|rig| {
                gone(rig);
                symlink("access", rig.access()).unwrap();
            },
            "symbolic links",
        );
    }
}

#[test]
fn odd_maps_are_refused() {
    let check = |makemap: &Makemap, prepare: &dyn Fn(&Rig), expect: &str| {
        let rig = Rig::new(makemap, ADMIN);
        let mut opened = rig.open();
        prepare(&rig);
        let error = FileStore::open(rig.settings.clone()).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
        assert_eq!(fails(&rig, &mut opened), error);
    };
    for makemap in makemaps() {
        check(
            &makemap,
            &|rig| {
                std::fs::copy(rig.db(), rig.path("other")).unwrap();
                std::fs::remove_file(rig.db()).unwrap();
                symlink("other", rig.db()).unwrap();
            },
            "access.db is a symbolic link; makemap and sendmail refuse that",
        );
        check(
            &makemap,
            &|rig| std::fs::hard_link(rig.db(), rig.path("other")).unwrap(),
            "access.db is a file with several hard links",
        );
        check(
            &makemap,
            &|rig| {
                std::fs::remove_file(rig.db()).unwrap();
                std::fs::create_dir(rig.db()).unwrap();
            },
            "access.db is a directory",
        );
    }
}

#[test]
fn a_key_that_is_none_is_an_error() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN);
        let before = rig.state();
        let mut bad = entry("mx.example.org");
        bad.key = Key::Name("a\tNO\nConnect:0".into());
        let error = rig.open().apply(&[entry("b.example"), bad], &[]).unwrap_err();
        assert!(matches!(error, Error::BadKey { .. }), "{error}");
        assert_eq!(rig.state(), before);
    }
}

#[test]
fn the_next_change_after_a_failure_goes_well() {
    for makemap in makemaps() {
        let script = "case \"$*\" in *' -u '*) ;; *) [ -e $FOLDER/ok ] || exit 1;; esac; exec $MAKEMAP \"$@\"";
        let rig = Rig::new(&makemap, ADMIN).wrap(script);
        let mut store = rig.open();
        fails(&rig, &mut store);
        put(&rig.path("ok"), b"");
        let held = File::open(rig.db()).unwrap();
        let mtime = held.metadata().unwrap().mtime();
        let applied = store.apply(&entries(&["mx.example.org"]), &[]).unwrap();
        assert_eq!(applied.rebuilt, Rebuilt::Replaced);
        assert!(held.metadata().unwrap().mtime() > mtime);
    }
}
