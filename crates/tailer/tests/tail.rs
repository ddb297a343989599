//! Logs followed by a thread that waits for events, or for a timer where there are none.
//!
//! Each test runs both ways. With events the timers are set to an hour: what comes, comes by events alone. Without, the
//! watch makes none (as on a network file system) and looks every few milliseconds.
#![expect(clippy::disallowed_methods, reason = "rotates logs by rename, as logrotate does")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tailer::{Next, Options, Polling, Start, Tail, Waker};

const HOUR: Duration = Duration::from_secs(3600);

/// Only so that a failing test ends.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Line(usize, String),
    Lost(usize),
    CaughtUp(usize),
    Missing(usize),
    Trouble(usize),
}

/// A thread that follows logs.
struct Tailing {
    told: Receiver<Told>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Tailing {
    /// Follows logs all of whose lines matter.
    fn start(paths: &[PathBuf], options: Options) -> Self {
        Self::start_with(paths, options, Tail::mattered)
    }

    fn start_with(paths: &[PathBuf], options: Options, after_lines: fn(&Tail)) -> Self {
        let logs = paths.iter().map(|path| (path.clone(), Start::Beginning));
        let mut tail = Tail::new(logs, options);
        let waker = tail.waker();
        let (to, told) = channel();
        let thread = thread::spawn(move || {
            loop {
                let mut lines = false;
                let sent = match tail.wait() {
                    Next::Lines { log, bytes, .. } => {
                        lines = true;
                        String::from_utf8_lossy(bytes)
                            .lines()
                            .try_for_each(|line| to.send(Told::Line(log, line.to_owned())))
                    }
                    Next::CaughtUp { log } => to.send(Told::CaughtUp(log)),
                    Next::Missing { log } => to.send(Told::Missing(log)),
                    Next::Trouble { log, .. } => to.send(Told::Trouble(log)),
                    Next::Lost { log, .. } => to.send(Told::Lost(log)),
                    Next::Called => return,
                    Next::Quiet => unreachable!(),
                };
                if sent.is_err() {
                    return;
                }
                if lines {
                    after_lines(&tail);
                }
            }
        });
        Self { told, waker, thread: Some(thread) }
    }

    #[track_caller]
    fn next(&self) -> Told {
        self.told.recv_timeout(PATIENCE).expect("nothing came")
    }

    /// Waits for this, whatever else is told; lines may not be passed over.
    #[track_caller]
    fn wait_for(&self, wanted: &Told) {
        loop {
            let told = self.next();
            if told == *wanted {
                return;
            }
            assert!(!matches!(told, Told::Line(..)), "{told:?} instead of {wanted:?}");
        }
    }

    #[track_caller]
    fn lines(&self, log: usize, expect: &[String]) {
        for line in expect {
            self.wait_for(&Told::Line(log, line.clone()));
        }
    }
}

impl Drop for Tailing {
    fn drop(&mut self) {
        self.waker.wake();
        if let Some(thread) = self.thread.take()
            && !thread::panicking()
        {
            thread.join().unwrap();
        }
    }
}

/// Runs a test with events alone and with the timer alone.
fn both(test: impl Fn(&Path, Options)) {
    let short = Duration::from_millis(3);
    for events in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { events, interval: HOUR, poll_interval: short, grace: HOUR };
        test(dir.path(), options);
    }
}

fn writer(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

fn put(mut file: &File, line: &str) {
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| n.to_string()).collect()
}

#[test]
fn lines_come_as_they_are_written() {
    both(|dir, options| {
        let path = dir.join("mail.log");
        let log = writer(&path);
        let tailing = Tailing::start(&[path], options);
        for n in 0..300 {
            put(&log, &n.to_string());
            tailing.lines(0, &[n.to_string()]);
        }
        tailing.wait_for(&Told::CaughtUp(0));
    });
}

#[test]
fn a_flood_of_noise_loses_nothing() {
    both(|dir, options| {
        let path = dir.join("mail.log");
        let log = writer(&path);
        let tailing = Tailing::start_with(&[path], options, |_| {});
        let thread = thread::spawn(move || {
            // About a thousand lines a second, then a burst, then one after a pause.
            for n in 0..2500 {
                put(&log, &n.to_string());
                thread::sleep(Duration::from_millis(1));
            }
            (2500..50_000).for_each(|n| put(&log, &n.to_string()));
            thread::sleep(Duration::from_secs(2));
            put(&log, "50000");
        });
        tailing.lines(0, &numbers(0, 50_001));
        thread.join().unwrap();
    });
}

