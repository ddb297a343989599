//! `kill -9` at every step: after it the access file and the map are each whole, and the next start makes them belong
//! together. Steps that fail without a kill change nothing.

#![cfg(debug_assertions)] // a release has no failure points
#![expect(
    clippy::unwrap_used,
    reason = "test code, though some of it outside of the test functions"
)]

mod rig;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use map_store::{Looked, MapIs, POINTS, Rebuild};
use rig::process::{Ended, change, change_with};
use rig::{Makemap, Rig, entries, makemaps, put};

const ADMIN: &[u8] = b"# mine\nConnect:127\tRELAY\nTo:x.example\tREJECT\n";

/// Steps that an undisturbed change does not come to; each is killed in a test of its own.
const DISTURBED: [&str; 8] = [
    "left-found",
    "left-put-back",
    "displaced-found",
    "text-unwanted",
    "text-undone",
    "put-back-begun",
    "put-back-replaced",
    "put-back-done",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Replace,
    Append,
    Command,
    TextOnly,
}

const WAYS: [Way; 4] = [Way::Replace, Way::Append, Way::Command, Way::TextOnly];

/// Does it with each makemap in each of the ways, side by side: most of the time is spent waiting until a text that was
/// just saved is at rest.
fn each<T: Send>(ways: &[Way], work: impl Fn(&Makemap, Way) -> T + Sync) -> Vec<T> {
    let (makemaps, work) = (makemaps(), &work);
    std::thread::scope(|scope| {
        let both = makemaps.iter().flat_map(|makemap| ways.iter().map(move |&way| (makemap, way)));
        let threads: Vec<_> =
            both.map(|(makemap, way)| scope.spawn(move || work(makemap, way))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A rig with an entry of ours in force.
fn rig(makemap: &Makemap, way: Way) -> Rig {
    let rig = Rig::new(makemap, ADMIN);
    rig.open().apply(&entries(&["old.example"]), &[]).unwrap();
    let script = rig.script("rebuild", "exec $MAKEMAP -C /dev/null hash $ACCESS < $ACCESS");
    rig.with(|s| {
        s.rebuild = match way {
            Way::Replace => Rebuild::Replace,
            Way::Append => Rebuild::Append,
            Way::Command => Rebuild::Command(vec![script.to_str().unwrap().to_owned()]),
            Way::TextOnly => Rebuild::None,
        }
    })
}

/// What access file and map say.
fn says(rig: &Rig) -> (String, Vec<String>) {
    (rig.text(), rig.map())
}

/// The next start: afterwards text and map belong together, and nothing of ours is left lying about.
fn next_start(rig: &Rig) {
    let mut store = rig.open();
    store.mend().unwrap();
    let Looked::Found(look) = store.look(None).unwrap() else { panic!("it always finds") };
    let built = rig.settings.rebuild != Rebuild::None;
    assert_eq!(look.map, if built { MapIs::Fine } else { MapIs::Others });
    assert!(rig.leftovers().is_empty());
    if built {
        let map = rig.map();
        rig.make();
        assert_eq!(rig.map(), map, "the map is not as the text");
    }
}

#[test]
fn a_kill_at_any_step_leaves_both_whole() {
    let killed = each(&WAYS, |makemap, way| {
        ["+new.example", "-old.example", "~old.example"].map(|what| killed(makemap, way, what))
    });
    let killed: BTreeSet<_> = killed.into_iter().flatten().flatten().collect();
    let expect: BTreeSet<_> = POINTS.into_iter().filter(|p| !DISTURBED.contains(p)).collect();
    assert_eq!(killed, expect);
}

/// Kills the change at each of its steps; the steps.
fn killed(makemap: &Makemap, way: Way, what: &str) -> Vec<&'static str> {
    let undisturbed = rig(makemap, way);
    let before = says(&undisturbed);
    assert_eq!(change(&undisturbed, "", what), Ended::Well);
    let after = says(&undisturbed);
    let mut killed = Vec::new();
    for point in POINTS {
        let rig = rig(makemap, way);
        let held = File::open(rig.db()).unwrap();
        let old = held.metadata().unwrap();
        match change(&rig, &format!("{point}=kill"), what) {
            Ended::Killed => killed.push(point),
            // This way does not come to that step.
            Ended::Well => continue,
            Ended::Failed(error) => panic!("{point} {way:?} {what}: {error}"),
        }
        let (text, map) = says(&rig);
        let context = format!("{makemap:?} {way:?} {what} {point}: {text} {map:?}");
        assert!([&before.0, &after.0].contains(&&text), "{context}");
        assert!([&before.1, &after.1].contains(&&map), "{context}");
        next_start(&rig);
        assert_eq!(rig.text(), text, "{context}");
        if rig.db().metadata().unwrap().ino() != old.ino() {
            // a sendmail that holds the old map notices
            assert!(held.metadata().unwrap().mtime() > old.mtime(), "{context}");
        }
        assert_eq!(change(&rig, "", what), Ended::Well);
        assert_eq!(says(&rig), after, "{context}");
    }
    killed
}

/// The makemap, or the command, goes on when we are killed.
#[test]
fn a_kill_while_makemap_runs() {
    let script = |makemap: &str| {
        format!(
            "case \"$*\" in *' -u '*) exec $MAKEMAP \"$@\";; esac\n\
             [ ! -e $FOLDER/once ] || exec {makemap}\n\
             : > $FOLDER/once; kill -9 $PPID; n=0\n\
             until [ -e $FOLDER/go ] || [ $n = 400 ]; do sleep 0.05; n=$((n + 1)); done\n\
             {makemap}; : > $FOLDER/ended"
        )
    };
    each(&[Way::Replace, Way::Append, Way::Command], |makemap, way| {
        let rig = rig(makemap, way);
        let rig = if way == Way::Command {
            rig.script("rebuild", &script("$MAKEMAP -C /dev/null hash $ACCESS < $ACCESS"));
            rig
        } else {
            rig.wrap(&script("$MAKEMAP \"$@\""))
        };
        let before = rig.text();
        assert_eq!(change(&rig, "", "+new.example"), Ended::Killed);
        let text = rig.text();
        assert!(
            text == before || (way != Way::Replace && text.contains("Try_TLS:new.example\tNO"))
        );
        // at once, and when the other has ended
        next_start(&rig);
        put(&rig.path("go"), b"");
        while !rig.path("ended").exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        next_start(&rig);
        assert_eq!(rig.text(), text);
    });
}

#[test]
fn a_kill_while_the_text_is_put_back() {
    each(&[Way::Replace, Way::Append, Way::Command], |makemap, way| {
        for point in ["put-back-begun", "put-back-replaced", "put-back-done"] {
            let rig = rig(makemap, way);
            let before = says(&rig);
            let fail = format!("text-put=error,{point}=kill");
            assert_eq!(change(&rig, &fail, "+new.example"), Ended::Killed);
            let (text, map) = says(&rig);
            let is_put = text.contains("Try_TLS:new.example\tNO\n# END");
            assert_eq!(is_put, point == "put-back-begun");
            assert!(is_put || text == before.0);
            assert_eq!(map, before.1);
            next_start(&rig);
            assert_eq!(rig.text(), text);
        }
    });
}

#[test]
fn a_kill_while_what_was_left_is_made_good() {
    for makemap in makemaps() {
        for first in ["scratch-made", "text-written", "text-put", "map-replaced"] {
            let rig = rig(&makemap, Way::Replace);
            assert_eq!(change(&rig, &format!("{first}=kill"), "+new.example"), Ended::Killed);
            let text = rig.text();
            assert!(!rig.leftovers().is_empty());
            for _ in 0..2 {
                assert_eq!(change(&rig, "left-found=kill", "mend"), Ended::Killed);
                assert_eq!(rig.text(), text);
            }
            next_start(&rig);
            assert_eq!(rig.text(), text);
        }
    }
}

#[test]
fn a_failure_point_that_there_is_not_is_told() {
    let rig = rig(&makemaps()[0], Way::Replace);
    for wrong in ["text-putt=kill", "text-put=kil", "text-put", "text-put=x*kill", "text-put=pause"]
    {
        let Ended::Failed(error) = change(&rig, wrong, "mend") else { panic!("{wrong}") };
        assert!(error.contains(&format!("TRYTLSD_FAIL: {wrong:?} is no failure point")), "{error}");
    }
}

#[test]
fn a_step_that_fails_changes_nothing() {
    each(&WAYS, |makemap, way| {
        for point in ["scratch-made", "text-written", "text-checked", "map-finished", "text-put"] {
            let rig = rig(makemap, way);
            let before = rig.state();
            match change(&rig, &format!("{point}=error"), "+new.example") {
                Ended::Failed(error) => {
                    assert!(error.contains(&format!("failure point {point}")), "{error}");
                    assert_eq!(rig.state(), before, "{way:?} {point}");
                    assert_eq!(change(&rig, "", "+new.example"), Ended::Well);
                }
                Ended::Well if way != Way::Replace => {
                    assert!(rig.text().contains("new.example"), "{way:?} {point}");
                }
                other => panic!("{way:?} {point}: {other:?}"),
            }
        }
    });
}

/// How an admin's editor saves: into the file, at its end, or as a new one.
const SAVES: [fn(&Rig, &str); 3] = [
    |rig, text| put(&rig.access(), text.as_bytes()),
    |rig, text| {
        let mut file = File::options().append(true).open(rig.access()).unwrap();
        file.write_all(text.strip_prefix(&rig.text()).unwrap().as_bytes()).unwrap();
    },
    |rig, text| {
        put(&rig.path("access.new"), text.as_bytes());
        #[expect(clippy::disallowed_methods, reason = "the test plays the admin")]
        std::fs::rename(rig.path("access.new"), rig.access()).unwrap();
    },
];

#[test]
fn a_save_in_the_last_moment_survives_the_kill() {
    each(&WAYS, |makemap, way| {
        for save in SAVES {
            for kill in ["text-replaced", "text-undone"] {
                let rig = rig(makemap, way);
                let saved = rig.text() + "Saved:1\tin the last moment\n";
                let fail = format!("text-checked=stop,{kill}=kill");
                let ended =
                    change_with(&rig, &fail, "+new.example", &mut [&mut || save(&rig, &saved)]);
                assert_eq!(ended, Ended::Killed);
                assert_eq!(rig.text() == saved, kill == "text-undone");
                // and a kill while it is given back
                if kill != "text-undone" {
                    assert_eq!(change(&rig, "left-put-back=kill", "mend"), Ended::Killed);
                    assert_eq!(rig.text(), saved);
                }
                next_start(&rig);
                assert_eq!(rig.text(), saved);
                assert!(!rig.path("access.saved-1").exists());
            }
        }
    });
}

#[test]
fn two_saves_around_a_kill_are_both_kept() {
    for makemap in makemaps() {
        for save in SAVES {
            let rig = rig(&makemap, Way::Replace);
            let first = rig.text() + "Saved:1\tin the last moment\n";
            let fail = "text-checked=stop,text-replaced=kill";
            let ended = change_with(&rig, fail, "+new.example", &mut [&mut || save(&rig, &first)]);
            assert_eq!(ended, Ended::Killed);
            let second = rig.text() + "Saved:2\tafter the kill\n";
            save(&rig, &second);
            next_start(&rig);
            assert_eq!(rig.text(), second);
            assert_eq!(std::fs::read_to_string(rig.path("access.saved-1")).unwrap(), first);
        }
    }
}

#[test]
fn saves_in_the_last_moment_without_a_kill() {
    each(&WAYS, |makemap, way| {
        for save in SAVES {
            // before the exchange of names, and once more on top of ours before it is undone
            for twice in [false, true] {
                let rig = rig(makemap, way);
                let saved = |n| format!("Saved:{n}\tin the last moment\n");
                let mut first = || save(&rig, &(rig.text() + &saved(1)));
                let mut second = || save(&rig, &(rig.text() + &saved(2)));
                let (fail, mut at): (_, Vec<&mut dyn FnMut()>) = if twice {
                    ("text-checked=1*stop,text-replaced=1*stop", vec![&mut first, &mut second])
                } else {
                    ("text-checked=1*stop", vec![&mut first])
                };
                assert_eq!(change_with(&rig, fail, "+new.example", &mut at), Ended::Well);
                // The second save was made of our text, in which the first was not: that is brought in.
                for n in 1..=at.len() {
                    assert_eq!(rig.text().matches(&saved(n)).count(), 1, "{n}: {}", rig.text());
                }
                assert!(rig.text().contains("Try_TLS:new.example\tNO\n"));
                next_start(&rig);
            }
        }
    });
}

#[test]
fn a_save_that_could_not_be_given_its_name_again_gets_it_later() {
    for makemap in makemaps() {
        for save in SAVES {
            let rig = rig(&makemap, Way::Replace);
            let saved = rig.text() + "Saved:1\tin the last moment\n";
            let fail = "text-checked=stop,text-unwanted=error";
            let ended = change_with(&rig, fail, "+new.example", &mut [&mut || save(&rig, &saved)]);
            let Ended::Failed(error) = ended else { panic!("{ended:?}") };
            assert!(error.contains("what others saved is in /"), "{error}");
            assert!(!rig.leftovers().is_empty());
            next_start(&rig);
            assert_eq!(rig.text(), saved);
        }
    }
}

#[test]
fn a_save_while_the_text_is_put_back() {
    for makemap in makemaps() {
        for save in SAVES {
            for kill in ["", ",put-back-replaced=kill"] {
                let rig = rig(&makemap, Way::Replace);
                let fail = format!("text-put=error,put-back-begun=stop{kill}");
                let mut saved = String::new();
                let mut work = || {
                    saved = rig.text() + "Saved:1\tmeanwhile\n";
                    save(&rig, &saved);
                };
                match change_with(&rig, &fail, "+new.example", &mut [&mut work]) {
                    Ended::Failed(error) => {
                        assert!(error.contains("others have changed it since"), "{error}");
                    }
                    ended => assert_eq!((ended, kill.is_empty()), (Ended::Killed, false)),
                }
                next_start(&rig);
                assert_eq!(rig.text(), saved);
            }
        }
    }
}

#[test]
fn what_is_written_into_the_replaced_file_is_not_lost() {
    each(&[Way::Replace, Way::Append, Way::Command], |makemap, way| {
        for kill in ["", ",displaced-found=kill"] {
            let rig = rig(makemap, way);
            let mut opened = File::options().append(true).open(rig.access()).unwrap();
            let mut work = || opened.write_all(b"Saved:1\ttoo late\n").unwrap();
            let fail = format!("text-put=1*stop{kill}");
            let fail = if way == Way::TextOnly { fail.replace("text-put", "synced") } else { fail };
            let ended = change_with(&rig, &fail, "+new.example", &mut [&mut work]);
            let expect = if kill.is_empty() { Ended::Well } else { Ended::Killed };
            assert_eq!(ended, expect, "{way:?}");
            next_start(&rig);
            assert!(rig.text().contains("Saved:1\ttoo late\n"), "{way:?} {kill}: {}", rig.text());
            // the killed one's entry may have gone with it; the caller knows from his ledger
            let there = rig.text().contains("Try_TLS:new.example\tNO\n");
            assert!(there || !kill.is_empty(), "{way:?}");
        }
    });
}
