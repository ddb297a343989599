//! The daemon's own log: standard error (the journal, as a service), never the mail facility, whose lines it reads.
//!
//! Bounded: whoever can make relays fail by the thousand must not fill the disk with what we say about it. Beyond
//! [`BURST`] lines at once and [`RATE`] lines a second, lines are left out, and their number is told with the next one.

use std::io::{self, IsTerminal, Stderr, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines at once.
const BURST: f64 = 500.0;

/// Lines a second, lasting.
const RATE: f64 = 20.0;

/// Begins. `RUST_LOG` says how much; `info` if it says nothing.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Bounded::new())
        .with_ansi(wanted && io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// Standard error, with a bound on lines.
struct Bounded(Arc<Mutex<Bucket>>);

struct Bucket {
    tokens: f64,
    filled: Instant,
    left_out: u64,
}

/// One line: written, or left out.
struct Line {
    out: Option<Stderr>,
    left_out: u64,
}

impl Bounded {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Bucket { tokens: BURST, filled: Instant::now(), left_out: 0 })))
    }
}

impl<'a> MakeWriter<'a> for Bounded {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }
}

impl Bucket {
    fn take(&mut self, now: Instant) -> Line {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * RATE).min(BURST);
        self.filled = now;
        if self.tokens < 1.0 {
            self.left_out += 1;
            return Line { out: None, left_out: 0 };
        }
        self.tokens -= 1.0;
        Line { out: Some(io::stderr()), left_out: std::mem::take(&mut self.left_out) }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Some(out) = &mut self.out else { return Ok(line.len()) };
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            writeln!(out, "({left_out} lines were left out: too many at once)")?;
        }
        out.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_bounded_and_told() {
        let start = Instant::now();
        let mut bucket = Bucket { tokens: BURST, filled: start, left_out: 0 };
        let written = (0..10_000).filter(|_| bucket.take(start).out.is_some()).count();
        assert_eq!(written, 500);
        let line = bucket.take(start + Duration::from_secs(1));
        assert_eq!((line.out.is_some(), line.left_out), (true, 9_500));
    }
}
