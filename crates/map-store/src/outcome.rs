//! What was read, and what a change did.

use std::io;

use access::block::{self, Oddity};
use access::lookup::Entries;
use access::managed::Managed;
use access::remedy::Tagged;
use access::text::{Fault, Kind, records};

use crate::plan::{Plan, Skipped};

/// Bad lines that a [`Snapshot`] reports at most.
const MAX_FAULTS: usize = 100;

/// The access file as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The text, to the byte.
    pub text: Vec<u8>,
    /// All entries that matter to TLS: what sendmail finds once the map is built.
    pub entries: Entries,
    /// The same without ours: what the admin says.
    pub admins: Entries,
    /// Our entries.
    pub managed: Vec<Managed>,
    /// What is odd about our block.
    pub oddities: Vec<Oddity>,
    /// Lines that makemap passes over, with their numbers from 1; the first 100.
    pub faults: Vec<(usize, Fault)>,
}

/// What a change did.
#[derive(Debug)]
pub struct Applied {
    /// Entries that are new, or whose comment is.
    pub added: Vec<Managed>,
    /// Entries that are gone from our block.
    pub removed: Vec<Tagged>,
    /// What was not done.
    pub skipped: Vec<Skipped>,
    /// What is odd about our block (as it was before).
    pub oddities: Vec<Oddity>,
    /// Whether the map is a new one.
    pub rebuilt: Rebuilt,
    /// What makemap or the command wrote to standard error, escaped: bad lines, duplicates. Empty if nothing.
    pub said: String,
    /// Whether running senders notice.
    pub noticed: Noticed,
}

/// How the map was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// Not at all: it said the right thing already, or sendmail reads the text.
    No,
    /// A new map was renamed into place.
    Replaced,
    /// New entries were added in place.
    Appended,
    /// The operator's command did it.
    ByCommand,
}

/// Whether a sendmail that has the map open notices the change at its next lookup.
#[derive(Debug)]
pub enum Noticed {
    /// There was nothing to notice: no change, no map before, or no map at all.
    Nothing,
    /// It does: the mtime of the file that it holds was raised.
    Yes,
    /// It does not: the mtime could not be raised (we are neither the owner nor root).
    No(io::Error),
}

impl Snapshot {
    pub(crate) fn of(text: Vec<u8>) -> Self {
        let block = block::parse(&text);
        let faults = records(&text).filter_map(|record| match record.kind {
            Kind::Bad(fault) => Some((record.line_no, fault)),
            _ => None,
        });
        Self {
            entries: Entries::parse(&text),
            faults: faults.take(MAX_FAULTS).collect(),
            admins: block.admins,
            managed: block.managed,
            oddities: block.oddities,
            text,
        }
    }
}

impl Applied {
    pub(crate) fn of(plan: Plan, rebuilt: Rebuilt, said: String, noticed: Noticed) -> Self {
        let Plan { added, removed, skipped, oddities, .. } = plan;
        Self { added, removed, skipped, oddities, rebuilt, said, noticed }
    }
}
