//! An admin saves the access file while we change it, in all the ways that editors have: nothing of his is lost, our block
//! is whole, and nobody else ever sees half a file.

#![cfg(debug_assertions)] // a release has no failure points
#![expect(
    clippy::unwrap_used,
    reason = "test code, though some of it outside of the test functions"
)]

mod rig;

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use access::block;
use rig::process::{Ended, change, change_with};
use rig::{Makemap, Rig, at_rest, makemaps, put};

const ADMIN: &str = "# mine\nConnect:127\tRELAY\nTo:x.example\tREJECT\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Editor {
    /// Truncates the file and writes it in two pieces.
    InPlace,
    /// Writes a new file and renames it.
    ByRename,
    /// Adds to the end.
    Append,
}

const EDITORS: [Editor; 3] = [Editor::InPlace, Editor::ByRename, Editor::Append];

impl Editor {
    fn add(self, rig: &Rig, line: &str) {
        let text = std::fs::read_to_string(rig.access()).unwrap() + line;
        match self {
            Self::InPlace => {
                let mut file =
                    File::options().write(true).truncate(true).open(rig.access()).unwrap();
                let (first, second) = text.as_bytes().split_at(text.len() / 2);
                file.write_all(first).unwrap();
                sleep(Duration::from_millis(1));
                file.write_all(second).unwrap();
            }
            Self::ByRename => {
                put(&rig.path("access.new"), text.as_bytes());
                #[expect(clippy::disallowed_methods, reason = "the test plays the admin")]
                std::fs::rename(rig.path("access.new"), rig.access()).unwrap();
            }
            Self::Append => {
                let mut file = File::options().append(true).open(rig.access()).unwrap();
                file.write_all(line.as_bytes()).unwrap();
            }
        }
    }
}

fn saved(n: u32) -> String {
    format!("Saved:{n}\tby the admin\n")
}

/// Looks at the file until it is told to stop: whole lines, whole blocks, and all that was there at the beginning.
fn watch(rig: &Rig, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let text = rig.text();
        assert!(text.starts_with(ADMIN) && text.ends_with('\n'), "{text}");
        assert!(block::parse(text.as_bytes()).oddities.is_empty(), "{text}");
        sleep(Duration::from_millis(1));
    }
}

fn stress(makemap: &Makemap, editors: &[Editor], seed: u32) {
    let rig = &Rig::new(makemap, ADMIN.as_bytes());
    let (done, mut count) = (&AtomicBool::new(false), 0);
    scope(|scope| {
        scope.spawn(move || {
            let points = ["text-checked", "text-replaced", "text-undone", "text-put", "synced"];
            let fail = points.map(|point| format!("{point}=pause:10")).join(",");
            let ended = change(rig, &fail, "*25");
            done.store(true, Ordering::Relaxed);
            assert_eq!(ended, Ended::Well);
        });
        if !editors.contains(&Editor::InPlace) {
            scope.spawn(move || watch(rig, done));
        }
        let mut random = seed;
        while !done.load(Ordering::Relaxed) {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Mostly in a burst, and now and then at rest for long enough that we come to our change.
            sleep(Duration::from_millis(u64::from(random >> 16) % 400));
            let editor = editors[(random >> 8) as usize % editors.len()];
            editor.add(rig, &saved(count));
            count += 1;
        }
    });
    rig.open().mend().unwrap();
    let text = rig.text();
    assert!(text.starts_with(ADMIN), "{text}");
    assert!(block::parse(text.as_bytes()).oddities.is_empty(), "{text}");
    // What could not be brought together is kept beside.
    let kept = (1..100)
        .map_while(|n| std::fs::read_to_string(rig.path(&format!("access.saved-{n}"))).ok());
    let kept = kept.collect::<String>();
    for n in 0..count {
        let times = text.matches(&saved(n)).count();
        assert!(
            times == 1 || kept.contains(&saved(n)),
            "{editors:?} {n} of {count}: {times} times: {text}"
        );
    }
    for line in block::foreign_lines(text.as_bytes()) {
        let line = std::str::from_utf8(line).unwrap();
        assert!(ADMIN.contains(line) || (0..count).any(|n| line == saved(n)), "{line:?} in {text}");
    }
    assert!(rig.leftovers().is_empty());
    let map = rig.map();
    rig.make();
    assert_eq!(rig.map(), map);
    assert!(count > 0);
}

#[test]
fn an_admin_who_saves_all_the_time_loses_nothing() {
    let mixes: [&[Editor]; 4] = [&EDITORS[..1], &EDITORS[1..2], &EDITORS[2..], &EDITORS];
    let makemaps = makemaps();
    scope(|scope| {
        for makemap in &makemaps {
            for (seed, mix) in (1..).zip(mixes) {
                scope.spawn(move || stress(makemap, mix, seed));
            }
        }
    });
}

