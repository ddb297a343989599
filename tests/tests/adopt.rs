//! Lines that an admin wrote by hand: adopted, shown, and taken out on a word and not before.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tests::lines::failure;
use tests::rig::{ACCESS, AT_ONCE, Ran, Rig, Running};
use tests::wait;

const LINE: &str = "Try_TLS:mx.example.org\tNO";

/// As it is shown.
const SHOWN: &str = "line 5 of the access file says \"Try_TLS:mx.example.org\\tNO\"";

fn access() -> String {
    format!("{ACCESS}# since 2019, by hand\n{LINE}\nTry_TLS:example.net NO\n")
}

fn rig(dry_run: bool) -> Rig {
    let rig = Rig::new().unwrap();
    rig.config(&format!("dry_run = {dry_run}\n{AT_ONCE}")).unwrap();
    rig.drop_in("look.toml", "[access]\nlook_every = \"1s\"\n").unwrap();
    rig.write("mail.log", "").unwrap();
    rig.write("access", access()).unwrap();
    rig
}

fn run(rig: &Rig, command: &str, more: &[&str]) -> Ran {
    rig.trytlsd(&[&[command, "--config", "trytlsd.toml"], more].concat()).unwrap()
}

/// Its standard output, with this exit status.
fn says(rig: &Rig, status: i32, command: &str, more: &[&str]) -> String {
    let ran = run(rig, command, more);
    assert_eq!(ran.status, Some(status), "{}{}", ran.stdout, ran.stderr);
    ran.stdout
}

fn explain(rig: &Rig) -> Value {
    let out = says(rig, 0, "explain", &["--no-dns", "--json", "mx.example.org"]);
    serde_json::from_str(&out).unwrap()
}

