//! The journal as the log: real journal files, a real journalctl, the real program. Found, followed, gone on with after a
//! kill, told when it was vacuumed; and what others write in sendmail's name is not believed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use rustix::process::Signal;
use tests::journal::{Journal, SENDMAIL, Writer, entry};
use tests::lines::failure;
use tests::need::skip;
use tests::rig::{AT_ONCE, Rig};

fn rig() -> Rig {
    let rig = Rig::new().unwrap();
    rig.config(AT_ONCE).unwrap();
    rig
}

/// The journal of the rig; says that the test is left out where there can be none.
fn journal<'a>(rig: &'a Rig, name: &str) -> Option<Journal<'a>> {
    Journal::new(rig).inspect_err(|why| skip(name, why)).ok()
}

/// A failure of a relay of its own.
fn fail(n: u32) -> String {
    failure(&format!("mx{n}.example.org"), &format!("192.0.2.{n}"))
}

fn proposed(n: u32) -> String {
    format!("Try_TLS:192.0.2.{n}\tNO\n")
}

#[test]
fn lines_are_found_and_followed_and_none_is_lost_or_counted_twice() {
    let rig = rig();
    let name = "lines_are_found_and_followed_and_none_is_lost_or_counted_twice";
    let Some(journal) = journal(&rig, name) else { return };
    // What was there before the start, in two files, as after a rotation.
    journal.add("old", SENDMAIL, &fail(1)).unwrap();
    journal.add("new", SENDMAIL, &fail(2)).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says(&proposed(1)).unwrap();
    running.wait_says(&proposed(2)).unwrap();
    // What comes, also in a file that was not there.
    journal.add("new", SENDMAIL, &fail(3)).unwrap();
    running.wait_says(&proposed(3)).unwrap();
    journal.add("newer", SENDMAIL, &fail(4)).unwrap();
    running.wait_says(&proposed(4)).unwrap();

    // Killed between the two lines of a failure; what comes meanwhile is read by the next.
    let five = fail(5);
    let (attempt, delivery) = five.split_at(five.trim_end().rfind('\n').unwrap() + 1);
    journal.add("newer", SENDMAIL, attempt).unwrap();
    journal.add("newer", SENDMAIL, &fail(6).replace("[276]", "[277]")).unwrap();
    running.wait_says(&proposed(6)).unwrap();
    running.signal(Signal::KILL).unwrap();
    running.wait_end(std::time::Duration::from_secs(5)).unwrap();
    journal.add("newer", SENDMAIL, delivery).unwrap();
    journal.add("newest", SENDMAIL, &fail(7)).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says(&proposed(5)).unwrap();
    running.wait_says(&proposed(7)).unwrap();
    journal.add("newest", SENDMAIL, &fail(8)).unwrap();
    running.wait_says(&proposed(8)).unwrap();
    assert!(!running.stderr().contains("may have been missed"), "{}", running.stderr());
    assert_eq!(running.stop().unwrap(), Some(0));
    let of = |n| {
        let relay = format!("mx{n}.example.org");
        let args = ["explain", "--config", "trytlsd.toml", "--no-dns", "--json", &relay];
        let explained: serde_json::Value =
            serde_json::from_str(&rig.trytlsd(&args).unwrap().stdout).unwrap();
        explained["evidence"]["stuck"].as_u64()
    };
    for n in 1..=8 {
        assert_eq!(of(n), Some(1), "mx{n}");
    }
}

