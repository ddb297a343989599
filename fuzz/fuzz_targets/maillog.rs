//! Any bytes as a log: the block search, the plain reader and `trytlsd match` agree, wherever the log is cut into blocks.
//!
//! The last two bytes choose the kinds wanted and the cuts, and belong to the log as well: any log is a case.

#![no_main]

use libfuzzer_sys::fuzz_target;
use maillog::event::{Event, What};
use maillog::finder::Finder;
use maillog::kinds::Kinds;
use maillog::plain::Plain;
use maillog::reading::{Verdict, read};
use maillog::relay::{Form, Relay, is_plain_name};

const KINDS: [Kinds; 8] = [
    Kinds::ATTEMPTS,
    Kinds::OUTCOMES,
    Kinds::SUCCESSES,
    Kinds::WAITING,
    Kinds::TRY_TLS,
    Kinds::DANE_WARNINGS,
    Kinds::CLIENT_FAILURES,
    Kinds::CLIENT_SUCCESSES,
];

fuzz_target!(|log: &[u8]| {
    let &[.., wanted, cuts] = log else { return };
    let all = plain(Kinds::ALL, log);
    all.iter().for_each(check);
    agrees_with_match(log);

    let chosen = KINDS.iter().enumerate().filter(|(bit, _)| wanted >> bit & 1 == 1);
    let kinds = chosen.fold(Kinds::NONE, |kinds, (_, kind)| kinds.with(*kind));
    assert_eq!(found(Kinds::ALL, log, 0), all);
    assert_eq!(found(Kinds::ALL, log, cuts), all);
    let some: Vec<_> = all.into_iter().filter(|event| kinds.any(event.what.kind())).collect();
    assert_eq!(found(kinds, log, cuts), some);
});

/// What the plain reader says; an event that owns its text is the same event.
fn plain(kinds: Kinds, log: &[u8]) -> Vec<Event<'_>> {
    let mut events = Vec::new();
    Plain::new(kinds).feed(log, &mut |event| {
        // All but the line itself, which it leaves behind.
        assert_eq!(event.clone().into_owned(), Event { line: b"", ..event.clone() });
        events.push(event);
    });
    events
}

/// What the block search says; the log is cut behind each line whose bit of `cuts` is set, over and over.
fn found(kinds: Kinds, log: &[u8], cuts: u8) -> Vec<Event<'_>> {
    let mut finder = Finder::new(kinds);
    let mut events = Vec::new();
    let mut from = 0;
    let line_ends = (1..=log.len()).filter(|at| log[at - 1] == b'\n');
    for (line, end) in line_ends.enumerate() {
        if cuts >> (line % 8) & 1 == 1 {
            finder.feed(&log[from..end], &mut |event| events.push(event));
            from = end;
        }
    }
    finder.feed(&log[from..], &mut |event| events.push(event));
    events
}

/// An event holds nothing that sendmail could not have written.
fn check(event: &Event<'_>) {
    match &event.what {
        What::Attempt(attempt) | What::Sent(attempt) | What::Failed(attempt) => {
            relay(&attempt.relay);
            assert!((400..600).contains(&attempt.code), "{attempt:?}");
            if let Some(cause) = &attempt.cause {
                // Text that is no UTF-8 grows where it is replaced, so the limit is one on characters then.
                assert!(cause.reason.chars().count() <= 100, "{cause:?}");
            }
        }
        What::Stuck(stuck) => {
            relay(&stuck.attempt.relay);
            assert!(stuck.recipients.list.len() <= 64, "{stuck:?}");
            assert!(stuck.queue_id.bytes().all(|b| b.is_ascii_alphanumeric()), "{stuck:?}");
        }
        What::Success(success) => relay(&success.relay),
        What::Waiting(waiting) => relay(&waiting.relay),
        What::Served(served) => relay(&served.relay),
        What::Freed(freed) => relay(&freed.relay),
        What::Reply(reply) => relay(&reply.relay),
        What::ClientDelivered(_) => {}
        What::TryTls(used) => relay(&used.relay),
        What::DaneWarning(warned) => relay(warned),
        What::ClientFailed(client, _) | What::ClientSucceeded(client) => {
            assert!(client.name.as_ref().is_none_or(|name| !name.contains('\n')), "{client:?}");
        }
    }
}

/// One line of printable ASCII, folded; and a name only if a host can have it.
fn relay(relay: &Relay<'_>) {
    let text = relay.as_str();
    let lawful = |b: u8| b.is_ascii_graphic() && b != b',' && !b.is_ascii_uppercase();
    assert!((1..=255).contains(&text.len()) && text.bytes().all(lawful), "{relay:?}");
    if let Form::Name(name) | Form::Bracketed(name) = relay.form() {
        assert!(is_plain_name(name) && text.contains(name), "{relay:?}");
    }
}

/// A line counts by itself exactly if `match` says so.
fn agrees_with_match(log: &[u8]) {
    for line in log.split(|&b| b == b'\n') {
        let reading = read(line);
        let events = plain(Kinds::ALL, line);
        let counts = |event: &Event<'_>| match &event.what {
            What::Attempt(attempt) => attempt.counts(),
            What::Reply(reply) => reply.counts,
            _ => false,
        };
        assert_eq!(reading.verdict == Verdict::Counts, events.iter().any(counts), "{reading:?}");
        assert!(events.is_empty() || reading.verdict != Verdict::Ignored, "{reading:?}");
        assert!(!reading.why.is_empty());
    }
}
