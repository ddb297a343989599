//! `trytlsd probe` as an operator runs it: its exit status, its JSON, its letter, with and without a config.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use serde_json::{Value, json};
use tests::certificate::Likeness;
use tests::peers::{Lone, Mode, Step};
use tests::rig::{Ran, Rig};

fn probe(rig: &Rig, peer: &Lone, args: &[&str]) -> Ran {
    let at = peer.address().to_string();
    rig.trytlsd(&[&["probe", "--config", "trytlsd.toml"], args, &[&at]].concat()).unwrap()
}

fn json(rig: &Rig, peer: &Lone) -> (Value, Option<i32>) {
    let ran = probe(rig, peer, &["--json"]);
    (serde_json::from_str(&ran.stdout).unwrap(), ran.status)
}

#[test]
fn exit_statuses_and_json() {
    let rig = Rig::new().unwrap();
    let rows = [
        (Mode::Shows(Likeness::Expired), json!("good"), json!(["expired"]), 0),
        (Mode::Plain, json!("no-starttls"), json!([]), 1),
        (Mode::Reply("454 4.7.0 no".into()), json!("refused"), json!([]), 1),
        (Mode::Garbage, json!("not-tls"), json!([]), 1),
        (Mode::Greeting("421 busy".into()), json!(null), json!([]), 2),
        (Mode::Refused, json!(null), json!([]), 2),
    ];
    for (mode, verdict, notes, status) in rows {
        let (found, ended) = json(&rig, &Lone::start(mode.clone()).unwrap());
        assert_eq!((&found["verdict"], &found["notes"]), (&verdict, &notes), "{mode:?} {found:#}");
        assert_eq!(ended, Some(status), "{mode:?}");
        assert_eq!(found["addresses"][0]["verdict"], verdict);
        assert_eq!(found["own_name"], "own.host.example");
    }
}

#[test]
fn the_whole_json() {
    let rig = Rig::new().unwrap();
    let peer = Lone::start(Mode::WeakDh).unwrap();
    let (mut found, status) = json(&rig, &peer);
    assert_eq!(status, Some(1));
    let certificate = found["addresses"][0]["certificate"].take();
    assert_eq!(certificate["key"], "RSA 2048");
    let agreed = json!({"version": "TLSv1.2", "cipher": "DHE-RSA-AES128-GCM-SHA256", "bits": 128});
    let expect = json!({
        "target": "127.0.0.1",
        "port": peer.address().port(),
        "verdict": "weak-key",
        "notes": ["self-signed"],
        "own_name": "own.host.example",
        "unreached": null,
        "differs": [],
        "addresses": [{
            "address": "127.0.0.1",
            "verdict": "weak-key",
            "at": "handshake",
            "reason": "OpenSSL here: dh key too small",
            "notes": ["self-signed"],
            "greeting": "220 lone.mx.test ESMTP",
            "offered": ["STARTTLS", "8BITMIME"],
            "agreed": null,
            "certificate": null,
            "works_if": {"ask": "level1", "agreed": agreed},
            "differs": [],
            "remedy": {
                "what": "weaker",
                "line": "TLS_Clt_features:127.0.0.1\tcipherlist=DEFAULT:@SECLEVEL=1",
            },
        }],
    });
    assert_eq!(found, expect, "{found:#}");
}

