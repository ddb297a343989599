//! `trytlsd report`: what happened over a span of time, as text, as JSON, and as a page that can be mailed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use serde_json::Value;
use tests::lines::failure;
use tests::rig::{AT_ONCE, Ran, Rig};
use tests::wait;

fn report(rig: &Rig, more: &[&str]) -> Ran {
    rig.trytlsd(&[&["report", "--config", "trytlsd.toml"], more].concat()).unwrap()
}

fn json(rig: &Rig) -> Value {
    let ran = report(rig, &["--json"]);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn what_was_done_and_undone() {
    let rig = Rig::new().unwrap();
    rig.config(&format!("dry_run = false\n{AT_ONCE}")).unwrap();
    rig.write("mail.log", "").unwrap();
    let ran = report(&rig, &[]);
    assert!(ran.stdout.ends_with("\nNothing happened with any relay.\n"), "{ran:?}");

    let mut running = rig.run().unwrap();
    for (relay, address) in [("mx.example.org", "192.0.2.1"), ("mx.example.net", "192.0.2.2")] {
        rig.append("mail.log", failure(relay, address)).unwrap();
        running.wait_says(&format!("active relay={relay}")).unwrap();
    }
    let lifted = rig.trytlsd(&["lift", "--config", "trytlsd.toml", "mx.example.net"]).unwrap();
    assert_eq!(lifted.status, Some(0), "{lifted:?}");
    let whole = wait::until(Duration::from_secs(10), "the commit", || {
        let whole = json(&rig);
        (whole["sums"]["lifted"] == 1).then_some(whole)
    })
    .unwrap();
    let sums = &whole["sums"];
    let of = |key: &str| sums[key].as_u64().unwrap();
    assert_eq!(["relays", "opted_out", "in_force", "lifted"].map(of), [2, 2, 1, 1], "{whole}");
    let row = |relay: &str| {
        let rows = whole["relays"].as_array().unwrap();
        rows.iter().find(|row| row["relay"] == relay).unwrap().clone()
    };
    let (off, on) = (row("mx.example.org"), row("mx.example.net"));
    assert_eq!((&off["state"], &on["state"]), (&"TLS off".into(), &"lifted".into()), "{whole}");
    assert!(off["off"][0]["to"].is_null() && on["off"][0]["to"].is_string(), "{whole}");
    let done = on["done"].as_array().unwrap();
    assert_eq!(done.last().unwrap()["detail"], "192.0.2.2 by hand", "{whole}");

    let ran = report(&rig, &["--since", "7d"]);
    assert_eq!(ran.stderr, "", "the daemon answers");
    let text = ran.stdout;
    let line = "2 relays, TLS was off with 2: it is now with 1, and on again with 1";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("\nmx.example.org  TLS off"), "{text}");
    let ran = report(&rig, &["--html", "of-daemon.html"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(rig.read("of-daemon.html").starts_with("<!DOCTYPE html>"));
    running.stop().unwrap();
    let ran = report(&rig, &[]);
    assert!(ran.stderr.contains("no daemon runs; this is what the ledger says"), "{ran:?}");
    assert!(ran.stdout.contains(line), "{ran:?}");

    // One file, and nothing in it that is fetched from elsewhere.
    let ran = report(&rig, &["--html", "report.html"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    let page = rig.read("report.html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.matches("<svg").count() == 2, "{page}");
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let ran = report(&rig, &["--html", "nowhere/report.html"]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.contains("nowhere/report.html cannot be written"), "{ran:?}");
}
