//! The block search and the plain reader give the same events, whatever the block borders and the kinds wanted, on logs
//! that mix all shapes, near misses, imitations and noise. So does a finder that is ended at any line and begun anew with
//! what was pending.

use maillog::event::{Event, What};
use maillog::finder::Finder;
use maillog::kinds::Kinds;
use maillog::pattern::{Pattern, Patterns};
use maillog::pending::Pending;
use maillog::plain::Plain;
use maillog::reading::{Verdict, read};
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn relay() -> impl Strategy<Value = &'static str> {
    select(vec![
        "a.test",
        "b.test",
        "[a.test]",
        "[127.0.0.11]",
        "[ipv6:fd00:1ab::41]",
        "mail-gateway-number-one-of-the-very-long-subdomain.department.mx.test",
        "a b",
        "x,y",
        "",
    ])
}

fn logged() -> impl Strategy<Value = &'static str> {
    select(vec![
        "a.test. [192.0.2.1]",
        "b.test.",
        "[a.test] [192.0.2.1]",
        "mail-gateway-numbe...epartment.mx.test. [IPv6:2001:db8:0:0:0:0:0:1]",
        "local",
    ])
}

fn prefix() -> impl Strategy<Value = String> {
    let pid = select(vec!["1", "2", "1025", "4000000", "99999999999", "x"]);
    let host = select(vec!["lab", "2001:db8::1", "mx1:", "\u{e9}"]);
    let time = (0..60, select(vec!["Nov 23 08:00:", "Nov 23 12:01:", "Mar  1 00:00:"]));
    (pid, host, time, 0..12).prop_map(|(pid, host, (second, time), layout)| {
        let full = format!("2026-11-23T08:00:{second:02}.123456+00:00");
        match layout {
            0 => format!("{full} {host} sm-mta[{pid}]: "),
            1 => format!("<22>1 {full} {host} sm-mta {pid} - - "),
            2 => format!("1 {full} {host} sm-mta {pid} - [a b=\"sm-mta[1]: x: to=\"] "),
            3 => format!("<22>{time}{second:02} {host} sm-mta[{pid}]: "),
            4 => format!("{time}{second:02} {host} sendmail[{pid}]: [ID 702911 mail.notice] "),
            5 => format!("{time}{second:02} {host} spamd: sm-mta[{pid}]: "),
            6 => format!("{time}{second:02} spamd: sm-mta[{pid}]: "),
            7 => format!("sm-mta[{pid}]: "),
            _ => format!("{time}{second:02} {host} sm-mta[{pid}]: "),
        }
    })
}

const ERROR: &str =
    "STARTTLS=client, error: connect failed=-1, reason=unknown, SSL_error=5, errno=104, retry=-1";
const FIELDS: &str = "delay=00:00:00, xdelay=00:00:00, mailer=esmtp, pri=30078";

fn message() -> impl Strategy<Value = String> {
    let arg1 = select(vec!["SOFTWARE", "PROTOCOL", "CONFIG", "NONE"]);
    let code = select(vec!["454 4.7.0", "403 4.7.0", "503 5.7.0", "200"]);
    let attempt = (arg1, relay(), code).prop_map(|(arg1, relay, code)| {
        format!(
            "ruleset=tls_server, arg1={arg1}, relay={relay}, reject={code} TLS handshake failed."
        )
    });
    let to = select(vec![
        "<u@a>",
        "<u@a>,<v@b>",
        "\"x, delay=1, pri=1, relay=v. [192.0.2.9], stat=Sent\"@b",
        "\"open",
    ]);
    let end = select(vec![
        "dsn=4.7.0, stat=Deferred: 454 4.7.0 TLS handshake failed.",
        "dsn=4.0.0, stat=Deferred",
        "dsn=4.2.0, reply=450 TLS negotation failure, stat=Deferred: 450 TLS negotation failure",
        "dsn=4.2.0, reply=451 busy with TLS, stat=Deferred: 451 busy with TLS",
        "dsn=2.0.0, stat=Sent (ok)",
        "dsn=4.7.0, reply=403 x, stat=Sent, stat=Deferred: 403 x",
        "dsn=5.7.0, stat=Service unavailable: to=<x>, stat=Deferred",
        "stat=queued",
    ]);
    let delivery = (to, logged(), end).prop_map(|(to, logged, end)| {
        format!("6ANBUDwd000274: to={to}, {FIELDS}, relay={logged}, {end}")
    });
    let with_relay = (relay(), 0..7).prop_map(|(relay, form)| match form {
        0 => format!("STARTTLS=client, relay={relay}., warning=DANE configured in DNS but STARTTLS failed"),
        1 => format!("ruleset=try_tls, arg1={relay}, relay={relay}, reject=550 5.7.1 <u@b>... do not try TLS with {relay} [192.0.2.1]"),
        2 => format!("ruleset=try_tls, arg1={relay}, relay={relay}, status=451 4.3.0 x"),
        3 => format!("STARTTLS=server, error: accept failed=-1, reason=x, SSL_error=1, errno=0, retry=-1, relay={relay} [192.0.2.1]"),
        4 => format!("STARTTLS=server, relay={relay} [192.0.2.1] (may be forged), version=TLSv1.3, verify=NO"),
        _ => format!("STARTTLS=client, relay={relay}., version=TLSv1.3, verify=FAIL, cipher=x, bits=256/256"),
    });
    prop_oneof![
        4 => attempt,
        2 => Just(ERROR.to_owned()),
        1 => Just(format!("6ANBUDwd000274: {ERROR}")),
        5 => delivery,
        4 => with_relay,
        1 => Just("6ANBUDwd000274: from=<ruleset=tls_server, arg1=SOFTWARE, relay=v, reject=454 x>: to=".to_owned()),
        1 => Just("6ANBUDwd000274: from=<u@b>, size=9, class=0, nrcpts=1, proto=ESMTP, relay=c.test [192.0.2.7]".to_owned()),
        1 => "[ -~]{0,60}",
    ]
}

