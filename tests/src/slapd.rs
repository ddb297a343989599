//! One of the two directory servers of a fleet: a real slapd (Debian's, `tests/bed/slapd`) in a network of its own.
//!
//! Both take writes (multi-provider, once called mirror mode), and each is told by the other what it took. A provider and
//! a consumer that names it would not do: with the provider dead no MTA could write, and neither sendmail nor trytlsd
//! follows a referral. What may be done by whom is as in docs/fleet.md, in one database, and the objects that have to be there from
//! [`Settings::containers`]. Over the network nothing is said without TLS (`security ssf=64`); a socket in the server's
//! folder is there for the test itself, as the root of the directory.
//!
//! [`Settings::containers`]: directory::Settings::containers

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use directory::Server;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::namespace::{Namespace, command};
use crate::{need, wait};

/// Where sendmail searches.
pub const BASE: &str = "dc=example,dc=org";

/// The password of everybody who has one but root.
pub(crate) const PASSWORD: &str = "pass word";

/// The longest that a server may take to start, and to hear of what the other one took.
const LIMIT: Duration = Duration::from_secs(60);

/// Who reads what the other server took.
const REPLICATOR: &str = "cn=replicator,dc=example,dc=org";

/// Who may do what, as in docs/fleet.md.
const RIGHTS: &str = r#"access to attrs=userPassword by anonymous auth
access to dn.exact="sendmailMTAMapName=trytlsd,sendmailMTACluster=mx,dc=example,dc=org" attrs=children
  by dn.children="ou=mtas,dc=example,dc=org" write by * none
access to dn.regex="^(.+,)?sendmailMTAHost=([^,.]+)[.]example[.]org,sendmailMTAMapName=trytlsd,sendmailMTACluster=mx,dc=example,dc=org$"
  by dn.exact,expand="cn=$2,ou=mtas,dc=example,dc=org" write
  by dn.children="ou=mtas,dc=example,dc=org" =zrscxd by * none
access to dn.subtree="sendmailMTAMapName=access,sendmailMTACluster=mx,dc=example,dc=org"
  by dn.children="ou=mtas,dc=example,dc=org" write by * read
access to * by * read
"#;

/// A server. Ends, with its files, when it is dropped.
#[derive(Debug)]
pub struct Slapd {
    // The process goes first, while its network is there.
    child: Mutex<Option<Child>>,
    namespace: Namespace,
    folder: TempDir,
    tools: PathBuf,
    number: usize,
}

/// The folder of slapd and its tools: `$TRYTLSD_SLAPD`, else where `tests/bed/slapd` puts it. The error says why there is
/// none.
pub(crate) fn tools() -> Result<PathBuf, String> {
    let given = std::env::var_os("TRYTLSD_SLAPD").map(PathBuf::from);
    let bin = given.unwrap_or_else(|| need::repository().join("target/testbed/slapd/bin"));
    if bin.join("slapd").is_file() {
        Ok(bin)
    } else {
        Err(format!("no slapd in {} (tests/bed/slapd fetches it)", bin.display()))
    }
}

/// The address of server 1, 2.
pub(crate) fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a4d_0000 + u32::try_from(number).unwrap_or(0))
}

/// The name of server 1, 2, as its certificate has it beside the address.
pub(crate) fn name(number: usize) -> String {
    format!("ldap{number}.example.org")
}

