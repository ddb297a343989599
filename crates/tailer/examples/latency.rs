//! Measures how long a line takes from the append to the hands of the caller, and what a steady log costs.
//!
//! `cargo run --release -p tailer --example latency`; with `-- idle`: what a quiet log costs in a minute.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tailer::{Next, Options, Start, Tail};

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// How often threads of this process went to sleep by themselves, and so were woken.
fn sleeps() -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += count.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

fn idle() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("mail.log");
    File::create(&path)?;
    let mut tail = Tail::new([(path, Start::End)], Options::default());
    while !matches!(tail.next_within(Duration::from_millis(100)), Next::Quiet) {}
    let (cpu_before, sleeps_before) = (cpu(ClockId::ProcessCPUTime), sleeps()?);
    let quiet = matches!(tail.next_within(Duration::from_secs(60)), Next::Quiet);
    let used = cpu(ClockId::ProcessCPUTime) - cpu_before;
    let woken = sleeps()? - sleeps_before;
    writeln!(io::stdout(), "idle for 60 s (quiet: {quiet}): CPU {used:?}, woken {woken} times")
}

fn main() -> io::Result<()> {
    if std::env::args().any(|arg| arg == "idle") {
        return idle();
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("mail.log");
    let mut log = OpenOptions::new().append(true).create(true).open(&path)?;
    for events in [true, false] {
        let options = Options { events, ..Options::default() };
        let mut tail = Tail::new([(path.clone(), Start::End)], options);
        let waker = tail.waker();
        let (arrived, arrivals) = mpsc::channel();
        let thread = thread::spawn(move || {
            loop {
                match tail.wait() {
                    Next::Lines { bytes, .. } => {
                        match arrived.send((Instant::now(), bytes.len())) {
                            Ok(()) => {}
                            Err(_) => return,
                        }
                    }
                    Next::Called => return,
                    _ => {}
                }
            }
        });
        thread::sleep(Duration::from_millis(50));

        let trials = if events { 500 } else { 10 };
        let mut times = Vec::new();
        for n in 0..trials {
            thread::sleep(Duration::from_millis(5 + (n * 7919) % 23));
            let written = Instant::now();
            log.write_all(b"a line\n")?;
            if let Ok((at, _)) = arrivals.recv() {
                times.push(at.saturating_duration_since(written));
            }
        }
        times.sort();
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "events {events}: {trials} appends, latency p50 {:?}, p99 {:?}, max {:?}",
            times[times.len() / 2],
            times[times.len() * 99 / 100],
            times[times.len() - 1],
        )?;
        // What a steady log costs: all threads but this one, which writes.
        let line = [&[b'x'; 200][..], b"\n"].concat();
        for rate in [100_u32, 1000] {
            let before = cpu(ClockId::ProcessCPUTime) - cpu(ClockId::ThreadCPUTime);
            let lines = rate * 20;
            let began = Instant::now();
            for n in 0..lines {
                log.write_all(&line)?;
                let next = began + Duration::from_secs(1) * (n + 1) / rate;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            let took = cpu(ClockId::ProcessCPUTime) - cpu(ClockId::ThreadCPUTime) - before;
            let wakes = arrivals.try_iter().count();
            let each = took / lines;
            writeln!(
                out,
                "events {events}: {rate} lines/s, CPU a line {each:?}, {wakes} blocks in 20 s"
            )?;
        }
        waker.wake();
        if thread.join().is_err() {
            return Err(io::Error::other("the following thread failed"));
        }
    }
    Ok(())
}
