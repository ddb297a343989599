//! The config: one TOML file and drop-ins beside it.
//!
//! `/etc/trytlsd/trytlsd.toml`, then `/etc/trytlsd/trytlsd.d/*.toml` in the order of their names; a later file overrides
//! single keys. An unknown key is an error: a typo in the name of a limit would otherwise lift it. Errors carry file,
//! line and column.

mod fleet;
mod mail;
mod pattern;
mod section;
mod span;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use maillog::pattern::{MOST_PATTERNS, Patterns};
use policy::clients::ClientKey;
use policy::never::{NeverItem, NeverList};
use policy::rules::{self, Receiving as ReceivingRules, Rules};
use serde::Deserialize;

pub use self::fleet::{Fleet, Ldap};
use self::fleet::{GivenFleet, GivenLdap};
pub use self::mail::{MailAddress, MailAddresses};
pub use self::pattern::LogPattern;
use self::section::section;
pub use self::section::{Setting, Shown};
pub use self::span::Span;
use self::values::{
    Absolute, Address, Loopback, Optional, Paths, Server, Share, Text, Within, loopback,
};
pub use self::values::{
    DnssecChoice, FlushWay, KeyChoice, LdapServer, LogSource, MapType, ProveWay, RebuildWay,
    RemedyChoice, Target,
};

/// Where the config is if nothing else is said.
const DEFAULT_PATH: &str = "/etc/trytlsd/trytlsd.toml";

/// Others may be at work on the access file for as long: two looks must not fall into one save.
const LEAST_BETWEEN_LOOKS: Span = Span::seconds(1);

/// A file larger than this is no config.
const MOST_BYTES: u64 = 1 << 20;

section!(
    /// The keys before the first section.
    Top, GivenTop, "", {
    /// Show the entries and write none.
    dry_run: bool = true,
});

section!(
    /// Where the lines come from.
    Log, GivenLog, "[log] ", {
    /// Where the lines come from.
    source: LogSource = LogSource::File,
    /// The log file, or several.
    path: Paths = Paths(vec![PathBuf::from("/var/log/mail.log")]),
    /// The folder of the journal's files, if it is not the system's journal.
    journal: Optional<Absolute> = Optional(None),
    /// Regular expressions of the operator's own.
    pattern: Vec<LogPattern> = Vec::new(),
});

section!(
    /// When failures become a decision.
    Policy, GivenPolicy, "[policy] ", {
    /// Stuck attempts that make a candidate.
    failures: Within<1, 1000> = Within(3),
    /// How far back they count.
    window: Span = Span::seconds(24 * 3600),
    /// From the first to the last of them at least.
    min_span: Span = Span::seconds(30 * 60),
    /// Names, domains and networks that never get an entry.
    never: Vec<Text<NeverItem>> = loopback(),
    /// How long a relay whose entry was lifted by hand gets none.
    hold_off: Span = Span::seconds(30 * 86_400),
    /// Probe after the first failure.
    probe: bool = true,
    /// Relays remembered at most.
    max_relays: Within<100, 200_000> = Within(10_000),
});

section!(
    /// The access map, and how it is changed.
    Access, GivenAccess, "[access] ", {
    /// Where the map is.
    target: Target = Target::File,
    /// The text of the access map.
    file: Text<Absolute> = Text(Absolute(PathBuf::from("/etc/mail/access"))),
    /// The map, without its suffix.
    map: Text<Absolute> = Text(Absolute(PathBuf::from("/etc/mail/access"))),
    /// The class of the map.
    r#type: MapType = MapType::Auto,
    /// sendmail's configuration.
    cf: Text<Absolute> = Text(Absolute(PathBuf::from("/etc/mail/sendmail.cf"))),
    /// Which lookup key is written.
    key: KeyChoice = KeyChoice::Auto,
    /// How the map follows the text.
    rebuild: RebuildWay = RebuildWay::Replace,
    /// The command of `rebuild = "command"`, as a list of words; no shell.
    command: Vec<String> = Vec::new(),
    /// How often the access file and the map are looked at for changes of others.
    look_every: Span = Span::seconds(30),
    /// The least time between two puttings back of a block that others removed with the rest of the file.
    put_back_every: Span = Span::seconds(3600),
    /// Whether sendmail is asked after each rebuild.
    prove: ProveWay = ProveWay::Auto,
    /// makemap; a bare name is looked up in PATH and where systems keep such programs.
    makemap: String = "makemap".to_owned(),
    /// sendmail, asked for proofs.
    sendmail: String = "sendmail".to_owned(),
    /// How long makemap, the command or sendmail may take.
    timeout: Span = Span::seconds(60),
});

