//! The bytes by which a file is known again: its first ones, and the last ones before a position.
//!
//! Device and inode do not tell which file it is: ext4 gives an inode to the next file at once, a truncated file keeps
//! its own, a copy has another. The head of a log holds a time stamp, so it is one file's; the tail also tells a file
//! that was cut and has grown past the position from one that was only appended to. Both have fixed lengths for a
//! position, so they need none stored.
//!
//! What an attacker could try: FNV-1a is no cryptographic hash, it only has to tell files apart that differ by
//! accident. Who can write the log can make what lines he likes anyway.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How many bytes of the head are looked at.
const HEAD: usize = 256;

/// How many bytes before the position are looked at.
const TAIL: usize = 64;

/// The first 256 bytes and the last 64 before a position; fewer only if there are no more before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Witness {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Witness {
    /// Goes on to the position after `bytes`.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        let missing = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        let new = &bytes[bytes.len().saturating_sub(TAIL)..];
        let kept = self.tail.len().min(TAIL - new.len());
        self.tail.drain(..self.tail.len() - kept);
        self.tail.extend_from_slice(new);
    }

    /// That of `file` at `offset`; `None` if the file is shorter.
    pub(crate) fn of(file: &File, offset: u64) -> io::Result<Option<Self>> {
        let length = |limit: usize| limit.min(usize::try_from(offset).unwrap_or(limit));
        let (mut head, mut tail) = (vec![0; length(HEAD)], vec![0; length(TAIL)]);
        let from = offset - tail.len() as u64;
        // The tail first: most files that are not the same are shorter.
        match file.read_exact_at(&mut tail, from).and_then(|()| file.read_exact_at(&mut head, 0)) {
            Ok(()) => Ok(Some(Self { head, tail })),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The hashes of head and tail.
    pub(crate) fn hashes(&self) -> (u64, u64) {
        (fnv1a(&self.head), fnv1a(&self.tail))
    }
}

/// FNV-1a, 64 bits: a stored place must mean the same to the next version and on the next machine.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hash_is_the_one_of_the_books() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn passing_bytes_and_reading_the_file_agree(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..150), 0..6),
        ) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&pieces.concat()).unwrap();
            let (mut witness, mut offset) = (Witness::default(), 0);
            for piece in pieces {
                witness.pass(&piece);
                offset += piece.len() as u64;
                assert_eq!(Witness::of(&file, offset).unwrap().as_ref(), Some(&witness));
            }
            assert_eq!(Witness::of(&file, offset + 1).unwrap(), None);
        }
    }
}
