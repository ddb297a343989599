//! The time of day of a trytlsd in a bed: days pass for it alone.

use std::cell::Cell;

use anyhow::Result;

use crate::bed::Bed;
use crate::trytlsd::Trytlsd;

/// The file that libfaketime reads in the bed.
const FILE: &str = "/run/clock";

/// Minutes beyond the host's clock.
#[derive(Debug)]
pub struct Clock<'bed> {
    bed: &'bed Bed,
    minutes: Cell<u32>,
}

impl<'bed> Clock<'bed> {
    /// The host's own, at first.
    pub fn new(bed: &'bed Bed) -> Result<Self> {
        let clock = Self { bed, minutes: Cell::new(0) };
        clock.advance(0)?;
        Ok(clock)
    }

    /// `trytlsd run` with this configuration, by this clock.
    pub fn run(&self, config: &str) -> Result<Trytlsd<'bed>> {
        Trytlsd::run_by(self.bed, config, FILE)
    }

    /// How many minutes it is ahead.
    #[must_use]
    pub fn minutes(&self) -> u32 {
        self.minutes.get()
    }

    /// So many minutes later.
    pub fn advance(&self, minutes: u32) -> Result<()> {
        self.minutes.set(self.minutes.get() + minutes);
        self.bed.namespace().write(FILE, format!("+{}m\n", self.minutes.get()))
    }
}
