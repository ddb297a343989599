//! What trytlsd tells the service manager over a real socket, and what its unit leaves open.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::bed::Bed;
use tests::lines::failure;
use tests::need;
use tests::rig::{AT_ONCE, Rig, Running};

const SOON: Duration = Duration::from_secs(20);

/// The manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    /// A daemon on the rig whose watchdog wants to be fed every so often.
    fn start(rig: &Rig, watchdog: Duration) -> (Self, Running) {
        let path = rig.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let every = watchdog.as_micros().to_string();
        let running = rig
            .run_env(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", &every)])
            .unwrap();
        (Self(socket), running)
    }

    /// The next message, if one comes soon.
    fn next(&self) -> Option<String> {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned())
    }

    /// Waits for the message; those that came before it.
    fn wait(&self, what: &str) -> Vec<String> {
        let began = Instant::now();
        let mut others = Vec::new();
        while began.elapsed() < SOON {
            match self.next() {
                Some(message) if message.starts_with(what) => {
                    others.push(message);
                    return others;
                }
                Some(message) => others.push(message),
                None => {}
            }
        }
        panic!("no {what:?} but {others:?}");
    }
}

#[test]
fn the_service_manager_hears_how_it_goes() {
    let rig = Rig::new().unwrap();
    rig.config(AT_ONCE).unwrap();
    rig.write("mail.log", failure("mx.old.example", "192.0.2.9")).unwrap();
    let (manager, mut running) = Manager::start(&rig, Duration::from_secs(3));

    // Ready comes first of all that matters, and tells how things stand.
    let before = manager.wait("READY=1");
    assert!(before.iter().all(|message| !message.starts_with("WATCHDOG")), "{before:?}");
    manager.wait("STATUS=dry run: 1 relay stuck, 0 entries in force, 1 proposed");
    manager.wait("WATCHDOG=1");
    rig.append("mail.log", failure("mx.broken.example", "192.0.2.1")).unwrap();
    manager.wait("STATUS=dry run: 2 relays stuck, 0 entries in force, 2 proposed");

    // It goes on while nothing happens.
    for _ in 0..3 {
        manager.wait("WATCHDOG=1");
    }

    // A reload has a beginning with its moment, and an end; a broken config is told of until it is mended.
    rig.config("[policy]\nfailures = 0\n").unwrap();
    running.signal(Signal::HUP).unwrap();
    let begin = manager.wait("RELOADING=1").pop().unwrap();
    let moment = begin.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(moment.parse::<u64>().unwrap() > 0, "{begin}");
    manager.wait("READY=1");
    let status = manager.wait("STATUS=").pop().unwrap();
    assert!(status.contains("; the config is broken and the old one is in force: "), "{status}");
    assert!(status.contains("failures = 0") && !status.contains('\n'), "{status}");
    rig.config(&format!("dry_run = false\n{AT_ONCE}")).unwrap();
    running.signal(Signal::HUP).unwrap();
    manager.wait("RELOADING=1");
    manager.wait("READY=1");
    manager.wait("STATUS=0 relays stuck, 2 entries in force");

    running.signal(Signal::TERM).unwrap();
    manager.wait("STOPPING=1");
    assert!(running.wait_end(SOON).unwrap().success());
}

/// Patterns are reloaded too, and what was waiting for its delivery line goes on.
#[test]
fn a_reload_takes_new_patterns() {
    let rig = Rig::new().unwrap();
    rig.config(AT_ONCE).unwrap();
    rig.write("mail.log", "").unwrap();
    let mut running = rig.run().unwrap();
    let busy = failure("mx.busy.example", "192.0.2.7")
        .lines()
        .filter(|line| line.contains("stat=Deferred"))
        .map(|line| line.replace("454 4.7.0 TLS handshake failed.", "451 4.3.0 TLS is busy") + "\n")
        .collect::<String>();
    rig.append("mail.log", &busy).unwrap();
    let waits = failure("mx.waits.example", "192.0.2.8");
    let (attempt, delivery) = waits.split_at(waits.trim_end().rfind('\n').unwrap() + 1);
    rig.append("mail.log", attempt).unwrap();
    // Read by now: a line that comes later has been.
    rig.append("mail.log", failure("mx.other.example", "192.0.2.6").replace("[276]", "[277]"))
        .unwrap();
    running.wait_says("Try_TLS:192.0.2.6\tNO\n").unwrap();

    rig.drop_in(
        "busy.toml",
        "[[log.pattern]]\nname = \"busy\"\nregex = 'relay=(?P<relay>[^, ]+) .*TLS is busy'\n",
    )
    .unwrap();
    running.signal(Signal::HUP).unwrap();
    running.wait_says("read the config again").unwrap();
    rig.append("mail.log", delivery).unwrap();
    running.wait_says("Try_TLS:192.0.2.8\tNO\n").unwrap();
    rig.append("mail.log", &busy).unwrap();
    running.wait_says("Try_TLS:192.0.2.7\tNO\n").unwrap();
    assert_eq!(running.stdout().matches("192.0.2.7").count(), 1, "{}", running.stdout());
}

#[test]
fn the_unit_leaves_little_open() {
    let Some(bed) = Bed::new().start_or_skip("the_unit_leaves_little_open") else { return };
    let units = ["trytlsd.service", "trytlsd-flush@.service"];
    for unit in units {
        let text = std::fs::read(need::repository().join("systemd").join(unit)).unwrap();
        bed.namespace().write(&format!("/etc/systemd/system/{unit}"), text).unwrap();
    }
    bed.sh("printf '#!/bin/sh\\n' >/usr/bin/trytlsd && chmod 755 /usr/bin/trytlsd").unwrap();
    // What systemd does not know in a unit it passes over, with a word.
    let verify = bed.run("systemd-analyze", &["verify", "--man=no", "trytlsd.service"]).unwrap();
    let said = String::from_utf8_lossy(&verify.stderr);
    assert!(verify.status.success() && !said.contains("trytlsd"), "{said}");
    // Ten times the exposure level, from 0 to 100.
    let security =
        ["security", "--offline=true", "--no-pager", "--threshold=20", "trytlsd.service"];
    let security = bed.run("systemd-analyze", &security).unwrap();
    let said = String::from_utf8_lossy(&security.stdout);
    assert!(security.status.success() && said.contains("Overall exposure level"), "{said}");
}
