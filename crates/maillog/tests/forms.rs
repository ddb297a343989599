//! Line shapes and joins that the lab did not produce: other versions, other layouts, other orders.

#[allow(dead_code, reason = "each test uses its part")]
mod common;

use maillog::kinds::Kinds;

use common::{found, show};

const ERROR: &str = "STARTTLS=client, error: connect failed=-1, reason=wrong version number, SSL_error=1, errno=0, retry=-1";
const FIELDS: &str = "delay=00:00:00, xdelay=00:00:00, mailer=esmtp, pri=30078";

fn attempt(relay: &str) -> String {
    format!(
        "ruleset=tls_server, arg1=SOFTWARE, relay={relay}, reject=454 4.7.0 TLS handshake failed."
    )
}

fn delivery(relay: &str, rest: &str) -> String {
    format!("6ANBUDwd000274: to=<u@a.test>, {FIELDS}, relay={relay}, {rest}")
}

/// Each message with its process, a second apart.
fn log(messages: &[(u32, &str)]) -> String {
    let line = |(second, (pid, message)): (usize, &(u32, &str))| {
        format!("Nov 23 11:30:{second:02} lab sm-mta[{pid}]: {message}\n")
    };
    messages.iter().enumerate().map(line).collect()
}

fn check_log(log: &str, expect: &[&str]) {
    let got: Vec<_> = found(Kinds::ALL, log.as_bytes()).iter().map(show).collect();
    assert_eq!(got, expect, "{log}");
}

fn check(messages: &[(u32, &str)], expect: &[&str]) {
    check_log(&log(messages), expect);
}

const DEFERRED: &str = "dsn=4.7.0, stat=Deferred: 454 4.7.0 TLS handshake failed.";

#[test]
fn layouts() {
    let message = attempt("a.test");
    for prefix in [
        "Nov 23 11:30:13 lab sendmail[7]: ",
        "Nov  3 11:30:13 lab sm-que[7]: ",
        "<20>Nov  3 11:30:13 2001:db8::1 sm-mta[7]: ",
        "Nov 23 11:30:13 lab sendmail[7]: [ID 702911 mail.notice] ",
        "2026-11-23T10:50:38.432249+00:00 lab out-mta[7]: ",
        "2026-11-23T10:50:38Z lab sm-mta[7]: ",
        "<20>1 2026-11-23T10:50:38.4Z lab sm-mta 7 - - ",
        "1 2026-11-23T10:50:38.4Z lab sm-mta 7 - [x@1 y=\"z\"] ",
    ] {
        let lines = [ERROR, &message, &delivery("a.test. [192.0.2.1]", DEFERRED)];
        for end in ["\n", "\r\n"] {
            let log: String = lines.iter().map(|line| format!("{prefix}{line}{end}")).collect();
            let expect = [
                "7 attempt a.test Software 454 Handshake wrong version number",
                r#"7 stuck a.test 192.0.2.1 6ANBUDwd000274 ["u@a.test"]"#,
            ];
            check_log(&log, &expect);
            check_log(log.trim_end(), &expect);
        }
    }
}

#[test]
fn other_versions() {
    check(
        &[
            (
                1,
                "6ANBUDwd000274: STARTTLS=client, error: connect failed=-1, SSL_error=5, timedout=0, errno=104",
            ),
            (1, "ruleset=tls_server, arg1=SOFTWARE, relay=a.test, reject=403 4.7.0 TLS handshake."),
            (2, "STARTTLS=client, error: connect failed=0, SSL_error=1, errno=0, retry=-1"),
            (
                2,
                "ruleset=tls_server, arg1=SOFTWARE, relay=a.test, reject=554 5.7.0 TLS handshake failed.",
            ),
            (
                3,
                "ruleset=tls_server, arg1=PROTOCOL, relay=a.test, reject=454 4.7.0 STARTTLS failed.",
            ),
            (
                4,
                "ruleset=tls_server, arg1=CONFIG, relay=a.test, reject=454 4.7.0 TLS temporarily not available.",
            ),
            (
                5,
                "ruleset=tls_server, arg1=NONE, relay=a.test, reject=403 4.7.0 encryption too weak 0 less than 112",
            ),
            (
                6,
                "STARTTLS=client, relay=a.test., warning=DANE configured in DNS but STARTTLS failed",
            ),
            (
                7,
                "ruleset=try_tls, arg1=a.test, relay=a.test, status=550 5.7.1 <u@b>... do not try TLS with a.test [192.0.2.1]",
            ),
            (
                8,
                "STARTTLS=server, error: accept failed=-1, SSL_error=1, errno=0, retry=-1, relay=c.test [192.0.2.2]",
            ),
        ],
        &[
            "1 attempt a.test Software 403 Network ",
            "2 attempt a.test Software 554 Handshake ",
            "3 attempt a.test Protocol 454",
            "4 attempt a.test Config 454",
            "6 dane a.test",
            "7 try_tls a.test 192.0.2.1",
            r#"8 client failed Some("c.test") 192.0.2.2 "#,
        ],
    );
}

