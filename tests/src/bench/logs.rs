//! The generated logs, kept between runs.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::generate::{Format, Limit, Spec, Truth, VERSION, generate};
use crate::need;
use crate::quantity::show_bytes;

/// Logs all together take at most this many times the large one.
const ALL_TOGETHER: u64 = 2;

/// The size of the large log where the disk has no room for more.
const MODEST: u64 = 100_000_000;

/// Where they are kept.
#[derive(Debug)]
pub(super) struct Logs {
    folder: PathBuf,
    largest: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) path: PathBuf,
    pub(super) spec: Spec,
    pub(super) truth: Truth,
}

impl Logs {
    /// In the folder, by default below target/. Where the disk has no room the large log is smaller.
    pub(super) fn new(folder: Option<PathBuf>, largest: u64) -> Result<Self> {
        let folder = folder.unwrap_or_else(|| need::repository().join("target/bench"));
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let disk = rustix::fs::statvfs(&folder)
            .with_context(|| format!("ask for the room on the disk of {}", folder.display()))?;
        let room = disk.f_bavail * disk.f_frsize;
        let mut logs = Self { folder, largest };
        if room < largest * ALL_TOGETHER && largest > MODEST {
            logs.largest = MODEST;
            super::say(format_args!(
                "only {} left on the disk: the large log is of {}",
                show_bytes(room),
                show_bytes(MODEST)
            ))?;
        }
        Ok(logs)
    }

    /// The size of the large log.
    pub(super) fn largest(&self) -> u64 {
        self.largest
    }

    /// The log of this spec: the one that is there, or a new one.
    pub(super) fn make(&self, spec: Spec) -> Result<Log> {
        let path = self.folder.join(name(&spec));
        if let Some(truth) = kept(&path) {
            return Ok(Log { path, spec, truth });
        }
        writeln!(io::stderr(), "making {}", path.display()).context("say what is made")?;
        let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        let truth = generate(&spec, file).with_context(|| format!("write {}", path.display()))?;
        truth.save(&path)?;
        Ok(Log { path, spec, truth })
    }
}

/// The truth of a log that is there and whole.
fn kept(path: &Path) -> Option<Truth> {
    let truth = Truth::load(path).ok()?;
    (fs::metadata(path).ok()?.len() == truth.bytes).then_some(truth)
}

fn name(spec: &Spec) -> String {
    let size = match spec.limit {
        Limit::Bytes(bytes) => format!("{bytes}b"),
        Limit::Lines(lines) => format!("{lines}l"),
    };
    let format = match spec.format {
        Format::Classic => "classic",
        Format::Iso => "iso",
    };
    let Spec { share, hostile, seed, .. } = spec;
    format!("v{VERSION}-{size}-{format}-share{share}-hostile{hostile}-seed{seed}.log")
}

impl Log {
    /// Read it once, so that it is in the page cache for all alike.
    pub(super) fn warm(&self) -> Result<()> {
        let mut file =
            File::open(&self.path).with_context(|| format!("open {}", self.path.display()))?;
        io::copy(&mut file, &mut io::sink())
            .with_context(|| format!("read {}", self.path.display()))?;
        Ok(())
    }

    /// What it is, in words.
    pub(super) fn describe(&self) -> String {
        let mut text = format!(
            "{}, {:.1} % failures, {} time stamps",
            show_bytes(self.truth.bytes),
            self.spec.share * 100.0,
            match self.spec.format {
                Format::Classic => "traditional",
                Format::Iso => "RFC 3339",
            },
        );
        if self.spec.hostile > 0.0 {
            text += &format!(", {:.0} % imitations", self.spec.hostile * 100.0);
        }
        text
    }
}
