//! The time of each line.

use std::io::Write as _;

use jiff::ToSpan as _;
use jiff::civil::DateTime;

use super::Format;

/// Runs on with each line and writes the time in front of it.
#[derive(Debug)]
pub(super) struct Clock {
    start: DateTime,
    format: Format,
    rate: u32,
    ticks: u64,
    second: u64,
    /// The text of the present second.
    text: Vec<u8>,
}

impl Clock {
    pub(super) fn new(start: DateTime, format: Format, rate: u32) -> Self {
        let mut clock =
            Self { start, format, rate: rate.max(1), ticks: 0, second: 0, text: Vec::new() };
        clock.render();
        clock
    }

    /// One step of `1 / rate` seconds.
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
        let second = self.ticks / u64::from(self.rate);
        if second != self.second {
            self.second = second;
            self.render();
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text);
        if self.format == Format::Iso {
            let micros = self.ticks % u64::from(self.rate) * 1_000_000 / u64::from(self.rate);
            let _infallible = write!(out, ".{micros:06}+00:00");
        }
    }

    fn render(&mut self) {
        let span = i64::try_from(self.second).unwrap_or(i64::MAX).seconds();
        let now = self.start.saturating_add(span);
        let text = match self.format {
            Format::Classic => now.strftime("%b %e %H:%M:%S").to_string(),
            Format::Iso => now.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        };
        self.text = text.into_bytes();
    }
}