#[test]
fn what_others_write_in_sendmails_name_is_not_believed() {
    let rig = rig();
    let Some(journal) = journal(&rig, "what_others_write_in_sendmails_name_is_not_believed") else {
        return;
    };
    journal.add("system", SENDMAIL, "").unwrap();
    let logger = Writer { exe: Some("/usr/bin/logger"), ..SENDMAIL };
    let forgers = [
        Writer { uid: 1000, ..logger },
        logger,
        Writer { uid: 1000, exe: None, ..SENDMAIL },
        // His own sendmail, with a configuration of his own.
        Writer { uid: 1000, ..SENDMAIL },
        // What a service prints: sendmail -v prints what the other side says.
        Writer { transport: "stdout", ..SENDMAIL },
        Writer { transport: "journal", ..SENDMAIL },
    ];
    for (writer, n) in forgers.into_iter().zip(1..) {
        journal.add("system", writer, &fail(n)).unwrap();
    }
    // A second line within a message; a user beside root's.
    let lines = fail(7).replace('\n', "\u{1}");
    let (first, rest) = lines.split_once("]: ").unwrap();
    let many = format!("{first}]: hello\u{1}{first}]: {rest}");
    let many = String::from_utf8(entry(SENDMAIL, &many)).unwrap();
    let (fields, message) = many.trim_end().split_once("MESSAGE=").unwrap();
    let message = message.replace('\u{1}', "\n");
    let length = (message.len() as u64).to_le_bytes();
    let binary = [fields.as_bytes(), b"MESSAGE\n", &length, message.as_bytes(), b"\n\n"].concat();
    journal.add_raw("system", &binary).unwrap();
    let twice: Vec<u8> = fail(8)
        .split_terminator('\n')
        .flat_map(|line| {
            let entry = String::from_utf8(entry(SENDMAIL, line)).unwrap();
            entry.replace("_UID=0\n", "_UID=0\n_UID=1000\n").into_bytes()
        })
        .collect();
    journal.add_raw("system", &twice).unwrap();

    // sendmail's own, also where journald was too late to see the program, and with bytes that are no text.
    let late = Writer { exe: None, ..SENDMAIL };
    journal.add("system", late, &fail(20)).unwrap();
    journal.add("system", Writer { identifier: "mta-out", ..SENDMAIL }, &fail(21)).unwrap();
    let noise = entry(SENDMAIL, "mx1 sm-mta[9]: NOISE");
    let noise = String::from_utf8(noise).unwrap();
    let (fields, _) = noise.split_once("MESSAGE=").unwrap();
    let noise = [fields.as_bytes(), b"MESSAGE\n\x04\0\0\0\0\0\0\0caf\xe9\n\n"].concat();
    journal.add_raw("system", &noise).unwrap();
    journal.add("system", SENDMAIL, &fail(22)).unwrap();

    let mut running = rig.run().unwrap();
    for n in 20..=22 {
        running.wait_says(&proposed(n)).unwrap();
    }
    running.wait_says("are not sendmail's; they are not believed").unwrap();
    assert_eq!(running.stdout().lines().count(), 3, "{}", running.stdout());
    for n in 1..=8 {
        assert!(!running.stderr().contains(&format!("mx{n}.example")), "{}", running.stderr());
    }
}

#[test]
fn a_journalctl_that_ends_is_started_again() {
    let rig = rig();
    let Some(journal) = journal(&rig, "a_journalctl_that_ends_is_started_again") else { return };
    journal.add("system", SENDMAIL, &fail(1)).unwrap();
    let real = rig.read("bin/journalctl");
    let words = real.trim_end().strip_prefix("#!/bin/sh\n").unwrap();
    // It ends by itself after a second when it follows, and leaves its number for the test.
    let short =
        words.replacen("exec ", "echo $$ >>pids\ncase \"$*\" in *--follow*) exec timeout 1 ", 1);
    rig.program("journalctl", &format!("{short} ;; esac\n{words}")).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says(&proposed(1)).unwrap();
    running.wait_says("ended (exit status: 124)").unwrap();
    journal.add("system", SENDMAIL, &fail(2)).unwrap();
    running.wait_says(&proposed(2)).unwrap();
    rig.program("journalctl", words).unwrap();
    journal.add("system", SENDMAIL, &fail(3)).unwrap();
    running.wait_says(&proposed(3)).unwrap();
    assert_eq!(running.stdout().lines().count(), 3, "{}", running.stdout());

    // None outlives the daemon, not even one that is killed.
    running.signal(Signal::KILL).unwrap();
    running.wait_end(std::time::Duration::from_secs(5)).unwrap();
    let folder = rig.path(tests::journal::FOLDER).display().to_string();
    tests::wait::until(std::time::Duration::from_secs(10), "the end of journalctl", || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
        (!lines.any(|line| String::from_utf8_lossy(&line).contains(&folder))).then_some(())
    })
    .unwrap();
}

#[test]
fn check_config_says_whether_the_journal_can_be_used() {
    let rig = rig();
    let Some(journal) = journal(&rig, "check_config_says_whether_the_journal_can_be_used") else {
        return;
    };
    let check = |status: i32, part: &str| {
        let ran = rig.trytlsd(&["check-config", "--config", "trytlsd.toml"]).unwrap();
        assert!(ran.stdout.contains(part), "{part:?} in {}", ran.stdout);
        assert!(ran.stdout.contains("journalctl is "), "{}", ran.stdout);
        assert_eq!(ran.status, Some(status), "{}", ran.stdout);
    };
    check(1, "holds no line of the mail facility");
    journal
        .add("system", Writer { identifier: "dovecot", exe: None, ..SENDMAIL }, "x[1]: hello")
        .unwrap();
    check(1, "holds no line of sendmail's among the last 1 of the mail facility");
    journal.add("system", SENDMAIL, &fail(1)).unwrap();
    check(1, "holds lines of sendmail's, the last of 20");
}
