//! The host, looked at once: what the checks then judge. Nothing here judges, and nothing is changed.
//!
//! What `check-config` needs is a few `stat`s. What `doctor` needs beside it takes longer ([`Deep`]): sendmail and makemap
//! are run, the end of the log is read, DNS is asked. Each has its bound; what gives no answer says why.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, LogSource};
use facts::{Resolver, Surveyed};
use jiff::Timestamp;
use policy::fact::{Answer, Fact, Question, Tlsa};
use rustix::fs::Access;
use sendmail::about::{self, About};
use sendmail::child::{self, Child};
use sendmail::prove::{self, Mta, Proof, Target};

use super::places::Places;
use super::sample::{self, Sample};
use crate::asking::Answers;
use crate::clock;
use crate::finding::Said;
use crate::host::{self, Host};
use crate::journal;
use crate::notice;

/// sendmail is given so long to say its version, whatever the config says.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asked for TLSA records: a name that is there, in a zone that is signed, without such records. Its answer needs all that
/// an answer about a relay needs.
const SIGNED: &str = "arpa";

/// Where units are.
const UNITS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// A name for which nobody has an entry (RFC 2606).
const NOBODY: &str = "trytlsd-doctor.invalid";

/// The signs of a program that keeps the clock.
const TIME_KEEPERS: [(&str, &str); 5] = [
    ("/run/systemd/timesync/synchronized", "systemd-timesyncd"),
    ("/run/chrony/chronyd.pid", "chrony"),
    ("/run/chronyd.pid", "chrony"),
    ("/run/ntpd.pid", "ntpd"),
    ("/var/run/ntpd.pid", "ntpd"),
];

/// The host as it was found.
pub(crate) struct Seen {
    pub(crate) config: Config,
    pub(crate) host: Host,
    /// Each log of the config.
    pub(crate) logs: Vec<Node>,
    /// What was seen of the journal, where that is the log.
    pub(crate) journal: Option<Vec<Said>>,
    pub(crate) access: Node,
    /// The map's file; none where the class has none.
    pub(crate) map: Option<Node>,
    /// makemap, where it is.
    pub(crate) makemap: Option<PathBuf>,
    /// sendmail, where it is.
    pub(crate) sendmail: Option<PathBuf>,
    /// The folders above the map, from its own up to the root.
    pub(crate) folders: Vec<Node>,
    /// The folder of the ledger and the one above it.
    pub(crate) ledger: (Node, Node),
    /// What gives notices away; none if none are sent.
    pub(crate) sender: Option<Sender>,
    /// Only for the doctor.
    pub(crate) deep: Option<Deep>,
}

/// What gives notices away.
pub(crate) struct Sender {
    /// As the config names it.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) program: Option<PathBuf>,
    /// trytlsd is a service of systemd's, and the unit that starts it is not.
    pub(crate) unit_is_missing: bool,
}

/// What takes longer to see.
pub(crate) struct Deep {
    pub(crate) now: Timestamp,
    /// Where things are, found without the config.
    pub(crate) places: Places,
    /// What sendmail says of itself; none if there is none.
    pub(crate) about: Option<Result<About, String>>,
    /// What sendmail's `try_tls` says of a name for which nobody has an entry; none if it cannot be asked.
    pub(crate) asked: Option<Proof>,
    /// The classes that makemap can build.
    pub(crate) classes: Option<Result<Vec<String>, String>>,
    /// The ends of the logs, in the order of the config, each with the file it is of.
    pub(crate) samples: Vec<(PathBuf, Result<Sample, String>)>,
    /// The DNS servers, and what they say of TLSA records; none if they were not asked.
    pub(crate) dns: Option<(Vec<Surveyed>, Answer<Tlsa>)>,
    /// Who keeps the clock.
    pub(crate) time_keeper: Option<&'static str>,
    /// By whom we run; 0 is root.
    pub(crate) uid: u32,
}

/// A file or folder, or that it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) path: PathBuf,
    pub(crate) what: Result<Meta, String>,
}

/// What is known of one that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) kind: Kind,
    /// Whether the path itself is a symbolic link.
    pub(crate) link: bool,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) links: u64,
    /// In seconds since 1970.
    pub(crate) mtime: i64,
    /// Whether we may read it; why not.
    pub(crate) readable: Result<(), String>,
    /// Whether we may write to it.
    pub(crate) writable: bool,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Other,
}

impl Seen {
    /// What `check-config` needs.
    pub(crate) fn of_config(config: &Config) -> Self {
        let host = Host::look(config);
        let settings = host.settings(config);
        let map = host.has_map().then(|| Node::look(&settings.db()));
        let base = settings.db();
        let ledger = config.ledger.path.0.0.parent().unwrap_or(Path::new("/"));
        Self {
            logs: files(config).iter().map(|path| Node::look(path)).collect(),
            journal: (*config.log.source == LogSource::Journald).then(|| journal::look(config)),
            access: Node::look(&config.access.file.0.0),
            map,
            makemap: host::program(&config.access.makemap),
            sendmail: host::program(&config.access.sendmail),
            folders: base.ancestors().skip(1).map(Node::look).collect(),
            ledger: (Node::look(ledger), Node::look(ledger.parent().unwrap_or(Path::new("/")))),
            sender: notice::is_on(config).then(|| Sender::look(config)),
            config: config.clone(),
            host,
            deep: None,
        }
    }

