//! A slapd that is filled before it starts, and what it takes of the machine.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use access::comment;
use access::managed::Managed;
use access::remedy::Tagged;
use anyhow::{Context as _, Result, ensure};
use directory::{Bind, Directory, Server, Settings};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::namespace::command;
use crate::wait;

const BASE: &str = "dc=example,dc=org";

/// What stands in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filling {
    /// Entries of ours in the access map.
    pub(super) entries: usize,
    /// MTAs that speak.
    pub(super) mtas: usize,
    /// Relays that each of them speaks of.
    pub(super) relays: usize,
    /// The attributes of sendmail's schema that have an index.
    pub(super) index: &'static str,
}

/// A slapd; ends when it is dropped.
pub(super) struct Slapd {
    folder: TempDir,
    child: Child,
    clock: ClockId,
}

/// What it took so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// CPU time, seconds.
    pub(super) cpu: f64,
    /// Bytes written, to clients mostly.
    pub(super) bytes: u64,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Slapd {
    /// Fills and starts one.
    pub(super) fn start(filling: Filling) -> Result<Self> {
        let tools =
            env::var_os("TRYTLSD_SLAPD").context("TRYTLSD_SLAPD is not set (tests/bed/slapd)")?;
        let tools = PathBuf::from(tools);
        let home = tools.parent().context("the folder of slapd's tools")?;
        let folder = tempfile::tempdir().context("a folder for slapd")?;
        let path = |name: &str| folder.path().join(name);
        write(&path("slapd.conf"), &config(home, folder.path(), filling)?)?;
        write(&path("password"), "secret\n")?;
        fs::set_permissions(path("password"), fs::Permissions::from_mode(0o600))?;
        for name in ["votes", "map"] {
            fs::create_dir(path(name))?;
        }
        // One LDIF for each database.
        for (number, ldif) in [votes(filling), map(filling)].into_iter().enumerate() {
            write(&path("ldif"), &ldif)?;
            let mut load = command(tools.join("slapd").to_str().context("slapd's path")?);
            load.args(["-Tadd", "-q", "-n", &(number + 1).to_string(), "-f"])
                .arg(path("slapd.conf"));
            let load = load.arg("-l").arg(path("ldif")).output().context("run slapadd")?;
            let said = String::from_utf8_lossy(&load.stderr);
            ensure!(load.status.success(), "slapadd: {said}");
        }
        let mut slapd = command(tools.join("slapd").to_str().context("slapd's path")?);
        slapd.args(["-d", "0", "-h", &Server::Local(path("ldapi")).to_string(), "-f"]);
        slapd.arg(path("slapd.conf")).stdin(Stdio::null()).stdout(Stdio::null());
        let child = slapd.stderr(File::create(path("log"))?).spawn().context("start slapd")?;
        let pid = i32::try_from(child.id()).context("slapd's number")?;
        let clock = clock_getcpuclockid(Pid::from_raw(pid)).context("slapd's clock")?;
        let slapd = Self { folder, child, clock };
        wait::until(Duration::from_secs(60), "slapd", || {
            UnixStream::connect(slapd.folder.path().join("ldapi")).ok()
        })?;
        Ok(slapd)
    }

    /// The directory as the MTA of this number has it.
    pub(super) fn directory(&self, mta: usize) -> Result<Directory> {
        let path = |name: &str| self.folder.path().join(name);
        let settings = Settings {
            servers: vec![Server::Local(path("ldapi"))],
            base: BASE.into(),
            bind: Bind::Simple {
                dn: format!("cn=mta{mta},ou=mtas,{BASE}").into(),
                password_file: path("password"),
            },
            ca: None,
            cluster: "mx".into(),
            host: host(mta).into(),
            map: "access".into(),
            votes: "trytlsd".into(),
            vote_ttl: Duration::from_secs(3600),
            timeout: Duration::from_secs(30),
        };
        Directory::new(settings).context("the settings")
    }

    /// What it took so far.
    pub(super) fn taken(&self) -> Result<Taken> {
        let cpu = Duration::from(self.clock.now().context("slapd's CPU time")?).as_secs_f64();
        let mut text = String::new();
        File::open(format!("/proc/{}/io", self.child.id()))?.read_to_string(&mut text)?;
        let bytes = text.lines().find_map(|line| line.strip_prefix("wchar: "));
        Ok(Taken { cpu, bytes: bytes.context("wchar in /proc/PID/io")?.parse()? })
    }
}

fn host(mta: usize) -> String {
    format!("mta{mta}.example.org")
}

