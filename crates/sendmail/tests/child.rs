//! Children that behave badly, seen from outside. The programs are Debian's `sh`, `cat` and the like.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sendmail::child::{Child, Error, Output, STDERR_CAP, run};

const LONG: Duration = Duration::from_secs(30);

fn sh(script: &str, stdin: &[u8], timeout: Duration, stdout_cap: usize) -> Result<Output, Error> {
    let args = ["-c", script].map(OsStr::new);
    run(&Child { program: Path::new("sh"), args: &args, stdin, timeout, stdout_cap })
}

#[test]
fn feeds_and_drains() {
    fn check(script: &str, stdin: &[u8], code: i32, stdout: &[u8], stderr: &[u8]) {
        let output = sh(script, stdin, LONG, 1 << 24).expect(script);
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert!(output.stdout == stdout, "{script}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(output.stderr == stderr, "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let large: Vec<u8> = (0..8_000_000_u32).map(|i| (i % 251) as u8).collect();
    check("echo out; echo err >&2; exit 65", b"", 65, b"out\n", b"err\n");
    check("cat", b"a\nb\n", 0, b"a\nb\n", b"");
    check("cat", b"", 0, b"", b"");
    check("cat", &large, 0, &large, b""); // more than any pipe holds, both ways at once
    check("exit 3", &large, 3, b"", b""); // reads nothing
    check("exec <&-; echo on; sleep 0.2; echo done", &large, 0, b"on\ndone\n", b"");
    check("exec >&- 2>&-; sleep 0.2; exit 4", b"", 4, b"", b"");
}

#[test]
fn keeps_no_more_than_the_caps() {
    let output = sh("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2", b"", LONG, 1000)
        .expect("runs");
    assert_eq!((output.stdout.len(), output.stderr.len()), (1000, STDERR_CAP));
    let output = sh("echo x", b"", LONG, 0).expect("runs");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_clean_environment() {
    let output = run(&Child {
        program: Path::new("env"),
        args: &[],
        stdin: b"",
        timeout: LONG,
        stdout_cap: 10_000,
    })
    .expect("runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut names: Vec<_> = text.split('\n').filter_map(|line| line.split_once('=')).collect();
    names.retain(|(name, _)| *name != "TZ");
    names.sort();
    let path = std::env::var("PATH").expect("PATH");
    assert_eq!(names, [("LANG", "C"), ("LC_ALL", "C"), ("PATH", &*path)]);
}

#[test]
fn arguments_meet_no_shell() {
    let args = ["%s|%s", "a b", "$(id);`id`*"].map(OsStr::new);
    let child = Child {
        program: Path::new("printf"),
        args: &args,
        stdin: b"",
        timeout: LONG,
        stdout_cap: 100,
    };
    assert_eq!(run(&child).expect("runs").stdout, b"a b|$(id);`id`*");
}

#[test]
fn what_cannot_be_started() {
    for program in ["/nonexistent/makemap", "no-such-program-anywhere", "/"] {
        let child = Child {
            program: Path::new(program),
            args: &[],
            stdin: b"x",
            timeout: LONG,
            stdout_cap: 0,
        };
        let error = run(&child).expect_err(program);
        assert!(matches!(&error, Error::Spawn { .. }), "{error:?}");
        assert!(error.to_string().starts_with(&format!("cannot start {program}: ")), "{error}");
    }
}

#[test]
fn a_signal_from_elsewhere_is_a_status() {
    let output = sh("kill -9 $$", b"", LONG, 0).expect("ends");
    assert_eq!((output.status.code(), output.status.signal()), (None, Some(9)));
}

#[test]
fn the_deadline_ends_the_whole_group() {
    let folder = tempfile::tempdir().expect("folder");
    let pid = folder.path().join("pid");
    let check = |script: &str, least: u64, most: u64| {
        let script = script.replace("PID", &format!("'{}'", pid.display()));
        let start = Instant::now();
        let error = sh(&script, b"input", Duration::from_millis(300), 100).expect_err(&script);
        assert!(matches!(&error, Error::Timeout { .. }), "{error:?}");
        assert_eq!(error.to_string(), "sh did not end within 0.3 s and was killed");
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(least), "{script}: {took:?}");
        assert!(took < Duration::from_millis(most), "{script}: {took:?}");
        let inner = fs::read_to_string(&pid).expect("pid").trim().to_owned();
        assert!(gone(&inner), "{script}: {inner} lives on");
    };
    check("echo $$ > PID; exec sleep 60", 300, 1200);
    check("sleep 60 & echo $! > PID; wait", 300, 1200);
    // Endless output, with the pipe always full.
    check("echo $$ > PID; exec cat /dev/zero", 300, 1200);
    // SIGTERM ignored, also by a grandchild whose parent obeys it.
    check("trap '' TERM; echo $$ > PID; while :; do sleep 1; done", 1300, 4000);
    check("(trap '' TERM; exec sleep 60) & echo $! > PID; exec sleep 60", 300, 2500);
}

#[test]
fn a_process_left_behind_is_not_waited_for() {
    let start = Instant::now();
    let output = sh("sleep 3 & echo $!; exit 7", b"", LONG, 100).expect("ends");
    assert_eq!(output.status.code(), Some(7));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let left = String::from_utf8(output.stdout).expect("text").trim().to_owned();
    assert!(!gone(&left), "{left} was killed");
}

/// Whether the process ends within a second (a zombie that nobody reaps yet has ended).
fn gone(pid: &str) -> bool {
    let alive = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(!stat.rsplit(") ").next()?.starts_with('Z'))
    };
    for _ in 0..20 {
        if alive() != Some(true) {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}