section!(
    /// What holds an entry back.
    Guards, GivenGuards, "[guards] ", {
    /// Span for resets and time-outs.
    weak_min_span: Span = Span::seconds(6 * 3600),
    /// How long a success is remembered.
    trusted_for: Span = Span::seconds(30 * 86_400),
    /// How long a relay whose TLS worked within `trusted_for` must have failed.
    trusted_min_span: Span = Span::seconds(3 * 86_400),
    /// Relays failing at once that point at ourselves.
    burst_relays: Within<0, 1_000_000> = Within(20),
    /// Failing share of all attempts that points at ourselves.
    burst_share: Share = Share(0.5),
    /// Entries in force at most.
    max_entries: Within<0, 1_000_000> = Within(500),
    /// New entries an hour at most.
    max_per_hour: Within<0, 1_000_000> = Within(20),
});

section!(
    /// How long entries stand.
    Entry, GivenEntry, "[entry] ", {
    /// How long an entry stands before it is renewed or dropped.
    ttl: Span = Span::seconds(30 * 86_400),
    /// The time between two probes of a peer with an entry, at first.
    probe_every: Span = Span::seconds(86_400),
    /// What a new entry does.
    remedy: RemedyChoice = RemedyChoice::TryTls,
    /// An entry that sendmail has not used for so long is lifted.
    unused_after: Span = Span::seconds(14 * 86_400),
});

section!(
    /// What becomes of mail that was stuck.
    Flush, GivenFlush, "[flush] ", {
    /// How it is delivered at once.
    way: FlushWay = FlushWay::Auto,
});

section!(
    /// Clients of ours whose STARTTLS is broken.
    Receiving, GivenReceiving, "[receiving] ", {
    /// Whether they are looked at.
    enabled: bool = false,
    /// From the first to the last broken handshake of a client that is not known by its mail.
    min_span: Span = Span::seconds(6 * 3600),
    /// Which key is written.
    key: ClientKey = ClientKey::Address,
    /// How long an entry lives.
    ttl: Span = Span::seconds(30 * 86_400),
    /// Clients remembered at most.
    max_clients: Within<100, 200_000> = Within(10_000),
});

section!(
    /// How DNS is asked.
    Dns, GivenDns, "[dns] ", {
    /// Servers asked instead of those of resolv.conf.
    servers: Vec<Text<Server>> = Vec::new(),
    /// How long one question may take, forward confirmation included.
    timeout: Span = Span::seconds(3),
    /// Servers whose word on DNSSEC is believed, beside those on the loopback interface.
    trusted: Vec<Text<Address>> = Vec::new(),
    /// Who says whether TLSA records are proven.
    dnssec: DnssecChoice = DnssecChoice::Auto,
    /// Where validation of our own begins: a file of DNSKEY records.
    trust_anchor: Optional<Absolute> = Optional(None),
});

section!(
    /// How MTA-STS policies (RFC 8461) are fetched.
    MtaSts, GivenMtaSts, "[mta_sts] ", {
    /// Whether a policy may be fetched from an address that is not of the public Internet.
    private_addresses: bool = false,
    /// A file of further authorities, PEM, beside those of the system's OpenSSL.
    ca_file: Optional<Absolute> = Optional(None),
});

section!(
    /// The durable state.
    Ledger, GivenLedger, "[ledger] ", {
    /// The file of the durable state.
    path: Text<Absolute> = Text(Absolute(PathBuf::from("/var/lib/trytlsd/ledger.db"))),
});

section!(
    /// The control socket.
    Control, GivenControl, "[control] ", {
    /// Where commands ask the daemon.
    socket: Optional<Absolute> = Optional(Some(Absolute(PathBuf::from("/run/trytlsd/control.sock")))),
    /// The group whose members may ask what is known; a name or a number.
    group: String = String::new(),
});

