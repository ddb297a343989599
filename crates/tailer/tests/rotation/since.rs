//! The first start in a huge log: where a time begins.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tailer::{Since, Start};

use crate::rig::{Folder, Naming, Taking, read};

/// The time in a line that begins with it, in seconds since 1970.
fn seconds(line: &[u8]) -> Option<u64> {
    std::str::from_utf8(line).ok()?.split(' ').next()?.parse().ok()
}

/// Wants lines of `from` and later; also counts how many lines were asked.
fn since(from: u64) -> (Start, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let since = Since::new(SystemTime::UNIX_EPOCH + Duration::from_secs(from), move |line| {
        count.fetch_add(1, Ordering::Relaxed);
        seconds(line).map(|at| at < from)
    });
    (Start::Since(since), asked)
}

fn lines(times: impl IntoIterator<Item = u64>) -> String {
    times.into_iter().map(|at| format!("{at} a line of some length, as logs have them\n")).collect()
}

/// Sets the time at which a file was last written.
fn written(folder: &Folder, age: usize, at: u64) {
    let path = if age == 0 { folder.log() } else { folder.rotated(age) };
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
    File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_huge_log_is_not_read_through() {
    let folder = Folder::new(Naming::Numbers);
    folder.put(&lines(0..200_000));
    for from in [0, 1, 77_777, 199_990, 199_999, 200_000, 300_000] {
        let (start, asked) = since(from);
        assert!(read(&mut folder.follow(start)) == lines(from.min(200_000)..200_000), "{from}");
        let asked = asked.load(Ordering::Relaxed);
        assert!(asked < 600, "{from}: {asked} lines were asked");
    }
}

#[test]
fn lines_that_do_not_tell_their_time() {
    let folder = Folder::new(Naming::Numbers);
    // Long runs of them, one of which is longer than what is looked at; and a line that is half-written.
    let mute = "a line without a time\n";
    let mut text = String::new();
    for at in 0..300 {
        text += &lines([at]);
        text += &mute.repeat(if at == 150 { 20_000 } else { at as usize });
    }
    text += "299 half a li";
    folder.put(&text);
    for from in 0..310 {
        let (start, _) = since(from);
        let found = read(&mut folder.follow(start));
        let first = lines([from]);
        let whole = text.strip_suffix("299 half a li").unwrap();
        let least = whole.find(&first).map_or("", |at| whole.get(at..).unwrap());
        assert!(whole.ends_with(&found) && found.ends_with(least), "{from}");
        // Not much more than is wanted.
        assert!(found.len() <= least.len() + 600 * 1024, "{from}: {}", found.len() - least.len());
    }
}

#[test]
fn rotated_files_that_reach_into_the_time_are_read_first() {
    let mut folder = Folder::new(Naming::Numbers);
    for day in 0..5 {
        folder.put(&lines(day * 1000..day * 1000 + 900));
        written(&folder, 0, day * 1000 + 899);
        if day < 4 {
            folder.rotate(Taking::Rename);
        }
    }
    folder.pack(4);
    folder.pack(2);
    let all = |from: u64| lines((0..5000).filter(|at| at % 1000 < 900 && *at >= from));
    let check = |from: u64, expect: String| {
        assert!(read(&mut folder.follow(since(from).0)) == expect, "{from}");
    };
    check(4100, all(4100));
    check(3950, all(4000));
    check(3100, all(3100));
    // A packed one is read from its beginning.
    check(2100, all(2000));
    check(1100, all(1100));
    check(950, all(1000));
    check(10, all(0));
}

#[test]
fn an_empty_or_missing_log_has_its_lines_in_the_rotated_file() {
    let mut folder = Folder::new(Naming::Dates);
    folder.put(&lines(0..100));
    folder.rotate(Taking::Rename);
    assert_eq!(read(&mut folder.follow(since(90).0)), lines(90..100));
    folder.put("");
    assert_eq!(read(&mut folder.follow(since(90).0)), lines(90..100));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn begins_at_the_first_line_that_is_not_older(
        steps in proptest::collection::vec((0..3_u64, 0..400_usize), 0..500),
        from in 0..800_u64,
    ) {
        let mut at = 0;
        let (mut before, mut after) = (String::new(), String::new());
        for (step, length) in steps {
            at += step;
            let to = if at < from { &mut before } else { &mut after };
            to.push_str(&format!("{at} {}\n", "x".repeat(length)));
        }
        let folder = Folder::new(Naming::Numbers);
        folder.put(&format!("{before}{after}"));
        prop_assert_eq!(read(&mut folder.follow(since(from).0)), after);
    }
}
