//! Notices: what needs a person is told once, a burst as one, also over restarts; what ends by itself is not told at all. A
//! sendmail of the test's own keeps what it gets; notice_bed.rs has the real one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tests::lines::{failure, success};
use tests::rig::{AT_ONCE, Rig};
use tests::wait;

const SOON: Duration = Duration::from_secs(20);

/// Longer than the news of these tests wait for others to come with them.
const SETTLED: Duration = Duration::from_secs(5);

/// The admin requires TLS of these: a hold that waits for him.
const REQUIRED: &str = "TLS_Srv:a.example.org\tENCR:112\nTLS_Srv:b.example.org\tENCR:112\n";

/// A sendmail that keeps its arguments and what it gets: out/1.args, out/1, and so on.
const KEEPS: &str = "n=$(($(ls out/*.args 2>/dev/null | wc -l) + 1)); cat >out/$n.part; mv out/$n.part out/$n; echo \"$*\" >out/$n.args";

fn rig(notice: &str) -> Rig {
    let rig = Rig::new().unwrap();
    rig.config(&format!("dry_run = false\n{AT_ONCE}[notice]\n{notice}\n")).unwrap();
    rig.append("access", REQUIRED).unwrap();
    rig.write("mail.log", "").unwrap();
    fs::create_dir(rig.path("out")).unwrap();
    rig.program("sendmail", KEEPS).unwrap();
    rig
}

const MAIL: &str = "mail_to = \"postmaster@example.org\"\nevery = \"2s\"\ndigest = false";

/// How many notices were sent.
fn sent(rig: &Rig) -> usize {
    let files = fs::read_dir(rig.path("out")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".args")).count()
}

/// The notice of that number.
#[track_caller]
fn notice(rig: &Rig, number: usize) -> String {
    let came = wait::until(SOON, "the notice", || (sent(rig) >= number).then_some(()));
    came.unwrap_or_else(|error| panic!("{error:#}"));
    rig.read(&format!("out/{number}"))
}

fn status(rig: &Rig) -> Value {
    let ran = rig.trytlsd(&["status", "--config", "trytlsd.toml", "--json"]).unwrap();
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn a_burst_is_one_mail_and_no_restart_tells_it_again() {
    let rig = rig(MAIL);
    // It has the mail, and trytlsd does not know yet.
    rig.program("sendmail", &format!("{KEEPS}; sleep 1")).unwrap();
    let mut running = rig.run().unwrap();
    for (relay, address) in [("a.example.org", "192.0.2.1"), ("b.example.org", "192.0.2.2")] {
        rig.append("mail.log", failure(relay, address)).unwrap();
        running.wait_says(&format!("held relay={relay}")).unwrap();
    }
    let mail = notice(&rig, 1);
    assert_eq!(rig.read("out/1.args"), "-i -t\n");
    let (head, body) = mail.split_once("\n\n").unwrap();
    assert!(
        head.starts_with("From: trytlsd <root>\nTo: postmaster@example.org\nSubject: trytlsd on "),
        "{mail}"
    );
    assert!(head.contains(": 2 things need a person\nDate: "), "{mail}");
    assert!(head.contains("\nAuto-Submitted: auto-generated\n"), "{mail}");
    for part in [
        "* a.example.org is held by the guard TLS_Srv\n  Why: TLS is required of it: line 4 of the access file says",
        "\n  Since: ",
        "\n  Mail: 1 message known to wait",
        "\n      trytlsd explain a.example.org\n      trytlsd probe --letter a.example.org\n",
        "* b.example.org is held by the guard TLS_Srv\n",
    ] {
        assert!(body.contains(part), "no {part:?} in\n{mail}");
    }
    assert!(!body.contains("trytlsd approve"), "the mail would be stuck all the same:\n{mail}");

    // Killed at that very moment, and started again, it holds them again, and tells nobody.
    running.signal(Signal::KILL).unwrap();
    running.wait_end(SOON).unwrap();
    for _ in 0..2 {
        let mut running = rig.run().unwrap();
        rig.append("mail.log", failure("a.example.org", "192.0.2.1")).unwrap();
        running.wait_says("held relay=a.example.org").unwrap();
        sleep(SETTLED);
        running.stop().unwrap();
    }
    assert_eq!(sent(&rig), 1);

    rig.program("sendmail", KEEPS).unwrap();
    // What comes later is told, without what was told before.
    rig.append("access", "TLS_Srv:c.example.org\tENCR:112\n").unwrap();
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("c.example.org", "192.0.2.3")).unwrap();
    let mail = notice(&rig, 2);
    assert!(mail.contains(": 1 thing needs a person\n"), "{mail}");
    assert!(mail.contains("c.example.org is held") && !mail.contains("a.example.org"), "{mail}");
    assert!(mail.contains("Told before, and as it was: 2 things."), "{mail}");
    running.wait_says("a notice was sent").unwrap();
    running.stop().unwrap();
    assert!(!status(&rig)["notices"]["last"].is_null());
    let events = rig.trytlsd(&["events", "--config", "trytlsd.toml"]).unwrap().stdout;
    assert!(events.contains("notice      - news: to postmaster@example.org"), "{events}");
}