#[test]
fn rename_with_late_writes_a_hundred_times() {
    both(|dir, options| {
        let path = dir.join("mail.log");
        let mut log = writer(&path);
        let tailing = Tailing::start(std::slice::from_ref(&path), options);
        tailing.wait_for(&Told::CaughtUp(0));
        let mut n = 0;
        let mut put_next = |log: &File| {
            put(log, &n.to_string());
            n += 1;
        };
        for round in 0..100 {
            put_next(&log);
            put_next(&log);
            fs::rename(&path, dir.join(format!("mail.log-{}", 20260000 + round))).unwrap();
            put_next(&log);
            // Half of the rotations create the new file at once, as logrotate's `create` does.
            let early = (round % 2 == 0).then(|| writer(&path));
            if round % 3 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
            put_next(&log);
            put_next(&log);
            let new = early.unwrap_or_else(|| writer(&path));
            put_next(&new);
            log = new;
            tailing.lines(0, &numbers(round * 6, round * 6 + 6));
        }
    });
}

#[test]
fn a_late_line_long_after_the_rotation() {
    both(|dir, options| {
        let path = dir.join("mail.log");
        let old = writer(&path);
        let tailing = Tailing::start(std::slice::from_ref(&path), options);
        tailing.wait_for(&Told::CaughtUp(0));
        fs::rename(&path, dir.join("mail.log.1")).unwrap();
        let new = writer(&path);
        for n in 0..100 {
            put(&new, &format!("new {n}"));
            tailing.lines(0, &[format!("new {n}")]);
            put(&old, &format!("late {n}"));
            tailing.lines(0, &[format!("late {n}")]);
        }
    });
}

#[test]
fn re_creation_a_hundred_times() {
    both(|dir, options| {
        let path = dir.join("mail.log");
        let tailing = Tailing::start(std::slice::from_ref(&path), options);
        tailing.wait_for(&Told::Missing(0));
        for n in 0..100 {
            let log = writer(&path);
            put(&log, &format!("{n} a"));
            tailing.lines(0, &[format!("{n} a")]);
            put(&log, &format!("{n} b"));
            fs::remove_file(&path).unwrap();
            put(&log, &format!("{n} c"));
            tailing.lines(0, &[format!("{n} b"), format!("{n} c")]);
        }
    });
}

#[test]
fn copytruncate_a_hundred_times() {
    both(|dir, options| {
        let path = dir.join("mail.log");
        let log = writer(&path);
        let tailing = Tailing::start(std::slice::from_ref(&path), options);
        for n in 0..100 {
            put(&log, &format!("{n} a line that is longer"));
            tailing.lines(0, &[format!("{n} a line that is longer")]);
            fs::copy(&path, dir.join("mail.log.1")).unwrap();
            log.set_len(0).unwrap();
            put(&log, &format!("{n} b"));
            tailing.lines(0, &[format!("{n} b")]);
        }
    });
}

#[test]
fn copytruncate_right_after_the_line_a_hundred_times() {
    both(|dir, options| {
        let path = dir.join("mail.log");
        let log = writer(&path);
        let tailing = Tailing::start(std::slice::from_ref(&path), options);
        put(&log, "first");
        tailing.lines(0, &["first".to_owned()]);
        for n in 0..100 {
            put(&log, &n.to_string());
            let copy = writer(&dir.join(format!("mail.log-{}", 20_260_000 + n)));
            if n % 4 == 0 {
                // A copy is made in steps.
                thread::sleep(Duration::from_millis(2));
            }
            io::copy(&mut File::open(&path).unwrap(), &mut &copy).unwrap();
            if n % 4 == 1 {
                thread::sleep(Duration::from_millis(2));
            }
            log.set_len(0).unwrap();
            if n % 4 == 2 {
                thread::sleep(Duration::from_millis(2));
            }
        }
        put(&log, "last");
        tailing.lines(0, &numbers(0, 100));
        tailing.lines(0, &["last".to_owned()]);
    });
}

#[test]
fn a_linked_log_rotates_in_another_directory() {
    both(|dir, options| {
        for name in ["log", "data", "more"] {
            fs::create_dir(dir.join(name)).unwrap();
        }
        let (link, target) = (dir.join("log/mail.log"), dir.join("data/real"));
        let mut log = writer(&target);
        symlink(&target, &link).unwrap();
        let tailing = Tailing::start(std::slice::from_ref(&link), options);
        for n in 0..30 {
            put(&log, &format!("{n} a"));
            tailing.lines(0, &[format!("{n} a")]);
            fs::rename(&target, dir.join(format!("data/real-{}", 20260000 + n))).unwrap();
            put(&log, &format!("{n} b"));
            log = writer(&target);
            put(&log, &format!("{n} c"));
            tailing.lines(0, &[format!("{n} b"), format!("{n} c")]);
        }
        // The link is turned to a directory that was not watched before.
        let elsewhere = dir.join("more/other");
        log = writer(&elsewhere);
        put(&log, "first");
        symlink(&elsewhere, dir.join("next")).unwrap();
        fs::rename(dir.join("next"), &link).unwrap();
        tailing.lines(0, &["first".to_owned()]);
        put(&log, "second");
        tailing.lines(0, &["second".to_owned()]);
    });
}

