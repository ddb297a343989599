//! `trytlsd run` on a folder: dry run, its end, rotation, reload, and what happens when the access file is odd.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::fs;

use rustix::process::Signal;
use tests::dns::{DnsServer, Manner, Zone};
use tests::lines::failure;
use tests::rig::{ACCESS, AT_ONCE, Rig, Running};

/// A rig whose daemon follows an empty log.
fn following(config: &str) -> (Rig, Running) {
    let rig = Rig::new().unwrap();
    rig.config(config).unwrap();
    rig.write("mail.log", "").unwrap();
    let running = rig.run().unwrap();
    (rig, running)
}

/// The entries in the access file.
fn entries(rig: &Rig) -> Vec<String> {
    rig.read("access").lines().filter(|l| l.starts_with("Try_TLS:")).map(str::to_owned).collect()
}

#[test]
fn dry_run_is_the_default_and_prints_each_entry_once() {
    let (rig, mut running) = following(AT_ONCE);
    for _ in 0..3 {
        rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
    }
    rig.append("mail.log", failure("mx.also.example", "192.0.2.2")).unwrap();
    running.wait_says("Try_TLS:192.0.2.1\tNO\n").unwrap();
    running.wait_says("Try_TLS:192.0.2.2\tNO\n").unwrap();
    assert_eq!(running.stdout().lines().count(), 2, "{}", running.stdout());
    assert_eq!(running.stop().unwrap(), Some(0));
    assert_eq!(rig.read("access"), ACCESS);
}

#[test]
fn the_end_of_dry_run_writes_what_was_proposed() {
    let (rig, mut running) = following(AT_ONCE);
    rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
    running.wait_says("Try_TLS:192.0.2.1\tNO\n").unwrap();
    rig.config(&format!("dry_run = false\n{AT_ONCE}")).unwrap();
    running.signal(Signal::HUP).unwrap();
    running.wait_says("INFO active relay=mx.broken.example").unwrap();
    assert_eq!(entries(&rig), ["Try_TLS:192.0.2.1\tNO"]);
    assert!(rig.read("access").starts_with(ACCESS));
    assert_eq!(running.stop().unwrap(), Some(0));
}

/// A restart reads what is in force from the file, and does nothing twice.
#[test]
fn a_restart_repeats_nothing() {
    let (rig, mut running) = following(&format!("dry_run = false\n{AT_ONCE}"));
    rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
    running.wait_says("INFO active relay=mx.broken.example").unwrap();
    assert_eq!(running.stop().unwrap(), Some(0));
    let written = rig.read("access");
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
    rig.append("mail.log", failure("mx.also.example", "192.0.2.2")).unwrap();
    running.wait_says("INFO active relay=mx.also.example").unwrap();
    assert!(!running.stderr().contains("active relay=mx.broken.example"));
    assert_eq!(entries(&rig), ["Try_TLS:192.0.2.1\tNO", "Try_TLS:192.0.2.2\tNO"]);
    assert!(rig.read("access").starts_with(written.split("# END").next().unwrap()));
    assert_eq!(running.stop().unwrap(), Some(0));
}

/// Rename with late lines to the old file, re-creation, copytruncate.
#[test]
fn rotation_loses_nothing() {
    let (rig, mut running) = following(AT_ONCE);
    let mut seen = |line: &str, n: u32| {
        rig.append(line, failure(&format!("mx{n}.example.org"), &format!("192.0.2.{n}"))).unwrap();
        running.wait_says(&format!("Try_TLS:192.0.2.{n}\tNO\n")).unwrap();
    };
    seen("mail.log", 1);
    #[expect(clippy::disallowed_methods, reason = "the test rotates as logrotate does")]
    fs::rename(rig.path("mail.log"), rig.path("mail.log.1")).unwrap();
    seen("mail.log.1", 2);
    rig.write("mail.log", "").unwrap();
    seen("mail.log", 3);
    seen("mail.log.1", 4);
    fs::copy(rig.path("mail.log"), rig.path("mail.log.2")).unwrap();
    rig.write("mail.log", "").unwrap();
    // A file that is cut and grows to its old size between two looks is one that nobody can tell from an idle one by its
    // size; syslogd's next line does not come in the same millisecond.
    std::thread::sleep(std::time::Duration::from_millis(300));
    seen("mail.log", 5);
    fs::remove_file(rig.path("mail.log")).unwrap();
    rig.write("mail.log", "").unwrap();
    seen("mail.log", 6);
}

