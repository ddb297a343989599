//! Bytes as they are read, given out in blocks of whole lines.
//!
//! The buffer has a fixed size: one read ([`READ`]) behind what is left of the line before it ([`MAX_LINE`]). Only that
//! rest is ever copied. Lines are not looked at one by one: a block's last newline is searched from its end, and a
//! newline in every window of `MAX_LINE + 1` bytes proves that no line in it is over-long.
//!
//! What an attacker could try: a line without end. It is skipped and counted, and costs no more memory than others.

use std::io::{self, Read};

use memchr::{memchr, memrchr};

use crate::witness::Witness;

/// The longest line that is given out, in bytes, its newline not counted. Longer ones are skipped and counted.
///
/// syslogd writes at most 8 KiB (rsyslog's default); sendmail cuts its own far below.
pub const MAX_LINE: usize = 64 * 1024;

/// How much one read asks for, in bytes. Measured on 1 GB in interleaved runs of a whole scan: 128 and 256 KiB alike, 64 KiB
/// 3 % more CPU, 32 KiB 8 % more.
const READ: usize = 256 * 1024;

/// Whole lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// One or more whole lines, each with its newline; the last line of a finished file may have none.
    pub bytes: &'a [u8],
    /// Where the first byte stands in the file, counted from 0 (in unpacked bytes if the file is compressed).
    pub offset: u64,
}

impl Block<'_> {
    /// Where the byte after the last one stands in the file.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// The buffer between a reader and its lines.
