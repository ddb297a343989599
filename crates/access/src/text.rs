//! The access file's text, read as makemap reads it.
//!
//! makemap takes up to 1,023 bytes at a time, line end included. `#` is a comment sign only in the first column; an
//! empty line is nothing; the key ends at the first ASCII white space (carriage return, form feed and vertical tab
//! count), the value is all that comes after the white space, to the last byte. There are no quotes, no comments
//! behind a value, no continuation lines. A bad line is passed over, the rest is still written, and makemap ends with
//! 65. Read in makemap's source and measured on sendmail 8.17.1; a test of `map-store` compares this parser with the
//! real program on random text.
//!
//! An attacker who could write lines here would not need us; the text is the admin's. But it may be in any state:
//! Latin-1, NULs, no line end at the end, a byte order mark (which becomes part of the first key).

/// Bytes that makemap reads at a time at most, line end included (its buffer of 1,024 less the final NUL).
pub const MAX_RECORD: usize = 1023;

/// A piece of the text that makemap treats as one line: a line, or a piece of one that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The line of the file it stands in, from 1. (makemap counts the pieces of a long line as lines of their own.)
    pub line_no: usize,
    /// Its bytes, without the line end.
    pub raw: &'a [u8],
    /// What makemap makes of it.
    pub kind: Kind<'a>,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// An empty line.
    Blank,
    /// A line with `#` in its first column.
    Comment,
    /// A key and its value, neither of them empty.
    Entry {
        /// As written, not folded.
        key: &'a [u8],
        /// All bytes after the white space: trailing blanks, a carriage return and what was meant as a comment too.
        value: &'a [u8],
    },
    /// makemap passes it over and ends with 65.
    Bad(Fault),
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// A blank in the first column.
    #[error("it begins with a blank")]
    LeadingBlank,
    /// A key without a value.
    #[error("it has a key and no value")]
    NoValue,
    /// More than [`MAX_RECORD`] bytes; makemap reads the rest as a further line.
    #[error("it is longer than 1,022 bytes (the rest of it is read as a further line)")]
    TooLong,
    /// A NUL byte.
    #[error("it holds a NUL byte")]
    Nul,
}

/// The text's records, in order.
pub fn records(text: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = text;
    let mut line_no = 1;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let window = rest.get(..MAX_RECORD).unwrap_or(rest);
        let end = window.iter().position(|&b| b == b'\n');
        let (raw, used) = end.map_or((window, window.len()), |at| (window.split_at(at).0, at + 1));
        let whole = end.is_some() || raw.len() < MAX_RECORD;
        let kind = if whole { kind(raw, end.is_some()) } else { Kind::Bad(Fault::TooLong) };
        let record = Record { line_no, raw, kind };
        rest = rest.split_at(used).1;
        line_no += usize::from(end.is_some());
        Some(record)
    })
}

/// Reads one record that is not too long.
fn kind(raw: &[u8], ended: bool) -> Kind<'_> {
    let raw = match raw.iter().position(|&b| b == 0) {
        // makemap looks for the line end as in a C string; only at the end of the file it takes what it has.
        Some(_) if ended => return Kind::Bad(Fault::Nul),
        Some(at) => raw.split_at(at).0,
        None => raw,
    };
    match raw.first() {
        None => return Kind::Blank,
        Some(b'#') => return Kind::Comment,
        Some(&b) if is_space(b) => return Kind::Bad(Fault::LeadingBlank),
        Some(_) => {}
    }
    let (key, rest) = raw.split_at(raw.iter().position(|&b| is_space(b)).unwrap_or(raw.len()));
    let value = rest.split_at(rest.iter().position(|&b| !is_space(b)).unwrap_or(rest.len())).1;
    if value.is_empty() { Kind::Bad(Fault::NoValue) } else { Kind::Entry { key, value } }
}

/// White space as C's `isspace` has it.
pub(crate) fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &[u8]) -> String {
        let one = |record: Record<'_>| match record.kind {
            Kind::Blank => format!("{} blank", record.line_no),
            Kind::Comment => format!("{} comment", record.line_no),
            Kind::Bad(fault) => format!("{} {fault:?}", record.line_no),
            Kind::Entry { key, value } => {
                format!("{} {}={}", record.line_no, key.escape_ascii(), value.escape_ascii())
            }
        };
        records(text).map(one).collect::<Vec<_>>().join("; ")
    }

    /// Each row was put to makemap 8.17.1.
    #[test]
    fn reads_lines_as_makemap_does() {
        let check = |text: &[u8], expect: &str| assert_eq!(show(text), expect);
        check(b"", "");
        check(b"a\tb\n", "1 a=b");
        check(b"a b", "1 a=b");
        check(b"a\n", "1 NoValue");
        check(b"a  \t\n", "1 NoValue");
        check(b"\n\n#x\n #y\n  \n", "1 blank; 2 blank; 3 comment; 4 LeadingBlank; 5 LeadingBlank");
        check(b"\r\na\tb\r\n", "1 LeadingBlank; 2 a=b\\r");
        check(b"y\t\r\n", "1 NoValue");
        check(b"a\rb\tc\nq\x0cr\n", "1 a=b\\tc; 2 q=r");
        check(b"\x0bq\tz\n", "1 LeadingBlank");
        check(b"Try_TLS:h NO # why \n", "1 Try_TLS:h=NO # why ");
        check(b"\xef\xbb\xbf# x\n\xef\xbb\xbfk v\n", "1 \\xef\\xbb\\xbf#=x; 2 \\xef\\xbb\\xbfk=v");
        check(b"\xc0key\xa0z v\n", "1 \\xc0key\\xa0z=v");
        check(b"k\0v x\ty\nz\tw\n", "1 Nul; 2 z=w");
        check(b"last z\0x y", "1 last=z");
        check(b"last\0x y", "1 NoValue");
        check(b"\0x y", "1 blank");
    }

    #[test]
    fn a_long_line_is_an_error_and_its_tail_a_line() {
        let of = |length: usize, end: &str| {
            let text = format!("{}\tv{end}z\tw\n", "k".repeat(length - 2));
            let kinds: Vec<_> = records(text.as_bytes())
                .map(|r| match r.kind {
                    Kind::Entry { key, value } => format!("{}+{}", key.len(), value.len()),
                    other => format!("{other:?}"),
                })
                .collect();
            kinds.join(" ")
        };
        assert_eq!(of(1022, "\n"), "1020+1 1+1");
        assert_eq!(of(1023, "\n"), "Bad(TooLong) Blank 1+1");
        assert_eq!(of(1100, "\n"), "Bad(TooLong) 75+1 1+1");
        // without a line end at the end of the file: 1,022 bytes are fine, 1,023 are not
        let kinds = |n: usize| {
            let text = format!("{}\tv", "k".repeat(n - 2));
            records(text.as_bytes()).map(|r| matches!(r.kind, Kind::Bad(_))).collect::<Vec<_>>()
        };
        assert_eq!(kinds(1022), [false]);
        assert_eq!(kinds(1023), [true]);
        // a comment is no exception
        let text = format!("#{}\n", "k".repeat(1100));
        let found: Vec<_> = records(text.as_bytes()).map(|r| (r.line_no, r.kind)).collect();
        assert_eq!(found, [(1, Kind::Bad(Fault::TooLong)), (1, Kind::Bad(Fault::NoValue))]);
    }
}
