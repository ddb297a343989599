//! One log through everything that rotation does to it, step by step, without threads and waiting.
#![expect(clippy::disallowed_methods, reason = "rotates logs by rename, as logrotate does")]
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tailer::{Error, Follower, MAX_LINE, Start, Step};
use tempfile::TempDir;

/// A folder with a log in it.
struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> PathBuf {
        self.at("mail.log")
    }

    /// Opens as syslogd does.
    fn writer(&self) -> File {
        writer(&self.log())
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    fn follow(&self, start: Start) -> Follower {
        Follower::new(self.log(), start)
    }
}

fn writer(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

fn put(file: &mut File, text: &str) {
    file.write_all(text.as_bytes()).unwrap();
}

/// How a log stands at the end of [`read`].
#[derive(Debug, PartialEq, Eq)]
enum End {
    CaughtUp,
    Missing,
    Trouble,
}

/// All that there is to read now.
fn read(follower: &mut Follower) -> (String, End) {
    let mut text = Vec::new();
    loop {
        match follower.step() {
            Step::Lines { bytes, .. } => text.extend_from_slice(bytes),
            Step::Lost(loss) => panic!("{loss}"),
            Step::CaughtUp => return (String::from_utf8(text).unwrap(), End::CaughtUp),
            Step::Missing => return (String::from_utf8(text).unwrap(), End::Missing),
            Step::Trouble(_) => return (String::from_utf8(text).unwrap(), End::Trouble),
        }
    }
}

#[track_caller]
fn check(follower: &mut Follower, expect: &str) {
    assert_eq!(read(follower), (expect.to_owned(), End::CaughtUp));
}

#[test]
fn old_lines_are_not_live_and_new_ones_are() {
    let folder = Folder::new();
    let mut log = folder.writer();
    put(&mut log, "old\n");
    let mut follower = folder.follow(Start::Beginning);
    let id = match follower.step() {
        Step::Lines { bytes: b"old\n", offset: 0, file, live: false } => file,
        other => panic!("{other:?}"),
    };
    assert!(matches!(follower.step(), Step::CaughtUp));
    put(&mut log, "new\n");
    match follower.step() {
        Step::Lines { bytes: b"new\n", offset: 4, file, live: true } => assert_eq!(file, id),
        other => panic!("{other:?}"),
    }
    assert!(matches!(follower.step(), Step::CaughtUp));
}

#[test]
fn starting_at_the_end_keeps_a_line_that_is_being_written() {
    let folder = Folder::new();
    let mut log = folder.writer();
    put(&mut log, "old\nhal");
    let mut follower = folder.follow(Start::End);
    check(&mut follower, "");
    put(&mut log, "f\nnew\n");
    match follower.step() {
        Step::Lines { bytes: b"half\nnew\n", offset: 4, live: true, .. } => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn starting_at_the_end_within_an_over_long_line() {
    let folder = Folder::new();
    let mut log = folder.writer();
    put(&mut log, &"x".repeat(3 * MAX_LINE));
    let mut follower = folder.follow(Start::End);
    check(&mut follower, "");
    put(&mut log, "x\nnew\n");
    check(&mut follower, "new\n");
    assert_eq!(follower.skipped(), 1);
}

#[test]
fn half_written_lines_wait() {
    let folder = Folder::new();
    let mut log = folder.writer();
    let mut follower = folder.follow(Start::Beginning);
    for piece in ["o", "ne", "\ntwo\nth"] {
        let expect = if piece.contains('\n') { "one\ntwo\n" } else { "" };
        put(&mut log, piece);
        check(&mut follower, expect);
    }
    put(&mut log, "ree\n");
    check(&mut follower, "three\n");
}

#[test]
fn over_long_lines_are_skipped_and_counted() {
    let folder = Folder::new();
    let mut log = folder.writer();
    let mut follower = folder.follow(Start::Beginning);
    put(&mut log, "a\n");
    for _ in 0..40 {
        put(&mut log, &"x".repeat(10_000));
        read(&mut follower);
    }
    put(&mut log, "\nb\n");
    check(&mut follower, "b\n");
    assert_eq!(follower.skipped(), 1);
}

#[test]
fn bytes_that_are_no_text_pass() {
    let folder = Folder::new();
    let bytes = b"\0\0\xff\xfe\x80\r\n\0";
    folder.writer().write_all(bytes).unwrap();
    let mut follower = folder.follow(Start::Beginning);
    match follower.step() {
        Step::Lines { bytes: found, .. } => assert_eq!(found, b"\0\0\xff\xfe\x80\r\n"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rename_with_late_writes_keeps_the_order() {
    let folder = Folder::new();
    let mut old = folder.writer();
    let mut follower = folder.follow(Start::Beginning);
    put(&mut old, "1\n");
    check(&mut follower, "1\n");
    put(&mut old, "2\n");
    folder.rename("mail.log", "mail.log.1");
    put(&mut old, "3\n");
    // Nothing in its place yet.
    assert_eq!(read(&mut follower), ("2\n3\n".to_owned(), End::Missing));
    put(&mut old, "4\n");
    let mut new = folder.writer();
    check(&mut follower, "4\n");
    assert!(follower.draining());
    put(&mut old, "5\n");
    check(&mut follower, "5\n");
    put(&mut old, "6\n");
    put(&mut new, "7\n");
    check(&mut follower, "6\n7\n");
    // A writer that was never told to reopen does not hold up the new file.
    put(&mut new, "9\n");
    put(&mut old, "8\n");
    check(&mut follower, "8\n9\n");
}

#[test]
fn late_lines_between_reading_and_giving_out_come_first() {
    let folder = Folder::new();
    let mut old = folder.writer();
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "");
    folder.rename("mail.log", "mail.log.1");
    let mut new = folder.writer();
    put(&mut new, "2\n");
    assert_eq!(follower.poll(), tailer::State::Lines);
    put(&mut old, "1\n");
    check(&mut follower, "1\n2\n");
}

#[test]
fn a_former_log_is_let_go_after_its_grace_with_its_last_line() {
    let folder = Folder::new();
    let mut old = folder.writer();
    let mut follower = folder.follow(Start::Beginning).with_grace(Duration::from_millis(20));
    put(&mut old, "1\nunfinished");
    check(&mut follower, "1\n");
    folder.rename("mail.log", "mail.log.1");
    let mut new = folder.writer();
    check(&mut follower, "");
    sleep(Duration::from_millis(30));
    // Its successor is empty: the writer may still not know.
    check(&mut follower, "");
    assert!(follower.draining());
    put(&mut old, " and\n");
    check(&mut follower, "unfinished and\n");
    put(&mut old, "last");
    put(&mut new, "2\n");
    check(&mut follower, "2\n");
    sleep(Duration::from_millis(30));
    check(&mut follower, "last");
    assert!(!follower.draining());
}

#[test]
fn many_rotations_hold_few_former_logs() {
    let folder = Folder::new();
    let mut follower = folder.follow(Start::Beginning);
    for i in 0..50 {
        let mut log = folder.writer();
        put(&mut log, &format!("{i}\nrest {i}"));
        let (text, end) = read(&mut follower);
        assert_eq!(end, End::CaughtUp);
        assert!(text.ends_with(&format!("{i}\n")), "{text:?}");
        assert!(i < 6 || text.contains(&format!("rest {}", i - 5)), "{i}: {text:?}");
        folder.rename("mail.log", &format!("mail.log-{}", 20260000 + i));
    }
}

#[test]
fn renamed_back_goes_on_where_it_was() {
    let folder = Folder::new();
    let mut first = folder.writer();
    let mut follower = folder.follow(Start::Beginning);
    put(&mut first, "1\n");
    check(&mut follower, "1\n");
    folder.rename("mail.log", "aside");
    put(&mut folder.writer(), "2\n");
    check(&mut follower, "2\n");
    folder.rename("aside", "mail.log");
    put(&mut first, "3\n");
    check(&mut follower, "3\n");
}

#[test]
fn renamed_back_after_it_was_let_go() {
    let folder = Folder::new();
    let grace = Duration::from_millis(1);
    let mut follower = folder.follow(Start::Beginning).with_grace(grace);
    put(&mut folder.writer(), "1\n");
    check(&mut follower, "1\n");
    folder.rename("mail.log", "aside");
    put(&mut folder.writer(), "2\n");
    check(&mut follower, "2\n");
    sleep(2 * grace);
    check(&mut follower, "");
    assert!(!follower.draining());
    folder.rename("aside", "mail.log");
    put(&mut folder.writer(), "3\n");
    check(&mut follower, "3\n");
}

#[test]
fn re_creation() {
    let folder = Folder::new();
    let mut follower = folder.follow(Start::Beginning);
    for i in 0..100 {
        let mut log = folder.writer();
        put(&mut log, &format!("{i} a\n"));
        check(&mut follower, &format!("{i} a\n"));
        put(&mut log, &format!("{i} b\n"));
        fs::remove_file(folder.log()).unwrap();
        put(&mut folder.writer(), &format!("{i} c\n"));
        check(&mut follower, &format!("{i} b\n{i} c\n"));
        fs::remove_file(folder.log()).unwrap();
    }
}

#[test]
fn copytruncate() {
    let folder = Folder::new();
    let mut log = folder.writer();
    let mut follower = folder.follow(Start::Beginning);
    for i in 0..100 {
        put(&mut log, &format!("{i} a longer line\n"));
        check(&mut follower, &format!("{i} a longer line\n"));
        fs::copy(folder.log(), folder.at("mail.log.1")).unwrap();
        log.set_len(0).unwrap();
        if i % 2 == 0 {
            check(&mut follower, "");
        }
        put(&mut log, &format!("{i} b\n"));
        check(&mut follower, &format!("{i} b\n"));
    }
}

#[test]
fn copytruncate_drops_the_half_line_that_was_cut() {
    let folder = Folder::new();
    let mut log = folder.writer();
    let mut follower = folder.follow(Start::Beginning);
    put(&mut log, "one\nhalf");
    check(&mut follower, "one\n");
    log.set_len(0).unwrap();
    put(&mut log, "two\n");
    check(&mut follower, "two\n");
}

#[test]
fn a_linked_log_is_followed_through_both_kinds_of_rotation() {
    let folder = Folder::new();
    for i in ["a", "b"] {
        fs::create_dir(folder.at(i)).unwrap();
    }
    let mut target = writer(&folder.at("a/real"));
    symlink("a/real", folder.log()).unwrap();
    let mut follower = folder.follow(Start::Beginning);
    put(&mut target, "1\n");
    check(&mut follower, "1\n");
    // The target is rotated.
    put(&mut target, "2\n");
    folder.rename("a/real", "a/real.1");
    put(&mut writer(&folder.at("a/real")), "3\n");
    check(&mut follower, "2\n3\n");
    // The link is turned.
    put(&mut writer(&folder.at("b/real")), "4\n");
    symlink("b/real", folder.at("next")).unwrap();
    folder.rename("next", "mail.log");
    check(&mut follower, "4\n");
}

#[test]
fn a_missing_log_is_waited_for_and_new_when_it_comes() {
    let folder = Folder::new();
    let path = folder.at("deep/er/mail.log");
    let mut follower = Follower::new(&path, Start::End);
    for _ in 0..3 {
        assert!(matches!(follower.step(), Step::Missing));
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    put(&mut writer(&path), "1\n");
    match follower.step() {
        Step::Lines { bytes: b"1\n", live: true, .. } => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_removed_log_is_missing_and_its_descriptor_is_still_read() {
    let folder = Folder::new();
    let mut log = folder.writer();
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "");
    fs::remove_file(folder.log()).unwrap();
    put(&mut log, "1\n");
    assert_eq!(read(&mut follower), ("1\n".to_owned(), End::Missing));
}

#[test]
fn a_replaced_directory() {
    let folder = Folder::new();
    let path = folder.at("log/mail.log");
    fs::create_dir(folder.at("log")).unwrap();
    let mut old = writer(&path);
    let mut follower = Follower::new(&path, Start::Beginning);
    check(&mut follower, "");
    put(&mut old, "1\n");
    folder.rename("log", "log.old");
    fs::create_dir(folder.at("log")).unwrap();
    put(&mut writer(&path), "2\n");
    check(&mut follower, "1\n2\n");
}

#[test]
fn what_is_no_log_is_trouble_until_it_is_one() {
    type Case = (&'static str, fn(&Path), fn(&Error) -> bool);
    let cases: [Case; 5] = [
        ("directory", |p| fs::create_dir(p).unwrap(), |e| matches!(e, Error::IsDirectory { .. })),
        (
            "socket",
            |p| drop(std::os::unix::net::UnixListener::bind(p).unwrap()),
            |e| matches!(e, Error::NotRegular { .. }),
        ),
        (
            "pipe",
            |p| {
                let mode = rustix::fs::Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(rustix::fs::CWD, p, rustix::fs::FileType::Fifo, mode, 0)
                    .unwrap();
            },
            |e| matches!(e, Error::NotRegular { .. }),
        ),
        (
            "file that cannot be read",
            |p| symlink("/proc/self/mem", p).unwrap(),
            |e| matches!(e, Error::Read { .. }),
        ),
        ("loop of links", |p| symlink(p, p).unwrap(), |e| matches!(e, Error::Open { .. })),
    ];
    for (what, make, is) in cases {
        let folder = Folder::new();
        make(&folder.log());
        let mut follower = folder.follow(Start::Beginning);
        for _ in 0..3 {
            match follower.step() {
                Step::Trouble(error) if is(error) => {
                    assert!(error.to_string().contains("mail.log"), "{what}: {error}");
                }
                other => panic!("{what}: {other:?}"),
            }
        }
        folder.rename("mail.log", "aside");
        put(&mut folder.writer(), "1\n");
        check(&mut follower, "1\n");
    }
}

#[test]
fn trouble_with_the_successor_does_not_stop_the_former_log() {
    let folder = Folder::new();
    let mut log = folder.writer();
    let mut follower = folder.follow(Start::Beginning);
    check(&mut follower, "");
    folder.rename("mail.log", "mail.log.1");
    fs::create_dir(folder.log()).unwrap();
    put(&mut log, "1\n");
    assert_eq!(read(&mut follower), ("1\n".to_owned(), End::Trouble));
    put(&mut log, "2\n");
    assert_eq!(read(&mut follower), ("2\n".to_owned(), End::Trouble));
    fs::remove_dir(folder.log()).unwrap();
    put(&mut folder.writer(), "3\n");
    check(&mut follower, "3\n");
}

#[test]
fn no_permission_is_trouble_until_there_is_one() {
    let folder = Folder::new();
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set(folder.dir.path(), 0o755);
    put(&mut folder.writer(), "1\n");
    set(&folder.log(), 0o000);
    std::thread::scope(|scope| {
        // Only this thread gives up root's rights, if it has any.
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            let mut follower = folder.follow(Start::Beginning);
            for _ in 0..3 {
                assert!(matches!(follower.step(), Step::Trouble(Error::Denied { .. })));
            }
            follower
        });
        let mut follower = thread.join().unwrap();
        set(&folder.log(), 0o644);
        check(&mut follower, "1\n");
    });
}
