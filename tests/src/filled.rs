//! A ledger with much in it: relays whose mail is stuck, and what happened to them over a month. Made of texts as the
//! daemon writes them, and read back by the daemon itself.

use std::path::Path;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use ledger::{Batch, Happening, RelayChange, Success, VoteRow};
use serde_json::json;

/// Happenings of one commit.
const AT_ONCE: usize = 5_000;

/// What guards say at last of some of the relays.
const HOLDS: [&str; 4] = [
    "MTA-STS: customer0.example, a recipient's domain, enforces MTA-STS",
    "TLS_Rcpt: line 12 asks for TLS with the recipient: TLS_Rcpt:customer4.example ENCR",
    "worked lately: TLS worked with it on 2026-11-20; it must fail for 3d",
    "limits: 20 entries were made within the last hour",
];

/// Fills a ledger that no daemon has open with so many relays and happenings.
pub fn fill(path: &Path, now: Timestamp, relays: usize, happenings: usize) -> Result<()> {
    let (ledger, _) = ledger::open(path, now)?;
    let mut batch = Batch::new(now);
    for n in 0..relays {
        let name = name(n);
        batch.relays.push(stuck(&name, n, now));
        if n % 3 == 0 {
            let seen = now.as_second() - i64::try_from(n)? * 600 - 86_400;
            let success = Success { seen, version: "TLSv1.3".to_owned(), verify: "OK".to_owned() };
            batch.successes.push((name, Some(success)));
        }
    }
    let step = 29 * 86_400 / i64::try_from(happenings.max(1))?;
    for n in 0..happenings {
        let back = step * i64::try_from(happenings - n)?;
        batch.history.push(happening(n, relays, now - SignedDuration::from_secs(back)));
        if batch.history.len() >= AT_ONCE {
            ledger.commit(std::mem::replace(&mut batch, Batch::new(now))).wait()?;
        }
    }
    for (n, detail) in HOLDS.iter().enumerate().take(relays) {
        let (at, detail) = (now - SignedDuration::from_mins(60), (*detail).to_owned());
        let relay = Some(name(n * 89 % relays));
        batch.history.push(Happening { at, relay, what: "held".to_owned(), detail });
    }
    ledger.commit(batch).wait()?;
    ledger.close().wait()?;
    Ok(())
}

/// Writes rows into a ledger that no daemon has open.
pub fn add(
    path: &Path,
    now: Timestamp,
    relays: Vec<RelayChange>,
    history: Vec<Happening>,
) -> Result<()> {
    let (ledger, _) = ledger::open(path, now)?;
    let mut batch = Batch::new(now);
    (batch.relays, batch.history) = (relays, history);
    ledger.commit(batch).wait()?;
    ledger.close().wait()?;
    Ok(())
}

/// What the MTAs of a fleet say, as the daemon keeps it, into a ledger that no daemon has open.
pub fn votes(path: &Path, now: Timestamp, votes: Vec<VoteRow>) -> Result<()> {
    let (ledger, _) = ledger::open(path, now)?;
    ledger.commit(Batch { votes: Some(votes), ..Batch::new(now) }).wait()?;
    ledger.close().wait()?;
    Ok(())
}

fn name(n: usize) -> String {
    format!("mx{n}.customer{}.example", n % 97)
}

/// A relay whose mail waits: two attempts, and one message for each hundred of its number.
#[must_use]
pub fn stuck(relay: &str, n: usize, now: Timestamp) -> RelayChange {
    let second = |back: usize| now.as_second() - i64::try_from(back).unwrap_or(0);
    let (first, last) = (second(3600 + n % 7 * 1800 + 600), second(60 + n % 50 * 30));
    let address = format!("192.0.2.{}", n % 250 + 1);
    let came = |message: usize| queue_id(second(3700 + n % 90 * 3600 + message * 60), message);
    let ids: Vec<String> = (0..=n % 5).map(came).collect();
    let record = json!({
        "evidence": {
            "moments": [[first, 1, n % 2], [last, 1, 1]],
            "addresses": [[address, last]],
            "began": first,
        },
        "queue": ids,
        "last_seen": last,
    });
    RelayChange {
        relay: relay.to_owned(),
        seen: last,
        stays: false,
        record: Some(record.to_string()),
    }
}

/// The queue id that sendmail gives to a message that comes in that second.
fn queue_id(second: i64, number: usize) -> String {
    let digits: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='x').collect();
    let at = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
    let at = jiff::tz::TimeZone::UTC.to_datetime(at);
    let fields = [
        i64::from(at.year() - 1900) % 60,
        i64::from(at.month()) - 1,
        i64::from(at.day()),
        i64::from(at.hour()),
        i64::from(at.minute()),
        i64::from(at.second()),
    ];
    let digit = |field: &i64| usize::try_from(*field).ok().and_then(|field| digits.get(field));
    let time: String = fields.iter().filter_map(digit).collect();
    format!("{time}Aa{:06}", number % 1_000_000)
}

fn happening(n: usize, relays: usize, at: Timestamp) -> Happening {
    let name = name(n * 7 % relays.max(1));
    let (what, detail) = match n % 10 {
        0 | 1 => ("candidate", "3 stuck within 2h 10m".to_owned()),
        2 => ("held", "MTA-STS: customer.example enforces MTA-STS".to_owned()),
        3 => {
            ("held", "worked lately: TLS with it worked lately; it must fail for longer".to_owned())
        }
        4 => ("active", format!("192.0.2.{}", n % 250)),
        5..=7 => ("probed", "broken: the handshake was answered with garbage".to_owned()),
        8 => ("renewed", format!("192.0.2.{} until 2026-12-24T12:00:00Z", n % 250)),
        _ => ("lifted", format!("192.0.2.{}: two good probes in a row; on probation", n % 250)),
    };
    Happening { at, relay: Some(name), what: what.to_owned(), detail }
}
