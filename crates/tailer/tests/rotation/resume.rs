//! Back to a place, whatever was done to the log while nobody followed it.

use std::fs;
use std::io::Write;

use tailer::{Error, Loss, Place, Start, Step};

use crate::rig::{Folder, Naming, Taking, check, gzip, read, read_with_losses};

const NAMINGS: [Naming; 2] = [Naming::Numbers, Naming::Dates];
const TAKINGS: [Taking; 2] = [Taking::Rename, Taking::Copytruncate];

/// Lines that are written while nobody follows the log, across so many rotations, of which so many are packed.
#[track_caller]
fn check_down(naming: Naming, taking: Taking, rotations: usize, packed: usize, begun: &str) {
    let mut folder = Folder::new(naming);
    folder.put(begun);
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, begun);
    let place = follower.place();
    drop(follower);
    let mut expect = String::new();
    for rotation in 0..=rotations {
        let lines = format!("down {rotation} a\ndown {rotation} b\n");
        folder.put(&lines);
        expect += &lines;
        if rotation < rotations {
            folder.rotate(taking);
        }
    }
    for age in rotations + 1 - packed..=rotations {
        folder.pack(age);
    }
    let what = format!("{naming:?} {taking:?} {rotations} rotations, {packed} packed");
    let mut follower = folder.resume(&place);
    assert_eq!(read(&mut follower), expect, "{what}");
    // And what comes then, and the way back to that.
    folder.put("up\n");
    assert_eq!(read(&mut follower), "up\n", "{what}");
    let place = follower.place();
    folder.put("again\n");
    assert_eq!(read(&mut folder.resume(&place)), "again\n", "{what}");
}

#[test]
fn lines_written_while_down() {
    let mut runs = 0;
    for i in 0..25 {
        let begun = format!("before {i}\n").repeat(1 + i * i);
        for naming in NAMINGS {
            for taking in TAKINGS {
                for rotations in 0..=3 {
                    for packed in 0..=rotations {
                        check_down(naming, taking, rotations, packed, &begun);
                        runs += 1;
                    }
                }
            }
        }
    }
    println!("lines written while down, across zero to three rotations: {runs} of {runs}");
}

#[test]
fn a_huge_file_that_was_packed() {
    let begun: String = (0..200_000).map(|n| format!("a line before, of number {n}\n")).collect();
    check_down(Naming::Numbers, Taking::Rename, 1, 1, &begun);
}

#[test]
fn an_older_place_gives_the_lines_after_it_again() {
    let mut folder = Folder::new(Naming::Numbers);
    folder.put("1\n2\n");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "1\n2\n");
    let mut places = vec![(follower.place(), String::new())];
    for n in 3..40 {
        let line = format!("{n}\n");
        folder.put(&line);
        check(&mut follower, &line);
        places.iter_mut().for_each(|(_, after)| after.push_str(&line));
        places.push((follower.place(), String::new()));
        match n % 7 {
            0 => folder.rotate(Taking::Rename),
            3 => folder.rotate(Taking::Copytruncate),
            _ => {}
        }
        for (place, after) in &places {
            check(&mut folder.resume(place), after);
        }
    }
}

#[test]
fn resumed_lines_are_not_live_until_the_end_was_reached() {
    let mut folder = Folder::new(Naming::Numbers);
    folder.put("1\n");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "1\n");
    folder.put("2\n");
    folder.rotate(Taking::Rename);
    folder.put("3\n");
    let mut follower = folder.resume(&follower.place());
    for expect in ["2\n", "3\n"] {
        match follower.step() {
            Step::Lines { bytes, live: false, .. } => assert_eq!(bytes, expect.as_bytes()),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(follower.step(), Step::CaughtUp));
    folder.put("4\n");
    assert!(matches!(follower.step(), Step::Lines { bytes: b"4\n", live: true, .. }));
}

#[test]
fn the_place_in_a_former_file_is_kept_too() {
    let mut folder = Folder::new(Naming::Numbers);
    folder.put("1\n");
    let mut old = folder.writer();
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "1\n");
    folder.rotate(Taking::Rename);
    folder.put("3\n");
    check(&mut follower, "3\n");
    let place = follower.place();
    // Late lines while nobody follows.
    old.write_all(b"2\n").unwrap();
    folder.put("4\n");
    check(&mut folder.resume(&place), "2\n4\n");
    folder.rotate(Taking::Rename);
    folder.put("5\n");
    folder.pack(2);
    check(&mut folder.resume(&place), "2\n4\n5\n");
    // A renamed file that gets late lines once more.
    let mut follower = folder.resume(&place);
    check(&mut follower, "2\n4\n5\n");
    fs::OpenOptions::new()
        .append(true)
        .open(folder.rotated(1))
        .unwrap()
        .write_all(b"late\n")
        .unwrap();
    check(&mut follower, "late\n");
}