#[test]
fn a_save_that_takes_its_time_is_not_taken_for_a_whole_one() {
    // an editor that writes in pieces, a program that writes to `> access` and leaves it empty for long, and one that
    // pauses for longer than is waited for: what it writes then is brought in
    let slow: [(&[&str], u64); 3] = [
        (&["# mine\nConn", "ect:127\tRELAY", "\n"], 60),
        (&["# mine\nConnect:127\tRELAY\n"], 700),
        (&["# mine\nConn", "ect:127\tRELAY", "\n"], 500),
    ];
    for makemap in makemaps() {
        for (pieces, pause) in slow {
            let rig = Rig::new(&makemap, ADMIN.as_bytes()).wrap(
                "case \"$*\" in *' -u '*) ;; *) echo >> $FOLDER/builds;; esac; exec $MAKEMAP \"$@\"",
            );
            let mut store = rig.open();
            let file = File::options().write(true).truncate(true).open(rig.access());
            let mut file = file.unwrap();
            let entry = rig::entries(&["mx.example.org"]);
            scope(|scope| {
                let applied = scope.spawn(|| store.apply(&entry, &[]).map(drop));
                for piece in pieces {
                    sleep(Duration::from_millis(pause));
                    file.write_all(piece.as_bytes()).unwrap();
                }
                applied.join().unwrap().unwrap();
            });
            store.mend().unwrap();
            let text = rig.text();
            assert!(text.starts_with("# mine\nConnect:127\tRELAY\n# BEGIN"), "{text}");
            assert_eq!(rig.map(), ["connect:127=RELAY", "try_tls:mx.example.org=NO"]);
            // an empty one is waited for much longer than this takes
            let builds = std::fs::read(rig.path("builds")).unwrap().len();
            assert!(builds == 1 || pieces.len() > 1, "{builds}");
        }
    }
}

#[test]
fn a_text_that_was_just_saved_is_not_read_at_once() {
    use rustix::fs::{Timespec, Timestamps, futimens};
    let rig = Rig::new(&makemaps()[0], ADMIN.as_bytes());
    // With a time in the future it was just saved, however slow the machine is.
    let at = Timespec { tv_sec: 4_000_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: at, last_modification: at };
    futimens(File::open(rig.access()).unwrap(), &times).unwrap();
    let mut store = rig.open();
    let begin = Instant::now();
    store.apply(&rig::entries(&["mx.example.org"]), &[]).unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_half_save_that_was_taken_for_a_whole_one_is_completed() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN.as_bytes());
        put(&rig.access(), b"# mine\nConn");
        at_rest(&rig.access());
        let mut file = File::options().append(true).open(rig.access()).unwrap();
        let mut rest = || file.write_all(b"ect:127\tRELAY\n").unwrap();
        let ended = change_with(&rig, "text-put=1*stop", "+mx.example.org", &mut [&mut rest]);
        assert_eq!(ended, Ended::Well);
        assert!(rig.text().starts_with("# mine\nConnect:127\tRELAY\n# BEGIN"), "{}", rig.text());
        assert_eq!(rig.map(), ["connect:127=RELAY", "try_tls:mx.example.org=NO"]);
    }
}

#[test]
fn an_editor_that_takes_the_file_away_first_is_waited_for() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN.as_bytes());
        let mut store = rig.open();
        #[expect(clippy::disallowed_methods, reason = "the test plays the admin")]
        std::fs::rename(rig.access(), rig.path("access~")).unwrap();
        scope(|scope| {
            scope.spawn(|| {
                sleep(Duration::from_millis(100));
                put(&rig.access(), b"To:y.example\tREJECT\n");
            });
            store.apply(&rig::entries(&["mx.example.org"]), &[]).unwrap();
        });
        assert!(rig.text().starts_with("To:y.example\tREJECT\n# BEGIN"), "{}", rig.text());
    }
}

#[test]
fn what_cannot_be_brought_together_is_kept_beside() {
    for makemap in makemaps() {
        let rig = Rig::new(&makemap, ADMIN.as_bytes());
        let mut file = File::options().write(true).open(rig.access()).unwrap();
        let mut rest = || {
            // he overwrites the old file, and somebody else adds to the new one
            file.write_all(b"# YOURS\n").unwrap();
            Editor::Append.add(&rig, &saved(1));
        };
        let ended = change_with(&rig, "text-put=1*stop", "+mx.example.org", &mut [&mut rest]);
        assert_eq!(ended, Ended::Well);
        let kept = std::fs::read_to_string(rig.path("access.saved-1")).unwrap();
        assert!(kept.starts_with("# YOURS\n"), "{kept}");
        assert!(rig.text().starts_with(ADMIN) && rig.text().ends_with(&saved(1)));
        assert!(!rig.path("access.saved-2").exists() && rig.leftovers().is_empty());
    }
}
