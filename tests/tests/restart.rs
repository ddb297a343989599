//! What a `kill -9` and a restart leave as it was: counts, places, attempts that wait, entries, and the admin's word.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::Signal;
use tests::lines::{Failure, failure};
use tests::rig::{ACCESS, Rig, Running};

/// Three failures make an entry, however close together; the access file is looked at all the time.
const ARMED: &str = "dry_run = false\n[policy]\nfailures = 3\nmin_span = \"0s\"\n[guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\nburst_relays = 0\nburst_share = 0\nmax_entries = 0\nmax_per_hour = 0\n";

const LOOKED_AT: &str = "[access]\nlook_every = \"1s\"\n";

fn rig() -> Rig {
    let rig = Rig::new().unwrap();
    rig.config(ARMED).unwrap();
    rig.drop_in("look.toml", LOOKED_AT).unwrap();
    rig.write("mail.log", "").unwrap();
    rig
}

/// The entries in the access file.
fn entries(rig: &Rig) -> Vec<String> {
    rig.read("access").lines().filter(|l| l.starts_with("Try_TLS:")).map(str::to_owned).collect()
}

/// One failure of each of two relays; with the next round of the first it has its three.
fn round(rig: &Rig, log: &str, relays: &[u8]) {
    for n in relays {
        rig.append(log, failure(&format!("mx{n}.example.org"), &format!("192.0.2.{n}"))).unwrap();
    }
}

/// Waits until what was written so far is in the ledger: it is committed within a second.
fn committed(running: &mut Running) {
    running.wait_says("following").unwrap();
    std::thread::sleep(Duration::from_millis(1500));
}

fn kill(running: Running) {
    running.signal(Signal::KILL).unwrap();
    drop(running);
}

