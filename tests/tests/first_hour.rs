//! The manual's first hour, as a new user has it: from the package on a Debian 12 with sendmail and systemd to the first
//! proposed entry, and to mail that flows. The commands are taken from the manual itself, in its order.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]
#![allow(
    clippy::disallowed_methods,
    reason = "the package is made as `make deb` makes it; an old log needs a past"
)]

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tests::bed::Bed;
use tests::lines::Failure;
use tests::mta::{Mta, Queue};
use tests::need;
use tests::peers::{Channel, Mode, Peer, Ptr};
use tests::trytlsd::{binary, pages};
use tests::wait;

const SOON: Duration = Duration::from_secs(60);

/// Where the bed is no host of the Internet: its peers are on loopback, and no resolver there validates.
const OF_THE_BED: &str = "[policy]\nnever = []\n[dns]\ndnssec = \"off\"\n";

/// What a new user has to type, by the manual.
fn commands() -> Vec<String> {
    let manual = std::fs::read_to_string(need::repository().join("docs/manual.md")).unwrap();
    let section = manual.split("## The first hour\n").nth(1).unwrap().split("\n##").next().unwrap();
    let code = section.lines().filter(|line| line.starts_with("    "));
    code.map(|line| line.trim().replace("RELAY", "broken.mx.test")).collect()
}

/// The package, of the programs that the tests have, into the bed.
fn package(bed: &Bed) {
    let output = Command::new(need::repository().join("packaging/deb"))
        .args([binary().unwrap(), pages().unwrap()])
        .env("DEB_OUT", bed.namespace().path("/tmp"))
        .env("DEB_COMPRESS", "none")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn from_the_package_to_mail_that_flows() {
    let Some(bed) = Bed::new()
        .systemd()
        .peer(Peer::new("broken", "127.0.0.11", Mode::Garbage).ptr(Ptr::Mx))
        .mta(Mta::default().queue(Queue::Nobody))
        .start_or_skip("from_the_package_to_mail_that_flows")
    else {
        return;
    };
    // The host has had trouble for some hours: yesterday's log is rotated already, and a message waits.
    let at = |hours: i64| Timestamp::now() - SignedDuration::from_hours(hours);
    let lines = [5, 3, 2].map(|hours| Failure::at(at(hours), "broken.mx.test", "127.0.0.11"));
    let old: String = lines.map(|Failure { ruleset, delivery }| ruleset + &delivery).concat();
    bed.namespace().write("/var/log/mail.log.1", old).unwrap();
    bed.namespace().write("/etc/trytlsd/trytlsd.d/bed.toml", OF_THE_BED).unwrap();
    let id = bed.send(&["u@broken.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &[&id, "stat=Deferred"]).unwrap();
    package(&bed);
    let admins = bed.access();

    // Installed, it runs, in dry run, and has proposed the entry.
    let began = Instant::now();
    let install = "DEBIAN_FRONTEND=noninteractive dpkg -i /tmp/trytlsd_*.deb </dev/null 2>&1";
    // The bed was made without starting anything; a host of people's has no such rule.
    bed.sh("rm -f /usr/sbin/policy-rc.d").unwrap();
    let said = bed.sh(install).unwrap();
    let journal = || bed.sh("journalctl --no-pager --quiet --output=cat --unit=trytlsd").unwrap();
    let proposed = || journal().contains("Try_TLS:broken.mx.test\tNO").then_some(());
    wait::until(SOON, "a proposed entry", proposed)
        .unwrap_or_else(|error| panic!("{error:#}\n{said}\n{}", journal()));
    let took = began.elapsed();
    drop(writeln!(std::io::stderr(), "from dpkg -i to the first proposed entry: {took:.1?}"));
    assert_eq!(bed.access(), admins);

    let commands = commands();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        // What asks DNS beyond the bed, or finds the peer broken, says so by its status.
        let (status, said) = ran(&bed, &command);
        let may_find = ["trytlsd doctor", "trytlsd probe"].iter().any(|c| command.starts_with(c));
        assert!(status == 0 || (may_find && status == 1), "{command}: {status}\n{said}");
        let expect = match command.as_str() {
            "trytlsd scan '/var/log/mail.log*'" | "journalctl --unit=trytlsd" => {
                "Try_TLS:broken.mx.test"
            }
            "systemctl status trytlsd" => "active (running)",
            "trytlsd status" => "dry run",
            "trytlsd list" => "broken.mx.test",
            command if command.starts_with("trytlsd explain") => "broken.mx.test",
            command if command.starts_with("trytlsd probe") => "not TLS",
            _ => "",
        };
        assert!(said.contains(expect), "{command}: no {expect:?} in\n{said}");
    }

    // Armed, the entry is written, and the message that waited goes out.
    bed.wait_accepted(SOON, "broken", Channel::Clear, 1)
        .unwrap_or_else(|error| panic!("{error:#}\n{}", journal()));
    assert!(bed.access().contains("\nTry_TLS:broken.mx.test\tNO\n"), "{}", bed.access());
}

/// The exit status of a command in the bed, and all that it printed.
fn ran(bed: &Bed, command: &str) -> (i32, String) {
    let said = bed.sh(&format!("{{ {command}; }} 2>&1 && echo =0 || echo =$?")).unwrap();
    let (said, status) = said.trim_end().rsplit_once('=').unwrap();
    (status.parse().unwrap(), said.to_owned())
}