/// A line with its end; some are damaged in one place, some are noise.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let whole = (prefix(), message())
        .prop_map(|(prefix, message)| (prefix + &message).into_bytes())
        .boxed();
    let damaged =
        (whole.clone(), any::<Index>(), any::<u8>(), 0..3).prop_map(|(mut line, at, byte, how)| {
            let at = at.index(line.len());
            match how {
                0 => line[at] = byte,
                1 => line.insert(at, byte),
                _ => drop(line.remove(at)),
            }
            line
        });
    let noise = prop::collection::vec(any::<u8>(), 0..80);
    let doubled = (message(), prefix(), message())
        .prop_map(|(first, prefix, second)| format!("{first}{prefix}{second}").into_bytes());
    let line = prop_oneof![12 => whole, 3 => damaged, 1 => noise, 1 => doubled];
    (line, select(vec!["\n", "\n", "\n", "\r\n", "\0\n"])).prop_map(|(mut line, end)| {
        line.extend_from_slice(end.as_bytes());
        line
    })
}

fn kinds() -> impl Strategy<Value = Kinds> {
    let all = [
        Kinds::ATTEMPTS,
        Kinds::OUTCOMES,
        Kinds::SUCCESSES,
        Kinds::WAITING,
        Kinds::TRY_TLS,
        Kinds::DANE_WARNINGS,
        Kinds::CLIENT_FAILURES,
        Kinds::CLIENT_SUCCESSES,
        Kinds::CLIENT_DELIVERIES,
        Kinds::REPLIES,
    ];
    prop::collection::vec(select(all.to_vec()), 0..8)
        .prop_map(|kinds| kinds.into_iter().fold(Kinds::NONE, Kinds::with))
}

/// What happens after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    None,
    Block,
    Restart,
}

fn cut() -> impl Strategy<Value = Cut> {
    select(vec![Cut::None, Cut::Block, Cut::Restart])
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn patterns() -> impl Strategy<Value = Patterns> {
    let one = |regex| Pattern::new("mine", regex, true).unwrap();
    let busy = one("relay=(?P<relay>[^, ]+) .*reply=451 busy with TLS");
    let protocol = one("^ruleset=tls_server, arg1=PROTOCOL, relay=(?P<relay>[^,]+),");
    select(vec![Patterns::default(), Patterns::new([busy, protocol])])
}

fn plain<'a>(kinds: Kinds, patterns: &Patterns, log: &'a [u8]) -> Vec<Event<'a>> {
    let mut events = Vec::new();
    Plain::with_patterns(kinds, patterns.clone()).feed(log, &mut |event| events.push(event));
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn block_search_and_plain_reader(
        lines in prop::collection::vec(line(), 1..60),
        cuts in prop::collection::vec(cut(), 60),
        kinds in kinds(),
        patterns in patterns(),
        last_line_ends in any::<bool>(),
    ) {
        let mut log = lines.concat();
        if !last_line_ends {
            log.truncate(log.len() - 1);
        }
        let expect = plain(kinds, &patterns, &log);

        let mut whole = Vec::new();
        Finder::with(kinds, patterns.clone(), Pending::default()).feed(&log, &mut |event| whole.push(event));
        prop_assert_eq!(&whole, &expect);

        let mut in_blocks = Vec::new();
        let mut finder = Finder::with(kinds, patterns.clone(), Pending::default());
        let mut kept = serde_json::to_string(&finder.pending()).unwrap();
        let (mut from, mut to) = (0, 0);
        let line_ends = log.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
        for (line_end, cut) in line_ends.zip(cuts.iter().cycle()) {
            to = line_end;
            if *cut != Cut::None {
                finder.feed(&log[from..to], &mut |event| in_blocks.push(event));
                from = to;
            }
            if *cut == Cut::Restart {
                // Kept only when it has changed, as a daemon does.
                if finder.pending_changed() {
                    kept = serde_json::to_string(&finder.pending()).unwrap();
                }
                let kept = serde_json::from_str(&kept).unwrap();
                finder = Finder::with(kinds, patterns.clone(), kept);
            }
        }
        prop_assert!(to <= log.len());
        finder.feed(&log[from..], &mut |event| in_blocks.push(event));
        prop_assert_eq!(&in_blocks, &expect);

        // Fewer kinds wanted: the same events, the other kinds left out.
        let all = plain(Kinds::ALL, &patterns, &log).into_iter().filter(|e| kinds.any(e.what.kind()));
        prop_assert_eq!(all.collect::<Vec<_>>(), expect);
    }

    /// What `trytlsd match` says of a line is what the finder does with it.
    #[test]
    fn a_reading_agrees(line in line()) {
        let reading = read(&line);
        let events = plain(Kinds::ALL, &Patterns::default(), &line);
        let counts = events.iter().any(|e| match &e.what {
            What::Attempt(attempt) => attempt.counts(),
            What::Reply(reply) => reply.counts,
            _ => false,
        });
        prop_assert_eq!(reading.verdict == Verdict::Counts, counts);
        if !events.is_empty() {
            prop_assert!(reading.verdict != Verdict::Ignored);
        }
        prop_assert!(!reading.why.is_empty());
    }

    #[test]
    fn nothing_panics(log in prop::collection::vec(any::<u8>(), 0..400)) {
        let expect = plain(Kinds::ALL, &Patterns::default(), &log);
        let mut found = Vec::new();
        Finder::new(Kinds::ALL).feed(&log, &mut |event| found.push(event));
        prop_assert_eq!(found, expect);
        drop(read(&log));
    }
}