#[test]
fn a_place_before_anything_of_the_current_file_was_given_out() {
    for packed in [false, true] {
        let mut folder = Folder::new(Naming::Numbers);
        folder.put("1\n");
        let mut follower = folder.follow(Start::Beginning);
        check(&mut follower, "1\n");
        folder.rotate(Taking::Rename);
        folder.put("");
        if packed {
            // Read to its end and let go at once: nothing is held that could have a mark.
            folder.pack(1);
            follower = folder.resume(&follower.place());
        }
        check(&mut follower, "");
        assert_eq!(follower.draining(), !packed);
        let place = follower.place();
        drop(follower);
        // The empty file goes, and its inode may be given to another.
        fs::remove_file(folder.log()).unwrap();
        folder.put("2\n");
        folder.rotate(Taking::Rename);
        folder.put("3\n");
        check(&mut folder.resume(&place), "2\n3\n");
    }
}

#[test]
fn a_place_in_the_middle_of_a_back_log() {
    let mut folder = Folder::new(Naming::Numbers);
    folder.put("1\n");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "1\n");
    for n in 2..9 {
        folder.put(&format!("{n}\n"));
        folder.rotate(Taking::Rename);
        if n % 2 == 0 {
            folder.pack(1);
        }
    }
    // Stopped after each block.
    let mut place = follower.place();
    for n in 2..10 {
        let mut follower = folder.resume(&place);
        match follower.step() {
            Step::Lines { bytes, .. } => assert_eq!(bytes, format!("{n}\n").as_bytes()),
            other => panic!("{other:?}"),
        }
        place = follower.place();
        if n == 5 {
            // Another rotation meanwhile.
            folder.put("9\n");
            folder.rotate(Taking::Rename);
        }
    }
    check(&mut folder.resume(&place), "");
}

#[test]
fn a_log_that_is_missing_has_its_rest_in_the_rotated_file() {
    let mut folder = Folder::new(Naming::Dates);
    folder.put("1\n");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "1\n");
    folder.put("2\n");
    folder.rotate(Taking::Rename);
    let mut follower = folder.resume(&follower.place());
    check(&mut follower, "2\n");
    assert!(matches!(follower.step(), Step::Missing));
    folder.put("3\n");
    check(&mut follower, "3\n");
}

