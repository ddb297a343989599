//! The soak's folder: log, access file, map, ledger; and the daemon on it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use crate::dns::{DnsServer, Zone};
use crate::local::{Local, program};
use crate::makemap::Makemap;

/// The admin's lines.
pub(super) const ACCESS: &str = "# the admin's\nConnect:127.0.0.1\tRELAY\nspam.example\tREJECT\n";

/// A dry run in which one attempt is enough and no guard waits.
pub(super) const SHOWN_AT_ONCE: &str = "dry_run = true\n[policy]\nprobe = false\nfailures = 1\nmin_span = \"0s\"\n[guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\nburst_relays = 0\nburst_share = 0\nmax_entries = 0\nmax_per_hour = 0\n";

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The folder, and what is in it. Kept, with its path told, where something went wrong.
#[derive(Debug)]
pub(super) struct Stage {
    folder: TempDir,
    program: PathBuf,
    /// None: the text is the map.
    makemap: Option<Makemap>,
    _dns: DnsServer,
}

/// What the soak needs of a relay's record.
#[derive(Deserialize)]
struct Record {
    evidence: Evidence,
}

#[derive(Deserialize)]
struct Evidence {
    /// Second and number.
    moments: Vec<(u32, u32, u32)>,
}

impl Stage {
    /// A new folder, with a config to which `extra` is added. With a map where there is a makemap and one is wanted.
    pub(super) fn new(map: bool, extra: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("trytlsd-soak.").tempdir()?;
        let dns = DnsServer::start(Zone::new()).context("start the DNS server")?;
        let makemap = if map { Makemap::find() } else { None };
        let stage = Self { folder, program: program()?, makemap, _dns: dns };
        let path = |name: &str| stage.path(name);
        let map = match &stage.makemap {
            Some(makemap) => format!("type = \"hash\"\nmakemap = {:?}\n", makemap.path),
            None => "type = \"text\"\nrebuild = \"none\"\n".to_owned(),
        };
        let config = format!(
            "{extra}\n\
             [log]\npath = {:?}\n\
             [access]\nfile = {:?}\nmap = {:?}\n{map}cf = {:?}\nlook_every = \"1s\"\n\
             [dns]\nservers = [\"{}\"]\n\
             [ledger]\npath = {:?}\n\
             [control]\nsocket = \"\"\n",
            path("mail.log"),
            path("access"),
            path("access"),
            path("sendmail.cf"),
            stage._dns.address(),
            path("ledger.db"),
        );
        stage.write("trytlsd.toml", config.as_bytes())?;
        stage.write("access", ACCESS.as_bytes())?;
        stage.write("sendmail.cf", b"Djown.host.example\n")?;
        stage.write("mail.log", b"")?;
        if let Some(makemap) = &stage.makemap {
            makemap.build(stage.folder.path())?;
        }
        Ok(stage)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the map is made with.
    pub(super) fn map(&self) -> &str {
        if self.makemap.is_some() { "map by makemap" } else { "text map: there is no makemap" }
    }

    /// Starts the daemon, and waits until it follows the log.
    pub(super) fn start(&self) -> Result<Local> {
        let mut daemon = self.begin()?;
        daemon.wait_for(LIMIT, "following", |said| said.line.contains("following"))?;
        Ok(daemon)
    }

    /// Starts the daemon, and does not wait.
    pub(super) fn begin(&self) -> Result<Local> {
        Local::start(&self.program, &["run", "--config", "trytlsd.toml"], self.folder.path())
    }

    /// `kill -9`, and waits for the end. What the daemon said is kept in daemon.log.
    pub(super) fn kill(&self, mut daemon: Local) -> Result<()> {
        let said: String = daemon.said().iter().map(|said| said.line.clone() + "\n").collect();
        self.append("daemon.log", &said)?;
        daemon.signal(Signal::KILL).context("the daemon has ended by itself, see daemon.log")
    }

    /// Appends to a file, as syslogd does.
    pub(super) fn append(&self, name: &str, text: &str) -> Result<()> {
        let mut file = File::options().append(true).create(true).open(self.path(name))?;
        Ok(file.write_all(text.as_bytes())?)
    }

    /// Writes a file anew.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        File::create(self.path(name))?.write_all(bytes).with_context(|| format!("write {name}"))
    }

    /// Renames a file, if it is there.
    #[expect(clippy::disallowed_methods, reason = "the soak rotates as logrotate does")]
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<()> {
        match fs::rename(self.path(from), self.path(to)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done.with_context(|| format!("rename {from} to {to}")),
        }
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done.with_context(|| format!("remove {name}")),
        }
    }

    /// Packs a file, and removes it. As with gzip and logrotate the packed one is as old as the file was.
    pub(super) fn pack(&self, name: &str) -> Result<()> {
        let Ok(mut file) = File::open(self.path(name)) else { return Ok(()) };
        let packed = self.path(&format!("{name}.gz"));
        let mut packer = GzEncoder::new(File::create(&packed)?, Compression::fast());
        std::io::copy(&mut file, &mut packer).with_context(|| format!("pack {name}"))?;
        packer.finish()?.set_modified(file.metadata()?.modified()?)?;
        self.remove(name)
    }

    pub(super) fn access(&self) -> Result<String> {
        fs::read_to_string(self.path("access")).context("read the access file")
    }

    /// What is wrong with the access file or the map by itself, if anything is.
    pub(super) fn damage(&self) -> Result<Option<String>> {
        let text = self.access()?;
        if !text.starts_with(ACCESS) {
            return Ok(Some(format!("the admin's lines are not as they were:\n{text}")));
        }
        if !text.ends_with('\n') {
            return Ok(Some("the access file ends in half a line".to_owned()));
        }
        let block = access::block::parse(text.as_bytes());
        if !block.oddities.is_empty() {
            return Ok(Some(format!("the block: {:?}", block.oddities)));
        }
        let Some(makemap) = &self.makemap else { return Ok(None) };
        Ok(match makemap.dump(self.folder.path()) {
            Ok(lines) if lines.iter().any(|line| line.starts_with("spam.example")) => None,
            Ok(lines) => Some(format!("the map lacks the admin's entries: {} lines", lines.len())),
            Err(error) => Some(format!("the map cannot be read: {error:#}")),
        })
    }

    /// Whether the map says what the text says.
    pub(super) fn belongs(&self) -> Result<bool> {
        let Some(makemap) = &self.makemap else { return Ok(true) };
        let text = self.access()?;
        let map = makemap.dump(self.folder.path())?;
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| line.to_ascii_lowercase())
            .collect();
        lines.sort_unstable();
        let map: Vec<String> = map.iter().map(|line| line.to_ascii_lowercase()).collect();
        Ok(lines == map)
    }

    /// The failures that stand against each relay in the ledger.
    pub(super) fn counts(&self) -> Result<BTreeMap<String, u32>> {
        let loaded = ledger::View::open(&self.path("ledger.db"))?.load()?;
        let mut counts = BTreeMap::new();
        for (relay, record) in loaded.relays {
            let record: Record = serde_json::from_str(&record)
                .with_context(|| format!("the record of {relay}: {record}"))?;
            counts.insert(relay, record.evidence.moments.iter().map(|(_, number, _)| number).sum());
        }
        Ok(counts)
    }

    /// Lets the folder outlive the soak, and says where it is.
    pub(super) fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }
}

/// Fails unless all is as it should be.
pub(super) fn sound(stage: &mut Stage, damage: Option<String>) -> Result<()> {
    if let Some(damage) = damage {
        let kept = stage.keep().display();
        ensure!(false, "{damage} (kept: {kept})");
    }
    Ok(())
}
