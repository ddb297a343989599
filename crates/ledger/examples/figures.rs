//! Prints what commits, openings and purges cost on a disk: `cargo run --release -p ledger --example figures [FOLDER]`.

#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "figures, printed")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use ledger::{Batch, Happening, Ledger, Limits, RelayChange};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(base)?;
    commits(&folder.path().join("commits.db"))?;
    sizes(&folder.path().join("sizes.db"))
}

fn noon() -> Timestamp {
    Timestamp::from_second(1_795_435_200).unwrap_or_default()
}

/// A batch as a block of the log makes it: the place, pending attempts, so many relays, as many happenings up to ten.
fn batch(first: usize, relays: usize) -> Batch {
    let name = |n: usize| format!("mx{}.some-zone-{}.example.org", n % 100_000, n % 977);
    let seen = noon().as_second();
    Batch {
        places: vec![("/var/log/mail.log".into(), "p".repeat(200))],
        pending: vec![("/var/log/mail.log".into(), "a".repeat(1000))],
        relays: (first..first + relays)
            .map(|n| RelayChange {
                relay: name(n),
                seen,
                stays: false,
                record: Some("r".repeat(200)),
            })
            .collect(),
        history: (first..first + relays.min(10))
            .map(|n| Happening {
                at: noon(),
                relay: Some(name(n)),
                what: "candidate".into(),
                detail: "2 stuck in 15 minutes".into(),
            })
            .collect(),
        ..Batch::new(noon())
    }
}

/// Latency and throughput of commits.
fn commits(path: &Path) -> Result<(), Box<dyn Error>> {
    let (ledger, _) = ledger::open(path, noon())?;
    println!("relays a batch | commits | p50 ms | p99 ms | most ms | relays a second");
    for (relays, rounds) in [(0, 2000), (1, 2000), (10, 1000), (100, 500), (1000, 200)] {
        let mut times = Vec::new();
        let mut next = 0;
        let start = Instant::now();
        for _ in 0..rounds {
            let batch = batch(next, relays);
            next += relays;
            let start = Instant::now();
            ledger.commit(batch).wait()?;
            times.push(start.elapsed());
        }
        let all = start.elapsed();
        times.sort();
        let at = |share: usize| ms(times[(times.len() - 1) * share / 100]);
        let speed = (relays * rounds) as f64 / all.as_secs_f64();
        println!(
            "{relays:14} | {rounds:7} | {:6.2} | {:6.2} | {:7.2} | {speed:.0}",
            at(50),
            at(99),
            at(100)
        );
    }
    ledger.close().wait()?;
    Ok(())
}

/// Size, and the time of opening, with 100,000 relays and a million happenings, of which the latest 200,000 stay.
fn sizes(path: &Path) -> Result<(), Box<dyn Error>> {
    let (ledger, _) = ledger::open(path, noon())?;
    say("empty", path, Duration::ZERO);
    let start = Instant::now();
    for n in 0..100 {
        ledger.commit(Batch { history: Vec::new(), ..batch(n * 1000, 1000) }).wait()?;
    }
    say("100,000 relays written", path, start.elapsed());
    let start = Instant::now();
    for n in 0..1000 {
        let one = batch(n * 1000, 10).history;
        let history = one.iter().cycle().take(1000).cloned().collect();
        ledger.commit(Batch { history, ..Batch::new(noon()) }).wait()?;
    }
    say("1,000,000 happenings written", path, start.elapsed());
    let start = Instant::now();
    let relay = batch(990_000, 1).history.into_iter().find_map(|happening| happening.relay);
    let found = ledger.history(relay.as_deref(), noon() - DAY, 1000).wait()?;
    println!("history of one relay ({} happenings): {:.2} ms", found.len(), ms(start.elapsed()));
    let ledger = again(ledger, path, "opened", SignedDuration::ZERO)?;
    let ledger = again(ledger, path, "opened 20 days later", DAY * 20)?;
    let ledger = again(ledger, path, "opened 45 days later", DAY * 45)?;
    let ledger = again(ledger, path, "opened 70 days later: relays purged", DAY * 70)?;
    let ledger = again(ledger, path, "opened 95 days later: happenings purged", DAY * 95)?;
    ledger.close().wait()?;
    Ok(())
}

fn again(
    ledger: Ledger,
    path: &Path,
    what: &str,
    later: SignedDuration,
) -> Result<Ledger, Box<dyn Error>> {
    ledger.close().wait()?;
    let start = Instant::now();
    let (ledger, loaded) = ledger::open_with(path, noon() + later, Limits::default())?;
    say(what, path, start.elapsed());
    println!("    {} relays loaded", loaded.relays.len());
    Ok(ledger)
}

fn say(what: &str, path: &Path, time: Duration) {
    let size = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        Path::new(&name).metadata().map_or(0.0, |file| file.len() as f64 / 1e6)
    };
    println!(
        "{what}: {:.2} MB, write-ahead log {:.2} MB, {:.0} ms; {} KiB resident",
        size(""),
        size("-wal"),
        ms(time),
        resident()
    );
}

/// Resident memory, KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