/// Others change something, while the daemon runs or while it does not.
fn meddle(rig: &Rig, running: Running, down: bool, change: impl FnOnce()) -> Running {
    if !down {
        change();
        return running;
    }
    kill(running);
    change();
    rig.run().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test rotates as logrotate does")]
fn rename(rig: &Rig, from: &str, to: &str) {
    fs::rename(rig.path(from), rig.path(to)).unwrap();
}

fn gzip(rig: &Rig, name: &str) {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(rig.read(name).as_bytes()).unwrap();
    rig.write(&format!("{name}.gz"), packed.finish().unwrap()).unwrap();
    fs::remove_file(rig.path(name)).unwrap();
}

/// Counted before the kill, written while nobody read, written after the start: three in all.
#[test]
fn a_count_goes_on_after_a_kill() {
    let rig = rig();
    let mut running = rig.run().unwrap();
    round(&rig, "mail.log", &[1, 2]);
    committed(&mut running);
    kill(running);
    round(&rig, "mail.log", &[1, 2]);
    let mut running = rig.run().unwrap();
    assert_eq!(entries(&rig), [""; 0]);
    round(&rig, "mail.log", &[1]);
    running.wait_says("INFO active relay=mx1.example.org").unwrap();
    assert_eq!(entries(&rig), ["Try_TLS:192.0.2.1\tNO"]);
    kill(running);
    // Nothing is repeated: the second relay still has two.
    let running = rig.run().unwrap();
    assert_eq!(entries(&rig), ["Try_TLS:192.0.2.1\tNO"]);
    assert!(!running.stderr().contains("active relay"), "{}", running.stderr());
}

/// The rest of the old file, the files in between and the new one are read, packed or not.
#[test]
fn lines_written_while_down_over_rotations() {
    for (rotations, packed) in [(1, false), (1, true), (2, false), (2, true)] {
        let rig = rig();
        let mut running = rig.run().unwrap();
        round(&rig, "mail.log", &[1, 2]);
        committed(&mut running);
        kill(running);
        round(&rig, "mail.log", &[1]);
        for rotation in (1..=rotations).rev() {
            if rotation < rotations {
                rename(&rig, "mail.log.1", "mail.log.2");
            }
            rename(&rig, "mail.log", "mail.log.1");
            if packed && rotation < rotations {
                gzip(&rig, "mail.log.2");
            }
            rig.write("mail.log", "").unwrap();
        }
        if packed && rotations == 1 {
            gzip(&rig, "mail.log.1");
        }
        round(&rig, "mail.log", &[1, 2]);
        let mut running = rig.run().unwrap();
        running.wait_says("INFO active relay=mx1.example.org").unwrap();
        assert_eq!(entries(&rig), ["Try_TLS:192.0.2.1\tNO"], "{rotations} rotations, {packed}");
    }
}

/// A failure whose delivery line comes after the kill is one failure.
#[test]
fn an_attempt_waits_for_its_delivery_line_over_a_kill() {
    let rig = rig();
    let mut running = rig.run().unwrap();
    round(&rig, "mail.log", &[1, 1]);
    let Failure { ruleset, delivery } = Failure::by(276, "mx1.example.org", "192.0.2.1");
    rig.append("mail.log", ruleset).unwrap();
    committed(&mut running);
    kill(running);
    let mut running = rig.run().unwrap();
    rig.append("mail.log", delivery).unwrap();
    running.wait_says("INFO active relay=mx1.example.org").unwrap();
}

/// Who takes an entry of ours out means it, while we run and while we do not.
#[test]
fn what_is_lifted_by_hand_stays_out() {
    for down in [false, true] {
        let rig = rig();
        let mut running = rig.run().unwrap();
        round(&rig, "mail.log", &[1, 1, 1, 2, 2, 2]);
        running.wait_says("INFO active relay=mx1.example.org").unwrap();
        running.wait_says("INFO active relay=mx2.example.org").unwrap();
        let without = |line: &&str| !line.contains("192.0.2.1");
        let mut running = meddle(&rig, running, down, || {
            let text: String = rig.read("access").split_inclusive('\n').filter(without).collect();
            rig.write("access", &text).unwrap();
        });
        running.wait_says("lifted by hand; it stays out relay=mx1.example.org").unwrap();
        committed(&mut running);
        kill(running);
        let mut running = rig.run().unwrap();
        round(&rig, "mail.log", &[1, 1, 1, 3, 3, 3]);
        running.wait_says("INFO active relay=mx3.example.org").unwrap();
        assert_eq!(entries(&rig), ["Try_TLS:192.0.2.2\tNO", "Try_TLS:192.0.2.3\tNO"]);
    }
}

/// The block is gone and nothing else changed: all was lifted by hand. The rest was rewritten too: it is put back, once.
#[test]
fn a_block_that_is_gone() {
    for (rest, says, expect) in [
        (ACCESS, "lifted by hand; it stays out relay=mx1.example.org", ""),
        (
            "new.example\tREJECT\n",
            "others rewrote the file; to be put back relay=mx1.example.org",
            "192.0.2.1",
        ),
    ] {
        for down in [false, true] {
            let rig = rig();
            let mut running = rig.run().unwrap();
            round(&rig, "mail.log", &[1, 1, 1]);
            running.wait_says("INFO active relay=mx1.example.org").unwrap();
            let mut running = meddle(&rig, running, down, || rig.write("access", rest).unwrap());
            running.wait_says(says).unwrap();
            if expect.is_empty() {
                committed(&mut running);
                assert_eq!(rig.read("access"), rest);
                continue;
            }
            running.wait_says("INFO put back relay=mx1.example.org").unwrap();
            assert!(rig.read("access").starts_with(rest));
            assert_eq!(entries(&rig), ["Try_TLS:192.0.2.1\tNO"]);
            // Not again within the hour, also not after a restart; but after the hour it would be.
            rig.write("access", "newer.example\tREJECT\n").unwrap();
            committed(&mut running);
            kill(running);
            let mut running = rig.run().unwrap();
            committed(&mut running);
            assert_eq!(rig.read("access"), "newer.example\tREJECT\n");
            assert!(!running.stderr().contains("lifted by hand"), "{}", running.stderr());
        }
    }
}

/// An entry that the admin writes himself replaces ours.
#[test]
fn the_admins_own_entry_replaces_ours() {
    let rig = rig();
    let mut running = rig.run().unwrap();
    round(&rig, "mail.log", &[1, 1, 1]);
    running.wait_says("INFO active relay=mx1.example.org").unwrap();
    let own = format!("Try_TLS:192.0.2.1\tYES\n{}", rig.read("access"));
    rig.write("access", own).unwrap();
    running.wait_says("the admin's own entry replaces ours relay=mx1.example.org").unwrap();
    let alone = || (entries(&rig) == ["Try_TLS:192.0.2.1\tYES"]).then_some(());
    tests::wait::until(Duration::from_secs(20), "ours being gone", alone).unwrap();
}

/// A ledger that cannot be read is set aside; entries come from the block, the rest from the log.
#[test]
fn a_ledger_that_cannot_be_read() {
    let rig = rig();
    let mut running = rig.run().unwrap();
    round(&rig, "mail.log", &[1, 1, 1, 2, 2]);
    running.wait_says("INFO active relay=mx1.example.org").unwrap();
    assert_eq!(running.stop().unwrap(), Some(0));
    rig.write("ledger.db", "this is no database, and never was one").unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("the ledger cannot be read and was set aside").unwrap();
    assert!(running.stderr().contains("ledger.db.broken-"), "{}", running.stderr());
    round(&rig, "mail.log", &[2]);
    running.wait_says("INFO active relay=mx2.example.org").unwrap();
    assert_eq!(entries(&rig), ["Try_TLS:192.0.2.1\tNO", "Try_TLS:192.0.2.2\tNO"]);
}

/// Two daemons on one ledger would count everything twice. A dry run beside the service remembers nothing.
#[test]
fn a_second_daemon() {
    let rig = rig();
    let _running = rig.run().unwrap();
    let ran = rig.trytlsd(&["run", "--config", "trytlsd.toml"]).unwrap();
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.contains("another trytlsd (process "), "{}", ran.stderr);
    let beside = rig.run_with(&["--dry-run"]).unwrap();
    assert!(beside.stderr().contains("this dry run remembers nothing"), "{}", beside.stderr());
    assert_eq!(beside.stop().unwrap(), Some(0));
}

/// Without a ledger nothing may be written: a dry run that has none stays one.
#[test]
fn a_dry_run_without_a_ledger_cannot_be_ended() {
    let rig = rig();
    rig.config(&ARMED.replace("dry_run = false", "dry_run = true")).unwrap();
    rig.drop_in("ledger.toml", "[ledger]\npath = \"/no/such/folder/ledger.db\"\n").unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("this dry run remembers nothing").unwrap();
    rig.config(ARMED).unwrap();
    running.signal(Signal::HUP).unwrap();
    running.wait_says("without its ledger this dry run goes on").unwrap();
    round(&rig, "mail.log", &[1, 1, 1]);
    running.wait_says("Try_TLS:192.0.2.1\tNO\n").unwrap();
    assert_eq!(rig.read("access"), ACCESS);
}
