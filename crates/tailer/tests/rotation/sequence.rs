//! Any sequence of writing, rotating, packing, stopping and coming back: every line comes once and in order.
//!
//! What no reader could give is left out: nothing is removed that holds lines that were not read, or the last line that
//! was (it is by that file that the newer ones are known); and one writer writes, so that late lines come to a renamed
//! file before the first ones to its successor, and before it is packed. Late lines to a file that was never looked at
//! before and was empty then come with the first line of its successor, and are left out too.

use std::fs::{self, OpenOptions};
use std::io::Write;

use proptest::prelude::*;
use tailer::{Follower, Place, Start, Step};

use crate::rig::{Folder, Naming, Taking, read};

#[derive(Clone, Debug)]
enum Deed {
    Append(usize),
    Rotate(Taking),
    /// Lines to the file that was renamed last.
    Late(usize),
    Pack(usize),
    /// Removes the rotated files that nobody needs.
    RemoveOldest,
    /// One block.
    Step,
    /// All there is.
    Poll,
    /// Stops, and comes back at the place of now.
    Stop,
    /// Is killed, and comes back at the place that was stored before.
    Kill,
}

fn a_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (1..4_usize).prop_map(Deed::Append),
        1 => (10_000..50_000_usize).prop_map(Deed::Append),
        2 => Just(Deed::Rotate(Taking::Rename)),
        2 => Just(Deed::Rotate(Taking::Copytruncate)),
        1 => (1..4_usize).prop_map(Deed::Late),
        2 => (1..4_usize).prop_map(Deed::Pack),
        1 => Just(Deed::RemoveOldest),
        3 => Just(Deed::Step),
        3 => Just(Deed::Poll),
        2 => Just(Deed::Stop),
        1 => Just(Deed::Kill),
    ]
}

struct Run {
    folder: Folder,
    follower: Follower,
    /// Each line that was written: how many rotations there had been.
    lines: Vec<usize>,
    /// How many lines were read.
    read: usize,
    /// The place that was stored, and how many lines had been read then.
    stored: (Place, usize),
    rotations: usize,
    /// The last rotation was a renaming, and nothing was written since.
    may_be_late: bool,
}

impl Run {
    fn new(naming: Naming) -> Self {
        let folder = Folder::new(naming);
        let follower = folder.follow(Start::Beginning);
        let stored = (Place::default(), 0);
        let mut run = Self {
            folder,
            follower,
            lines: Vec::new(),
            read: 0,
            stored,
            rotations: 0,
            may_be_late: false,
        };
        // By the first line the newer ones are known.
        [Deed::Append(1), Deed::Poll, Deed::Stop].iter().for_each(|deed| run.run(deed));
        run
    }

    fn run(&mut self, deed: &Deed) {
        match deed {
            Deed::Append(n) => {
                let text = self.next(*n);
                self.folder.put(&text);
                self.may_be_late = false;
            }
            Deed::Rotate(taking) => {
                self.folder.put("");
                self.folder.rotate(*taking);
                self.rotations += 1;
                self.may_be_late = *taking == Taking::Rename;
            }
            Deed::Late(n) => {
                let renamed = self.folder.rotated(1);
                // One that is empty may be a copy that is only being begun, as far as a reader can tell.
                let has_lines = fs::metadata(&renamed).is_ok_and(|file| file.len() > 0);
                if self.may_be_late && has_lines {
                    // They belong to the file as it was before the rotation.
                    self.rotations -= 1;
                    let text = self.next(*n);
                    self.rotations += 1;
                    let mut file = OpenOptions::new().append(true).open(renamed).unwrap();
                    file.write_all(text.as_bytes()).unwrap();
                }
            }
            Deed::Pack(age) => {
                if self.folder.rotated(*age).exists() {
                    self.folder.pack(*age);
                }
            }
            Deed::RemoveOldest => {
                let needed = self.rotations - self.lines[self.stored.1 - 1];
                self.folder.remove_older(needed);
            }
            Deed::Step => {
                let text = match self.follower.step() {
                    Step::Lines { bytes, .. } => String::from_utf8(bytes.to_vec()).unwrap(),
                    Step::CaughtUp | Step::Missing => String::new(),
                    other => panic!("{other:?}"),
                };
                self.check(&text);
            }
            Deed::Poll => {
                // With no log there, what came and went is looked for only when there is one again.
                self.folder.put("");
                let text = read(&mut self.follower);
                self.check(&text);
                assert_eq!(self.read, self.lines.len(), "lines are missing");
            }
            Deed::Stop => {
                self.stored = (self.follower.place(), self.read);
                self.come_back();
            }
            Deed::Kill => self.come_back(),
        }
    }

    /// The next lines to be written.
    fn next(&mut self, n: usize) -> String {
        let from = self.lines.len();
        self.lines.resize(from + n, self.rotations);
        (from..from + n).map(line).collect()
    }

    fn check(&mut self, text: &str) {
        for found in text.split_inclusive('\n') {
            assert_eq!(found, line(self.read));
            self.read += 1;
        }
    }

    fn come_back(&mut self) {
        self.follower = self.folder.resume(&self.stored.0);
        self.read = self.stored.1;
    }
}

fn line(n: usize) -> String {
    format!("line {n}\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn every_line_comes_once_and_in_order(
        dates in any::<bool>(),
        deeds in proptest::collection::vec(a_deed(), 0..40),
    ) {
        let mut run = Run::new(if dates { Naming::Dates } else { Naming::Numbers });
        deeds.iter().for_each(|deed| run.run(deed));
        run.run(&Deed::Poll);
        run.run(&Deed::Kill);
        run.run(&Deed::Poll);
    }
}
