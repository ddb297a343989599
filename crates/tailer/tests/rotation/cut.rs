//! A log that is cut or rotated more than once between two looks.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;

use tailer::{Start, Step};

use crate::rig::{Folder, Naming, Taking, check, read};

const ROUNDS: usize = 100;

/// Does something a hundred times to a log of which all was read, then looks: what is to be read each time.
#[track_caller]
fn check_rounds(what: &str, mut round: impl FnMut(&mut Folder, usize) -> String) {
    let mut folder = Folder::new(Naming::Numbers);
    folder.put("the first line\n");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "the first line\n");
    let mut seen = 0;
    for n in 0..ROUNDS {
        let expect = round(&mut folder, n);
        let text = read(&mut follower);
        assert_eq!(text, expect, "{what}, round {n}");
        seen += usize::from(text == expect);
    }
    println!("{what}: {seen} of {ROUNDS}");
}

#[test]
fn cut_and_grown_past_the_place() {
    check_rounds("cut and grown past the place", |folder, n| {
        folder.writer().set_len(0).unwrap();
        let lines = format!("round {n}, more than before\n").repeat(n + 2);
        folder.put(&lines);
        lines
    });
}

#[test]
fn cut_and_grown_to_the_same_size() {
    check_rounds("cut and grown to the same size", |folder, n| {
        folder.writer().set_len(0).unwrap();
        // 15 bytes, as the first line has.
        let line = format!("line number {n:02}\n");
        folder.put(&line);
        line
    });
}

#[test]
fn cut_and_grown_to_less() {
    check_rounds("cut and grown to less", |folder, n| {
        folder.writer().set_len(0).unwrap();
        folder.put(&format!("{n}\n"));
        let mut text = format!("{n}\n");
        if n % 2 == 0 {
            folder.writer().set_len(0).unwrap();
            text = format!("{n}, written over\n");
            folder.put(&text);
        }
        text
    });
}

#[test]
fn copytruncate_with_lines_before_and_after() {
    check_rounds("lines, copytruncate, more lines than before", |folder, n| {
        folder.put(&format!("{n} a\n"));
        folder.rotate(Taking::Copytruncate);
        if n % 3 == 0 {
            folder.pack(1);
        }
        let after = format!("{n} b\n").repeat(if n % 2 == 0 { 1 } else { 100 });
        folder.put(&after);
        format!("{n} a\n{after}")
    });
}

#[test]
fn copytruncate_right_after_the_line() {
    check_rounds("a line, copytruncate, nothing more", |folder, n| {
        folder.put(&format!("{n} a\n"));
        // Later than the last look by the file system's clock, whose step may be 4 ms.
        std::thread::sleep(std::time::Duration::from_millis(5));
        folder.put(&format!("{n} b\n"));
        folder.rotate(Taking::Copytruncate);
        format!("{n} a\n{n} b\n")
    });
}

#[test]
fn rotated_twice_between_two_looks() {
    for (taking, what) in
        [(Taking::Rename, "renamed twice"), (Taking::Copytruncate, "copied and cut twice")]
    {
        check_rounds(what, |folder, n| {
            folder.put(&format!("{n} a\n"));
            folder.rotate(taking);
            folder.put(&format!("{n} b\n"));
            folder.rotate(taking);
            if n % 2 == 0 {
                folder.pack(2);
            }
            if n % 4 == 0 {
                folder.pack(1);
            }
            folder.put(&format!("{n} c\n"));
            format!("{n} a\n{n} b\n{n} c\n")
        });
    }
}

#[test]
fn renamed_with_late_lines() {
    check_rounds("renamed, late lines to the old file", |folder, n| {
        let mut old = folder.writer();
        folder.put(&format!("{n} a\n"));
        folder.rotate(Taking::Rename);
        old.write_all(format!("{n} b\n").as_bytes()).unwrap();
        folder.put(&format!("{n} c\n"));
        format!("{n} a\n{n} b\n{n} c\n")
    });
}

#[test]
fn renamed_and_packed_before_the_first_line_was_read() {
    let mut folder = Folder::new(Naming::Numbers);
    folder.put("0 b\n");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "0 b\n");
    for n in 1..ROUNDS {
        folder.rotate(Taking::Rename);
        folder.put("");
        check(&mut follower, "");
        folder.put(&format!("{n} a\n"));
        folder.rotate(Taking::Rename);
        folder.pack(1);
        folder.put(&format!("{n} b\n"));
        check(&mut follower, &format!("{n} a\n{n} b\n"));
    }
}

#[test]
fn removed_and_made_anew() {
    check_rounds("removed, made anew", |folder, n| {
        folder.put(&format!("{n} a\n"));
        fs::remove_file(folder.log()).unwrap();
        folder.put(&format!("{n} b\n"));
        format!("{n} a\n{n} b\n")
    });
}

#[test]
fn rotations_that_are_numbered_upwards_are_not_read_again() {
    check_rounds("renamed to the next higher number", |folder, n| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        folder.put(&format!("{n} a\n"));
        fs::rename(folder.log(), folder.at(&format!("mail.log.{n}"))).unwrap();
        folder.put(&format!("{n} b\n"));
        format!("{n} a\n{n} b\n")
    });
}

#[test]
fn a_half_line_that_was_copied_is_read_from_the_copy() {
    let mut folder = Folder::new(Naming::Numbers);
    folder.put("1\nha");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "1\n");
    folder.put("lf\n2\n");
    folder.rotate(Taking::Copytruncate);
    folder.put("3\n");
    check(&mut follower, "half\n2\n3\n");
}

#[test]
fn a_half_line_and_its_file_were_cut() {
    let folder = Folder::new(Naming::Numbers);
    folder.put("ha");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "");
    // As long as what was there: only the bytes tell.
    folder.writer().set_len(0).unwrap();
    folder.put("another\n");
    check(&mut follower, "another\n");
}

#[test]
fn a_file_that_is_cut_while_it_is_read() {
    let mut folder = Folder::new(Naming::Numbers);
    let lines: String = (0..100_000).map(|n| format!("line {n} before the cut\n")).collect();
    folder.put(&lines);
    let mut follower = folder.follow(Start::Beginning);
    let mut text = match follower.step() {
        Step::Lines { bytes, .. } => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    folder.rotate(Taking::Copytruncate);
    let after: String = (0..100_000).map(|n| format!("line {n} after it\n")).collect();
    folder.put(&after);
    text += &read(&mut follower);
    assert!(text == lines + &after);
}

#[test]
fn a_copy_that_is_overwritten_by_the_next() {
    let folder = Folder::new(Naming::Numbers);
    let mut follower = folder.follow(Start::Beginning);
    folder.put("first\n");
    check(&mut follower, "first\n");
    for n in 0..100 {
        let line = format!("{n}\n").repeat(1 + n % 5);
        folder.put(&line);
        // Into the same file each time.
        fs::copy(folder.log(), folder.at("mail.log.1")).unwrap();
        folder.writer().set_len(0).unwrap();
        folder.put(&format!("after {n}\n"));
        check(&mut follower, &format!("{line}after {n}\n"));
    }
}

#[test]
fn bytes_that_are_changed_before_the_place() {
    let folder = Folder::new(Naming::Numbers);
    folder.put("one\ntwo\n");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "one\ntwo\n");
    // Edited in place by hand: it is another file now.
    File::options().write(true).open(folder.log()).unwrap().write_all_at(b"ONE", 0).unwrap();
    check(&mut follower, "ONE\ntwo\n");
}
