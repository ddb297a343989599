//! Where our blocks, and in them our lines, stand in the text.
//!
//! A block runs from its begin marker to its end marker. If the end marker is gone, it runs to the last entry of ours
//! before the next begin marker or the end of the text. What is ours inside a block: the markers, our comments, and
//! each entry that stands right under the comment that names its key. All else is the admin's, wherever it stands.

use crate::comment;
use crate::managed::Managed;
use crate::remedy::Tagged;
use crate::text::{Kind, Record, records};

pub(crate) const BEGIN: &[u8] = b"# BEGIN trytlsd";
pub(crate) const END: &[u8] = b"# END trytlsd";

/// A line with its line end, and what it is.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) role: Role,
    /// The block it stands in, counted from 0.
    pub(crate) block: Option<usize>,
}

/// What a line is.
#[derive(Debug)]
pub(crate) enum Role {
    /// The admin's, inside or outside a block.
    Foreign,
    /// The begin marker.
    Begin,
    /// The end marker.
    End,
    /// Our comment above an entry of ours.
    Comment(Box<Managed>),
    /// Our entry under its comment.
    Entry,
    /// A comment of ours that no longer stands above its entry.
    Orphan,
    /// An entry as we write them inside a block, without its comment. The admin's, unless we are to write the same.
    Bare(Tagged),
}

/// The text in pieces. An access file may have a million lines of which none is ours, so only those from the first
/// begin marker on are told apart.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    /// What stands before the first begin marker; all of the text if there is none.
    pub(crate) head: &'a [u8],
    /// The lines from the first begin marker on.
    pub(crate) lines: Vec<Line<'a>>,
    /// For each block whether its end marker is there.
    pub(crate) closed: Vec<bool>,
}

impl<'a> Layout<'a> {
    pub(crate) fn of(text: &'a [u8]) -> Self {
        let foreign = |bytes| Line { bytes, role: Role::Foreign, block: None };
        let split = |text: &'a [u8]| text.split_inclusive(|&b| b == b'\n');
        let head: usize =
            split(text).take_while(|line| !is_marker(line, BEGIN)).map(<[u8]>::len).sum();
        let (head, rest) = text.split_at(head);
        let mut lines: Vec<_> = split(rest).map(foreign).collect();
        let mut closed = Vec::new();
        let mut from = 0;
        while let Some(begin) = find(&lines, from, lines.len(), BEGIN) {
            let limit = find(&lines, begin + 1, lines.len(), BEGIN).unwrap_or(lines.len());
            let end = find(&lines, begin + 1, limit, END);
            mark(&mut lines, begin, end, limit, closed.len());
            closed.push(end.is_some());
            from = limit;
        }
        Self { head, lines, closed }
    }
}

/// Gives the lines of one block their roles.
fn mark(lines: &mut [Line<'_>], begin: usize, end: Option<usize>, limit: usize, block: usize) {
    let mut last = begin;
    let mut after_comment: Option<Tagged> = None;
    for at in begin + 1..end.unwrap_or(limit) {
        let Some(line) = lines.get_mut(at) else { break };
        let bytes = stripped(line.bytes);
        let entry = bare_entry(bytes);
        let above = after_comment.take();
        line.role = if let Some(managed) = comment::parse(bytes) {
            after_comment = Some(managed.tagged());
            Role::Comment(Box::new(managed))
        } else if entry.is_some() && entry == above {
            last = at;
            Role::Entry
        } else {
            entry.map_or(Role::Foreign, Role::Bare)
        };
    }
    orphan(lines, begin, end.unwrap_or(limit));
    let last = end.unwrap_or(last);
    for (at, line) in lines.iter_mut().enumerate().take(limit).skip(begin) {
        if at > last {
            line.role = Role::Foreign;
            continue;
        }
        line.block = Some(block);
        if at == begin {
            line.role = Role::Begin;
        } else if Some(at) == end {
            line.role = Role::End;
        }
    }
}

/// A comment of ours whose next line is not its entry is an orphan.
fn orphan(lines: &mut [Line<'_>], begin: usize, end: usize) {
    for at in begin + 1..end {
        let paired =
            lines.get(at + 1).is_some_and(|next| at + 1 < end && matches!(next.role, Role::Entry));
        let Some(line) = lines.get_mut(at) else { return };
        if matches!(line.role, Role::Comment(_)) && !paired {
            line.role = Role::Orphan;
        }
    }
}

fn find(lines: &[Line<'_>], from: usize, to: usize, marker: &[u8]) -> Option<usize> {
    lines.get(from..to)?.iter().position(|l| is_marker(l.bytes, marker)).map(|at| from + at)
}

/// Whether the line is the marker, whatever stands behind it.
pub(crate) fn is_marker(line: &[u8], marker: &[u8]) -> bool {
    let next = |rest: &[u8]| rest.first().is_none_or(|b| !b.is_ascii_alphanumeric());
    line.strip_prefix(marker).is_some_and(next)
}

/// The line without its line end; a carriage return before that is an editor's doing.
pub(crate) fn stripped(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Tag and key, if the line is such an entry as we write, with a value that does the same.
fn bare_entry(line: &[u8]) -> Option<Tagged> {
    let mut found = records(line);
    let (Some(Record { kind: Kind::Entry { key, value }, .. }), None) =
        (found.next(), found.next())
    else {
        return None;
    };
    let tagged: Tagged = std::str::from_utf8(key).ok()?.parse().ok()?;
    tagged.remedy.is_met_by(value).then_some(tagged)
}
