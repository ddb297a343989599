//! Counts the events in a file, to measure the crate by itself: read(2) into one block, the lines counted, the block
//! searched, successes and attempts counted by relay.
//!
//! `scan_speed [plain|finder] [all|daemon|few] FILE`

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write, stdout};

use maillog::calendar::StampReader;
use maillog::event::{Event, What};
use maillog::finder::Finder;
use maillog::kinds::Kinds;
use maillog::plain::Plain;
use maillog::stamp::Calendar;

const BLOCK: usize = 128 * 1024;

/// What was seen of a relay.
#[derive(Default)]
struct Seen {
    attempts: u64,
    successes: u64,
    last: i64,
}

struct Counts {
    stamps: StampReader,
    relays: HashMap<Box<str>, Seen>,
    events: [u64; 12],
}

impl Counts {
    fn count(&mut self, event: &Event<'_>) {
        let (place, relay) = match &event.what {
            What::Attempt(attempt) => (0, Some(&attempt.relay)),
            What::Stuck(_) => (1, None),
            What::Sent(_) => (2, None),
            What::Failed(_) => (3, None),
            What::Success(success) => (4, Some(&success.relay)),
            What::Waiting(_) => (5, None),
            What::TryTls(_) => (6, None),
            What::DaneWarning(_) => (7, None),
            What::ClientFailed(..) => (8, None),
            What::ClientDelivered(_) => (10, None),
            What::Reply(reply) => (11, Some(&reply.relay)),
            What::ClientSucceeded(_) => (9, None),
            What::Served(_) => (10, None),
            What::Freed(_) => (11, None),
        };
        self.events[place] += 1;
        let Some(relay) = relay.map(maillog::relay::Relay::as_str) else { return };
        let last = self.stamps.resolve(event.stamp).map_or(0, |t| t.as_second());
        let seen = match self.relays.get_mut(relay) {
            Some(seen) => seen,
            None => self.relays.entry(relay.into()).or_default(),
        };
        seen.attempts += u64::from(place == 0);
        seen.successes += u64::from(place == 4);
        seen.last = last;
    }
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let way = arguments.next().unwrap_or_default();
    let kinds = match arguments.next().as_deref() {
        Some("all") => Kinds::ALL,
        Some("daemon") => {
            Kinds::ATTEMPTS
                | Kinds::OUTCOMES
                | Kinds::SUCCESSES
                | Kinds::SERVED
                | Kinds::TRY_TLS
                | Kinds::WAITING
                | Kinds::DANE_WARNINGS
                | Kinds::REPLIES
        }
        _ => Kinds::ATTEMPTS | Kinds::OUTCOMES | Kinds::SUCCESSES,
    };
    let path = arguments.next().unwrap_or_default();
    let calendar = Calendar { latest: jiff::Timestamp::MAX, zone: jiff::tz::TimeZone::UTC };
    let latest = "2026-12-31T00:00:00Z".parse().unwrap_or(calendar.latest);
    let stamps = Calendar { latest, ..calendar }.reader();
    let mut counts = Counts { stamps, relays: HashMap::new(), events: [0; 12] };
    let (mut finder, mut plain) = (Finder::new(kinds), Plain::new(kinds));
    let mut file = File::open(path)?;
    let (mut block, mut kept, mut lines) = (vec![0; BLOCK], 0, 0);
    loop {
        let read = file.read(&mut block[kept..])?;
        let filled = kept + read;
        let end = match memchr::memrchr(b'\n', &block[..filled]) {
            Some(newline) if read > 0 => newline + 1,
            _ if read > 0 => {
                kept = filled % BLOCK;
                continue;
            }
            _ => filled,
        };
        lines += memchr::memchr_iter(b'\n', &block[..end]).count();
        if way == "plain" {
            plain.feed(&block[..end], &mut |event| counts.count(&event));
        } else {
            finder.feed(&block[..end], &mut |event| counts.count(&event));
        }
        block.copy_within(end..filled, 0);
        kept = filled - end;
        if read == 0 {
            break;
        }
    }
    let mut relays: Vec<_> = counts.relays.iter().filter(|(_, seen)| seen.attempts > 0).collect();
    relays.sort_by_key(|(relay, seen)| (std::cmp::Reverse(seen.attempts), (*relay).clone()));
    let mut out = stdout().lock();
    for (relay, seen) in relays {
        writeln!(out, "{relay} {} {}", seen.attempts, seen.successes)?;
    }
    writeln!(out, "lines {lines} events {:?} relays {}", counts.events, counts.relays.len())
}