/// The file that docs/fleet.md shows, without TLS and replicas.
fn config(home: &Path, folder: &Path, filling: Filling) -> Result<String> {
    const PAGE: &str = include_str!("../../../docs/fleet.md");
    const LEFT_OUT: [&str; 5] = ["TLS", "serverID", "syncrepl", "multiprovider", "pidfile"];
    let (_, block) = PAGE.split_once("```slapd\n").context("slapd.conf in docs/fleet.md")?;
    let (block, _) = block.split_once("```").context("its end")?;
    let index = match filling.index {
        "" => String::new(),
        attributes => format!("index {attributes} eq"),
    };
    // The page has rules for two MTAs.
    let (head, rules) = block.split_once("access to dn.subtree=").context("a rule")?;
    let (rule, rest) = rules.split_once("access to dn.subtree=").context("another rule")?;
    let (_, rest) = rest.split_once("access to").context("the rule behind them")?;
    let rules: String = (0..filling.mtas)
        .map(|mta| format!("access to dn.subtree={}", rule.replace("mta1", &format!("mta{mta}"))))
        .collect();
    let block = format!("{head}{rules}access to{rest}");
    let mut config = String::new();
    let mut kept = true;
    for line in block.lines() {
        if !line.starts_with(' ') {
            kept = !LEFT_OUT.iter().any(|left| line.starts_with(left));
        }
        if kept {
            let line = if line == "index sendmailMTAKey eq" { &index } else { line };
            config.push_str(line);
            config.push('\n');
        }
    }
    let [home, folder] = [home, folder].map(|path| path.display().to_string());
    Ok(config
        .replace("/etc/ldap/schema", &format!("{home}/schema"))
        .replace("/usr/lib/ldap", &format!("{home}/modules"))
        .replace("/var/lib/ldap", &folder))
}

const VOTES: &str = "sendmailMTAMapName=trytlsd,sendmailMTACluster=mx";
const MAP: &str = "sendmailMTAMapName=access,sendmailMTACluster=mx";

fn map(filling: Filling) -> String {
    let mut ldif = format!(
        "dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: x\n\n\
         dn: ou=mtas,{BASE}\nobjectClass: organizationalUnit\nou: mtas\n\n\
         dn: sendmailMTACluster=mx,{BASE}\nobjectClass: sendmailMTA\nsendmailMTACluster: mx\n\n\
         dn: {MAP},{BASE}\nobjectClass: sendmailMTAMap\nsendmailMTACluster: mx\n\
         sendmailMTAMapName: access\n\n"
    );
    for mta in 0..filling.mtas {
        let _infallible = write!(
            ldif,
            "dn: cn=mta{mta},ou=mtas,{BASE}\nobjectClass: person\ncn: mta{mta}\nsn: x\n\
             userPassword: secret\n\n"
        );
    }
    for entry in (0..filling.entries).filter_map(|number| entry(number).ok()) {
        let key = entry.tagged();
        let _infallible = write!(
            ldif,
            "dn: sendmailMTAKey={key},{MAP},{BASE}\nobjectClass: sendmailMTA\n\
             objectClass: sendmailMTAMap\nobjectClass: sendmailMTAMapObject\n\
             sendmailMTACluster: mx\nsendmailMTAMapName: access\nsendmailMTAKey: {key}\n\
             sendmailMTAMapValue: {}\ndescription: {}\n\n",
            entry.remedy.value(),
            comment::print(&entry)
        );
    }
    ldif
}

fn votes(filling: Filling) -> String {
    let mut ldif = format!(
        "dn: {VOTES},{BASE}\nobjectClass: sendmailMTAMap\nsendmailMTACluster: mx\n\
         sendmailMTAMapName: trytlsd\n\n"
    );
    for host in (0..filling.mtas).map(host) {
        let _infallible = write!(
            ldif,
            "dn: sendmailMTAHost={host},{VOTES},{BASE}\nobjectClass: sendmailMTA\n\
             objectClass: sendmailMTAMap\nsendmailMTACluster: mx\nsendmailMTAMapName: trytlsd\n\
             sendmailMTAHost: {host}\ndescription: trytlsd is at work here\n\n"
        );
        for relay in (0..filling.relays).map(relay) {
            let _infallible = write!(
                ldif,
                "dn: sendmailMTAKey={relay},sendmailMTAHost={host},{VOTES},{BASE}\n\
                 objectClass: sendmailMTA\nobjectClass: sendmailMTAMap\n\
                 objectClass: sendmailMTAMapObject\nsendmailMTACluster: mx\n\
                 sendmailMTAMapName: trytlsd\nsendmailMTAKey: {relay}\n\
                 sendmailMTAMapValue: v1 says=broken ttl=3600 seen=12 keys=Try_TLS:{relay}\n\n"
            );
        }
    }
    ldif
}

/// The relay of this number.
pub(super) fn relay(number: usize) -> String {
    format!("mx{number}.customer-of-ours.example")
}

/// An entry for it.
pub(super) fn entry(number: usize) -> Result<Managed> {
    let Tagged { remedy, key } = relay(number).parse().context("a key")?;
    Ok(Managed {
        remedy,
        relay: key.to_string().into(),
        key,
        why: "3 stuck attempts, handshake: wrong version number".to_owned(),
        since: "2026-11-23T10:50:38Z".parse()?,
        until: Some("2026-12-23T10:50:38Z".parse()?),
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    let context = || path.display().to_string();
    File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).with_context(context)
}