#[test]
fn the_text_can_be_shown_and_forwarded() {
    let rig = Rig::new().unwrap();
    let peer = Lone::start(Mode::Tls10).unwrap();
    let ran = probe(&rig, &peer, &[]);
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    let port = peer.address().port();
    for part in [
        &*format!("[127.0.0.1] port {port}: no-version\n"),
        "broke at        the TLS handshake: OpenSSL here: ",
        "EHLO offers     STARTTLS, 8BITMIME\n",
        "it works        from TLS 1.0 on, with all ciphers at OpenSSL's security level 0: TLSv1, ",
        "for them to do  switch on TLS 1.2 and 1.3",
        "TLS_Clt_features:127.0.0.1\tcipherlist=ALL:@SECLEVEL=0",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} in\n{}", ran.stdout);
    }
    let letter = probe(&rig, &peer, &["--letter"]);
    assert_eq!(letter.status, Some(1), "{}", letter.stderr);
    for part in [
        "STARTTLS does not work between own.host.example and your mail server\n",
        "In short: both sides have no version of TLS in common.\n",
        "  Your server's greeting: 220 lone.mx.test ESMTP\n",
        &*format!("openssl s_client -starttls smtp -noservername -connect 127.0.0.1:{port}\n"),
        "-min_protocol TLSv1",
        "No mail was sent in this test.\n",
    ] {
        assert!(letter.stdout.contains(part), "{part:?} in\n{}", letter.stdout);
    }

    // Whatever a server says, the terminal is safe.
    let noisy = probe(&rig, &Lone::start(Mode::Noisy).unwrap(), &[]);
    assert_eq!(noisy.status, Some(0));
    assert!(noisy.stdout.contains("\\x00\\x1b[31m"), "{}", noisy.stdout);
    assert!(noisy.stdout.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n')), "{}", noisy.stdout);
}

#[test]
fn a_letter_needs_a_reason() {
    let rig = Rig::new().unwrap();
    let ran = probe(&rig, &Lone::start(Mode::Tls).unwrap(), &["--letter"]);
    assert_eq!((&*ran.stdout, ran.status), ("", Some(0)));
    assert!(ran.stderr.contains("nothing to write"), "{}", ran.stderr);
}

#[test]
fn a_silent_host_is_given_up() {
    let rig = Rig::new().unwrap();
    let peer = Lone::start(Mode::HangAt(Step::StartTls)).unwrap();
    let ran = probe(&rig, &peer, &["--timeout", "1s"]);
    assert_eq!(ran.status, Some(1));
    assert!(
        ran.stdout.contains("broke at        STARTTLS: nothing came in time"),
        "{}",
        ran.stdout
    );
}

#[test]
fn it_works_without_a_config() {
    let rig = Rig::new().unwrap();
    let peer = Lone::start(Mode::Tls).unwrap();
    // A name, whose address this system knows by itself.
    let at = format!("localhost:{}", peer.address().port());
    let ran = rig.trytlsd(&["probe", "--json", &at]).unwrap();
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let addresses = found["addresses"].as_array().unwrap();
    let v4 = addresses.iter().find(|row| row["address"] == "127.0.0.1").unwrap();
    assert_eq!(v4["verdict"], "good", "{found:#}");
    assert_eq!(v4["notes"], json!(["self-signed", "other-name"]));
    assert_eq!((&found["verdict"], ran.status), (&json!("good"), Some(0)));

    rig.write("alone.toml", "[access]\ncf = \"/nowhere/sendmail.cf\"\n").unwrap();
    let ran = rig.trytlsd(&["probe", "--config", "alone.toml", &at]).unwrap();
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("not as sendmail cannot read /nowhere/sendmail.cf"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_is_no_host() {
    let rig = Rig::new().unwrap();
    for bad in ["", "mx example", "mx:0", "1.2.3"] {
        let ran = rig.trytlsd(&["probe", bad]).unwrap();
        assert_eq!((&*ran.stdout, ran.status), ("", Some(2)), "{bad:?}");
    }
    let ran = rig.trytlsd(&["probe", "--json", "no-such-host.invalid"]).unwrap();
    assert_eq!(ran.status, Some(2));
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&found["verdict"], &found["addresses"]), (&json!(null), &json!([])));
    assert!(found["unreached"].as_str().unwrap().starts_with("no-such-host.invalid: "), "{found}");
    for timeout in ["0s", "2h", "x"] {
        let ran = rig.trytlsd(&["probe", "--timeout", timeout, "127.0.0.1"]).unwrap();
        assert_eq!(ran.status, Some(2), "{timeout}");
    }
}