    /// All of it. `dns`: whether DNS may be asked.
    ///
    /// # Errors
    /// If the network cannot be asked at all.
    pub(crate) fn whole(config: &Config, dns: bool) -> anyhow::Result<Self> {
        let mut seen = Self::of_config(config);
        let about = seen.sendmail.as_ref().map(|program| about::ask(&mta(config, program)));
        let answers = about.as_ref().is_some_and(Result::is_ok);
        let target = Target::new(NOBODY, None);
        let asked =
            seen.sendmail.as_ref().filter(|_| answers).zip(target).and_then(|(program, target)| {
                prove::prove(&mta(config, program), &[target]).into_iter().next()
            });
        seen.deep = Some(Deep {
            now: clock::now(),
            places: Places::look(Path::new("/")),
            about,
            asked,
            classes: seen.makemap.as_ref().map(|program| classes(program, config)),
            samples: files(config).iter().map(|path| sample_of(path)).collect(),
            dns: if dns { Some(ask_dns(config)?) } else { None },
            time_keeper: TIME_KEEPERS
                .iter()
                .find(|(sign, _)| Path::new(sign).exists())
                .map(|(_, keeper)| *keeper),
            uid: rustix::process::geteuid().as_raw(),
        });
        Ok(seen)
    }

    /// Whether trytlsd itself builds the map with makemap.
    pub(crate) fn builds(&self) -> bool {
        use config::RebuildWay::{Append, Replace};
        matches!(*self.config.access.rebuild, Replace | Append) && self.host.has_map()
    }
}

impl Sender {
    fn look(config: &Config) -> Self {
        let command = config.notice.command.first();
        let name = command.unwrap_or(&*config.access.sendmail).clone();
        let has = |unit: &str| UNITS.iter().any(|folder| Path::new(folder).join(unit).exists());
        let unit_is_missing = has("trytlsd.service") && !has(notice::UNIT);
        Self { program: host::program(&name), name, unit_is_missing }
    }
}

/// The logs that are files; none where the journal is the log.
fn files(config: &Config) -> &[PathBuf] {
    match *config.log.source {
        LogSource::File => &config.log.path.0,
        LogSource::Journald => &[],
    }
}

impl Node {
    /// Looks at it.
    pub(crate) fn look(path: &Path) -> Self {
        let what = Meta::look(path).map_err(|error| error.to_string());
        Self { path: path.to_owned(), what }
    }

    /// What is known, if it is a regular file.
    pub(crate) fn file(&self) -> Option<&Meta> {
        self.what.as_ref().ok().filter(|meta| meta.kind == Kind::File)
    }

    /// Whether it is a folder.
    pub(crate) fn is_folder(&self) -> bool {
        self.what.as_ref().is_ok_and(|meta| meta.kind == Kind::Folder)
    }
}

impl Meta {
    fn look(path: &Path) -> std::io::Result<Self> {
        let link = fs::symlink_metadata(path)?.is_symlink();
        let metadata = fs::metadata(path)?;
        let kind = match (metadata.is_file(), metadata.is_dir()) {
            (true, _) => Kind::File,
            (_, true) => Kind::Folder,
            _ => Kind::Other,
        };
        let readable = match kind {
            Kind::File => File::open(path).map(drop),
            Kind::Folder => fs::read_dir(path).map(drop),
            // To open a pipe would wait for its other end.
            Kind::Other => Ok(()),
        };
        Ok(Self {
            kind,
            link,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            links: metadata.nlink(),
            mtime: metadata.mtime(),
            readable: readable.map_err(|error| error.to_string()),
            writable: rustix::fs::access(path, Access::WRITE_OK).is_ok(),
        })
    }
}

fn mta<'a>(config: &'a Config, program: &'a Path) -> Mta<'a> {
    let timeout = config.access.timeout.to_std().min(PATIENCE);
    Mta { program, cf: &config.access.cf.0.0, timeout }
}

/// `makemap -l`: a class a line.
fn classes(program: &Path, config: &Config) -> Result<Vec<String>, String> {
    let output = child::run(&Child {
        program,
        args: &[OsStr::new("-l")],
        stdin: b"",
        timeout: config.access.timeout.to_std().min(PATIENCE),
        stdout_cap: 4096,
    });
    let output = output.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("makemap -l names no class: {said} ({})", output.status));
    }
    Ok(words)
}

/// The end of the log; that of the rotated one beside it if the log has just begun.
fn sample_of(path: &Path) -> (PathBuf, Result<Sample, String>) {
    let now = sample::take(path);
    if now.as_ref().is_ok_and(|sample| sample.lines == 0) {
        let mut before = path.as_os_str().to_owned();
        before.push(".1");
        let before = PathBuf::from(before);
        if let Ok(sample) = sample::take(&before)
            && sample.lines > 0
        {
            return (before, Ok(sample));
        }
    }
    (path.to_owned(), now.map_err(|error| error.to_string()))
}

fn ask_dns(config: &Config) -> anyhow::Result<(Vec<Surveyed>, Answer<Tlsa>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let resolver = Resolver::new(config.resolver());
    let surveyed = runtime.block_on(resolver.survey());
    let mut answers = Answers::over(config, Vec::new())?;
    let question = Question::Tlsa(SIGNED.into());
    answers.ask(HashSet::from([question.clone()]))?;
    let tlsa = match answers.get(&question) {
        Fact::Tlsa(_, answer) => answer,
        Fact::Ptr(..) | Fact::Sts(..) | Fact::Addresses(..) => Answer::NotAsked,
    };
    Ok((surveyed, tlsa))
}