///
/// [`fill`](Self::fill) it, then [`take`](Self::take) until there is no block left, and so on.
#[derive(Debug)]
pub struct Lines {
    buf: Box<[u8]>,
    /// `buf[start..end]` was read and not yet given out; `buf[start..whole]` is a block.
    start: usize,
    whole: usize,
    end: usize,
    /// Where `buf[start]` stands in the file.
    offset: u64,
    /// The bytes before `offset`.
    witness: Witness,
    /// Within a line that is too long.
    skipping: bool,
    skipped: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Lines {
    /// An empty buffer for a file that is read from its beginning.
    pub fn new() -> Self {
        // Zeroed by the system: a page costs nothing until a read has reached it.
        let buf = vec![0; MAX_LINE + READ].into_boxed_slice();
        Self {
            buf,
            start: 0,
            whole: 0,
            end: 0,
            offset: 0,
            witness: Witness::default(),
            skipping: false,
            skipped: 0,
        }
    }

    /// Reads once from `from`, at most 256 KiB. 0 is the end of what there is.
    ///
    /// A block that was not taken stays; while one is [`ready`](Self::ready), nothing is read and the result is its length.
    ///
    /// # Errors
    /// Those of `from`, except that an interrupted read is repeated. What was read before stays.
    pub fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        if self.ready() {
            return Ok(self.whole - self.start);
        }
        if self.buf.len() - self.end < READ {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            self.whole = 0;
        }
        loop {
            match from.read(&mut self.buf[self.end..self.end + READ]) {
                Ok(n) => {
                    self.end += n;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Whether a block can be taken.
    pub fn ready(&mut self) -> bool {
        if self.whole == self.start {
            self.find();
        }
        self.whole > self.start
    }

    /// The next block of whole lines.
    pub fn take(&mut self) -> Option<Block<'_>> {
        if !self.ready() {
            return None;
        }
        let offset = self.offset;
        let bytes = &self.buf[self.start..self.whole];
        self.witness.pass(bytes);
        self.offset += bytes.len() as u64;
        self.start = self.whole;
        Some(Block { bytes, offset })
    }

    /// Declares that nothing comes after what was read: the rest is a line too, though without a newline.
    pub fn finish(&mut self) {
        if !self.ready() && !self.skipping {
            self.whole = self.end;
        }
    }

    /// Forgets what was read and not given out. What is read next stands at `offset`, after the bytes of `witness`.
    pub(crate) fn restart(&mut self, offset: u64, witness: Witness) {
        (self.start, self.whole, self.end) = (0, 0, 0);
        self.offset = offset;
        self.witness = witness;
        self.skipping = false;
    }

    /// Forgets what was read and not given out, for it is worth nothing. Nothing more may be read.
    pub(crate) fn forget(&mut self) {
        (self.whole, self.end) = (self.start, self.start);
        self.skipping = false;
    }

    /// The bytes before the next one to be given out.
    pub(crate) fn witness(&self) -> &Witness {
        &self.witness
    }

    /// The bytes before the next one to be read.
    pub(crate) fn read_witness(&self) -> Witness {
        let mut witness = self.witness.clone();
        witness.pass(&self.buf[self.start..self.end]);
        witness
    }

    /// Where the next byte to be given out stands in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the next byte to be read stands in the file.
    pub fn read_to(&self) -> u64 {
        self.offset + (self.end - self.start) as u64
    }

    /// How many lines were longer than [`MAX_LINE`] and therefore skipped.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Finds the longest block that begins at `start`, after any over-long line there.
    fn find(&mut self) {
        loop {
            if self.skipping && !self.skip() {
                return;
            }
            let rest = &self.buf[self.whole..self.end];
            let window = rest.len().min(MAX_LINE + 1);
            match memrchr(b'\n', &rest[..window]) {
                Some(newline) => {
                    self.whole += newline + 1;
                    if window == rest.len() {
                        return;
                    }
                }
                // A line that is too long begins at `whole`: first the block before it.
                None if window > MAX_LINE => {
                    if self.whole > self.start {
                        return;
                    }
                    self.skipping = true;
                    self.skipped += 1;
                }
                None => return,
            }
        }
    }

    /// Drops bytes up to the end of the over-long line; whether its end was found.
    fn skip(&mut self) -> bool {
        let held = &self.buf[self.start..self.end];
        let newline = memchr(b'\n', held);
        let dropped = newline.map_or(held.len(), |newline| newline + 1);
        self.witness.pass(&held[..dropped]);
        self.start += dropped;
        self.whole = self.start;
        self.offset += dropped as u64;
        self.skipping = newline.is_none();
        newline.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives its bytes in pieces of the given lengths.
    struct Pieces<'a> {
        bytes: &'a [u8],
        lengths: std::iter::Cycle<std::vec::IntoIter<usize>>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.lengths.next().unwrap_or(1).min(into.len()).min(self.bytes.len());
            let (now, later) = self.bytes.split_at(n);
            into[..n].copy_from_slice(now);
            self.bytes = later;
            Ok(n)
        }
    }

    /// All lines with their offsets, and how many were skipped.
    fn through_lines(bytes: &[u8], lengths: Vec<usize>) -> (Vec<(u64, Vec<u8>)>, u64) {
        let mut from = Pieces { bytes, lengths: lengths.into_iter().cycle() };
        let mut lines = Lines::new();
        let mut found = Vec::new();
        loop {
            let n = lines.fill(&mut from).unwrap();
            if n == 0 {
                lines.finish();
            }
            while let Some(block) = lines.take() {
                assert!(block.bytes.ends_with(b"\n") || n == 0);
                let mut offset = block.offset;
                for line in block.bytes.split_inclusive(|&b| b == b'\n') {
                    found.push((offset, line.to_vec()));
                    offset += line.len() as u64;
                }
                assert_eq!(block.end(), offset);
            }
            assert!(lines.end - lines.start <= MAX_LINE, "holds more than one line's worth");
            if n == 0 {
                assert_eq!(lines.offset(), bytes.len() as u64);
                return (found, lines.skipped());
            }
        }
    }

    fn plain_split(bytes: &[u8]) -> (Vec<(u64, Vec<u8>)>, u64) {
        let (mut found, mut skipped, mut offset) = (Vec::new(), 0, 0);
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            if line.strip_suffix(b"\n").unwrap_or(line).len() > MAX_LINE {
                skipped += 1;
            } else {
                found.push((offset, line.to_vec()));
            }
            offset += line.len() as u64;
        }
        (found, skipped)
    }

    fn check(bytes: &[u8], lengths: &[usize]) {
        let (found, skipped) = through_lines(bytes, lengths.to_vec());
        let (expect, expect_skipped) = plain_split(bytes);
        assert_eq!(skipped, expect_skipped, "skipped, read in {lengths:?}");
        assert!(found == expect, "other lines, read in {lengths:?}");
    }

    #[test]
    fn lines_at_the_limit_whatever_the_reads() {
        for length in [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, READ, READ + MAX_LINE, 3 * READ] {
            for end in [&b""[..], b"\n", b"\nnext\n", b"\nnext"] {
                for before in [&b""[..], b"before\n"] {
                    let bytes = [before, &vec![b'x'; length], end].concat();
                    for pieces in [1 << 30, READ - 1, MAX_LINE, MAX_LINE + 1, 4099] {
                        check(&bytes, &[pieces]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_half_line_waits_and_is_kept() {
        let mut lines = Lines::new();
        lines.fill(&mut &b"one\ntw"[..]).unwrap();
        assert_eq!(lines.take(), Some(Block { bytes: b"one\n", offset: 0 }));
        assert_eq!(lines.take(), None);
        lines.fill(&mut &b"o\n"[..]).unwrap();
        assert_eq!(lines.take(), Some(Block { bytes: b"two\n", offset: 4 }));
        assert_eq!(lines.read_to(), 8);
    }

    #[test]
    fn a_failed_read_loses_nothing() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no"))
            }
        }
        let mut lines = Lines::new();
        lines.fill(&mut &b"on"[..]).unwrap();
        assert!(lines.fill(&mut Fails).is_err());
        lines.fill(&mut &b"e\n"[..]).unwrap();
        assert_eq!(lines.take().map(|b| b.bytes.to_vec()), Some(b"one\n".to_vec()));
    }

    fn a_line() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            8 => proptest::collection::vec(any::<u8>(), 0..200),
            1 => (MAX_LINE - 2..MAX_LINE + 3).prop_map(|n| vec![b'x'; n]),
            1 => (1..3 * READ).prop_map(|n| vec![0; n]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_reads_give_the_lines_of_a_plain_split(
            lines in proptest::collection::vec(a_line(), 0..24),
            ends in any::<bool>(),
            lengths in proptest::collection::vec(
                prop_oneof![1..100_usize, 60_000..70_000_usize, 1..400_000_usize], 1..8),
        ) {
            let mut bytes = lines.join(&b'\n');
            if ends {
                bytes.push(b'\n');
            }
            check(&bytes, &lengths);
        }

        #[test]
        fn short_bytes_in_any_reads(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..60),
            lengths in proptest::collection::vec(1..9_usize, 1..8),
        ) {
            check(&bytes, &lengths);
        }
    }
}