section!(
    /// The page and the metrics.
    Status, GivenStatus, "[status] ", {
    /// Where they are served; empty: nowhere.
    listen: Optional<Loopback> = Optional(None),
});

section!(
    /// What is told to a person who does not look.
    Notice, GivenNotice, "[notice] ", {
    /// To whom mail is sent.
    mail_to: MailAddresses = MailAddresses(Vec::new()),
    /// By whom it says it is.
    mail_from: Text<MailAddress> = Text(MailAddress::root()),
    /// Instead of mail, the words of a command that gets the same text; no shell.
    command: Vec<String> = Vec::new(),
    /// The least time between two notices.
    every: Span = Span::seconds(3600),
    /// A summary each morning, if there is anything to say.
    digest: bool = true,
});

/// The config in force.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `dry_run`.
    pub top: Top,
    /// `[log]`.
    pub log: Log,
    /// `[policy]`.
    pub policy: Policy,
    /// `[access]`.
    pub access: Access,
    /// `[ldap]`.
    pub ldap: Ldap,
    /// `[fleet]`.
    pub fleet: Fleet,
    /// `[guards]`.
    pub guards: Guards,
    /// `[entry]`.
    pub entry: Entry,
    /// `[flush]`.
    pub flush: Flush,
    /// `[receiving]`.
    pub receiving: Receiving,
    /// `[dns]`.
    pub dns: Dns,
    /// `[mta_sts]`.
    pub mta_sts: MtaSts,
    /// `[ledger]`.
    pub ledger: Ledger,
    /// `[control]`.
    pub control: Control,
    /// `[status]`.
    pub status: Status,
    /// `[notice]`.
    pub notice: Notice,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
}

/// What one file gives.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    dry_run: Option<bool>,
    #[serde(default)]
    log: GivenLog,
    #[serde(default)]
    policy: GivenPolicy,
    #[serde(default)]
    access: GivenAccess,
    #[serde(default)]
    ldap: GivenLdap,
    #[serde(default)]
    fleet: GivenFleet,
    #[serde(default)]
    guards: GivenGuards,
    #[serde(default)]
    entry: GivenEntry,
    #[serde(default)]
    flush: GivenFlush,
    #[serde(default)]
    receiving: GivenReceiving,
    #[serde(default)]
    dns: GivenDns,
    #[serde(default)]
    mta_sts: GivenMtaSts,
    #[serde(default)]
    ledger: GivenLedger,
    #[serde(default)]
    control: GivenControl,
    #[serde(default)]
    status: GivenStatus,
    #[serde(default)]
    notice: GivenNotice,
}

/// A config that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error("cannot read the config {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the config {} is no regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("the config {} is larger than 1 MiB", path.display())]
    TooLarge { path: PathBuf },
    #[error("the config {}: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("the config {}: [access] rebuild = \"command\" needs [access] command, a list of words", path.display())]
    NoCommand { path: PathBuf },
    #[error(
        "the config {}: [policy] min_span ({min_span}) is longer than window ({window}): nothing could ever be enough",
        path.display()
    )]
    Never { path: PathBuf, min_span: Span, window: Span },
    #[error(
        "the config {}: [receiving] min_span ({min_span}) is not shorter than [policy] window ({window}): nothing could ever be enough",
        path.display()
    )]
    NeverReceiving { path: PathBuf, min_span: Span, window: Span },
    #[error("the config {}: two patterns ([[log.pattern]]) are called {name:?}", path.display())]
    PatternTwice { path: PathBuf, name: String },
    #[error("the config {}: more than {MOST_PATTERNS} patterns ([[log.pattern]])", path.display())]
    ManyPatterns { path: PathBuf },
    #[error("the config {}: [log] path names {} twice: its lines would count twice", path.display(), log.display())]
    Twice { path: PathBuf, log: PathBuf },
    #[error("the config {}: [entry] probe_every ({probe_every}) is shorter than 1s", path.display())]
    ProbedTooOften { path: PathBuf, probe_every: Span },
    #[error("the config {}: [access] target = \"ldap\": {why}", path.display())]
    Fleet { path: PathBuf, why: &'static str },
    #[error("the config {}: [access] look_every ({look_every}) is shorter than 1s", path.display())]
    TooOften { path: PathBuf, look_every: Span },
    #[error("the config {}: [notice] mail_to and command exclude each other: one of them tells you", path.display())]
    ToldTwice { path: PathBuf },
    #[error("the config {}: [notice] every ({every}) is shorter than 1s", path.display())]
    ToldTooOften { path: PathBuf, every: Span },
}

