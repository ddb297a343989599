//! What the daemon costs: while the log is quiet, while others write to it, and with very many relays below the threshold.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::process::{Taken, resident, taken};
use super::stage::Stage;
use super::{Args, Figure, progress};
use crate::generate::{Limit, Spec, generate};
use crate::lines::failure;
use crate::local::Local;

/// Nothing is written by the thresholds; looks and ticks as they are by default.
const CONFIG: &str =
    "dry_run = false\n[policy]\nprobe = false\nfailures = 1000\nmax_relays = 100000\n";

/// How long the daemon may take for what was written.
const LIMIT: Duration = Duration::from_secs(120);

/// Many relays with one failure each, at most 20,000 of them a second: a host that fails faster has other troubles.
pub(super) fn relays(args: &Args) -> Result<Vec<Figure>> {
    let stage = Stage::new(false, CONFIG)?;
    let mut daemon = stage.start()?;
    let pid = daemon.pid();
    at_rest(&daemon)?;
    let before = resident(pid)?;
    let mut text = String::new();
    for number in 0..args.relays {
        let address =
            format!("198.{}.{}.{}", 18 + number / 65_536, number / 256 % 256, number % 256);
        text.push_str(&failure(&format!("mx{number}.a-domain-like-others.example"), &address));
        if number % 1000 == 999 || number + 1 == args.relays {
            stage.append("mail.log", &text)?;
            text.clear();
            sleep(Duration::from_millis(50));
            progress(format_args!("relay {number} of {}", args.relays));
        }
    }
    let busy_for = at_rest(&daemon)?;
    let grown = resident(pid)? - before;
    let known = {
        daemon.stop()?;
        stage.counts()?.len()
    };
    let what = format!("{} relays below the threshold", args.relays);
    Ok(vec![
        Figure::count(
            format!("{what}: known"),
            u32::try_from(known).unwrap_or(u32::MAX),
            args.relays,
            args.relays,
        ),
        Figure::at_most(format!("{what}: memory above idle"), grown, 20.0, "MB"),
        Figure::at_most(
            format!("{what}: busy after the last line"),
            busy_for.as_secs_f64(),
            1.0,
            "s",
        ),
    ])
}

/// A quiet log.
pub(super) fn idle(args: &Args) -> Result<Vec<Figure>> {
    let stage = Stage::new(true, "")?;
    // As it is by default.
    let config = std::fs::read_to_string(stage.path("trytlsd.toml"))?;
    stage.write("trytlsd.toml", config.replace("look_every = \"1s\"\n", "").as_bytes())?;
    let mut daemon = stage.start()?;
    stage.append("mail.log", &failure("mx.soak.example", "198.18.0.1"))?;
    at_rest(&daemon)?;
    sleep(Duration::from_secs(12)); // What follows the start is over.
    let pid = daemon.pid();
    let before = taken(pid)?;
    let begin = Instant::now();
    for second in 0..args.idle {
        progress(format_args!("idle for {second} of {} s", args.idle));
        sleep(Duration::from_secs(1));
    }
    let (after, minutes) = (taken(pid)?, begin.elapsed().as_secs_f64() / 60.0);
    let memory = resident(pid)?;
    ensure!(daemon.stop()?.success(), "the daemon ended badly");
    let wakeups = (after.wakeups - before.wakeups) as f64 / (minutes * 60.0);
    let cpu = (after.cpu - before.cpu) * 1000.0 / minutes;
    Ok(vec![
        Figure::at_most("idle: wake-ups a second", wakeups, 0.2, ""),
        Figure::at_most("idle: CPU a minute", cpu, 5.0, "ms"),
        Figure::at_most("idle: memory", memory, 12.0, "MB"),
    ])
}

/// Lines that are none of ours: at once, and in a steady stream.
pub(super) fn noise(args: &Args) -> Result<Vec<Figure>> {
    let mut log = Vec::new();
    let lines = u64::from(args.noise);
    generate(&Spec { limit: Limit::Lines(lines), share: 0.0, ..Spec::default() }, &mut log)?;
    let log = String::from_utf8_lossy(&log);
    // What succeeds is ours.
    let noise: Vec<&str> =
        log.split_inclusive('\n').filter(|line| !line.contains("STARTTLS=client")).collect();
    let mut figures = Vec::new();
    for (what, piece, pause) in [
        ("noise at once", noise.len(), Duration::ZERO),
        ("noise, 20,000 lines a second", 200, Duration::from_millis(10)),
    ] {
        progress(format_args!("{what}"));
        let stage = Stage::new(false, CONFIG)?;
        let mut daemon = stage.start()?;
        at_rest(&daemon)?;
        let before = taken(daemon.pid())?;
        // The steady stream would take minutes.
        let lines = if pause.is_zero() { &noise[..] } else { &noise[..noise.len() / 5] };
        for piece in lines.chunks(piece.max(1)) {
            let mut text = String::new();
            let _infallible = write!(text, "{}", piece.concat());
            stage.append("mail.log", &text)?;
            sleep(pause);
        }
        at_rest(&daemon)?;
        let cpu = taken(daemon.pid())?.cpu - before.cpu;
        ensure!(daemon.stop()?.success(), "the daemon ended badly");
        let each = cpu * 1e6 / lines.len() as f64;
        figures.push(Figure::at_most(format!("{what}: CPU a line"), each, 0.5, "µs"));
    }
    Ok(figures)
}

/// Waits until the daemon takes next to no CPU for a second; how long it took until that second.
fn at_rest(daemon: &Local) -> Result<Duration> {
    const SLICE: Duration = Duration::from_millis(50);
    let begin = Instant::now();
    let mut rest_since = begin;
    let mut last: Taken = taken(daemon.pid())?;
    while rest_since.elapsed() < Duration::from_secs(1) {
        ensure!(begin.elapsed() < LIMIT, "the daemon does not come to rest");
        sleep(SLICE);
        let now = taken(daemon.pid())?;
        if now.cpu - last.cpu > 0.002 {
            rest_since = Instant::now();
        }
        last = now;
    }
    Ok(rest_since - begin)
}
