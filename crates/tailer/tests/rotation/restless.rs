//! A log that is rotated all the time, each way, while its reader is stopped and killed at random: every line comes once.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tailer::{Next, Options, Place, Start, Tail};

use crate::rig::{Folder, Naming, Taking, through_text};

const LINES: usize = 6_000;

/// Lines from one rotation to the next.
const EVERY: usize = 20;

/// Rotated files that are kept.
const KEPT: usize = 12;

/// Writes numbered lines and rotates, never so fast that what was not read yet would be removed.
fn write(folder: &mut Folder, stored: &AtomicUsize) {
    folder.put("0\n");
    // Before a line was read nothing can be known to be newer.
    while stored.load(Ordering::Relaxed) == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    for n in 1..LINES {
        folder.put(&format!("{n}\n"));
        if !n.is_multiple_of(EVERY) {
            continue;
        }
        let rotation = n / EVERY;
        folder.rotate(if rotation.is_multiple_of(3) {
            Taking::Copytruncate
        } else {
            Taking::Rename
        });
        // At once, or as with logrotate's delaycompress, or never.
        let pack = [1, 2, 2, 2, 0][rotation % 5];
        if pack > 0 && folder.rotated(pack).exists() {
            folder.pack(pack);
        }
        folder.remove_older(KEPT);
        while stored.load(Ordering::Relaxed) + EVERY * (KEPT - 3) < n {
            thread::sleep(Duration::from_micros(100));
        }
    }
}

#[test]
fn a_reader_that_is_killed_all_the_time_misses_nothing() {
    let mut folder = Folder::new(Naming::Numbers);
    let log = folder.log();
    folder.put("");
    let stored = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| write(&mut folder, &stored));
        read(&log, &stored);
    });
}

/// Reads all lines, stopped and killed all the time.
fn read(log: &Path, stored: &AtomicUsize) {
    let (mut place, mut place_at) = (Place::default(), 0);
    let (mut kills, mut blocks) = (0, 0_u64);
    while place_at < LINES {
        let options = Options { poll_interval: Duration::from_millis(1), ..Options::default() };
        let start = Start::At(through_text(&place));
        let mut tail = Tail::new([(log.to_owned(), start)], options);
        let mut read = place_at;
        // Of no fixed length, so that it ends anywhere.
        let end = Instant::now() + Duration::from_micros(500 + blocks * 7919 % 9_000);
        while Instant::now() < end && read < LINES {
            match tail.next_within(Duration::from_millis(1)) {
                Next::Lines { bytes, .. } => {
                    for line in std::str::from_utf8(bytes).unwrap().lines() {
                        assert_eq!(line, read.to_string());
                        read += 1;
                    }
                    blocks += 1;
                }
                Next::Lost { loss, .. } => panic!("at line {read}: {loss}"),
                Next::Trouble { error, .. } => panic!("at line {read}: {error}"),
                Next::CaughtUp { .. } | Next::Missing { .. } | Next::Called | Next::Quiet => {}
            }
            // The last blocks before it is killed are not stored, and are read again.
            if !blocks.is_multiple_of(3) {
                (place, place_at) = (tail.place(0), read);
                stored.store(place_at, Ordering::Relaxed);
            }
        }
        kills += 1;
    }
    println!("{LINES} lines across {} rotations and {kills} kills: all, each once", LINES / EVERY);
}
