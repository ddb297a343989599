use super::*;

fn log(spec: &Spec) -> (String, Truth) {
    let mut bytes = Vec::new();
    let truth = generate(spec, &mut bytes).unwrap();
    (String::from_utf8(bytes).unwrap(), truth)
}

/// A reader of its own, line by line: it knows where a process's text begins, and nothing else.
fn count(log: &str) -> Truth {
    let mut truth = Truth { lines: 0, bytes: log.len() as u64, ..Truth::default() };
    let mut failed = std::collections::HashMap::<&str, &str>::new();
    for line in log.lines() {
        truth.lines += 1;
        // The first bracket of a line is that of its process: host and program have none.
        let (head, text) = line.split_once("]: ").unwrap();
        let (tag, pid) = head.rsplit_once('[').unwrap();
        if !tag.ends_with(" sm-mta") && !tag.ends_with(" sm-que") {
            continue;
        }
        if let Some(rest) = text.strip_prefix("ruleset=tls_server, arg1=SOFTWARE, relay=") {
            failed.insert(pid, rest.split_once(',').unwrap().0);
        } else if text.starts_with("STARTTLS=client, relay=") {
            truth.successes += 1;
        } else if text.split_once(": ").is_some_and(|(_, rest)| rest.starts_with("to=<"))
            && let Some(relay) = failed.remove(pid)
        {
            truth.failed(relay, text.contains(&format!("relay={relay}. [")));
        }
    }
    assert!(failed.is_empty(), "without a delivery line: {failed:?}");
    truth
}

#[test]
fn the_truth_is_what_a_plain_reader_counts() {
    let check = |spec: Spec| {
        let (text, truth) = log(&spec);
        let counted = count(&text);
        assert!(truth.attempts > 0 || spec.share == 0.0, "{spec:?}");
        assert!(truth.confirmed < truth.attempts || truth.attempts < 100, "{spec:?}");
        let expect =
            Truth { hostile: counted.hostile, imitated: counted.imitated.clone(), ..truth };
        assert_eq!(counted, expect, "{spec:?}");
    };
    let lines = |lines| Spec { limit: Limit::Lines(lines), share: 0.05, ..Spec::default() };
    check(lines(20_000));
    check(Spec { share: 0.0, ..lines(5000) });
    check(Spec { format: Format::Iso, code: 403, relays: 3, ..lines(20_000) });
    check(Spec { hostile: 0.05, ..lines(50_000) });
    check(Spec { share: 0.3, hostile: 0.3, relays: 1, seed: 99, ..lines(20_000) });
    check(Spec { limit: Limit::Bytes(1_000_000), share: 0.01, ..Spec::default() });
}

#[test]
fn shares_and_sizes_are_those_asked_for() {
    let spec = Spec {
        limit: Limit::Bytes(20_000_000),
        share: 0.02,
        hostile: 0.03,
        rate: 100,
        ..Spec::default()
    };
    let (_, truth) = log(&spec);
    let share = |count: u64| count as f64 / truth.lines as f64;
    // One failure is two slots' worth of lines and a cause, so the share is met within a tenth.
    assert!((share(2 * truth.attempts) - 0.02).abs() < 0.004, "{}", share(2 * truth.attempts));
    assert!((share(truth.hostile) - 0.03).abs() < 0.006, "{}", share(truth.hostile));
    assert!((20_000_000..20_010_000).contains(&truth.bytes), "{}", truth.bytes);
    assert!(truth.imitated.iter().all(|name| !truth.relays.contains_key(name)));
    assert_eq!(truth.imitated.len(), 50);
    // Zipf: the first relay fails far more often than the hundredth.
    let mut attempts: Vec<u64> = truth.relays.values().map(|relay| relay.attempts).collect();
    attempts.sort_unstable_by(|a, b| b.cmp(a));
    assert!(attempts[0] > 5 * attempts[20], "{attempts:?}");
}

#[test]
fn a_log_is_a_function_of_its_spec() {
    let spec = Spec { limit: Limit::Lines(2000), share: 0.02, hostile: 0.02, ..Spec::default() };
    assert_eq!(log(&spec), log(&spec));
    assert_ne!(log(&spec).0, log(&Spec { seed: 2, ..spec.clone() }).0);
    let classic = log(&Spec { tag: "sendmail".to_owned(), ..spec.clone() }).0;
    assert!(classic.starts_with("Nov  1 00:00:00 mx1 "), "{:?}", classic.lines().next());
    assert!(!classic.contains(" sm-mta[") && !classic.contains(" sm-que["));
    let iso = log(&Spec { format: Format::Iso, rate: 3, ..spec }).0;
    assert!(iso.starts_with("2026-11-01T00:00:00.333333+00:00 mx1 "), "{:?}", iso.lines().next());
}

#[test]
fn every_imitation_is_there() {
    let spec = Spec { limit: Limit::Lines(5000), share: 0.0, hostile: 0.1, ..Spec::default() };
    let (text, truth) = log(&spec);
    assert_eq!(truth.attempts, 0);
    for part in [
        ": from=<ruleset=tls_server, arg1=SOFTWARE, relay=",
        ": ruleset=check_rcpt, arg1=<x, relay=",
        "dsn=4.7.1, reply=451 4.7.1 relay=",
        "stat=Deferred: 451 4.7.1 come back, relay=",
        "]: ruleset=tls_server, arg1=SOFTWARE",
        "rejecting commands from ruleset=tls_server",
        "msgid=<]: ruleset=tls_server",
        "spamd: identified spam",
        ", ruleset=tls_server, arg1=SOFTWARE, relay=",
    ] {
        assert!(text.contains(part), "{part}");
    }
}
