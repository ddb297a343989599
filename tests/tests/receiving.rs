//! The receiving side without sendmail: what a log says of clients, and what is written for it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tests::rig::{ACCESS, Rig, Running};
use tests::wait;

const ON: &str = "dry_run = false\n[receiving]\nenabled = true\n";

/// What stands before a message that was written so many minutes ago.
#[expect(clippy::disallowed_methods, reason = "the lines are as old as the test says")]
fn prefix(minutes: i64) -> String {
    let at = Timestamp::now() - SignedDuration::from_mins(minutes);
    format!("{at:.6} mx1 sm-mta[733]: ")
}

/// A client's broken handshake, so many minutes ago.
fn broken(minutes: i64, client: &str, reason: &str) -> String {
    format!(
        "{}STARTTLS=server, error: accept failed=-1, reason={reason}, SSL_error=1, errno=0, retry=-1, relay={client}\n",
        prefix(minutes)
    )
}

/// Three broken handshakes over seven hours.
fn three(client: &str) -> String {
    [430, 200, 10].map(|minutes| broken(minutes, client, "wrong version number")).concat()
}

/// A message that came in, so many minutes ago.
fn delivered(minutes: i64, client: &str) -> String {
    format!(
        "{}6ANBKPhL000565: from=<a@b.example>, size=9, class=0, nrcpts=1, msgid=<x@y>, proto=ESMTP, daemon=MTA-v4, relay={client}\n",
        prefix(minutes)
    )
}

fn entries(rig: &Rig) -> Vec<String> {
    rig.read("access")
        .lines()
        .filter(|l| l.starts_with("Srv_Features:") || l.starts_with("Try_TLS:"))
        .map(str::to_owned)
        .collect()
}

/// A rig whose daemon has read the log.
fn reading(config: &str, log: &str) -> (Rig, Running) {
    let rig = Rig::new().unwrap();
    rig.config(config).unwrap();
    rig.write("mail.log", log).unwrap();
    let running = rig.run().unwrap();
    (rig, running)
}

const BROKEN: &str = "cl1.ptr.test [192.0.2.50]";

#[test]
fn a_client_that_keeps_trying_gets_its_entry() {
    let log = [
        three(BROKEN),
        three("v6.ptr.test [IPv6:fd00:1ab:0:0:0:0:0:41] (may be forged)"),
        [430, 200, 10].map(|at| broken(at, "[192.0.2.60]", "http request")).concat(),
        [30, 20, 10].map(|at| broken(at, "[192.0.2.61]", "wrong version number")).concat(),
        three("gets.through.test [192.0.2.62]") + &delivered(5, "gets.through.test [192.0.2.62]"),
    ];
    let (rig, mut running) = reading(ON, &log.concat());
    running.wait_says("INFO active client=192.0.2.50").unwrap();
    running.wait_says("INFO active client=fd00:1ab::41").unwrap();
    let mut written = entries(&rig);
    written.sort();
    let expect = ["Srv_Features:192.0.2.50\tS", "Srv_Features:IPv6:fd00:1ab:0:0:0:0:0:41\tS"];
    assert_eq!(written, expect, "{}", running.stderr());
    let access = rig.read("access");
    assert!(access.starts_with(ACCESS), "{access}");
    let comment = "# trytlsd: key=Srv_Features:192.0.2.50 relay=192.0.2.50 since=";
    assert!(access.contains(comment) && access.contains("(cl1.ptr.test)"), "{access}");
    assert_eq!(running.stop().unwrap(), Some(0));

    // A restart repeats nothing, and what is then taken out by hand stays out.
    let running = rig.run().unwrap();
    assert_eq!(rig.read("access"), access);
    assert!(!running.stderr().contains("client="), "{}", running.stderr());
    assert_eq!(running.stop().unwrap(), Some(0));
    rig.write("access", access.replace("Srv_Features:192.0.2.50\tS\n", "")).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("INFO lifted by hand; it stays out client=192.0.2.50").unwrap();
    rig.append("mail.log", three(BROKEN)).unwrap();
    rig.append("mail.log", three("[192.0.2.70]")).unwrap();
    assert_eq!(running.stop().unwrap(), Some(0));
    assert!(!entries(&rig).contains(&expect[0].to_owned()));
}

