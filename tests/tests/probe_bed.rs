//! The probe and the real sendmail on the same peers: it fails where sendmail fails, and only there.
//!
//! Both use the same OpenSSL and the same sendmail.cf. The table has for each peer what the probe finds, and what sendmail
//! logs of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use serde_json::Value;
use tests::bed::{Bed, Replace};
use tests::certificate::{Likeness, Validity};
use tests::mta::{ACCESS, Mta, Queue};
use tests::peers::{Channel, Mode, Peer, Step};
use tests::trytlsd::output;

const SOON: Duration = Duration::from_secs(40);

/// What sendmail makes of a peer.
#[derive(Clone, Copy, Debug)]
enum Logs {
    /// `STARTTLS=client, error: connect failed=-1, ` and this; the mail is deferred.
    Error(&'static str),
    /// The mail goes out over TLS.
    Tls,
    /// The mail goes out in clear.
    Clear,
    /// The mail is deferred without a word of TLS.
    Deferred,
}

use Logs::{Clear, Deferred, Error, Tls};

/// Peer, verdict of the probe (null: not reached), what sendmail does.
fn table() -> Vec<(&'static str, Mode, Option<&'static str>, Logs)> {
    let reply = |reply: &str| Mode::Reply(reply.to_owned());
    vec![
        ("good", Mode::Tls, Some("good"), Tls),
        ("expired", Mode::Shows(Likeness::Expired), Some("good"), Tls),
        ("othername", Mode::Shows(Likeness::OtherName), Some("good"), Tls),
        ("weakrsa", Mode::WeakRsa, Some("good"), Tls),
        ("injects", Mode::Injects, Some("good"), Tls),
        ("plain", Mode::Plain, Some("no-starttls"), Clear),
        ("s454", reply("454 4.7.0 TLS not available"), Some("refused"), Clear),
        ("s502", reply("502 5.5.1 what?"), Some("refused"), Clear),
        ("s501", reply("501 5.5.4 what?"), Some("refused"), Clear),
        ("s421", reply("421 4.3.2 shutting down"), Some("refused"), Deferred),
        ("s250", reply("250 2.0.0 what?"), Some("refused"), Deferred),
        ("s334", reply("334 what?"), Some("refused"), Deferred),
        ("text", reply("ready when you are"), Some("refused"), Deferred),
        ("close", Mode::Close, Some("closed-or-reset"), Error("reason=unknown, SSL_error=5")),
        ("reset", Mode::Reset, Some("closed-or-reset"), Error("reason=unknown, SSL_error=5")),
        ("no13", Mode::Tls13Intolerant, Some("closed-or-reset"), Error("reason=unknown")),
        ("drop", Mode::DropAfterHandshake, Some("closed-or-reset"), Deferred),
        ("hang", Mode::Hang, Some("timeout"), Error("reason=unknown, SSL_error=2, errno=11")),
        ("garbage", Mode::Garbage, Some("not-tls"), Error("reason=wrong version number")),
        ("plainerror", Mode::PlainError, Some("not-tls"), Error("reason=wrong version number")),
        ("tls10", Mode::Tls10, Some("no-version"), Error("reason=legacy sigalg disallowed")),
        ("nocipher", Mode::NoCipher, Some("no-cipher"), Error("reason=sslv3 alert handshake fail")),
        ("weakdh", Mode::WeakDh, Some("weak-key"), Error("reason=dh key too small")),
        ("sha1", Mode::Sha1, Some("signature"), Error("reason=sslv3 alert handshake failure")),
        ("nobody", Mode::TrustsNobody, Some("client-cert"), Error("reason=tlsv1 alert unknown ca")),
        ("refused", Mode::Refused, None, Deferred),
        ("busy", Mode::Greeting("421 4.3.2 busy".into()), None, Deferred),
        ("silent", Mode::CloseAt(Step::Banner), None, Deferred),
    ]
}

fn probe(bed: &Bed, host: &str) -> (Value, Option<i32>) {
    let ran = output(bed, &["probe", "--json", "--timeout", "3s", host]).unwrap();
    let found = serde_json::from_slice(&ran.stdout);
    (found.unwrap_or_else(|error| panic!("{error}: {ran:?}")), ran.status.code())
}

#[test]
fn it_fails_where_sendmail_fails() {
    let rows = table();
    let mut plan = Bed::new().mta(Mta::default().queue(Queue::Nobody).starttls_timeout(6));
    for ((name, mode, ..), host) in rows.iter().zip(11..) {
        plan = plan.peer(Peer::new(name, &format!("127.0.0.{host}"), mode.clone()));
    }
    let Some(bed) = plan.start_or_skip("it_fails_where_sendmail_fails") else { return };
    let send = |name: &str| bed.send(&[&format!("u@{name}.rcpt.test")]).unwrap();
    let sent: Vec<String> = rows.iter().map(|(name, ..)| send(name)).collect();
    for ((name, _, verdict, logs), id) in rows.iter().zip(sent) {
        let (found, status) = probe(&bed, &format!("{name}.mx.test"));
        assert_eq!(found["verdict"].as_str(), *verdict, "{name}: {found:#}");
        let expect = match verdict {
            Some("good") => 0,
            Some(_) => 1,
            None => 2,
        };
        assert_eq!(status, Some(expect), "{name}");
        // Set up as sendmail is, from the same file, with nothing that could not be read.
        assert_eq!(found["differs"], serde_json::json!([]), "{found:#}");
        assert_eq!(found["addresses"][0]["differs"], serde_json::json!([]), "{found:#}");
        assert_eq!(found["own_name"], "lab.example.test");

        match logs {
            Error(reason) => {
                let relay = format!("relay={name}.mx.test,");
                let ruleset = ["ruleset=tls_server, arg1=SOFTWARE, ", &relay];
                let ruleset = bed.wait_line(SOON, &ruleset).unwrap();
                // The line before it by the same process, which does not name the relay.
                let pid = ruleset.split_once(": ").unwrap().0.split_once(" lab ").unwrap().1;
                let error = [pid, "STARTTLS=client, error: connect failed=-1, ", reason];
                bed.wait_line(SOON, &error).unwrap_or_else(|e| panic!("{name}: {error:?}: {e}"));
            }
            Tls | Clear => {
                let channel = if matches!(logs, Tls) { Channel::Tls } else { Channel::Clear };
                bed.wait_accepted(SOON, name, channel, 1).unwrap();
            }
            Deferred => {
                bed.wait_line(SOON, &[&id, "stat=Deferred"]).unwrap();
                assert!(!bed.log().contains(&format!("arg1=SOFTWARE, relay={name}.")));
            }
        }
        // Neither has the probe sent any mail, nor does a broken peer have sendmail's.
        let accepted = |channel| bed.peers().accepted(name, channel);
        let delivered = usize::from(matches!(logs, Tls | Clear));
        assert_eq!(accepted(Channel::Clear) + accepted(Channel::Tls), delivered, "{name}");
    }
}

#[test]
fn a_client_certificate_that_ran_out() {
    let Some(bed) = Bed::new()
        .peer(Peer::new("wants", "127.0.0.11", Mode::WantsCertificate))
        .mta(Mta::default().queue(Queue::Nobody))
        .start_or_skip("a_client_certificate_that_ran_out")
    else {
        return;
    };
    bed.certify_mta(Validity::Current).unwrap();
    assert_eq!(probe(&bed, "wants.mx.test").0["verdict"], "good");
    bed.send(&["u@wants.rcpt.test"]).unwrap();
    bed.wait_accepted(SOON, "wants", Channel::Tls, 1).unwrap();

    bed.certify_mta(Validity::Expired).unwrap();
    assert_eq!(probe(&bed, "wants.mx.test").0["verdict"], "client-cert");
    bed.send(&["u@wants.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &["STARTTLS=client, error: ", "reason=sslv3 alert certificate expired"])
        .unwrap();
}

/// The line that the probe advises is put into the access map; mail that was stuck then goes out over TLS.
#[test]
fn the_remedy_that_it_names_works() {
    let peers = [
        ("weakdh", Mode::WeakDh),
        ("sha1", Mode::Sha1),
        ("tls10", Mode::Tls10),
        ("no13", Mode::Tls13Intolerant),
    ];
    let mta = Mta::default().queue(Queue::Nobody).access(ACCESS);
    let mut plan = Bed::new().mta(mta.m4("FEATURE(`tls_session_features')dnl"));
    for ((name, mode), host) in peers.iter().zip(11..) {
        plan = plan.peer(Peer::new(name, &format!("127.0.0.{host}"), mode.clone()));
    }
    let Some(bed) = plan.start_or_skip("the_remedy_that_it_names_works") else { return };
    let mut lines = String::new();
    for (name, _) in &peers {
        let id = bed.send(&[&format!("u@{name}.rcpt.test")]).unwrap();
        bed.wait_line(SOON, &[&id, "stat=Deferred: 454 4.7.0 TLS handshake failed."]).unwrap();
        let (found, _) = probe(&bed, &format!("{name}.mx.test"));
        let remedy = &found["addresses"][0]["remedy"];
        assert_eq!(remedy["what"], "weaker", "{name}: {found:#}");
        lines += &format!("{}\n", remedy["line"].as_str().unwrap());
    }
    bed.add_access(&lines, Replace::RenameAndTouch).unwrap();
    bed.flush().unwrap();
    for (name, _) in &peers {
        bed.wait_accepted(SOON, name, Channel::Tls, 1).unwrap();
    }
}
