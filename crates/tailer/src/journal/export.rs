//! The journal's export format, as it comes from a pipe: entries of fields, an empty line after each.
//!
//! A field is `NAME=value` in a line, or, where the value is no plain text, `NAME` in a line, its length in 8 bytes (little
//! endian), the value, a newline. So bytes that are no UTF-8 and line breaks within a value come as they are, which JSON
//! would not give. Format: <https://systemd.io/JOURNAL_EXPORT_FORMATS/>.
//!
//! What an attacker could try: values without end (passed over, whatever length they say that they have: the memory is
//! bounded by [`LONGEST`]); a field twice, by the journal's native protocol (the entry is told as flawed: which of the two
//! is meant nobody knows); field names of others (only those that are looked at are kept).

use memchr::memchr;

use crate::lines::MAX_LINE;

/// Bytes of a value that is kept, at most. No field that is looked at is longer, but for a message that is none of
/// sendmail's.
const LONGEST: usize = MAX_LINE;

/// The fields that are looked at, in the order of [`Entry::fields`].
const NAMES: [&[u8]; FIELDS] = [
    b"__CURSOR",
    b"__REALTIME_TIMESTAMP",
    b"_SOURCE_REALTIME_TIMESTAMP",
    b"_TRANSPORT",
    b"_UID",
    b"_EXE",
    b"_PID",
    b"_HOSTNAME",
    b"SYSLOG_IDENTIFIER",
    b"MESSAGE",
];
const FIELDS: usize = 10;

/// One of the fields that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Cursor,
    Realtime,
    SourceRealtime,
    Transport,
    Uid,
    Exe,
    Pid,
    Hostname,
    Identifier,
    Message,
}

/// An entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    fields: [Option<Vec<u8>>; FIELDS],
    /// A field that is looked at stands there twice, or is too long.
    pub(crate) flawed: bool,
}

impl Entry {
    /// The value of a field.
    pub(crate) fn get(&self, field: Field) -> Option<&[u8]> {
        self.fields.get(field as usize)?.as_deref()
    }

    /// The same as a number: digits alone, as journald writes it, and no sign.
    pub(crate) fn number<T: std::str::FromStr>(&self, field: Field) -> Option<T> {
        let digits = self.get(field).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn put(&mut self, name: &[u8], value: Option<&[u8]>) {
        let Some(at) = NAMES.iter().position(|known| *known == name) else { return };
        let Some(slot) = self.fields.get_mut(at) else { return };
        match value {
            Some(value) if slot.is_none() => *slot = Some(value.to_vec()),
            _ => self.flawed = true,
        }
    }

    fn is_empty(&self) -> bool {
        self.fields.iter().all(Option::is_none) && !self.flawed
    }
}

/// Takes bytes as they come, and gives entries.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// What is not taken apart yet.
    rest: Vec<u8>,
    entry: Entry,
    /// Bytes of a value that are still to be passed over, its newline included.
    skip: u64,
    /// Within a line that is too long: to be passed over up to its end.
    skip_line: bool,
}

/// What stands at the beginning of some bytes.
enum Found<'a> {
    /// An entry ends; so many bytes.
    End(usize),
    /// A field; so many bytes.
    Field(&'a [u8], &'a [u8], usize),
    /// A field whose value is too long: its name, so many bytes, and so many to pass over besides.
    Long(&'a [u8], usize, u64),
    /// A line that is too long, so far.
    LongLine(&'a [u8]),
    /// A part of something.
    Part,
}

impl Parser {
    /// Takes more bytes; `give` gets each entry that ends in them.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut give: impl FnMut(Entry)) {
        bytes = self.pass_over(bytes);
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let mut left = rest.as_slice();
        loop {
            left = self.pass_over(left);
            let taken = match find(left) {
                Found::End(taken) => {
                    let entry = std::mem::take(&mut self.entry);
                    if !entry.is_empty() {
                        give(entry);
                    }
                    taken
                }
                Found::Field(name, value, taken) => {
                    self.entry.put(name, Some(value));
                    taken
                }
                Found::Long(name, taken, skip) => {
                    self.entry.put(name, None);
                    self.skip = skip;
                    taken
                }
                Found::LongLine(name) => {
                    self.entry.put(name, None);
                    self.skip_line = true;
                    left.len()
                }
                Found::Part => break,
            };
            left = left.get(taken..).unwrap_or_default();
        }
        self.rest = left.to_vec();
    }

    /// Passes over what is too long; what is left of the bytes.
    fn pass_over<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut from = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= from as u64;
        if self.skip_line {
            from = match memchr(b'\n', bytes) {
                Some(newline) => {
                    self.skip_line = false;
                    newline + 1
                }
                None => bytes.len(),
            };
        }
        bytes.get(from..).unwrap_or_default()
    }
}

