//! A short sign by which a text is known again, after a restart too.
//!
//! Its length and FNV-1a over 64 bits: the same on every host and in every release. It tells texts apart that people
//! and programs write; who would forge one can write the text itself.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use access::block;

use crate::live::open_plain;

/// A text's length and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    length: u64,
    hash: u64,
}

/// The text is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no digest of a text")]
pub struct NoDigest;

impl Digest {
    /// Of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::NOTHING.and(bytes)
    }

    /// Of a file as it is now.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = open_plain(path)?;
        let mut buffer = vec![0; 64 * 1024];
        let mut digest = Self::NOTHING;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(digest),
                read => digest = digest.and(buffer.get(..read).unwrap_or_default()),
            }
        }
    }

    /// Of what a text says besides our block. Empty lines and the last line's end do not count: editors add and drop
    /// them as they like.
    pub(crate) fn of_rest(text: &[u8]) -> Self {
        let lines = block::foreign_lines(text).map(|line| line.strip_suffix(b"\n").unwrap_or(line));
        let lines = lines.filter(|line| !line.is_empty());
        lines.fold(Self::NOTHING, |digest, line| digest.and(line).and(b"\n"))
    }

    /// Whether it is that of the first bytes of these.
    pub(crate) fn begins(&self, bytes: &[u8]) -> bool {
        let head = usize::try_from(self.length).ok().and_then(|length| bytes.get(..length));
        head.is_some_and(|head| Self::of(head) == *self)
    }

    /// How many bytes it is of.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    const NOTHING: Self = Self { length: 0, hash: 0xcbf2_9ce4_8422_2325 };

    fn and(self, bytes: &[u8]) -> Self {
        let step = |hash: u64, &b: &u8| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        let hash = bytes.iter().fold(self.hash, step);
        Self { length: self.length + bytes.len() as u64, hash }
    }
}

impl fmt::Display for Digest {
    /// Two numbers in hexadecimal, `1f4-cbf29ce484222325`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:016x}", self.length, self.hash)
    }
}

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let (length, hash) = text.split_once('-').ok_or(NoDigest)?;
        let number = |text| u64::from_str_radix(text, 16).map_err(|_| NoDigest);
        Ok(Self { length: number(length)?, hash: number(hash)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_for_ever() {
        assert_eq!(Digest::of(b"").to_string(), "0-cbf29ce484222325");
        // from the page of FNV's authors
        assert_eq!(Digest::of(b"foobar").to_string(), "6-85944171f73967e8");
        assert_eq!("6-85944171f73967e8".parse(), Ok(Digest::of(b"foobar")));
        for text in ["", "6", "6-", "x-0", "6-85944171f73967e8x", "-"] {
            assert_eq!(text.parse::<Digest>(), Err(NoDigest), "{text}");
        }
    }

    #[test]
    fn it_knows_a_beginning() {
        let digest = Digest::of(b"abc");
        assert!(digest.begins(b"abc") && digest.begins(b"abcd"));
        assert!(!digest.begins(b"ab") && !digest.begins(b"abd"));
    }

    #[test]
    fn the_rest_is_what_the_admin_wrote() {
        let block = "# BEGIN trytlsd: x\n# END trytlsd\n";
        let rest = |text: &str| Digest::of_rest(text.as_bytes());
        let same = |a: &str, b: &str| assert_eq!(rest(a), rest(b), "{a:?} {b:?}");
        same("a b\nc d\n", &format!("a b\n{block}c d\n"));
        same("a b\nc d", &format!("a b\nc d\n\n{block}"));
        same("", block);
        assert_ne!(rest("a b\nc d\n"), rest("a b\nc d e\n"));
        assert_ne!(rest("a b\nc d\n"), rest("c d\na b\n"));
        assert_ne!(rest("ab\nc\n"), rest("a\nbc\n"));
    }
}