#[test]
fn off_by_default() {
    let (rig, running) = reading("dry_run = false\n", &three(BROKEN));
    assert_eq!(running.stop().unwrap(), Some(0));
    assert_eq!(rig.read("access"), ACCESS);
    let rig = Rig::new().unwrap();
    rig.write("mail.log", three(BROKEN)).unwrap();
    rig.config("[receiving]\nenabled = true\n").unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("Srv_Features:192.0.2.50\tS\n").unwrap(); // Dry run shows it.
    assert_eq!(running.stop().unwrap(), Some(0));
    assert_eq!(rig.read("access"), ACCESS);
}

/// The admin's own line for the client, or for all, holds and is quoted; so is one that requires TLS.
#[test]
fn the_admins_own_line_holds() {
    for line in
        ["Srv_Features:192.0.2 V", "Srv_Features: V", "Srv_Features:ptr.test S", "TLS_Clt: ENCR"]
    {
        let rig = Rig::new().unwrap();
        rig.config(ON).unwrap();
        rig.write("mail.log", three(BROKEN)).unwrap();
        let access = format!("{ACCESS}{line}\n");
        rig.write("access", &access).unwrap();
        let mut running = rig.run().unwrap();
        running.wait_says("WARN held client=192.0.2.50").unwrap();
        let says = format!("line 4 of the access file says {line:?}");
        assert!(
            running.stderr().replace('\\', "").contains(&says.replace('\\', "")),
            "{}",
            running.stderr()
        );
        assert_eq!(running.stop().unwrap(), Some(0));
        assert_eq!(rig.read("access"), access);
    }
}

/// What the other tags have for the same address is nothing to it.
#[test]
fn entries_of_both_sides_for_one_address() {
    let (rig, mut running) = reading(ON, &three("mx.broken.example [192.0.2.50]"));
    running.wait_says("INFO active client=192.0.2.50").unwrap();
    let config =
        "[policy]\nfailures = 1\nmin_span = \"0s\"\n[guards]\nburst_relays = 0\nburst_share = 0\n";
    assert_eq!(running.stop().unwrap(), Some(0));
    rig.config(&format!("{ON}{config}")).unwrap();
    let mut running = rig.run().unwrap();
    rig.append("mail.log", tests::lines::failure("mx.broken.example", "192.0.2.50")).unwrap();
    running.wait_says("INFO active relay=mx.broken.example").unwrap();
    assert_eq!(entries(&rig), ["Srv_Features:192.0.2.50\tS", "Try_TLS:192.0.2.50\tNO"]);
    assert_eq!(running.stop().unwrap(), Some(0));
}

/// A command about a client, with the config; its standard output.
fn says(rig: &Rig, status: i32, command: &str, more: &[&str]) -> String {
    let args = [&[command, "--config", "trytlsd.toml"], more].concat();
    let ran = rig.trytlsd(&args).unwrap();
    assert_eq!(ran.status, Some(status), "{}{}", ran.stdout, ran.stderr);
    ran.stdout
}

fn explain(rig: &Rig, client: &str) -> Value {
    serde_json::from_str(&says(rig, 0, "explain", &["--json", "--client", client])).unwrap()
}

