//! What is in a generated log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// What is in a generated log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// Failures: `ruleset=tls_server, arg1=SOFTWARE` lines that sendmail wrote.
    pub attempts: u64,
    /// Those whose delivery line is a Deferred one with the text of the failure.
    pub confirmed: u64,
    /// Lines of handshakes with a server that succeeded.
    pub successes: u64,
    /// Imitations.
    pub hostile: u64,
    /// The relays that fail.
    pub relays: BTreeMap<String, Relay>,
    /// Relays that only imitations name.
    pub imitated: BTreeSet<String>,
}

/// What is in the log of one relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Its failures.
    pub attempts: u64,
    /// Those that left mail stuck.
    pub confirmed: u64,
}

impl Truth {
    pub(super) fn failed(&mut self, relay: &str, stuck: bool) {
        if !self.relays.contains_key(relay) {
            self.relays.insert(relay.to_owned(), Relay::default());
        }
        let stuck = u64::from(stuck);
        if let Some(relay) = self.relays.get_mut(relay) {
            relay.attempts += 1;
            relay.confirmed += stuck;
        }
        self.attempts += 1;
        self.confirmed += stuck;
    }

    /// The file beside the log in which its truth is kept.
    #[must_use]
    pub fn path(log: &Path) -> PathBuf {
        let mut path = log.as_os_str().to_owned();
        path.push(".truth.json");
        PathBuf::from(path)
    }

    /// Write it beside the log.
    ///
    /// # Errors
    /// Where the file cannot be written.
    #[expect(
        clippy::disallowed_methods,
        reason = "no live map, and read only after the log is whole"
    )]
    pub fn save(&self, log: &Path) -> Result<()> {
        let path = Self::path(log);
        let text = serde_json::to_string_pretty(self).context("write the truth as JSON")?;
        fs::write(&path, text + "\n").with_context(|| format!("write {}", path.display()))
    }

    /// Read it from beside the log.
    ///
    /// # Errors
    /// Where the file cannot be read or is no truth.
    pub fn load(log: &Path) -> Result<Self> {
        let path = Self::path(log);
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        serde_json::from_reader(BufReader::new(file))
            .with_context(|| format!("read {}", path.display()))
    }
}