fn until_access(rig: &Rig, running: &Running, expect: &str) {
    wait::until(Duration::from_secs(10), "the access file", || {
        (rig.read("access") == expect).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", rig.read("access"), running.stderr()));
}

#[test]
fn adopted_shown_and_lifted() {
    let rig = rig(false);
    let mut running = rig.run().unwrap();
    let told = says(&rig, 0, "adopt", &["mx.example.org", "--reason", "ticket 1"]);
    let expect =
        format!("mx.example.org: adopted: {SHOWN}; it stays as it is, and the peer is probed\n");
    assert!(told.starts_with(&expect), "{told}");
    running.wait_says("INFO adopted: line 5 of the access file says").unwrap();
    assert_eq!(rig.read("access"), access());

    let explained = explain(&rig);
    let adopted = &explained["adopted"];
    assert_eq!((&adopted["line"], &adopted["line_no"]), (&Value::from(LINE), &Value::from(5)));
    assert_eq!((&adopted["reason"], &adopted["lifting"]), (&"ticket 1".into(), &false.into()));
    assert!(adopted["mended_since"].is_null() && explained["life"]["until"].is_null());
    assert!(explained["life"]["next_probe"].is_string());
    let text = says(&rig, 0, "explain", &["--no-dns", "mx.example.org"]);
    assert!(text.contains("it goes with: trytlsd lift mx.example.org\n"), "{text}");
    // sendmail's use of it is counted.
    rig.append("mail.log", "Nov 26 10:00:00 mx1 sm-mta[1]: ruleset=try_tls, arg1=mx.example.org, relay=mx.example.org, reject=550 5.7.1 <mx.example.org>... do not try TLS with mx.example.org [192.0.2.1]\n").unwrap();
    wait::until(Duration::from_secs(10), "the use", || {
        (explain(&rig)["life"]["hits"] == 1).then_some(())
    })
    .unwrap();

    let told = says(&rig, 0, "lift", &["mx.example.org"]);
    let expect =
        format!("mx.example.org: lifted: {SHOWN}; it goes, and there is to be no entry until 20");
    assert!(told.starts_with(&expect), "{told}");
    until_access(&rig, &running, &access().replace(&format!("{LINE}\n"), ""));
    running.wait_says("INFO lifted: the adopted line").unwrap();
    // It gets no entry of ours either.
    rig.append("mail.log", failure("mx.example.org", "192.0.2.1")).unwrap();
    rig.append("mail.log", failure("mx9.example.org", "192.0.2.9")).unwrap();
    running.wait_says("active relay=mx9.example.org").unwrap();
    assert_eq!(rig.read("access").matches("Try_TLS:").count(), 2);
    let explained = explain(&rig);
    assert!(explained["adopted"].is_null() && explained["lifted_until"].is_string());
    running.stop().unwrap();
}

#[test]
fn what_cannot_be_adopted_or_lifted_stays_as_it_is() {
    let rig = rig(false);
    rig.append("access", "Try_TLS:192.0.2 NO\n").unwrap();
    let before = rig.read("access");
    let running = rig.run().unwrap();
    let refused = |command: &str, relay: &str, why: &str| {
        let told = says(&rig, 1, command, &[relay]);
        assert!(told.starts_with(&format!("{relay}: refused: ")), "{told}");
        assert!(told.contains(why), "{told}");
    };
    refused("adopt", "other.example.org", "sendmail finds no Try_TLS: line of yours for it");
    refused("adopt", "mx.example.net", "line 6 of the access file says");
    refused("adopt", "mx.example.net", "it cannot be adopted for one relay");
    refused("adopt", "[192.0.2.25]", "all of that network");
    refused(
        "lift",
        "mx.example.org",
        &format!("{SHOWN}, which is yours and stays; have it adopted"),
    );
    refused("lift", "[192.0.2.25]", "which is yours and stays; take it out yourself");
    says(&rig, 0, "adopt", &["mx.example.org"]);
    refused("adopt", "mx.example.org", "that is adopted already, for mx.example.org");
    // To hold says what is to be made, and takes nothing of the admin's.
    assert!(says(&rig, 0, "hold", &["mx.example.org"]).contains(": held: it had no entry"));
    let told = says(&rig, 0, "adopt", &["--end", "mx.example.org"]);
    assert!(told.contains(": ended: ") && told.contains("it stays as it is"), "{told}");
    assert_eq!(
        says(&rig, 1, "adopt", &["--end", "mx.example.org"]),
        "mx.example.org: refused: no line is adopted for it\n"
    );
    assert!(explain(&rig)["adopted"].is_null());
    running.stop().unwrap();
    assert_eq!(rig.read("access"), before);
}

/// Queued while nobody runs, kept over restarts and kills, and over when the line is another one.
#[test]
fn it_stands_over_restarts_and_ends_with_its_line() {
    let rig = rig(false);
    rig.run().unwrap().stop().unwrap();
    let told = says(&rig, 0, "adopt", &["mx.example.org"]);
    assert!(told.starts_with("mx.example.org: queued: no daemon runs"), "{told}");
    let mut running = rig.run().unwrap();
    running.wait_says("INFO adopted: line 5").unwrap();
    running.signal(Signal::KILL).unwrap();
    drop(running);
    let mut running = rig.run().unwrap();
    assert_eq!(explain(&rig)["adopted"]["line"], LINE);
    // Elsewhere in the file it is the same line.
    rig.write("access", format!("{LINE}\n{ACCESS}")).unwrap();
    wait::until(Duration::from_secs(10), "the look", || {
        (explain(&rig)["adopted"]["line_no"] == 1).then_some(())
    })
    .unwrap();
    rig.write("access", access().replace(LINE, "Try_TLS:mx.example.org NO")).unwrap();
    running.wait_says("WARN adoption ended: it is another line now: line 5").unwrap();
    assert!(explain(&rig)["adopted"].is_null());
    running.stop().unwrap();
}

/// Killed at each step of the taking out: the line is there, or it is gone, and the next start finishes it.
#[test]
fn a_kill_while_the_line_is_taken_out() {
    for point in ["text-prepared", "text-checked", "text-replaced", "scratch-removed"] {
        let rig = rig(false);
        rig.run().unwrap().stop().unwrap();
        says(&rig, 0, "adopt", &["mx.example.org"]);
        says(&rig, 0, "lift", &["mx.example.org"]); // Queued behind it.
        let mut running = rig.run_env(&[("TRYTLSD_FAIL", &format!("{point}=kill"))]).unwrap();
        let ended = running.wait_end(Duration::from_secs(20)).unwrap();
        assert!(!ended.success(), "{point}: {}", running.stderr());
        let mut running = rig.run().unwrap();
        running.wait_says("INFO lifted: the adopted line").unwrap();
        until_access(&rig, &running, &access().replace(&format!("{LINE}\n"), ""));
        running.stop().unwrap();
        assert!(explain(&rig)["adopted"].is_null(), "{point}");
    }
}

#[test]
fn dry_run_adopts_and_only_shows_a_lift() {
    let rig = rig(true);
    let mut running = rig.run().unwrap();
    says(&rig, 0, "adopt", &["mx.example.org"]);
    let told = says(&rig, 1, "lift", &["mx.example.org"]);
    assert!(told.contains("in dry run it stays, and is only shown"), "{told}");
    running.wait_says("# would be taken out: Try_TLS:mx.example.org\\tNO\n").unwrap();
    assert_eq!(explain(&rig)["adopted"]["lifting"], false);
    running.stop().unwrap();
    assert_eq!(rig.read("access"), access());
}
