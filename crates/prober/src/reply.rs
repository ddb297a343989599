//! An SMTP reply (RFC 5321, section 4.2): `250-text` lines, ended by one with a blank after its code.
//!
//! The other side may send anything: no end of lines, no end of a line, NUL bytes, no reply at all. What is kept is
//! bounded, and where the bounds are passed it is an answer without end.

use crate::printable::printable;

/// The longest reply taken, in bytes, and the most lines of it. An EHLO has a dozen lines.
const MAX_BYTES: usize = 16 * 1024;
const MAX_LINES: usize = 100;

/// What is shown of one line, in bytes.
pub(crate) const SHOWN: usize = 300;

/// A whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// 200 to 599.
    pub(crate) code: u16,
    /// The texts of the lines after code and sign, printable; never empty.
    pub(crate) lines: Vec<String>,
}

/// Why it is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The first line that is none of a reply's, printable.
    NotSmtp(String),
    /// More than anybody has to say.
    Endless,
}

impl Reply {
    /// The reply at the beginning of the bytes, and how many bytes it takes; `None` while its end has not come.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Flaw> {
        let mut lines = Vec::new();
        let mut start = 0;
        while let Some(length) = bytes.iter().skip(start).position(|&b| b == b'\n') {
            let line = bytes.get(start..start + length).unwrap_or_default();
            start += length + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let (code, last, text) =
                part(line).ok_or_else(|| Flaw::NotSmtp(printable(line, SHOWN)))?;
            lines.push(printable(text, SHOWN));
            if last {
                return Ok(Some((Self { code, lines }, start)));
            }
            if lines.len() >= MAX_LINES {
                return Err(Flaw::Endless);
            }
        }
        if bytes.len() > MAX_BYTES { Err(Flaw::Endless) } else { Ok(None) }
    }

    /// 2 of 250.
    pub(crate) fn class(&self) -> u16 {
        self.code / 100
    }

    /// As one line: `454 4.7.0 TLS not available`.
    pub(crate) fn text(&self) -> String {
        let first = self.lines.first().map_or("", String::as_str);
        printable(format!("{} {first}", self.code).trim_end().as_bytes(), SHOWN)
    }
}

/// Code, whether it is the last line, and text.
fn part(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    if !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let (last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    (200..600).contains(&code).then_some((code, last, text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<(u16, String, usize)>, Flaw> {
        let read = Reply::read(bytes)?;
        Ok(read.map(|(reply, taken)| (reply.code, reply.lines.join("|"), taken)))
    }

    #[test]
    fn replies() {
        let whole = |text: &str, code, lines: &str, taken| {
            let expect = Ok(Some((code, lines.to_owned(), taken)));
            assert_eq!(read(text.as_bytes()), expect, "{text:?}");
        };
        whole("220 ready\r\n", 220, "ready", 11);
        whole("250-mx\r\n250-STARTTLS\r\n250 HELP\r\nmore", 250, "mx|STARTTLS|HELP", 32);
        whole("220\n", 220, "", 4);
        whole("250 a\0b\x1b\r\n", 250, "a\\x00b\\x1b", 10);
        for part in ["", "220", "220 ready", "250-a\r\n", "250-a\r\n250 b\r"] {
            assert_eq!(read(part.as_bytes()), Ok(None), "{part:?}");
        }
        for bad in ["SSH-2.0-x\n", "\n", "22\n", "220_x\n", "199 x\n", "600 x\n", "2 0 x\n"] {
            assert!(matches!(read(bad.as_bytes()), Err(Flaw::NotSmtp(_))), "{bad:?}");
        }
    }

    #[test]
    fn without_end() {
        assert_eq!(read(&b"x".repeat(MAX_BYTES)), Ok(None));
        assert_eq!(read(&b"x".repeat(MAX_BYTES + 1)), Err(Flaw::Endless));
        assert_eq!(read(&b"250-x\n".repeat(MAX_LINES - 1)), Ok(None));
        assert_eq!(read(&b"250-x\n".repeat(MAX_LINES)), Err(Flaw::Endless));
    }

    proptest! {
        #[test]
        fn in_parts_as_in_one(bytes in "(2[0-9]{2}[- ][a-z\\x00\\xff]{0,6}\r?\n){0,5}", cut in 0usize..60) {
            let bytes = bytes.as_bytes();
            let whole = read(bytes);
            let part = read(bytes.get(..cut.min(bytes.len())).unwrap_or_default());
            // What was an answer stays the same answer, whatever comes after it.
            if let Ok(Some(_)) | Err(_) = part {
                prop_assert_eq!(part, whole);
            }
        }
    }
}