#[test]
fn what_has_ended_by_itself_is_not_told() {
    // It waits as long as it takes to recover.
    let rig = rig("mail_to = \"root\"\nevery = \"6s\"\ndigest = false");
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("a.example.org", "192.0.2.1")).unwrap();
    running.wait_says("held relay=a.example.org").unwrap();
    rig.append("mail.log", success("a.example.org")).unwrap();
    sleep(Duration::from_secs(9));
    assert_eq!(sent(&rig), 0);
    // The same hold in another run of failures is news.
    rig.append("mail.log", failure("a.example.org", "192.0.2.1")).unwrap();
    assert!(notice(&rig, 1).contains("a.example.org is held"));
    running.stop().unwrap();
}

#[test]
fn what_passes_without_a_person_is_not_told() {
    let rig = rig(MAIL);
    let with = format!("dry_run = false\n{AT_ONCE}[notice]\n{MAIL}\n")
        .replace("trusted_for = \"0s\"", "trusted_for = \"30d\"");
    rig.config(&with).unwrap();
    rig.append("mail.log", success("mx.example.org")).unwrap();
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("mx.example.org", "192.0.2.9")).unwrap();
    running.wait_says("held relay=mx.example.org").unwrap();
    sleep(SETTLED);
    assert_eq!(sent(&rig), 0);
    running.stop().unwrap();
}

#[test]
fn a_program_that_fails_is_tried_again_and_said_once() {
    let rig = rig(MAIL);
    rig.program("sendmail", "echo 'no room here' >&2; echo x >>tried; exit 71").unwrap();
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("a.example.org", "192.0.2.1")).unwrap();
    let tries = || rig.read("tried").lines().count();
    wait::until(SOON, "the second try", || (tries() >= 2).then_some(())).unwrap();
    running.wait_says("a notice cannot be sent").unwrap();
    let said = running.stderr();
    assert!(said.contains("sendmail: no room here (exit status: 71)"), "{said}");
    assert_eq!(said.matches("cannot be sent").count(), 1, "{said}");
    let notices = status(&rig)["notices"].clone();
    assert!(notices["failing_since"].is_string(), "{notices}");
    let text = rig.trytlsd(&["status", "--config", "trytlsd.toml"]).unwrap().stdout;
    assert!(text.contains("cannot be sent since") && text.contains("no room here"), "{text}");

    rig.program("sendmail", KEEPS).unwrap();
    assert!(notice(&rig, 1).contains("a.example.org is held"));
    running.wait_says("notices can be sent again").unwrap();
    running.stop().unwrap();
    assert!(status(&rig)["notices"]["failing_since"].is_null());
}

/// Neither a program that hangs nor one that is killed with its daemon holds anything up.
#[test]
fn a_program_that_hangs_delays_nothing() {
    let rig = rig(MAIL);
    rig.program("sendmail", "echo x >>tried; sleep 1000").unwrap();
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("a.example.org", "192.0.2.1")).unwrap();
    wait::until(SOON, "the try", || (!rig.read("tried").is_empty()).then_some(())).unwrap();
    rig.append("mail.log", failure("mx.example.net", "192.0.2.7")).unwrap();
    running.wait_says("active relay=mx.example.net").unwrap();
    assert_eq!(running.stop().unwrap(), Some(0));
    // It was on its way: the next daemon takes it for told.
    rig.program("sendmail", KEEPS).unwrap();
    let running = rig.run().unwrap();
    sleep(SETTLED);
    assert_eq!(sent(&rig), 0);
    running.stop().unwrap();
}