#[test]
fn a_client_is_explained_lifted_held_and_approved() {
    let (rig, mut running) = reading(ON, &three(BROKEN));
    running.wait_says("INFO active client=192.0.2.50").unwrap();
    let explained = explain(&rig, "192.0.2.50");
    assert_eq!(explained["client"], "192.0.2.50");
    assert_eq!(explained["standing"], "active");
    assert_eq!(explained["entry"], "Srv_Features:192.0.2.50\tS");
    assert!(explained["until"].is_string());
    assert_eq!(explained["guards"][2]["guard"], "own Srv_Features");
    assert_eq!(explained["history"][1]["what"], "active");
    let text = says(&rig, 0, "explain", &["--client", "[192.0.2.50]"]);
    assert!(text.starts_with("client 192.0.2.50 (cl1.ptr.test)\n"), "{text}");
    assert!(text.contains("  entry in force      Srv_Features:192.0.2.50\tS, until 20"), "{text}");

    // By the PTR name that is on record.
    let told = says(&rig, 0, "lift", &["--client", "CL1.ptr.test"]);
    let expect =
        "192.0.2.50: lifted: Srv_Features:192.0.2.50 goes, and there is to be none until 20";
    assert!(told.starts_with(expect), "{told}");
    wait::until(Duration::from_secs(10), "no entry", || {
        (explain(&rig, "192.0.2.50")["standing"] == "none").then_some(())
    })
    .unwrap();
    assert_eq!(entries(&rig), [""; 0]);
    let explained = explain(&rig, "192.0.2.50");
    assert!(explained["lifted_until"].is_string());
    assert_eq!(explained["line"], "Srv_Features:192.0.2.50\tS");
    rig.append("mail.log", three(BROKEN)).unwrap(); // It stays out.

    // Before there is an entry; and the approval ends it.
    let told = says(&rig, 0, "hold", &["--for", "2d", "--client", "192.0.2.51", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["client"], &told["outcome"]), (&"192.0.2.51".into(), &"held".into()));
    assert!(told["relay"].is_null());
    assert_eq!(running.stop().unwrap(), Some(0));
    rig.append("mail.log", three("[192.0.2.51]") + &three("[192.0.2.52]")).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("INFO active client=192.0.2.52").unwrap();
    assert_eq!(entries(&rig), ["Srv_Features:192.0.2.52\tS"]);
    let told = says(&rig, 0, "approve", &["--client", "192.0.2.51", "--reason", "ticket 1"]);
    assert!(told.starts_with("192.0.2.51: approved: approved until 20"), "{told}");
    assert!(
        told.contains("see what follows with: trytlsd explain --client 192.0.2.51\n"),
        "{told}"
    );
    running.wait_says("INFO active client=192.0.2.51").unwrap();
    assert!(rig.read("access").contains(", approved by an operator"));
    assert_eq!(running.stop().unwrap(), Some(0));
    assert_eq!(explain(&rig, "192.0.2.51")["approved"]["reason"], "ticket 1");
}

#[test]
fn an_approval_of_a_client_is_refused_where_it_must_be() {
    let rig = Rig::new().unwrap();
    rig.config(ON).unwrap();
    rig.write("mail.log", three(BROKEN)).unwrap();
    rig.append("access", "TLS_Clt:ptr.test ENCR\n").unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("WARN held client=192.0.2.50").unwrap();
    let refused = |why: &str| {
        let told = says(&rig, 1, "approve", &["--client", "192.0.2.50", "--reason", "x"]);
        assert!(told.starts_with("192.0.2.50: refused: ") && told.contains(why), "{told}");
    };
    refused("its mail would be refused; take that line out");
    let text = says(&rig, 0, "explain", &["--client", "192.0.2.50"]);
    assert!(text.contains("  TLS_Clt             holds "), "{text}");
    assert_eq!(running.stop().unwrap(), Some(0));
    rig.config("dry_run = false\n").unwrap();
    refused("the receiving side is off; turn it on in the config");

    for (status, args) in [
        (2, &["explain", "--client", "a b"][..]),
        (1, &["explain", "--client", "nobody.ptr.test"]),
        (2, &["lift"]),
        (2, &["lift", "--client", "192.0.2.50", "mx.example.org"]),
    ] {
        let ran = rig.trytlsd(&[args, &["--config", "trytlsd.toml"]].concat()).unwrap();
        assert_eq!(ran.status, Some(status), "{args:?}: {}", ran.stderr);
    }
}