impl Config {
    /// Reads the file, which must exist, and its drop-ins.
    ///
    /// # Errors
    /// If one of them cannot be read or is no config, or if what all of them say together makes no sense.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut config = Self::default();
        config.read(path)?;
        for drop_in in drop_ins(path)? {
            config.read(&drop_in)?;
        }
        config.check(path)?;
        Ok(config)
    }

    /// As [`Config::load`], but the built-in defaults if the file was not asked for by name and does not exist.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_or_default(path: Option<&Path>) -> Result<Self, Error> {
        match path {
            Some(path) => Self::load(path),
            None if Path::new(DEFAULT_PATH).exists() => Self::load(Path::new(DEFAULT_PATH)),
            None => Ok(Self::default()),
        }
    }

    /// The config that a text would give as the file `path`, without drop-ins; no such file is looked for.
    ///
    /// # Errors
    /// What [`Config::load`] says of such a file.
    pub fn of_text(path: &Path, text: &str) -> Result<Self, Error> {
        let mut config = Self::default();
        config.overlay(path, text)?;
        config.check(path)?;
        Ok(config)
    }

    fn read(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let meta = std::fs::metadata(path).map_err(failed)?;
        if !meta.is_file() {
            return Err(Error::NotAFile { path: path.to_owned() });
        }
        if meta.len() > MOST_BYTES {
            return Err(Error::TooLarge { path: path.to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        self.overlay(path, &text)
    }

    fn overlay(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let given: Given = toml::from_str(text).map_err(|error| Error::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let file: Arc<Path> = path.into();
        self.top.overlay(GivenTop { dry_run: given.dry_run }, &file);
        self.log.overlay(given.log, &file);
        self.policy.overlay(given.policy, &file);
        self.access.overlay(given.access, &file);
        self.ldap.overlay(given.ldap, &file);
        self.fleet.overlay(given.fleet, &file);
        self.guards.overlay(given.guards, &file);
        self.entry.overlay(given.entry, &file);
        self.flush.overlay(given.flush, &file);
        self.receiving.overlay(given.receiving, &file);
        self.dns.overlay(given.dns, &file);
        self.mta_sts.overlay(given.mta_sts, &file);
        self.ledger.overlay(given.ledger, &file);
        self.control.overlay(given.control, &file);
        self.status.overlay(given.status, &file);
        self.notice.overlay(given.notice, &file);
        self.files.push(path.to_owned());
        Ok(())
    }

    fn check(&self, path: &Path) -> Result<(), Error> {
        let needs_command = *self.access.rebuild == RebuildWay::Command;
        if needs_command && self.access.command.is_empty() {
            return Err(Error::NoCommand { path: path.to_owned() });
        }
        let (min_span, window) = (*self.policy.min_span, *self.policy.window);
        if min_span.0 >= window.0 {
            return Err(Error::Never { path: path.to_owned(), min_span, window });
        }
        let span = *self.receiving.min_span;
        if *self.receiving.enabled && span.0 >= window.0 {
            return Err(Error::NeverReceiving { path: path.to_owned(), min_span: span, window });
        }
        self.check_fleet(path)?;
        let patterns = &*self.log.pattern;
        if patterns.len() > MOST_PATTERNS {
            return Err(Error::ManyPatterns { path: path.to_owned() });
        }
        let mut names = std::collections::HashSet::new();
        if let Some(twice) = patterns.iter().find(|pattern| !names.insert(&*pattern.name)) {
            return Err(Error::PatternTwice { path: path.to_owned(), name: twice.name.clone() });
        }
        let look_every = *self.access.look_every;
        if look_every < LEAST_BETWEEN_LOOKS {
            return Err(Error::TooOften { path: path.to_owned(), look_every });
        }
        let probe_every = *self.entry.probe_every;
        if probe_every < LEAST_BETWEEN_LOOKS {
            return Err(Error::ProbedTooOften { path: path.to_owned(), probe_every });
        }
        if !self.notice.mail_to.0.is_empty() && !self.notice.command.is_empty() {
            return Err(Error::ToldTwice { path: path.to_owned() });
        }
        let every = *self.notice.every;
        if every < LEAST_BETWEEN_LOOKS {
            return Err(Error::ToldTooOften { path: path.to_owned(), every });
        }
        let mut logs = std::collections::HashSet::new();
        for log in &self.log.path.0 {
            if !logs.insert(log.canonicalize().unwrap_or_else(|_| log.clone())) {
                return Err(Error::Twice { path: path.to_owned(), log: log.clone() });
            }
        }
        Ok(())
    }

    /// The rules that the policy is handed.
    pub fn rules(&self) -> Rules {
        Rules {
            failures: self.policy.failures.0,
            window: self.policy.window.0,
            min_span: self.policy.min_span.0,
            never: NeverList(self.policy.never.iter().map(|item| item.0.clone()).collect()),
            key: (*self.access.key).into(),
            remedy: (*self.entry.remedy).into(),
            hold_off: self.policy.hold_off.0,
            put_back_every: self.access.put_back_every.0,
            max_relays: usize::try_from(self.policy.max_relays.0).unwrap_or(usize::MAX),
            probe: *self.policy.probe,
            life: rules::Life {
                ttl: self.entry.ttl.0,
                probe_every: self.entry.probe_every.0,
                unused_after: self.entry.unused_after.0,
                ..rules::Life::default()
            },
            guards: rules::Guards {
                weak_min_span: self.guards.weak_min_span.0,
                trusted_for: self.guards.trusted_for.0,
                trusted_min_span: self.guards.trusted_min_span.0,
                burst_relays: self.guards.burst_relays.0,
                burst_share: self.guards.burst_share.0,
                max_entries: self.guards.max_entries.0,
                max_per_hour: self.guards.max_per_hour.0,
            },
            receiving: self.receiving.enabled.then(|| ReceivingRules {
                min_span: self.receiving.min_span.0,
                key: *self.receiving.key,
                ttl: self.receiving.ttl.0,
                max_clients: usize::try_from(self.receiving.max_clients.0).unwrap_or(usize::MAX),
            }),
            fleet: self.fleet(&self.ldap.host),
        }
    }

    /// The operator's patterns over the log.
    pub fn patterns(&self) -> Patterns {
        Patterns::new(self.log.pattern.iter().map(|pattern| pattern.compiled.clone()))
    }

    /// How DNS is asked, and how policies are fetched.
    pub fn resolver(&self) -> facts::Settings {
        facts::Settings {
            servers: self.dns.servers.iter().map(|server| server.0.0).collect(),
            timeout: self.dns.timeout.to_std(),
            trusted: self.dns.trusted.iter().map(|address| address.0.0).collect(),
            dnssec: (*self.dns.dnssec).into(),
            trust_anchor: self.dns.trust_anchor.0.as_ref().map(|path| path.0.clone()),
            sts_private: *self.mta_sts.private_addresses,
            ca_file: self.mta_sts.ca_file.0.as_ref().map(|path| path.0.clone()),
            ..facts::Settings::default()
        }
    }

    /// Every key with its value and where that comes from.
    pub fn shown(&self) -> Vec<Shown> {
        [
            self.top.shown(),
            self.log.shown(),
            self.policy.shown(),
            self.access.shown(),
            self.ldap.shown(),
            self.fleet.shown(),
            self.guards.shown(),
            self.entry.shown(),
            self.flush.shown(),
            self.receiving.shown(),
            self.dns.shown(),
            self.mta_sts.shown(),
            self.ledger.shown(),
            self.control.shown(),
            self.status.shown(),
            self.notice.shown(),
        ]
        .concat()
    }

    /// The keys that are accepted and do nothing yet.
    pub const IDLE_KEYS: &[&str] = &[];
}

/// `trytlsd.d/*.toml` beside `trytlsd.toml`, sorted by name; none if there is no such folder.
fn drop_ins(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let folder = path.with_extension("d");
    let failed = |source| Error::Read { path: folder.clone(), source };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
