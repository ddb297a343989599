//! Where a host keeps what trytlsd needs: sendmail.cf, the access map, the log. Found without a config.
//!
//! The log is where the syslog daemon's own rules send the facility `mail`; without a rule that can be read, where systems
//! usually have it. Of several the first that holds a line of sendmail's is taken. Rules are read line by line, in the
//! classic form (`mail.*  -/var/log/mail.log`, also of rsyslog) and where a line names `mail` and a file (rsyslog's
//! RainerScript, syslog-ng). Whatever else stands there is passed over: the worst is that a place is not found, which is
//! said.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sendmail::cf::{Cf, MapLine};

use super::sample;

/// Where sendmail.cf is, by age of the custom.
const CFS: [&str; 3] = ["/etc/mail/sendmail.cf", "/etc/sendmail.cf", "/usr/lib/sendmail.cf"];

/// The files of rules, and folders with more of them.
const RULES: [&str; 3] = ["/etc/rsyslog.conf", "/etc/syslog.conf", "/etc/syslog-ng/syslog-ng.conf"];
const RULE_FOLDERS: [&str; 2] = ["/etc/rsyslog.d", "/etc/syslog-ng/conf.d"];

/// Where systems have the log, if no rule says it: Debian, Red Hat, SUSE, and those that split nothing.
const LOGS: [&str; 5] = [
    "/var/log/mail.log",
    "/var/log/maillog",
    "/var/log/mail",
    "/var/log/syslog",
    "/var/log/messages",
];

/// Where the journal is, kept or not.
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Larger files of rules are not read.
const MAX_RULES: u64 = 1 << 20;

/// Beyond so many files in a folder nobody looks.
const MAX_FILES: usize = 200;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) cf: Option<PathBuf>,
    pub(crate) map: Option<MapPlace>,
    pub(crate) log: Option<LogPlace>,
    /// Whether systemd's journal is there.
    pub(crate) journal: bool,
}

/// A map that trytlsd could keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapPlace {
    /// As the K line has it, without `.db`.
    pub(crate) map: PathBuf,
    /// The K line's number.
    pub(crate) line: usize,
    pub(crate) class: String,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogPlace {
    pub(crate) path: PathBuf,
    /// Who says so.
    pub(crate) why: String,
    /// Whether sendmail's lines were seen in it.
    pub(crate) seen: bool,
}

impl Places {
    /// Looks below `root`, which is `/` but in tests; the paths that are found are those beneath it.
    pub(crate) fn look(root: &Path) -> Self {
        let cf = CFS.iter().find(|path| at(root, path).is_file()).map(PathBuf::from);
        let read = cf.as_ref().and_then(|path| Cf::read(&at(root, path)).ok());
        Self {
            map: read.as_ref().and_then(map_of),
            cf,
            log: log_of(root),
            journal: JOURNALS.iter().any(|path| at(root, path).is_dir()),
        }
    }
}

/// The file beneath the root.
fn at(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Of the maps that make up the access map the one that is to be kept: that of our own, if there is one, else the first
/// that can be built.
fn map_of(cf: &Cf) -> Option<MapPlace> {
    let leaves = cf.access.as_ref()?.leaves();
    let can = |line: &&&MapLine| matches!(&*line.class, "hash" | "btree" | "text");
    let ours = |line: &&&MapLine| {
        let name = line.path.as_ref().and_then(|path| path.file_name());
        name.is_some_and(|name| name.to_string_lossy().starts_with("trytls"))
    };
    let line = leaves.iter().filter(can).find(ours).or_else(|| leaves.iter().find(can))?;
    let path = line.path.as_ref()?;
    let map = if path.extension().is_some_and(|end| end == "db") {
        path.with_extension("")
    } else {
        path.clone()
    };
    Some(MapPlace { map, line: line.line, class: line.class.clone() })
}

/// The log: of all candidates the first in which sendmail is seen, else the first that is there.
fn log_of(root: &Path) -> Option<LogPlace> {
    let ruled = rules(root);
    let usual = LOGS.iter().map(|path| (PathBuf::from(path), "the usual place".to_owned()));
    let mut first = None;
    for (path, why) in ruled.into_iter().chain(usual) {
        let file = at(root, &path);
        if !file.is_file() {
            continue;
        }
        let seen = sample::take(&file).is_ok_and(|sample| sample.sendmail > 0);
        let place = LogPlace { path, why, seen };
        if seen {
            return Some(place);
        }
        first.get_or_insert(place);
    }
    first
}

/// What the files of rules say, with file and line.
fn rules(root: &Path) -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in RULE_FOLDERS {
        let Ok(entries) = fs::read_dir(at(root, folder)) else { continue };
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name())).take(MAX_FILES);
        let mut conf: Vec<PathBuf> = names.map(|name| Path::new(folder).join(name)).collect();
        conf.retain(|path| path.extension().is_some_and(|end| end == "conf"));
        conf.sort();
        files.extend(conf);
    }
    files.extend(RULES.map(PathBuf::from));
    let mut found = Vec::new();
    for path in files {
        let Some(text) = text_of(&at(root, &path)) else { continue };
        for (line, number) in text.split('\n').zip(1..) {
            let number: u32 = number;
            if let Some(log) = log_of_rule(line) {
                found.push((log, format!("{}, line {number}, sends mail there", path.display())));
            }
        }
    }
    found
}

