//! A generator of sendmail logs with the truth beside them: what a reader of the log must find in it,
//! and whom it must not accuse.
//!
//! A log is a function of its [`Spec`] alone: no clock, and random numbers of its own from a seed.
//! In it are, line by line and interleaved as the processes of a busy host write them:
//!
//! - ordinary mail, in and out, with successful handshakes, spam, milters and other programs;
//! - failures, at the share asked for, of a few relays that fail often and many that fail seldom
//!   (Zipf's law): the cause, the ruleset line and, some lines later, the Deferred line, all of one
//!   process; for some of them another MX takes the mail instead;
//! - imitations, where they are asked for: lines in which text that a remote side controls reads as
//!   a failure. Half of them name a relay that does fail, half one that never does.
//!
//! All names are below `.example` and `.test` and all addresses in blocks for documentation and
//! benchmarks, so that nothing in a log belongs to anybody.

mod cast;
mod hostile;
mod ordinary;
pub(crate) mod random;
mod stamp;
mod truth;

use std::collections::VecDeque;
use std::io::{self, Write};

use self::cast::Cast;
use self::random::Random;
use self::stamp::Clock;
pub use self::truth::{Relay, Truth};

/// Grows when the same [`Spec`] gives another log, so that logs kept from before are not taken for it.
pub const VERSION: u32 = 1;

/// Written out in pieces of about this many bytes.
const PIECE: usize = 256 * 1024;

/// The first process id; sendmail's are six digits of a queue id, so they start anew below that.
const PIDS: std::ops::Range<u32> = 12_000..990_000;

/// One failure in so many is mended by another MX, which takes the mail.
const ELSEWHERE: u32 = 16;

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// How much is written.
    pub limit: Limit,
    /// The share of failures' ruleset and delivery lines among all lines, 0 to 0.3.
    pub share: f64,
    /// The share of imitations among all lines, 0 to 0.3.
    pub hostile: f64,
    /// How many relays fail, 1 to 100,000.
    pub relays: usize,
    /// How the time is written.
    pub format: Format,
    /// The code of a failure: 454 since sendmail 8.17.1, 403 before.
    pub code: u16,
    /// Lines for each second of the log's time.
    pub rate: u32,
    /// The time of the first line, as `2026-11-01T00:00:00`; UTC.
    pub start: jiff::civil::DateTime,
    /// The host that writes the log.
    pub host: String,
    /// The program name of the MTA's lines: `sm-mta` or `sendmail`.
    pub tag: String,
    /// Where the random numbers start.
    pub seed: u64,
}

/// How much is written: the first line that reaches it is the last, but for the delivery lines that
/// failures still owe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many bytes.
    Bytes(u64),
    /// So many lines.
    Lines(u64),
}

/// How the time of a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `Nov 23 11:30:13` (RFC 3164).
    Classic,
    /// `2026-11-23T11:30:13.186271+00:00` (RFC 3339).
    Iso,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            limit: Limit::Bytes(100_000_000),
            share: 0.001,
            hostile: 0.0,
            relays: 200,
            format: Format::Classic,
            code: 454,
            rate: 50,
            start: jiff::civil::date(2026, 11, 1).at(0, 0, 0, 0),
            host: "mx1".to_owned(),
            tag: "sm-mta".to_owned(),
            seed: 1,
        }
    }
}

/// Write the log that `spec` describes, and tell what is in it.
///
/// # Errors
/// Those of `out`.
pub fn generate(spec: &Spec, out: impl Write) -> io::Result<Truth> {
    let mut random = Random::new(spec.seed);
    let cast = Cast::new(&mut random, spec.relays);
    let clock = Clock::new(spec.start, spec.format, spec.rate);
    let mut log =
        Log { spec, cast, clock, random, truth: Truth::default(), buffer: Vec::new(), out };
    log.write()?;
    Ok(log.truth)
}

/// A log that is being written.
struct Log<'spec, W> {
    spec: &'spec Spec,
    cast: Cast,
    clock: Clock,
    random: Random,
    truth: Truth,
    buffer: Vec<u8>,
    out: W,
}

/// A line that a process still owes: it is written after some lines of others.
struct Owed {
    /// The number of the line from which on it may be written.
    from: u64,
    pid: u32,
    tag: &'static str,
    text: Vec<u8>,
}

