//! The verdicts of `trytlsd probe` beside what a real sendmail logs of the same peers: where the one says that STARTTLS is
//! broken, the mail of the other is stuck, and where it says that mail flows, it does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use serde_json::Value;
use tests::bed::Bed;
use tests::certificate::Likeness;
use tests::mta::{Mta, Queue};
use tests::peers::{Mode, Peer, Step};
use tests::trytlsd;

const SOON: Duration = Duration::from_secs(60);

/// A peer, the verdict, and what sendmail logs: the reason in its STARTTLS error line, or that the mail was sent.
struct Row {
    name: &'static str,
    mode: Mode,
    verdict: &'static str,
    sendmail: &'static str,
}

fn rows() -> Vec<Row> {
    let row = |name, mode, verdict, sendmail| Row { name, mode, verdict, sendmail };
    let reply = |text: &str| Mode::Reply(text.to_owned());
    vec![
        row("good", Mode::Tls, "good", SENT),
        row("expired", Mode::Shows(Likeness::Expired), "good", SENT),
        row("plain", Mode::Plain, "no-starttls", SENT),
        row("refused", reply("454 4.7.0 TLS not available"), "refused", SENT),
        row("refused5", reply("502 5.5.1 no"), "refused", SENT),
        row("garbage", Mode::Garbage, "not-tls", "reason=wrong version number, SSL_error=1"),
        row("plainerror", Mode::PlainError, "not-tls", "reason=wrong version number, SSL_error=1"),
        row("close", Mode::Close, "closed-or-reset", "reason=unknown, SSL_error=5"),
        row("reset", Mode::Reset, "closed-or-reset", "reason=unknown, SSL_error=5"),
        row("hang", Mode::Hang, "timeout", "reason=unknown, SSL_error=2"),
        row("tls10", Mode::Tls10, "no-version", "reason=legacy sigalg disallowed or unsupported"),
        row("nocipher", Mode::NoCipher, "no-cipher", "reason=sslv3 alert handshake failure"),
        row("weakdh", Mode::WeakDh, "weak-key", "reason=dh key too small"),
        row("sha1", Mode::Sha1, "signature", "reason="),
        row("drop", Mode::DropAfterHandshake, "closed-or-reset", DEFERRED),
        row("closed220", Mode::CloseAt(Step::StartTls), "closed-or-reset", DEFERRED),
    ]
}

/// The mail was delivered.
const SENT: &str = "stat=Sent";

/// It was deferred without a broken handshake: such a peer is no matter of trytlsd's.
const DEFERRED: &str = "stat=Deferred";

#[test]
fn the_verdict_and_what_sendmail_logs() {
    let rows = rows();
    let plan = Mta::default().queue(Queue::Nobody).starttls_timeout(2);
    let plan = rows.iter().zip(11..).fold(Bed::new().mta(plan), |plan, (row, host)| {
        plan.peer(Peer::new(row.name, &format!("127.0.0.{host}"), row.mode.clone()))
    });
    let Some(bed) = plan.start_or_skip("the_verdict_and_what_sendmail_logs") else { return };
    let sent: Vec<String> =
        rows.iter().map(|row| bed.send(&[&format!("u@{}.rcpt.test", row.name)]).unwrap()).collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let host = format!("{}.mx.test", row.name);
        let output = trytlsd::output(&bed, &["probe", "--json", "--timeout", "3s", &host]).unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if found["verdict"] != row.verdict {
            wrong.push(format!("{}: {found:#}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (row, id) in rows.iter().zip(&sent) {
        match row.sendmail {
            SENT | DEFERRED => bed.wait_line(SOON, &[id, row.sendmail]).unwrap(),
            reason => {
                let relay = format!("relay={}.mx.test,", row.name);
                let line =
                    bed.wait_line(SOON, &["ruleset=tls_server, arg1=SOFTWARE", &relay]).unwrap();
                let pid = line.split_once(": ").unwrap().0.split_once(" lab ").unwrap().1;
                let error = "STARTTLS=client, error: connect failed";
                bed.wait_line(SOON, &[pid, error, reason]).unwrap()
            }
        };
    }
}