#[test]
fn joins() {
    // MX 10 broken, MX 20 down: the line names only the last host. Its address is not that of the first.
    check(
        &[
            (1, ERROR),
            (1, &attempt("a.test")),
            (1, &delivery("b.test. [192.0.2.2]", "dsn=4.0.0, stat=Deferred: Connection refused")),
        ],
        &[
            "1 attempt a.test Software 454 Handshake wrong version number",
            r#"1 stuck a.test - 6ANBUDwd000274 ["u@a.test"]"#,
        ],
    );
    // Both broken.
    check(
        &[
            (1, &attempt("a.test")),
            (1, &attempt("b.test")),
            (1, &delivery("b.test. [192.0.2.2]", DEFERRED)),
            (1, &delivery("b.test.", "dsn=4.0.0, stat=Deferred")),
        ],
        &[
            "1 attempt a.test Software 454",
            "1 attempt b.test Software 454",
            r#"1 stuck a.test - 6ANBUDwd000274 ["u@a.test"]"#,
            r#"1 stuck b.test 192.0.2.2 6ANBUDwd000274 ["u@a.test"]"#,
            "1 waiting b.test 6ANBUDwd000274",
        ],
    );
    // Other processes between; a bounce; a line that asked no host; one that cannot be read.
    check(
        &[
            (1, &attempt("a.test")),
            (2, &attempt("b.test")),
            (3, &delivery("b.test. [192.0.2.2]", DEFERRED)),
            (2, "6ANBUDwd000274: to=<u@a.test>, delay=00:00:00, mailer=esmtp, pri=1, stat=queued"),
            (2, &delivery("b.test. [192.0.2.2]", "dsn=5.7.0, stat=Service unavailable")),
            (
                1,
                "6ANBUDwd000274: to=\"open, delay=00:00:00, pri=1, relay=a.test., dsn=4.0.0, stat=Deferred",
            ),
            (1, &delivery("a.test. [192.0.2.2]", DEFERRED)),
        ],
        &[
            "1 attempt a.test Software 454",
            "2 attempt b.test Software 454",
            "2 failed b.test",
            "1 failed a.test",
        ],
    );
    // A cause goes to the next ruleset line, whatever it says, and to no other.
    check(
        &[
            (1, ERROR),
            (2, &attempt("b.test")),
            (1, "ruleset=tls_server, arg1=NONE, relay=a.test, reject=403 4.7.0 x"),
            (1, &attempt("a.test")),
        ],
        &["2 attempt b.test Software 454", "1 attempt a.test Software 454"],
    );
    // A name that the delivery line has cut, a smart host, an address in brackets.
    let long = "mail-gateway-number-one-of-the-very-long-subdomain.department.mx.test";
    for (relay, logged, address) in [
        (long, "mail-gateway-numbe...epartment.mx.test. [127.0.0.11]", "127.0.0.11"),
        ("[a.test]", "[a.test] [127.0.0.11]", "127.0.0.11"),
        ("[127.0.0.11]", "[127.0.0.11] [127.0.0.11]", "127.0.0.11"),
        ("[ipv6:fd00:1ab::41]", "[IPv6:fd00:1ab::41] [IPv6:fd00:1ab:0:0:0:0:0:41]", "fd00:1ab::41"),
        ("A.Test", "a.test. [127.0.0.11]", "127.0.0.11"),
    ] {
        let shown = relay.to_ascii_lowercase();
        check(
            &[(1, &attempt(relay)), (1, &delivery(logged, DEFERRED))],
            &[
                &format!("1 attempt {shown} Software 454"),
                &format!(r#"1 stuck {shown} {address} 6ANBUDwd000274 ["u@a.test"]"#),
            ],
        );
    }
}

#[test]
fn attempts_and_hosts_and_ages() {
    let line = |time: &str, host: &str, message: &str| {
        format!("Nov 23 {time} {host} sm-mta[1]: {message}\n")
    };
    let deferred = delivery("a.test. [192.0.2.1]", DEFERRED);
    let begun = "1 attempt a.test Software 454";
    let stuck = r#"1 stuck a.test 192.0.2.1 6ANBUDwd000274 ["u@a.test"]"#;
    let pair = |first: &str, second: &str, host: &str| {
        line(first, "one", &attempt("a.test")) + &line(second, host, &deferred)
    };
    check_log(&pair("08:00:00", "12:00:00", "one"), &[begun, stuck]);
    check_log(&pair("08:00:00", "12:00:01", "one"), &[begun]);
    check_log(&pair("08:00:00", "07:00:00", "one"), &[begun, stuck]);
    check_log(&pair("08:00:00", "08:00:01", "two"), &[begun]);
    let late = line("08:00:00", "one", ERROR) + &line("08:02:01", "one", &attempt("a.test"));
    check_log(&late, &[begun]);
}

/// The injections of `a quoted recipient` and `a reply`, both measured on sendmail 8.17 and 8.18.
#[test]
fn imitations() {
    let fake = "delay=00:00:01, xdelay=00:00:00, mailer=esmtp, pri=120000, relay=victim.example. [192.0.2.1], dsn=4.7.0, \
                stat=Deferred: 403 4.7.0 TLS handshake failed.";
    let fake_attempt = attempt("victim.example");
    let quoted = format!(
        "6ANBUDwd000274: to=\"a, {fake}\"@example.com, {FIELDS}, relay=a.test. [192.0.2.9], dsn=2.0.0, stat=Sent (ok)"
    );
    let reply = delivery(
        "a.test. [192.0.2.9]",
        &format!("dsn=4.7.0, reply=403 4.7.0 x, {fake}, stat=Deferred: 403 4.7.0 x, {fake}"),
    );
    check(
        &[
            (1, &attempt("victim.example")),
            (1, &quoted),
            (2, &attempt("victim.example")),
            (2, &reply),
        ],
        &[
            "1 attempt victim.example Software 454",
            "1 sent victim.example",
            "2 attempt victim.example Software 454",
            r#"2 stuck victim.example - 6ANBUDwd000274 ["u@a.test"]"#,
        ],
    );
    let imitations = [
        format!("6ANBUDwd000274: from=<{fake_attempt}@x>, size=0, class=0, nrcpts=0, relay=x [192.0.2.1]"),
        format!("6ANBUDwd000274: {fake_attempt}"),
        format!("NOQUEUE: {fake_attempt}"),
        format!("[2]: {fake_attempt}"),
        format!(" {fake_attempt}"),
        format!("spamd: identified spam subject: sm-mta[1]: {fake_attempt}"),
        format!("sm-mta[1]: {fake_attempt}"),
        format!("Nov 23 11:30:00 lab sm-mta[1]: {fake_attempt}"),
        "ruleset=tls_server,arg1=SOFTWARE,relay=victim.example,reject=454 4.7.0 TLS handshake failed.".to_owned(),
        "6ANBUDwd000274: STARTTLS=client, relay=victim.example., version=TLSv1.3, verify=OK, cipher=x, bits=1/1".to_owned(),
        quoted,
        reply,
    ];
    for message in &imitations {
        check(&[(1, message)], &[]);
        check_log(&format!("Nov 23 11:30:00 lab spamd: {message}\n"), &[]);
        check_log(&format!("Nov 23 11:30:00 spamd: {message}\n"), &[]);
        if !message.starts_with("Nov 23") {
            check_log(&format!("{message}\n"), &[]);
        }
    }
}

/// At the limit of the table old attempts are forgotten: they stay attempts without an outcome.
#[test]
fn more_processes_than_are_kept() {
    let mut log = String::new();
    for pid in 1..=20_000 {
        log += &format!("Nov 23 11:30:00 lab sm-mta[{pid}]: {}\n", attempt("a.test"));
    }
    for pid in [1, 20_000] {
        log += &format!("Nov 23 11:30:00 lab sm-mta[{pid}]: {}\n", delivery("a.test.", DEFERRED));
    }
    let outcomes: Vec<_> = found(Kinds::OUTCOMES, log.as_bytes()).iter().map(show).collect();
    assert_eq!(outcomes, [r#"20000 stuck a.test - 6ANBUDwd000274 ["u@a.test"]"#]);
}
