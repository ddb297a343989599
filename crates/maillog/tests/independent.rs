//! A second opinion: a regular expression that says the same as the parser of the ruleset line in quite another way.
//!
//! It is slow and knows one line shape only, but it was written by looking at the lines, not at the parser. On the real
//! logs, and on lines that imitate them, both must find the same attempts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::fs;

use maillog::event::What;
use maillog::finder::Finder;
use maillog::kinds::Kinds;
use regex::bytes::Regex;

/// `ruleset=tls_server` with `arg1=SOFTWARE` and a 4xx code, at the start of a message and nowhere else.
fn attempt() -> Regex {
    Regex::new(concat!(
        r"(?m-u)^(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}|[0-9-]{10}T[0-9:.]+(?:Z|[+-][0-9:]{5})) [^\s:]+ ",
        r"[^\s:\[\]]+\[[0-9]+\]: ruleset=tls_server, arg1=SOFTWARE, relay=([^,\s]+), reject=4[0-9]{2} [^\n]*$",
    ))
    .unwrap()
}

fn check(log: &[u8]) -> usize {
    let expect: Vec<String> = attempt()
        .captures_iter(log)
        .map(|found| String::from_utf8_lossy(&found[1]).to_ascii_lowercase())
        .collect();
    let mut found = Vec::new();
    Finder::new(Kinds::ATTEMPTS).feed(log, &mut |event| {
        if let What::Attempt(attempt) = event.what
            && attempt.counts()
        {
            found.push(attempt.relay.as_str().to_owned());
        }
    });
    assert_eq!(found, expect);
    found.len()
}

#[test]
fn the_real_logs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let mut attempts = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            attempts += check(&fs::read(path).unwrap());
        }
    }
    assert!(attempts >= 81, "{attempts}");
}

#[test]
fn imitations() {
    let text = "ruleset=tls_server, arg1=SOFTWARE, relay=victim.example, reject=454 4.7.0 TLS handshake failed.";
    let head = "Nov 23 11:30:13 mx1 sm-mta[276]: ";
    for line in [
        format!("{head}6ANBUDwd000274: {text}\n"),
        format!("{head}6ANBUDwd000274: from=<{text}@x.example>, size=0, class=0, nrcpts=0\n"),
        format!("Nov 23 11:30:13 mx1 spamd[7]: subject: sm-mta[1]: {text}\n"),
        format!("{head}{}\n", text.replace("SOFTWARE", "NONE")),
        format!("{head}{}\n", text.replace("reject=454", "reject=554")),
        format!("{head} {text}\n"),
        format!("{text}\n"),
    ] {
        assert_eq!(check(line.as_bytes()), 0, "{line}");
    }
    assert_eq!(check(format!("{head}{text}\n").as_bytes()), 1);
}
