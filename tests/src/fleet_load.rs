//! What a directory has to do for a fleet: a real slapd, and MTAs that do with it what trytlsd and sendmail do.
//!
//! What is told of the server is its CPU time, which a shared machine changes little, and the bytes that it sends; what a
//! caller waits is shown beside. All figures of a table come from one run, and none of them makes a test fail. Server and
//! clients talk over a socket of the host: TLS is not in the figures.

mod server;

use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Parser;
use directory::{Added, Answer, Changed, Directory, Says};

use self::server::{Filling, Slapd, entry, relay};
use crate::quantity::show_bytes;

/// How often a daemon looks, in seconds.
const LOOK_EVERY: f64 = 30.0;

/// Seconds after which a vote is written again: half its term of an hour.
const SAY_AGAIN: f64 = 1800.0;

const ALL: &str = "sendmailMTAMapName,sendmailMTACluster,sendmailMTAHost,sendmailMTAKey";
const KEY: &str = "sendmailMTAKey";

/// Measure what a fleet costs an LDAP server.
#[derive(Debug, Parser)]
struct Args {
    /// Entries in the map
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000")]
    entries: Vec<usize>,
    /// MTAs of the fleet
    #[arg(long, value_delimiter = ',', default_value = "1,5,20,50")]
    mtas: Vec<usize>,
    /// Relays that each MTA speaks of
    #[arg(long, value_delimiter = ',', default_value = "20,200")]
    relays: Vec<usize>,
    /// Seconds that each fleet is watched for
    #[arg(long, default_value_t = 30)]
    window: u32,
}

/// The command.
///
/// # Errors
/// Where something could not be measured.
pub fn main() -> Result<()> {
    let args = Args::parse();
    let most = args.entries.iter().copied().max().context("no entries")?;
    let relays = *args.relays.first().context("no relays")?;
    say(format_args!("one MTA, one thing at a time\n{}", head()))?;
    for &entries in &args.entries {
        let slapd = Slapd::start(Filling { entries, mtas: 1, relays: 1, index: KEY })?;
        let mut mta = slapd.directory(0)?;
        let with = |what: &str| format!("{what}, {entries} entries");
        measure(&slapd, &with("a look"), 100_000 / entries.max(1000), || {
            let found = mta.look()?.ours.len();
            ensure!(found == entries, "{found} entries");
            Ok(())
        })?;
        measure(&slapd, &with("whether there is news"), 300, || {
            ensure!(mta.is_unchanged()?, "news");
            Ok(())
        })?;
        if entries == most {
            writes(&slapd, &mut mta, entries)?;
        }
    }
    for &relays in &args.relays {
        for &mtas in &args.mtas {
            let slapd = Slapd::start(Filling { entries: 1, mtas, relays, index: KEY })?;
            let mut mta = slapd.directory(0)?;
            let rows = mtas * relays;
            let what = format!("the votes of {mtas}, {relays} relays each");
            measure(&slapd, &what, 20_000 / rows.max(1000), || {
                let found = mta.votes()?.living.len();
                ensure!(found == rows, "{found} votes");
                Ok(())
            })?;
        }
    }
    say(format_args!("\na lookup as sendmail makes it\n{}", head()))?;
    for (name, index) in [("no index", ""), ("an index on the key", KEY), ("on all", ALL)] {
        for &entries in &args.entries {
            let slapd = Slapd::start(Filling { entries, mtas: 1, relays: 1, index })?;
            let mut mta = slapd.directory(0)?;
            let mut number = 0;
            measure(&slapd, &format!("{name}, {entries} entries"), 300, || {
                number += 1;
                // Every other one is there; few are, of all that sendmail asks for.
                let key =
                    format!("Try_TLS:{}", relay(number * entries / 600 + number % 2 * entries));
                drop::<Answer>(mta.lookup(&key)?);
                Ok(())
            })?;
        }
    }
    say(format_args!(
        "\na fleet, each looking and reading the votes every 30 s; {most} entries, {relays} relays each\n  \
         {:<28} {:>14} {:>14} {:>14}",
        "", "slapd, a core", "bytes a second", "longest, ms"
    ))?;
    for &mtas in &args.mtas {
        for asks in [false, true] {
            let filling = Filling { entries: most, mtas, relays, index: KEY };
            fleet(filling, asks, Duration::from_secs(args.window.into()))?;
        }
    }
    Ok(())
}

