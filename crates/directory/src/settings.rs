//! Where the directory is, who we are to it, and what of it is the fleet's.
//!
//! Below the base that sendmail searches stand three levels of ours, for each cluster its own, so that rights can be given
//! on them and nothing of another cluster is in the way:
//!
//! ```text
//! sendmailMTACluster=mx,dc=example,dc=org
//!   sendmailMTAMapName=access       our entries: sendmailMTAKey=Try_TLS:mx.example.net
//!   sendmailMTAMapName=trytlsd      what the MTAs say: sendmailMTAHost=mta1.example.org
//!                                     of each relay:   sendmailMTAKey=mx.example.net
//! ```
//!
//! The admin makes the first three ([`Settings::containers`]). His own entries may stand anywhere below the base, as they
//! always did.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dn::{self, below};
use crate::error::Error;
use crate::server::Server;
use crate::vote::MAX_TTL;

/// Bytes of a password at most.
const MAX_PASSWORD: u64 = 4096;

/// Steps (a connection, a page, a change) that a call may take the time of.
const STEPS: u32 = 12;

/// How a directory is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The servers, tried in this order.
    pub servers: Vec<Server>,
    /// Where sendmail searches (`confLDAP_DEFAULT_SPEC`, `-b`).
    pub base: Box<str>,
    /// Who we are to it.
    pub bind: Bind,
    /// Who signs the servers' certificates, PEM; none but these are believed. None: whom the system believes.
    pub ca: Option<PathBuf>,
    /// `confLDAP_CLUSTER`.
    pub cluster: Box<str>,
    /// The name of this MTA, `$j`.
    pub host: Box<str>,
    /// The name of the access map, as in `sendmailMTAMapName=access`.
    pub map: Box<str>,
    /// The name of the map that holds what the MTAs say. sendmail must have none of this name.
    pub votes: Box<str>,
    /// How long a statement of ours holds after it was last written.
    pub vote_ttl: Duration,
    /// How long the server may take for each step.
    pub timeout: Duration,
}

/// Who we are to the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// A name and a password.
    Simple {
        /// The distinguished name.
        dn: Box<str>,
        /// A file with the password, and nothing else but a line end. It is read for each connection.
        password_file: PathBuf,
    },
    /// The user that we run as, over a socket of this host.
    External,
}

impl Settings {
    /// The longest that a call may take.
    pub fn longest(&self) -> Duration {
        self.timeout.saturating_mul(STEPS)
    }

    /// What has to be in the directory before we can work, as LDIF.
    pub fn containers(&self) -> String {
        let container = |dn: String, class: &str, more: String| {
            format!(
                "dn: {dn}\nobjectClass: {class}\nsendmailMTACluster: {}\n{more}\n",
                self.cluster
            )
        };
        let map = |name: &str| {
            let more = format!("sendmailMTAMapName: {name}\n");
            container(self.container(name), "sendmailMTAMap", more)
        };
        let cluster = container(self.cluster_dn(), "sendmailMTA", String::new());
        cluster + &map(&self.map) + &map(&self.votes)
    }

    /// Whether they can be worked with.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let mistake = |words: &str| Err(Error::mistake(format!("the directory: {words}")));
        if self.servers.is_empty() {
            return mistake("no server is named");
        }
        let local = self.servers.iter().all(|server| matches!(server, Server::Local(_)));
        match &self.bind {
            Bind::External if !local => return mistake("EXTERNAL works over ldapi:// only"),
            Bind::Simple { dn, .. } if dn::parse(dn).is_none() => {
                return mistake("the bind DN is none");
            }
            Bind::External | Bind::Simple { .. } => {}
        }
        if dn::parse(&self.base).is_none() {
            return mistake("the base is no DN");
        }
        for name in [&self.cluster, &self.host, &self.map, &self.votes] {
            let plain = name.bytes().all(|b| b.is_ascii_graphic());
            if name.is_empty() || name.len() > 200 || !plain {
                return mistake(
                    "cluster, host and map need names of printable ASCII, without blanks",
                );
            }
        }
        if self.vote_ttl < Duration::from_secs(1) || self.vote_ttl > MAX_TTL {
            return mistake("what an MTA says has to hold for between a second and 30 days");
        }
        if self.map.eq_ignore_ascii_case(&self.votes) {
            return mistake("the map of the votes has to be another than the access map");
        }
        Ok(())
    }

    fn cluster_dn(&self) -> String {
        below(&self.base, "sendmailMTACluster", &self.cluster)
    }

    /// What the rows of a map stand under.
    pub(crate) fn container(&self, map: &str) -> String {
        below(&self.cluster_dn(), "sendmailMTAMapName", map)
    }
}

/// The password in the file, or why there is none to be had.
pub(crate) fn password(file: &Path) -> Result<String, String> {
    let fault = |why: &str| format!("{}: {why}", file.display());
    let meta = file.metadata().map_err(|error| fault(&error.to_string()))?;
    if !meta.is_file() {
        return Err(fault("it is no regular file")); // A pipe would be waited for.
    }
    let open = File::open(file).map_err(|error| fault(&error.to_string()))?;
    let meta = open.metadata().map_err(|error| fault(&error.to_string()))?;
    if meta.mode() & 0o007 != 0 {
        return Err(fault("its mode lets everybody at it (chmod 640)"));
    }
    let mut text = String::new();
    open.take(MAX_PASSWORD + 1)
        .read_to_string(&mut text)
        .map_err(|error| fault(&error.to_string()))?;
    if text.len() as u64 > MAX_PASSWORD {
        return Err(fault("it is too long for a password"));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    // With an empty one a server lets anybody in, as nobody.
    match line.strip_suffix('\r').unwrap_or(line) {
        "" => Err(fault("it is empty")),
        password if password.contains(['\n', '\0']) => Err(fault("it has more than one line")),
        password => Ok(password.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            servers: vec![Server::Local("/run/slapd/ldapi".into())],
            base: "dc=example,dc=org".into(),
            bind: Bind::External,
            ca: None,
            cluster: "mx".into(),
            host: "mta1.example.org".into(),
            map: "access".into(),
            votes: "trytlsd".into(),
            vote_ttl: Duration::from_secs(86_400),
            timeout: Duration::from_secs(10),
        }
    }

    #[test]
    fn what_cannot_be_worked_with_is_refused() {
        assert_eq!(settings().check(), Ok(()));
        let check = |change: fn(&mut Settings), expect: &str| {
            let mut settings = settings();
            change(&mut settings);
            let words = settings.check().unwrap_err().to_string();
            assert!(words.contains(expect), "{words}");
        };
        check(|s| s.servers.clear(), "no server");
        check(|s| s.servers.push("ldaps://a.example".parse().unwrap()), "ldapi:// only");
        check(|s| s.base = "example.org".into(), "base is no DN");
        check(|s| s.cluster = "".into(), "printable ASCII");
        check(|s| s.host = "a\nb".into(), "printable ASCII");
        check(|s| s.votes = "Access".into(), "another than");
        check(|s| s.vote_ttl = Duration::from_millis(999), "between a second");
        check(
            |s| s.bind = Bind::Simple { dn: "admin".into(), password_file: "/x".into() },
            "bind DN is none",
        );
    }

    #[test]
    fn containers() {
        let ldif = Settings { cluster: "a,b".into(), ..settings() }.containers();
        let expect = "dn: sendmailMTAMapName=access,sendmailMTACluster=a\\2cb,dc=example,dc=org\n\
            objectClass: sendmailMTAMap\nsendmailMTACluster: a,b\nsendmailMTAMapName: access\n\n";
        assert!(ldif.contains(expect), "{ldif}");
    }
}
