//! How far a log was given out, to be stored and come back to.
//!
//! More than one file of a log may be read at a time: the current one and renamed ones that still get late lines. The
//! place has a mark in each. On the way back the files are looked for under all their names, see [`Start::At`].
//!
//! The place is made from what is in memory. It may be older than what was given out last: then the lines since are
//! given out again, which is what makes a place that is committed together with what the lines led to exact.
//!
//! [`Start::At`]: crate::Start::At

use serde::{Deserialize, Serialize};

use crate::file::FileId;
use crate::journal::Reached;
use crate::witness::Witness;

/// How many marks a place has at most; the newest are kept. More files than this are held only in a back-log of
/// rotations, and there all but one have not been begun. 16 keep the text below 3 KiB.
const MAX_MARKS: usize = 16;

/// How far all files of one log were given out. Its JSON text is shorter than 4 KiB.
///
/// A text from a version that is not known does not deserialise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(Version);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
enum Version {
    #[serde(rename = "1")]
    V1 {
        /// Oldest file first.
        files: Vec<Mark>,
    },
    /// In the journal.
    #[serde(rename = "journal")]
    Journal(Reached),
}

/// How far one file was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    dev: u64,
    ino: u64,
    /// The end of the last line that was given out (in unpacked bytes if the file is packed).
    pub(crate) offset: u64,
    /// The hash of the first bytes.
    head: u64,
    /// The hash of the bytes before `offset`.
    tail: u64,
}

impl Place {
    /// A place with these marks, oldest file first.
    pub(crate) fn new(mut files: Vec<Mark>) -> Self {
        files.drain(..files.len().saturating_sub(MAX_MARKS));
        Self(Version::V1 { files })
    }

    /// A place in the journal.
    pub(crate) fn journal(reached: Reached) -> Self {
        Self(Version::Journal(reached))
    }

    /// Its marks, oldest file first; none if it is a place in the journal.
    pub(crate) fn marks(&self) -> &[Mark] {
        match &self.0 {
            Version::V1 { files } => files,
            Version::Journal(_) => &[],
        }
    }

    /// How far the journal was given out, if it is a place there.
    pub(crate) fn reached(&self) -> Option<&Reached> {
        match &self.0 {
            Version::V1 { .. } => None,
            Version::Journal(reached) => Some(reached),
        }
    }
}

impl Default for Place {
    /// The place before the first line of a log that was never read.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Mark {
    pub(crate) fn new(id: FileId, offset: u64, witness: &Witness) -> Self {
        let (head, tail) = witness.hashes();
        Self { dev: id.dev, ino: id.ino, offset, head, tail }
    }

    /// The file's identity when the mark was made.
    pub(crate) fn id(&self) -> FileId {
        FileId { dev: self.dev, ino: self.ino }
    }

    /// Whether `witness` has the marked head, all of which must lie before its position.
    pub(crate) fn has_head_of(&self, witness: &Witness) -> bool {
        self.head == witness.hashes().0
    }

    /// Whether `witness` is of the marked bytes at the marked position.
    pub(crate) fn is_of(&self, witness: &Witness) -> bool {
        (self.head, self.tail) == witness.hashes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_is_short_enough_for_the_ledger() {
        let id = FileId { dev: u64::MAX, ino: u64::MAX };
        let mark =
            Mark { head: u64::MAX, tail: u64::MAX, ..Mark::new(id, u64::MAX, &Witness::default()) };
        let place = Place::new(vec![mark; 100]);
        let text = serde_json::to_string(&place).unwrap();
        assert!(text.len() < 3 << 10, "{}", text.len());
        assert_eq!(serde_json::from_str::<Place>(&text).unwrap(), place);

        let cursor = |n: usize| format!("s={n:032x};i={:x};b={n:032x};m=1;t=1;x=1", u64::MAX);
        let mut reached = Reached::first(cursor(0));
        (1..100).for_each(|n| reached.advance(cursor(n)));
        let text = serde_json::to_string(&Place::journal(reached)).unwrap();
        assert!(text.len() < 3 << 10, "{}", text.len());
    }

    #[test]
    fn the_text_says_its_version() {
        let text = serde_json::to_string(&Place::default()).unwrap();
        assert_eq!(text, r#"{"version":"1","files":[]}"#);
        assert!(serde_json::from_str::<Place>(&text.replace('1', "2")).is_err());
        let journal = Place::journal(Reached::first("s=1;i=2".to_owned()));
        let text = serde_json::to_string(&journal).unwrap();
        assert_eq!(text, r#"{"version":"journal","cursor":"s=1;i=2","sources":[["1",2]]}"#);
        assert_eq!(serde_json::from_str::<Place>(&text).unwrap(), journal);
    }
}
