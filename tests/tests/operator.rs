//! What an operator asks and is told: `explain` shows what holds a relay back, `approve` overrules it, and refuses where
//! mail would bounce.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use serde_json::Value;
use tests::lines::{failure, success};
use tests::rig::{Ran, Rig, Running};
use tests::wait;

const AT_ONCE: &str = "dry_run = false\n[policy]\nfailures = 3\nmin_span = \"0s\"\n";

fn rig() -> Rig {
    let rig = Rig::new().unwrap();
    rig.config(AT_ONCE).unwrap();
    rig.write("mail.log", "").unwrap();
    rig
}

/// Three failures of the relay.
fn fail(rig: &Rig, relay: &str, address: &str) {
    for _ in 0..3 {
        rig.append("mail.log", failure(relay, address)).unwrap();
    }
}

fn held(rig: &Rig) -> Running {
    rig.append("mail.log", success("mx.example.org")).unwrap();
    fail(rig, "mx.example.org", "192.0.2.1");
    let mut running = rig.run().unwrap();
    running.wait_says("held relay=mx.example.org").unwrap();
    running
}

fn explain(rig: &Rig, relay: &str) -> Value {
    let ran = rig.trytlsd(&["explain", "--config", "trytlsd.toml", "--json", relay]).unwrap();
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn says<'a>(explained: &'a Value, guard: &str) -> &'a str {
    let guards = explained["guards"].as_array().unwrap();
    guards.iter().find(|row| row["guard"] == guard).unwrap()["says"].as_str().unwrap()
}

fn approve(rig: &Rig, relay: &str, more: &[&str]) -> Ran {
    let args = ["approve", "--config", "trytlsd.toml", relay, "--reason", "ticket 1"];
    rig.trytlsd(&[&args, more].concat()).unwrap()
}

#[test]
fn explain_shows_the_guard_that_holds() {
    let rig = rig();
    let running = held(&rig);
    wait::until(Duration::from_secs(10), "the commit", || {
        let explained = explain(&rig, "MX.example.org.");
        (explained["evidence"]["stuck"] == 3).then_some(())
    })
    .unwrap();
    let ran = rig.trytlsd(&["explain", "--config", "trytlsd.toml", "mx.example.org"]).unwrap();
    let text = ran.stdout;
    let line = text.lines().find(|line| line.contains("worked lately")).unwrap();
    assert!(line.contains(" holds ") && line.contains("TLSv1.3, verify=OK"), "{text}");
    assert!(text.contains("\n  to overrule what holds: trytlsd approve mx.example.org"), "{text}");
    let explained = explain(&rig, "mx.example.org");
    assert_eq!(says(&explained, "worked lately"), "holds");
    assert_eq!(says(&explained, "DANE"), "silent");
    assert_eq!(explained["lines"][0], "Try_TLS:192.0.2.1\tNO");
    assert_eq!(explained["domains"][0], "example.org");
    assert_eq!(explained["history"][1]["what"], "held");
    // The evidence as it stands in the log, the last of it.
    let log = explained["log"].as_array().unwrap();
    let last = |n: usize| log.iter().rev().nth(n).unwrap().as_str().unwrap();
    assert!(
        log.len() <= 6 && last(0).contains("stat=Deferred: 454 4.7.0 TLS handshake"),
        "{log:?}"
    );
    assert!(last(0).contains(": to=..., delay="), "{log:?}");
    assert!(last(1).contains("ruleset=tls_server, arg1=SOFTWARE, relay="), "{log:?}");
    running.stop().unwrap();
}

#[test]
fn an_approval_overrules_the_guard_at_once() {
    let rig = rig();
    let mut running = held(&rig);
    let ran = approve(&rig, "mx.example.org", &["--for", "2d"]);
    assert_eq!(ran.status, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.starts_with("mx.example.org: approved: approved until"), "{}", ran.stdout);
    running.wait_says("active relay=mx.example.org").unwrap();
    assert!(rig.read("access").contains("Try_TLS:192.0.2.1\tNO"));
    running.stop().unwrap();
}

#[test]
fn an_approval_waits_for_a_daemon_that_does_not_run() {
    let rig = rig();
    held(&rig).stop().unwrap();
    let ran = approve(&rig, "mx.example.org", &["--json"]);
    assert_eq!(ran.status, Some(0), "{}{}", ran.stdout, ran.stderr);
    let answered: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answered["outcome"], "queued");
    assert_eq!(answered["says"], "no daemon runs; the next one reads it at its start");
    assert!(!rig.read("access").contains("Try_TLS:"));

    let mut running = rig.run().unwrap();
    running.wait_says("active relay=mx.example.org").unwrap();
    running.stop().unwrap();
    let explained = explain(&rig, "mx.example.org");
    assert_eq!(explained["approved"]["reason"], "ticket 1");
    assert_eq!(explained["entries"][0], "Try_TLS:192.0.2.1\tNO");

    // It was answered: another start does not do it again.
    let running = rig.run().unwrap();
    assert!(!running.stderr().contains("approved"), "{}", running.stderr());
    running.stop().unwrap();
}

