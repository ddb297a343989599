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

/// Each of these failures was counted, and once.
fn each_counted_once(rig: &Rig, failures: impl IntoIterator<Item = u32>) {
    for n in failures {
        let relay = format!("mx{n}.example.org");
        let args = ["explain", "--config", "trytlsd.toml", "--no-dns", "--json", &relay];
        let explained: serde_json::Value =
            serde_json::from_str(&rig.trytlsd(&args).unwrap().stdout).unwrap();
        assert_eq!(explained["evidence"]["stuck"].as_u64(), Some(1), "mx{n}");
    }
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
    each_counted_once(&rig, 1..=8);
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
fn a_place_that_was_vacuumed_is_told() {
    let rig = rig();
    let Some(journal) = journal(&rig, "a_place_that_was_vacuumed_is_told") else { return };
    journal.add("old", SENDMAIL, &fail(1)).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says(&proposed(1)).unwrap();
    assert_eq!(running.stop().unwrap(), Some(0));
    journal.add("new", SENDMAIL, &fail(2)).unwrap();
    journal.vacuum("old").unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("that was read last is kept no more; lines may have been missed").unwrap();
    running.wait_says(&proposed(2)).unwrap();
    assert_eq!(running.stop().unwrap(), Some(0));
    // With nothing left at all, too; and what comes is read.
    journal.vacuum("new").unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("may have been missed").unwrap();
    journal.add("newer", SENDMAIL, &fail(3)).unwrap();
    running.wait_says(&proposed(3)).unwrap();
    assert_eq!(running.stderr().matches("may have been missed").count(), 1, "{}", running.stderr());
}

#[test]
fn another_boot_a_slow_clock_and_a_journal_that_was_emptied_hide_nothing() {
    let rig = rig();
    let name = "another_boot_a_slow_clock_and_a_journal_that_was_emptied_hide_nothing";
    let Some(journal) = journal(&rig, name) else { return };
    let folder = rig.path(tests::journal::FOLDER);
    // The folder itself comes later, and then one in it, as journald makes it.
    std::fs::remove_dir(&folder).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("trying again").unwrap();
    let machine = "0123456789abcdef0123456789abcdef";
    let file = |name: &str| format!("{machine}/{name}");
    std::fs::create_dir_all(folder.join(machine)).unwrap();
    journal.add(&file("system"), SENDMAIL, &fail(1)).unwrap();
    running.wait_says(&proposed(1)).unwrap();

    let rebooted = Writer { boot: "fedcba9876543210fedcba9876543210", ..SENDMAIL };
    journal.add(&file("system"), rebooted, &fail(2)).unwrap();
    running.wait_says(&proposed(2)).unwrap();
    let again = Writer { boot: "99999999999999999999999999999999", ..SENDMAIL };
    journal.add(&file("next"), again, &fail(3)).unwrap();
    running.wait_says(&proposed(3)).unwrap();

    // Set back by an hour: in the same file, and in one that is new.
    let slow = Writer { slow: 3600, ..again };
    journal.add(&file("next"), slow, &fail(4)).unwrap();
    running.wait_says(&proposed(4)).unwrap();
    journal.add(&file("slow"), slow, &fail(5)).unwrap();
    running.wait_says(&proposed(5)).unwrap();

    // Emptied; and made anew.
    for name in ["system", "next", "slow"] {
        journal.vacuum(&file(name)).unwrap();
    }
    running.wait_says("kept no more").unwrap();
    journal.add(&file("system"), SENDMAIL, &fail(6)).unwrap();
    running.wait_says(&proposed(6)).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir_all(folder.join("fedcba9876543210fedcba9876543210")).unwrap();
    let system = "fedcba9876543210fedcba9876543210/system";
    journal.add(system, SENDMAIL, &fail(7)).unwrap();
    running.wait_says(&proposed(7)).unwrap();
    assert_eq!(running.stop().unwrap(), Some(0));

    // Logged after a crash, by a clock that was slow at that boot, and by the time we start it is right again.
    let crashed = Writer { boot: "88888888888888888888888888888888", slow: 1800, ..SENDMAIL };
    journal.add("fedcba9876543210fedcba9876543210/crashed", crashed, &fail(8)).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says(&proposed(8)).unwrap();
    journal.add(system, Writer { boot: crashed.boot, ..SENDMAIL }, &fail(9)).unwrap();
    running.wait_says(&proposed(9)).unwrap();
    assert!(!running.stderr().contains("may have been missed"), "{}", running.stderr());
    assert_eq!(running.stop().unwrap(), Some(0));
    each_counted_once(&rig, 1..=9);
}

/// journalctl lists the files first and then opens them, and passes over one that was renamed in between.
#[test]
fn a_rotation_while_journalctl_opens_the_files_hides_nothing() {
    let rig = rig();
    let name = "a_rotation_while_journalctl_opens_the_files_hides_nothing";
    let Some(journal) = journal(&rig, name) else { return };
    journal.add("older", SENDMAIL, &fail(1)).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says(&proposed(1)).unwrap();
    running.signal(Signal::KILL).unwrap();
    running.wait_end(std::time::Duration::from_secs(5)).unwrap();

    journal.add("system", SENDMAIL, &fail(2)).unwrap();
    journal.add("spare", SENDMAIL, &fail(3)).unwrap();
    let real = rig.read("bin/journalctl");
    let words = real.trim_end().strip_prefix("#!/bin/sh\n").unwrap();
    let folder = rig.path(tests::journal::FOLDER).display().to_string();
    std::fs::copy(format!("{folder}/spare.journal"), rig.path("spare.journal")).unwrap();
    journal.vacuum("spare").unwrap();
    // Once: it sees the file that was begun, and not what became of the one that it had listed.
    let rotated = format!(
        "if [ -e spare.journal ]; then\n\
         mv {folder}/system.journal hidden\n\
         mv spare.journal {folder}/system.journal\n\
         {}\n\
         mv hidden {folder}/system@1.journal\n\
         cat printed\nexit\nfi\n{words}",
        words.replacen("exec ", "", 1).to_owned() + " >printed"
    );
    rig.program("journalctl", &rotated).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says(&proposed(3)).unwrap();
    running.wait_says(&proposed(2)).unwrap();
    assert!(!rig.path("spare.journal").exists());
    assert!(!running.stderr().contains("may have been missed"), "{}", running.stderr());
    assert_eq!(running.stop().unwrap(), Some(0));
    each_counted_once(&rig, 1..=3);
}

#[test]
fn a_journalctl_that_is_killed_is_started_again_and_none_outlives_us() {
    let rig = rig();
    let name = "a_journalctl_that_is_killed_is_started_again_and_none_outlives_us";
    let Some(journal) = journal(&rig, name) else { return };
    for n in 1..=4 {
        journal.add("system", SENDMAIL, &fail(n)).unwrap();
    }
    let real = rig.read("bin/journalctl");
    let words = real.trim_end().strip_prefix("#!/bin/sh\n").unwrap();
    // Killed in the middle of an entry, some bytes further on each time.
    let short = format!(
        "echo >>times\nn=$(wc -l <times)\n\
         if [ $n -lt 8 ]; then {} | head -c $((n * 500)); kill -9 $$; fi\n{words}",
        words.replacen("exec ", "", 1)
    );
    rig.program("journalctl", &short).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("ended (signal: 9 (SIGKILL))").unwrap();
    for n in 1..=4 {
        running.wait_says(&proposed(n)).unwrap();
    }
    assert_eq!(running.stderr().matches("ended (signal: 9").count(), 1, "{}", running.stderr());

    // One that is in the middle of much when we are killed ends too.
    let endless = format!(
        "echo $$ >pid\n{}\nwhile echo MESSAGE=x; do :; done",
        words.replacen("exec ", "", 1)
    );
    rig.program("journalctl", &endless).unwrap();
    journal.add("system", SENDMAIL, &fail(5)).unwrap();
    running.wait_says(&proposed(5)).unwrap();
    let pid = rig.read("pid").trim().to_owned();
    running.signal(Signal::KILL).unwrap();
    running.wait_end(std::time::Duration::from_secs(5)).unwrap();
    tests::wait::until(std::time::Duration::from_secs(10), "the end of journalctl", || {
        (!std::path::Path::new("/proc").join(&pid).exists()).then_some(())
    })
    .unwrap();
    rig.program("journalctl", words).unwrap();
    let running = rig.run().unwrap();
    assert_eq!(running.stop().unwrap(), Some(0));
    each_counted_once(&rig, 1..=5);
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
