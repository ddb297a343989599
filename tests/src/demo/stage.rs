//! The demo's folder: the access file, the map, the maillog, the config, and the DNS server.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use super::sample::Round;
use crate::dns::{DnsServer, Zone};
use crate::makemap::Makemap;
use crate::namespace::command;

/// The addresses of the relays and their PTR, confirmed forward; none where there is no PTR.
pub(super) const DNS: [(&str, Option<&str>); 6] = [
    ("192.0.2.11", Some("mx.alder.example.test")),
    ("192.0.2.22", Some("host22.isp.example.test")),
    ("192.0.2.23", Some("host23.isp.example.test")),
    ("2001:db8::41", None),
    ("192.0.2.33", Some("mx.dogwood.example.test")),
    ("192.0.2.77", Some("mx.victim.example.test")),
];

/// The relays that fail in the sample, with the verdict of a scan over the whole of it.
pub(super) const SCAN_NAMES: [(&str, &str); 5] = [
    ("mx.alder.example.test", "propose"),
    ("mx.birch.example.test", "propose"),
    ("mx.cedar.example.test", "propose"),
    ("mx.dogwood.example.test", "recovered"),
    ("mx1.elm.example.test", "not-stuck"),
];

/// The admin's access file.
const ACCESS: &str = "# The access map of mail.example.test\n\
    Connect:localhost\tRELAY\n\
    Connect:192.0.2.200\tREJECT\n\
    From:offers@junk.example.test\tREJECT\n\
    # by hand, in spring; ask Ann\n\
    Try_TLS:mx.old.example.test\tNO\n";

/// The rest between two lines of the maillog, so that the daemon sees the log grow.
const PAUSE: Duration = Duration::from_millis(12);

/// All of it.
#[derive(Debug)]
pub(super) struct Stage {
    folder: TempDir,
    makemap: Option<Makemap>,
    dns: DnsServer,
}

/// What scan says of one relay.
#[derive(Debug, Deserialize)]
pub(super) struct Scanned {
    #[serde(rename = "relay")]
    pub(super) name: String,
    pub(super) attempts: u64,
    pub(super) confirmed: u64,
    pub(super) verdict: String,
    pub(super) why: String,
}

#[derive(Debug, Deserialize)]
struct Report {
    relays: Vec<Scanned>,
}

/// The line of the access file for a key.
pub(super) fn entry(key: &str) -> String {
    format!("Try_TLS:{key}\tNO")
}

impl Stage {
    pub(super) fn new() -> Result<Self> {
        let folder = folder()?;
        let mut zone = Zone::new();
        for (address, ptr) in DNS {
            if let Some(name) = ptr {
                zone = zone.host(address, name);
            }
        }
        let dns = DnsServer::start(zone).context("start the DNS server")?;
        let stage = Self { folder, makemap: Makemap::find(), dns };
        stage.create("sendmail.cf", "Djown.host.example\n")?;
        stage.create("access", ACCESS)?;
        stage.create("mail.log", "")?;
        stage.create("trytlsd.toml", &stage.first_config())?;
        Ok(stage)
    }

    fn first_config(&self) -> String {
        let path = |name: &str| self.folder.path().join(name);
        let map = match &self.makemap {
            Some(makemap) => format!("type = \"hash\"\nmakemap = {:?}\n", makemap.path),
            None => "type = \"text\"\nrebuild = \"none\"\n".to_owned(),
        };
        format!(
            "dry_run = true\n\
             [log]\npath = {:?}\n\
             [policy]\nfailures = 3\nwindow = \"24h\"\nmin_span = \"1s\"  # in life: 30m\nprobe = false\n[guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\nburst_relays = 0\nburst_share = 0\nmax_entries = 0\nmax_per_hour = 0\n\
             [access]\nfile = {:?}\nmap = {:?}\n{map}cf = {:?}\n\
             [dns]\nservers = [\"{}\"]\n\
             [ledger]\npath = {:?}\n\
             [control]\nsocket = \"\"\n",
            path("mail.log"),
            path("access"),
            path("access"),
            path("sendmail.cf"),
            self.dns.address(),
            path("ledger.db"),
        )
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn makemap(&self) -> Option<&Makemap> {
        self.makemap.as_ref()
    }

    pub(super) fn dns_address(&self) -> SocketAddr {
        self.dns.address()
    }

    /// Let the folder outlive the demo.
    pub(super) fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    pub(super) fn access(&self) -> Result<String> {
        self.read("access")
    }

    pub(super) fn config(&self) -> Result<String> {
        self.read("trytlsd.toml")
    }

    pub(super) fn log(&self) -> Result<String> {
        self.read("mail.log")
    }

    /// `makemap hash access < access`.
    pub(super) fn build_map(&self) -> Result<()> {
        self.makemap.as_ref().map_or(Ok(()), |makemap| makemap.build(self.folder.path()))
    }

    /// The lines of `makemap -u hash access`, sorted; none where the text is the map.
    pub(super) fn map(&self) -> Result<Vec<String>> {
        self.makemap.as_ref().map_or(Ok(Vec::new()), |makemap| makemap.dump(self.folder.path()))
    }

    /// End dry run in the config.
    pub(super) fn arm(&self) -> Result<()> {
        let config = self.config()?.replace("dry_run = true", "dry_run = false");
        self.create("trytlsd.toml", &config)
    }

    /// Write the lines of a queue run as syslogd does: one by one, and some in two pieces.
    pub(super) fn append(&self, round: &Round) -> Result<()> {
        let path = self.folder.path().join("mail.log");
        let mut log = File::options()
            .append(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        for (number, line) in round.lines().iter().enumerate() {
            let bytes = [line.as_bytes(), b"\n"].concat();
            let cut = if number % 5 == 0 { bytes.len() / 2 } else { 0 };
            let (first, second) = bytes.split_at(cut);
            for piece in [first, second] {
                log.write_all(piece).with_context(|| format!("write {}", path.display()))?;
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// What `trytlsd scan` says of the log as it is now.
    pub(super) fn scan(&self, program: &Path) -> Result<Vec<Scanned>> {
        let output = command(program.to_str().context("the path of trytlsd is no UTF-8")?)
            .args(["scan", "--json", "--config", "trytlsd.toml", "mail.log"])
            .current_dir(self.folder.path())
            .output()
            .context("run trytlsd scan")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "trytlsd scan: {}: {error}", output.status);
        let report: Report =
            serde_json::from_slice(&output.stdout).context("the report of trytlsd scan")?;
        Ok(report.relays)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.folder.path().join(name);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    #[expect(clippy::disallowed_methods, reason = "files that nobody reads meanwhile")]
    fn create(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// A new folder where the user may write: TMPDIR may be another user's.
fn folder() -> Result<TempDir> {
    let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
    let make =
        |place: &PathBuf| tempfile::Builder::new().prefix("trytlsd-demo.").tempdir_in(place).ok();
    places
        .iter()
        .find_map(make)
        .ok_or_else(|| anyhow!("no folder can be made in any of {places:?}; set TMPDIR"))
}
