//! Writing our block: exactly the wanted entries, and not one foreign byte changed.

use crate::comment;
use crate::layout::{BEGIN, END, Layout, Line, Role, stripped};
use crate::managed::Managed;
use crate::remedy::Tagged;

/// What the begin marker says to people.
const BEGIN_TAIL: &str =
    ": entries that trytlsd keeps. Put lines of your own outside of this block.";
/// Stands in the begin marker if the text had no line end at its end: then ours goes again with the block.
const ADDED: &str = " Line end added after ";

/// The text with our block holding exactly `desired`, in its place if there is one, else at the end.
///
/// Foreign lines keep every byte and their order, also those inside a block; of two blocks the first is kept, and
/// what is ours in the other moves there. Without anything desired the block goes, and with it the line end that was
/// added before it, if nothing was written behind it since. Editing twice is editing once. Of two entries with one tag
/// and key the first counts, and one whose key is not valid is left out: it would be a line that says something else.
pub fn edit(text: &[u8], desired: &[Managed]) -> Vec<u8> {
    let mut wanted = Wanted::new(desired);
    let layout = Layout::of(text);
    if layout.closed.is_empty() {
        return append(text, wanted);
    }
    let keep = !wanted.open.is_empty();
    let last_of_first = layout.lines.iter().rposition(|line| line.block == Some(0));
    let mut ours = wanted.place(&layout.lines).into_iter();
    let mut out = Out { bytes: Vec::with_capacity(text.len() + 256), joint: None };
    out.bytes.extend(layout.head);
    for (at, line) in layout.lines.iter().enumerate() {
        let first = line.block == Some(0);
        match line.role {
            Role::Begin if first && keep => out.bytes.extend(line.bytes),
            Role::Begin => out.note_joint(line.bytes),
            Role::End if first && keep => {
                wanted.rest().for_each(|entry| out.entry(entry));
                out.bytes.extend(line.bytes);
            }
            Role::Foreign => out.bytes.extend(line.bytes),
            Role::Bare(ref key) if !wanted.has(key) => out.bytes.extend(line.bytes),
            Role::End | Role::Orphan | Role::Comment(_) => {}
            Role::Entry | Role::Bare(_) => {
                if let Some(Some(entry)) = ours.next() {
                    out.entry(entry);
                }
            }
        }
        if keep && Some(at) == last_of_first && layout.closed.first() == Some(&false) {
            wanted.rest().for_each(|entry| out.entry(entry));
            out.line(END);
        }
    }
    out.finish()
}

/// The text with a new block at its end.
fn append(text: &[u8], mut wanted: Wanted<'_>) -> Vec<u8> {
    let mut out = Out { bytes: text.to_vec(), joint: None };
    if wanted.open.is_empty() {
        return out.bytes;
    }
    let mut begin = String::from_utf8_lossy(BEGIN).into_owned() + BEGIN_TAIL;
    if !text.is_empty() && !text.ends_with(b"\n") {
        begin.push_str(&format!("{ADDED}{:08x}.", hash(last_line(text))));
    }
    out.line(begin.as_bytes());
    wanted.rest().for_each(|entry| out.entry(entry));
    out.line(END);
    out.bytes
}

/// The entries that are to be written, and which of them have a place already.
struct Wanted<'a> {
    /// All of them, one for each key.
    all: Vec<&'a Managed>,
    /// Those without a place.
    open: Vec<&'a Managed>,
}

impl<'a> Wanted<'a> {
    fn new(desired: &'a [Managed]) -> Self {
        let mut seen = std::collections::HashSet::new();
        let mut all = Vec::new();
        for entry in desired {
            if entry.key.is_valid() && seen.insert(entry.tagged().folded()) {
                all.push(entry);
            }
        }
        Self { open: all.clone(), all }
    }

    fn has(&self, tagged: &Tagged) -> bool {
        self.all.iter().any(|entry| entry.tagged().folded() == tagged.folded())
    }

    /// For each [`Role::Entry`], and each [`Role::Bare`] that is wanted, in order, what is to stand in its place. An
    /// entry under its comment comes before one without, and only the first block keeps any.
    fn place(&mut self, lines: &[Line<'_>]) -> Vec<Option<&'a Managed>> {
        let mut places: Vec<Option<&'a Managed>> = vec![None; lines.len()];
        for bare in [false, true] {
            for (at, line) in lines.iter().enumerate() {
                if line.block != Some(0) {
                    continue;
                }
                let folded = match &line.role {
                    Role::Bare(tagged) if bare => tagged.folded(),
                    Role::Entry if !bare => match at.checked_sub(1).and_then(|at| lines.get(at)) {
                        Some(Line { role: Role::Comment(managed), .. }) => {
                            managed.tagged().folded()
                        }
                        _ => continue,
                    },
                    _ => continue,
                };
                let found = self.open.iter().position(|entry| entry.tagged().folded() == folded);
                if let (Some(found), Some(place)) = (found, places.get_mut(at)) {
                    *place = Some(self.open.remove(found));
                }
            }
        }
        let holds = |line: &Line<'_>| match &line.role {
            Role::Entry => true,
            Role::Bare(key) => self.has(key),
            _ => false,
        };
        let used = lines.iter().zip(places).filter(|(line, _)| holds(line));
        used.map(|(_, place)| place).collect()
    }

    /// Those that have no place yet.
    fn rest(&mut self) -> impl Iterator<Item = &'a Managed> {
        std::mem::take(&mut self.open).into_iter()
    }
}

/// The new text.
struct Out {
    bytes: Vec<u8>,
    /// Where a begin marker was dropped that had noted an added line end, and the hash of the line it was added to.
    joint: Option<(usize, u32)>,
}

impl Out {
    /// Writes a line of ours.
    fn line(&mut self, line: &[u8]) {
        if !self.bytes.is_empty() && !self.bytes.ends_with(b"\n") {
            self.bytes.push(b'\n');
        }
        self.bytes.extend(line);
        self.bytes.push(b'\n');
    }

    fn entry(&mut self, entry: &Managed) {
        self.line(comment::print(entry).as_bytes());
        self.line(entry.line().as_bytes());
    }

    fn note_joint(&mut self, marker: &[u8]) {
        let text = String::from_utf8_lossy(stripped(marker));
        let noted = text.rsplit_once(ADDED).and_then(|(_, hash)| hash.strip_suffix('.'));
        if let Some(hash) = noted.and_then(|hash| u32::from_str_radix(hash, 16).ok()) {
            self.joint = Some((self.bytes.len(), hash));
        }
    }

    /// Takes the added line end away again, if it is still the last byte, of the very line it was added to.
    fn finish(mut self) -> Vec<u8> {
        if let Some((at, noted)) = self.joint
            && at == self.bytes.len()
            && self.bytes.ends_with(b"\n")
        {
            self.bytes.pop();
            if hash(last_line(&self.bytes)) != noted {
                self.bytes.push(b'\n');
            }
        }
        self.bytes
    }
}

fn last_line(text: &[u8]) -> &[u8] {
    text.rsplit(|&b| b == b'\n').next().unwrap_or_default()
}

/// FNV-1a: tells whether a line is still the one it was; nothing secret hangs on it.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193))
}