/// What is written.
fn writes(slapd: &Slapd, mta: &mut Directory, entries: usize) -> Result<()> {
    measure(slapd, "a vote written", 100, || Ok(mta.vote(&relay(0), &Says::Works, 0)?))?;
    let mut number = entries;
    measure(slapd, "an entry added", 100, || {
        number += 1;
        ensure!(mta.add(&entry(number)?)? == Added::Written, "not added");
        Ok(())
    })?;
    measure(slapd, "an entry taken out", 100, || {
        let gone = mta.remove(&entry(number)?.tagged())?;
        number -= 1;
        ensure!(gone == Changed::Done, "not taken out");
        Ok(())
    })
}

fn head() -> String {
    format!("  {:<36} {:>12} {:>9} {:>9} {:>9}", "", "slapd CPU ms", "a second", "wait ms", "bytes")
}

/// Does it so many times, and shows what one took. `a second`: how many one core could do.
fn measure(
    slapd: &Slapd,
    what: &str,
    times: usize,
    mut work: impl FnMut() -> Result<()>,
) -> Result<()> {
    let times = times.max(5);
    work().with_context(|| what.to_owned())?; // Connects, and warms.
    let (before, begin) = (slapd.taken()?, Instant::now());
    for _ in 0..times {
        work().with_context(|| what.to_owned())?;
    }
    let (wait, after) = (begin.elapsed().as_secs_f64() / times as f64, slapd.taken()?);
    let cpu = (after.cpu - before.cpu) / times as f64;
    let bytes = (after.bytes - before.bytes) / times as u64;
    say(format_args!(
        "  {what:<36} {:>12.3} {:>9.0} {:>9.3} {:>9}",
        cpu * 1e3,
        1.0 / cpu.max(1e-9),
        wait * 1e3,
        show_bytes(bytes)
    ))
}

/// A fleet at work for a while; `asks`: whether there is news, before it looks.
fn fleet(filling: Filling, asks: bool, window: Duration) -> Result<()> {
    let slapd = Slapd::start(filling)?;
    let mut mtas = Vec::new();
    for number in 0..filling.mtas {
        let mut mta = slapd.directory(number)?;
        mta.look()?;
        mta.votes()?;
        mtas.push((number, mta));
    }
    let (before, begin) = (slapd.taken()?, Instant::now());
    let end = begin + window;
    let longest = thread::scope(|scope| {
        let threads: Vec<_> = mtas
            .into_iter()
            .map(|(number, mta)| {
                let first = LOOK_EVERY * number as f64 / filling.mtas as f64;
                let first = begin + Duration::from_secs_f64(first);
                scope.spawn(move || daemon(mta, filling.relays, asks, first, end))
            })
            .collect();
        threads.into_iter().try_fold(Duration::ZERO, |longest, thread| {
            let waited = thread.join().map_err(|_| anyhow!("an MTA panicked"))??;
            anyhow::Ok(longest.max(waited))
        })
    })?;
    let (passed, after) = (begin.elapsed().as_secs_f64(), slapd.taken()?);
    let how = if asks { "asks for news first" } else { "looks each time" };
    say(format_args!(
        "  {:<28} {:>13.2}% {:>14} {:>14.0}",
        format!("MTAs: {}; {how}", filling.mtas),
        (after.cpu - before.cpu) / passed * 100.0,
        show_bytes(((after.bytes - before.bytes) as f64 / passed) as u64),
        longest.as_secs_f64() * 1e3
    ))
}

/// What the daemon of one MTA does until the end; the longest that it waited.
fn daemon(
    mut mta: Directory,
    relays: usize,
    asks: bool,
    first: Instant,
    end: Instant,
) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    let mut at = first;
    // What is said again each time, in parts of a vote.
    let (mut due, mut number) = (0.0, 0);
    while at < end {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        let begin = Instant::now();
        if !asks || !mta.is_unchanged()? {
            mta.look()?;
        }
        mta.votes()?;
        due += relays as f64 * LOOK_EVERY / SAY_AGAIN;
        while due >= 1.0 {
            due -= 1.0;
            number = (number + 1) % relays;
            mta.vote(&relay(number), &Says::Works, 0)?;
        }
        longest = longest.max(begin.elapsed());
        at += Duration::from_secs_f64(LOOK_EVERY);
    }
    thread::sleep(end.saturating_duration_since(Instant::now()));
    Ok(longest)
}

fn say(line: std::fmt::Arguments<'_>) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("write to standard output")
}