#[test]
fn an_approval_is_refused_where_mail_would_bounce() {
    let rig = rig();
    rig.append("access", "TLS_Rcpt:example.org\tENCR:112\n").unwrap();
    fail(&rig, "mx.example.org", "192.0.2.1");
    let mut running = rig.run().unwrap();
    running.wait_says("held relay=mx.example.org").unwrap();
    let refused = |why: &str| {
        let ran = approve(&rig, "mx.example.org", &[]);
        assert_eq!(ran.status, Some(1), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.starts_with("mx.example.org: refused: "), "{}", ran.stdout);
        assert!(ran.stdout.contains("\"TLS_Rcpt:example.org\\tENCR:112\""), "{}", ran.stdout);
        assert!(ran.stdout.contains(why), "{}", ran.stdout);
    };
    refused("take that line out");
    assert_eq!(says(&explain(&rig, "mx.example.org"), "TLS_Rcpt"), "holds");
    running.stop().unwrap();
    refused("take that line out");
    assert!(!rig.read("access").contains("Try_TLS:"));
}

#[test]
fn an_approved_relay_must_still_fail() {
    let rig = rig();
    let mut running = rig.run().unwrap();
    let ran = approve(&rig, "mx.example.org", &[]);
    assert!(ran.stdout.contains(": approved: "), "{}", ran.stdout);
    rig.append("mail.log", success("mx.example.org")).unwrap();
    rig.append("mail.log", failure("mx.example.org", "192.0.2.1")).unwrap();
    let explained = explain(&rig, "mx.example.org");
    assert_eq!(explained["entries"].as_array().unwrap().len(), 0);
    fail(&rig, "mx.example.org", "192.0.2.1");
    running.wait_says("active relay=mx.example.org").unwrap();
    assert!(running.stderr().contains("stuck=3"), "{}", running.stderr());
    running.stop().unwrap();
}

#[test]
fn without_a_ledger_nothing_is_known_and_nothing_is_queued() {
    let rig = rig();
    let explained = explain(&rig, "mx.example.org");
    assert_eq!((&explained["ledger"], &explained["evidence"]), (&Value::Bool(false), &Value::Null));
    let ran = approve(&rig, "mx.example.org", &[]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.contains("there is no ledger"), "{}", ran.stderr);
    assert!(!rig.path("ledger.db").exists());
}

#[test]
fn what_no_log_could_name_is_misuse() {
    let rig = rig();
    for command in ["explain", "approve"] {
        for relay in ["", "a b", "a\nb"] {
            let mut args = vec![command, "--config", "trytlsd.toml", relay];
            if command == "approve" {
                args.extend(["--reason", "x"]);
            }
            let ran = rig.trytlsd(&args).unwrap();
            assert_eq!(ran.status, Some(2), "{relay:?}: {}", ran.stderr);
        }
    }
    let ran =
        rig.trytlsd(&["approve", "mx.example.org", "--reason", "x", "--for", "soon"]).unwrap();
    assert_eq!(ran.status, Some(2));
    assert!(ran.stderr.contains("is no span of time"), "{}", ran.stderr);
}

#[test]
fn lift_takes_the_entry_out_and_hold_keeps_it_out() {
    let rig = rig();
    fail(&rig, "mx.example.org", "192.0.2.1");
    let mut running = rig.run().unwrap();
    running.wait_says("active relay=mx.example.org").unwrap();
    let explained = explain(&rig, "mx.example.org");
    assert_eq!(explained["life"]["hits"], 0);
    let ran = rig.trytlsd(&["lift", "--config", "trytlsd.toml", "mx.example.org"]).unwrap();
    assert_eq!(ran.status, Some(0), "{}{}", ran.stdout, ran.stderr);
    let says = "mx.example.org: lifted: its entry goes, and there is to be none until 20";
    assert!(ran.stdout.starts_with(says), "{}", ran.stdout);
    wait::until(Duration::from_secs(10), "no entry", || {
        (!rig.read("access").contains("Try_TLS:")).then_some(())
    })
    .unwrap();
    fail(&rig, "mx.example.org", "192.0.2.1");

    let hold = |span: &str| {
        let args = ["hold", "--config", "trytlsd.toml", "--for", span, "mx2.example.org"];
        let ran = rig.trytlsd(&args).unwrap();
        assert_eq!(ran.status, Some(0), "{}{}", ran.stdout, ran.stderr);
        ran.stdout
    };
    assert!(hold("2d").starts_with("mx2.example.org: held: it had no entry"));
    fail(&rig, "mx2.example.org", "192.0.2.2");
    fail(&rig, "mx3.example.org", "192.0.2.3");
    running.wait_says("active relay=mx3.example.org").unwrap();
    assert_eq!(rig.read("access").matches("Try_TLS:").count(), 1);
    assert!(explain(&rig, "mx2.example.org")["lifted_until"].is_string());

    // Ended early, it may have one again.
    hold("0s");
    fail(&rig, "mx2.example.org", "192.0.2.2");
    running.wait_says("active relay=mx2.example.org").unwrap();
    running.stop().unwrap();
}