#[test]
fn other_ways_to_move_a_log() {
    type Case = (&'static str, fn(&Folder));
    let cases: [Case; 4] = [
        // To a name that no rotation gives.
        ("renamed", |folder| fs::rename(folder.log(), folder.at("kept")).unwrap()),
        // To another inode: restored, or edited in place.
        ("restored", |folder| {
            fs::copy(folder.log(), folder.at("copy")).unwrap();
            fs::rename(folder.at("copy"), folder.log()).unwrap();
        }),
        ("linked", |folder| {
            fs::rename(folder.log(), folder.at("real")).unwrap();
            std::os::unix::fs::symlink("real", folder.log()).unwrap();
        }),
        ("linked and rotated there", |folder| {
            fs::create_dir(folder.at("data")).unwrap();
            fs::rename(folder.log(), folder.at("data/real.1")).unwrap();
            fs::write(folder.at("data/real"), "").unwrap();
            std::os::unix::fs::symlink("data/real", folder.log()).unwrap();
        }),
    ];
    for (what, case) in cases {
        let folder = Folder::new(Naming::Numbers);
        folder.put("1\n");
        let mut follower = folder.follow(Start::Beginning);
        check(&mut follower, "1\n");
        let place = follower.place();
        drop(follower);
        folder.put("2\n");
        case(&folder);
        folder.put("3\n");
        assert_eq!(read(&mut folder.resume(&place)), "2\n3\n", "{what}");
    }
}

#[test]
fn what_is_lost_is_told_once_and_the_current_file_is_read() {
    type Case = (&'static str, fn(&Folder));
    let cases: [Case; 3] = [
        ("removed", |folder| fs::remove_file(folder.log()).unwrap()),
        ("cut", |folder| folder.writer().set_len(0).unwrap()),
        ("replaced", |folder| {
            let other = folder.at("other");
            fs::write(&other, "another head, and it is longer\n".repeat(20)).unwrap();
            fs::rename(other, folder.log()).unwrap();
        }),
    ];
    for (what, case) in cases {
        let folder = Folder::new(Naming::Numbers);
        folder.put("line 1\n");
        let mut follower = folder.follow(Start::Beginning);
        check(&mut follower, "line 1\n");
        let place = follower.place();
        drop(follower);
        case(&folder);
        folder.put("line 2\n");
        let mut follower = folder.resume(&place);
        let (text, losses) = read_with_losses(&mut follower);
        assert!(text.ends_with("line 2\n"), "{what}: {text}");
        assert!(matches!(&losses[..], [Loss::Place { .. }]), "{what}: {losses:?}");
        folder.put("line 3\n");
        check(&mut follower, "line 3\n");
        check(&mut folder.resume(&follower.place()), "");
    }
}

#[test]
fn a_file_that_is_being_packed_is_read_once_and_plain() {
    for begun_packing in [&b""[..], b"\x1f\x8b", &gzip(b"1\n2\n"), &gzip(b"1\n2\n")[..15]] {
        let mut folder = Folder::new(Naming::Numbers);
        folder.put("1\n");
        let mut follower = folder.follow(Start::Beginning);
        check(&mut follower, "1\n");
        folder.put("2\n");
        folder.rotate(Taking::Rename);
        folder.put("3\n");
        fs::write(folder.packed(1), begun_packing).unwrap();
        check(&mut folder.resume(&follower.place()), "2\n3\n");
        // It is newer than where the place is.
        folder.rotate(Taking::Rename);
        folder.put("4\n");
        fs::write(folder.packed(1), begun_packing).unwrap();
        check(&mut folder.resume(&follower.place()), "2\n3\n4\n");
    }
}

#[test]
fn packed_files_with_faults() {
    type Is = fn(&Error) -> bool;
    let members = [gzip(b"1\n2\n"), gzip(b"3\n")].concat();
    let whole = gzip(b"1\n2\n3\n");
    let mut damaged = gzip("1\n2\n3\n".repeat(500).as_bytes());
    let sum = damaged.len() - 5;
    damaged[sum] ^= 1;
    let cases: [(&str, &[u8], &str, Option<Is>); 6] = [
        ("whole", &whole, "2\n3\n", None),
        ("two members", &members, "2\n3\n", None),
        // Its sum is missing.
        (
            "truncated",
            &whole[..whole.len() - 4],
            "2\n3\n",
            Some(|e| matches!(e, Error::Truncated { .. })),
        ),
        ("damaged", &damaged, "2\n3\n", Some(|e| matches!(e, Error::Damaged { .. }))),
        ("empty", b"", "", None),
        ("xz", b"\xfd7zXZ\0 and more", "", None),
    ];
    for (what, bytes, expect, is) in cases {
        let mut folder = Folder::new(Naming::Numbers);
        folder.put("1\n");
        let mut follower = folder.follow(Start::Beginning);
        check(&mut follower, "1\n");
        let place = follower.place();
        drop(follower);
        folder.rotate(Taking::Rename);
        fs::remove_file(folder.rotated(1)).unwrap();
        fs::write(folder.packed(1), bytes).unwrap();
        folder.put("4\n");
        let (text, losses) = read_with_losses(&mut folder.resume(&place));
        let lost_place = losses.iter().any(|loss| matches!(loss, Loss::Place { .. }));
        assert_eq!(lost_place, expect.is_empty(), "{what}: {losses:?}");
        assert!(text.starts_with(expect) && text.ends_with("4\n"), "{what}: {text}");
        let faults: Vec<&Error> = losses
            .iter()
            .filter_map(|loss| match loss {
                Loss::File(error) => Some(error),
                Loss::Place { .. } | Loss::Entry { .. } => None,
            })
            .collect();
        match is {
            Some(is) => assert!(faults.len() == 1 && is(faults[0]), "{what}: {losses:?}"),
            None => assert!(faults.is_empty(), "{what}: {losses:?}"),
        }
    }
}

#[test]
fn a_newer_file_that_cannot_be_read_is_told_and_the_next_is_read() {
    let mut folder = Folder::new(Naming::Numbers);
    folder.put("1\n");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "1\n");
    for line in ["2\n", "3\n", "4\n"] {
        folder.put(line);
        folder.rotate(Taking::Rename);
    }
    fs::remove_file(folder.rotated(2)).unwrap();
    fs::write(folder.at("mail.log.2.xz"), b"\xfd7zXZ\0 and more").unwrap();
    folder.put("5\n");
    let (text, losses) = read_with_losses(&mut folder.resume(&follower.place()));
    assert_eq!(text, "2\n4\n5\n");
    assert!(matches!(&losses[..], [Loss::File(Error::Packed { tool: "xz", .. })]), "{losses:?}");
}

#[test]
fn a_place_of_a_log_that_was_never_there() {
    let folder = Folder::new(Naming::Numbers);
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "");
    assert_eq!(follower.place(), Place::default());
    folder.put("1\n");
    check(&mut folder.resume(&follower.place()), "1\n");
}

#[test]
fn a_place_is_the_same_before_the_first_look() {
    let folder = Folder::new(Naming::Numbers);
    folder.put("1\n");
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "1\n");
    let place = follower.place();
    assert_eq!(folder.resume(&place).place(), place);
}

#[test]
fn places_after_every_start() {
    for start in [Start::Beginning, Start::End] {
        let folder = Folder::new(Naming::Numbers);
        folder.put(&"old\n".repeat(1000));
        let mut follower = folder.follow(start);
        read(&mut follower);
        let place = follower.place();
        drop(follower);
        folder.put("new\n");
        check(&mut folder.resume(&place), "new\n");
    }
}