#[test]
fn a_command_gets_the_same_text() {
    let rig = rig(
        "command = [\"to-chat\", \"--room\", \"$(touch shell)\"]\nevery = \"2s\"\ndigest = false",
    );
    rig.program("to-chat", KEEPS).unwrap();
    let running = rig.run().unwrap();
    rig.append("mail.log", failure("a.example.org", "192.0.2.1")).unwrap();
    let text = notice(&rig, 1);
    assert_eq!(rig.read("out/1.args"), "--room $(touch shell)\n");
    assert!(!rig.path("shell").exists());
    assert!(
        text.contains("\nSubject: trytlsd on ") && text.contains("a.example.org is held"),
        "{text}"
    );
    assert!(!text.contains("\nTo: "), "{text}");
    running.stop().unwrap();
}

/// What the log and the access file say stays in the body, on lines that begin with our own words.
#[test]
fn hostile_text_is_shown_and_no_more() {
    let rig = rig(MAIL);
    rig.append("access", "TLS_Srv:d.example.org\tENCR:112 \u{1b}[2J\rBcc: v@evil.test\n").unwrap();
    let mut running = rig.run().unwrap();
    rig.append("mail.log", failure("d.example.org", "192.0.2.4")).unwrap();
    running.wait_says("held relay=d.example.org").unwrap();
    for name in ["$(reboot).example.org", "--config.example.org"] {
        rig.append("mail.log", failure(name, "192.0.2.5")).unwrap();
    }
    let mail = notice(&rig, 1);
    let (head, body) = mail.split_once("\n\n").unwrap();
    assert!(!head.contains("Bcc") && !head.contains("evil"), "{mail}");
    assert!(body.contains("Bcc: v@evil.test"), "{mail}");
    assert!(mail.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)), "{mail}");
    assert!(mail.lines().all(|line| line.len() <= 998), "{mail}");
    assert!(
        !body.lines().any(|line| line.starts_with("Bcc") || line.starts_with("From ")),
        "{mail}"
    );
    assert!(body.contains("* $(reboot).example.org is held"), "{mail}");
    assert!(body.contains("Its name is no plain host name"), "{mail}");
    assert!(!body.contains("trytlsd explain $") && !body.contains("trytlsd explain --"), "{mail}");
    running.stop().unwrap();
}

#[test]
fn a_dry_run_tells_too_and_says_what_it_is() {
    let rig = rig(MAIL);
    let mut running = rig.run_with(&["--dry-run"]).unwrap();
    rig.append("mail.log", failure("a.example.org", "192.0.2.1")).unwrap();
    let mail = notice(&rig, 1);
    assert!(mail.contains(": 1 thing needs a person (dry run)\n"), "{mail}");
    assert!(mail.contains("It is a dry run: "), "{mail}");
    running.wait_says("a notice was sent").unwrap();
    running.stop().unwrap();
}

#[test]
fn the_test_notice_and_what_the_doctor_says() {
    let rig = rig(MAIL);
    let run = |args: &[&str]| rig.trytlsd(&[args, &["--config", "trytlsd.toml"]].concat()).unwrap();
    let ran = run(&["notice", "--test"]);
    assert_eq!(
        (ran.status, &*ran.stdout),
        (Some(0), "given away, to postmaster@example.org\n"),
        "{ran:?}"
    );
    assert!(notice(&rig, 1).contains(": test\n"));
    let line = format!(
        "ok notices go to postmaster@example.org, by {}",
        rig.path("bin/sendmail").display()
    );
    let ran = run(&["check-config"]);
    assert!(ran.stdout.contains(&line), "{ran:?}");

    rig.drop_in("10.toml", "[access]\nsendmail = \"/nowhere/sendmail\"\n").unwrap();
    let ran = run(&["check-config"]);
    assert!(
        ran.stdout
            .contains("!! notices go to postmaster@example.org: /nowhere/sendmail is not there"),
        "{ran:?}"
    );
    let ran = run(&["notice", "--test"]);
    assert!(
        ran.status == Some(1) && ran.stderr.contains("cannot start /nowhere/sendmail"),
        "{ran:?}"
    );

    rig.drop_in("20.toml", "[notice]\nmail_to = \"\"\n").unwrap();
    let ran = run(&["notice", "--test"]);
    assert!(ran.status == Some(2) && ran.stderr.contains("no notices are sent"), "{ran:?}");
    assert!(status(&rig)["notices"].is_null());
}