fn text_of(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok()?.is_file().then(|| File::open(path).ok())??;
    let mut bytes = Vec::new();
    file.take(MAX_RULES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The file that a line sends mail to, from `info` on; none if it is no such line.
fn log_of_rule(line: &str) -> Option<PathBuf> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let mut words = line.split_ascii_whitespace();
    let (selector, action) = (words.next()?, words.next()?);
    let file = action.strip_prefix('-').unwrap_or(action);
    if file.starts_with('/') && selector.contains('.') {
        let file = file.split(';').next().unwrap_or(file);
        return selects_mail(selector).then(|| PathBuf::from(file));
    }
    // RainerScript: if … 'mail' … action(type="omfile" file="/var/log/mail.log")
    if line.contains("mail") {
        let quoted = line.split_once("file=\"").or_else(|| line.split_once("file(\""))?.1;
        let file = quoted.split('"').next().unwrap_or_default();
        return file.starts_with('/').then(|| PathBuf::from(file));
    }
    None
}

/// Whether a selector (`mail.*`, `*.info;mail.none`, `mail,news.info`) takes what sendmail logs about a delivery.
fn selects_mail(selector: &str) -> bool {
    let mut takes = false;
    for part in selector.split(';') {
        let Some((facilities, priority)) = part.rsplit_once('.') else { continue };
        if facilities.split(',').any(|facility| facility == "mail" || facility == "*") {
            takes = match priority {
                "none" => false,
                "*" | "debug" | "info" | "=info" => true,
                _ => takes && !facilities.contains("mail"),
            };
        }
    }
    takes
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn rules_of_syslog() {
        let check = |line: &str, expect: Option<&str>| {
            assert_eq!(log_of_rule(line), expect.map(PathBuf::from), "{line}");
        };
        check("mail.*\t\t\t\t-/var/log/mail.log", Some("/var/log/mail.log"));
        check(
            "mail.info /var/log/mail.info;RSYSLOG_TraditionalFileFormat",
            Some("/var/log/mail.info"),
        );
        check("*.info;mail.none;authpriv.none;cron.none  /var/log/messages", None);
        check("*.*;auth,authpriv.none\t\t-/var/log/syslog", Some("/var/log/syslog"));
        check("news,mail.* /m", Some("/m"));
        check("mail.err\t/var/log/mail.err", None);
        check("mail.=info /m", Some("/m"));
        check("mail.info;mail.none /m", None);
        check("auth,authpriv.*\t/var/log/auth.log", None);
        check("#mail.* /m", None);
        check("mail.* @loghost", None);
        check("*.emerg :omusrmsg:*", None);
        check(
            r#"if $syslogfacility-text == 'mail' then action(type="omfile" file="/var/log/m")"#,
            Some("/var/log/m"),
        );
        check(r#"destination d_mail { file("/var/log/mail.log"); };"#, Some("/var/log/mail.log"));
        check(r#"destination d_auth { file("/var/log/auth.log"); };"#, None);
        check(r#"module(load="imfile" mode="mail")"#, None);
        check("mail.*", None);
        check("", None);
        check("mail.* -", None);
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = at(root, path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    const LINE: &str = "Nov 23 11:30:13 lab sm-mta[276]: ruleset=tls_server, arg1=SOFTWARE, \
        relay=mx.example.org, reject=454 4.7.0 TLS handshake failed.\n";

    #[test]
    fn a_host_of_each_kind() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(Places::look(root), Places::default());

        // Red Hat's: the log is at its usual place.
        write(root, "/etc/mail/sendmail.cf", "Kaccess hash -T<TMPF> -o /etc/mail/access.db\n");
        write(root, "/var/log/maillog", "");
        write(root, "/var/log/messages", "Nov 23 11:30:13 lab kernel: x\n");
        let places = Places::look(root);
        let map = places.map.unwrap();
        assert_eq!((map.map, map.line, &*map.class), ("/etc/mail/access".into(), 1, "hash"));
        assert_eq!(places.cf, Some("/etc/mail/sendmail.cf".into()));
        let log = |root: &Path| Places::look(root).log.map(|log| (log.path, log.why, log.seen));
        let usual = "the usual place".to_owned();
        assert_eq!(log(root), Some(("/var/log/maillog".into(), usual.clone(), false)));

        // Where sendmail's lines are seen it is.
        write(root, "/var/log/messages", LINE);
        assert_eq!(log(root), Some(("/var/log/messages".into(), usual, true)));

        // A rule is asked first.
        write(root, "/etc/rsyslog.d/10-mine.conf", "# mine\nmail.*  -/srv/log/mta\n");
        write(root, "/srv/log/mta", LINE);
        let why = "/etc/rsyslog.d/10-mine.conf, line 2, sends mail there".to_owned();
        assert_eq!(log(root), Some(("/srv/log/mta".into(), why, true)));
    }

    #[test]
    fn the_map_that_is_ours() {
        let map = |text: &str| {
            let cf = Cf::parse(Path::new("cf"), text.as_bytes()).unwrap();
            map_of(&cf).map(|map| (map.map.display().to_string(), map.line))
        };
        let check = |text: &str, expect: Option<(&str, usize)>| {
            assert_eq!(map(text), expect.map(|(map, line)| (map.to_owned(), line)), "{text}");
        };
        check("Kaccess ldap x\n", None);
        check("Kaccess btree /a\n", Some(("/a", 1)));
        check(
            "Ka hash /a\nKb hash -o /etc/mail/trytlsd\nKaccess sequence a b\n",
            Some(("/etc/mail/trytlsd", 2)),
        );
        check("Ka ldap x\nKb hash -o /b\nKaccess sequence a b\n", Some(("/b", 2)));
        check("", None);
    }
}
