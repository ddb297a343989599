//! The guards at work in the daemon: what the admin saves a moment before, what cannot be read, what a dry run has shown.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::thread;
use std::time::Duration;

use tests::lines::{delivered, failure};
use tests::rig::{ACCESS, AT_ONCE, Rig};

const ENTRY: &str = "Try_TLS:192.0.2.1\tNO";

fn armed() -> String {
    format!("dry_run = false\n{AT_ONCE}")
}

/// The admin saves a line that speaks against the entry; so much later the relay fails. The entry is never there, also
/// where trytlsd sees the new file only when it is about to write.
#[test]
fn what_the_admin_saved_a_moment_before_counts() {
    let cases = [1000, 1200, 1500]
        .map(|later| ["Try_TLS:example\tYES", "TLS_Rcpt:\tVERIFY"].map(|line| (line, later)));
    thread::scope(|scope| {
        for (line, later) in cases.concat() {
            scope.spawn(move || {
                let rig = Rig::new().unwrap();
                rig.config(&armed()).unwrap();
                rig.drop_in("look.toml", "[access]\nlook_every = \"1s\"\n").unwrap();
                rig.write("mail.log", "").unwrap();
                let mut running = rig.run().unwrap();
                rig.write("access", format!("{ACCESS}{line}\n")).unwrap();
                thread::sleep(Duration::from_millis(later));
                rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
                running.wait_says("held relay=mx.broken.example").unwrap();
                let said = running.stderr();
                running.stop().unwrap();
                assert!(!rig.read("access").contains(ENTRY), "{line}, {later} ms later: {said}");
                assert!(!said.contains("active"), "{line}, {later} ms later: {said}");
            });
        }
    });
}

/// TLS works at an address by one name. Whoever points another name there, and has its handshakes fail, gets no entry:
/// it would turn TLS off for both.
#[test]
fn an_address_at_which_tls_works_for_others() {
    let rig = Rig::new().unwrap();
    rig.config("dry_run = false\n[policy]\nfailures = 3\nmin_span = \"0s\"\n").unwrap();
    rig.write("mail.log", delivered("mx.victim.example", "192.0.2.1")).unwrap();
    let mut running = rig.run().unwrap();
    let attack = |rig: &Rig, address: &str| {
        for _ in 0..3 {
            rig.append("mail.log", failure(&format!("mx.evil-{address}.example"), address))
                .unwrap();
        }
    };
    attack(&rig, "192.0.2.1");
    running
        .wait_says("held relay=mx.evil-192.0.2.1.example reason=TLS worked at 192.0.2.1")
        .unwrap();
    attack(&rig, "192.0.2.2");
    running.wait_says("active relay=mx.evil-192.0.2.2.example").unwrap();
    running.stop().unwrap();

    // Also after a restart, which reads nothing twice.
    let mut running = rig.run().unwrap();
    attack(&rig, "192.0.2.1");
    running
        .wait_says("held relay=mx.evil-192.0.2.1.example reason=TLS worked at 192.0.2.1")
        .unwrap();
    running.stop().unwrap();
    assert_eq!(rig.read("access").matches("Try_TLS:").count(), 1);
}

#[test]
fn names_of_our_own_that_cannot_be_read_hold_until_they_can() {
    let rig = Rig::new().unwrap();
    rig.config(&armed()).unwrap();
    let cf = format!("Djown.host.example\nFw{}\n", rig.path("local-host-names").display());
    rig.write("sendmail.cf", cf).unwrap();
    rig.write("mail.log", "").unwrap();
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
    running.wait_says("held relay=mx.broken.example reason=this host's own names are").unwrap();
    rig.write("local-host-names", "other.name.example\n").unwrap();
    running.signal(rustix::process::Signal::HUP).unwrap();
    running.wait_says("read the config again").unwrap();
    rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
    running.wait_says("active relay=mx.broken.example").unwrap();
    rig.append("mail.log", failure("other.name.example", "192.0.2.2")).unwrap();
    running.wait_says("held relay=other.name.example reason=other.name.example is this").unwrap();
    running.stop().unwrap();
}

#[test]
fn what_a_dry_run_has_shown_is_written_after_a_restart_without_it() {
    let rig = Rig::new().unwrap();
    rig.config(AT_ONCE).unwrap();
    rig.write("mail.log", "").unwrap();
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
    running.wait_says("Try_TLS:192.0.2.1\tNO\n").unwrap();
    running.stop().unwrap();
    assert_eq!(rig.read("access"), ACCESS);
    rig.config(&armed()).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("active relay=mx.broken.example").unwrap();
    assert!(rig.read("access").contains(ENTRY));
    running.stop().unwrap();
}
