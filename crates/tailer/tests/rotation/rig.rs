//! A folder with a log in it, what a syslogd and a logrotate do there, and a follower that can be stopped.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tailer::{Follower, Loss, Place, Start, Step};
use tempfile::TempDir;

/// How rotated files are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// `mail.log.1` is the newest.
    Numbers,
    /// `mail.log-20260001` is the oldest: logrotate's `dateext`.
    Dates,
}

/// How the log is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    Rename,
    Copytruncate,
}

pub(crate) struct Folder {
    dir: TempDir,
    naming: Naming,
    /// How often the log was rotated.
    rotations: usize,
}

impl Folder {
    pub(crate) fn new(naming: Naming) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), naming, rotations: 0 }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.at("mail.log")
    }

    /// Opens the log as syslogd does.
    pub(crate) fn writer(&self) -> File {
        OpenOptions::new().append(true).create(true).open(self.log()).unwrap()
    }

    /// Appends to whatever is the log now.
    pub(crate) fn put(&self, text: &str) {
        self.writer().write_all(text.as_bytes()).unwrap();
    }

    /// The rotated file that is `age` rotations old, 1 being the newest.
    pub(crate) fn rotated(&self, age: usize) -> PathBuf {
        match self.naming {
            Naming::Numbers => self.at(&format!("mail.log.{age}")),
            Naming::Dates => self.at(&format!("mail.log-{}", 20_260_001 + self.rotations - age)),
        }
    }

    /// Takes the log away under the name of the newest rotated file. A rename leaves no log behind.
    pub(crate) fn rotate(&mut self, taking: Taking) {
        self.rotations += 1;
        if self.naming == Naming::Numbers {
            for age in (1..self.rotations).rev() {
                for end in ["", ".gz"] {
                    let name = |age: usize| self.at(&format!("mail.log.{age}{end}"));
                    if name(age).exists() {
                        fs::rename(name(age), name(age + 1)).unwrap();
                    }
                }
            }
        }
        match taking {
            Taking::Rename => fs::rename(self.log(), self.rotated(1)).unwrap(),
            Taking::Copytruncate => {
                fs::copy(self.log(), self.rotated(1)).unwrap();
                self.writer().set_len(0).unwrap();
            }
        }
    }

    /// Packs a rotated file, as logrotate does: the packed one is complete before the plain one goes, and has its time.
    pub(crate) fn pack(&self, age: usize) {
        let plain = self.rotated(age);
        let bytes = fs::read(&plain).unwrap();
        let time = fs::metadata(&plain).unwrap().modified().unwrap();
        fs::write(self.packed(age), gzip(&bytes)).unwrap();
        let packed = OpenOptions::new().append(true).open(self.packed(age)).unwrap();
        packed.set_modified(time).unwrap();
        fs::remove_file(plain).unwrap();
    }

    /// Removes the rotated files that are more than `kept` rotations old.
    pub(crate) fn remove_older(&self, kept: usize) {
        for age in kept + 1..=self.rotations {
            for path in [self.rotated(age), self.packed(age)] {
                if path.exists() {
                    fs::remove_file(path).unwrap();
                }
            }
        }
    }

    /// The name that a rotated file has when it is packed.
    pub(crate) fn packed(&self, age: usize) -> PathBuf {
        let mut name = self.rotated(age).into_os_string();
        name.push(".gz");
        name.into()
    }

    pub(crate) fn follow(&self, start: Start) -> Follower {
        Follower::new(self.log(), start)
    }

    /// A follower that comes back to a place, which has been through its text.
    pub(crate) fn resume(&self, place: &Place) -> Follower {
        self.follow(Start::At(through_text(place)))
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::fast());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

pub(crate) fn through_text(place: &Place) -> Place {
    serde_json::from_str(&serde_json::to_string(place).unwrap()).unwrap()
}

/// All that there is to read now, and what was lost.
pub(crate) fn read_with_losses(follower: &mut Follower) -> (String, Vec<Loss>) {
    let (mut text, mut losses) = (Vec::new(), Vec::new());
    loop {
        match follower.step() {
            Step::Lines { bytes, .. } => text.extend_from_slice(bytes),
            Step::Lost(loss) => losses.push(loss),
            Step::CaughtUp | Step::Missing => return (String::from_utf8(text).unwrap(), losses),
            Step::Trouble(error) => panic!("{error}"),
        }
    }
}

/// All that there is to read now; nothing may be lost.
#[track_caller]
pub(crate) fn read(follower: &mut Follower) -> String {
    let (text, losses) = read_with_losses(follower);
    assert!(losses.is_empty(), "{losses:?}");
    text
}

#[track_caller]
pub(crate) fn check(follower: &mut Follower, expect: &str) {
    assert_eq!(read(follower), expect);
}