impl Slapd {
    /// Server 1 or 2 of a pair, in `namespace`; it runs, empty.
    pub(crate) fn start_new(
        number: usize,
        namespace: Namespace,
        tools: PathBuf,
        authority: &Authority,
    ) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let server = Self { child: Mutex::new(None), namespace, folder, tools, number };
        let issued = authority.issue(&name(number), address(number))?;
        fs::create_dir(server.path("db"))?;
        write(&server.path("ca.pem"), &authority.pem()?)?;
        write(&server.path("server.pem"), &issued.certificate)?;
        write(&server.path("server.key"), &issued.key)?;
        write(&server.path("slapd.conf"), server.config()?.as_bytes())?;
        server.start()?;
        Ok(server)
    }

    /// The network that it is in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its number, 1 or 2.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    fn config(&self) -> Result<String> {
        let home = self.tools.parent().context("slapd's folder")?;
        let own = self.folder.path();
        let mut text = String::new();
        for schema in ["core", "cosine", "inetorgperson", "sendmail"] {
            text += &format!("include {}/schema/{schema}.schema\n", home.display());
        }
        let (number, other) = (self.number, address(3 - self.number));
        let (home, own, rights) = (home.display(), own.display(), RIGHTS);
        Ok(text
            + &format!(
                "modulepath {home}/modules\nmoduleload back_mdb\nmoduleload syncprov\n\
                 pidfile {own}/pid\n\
                 TLSCACertificateFile {own}/ca.pem\nTLSCertificateFile {own}/server.pem\n\
                 TLSCertificateKeyFile {own}/server.key\nsecurity ssf=64\nserverID {number}\n\
                 database mdb\nsuffix \"{BASE}\"\nrootdn \"cn=root,{BASE}\"\nrootpw secret\n\
                 directory {own}/db\nindex objectClass,entryCSN,entryUUID eq\n\
                 index sendmailMTAKey,sendmailMTAMapName eq\n\
                 limits dn.exact=\"{REPLICATOR}\" size=unlimited time=unlimited\n\
                 limits dn.children=\"ou=mtas,{BASE}\" size.prtotal=unlimited\n\
                 access to * by dn.exact=\"{REPLICATOR}\" read by * break\n{rights}\
                 syncrepl rid=1 provider=ldap://{other} starttls=critical tls_reqcert=demand\n\
                 \x20 tls_cacert={own}/ca.pem bindmethod=simple binddn=\"{REPLICATOR}\"\n\
                 \x20 credentials=\"{PASSWORD}\" searchbase=\"{BASE}\" type=refreshAndPersist\n\
                 \x20 retry=\"1 +\" network-timeout=5 timeout=10\n\
                 multiprovider on\noverlay syncprov\nsyncprov-sessionlog 1000\n"
            ))
    }

    /// Starts it with what it has, and waits until it answers.
    pub fn start(&self) -> Result<()> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(child.is_none(), "directory server {} runs already", self.number);
        let socket = self.path("ldapi");
        drop(fs::remove_file(&socket));
        // At all of its addresses: the wires come later.
        let urls = format!("{} ldap:/// ldaps:///", self.socket());
        let mut log = File::options();
        let log = log.create(true).append(true).open(self.path("log")).context("open a log")?;
        let mut started = self
            .namespace
            .host_command(self.tools.join("slapd"))
            .args(["-d", "none", "-h", &urls, "-f"])
            .arg(self.path("slapd.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start slapd")?;
        let answers = wait::until(LIMIT, "slapd's socket", || {
            if matches!(started.try_wait(), Ok(Some(_))) {
                return Some(false);
            }
            UnixStream::connect(&socket).is_ok().then_some(true)
        });
        *child = Some(started);
        ensure!(answers.with_context(|| self.log())?, "slapd ended: {}", self.log());
        Ok(())
    }

    /// Kills it (SIGKILL), as if its host had lost power.
    pub fn kill(&self) -> Result<()> {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut child) = child else { bail!("directory server {} does not run", self.number) };
        self.signal("KILL")?;
        child.wait().context("wait for slapd").map(drop)
    }

    /// Has it stand still ("STOP") or go on ("CONT").
    pub fn signal(&self, signal: &str) -> Result<()> {
        // Its own number for itself, which is that of its namespace.
        let pid = fs::read_to_string(self.path("pid")).context("read slapd's pid")?;
        self.namespace.sh(&format!("kill -s {signal} {}", pid.trim())).map(drop)
    }

    /// Whether it was started and not killed.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What it said on standard error.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The directory's root adds what the LDIF says.
    pub fn ldapadd(&self, ldif: &str) -> Result<()> {
        self.tool("ldapadd", &[], ldif).map(drop)
    }

    /// The directory's root changes it.
    pub fn ldapmodify(&self, ldif: &str) -> Result<()> {
        self.tool("ldapmodify", &[], ldif).map(drop)
    }

    /// What is there, as LDIF without folded lines; `attributes` of it, or all but those of the server's own.
    pub fn ldapsearch(&self, base: &str, filter: &str, attributes: &[&str]) -> Result<String> {
        let mut arguments = vec!["-LLL", "-o", "ldif-wrap=no", "-b", base, filter];
        arguments.extend(attributes);
        self.tool("ldapsearch", &arguments, "")
    }

    /// All that it holds, in no order that differs between two servers which hold the same.
    pub fn all(&self) -> Result<Vec<String>> {
        let text = self.ldapsearch(BASE, "(objectClass=*)", &["*", "entryCSN", "entryUUID"])?;
        let mut objects: Vec<String> = text
            .split("\n\n")
            .map(|object| {
                let mut lines: Vec<&str> = object.lines().collect();
                lines.sort_unstable();
                lines.join("\n")
            })
            .filter(|object| !object.is_empty())
            .collect();
        objects.sort_unstable();
        Ok(objects)
    }

    /// The entries of the access map below its container in the cluster, `Try_TLS:mx.example.net NO`, in order.
    pub fn entries(&self) -> Result<Vec<String>> {
        self.rows("access", |object| {
            Some(format!("{} {}", value(object, "sendmailMTAKey")?, {
                value(object, "sendmailMTAMapValue")?
            }))
        })
    }

    /// What the MTAs say, `mta1.example.org mx.example.net v1 says=works …`, in order.
    pub fn votes(&self) -> Result<Vec<String>> {
        self.rows("trytlsd", |object| {
            let (_, host) = value(object, "dn")?.split_once("sendmailMTAHost=")?;
            let (host, _) = host.split_once(',')?;
            let (relay, says) =
                (value(object, "sendmailMTAKey")?, value(object, "sendmailMTAMapValue")?);
            Some(format!("{host} {relay} {says}"))
        })
    }

    fn rows(&self, map: &str, row: impl Fn(&str) -> Option<String>) -> Result<Vec<String>> {
        let base = format!("sendmailMTAMapName={map},sendmailMTACluster=mx,{BASE}");
        let text = self.ldapsearch(&base, "(objectClass=sendmailMTAMapObject)", &[])?;
        let mut rows: Vec<String> = text
            .split("\n\n")
            .filter(|object| !object.trim().is_empty())
            .map(|object| row(object).with_context(|| format!("no row: {object}")))
            .collect::<Result<_>>()?;
        rows.sort_unstable();
        Ok(rows)
    }

    fn tool(&self, tool: &str, arguments: &[&str], input: &str) -> Result<String> {
        let root = format!("cn=root,{BASE}");
        let mut child = command(&self.tools.join(tool).to_string_lossy())
            .args(["-x", "-H", &self.socket(), "-D", &root, "-w", "secret"])
            .args(["-o", "nettimeout=20"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {tool}"))?;
        // All of these inputs fit a pipe.
        let mut stdin = child.stdin.take().context("the tool's input")?;
        stdin.write_all(input.as_bytes()).with_context(|| format!("feed {tool}"))?;
        drop(stdin);
        let done = child.wait_with_output().with_context(|| format!("wait for {tool}"))?;
        let wrong = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "{tool} at directory server {}: {wrong}", self.number);
        Ok(String::from_utf8(done.stdout)?)
    }

    fn socket(&self) -> String {
        Server::Local(self.path("ldapi")).to_string()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        if self.runs() {
            // Where this fails the end of its namespace does it.
            drop(self.kill());
        }
    }
}

/// What has to be there from the start on but sendmail's own objects, as LDIF: the servers' users and `mtas` MTAs.
pub(crate) fn people(mtas: usize) -> String {
    let person = |dn: &str, name: &str| {
        format!("dn: {dn}\nobjectClass: person\ncn: {name}\nsn: x\nuserPassword: {PASSWORD}\n\n")
    };
    let mut text = format!(
        "dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: x\n\n\
         dn: ou=mtas,{BASE}\nobjectClass: organizationalUnit\nou: mtas\n\n"
    );
    text += &person(REPLICATOR, "replicator");
    text += &person(&format!("cn=sendmail,{BASE}"), "sendmail");
    for number in 1..=mtas {
        text += &person(&format!("cn=mta{number},ou=mtas,{BASE}"), &format!("mta{number}"));
    }
    text
}

/// The value of an attribute of an object in LDIF.
fn value<'a>(object: &'a str, attribute: &str) -> Option<&'a str> {
    let head = format!("{attribute}: ");
    object.lines().find_map(|line| line.strip_prefix(head.as_str()))
}

/// A file that nobody else reads.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("make {}", path.display()))?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes).with_context(|| format!("write {}", path.display()))
}
