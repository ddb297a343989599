//! `trytlsd match`: how lines are read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use tests::rig::Rig;

const ATTEMPT: &str = "Nov 23 11:30:13 mx1 sm-mta[276]: ruleset=tls_server, arg1=SOFTWARE, relay=mx.example.org, \
                       reject=454 4.7.0 TLS handshake failed.";

#[test]
fn a_pasted_line_is_read_field_by_field() {
    let rig = Rig::new().unwrap();
    let ran = rig.trytlsd(&["match", ATTEMPT]).unwrap();
    assert_eq!(ran.status, Some(0), "{ran:?}");
    for part in
        ["pid       276", "arg1      SOFTWARE", "relay     mx.example.org", "verdict   counts:"]
    {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
}

#[test]
fn lines_together_say_whether_mail_is_stuck() {
    let rig = Rig::new().unwrap();
    let deferred = "Nov 23 11:30:14 mx1 sm-mta[276]: 6ANBUDwd000274: to=<u@example.org>, delay=00:00:00, xdelay=00:00:00, \
                    mailer=esmtp, pri=30078, relay=mx.example.org. [192.0.2.1], dsn=4.7.0, stat=Deferred: x";
    let ran = rig.trytlsd_fed(&["match"], format!("{ATTEMPT}\n{deferred}\n").as_bytes()).unwrap();
    assert!(ran.stdout.contains("mail is stuck for mx.example.org at 192.0.2.1"), "{}", ran.stdout);
    assert!(ran.stdout.contains("a Deferred line alone proves nothing"), "{}", ran.stdout);
}

/// Foreign text does not reach the terminal, nothing at all is an exit status of 1, and JSON is one object a line.
#[test]
fn odd_lines() {
    let rig = Rig::new().unwrap();
    let ran = rig.trytlsd_fed(&["match"], b"\x1b[31mred\x00\xff\n").unwrap();
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(!ran.stdout.contains('\x1b') && ran.stdout.contains("ignored"), "{}", ran.stdout);
    let ran = rig.trytlsd(&["match", "--json", ATTEMPT]).unwrap();
    let line: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&line["verdict"], &line["fields"][5]["text"]),
        (&"counts".into(), &"mx.example.org".into())
    );
}
