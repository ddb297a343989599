//! Log lines that others wrote, or had written: in an address, a Message-ID, a reply, under a prefix that is none.
//!
//! Who may write to syslog as any program he likes can write sendmail's own lines, and no reader can tell. Against him
//! stand the guards, and the rights on the log.

use tests::lines::Failure;

use crate::case::{Case, broken};

/// The victim of the case, and an address of its own.
fn victim(n: usize) -> (String, String) {
    (format!("mx.v{n}.test"), format!("198.51.100.{n}"))
}

/// Prefix, ruleset message and delivery message of a failure.
struct Parts {
    prefix: String,
    ruleset: String,
    delivery: String,
}

fn parts(relay: &str, address: &str) -> Parts {
    let Failure { ruleset, delivery } = Failure::by(276, relay, address);
    let ruleset = ruleset.lines().last().unwrap().to_owned();
    let (prefix, message) = ruleset.split_once(": ").unwrap();
    let (_, sent) = delivery.trim_end().split_once(": ").unwrap();
    Parts { prefix: format!("{prefix}: "), ruleset: message.to_owned(), delivery: sent.to_owned() }
}

/// Both messages, three times, each put where `P` says.
fn within(n: usize, how: &str) -> Vec<u8> {
    let (relay, address) = victim(n);
    let Parts { prefix, ruleset, delivery } = parts(&relay, &address);
    let one =
        [ruleset, delivery].map(|message| format!("{prefix}{}\n", how.replace("{}", &message)));
    one.concat().repeat(3).into_bytes()
}

/// Both messages, three times, each under the prefix that `how` makes.
fn under(n: usize, how: impl Fn(&str) -> String) -> Vec<u8> {
    let (relay, address) = victim(n);
    let Parts { prefix, ruleset, delivery } = parts(&relay, &address);
    let prefix = how(&prefix);
    format!("{prefix}{ruleset}\n{prefix}{delivery}\n").repeat(3).into_bytes()
}

