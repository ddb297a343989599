//! Our block of the access file: the one place where lines of ours stand.
//!
//! ```text
//! # BEGIN trytlsd: entries that trytlsd keeps. Put lines of your own outside of this block.
//! # trytlsd: key=mx.example.org relay=mx.example.org since=2026-11-23T10:50:38Z until=- why=3 stuck attempts
//! Try_TLS:mx.example.org    NO
//! # END trytlsd
//! ```
//!
//! (Between key and value stands one tab.) It is appended at the end of the file, and stays where it is when the admin
//! appends lines after it. The file is the admin's: he may have edited, moved or half deleted the block. So nothing is
//! taken for ours that does not say so, and what is odd is reported, not mended behind his back.

use std::collections::HashMap;
use std::fmt;

pub use crate::edit::edit;
use crate::layout::{END, Layout, Line, Role, is_marker, stripped};
use crate::lookup::Entries;
use crate::managed::Managed;
use crate::remedy::Tagged;
use crate::text::{Kind, records};

/// What the text says about us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Our entries, in order; one for each tag and key.
    pub managed: Vec<Managed>,
    /// The entries of all other lines: what the admin says.
    pub admins: Entries,
    /// What is not as we left it.
    pub oddities: Vec<Oddity>,
}

/// Something that is not as we left it. Line numbers count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// The line.
    pub line_no: usize,
    /// What is odd.
    pub what: What,
}

/// What is odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The block that begins here has no end marker. It is written again with the next change.
    EndMissing,
    /// A further block begins here. Its entries move to the first with the next change.
    SecondBlock,
    /// An end marker without a begin marker. Left alone.
    StrayEnd,
    /// A line of the admin's inside our block. Left alone.
    ForeignLine(Box<[u8]>),
    /// An entry without its comment inside our block. Left alone, unless we are to write the same.
    NoComment(Tagged),
    /// A comment of ours, and below it not its entry: edited (then the admin's) or gone. The comment goes with the next change.
    NoEntry(Tagged),
    /// An entry of ours stands in the block twice. The second goes with the next change.
    Twice(Tagged),
    /// The admin has a line for the same key; the first of the two is in force, and makemap ends with 65.
    AlsoAdmins {
        /// Tag and key.
        entry: Tagged,
        /// What the admin's line says.
        value: Box<[u8]>,
    },
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line_no)?;
        match &self.what {
            What::EndMissing => write!(f, "the block of trytlsd has no end marker"),
            What::SecondBlock => write!(f, "a second block of trytlsd"),
            What::StrayEnd => write!(f, "an end marker of trytlsd without a begin marker"),
            What::ForeignLine(line) => {
                write!(f, "a foreign line in the block of trytlsd: {}", line.escape_ascii())
            }
            What::NoComment(entry) => write!(f, "the entry {entry} has lost its comment"),
            What::NoEntry(entry) => write!(f, "the entry {entry} was edited or deleted"),
            What::Twice(entry) => write!(f, "the entry {entry} stands there twice"),
            What::AlsoAdmins { entry, value } => {
                write!(f, "a line for {entry} outside the block too ({})", value.escape_ascii())
            }
        }
    }
}

/// Reads our block, and what the admin says around it.
pub fn parse(text: &[u8]) -> Block {
    let layout = Layout::of(text);
    let mut block = Block::default();
    let mut ours: HashMap<usize, Tagged> = HashMap::new();
    let mut open: Option<&Managed> = None;
    let head = || layout.head.split_inclusive(|&b| b == b'\n').zip(1..);
    let strays = head().filter(|(line, _)| is_marker(line, END));
    block.oddities.extend(strays.map(|(_, line_no)| Oddity { line_no, what: What::StrayEnd }));
    for (line, line_no) in layout.lines.iter().zip(head().count() + 1..) {
        let mut odd = |what| block.oddities.push(Oddity { line_no, what });
        match &line.role {
            Role::Begin if line.block != Some(0) => odd(What::SecondBlock),
            Role::Begin | Role::End => {}
            Role::Comment(managed) => open = Some(managed),
            Role::Entry => {
                let Some(managed) = open.take() else { continue };
                if block.managed.iter().any(|other| other.tagged() == managed.tagged()) {
                    odd(What::Twice(managed.tagged()));
                } else {
                    block.managed.push(managed.clone());
                }
                ours.insert(line_no, managed.tagged());
            }
            Role::Orphan => {
                if let Some(managed) = crate::comment::parse(stripped(line.bytes)) {
                    odd(What::NoEntry(managed.tagged()));
                }
            }
            Role::Bare(entry) => odd(What::NoComment(entry.clone())),
            Role::Foreign if line.block.is_some() => {
                let bytes = stripped(line.bytes);
                if !bytes.is_empty() {
                    odd(What::ForeignLine(bytes.into()));
                }
            }
            Role::Foreign if is_marker(line.bytes, END) => odd(What::StrayEnd),
            Role::Foreign => {}
        }
        if matches!(line.role, Role::Begin)
            && line.block.and_then(|block| layout.closed.get(block)) == Some(&false)
        {
            odd(What::EndMissing);
        }
    }
    block.admins = Entries::parse_where(text, |line_no| !ours.contains_key(&line_no));
    also_admins(text, &ours, &mut block);
    block.oddities.sort_by_key(|oddity| oddity.line_no);
    block
}

/// Whether the text has a block of ours, with or without entries.
pub fn is_there(text: &[u8]) -> bool {
    !Layout::of(text).closed.is_empty()
}

/// All lines that are not ours, in order, with their line ends; foreign ones inside our block too.
pub fn foreign_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let Layout { head, lines, .. } = Layout::of(text);
    let foreign = |line: &Line<'_>| matches!(line.role, Role::Foreign | Role::Bare(_));
    let inside = lines.into_iter().filter(foreign).map(|line| line.bytes);
    head.split_inclusive(|&b| b == b'\n').chain(inside)
}

/// Reports the admin's lines that have a tag and key of ours.
fn also_admins(text: &[u8], ours: &HashMap<usize, Tagged>, block: &mut Block) {
    if ours.is_empty() {
        return;
    }
    let keys: HashMap<String, &Tagged> =
        ours.values().map(|entry| (entry.folded(), entry)).collect();
    for record in records(text) {
        let Kind::Entry { key, value } = record.kind else { continue };
        if ours.contains_key(&record.line_no) || key.len() > 300 {
            continue;
        }
        let folded = String::from_utf8_lossy(key).to_ascii_lowercase();
        if let Some(&entry) = keys.get(&folded) {
            let what = What::AlsoAdmins { entry: entry.clone(), value: value.into() };
            block.oddities.push(Oddity { line_no: record.line_no, what });
        }
    }
}