/// DNS that is slow for one relay delays no other, and an answer that never comes ends at the time-out.
#[test]
fn dns_delays_nobody_else() {
    let zone = Zone::new()
        .reverse_manner("192.0.2.1", Manner::Silent)
        .host("192.0.2.2", "mx.quick.example");
    let dns = DnsServer::start(zone).unwrap();
    let rig = Rig::new().unwrap();
    rig.config(AT_ONCE).unwrap();
    rig.drop_in(
        "dns.toml",
        &format!("[dns]\nservers = [\"{}\"]\ntimeout = \"2s\"\n", dns.address()),
    )
    .unwrap();
    rig.write("mail.log", "").unwrap();
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("mx.slow.example", "192.0.2.1")).unwrap();
    rig.append("mail.log", failure("mx.quick.example", "192.0.2.2")).unwrap();
    running.wait_says("Try_TLS:mx.quick.example\tNO\n").unwrap();
    running.wait_says("Try_TLS:192.0.2.1\tNO\n").unwrap();
    assert_eq!(running.stdout(), "Try_TLS:mx.quick.example\tNO\nTry_TLS:192.0.2.1\tNO\n");
}

/// What the access file may be; what it may not be stops the start with a clear error and changes nothing.
#[test]
fn odd_access_files() {
    let rig = Rig::new().unwrap();
    rig.config(&format!("dry_run = false\n{AT_ONCE}")).unwrap();
    let check = |says: &str| {
        let ran = rig.trytlsd(&["run", "--config", "trytlsd.toml"]).unwrap();
        assert_eq!(ran.status, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(says), "{says}: {ran:?}");
    };
    fs::remove_file(rig.path("access")).unwrap();
    check("cannot read the access file");
    fs::create_dir(rig.path("access")).unwrap();
    check("not a regular file");
    fs::remove_dir(rig.path("access")).unwrap();
    // A symbolic link is followed, and stays one.
    rig.write("real", ACCESS).unwrap();
    std::os::unix::fs::symlink(rig.path("real"), rig.path("access")).unwrap();
    rig.write("mail.log", "").unwrap();
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
    running.wait_says("INFO active relay=mx.broken.example").unwrap();
    assert_eq!(running.stop().unwrap(), Some(0));
    assert!(rig.path("access").is_symlink());
    assert!(
        rig.read("real").starts_with(ACCESS) && rig.read("real").contains("Try_TLS:192.0.2.1\tNO")
    );
}

/// makemap that is missing, fails or hangs: the access file is as it was, and the log says why.
#[test]
fn a_rebuild_that_fails_changes_nothing() {
    use std::os::unix::fs::PermissionsExt;
    for (script, says) in [
        (None, "cannot start"),
        (Some("#!/bin/sh\necho broken >&2\nexit 1\n"), "broken"),
        (Some("#!/bin/sh\nexec sleep 30\n"), "did not end within 1"),
        (Some("#!/bin/sh\ncat >/dev/null\n"), "is not as in the text"),
    ] {
        let rig = Rig::new().unwrap();
        rig.config(&format!("dry_run = false\n{AT_ONCE}")).unwrap();
        let makemap = rig.path("makemap");
        if let Some(script) = script {
            rig.write("makemap", script).unwrap();
            fs::set_permissions(&makemap, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let access = format!(
            "[access]\ntype = \"hash\"\ntimeout = \"1s\"\nmakemap = \"{}\"\n",
            makemap.display()
        );
        rig.drop_in("access.toml", &access).unwrap();
        rig.write("mail.log", "").unwrap();
        let mut running = rig.run().unwrap();
        rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
        running.wait_says("the map could not be changed").unwrap();
        assert!(running.stderr().contains(says), "{says}: {}", running.stderr());
        assert_eq!(running.stop().unwrap(), Some(0));
        assert_eq!(rig.read("access"), ACCESS);
    }
}