pub(crate) fn cases() -> Vec<Case> {
    const INSIDE: [(&str, &str); 17] = [
        (
            "in the sender",
            "6AN0: from=<{}>, size=300, class=0, nrcpts=1, proto=ESMTP, daemon=MTA, relay=[203.0.113.9]",
        ),
        (
            "in the Message-ID",
            "6AN0: from=<a@b.test>, size=300, class=0, nrcpts=1, msgid=<{}>, proto=ESMTP, daemon=MTA, relay=[203.0.113.9]",
        ),
        (
            "in the recipient",
            "6AN0: to=<{}>, delay=00:00:01, mailer=esmtp, pri=1, relay=mx.b.test. [203.0.113.9], dsn=2.0.0, stat=Sent (ok)",
        ),
        (
            "in the reply of a peer that takes mail",
            "6AN0: to=<a@b.test>, delay=00:00:01, mailer=esmtp, pri=1, relay=mx.b.test. [203.0.113.9], dsn=2.0.0, stat=Sent (ok {})",
        ),
        (
            "in the reply of a peer that defers",
            "6AN0: to=<a@b.test>, delay=00:00:01, mailer=esmtp, pri=1, relay=mx.b.test. [203.0.113.9], dsn=4.0.0, stat=Deferred: 450 {}",
        ),
        (
            "in the reply of a peer that refuses",
            "6AN0: to=<a@b.test>, delay=00:00:01, mailer=esmtp, pri=1, relay=mx.b.test. [203.0.113.9], dsn=5.0.0, stat=User unknown {}",
        ),
        (
            "in the argument of check_rcpt",
            "ruleset=check_rcpt, arg1=<{}>, relay=c.test [203.0.113.9], reject=550 5.7.1 Relaying denied",
        ),
        (
            "in the argument of check_mail",
            "ruleset=check_mail, arg1={}, relay=c.test [203.0.113.9], reject=553 5.1.8 no",
        ),
        (
            "in the argument of tls_server",
            "ruleset=tls_server, arg1={}, relay=c.test, reject=454 4.7.0 no",
        ),
        (
            "in the name of a client",
            "6AN0: {} [203.0.113.9] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA",
        ),
        ("in a syserr", "SYSERR(root): hash map \"{}\": missing map file"),
        ("after another message", "NOQUEUE: connect from c.test [203.0.113.9], {}"),
        ("in brackets", "[{}]"),
        ("in quotes", "\"{}\""),
        ("after a space", " {}"),
        (
            "after a newline that syslogd wrote as #012",
            "6AN0: from=<a@b.test>#012Nov 23 11:30:13 mx1 sm-mta[276]: {}",
        ),
        ("after a carriage return", "6AN0: from=<a@b.test>\rNov 23 11:30:13 mx1 sm-mta[276]: {}"),
    ];
    let mut cases: Vec<Case> = INSIDE
        .iter()
        .enumerate()
        .map(|(n, (name, how))| Case::new(*name, within(n + 1, how)))
        .collect();
    let mut n = INSIDE.len();
    let mut next = || {
        n += 1;
        n
    };
    let mut add = |name: &str, log: Vec<u8>| cases.push(Case::new(name, log));

    for program in ["evil sm-mta", "sm-mta: x", "sm-mta[276]: y", "last message: sm-mta"] {
        let log = under(next(), |prefix| prefix.replace("sm-mta", program));
        add(&format!("by the program {program:?}"), log);
    }
    add("without a prefix", under(next(), |_| String::new()));
    add(
        "with a prefix that is no time",
        under(next(), |_| "yesterday mx1 sm-mta[276]: ".to_owned()),
    );
    add("with a pid that is no number", under(next(), |prefix| prefix.replace("[276]", "[x]")));

    // Each by a process of its own.
    let both = |n: usize| {
        let (relay, address) = victim(n);
        Failure::by(1000 + u32::try_from(n).unwrap(), &relay, &address)
    };
    let Failure { ruleset, delivery } = both(next());
    add(
        "a delivery of another process",
        (ruleset + &delivery.replace("[10", "[20")).repeat(3).into(),
    );
    add("a deferral without a broken handshake", both(next()).delivery.repeat(3).into());
    add("a broken handshake without a deferral", both(next()).ruleset.repeat(100).into());
    let Failure { ruleset, delivery } = both(next());
    let sent = delivery.replace("stat=Deferred: 454 4.7.0 TLS handshake failed.", "stat=Sent (ok)");
    add("a broken handshake, and the mail was sent", (ruleset + &sent).repeat(3).into());
    let Failure { ruleset, delivery } = both(next());
    let log = ruleset.replace("tls_server", "tls_client") + &delivery;
    add("a client's handshake", log.repeat(3).into());
    let Failure { ruleset, delivery } = both(next());
    let log = ruleset.replace("arg1=SOFTWARE", "arg1=PROTOCOL") + &delivery;
    add("the peer said 454 itself", log.repeat(3).into());
    let Failure { ruleset, delivery } = both(next());
    let log = ruleset.replace("relay=", "relay=mx\0") + &delivery;
    add("a NUL in the relay", log.repeat(3).into());
    let Failure { ruleset, delivery } = both(next());
    let long = ruleset.replace("ruleset=", &format!("{} ruleset=", "x".repeat(70_000)));
    add("at the end of an endless line", (long + &delivery).repeat(3).into());
    let Failure { ruleset, delivery } = both(next());
    add("two failures only", (ruleset + &delivery).repeat(2).into());
    let Failure { ruleset, delivery } = both(next());
    let log = (ruleset.clone() + &delivery).replace("\n", "") + "\n";
    add("all in one line", log.repeat(3).into());

    let (relay, address) = victim(next());
    cases.push(
        Case::new("a failure as sendmail logs it", broken(&relay, &address)).honest(&address),
    );
    cases
}