#[test]
fn a_directory_that_comes_and_is_replaced() {
    both(|dir, mut options| {
        // A removed directory makes no event while a file that was in it is held open: a look is needed.
        options.grace = Duration::from_secs(1);
        let sub = dir.join("log");
        let path = sub.join("mail.log");
        let tailing = Tailing::start(std::slice::from_ref(&path), options);
        tailing.wait_for(&Told::Missing(0));
        for n in 0..30 {
            fs::create_dir(&sub).unwrap();
            let log = writer(&path);
            put(&log, &format!("{n} a"));
            tailing.lines(0, &[format!("{n} a")]);
            put(&log, &format!("{n} b"));
            tailing.lines(0, &[format!("{n} b")]);
            if n % 2 == 0 {
                fs::rename(&sub, dir.join(format!("log.{n}"))).unwrap();
            } else {
                fs::remove_dir_all(&sub).unwrap();
            }
        }
    });
}

#[test]
fn trouble_is_told_once_and_ends() {
    both(|dir, options| {
        let path = dir.join("mail.log");
        fs::create_dir(&path).unwrap();
        let tailing = Tailing::start(std::slice::from_ref(&path), options);
        assert_eq!(tailing.next(), Told::Trouble(0));
        // What happens beside it is no news.
        put(&writer(&dir.join("mail.err")), "x");
        let quiet = tailing.told.recv_timeout(Duration::from_millis(100));
        assert_eq!(quiet, Err(RecvTimeoutError::Timeout));
        fs::remove_dir(&path).unwrap();
        put(&writer(&path), "1");
        tailing.lines(0, &["1".to_owned()]);
    });
}

#[test]
fn several_logs_and_a_busy_neighbour() {
    both(|dir, options| {
        fs::create_dir(dir.join("other")).unwrap();
        let names = ["mail.log", "mail.err", "other/mail.log"];
        let paths: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
        let tailing = Tailing::start(&paths, options);
        let neighbour = writer(&dir.join("syslog"));
        let writers: Vec<_> = paths
            .iter()
            .cloned()
            .map(|path| {
                let neighbour = neighbour.try_clone().unwrap();
                thread::spawn(move || {
                    let log = writer(&path);
                    for n in 0..2000 {
                        put(&log, &n.to_string());
                        put(&neighbour, "noise");
                    }
                })
            })
            .collect();
        let mut counts = [0; 3];
        while counts != [2000; 3] {
            if let Told::Line(log, line) = tailing.next() {
                assert_eq!(line, counts[log].to_string(), "log {log}");
                counts[log] += 1;
            }
        }
        writers.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_waker_ends_the_wait_and_patience_does_too() {
    both(|dir, options| {
        let mut tail = Tail::new([(dir.join("mail.log"), Start::End)], options);
        assert!(matches!(tail.wait(), Next::Missing { log: 0 }));
        assert!(matches!(tail.next_within(Duration::from_millis(20)), Next::Quiet));
        assert!(matches!(tail.next_within(Duration::ZERO), Next::Quiet));
        tail.waker().wake();
        tail.waker().wake();
        assert!(matches!(tail.wait(), Next::Called));
        assert!(matches!(tail.next_within(Duration::ZERO), Next::Quiet));
        let waker = tail.waker();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            waker.wake();
        });
        assert!(matches!(tail.wait(), Next::Called));
        thread.join().unwrap();
        assert!(options.events || tail.polling() == Some(&Polling::Asked));
    });
}

#[test]
fn a_directory_that_cannot_be_watched_is_looked_at_by_timer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mail.log");
    let log = writer(&path);
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    set(&path, 0o644);
    // A log in it can be opened, but neither listed nor watched.
    set(dir.path(), 0o311);
    let poll_interval = Duration::from_millis(3);
    let options = Options { interval: HOUR, poll_interval, ..Options::default() };
    thread::scope(|scope| {
        scope.spawn(|| {
            // Only this thread, and those it starts, give up root's rights, if they have any.
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            let mut tail = Tail::new([(path, Start::End)], options);
            assert!(matches!(tail.polling(), Some(Polling::Failed { .. })), "{:?}", tail.polling());
            assert!(matches!(tail.wait(), Next::CaughtUp { .. }));
            put(&log, "1");
            assert!(matches!(tail.next_within(PATIENCE), Next::Lines { bytes: b"1\n", .. }));
        });
    });
    set(dir.path(), 0o700);
}