impl<W: Write> Log<'_, W> {
    fn write(&mut self) -> io::Result<()> {
        let failure = share(self.spec.share / 2.0);
        let hostile = share(self.spec.hostile);
        let (mut owed, mut text) = (VecDeque::<Owed>::new(), Vec::new());
        let mut pid = PIDS.start;
        while !self.is_full() {
            self.clock.tick();
            pid = if pid >= PIDS.end { PIDS.start } else { pid + 1 + self.random.below(3) };
            let dice = self.random.next_u32();
            if dice < failure {
                owed.push_back(self.failure(pid)?);
            } else if dice >= u32::MAX - hostile {
                let (program, imitated) =
                    hostile::write(&mut text, &self.cast, &mut self.random, self.spec, pid);
                self.truth.hostile += 1;
                if let Some(name) = imitated {
                    self.truth.imitated.insert(name);
                }
                self.line(program, pid, &text)?;
            } else if owed.front().is_some_and(|next| next.from <= self.truth.lines) {
                let Some(next) = owed.pop_front() else { continue };
                self.line(next.tag, next.pid, &next.text)?;
            } else if let Some(program) =
                ordinary::write(&mut text, &self.cast, &mut self.random, pid)
            {
                self.line(program, pid, &text)?;
            } else {
                owed.push_back(self.success(pid)?);
            }
        }
        for next in owed {
            self.line(next.tag, next.pid, &next.text)?;
        }
        self.out.write_all(&self.buffer)?;
        self.out.flush()
    }

    fn is_full(&self) -> bool {
        match self.spec.limit {
            Limit::Bytes(bytes) => self.truth.bytes >= bytes,
            Limit::Lines(lines) => self.truth.lines >= lines,
        }
    }

    /// The cause and the ruleset line of a failure; its delivery line is owed.
    fn failure(&mut self, pid: u32) -> io::Result<Owed> {
        let Self { cast, random, spec, .. } = self;
        let relay = cast.failing(random);
        // The queue runner logs under a name of its own.
        let tag = if random.below(5) == 0 { ordinary::RUNNER } else { ordinary::MTA };
        let elsewhere = random.below(ELSEWHERE) == 0;
        let name = relay.name.clone();
        let mut owed = Vec::new();
        if elsewhere {
            ordinary::sent(&mut owed, cast, random, pid);
        } else {
            ordinary::stuck(&mut owed, cast, random, relay, spec.code, pid);
        }
        let mut text = Vec::new();
        ordinary::cause(&mut text, random);
        let from = self.truth.lines + 2 + u64::from(random.below(6));
        self.truth.failed(&name, !elsewhere);
        self.line(tag, pid, &text)?;
        text.clear();
        ordinary::ruleset(&mut text, &name, self.spec.code);
        self.line(tag, pid, &text)?;
        Ok(Owed { from, pid, tag, text: owed })
    }

    /// The line of a handshake that succeeded; the delivery line of the same process is owed.
    fn success(&mut self, pid: u32) -> io::Result<Owed> {
        let mut text = Vec::new();
        let mut owed = Vec::new();
        ordinary::success(&mut text, &mut owed, &self.cast, &mut self.random, pid);
        self.truth.successes += 1;
        let from = self.truth.lines + 1 + u64::from(self.random.below(6));
        self.line(ordinary::MTA, pid, &text)?;
        Ok(Owed { from, pid, tag: ordinary::MTA, text: owed })
    }

    fn line(&mut self, program: &str, pid: u32, text: &[u8]) -> io::Result<()> {
        let before = self.buffer.len();
        // The names that the templates give are roles; the spec says what they are called.
        let program = match program {
            ordinary::MTA => &self.spec.tag,
            ordinary::RUNNER if self.spec.tag != ordinary::MTA => &self.spec.tag,
            other => other,
        };
        self.clock.write(&mut self.buffer);
        for part in [b" ", self.spec.host.as_bytes(), b" ", program.as_bytes(), b"["] {
            self.buffer.extend_from_slice(part);
        }
        random::decimal(&mut self.buffer, pid);
        self.buffer.extend_from_slice(b"]: ");
        self.buffer.extend_from_slice(text);
        self.buffer.push(b'\n');
        self.truth.lines += 1;
        self.truth.bytes += (self.buffer.len() - before) as u64;
        if self.buffer.len() >= PIECE {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// A share as a bound on a random number of 32 bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range first"
)]
fn share(share: f64) -> u32 {
    (share.clamp(0.0, 0.3) * f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests;