fn find(bytes: &[u8]) -> Found<'_> {
    let Some(newline) = memchr(b'\n', bytes) else {
        return match memchr(b'=', bytes) {
            _ if bytes.len() <= LONGEST => Found::Part,
            Some(equals) => Found::LongLine(bytes.get(..equals).unwrap_or_default()),
            None => Found::LongLine(b""),
        };
    };
    let (line, after) = bytes.split_at(newline + 1);
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.is_empty() {
        return Found::End(1);
    }
    if let Some(equals) = memchr(b'=', line) {
        let (name, value) = line.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        return match value.len() <= LONGEST {
            true => Found::Field(name, value, newline + 1),
            false => Found::Long(name, newline + 1, 0),
        };
    }
    let Some((length, after)) = after.split_first_chunk::<8>() else { return Found::Part };
    let length = u64::from_le_bytes(*length);
    let head = newline + 1 + 8;
    match usize::try_from(length) {
        Ok(length) if length <= LONGEST => match after.get(..=length) {
            Some(value) => {
                Found::Field(line, value.get(..length).unwrap_or_default(), head + length + 1)
            }
            None => Found::Part,
        },
        _ => Found::Long(line, head, length.saturating_add(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(bytes: &[u8], step: usize) -> Vec<Entry> {
        let (mut parser, mut found) = (Parser::default(), Vec::new());
        for chunk in bytes.chunks(step) {
            parser.feed(chunk, |entry| found.push(entry));
            assert!(parser.rest.len() <= 2 * LONGEST, "bounded");
        }
        found
    }

    fn binary(name: &str, value: &[u8]) -> Vec<u8> {
        let length = (value.len() as u64).to_le_bytes();
        [name.as_bytes(), b"\n", &length, value, b"\n"].concat()
    }

    /// However the pipe cuts it.
    #[test]
    fn text_binary_and_what_is_passed_over() {
        let long = vec![b'x'; LONGEST + 1];
        let bytes = [
            b"__CURSOR=s=1;i=1\n_UID=0\nOTHER=x=y\nMESSAGE=a = b\n\n".to_vec(),
            b"__CURSOR=s=1;i=2\n".to_vec(),
            binary("MESSAGE", b"caf\xe9\n\n__CURSOR=forged\n"),
            binary("UNKNOWN", &long),
            b"_PID=7\n\n".to_vec(),
            b"__CURSOR=s=1;i=3\nMESSAGE=".to_vec(),
            long.clone(),
            b"\n\n__CURSOR=s=1;i=4\n".to_vec(),
            binary("MESSAGE", &long),
            b"\n\n\n__CURSOR=s=1;i=5\nMESSAGE=one\nMESSAGE=two\n\n__CURSOR=half\n".to_vec(),
        ]
        .concat();
        for step in [1, 7, 4096, bytes.len()] {
            let found = entries(&bytes, step);
            let cursors: Vec<_> = found.iter().map(|e| e.get(Field::Cursor).unwrap()).collect();
            let expect: [&[u8]; 5] = [b"s=1;i=1", b"s=1;i=2", b"s=1;i=3", b"s=1;i=4", b"s=1;i=5"];
            assert_eq!(cursors, expect, "{step}");
            assert_eq!(found[0].get(Field::Message), Some(&b"a = b"[..]));
            assert_eq!(found[0].number::<u32>(Field::Uid), Some(0));
            assert_eq!(found[1].get(Field::Message), Some(&b"caf\xe9\n\n__CURSOR=forged\n"[..]));
            assert_eq!(found[1].number::<u32>(Field::Pid), Some(7));
            assert_eq!(found[2].get(Field::Message), None);
            let flawed: Vec<bool> = found.iter().map(|entry| entry.flawed).collect();
            assert_eq!(flawed, [false, false, true, true, true], "{step}");
        }
    }

    #[test]
    fn a_length_without_end_costs_no_memory() {
        let bytes = [b"MESSAGE\n".to_vec(), u64::MAX.to_le_bytes().to_vec(), vec![b'x'; 1 << 20]];
        assert!(entries(&bytes.concat(), 4096).is_empty());
    }
}
