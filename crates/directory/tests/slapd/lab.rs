//! A real slapd in a folder of its own: what stands in it, how it is stopped, and who may do what.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use access::managed::Managed;
use access::remedy::Tagged;
use directory::{Bind, Directory, Server, Settings};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::certificate::Authority;
use crate::need;

/// Where sendmail searches.
pub(crate) const BASE: &str = "dc=example,dc=org";

/// Everybody's password but root's.
pub(crate) const PASSWORD: &str = "pass word";

/// What is special about a server.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// Further lines of slapd.conf, for the database.
    pub(crate) database: &'static str,
    /// What may be done by whom.
    pub(crate) access: &'static str,
    /// The kind of database.
    pub(crate) backend: &'static str,
    /// Whether it has sendmail's schema.
    pub(crate) schema: bool,
    /// How wrong its clock is, in libfaketime's words.
    pub(crate) clock: Option<&'static str>,
    /// Whether it has a certificate: for 127.0.0.1 and localhost.
    pub(crate) tls: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            database: "",
            access: "access to attrs=userPassword by anonymous auth\n\
                 access to * by dn.children=\"ou=mtas,dc=example,dc=org\" write by * read\n",
            backend: "mdb",
            schema: true,
            clock: None,
            tls: false,
        }
    }
}

/// A slapd; ends when it is dropped.
pub(crate) struct Slapd {
    tools: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    clock: Option<&'static str>,
    /// For `ldap://`.
    pub(crate) port: u16,
    /// For `ldaps://`.
    pub(crate) tls_port: u16,
    pub(crate) authority: Authority,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The server of a test, which is left out where there is no slapd.
pub(crate) fn slapd(test: &str) -> Option<Slapd> {
    slapd_like(test, &Wish::default())
}

/// The same of a special one.
pub(crate) fn slapd_like(test: &str, wish: &Wish) -> Option<Slapd> {
    let Some(tools) = env::var_os("TRYTLSD_SLAPD") else {
        need::skip(test, "TRYTLSD_SLAPD is not set (tests/bed/slapd)");
        return None;
    };
    let mut slapd = Slapd::new(PathBuf::from(tools), wish);
    slapd.start();
    let mut first = format!(
        "dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: x\n\n\
         dn: ou=mtas,{BASE}\nobjectClass: organizationalUnit\nou: mtas\n\n"
    );
    for mta in ["mta1", "mta2", "mta3"] {
        write!(
            first,
            "dn: cn={mta},ou=mtas,{BASE}\nobjectClass: person\ncn: {mta}\nsn: x\n\
             userPassword: {PASSWORD}\n\n"
        )
        .expect("text");
    }
    if wish.schema {
        first += &slapd.settings("mta1").containers();
    }
    slapd.ldapadd(&first);
    Some(slapd)
}

impl Slapd {
    fn new(tools: PathBuf, wish: &Wish) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let authority = Authority::new(folder.path());
        let free = [0; 2].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("port"));
        let [port, tls_port] = free.map(|free| free.local_addr().expect("address").port());
        let Wish { database, access, backend, schema, clock, tls } = wish;
        let home = tools.parent().expect("home");
        let mut config = String::new();
        let schemas: &[&str] = if *schema {
            &["core", "cosine", "inetorgperson", "sendmail"]
        } else {
            &["core", "cosine", "inetorgperson"]
        };
        for name in schemas {
            writeln!(config, "include {}/schema/{name}.schema", home.display()).expect("text");
        }
        writeln!(config, "modulepath {}/modules", home.display()).expect("text");
        if *backend == "mdb" {
            config += "moduleload back_mdb\n";
        }
        if *tls {
            let [ca, certificate, key] =
                ["ca.pem", "server.pem", "server.key"].map(|f| folder.path().join(f));
            writeln!(
                config,
                "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}",
                ca.display(),
                certificate.display(),
                key.display()
            )
            .expect("text");
        }
        write!(
            config,
            "database {backend}\nsuffix \"{BASE}\"\nrootdn \"cn=root,{BASE}\"\nrootpw secret\n\
             directory {}/db\n{database}{access}",
            folder.path().display()
        )
        .expect("text");
        fs::create_dir(folder.path().join("db")).expect("folder");
        write_file(&folder.path().join("slapd.conf"), &config);
        write_file(&folder.path().join("password"), &format!("{PASSWORD}\n"));
        set_mode(&folder.path().join("password"), 0o600);
        Self { tools, folder, child: None, clock: *clock, port, tls_port, authority }
    }

    /// Starts it, and waits until it answers.
    #[expect(clippy::disallowed_methods, reason = "a server that must outlive the call")]
    pub(crate) fn start(&mut self) {
        let mut command = Command::new(self.tools.join("slapd"));
        let tls = if self.path("slapd.conf").is_file() && self.has_tls() {
            format!(" ldaps://127.0.0.1:{}", self.tls_port)
        } else {
            String::new()
        };
        let urls = format!("{} ldap://127.0.0.1:{}{tls}", self.socket(), self.port);
        command.args(["-d", "0", "-h", &urls, "-f"]).arg(self.path("slapd.conf"));
        if let Some(clock) = self.clock {
            let library = self.tools.parent().expect("home").join("faketime");
            command.env("LD_PRELOAD", library).env("FAKETIME", clock);
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let log = File::create(self.path("log")).expect("log");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.expect("slapd"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(self.path("ldapi")).is_err() {
            let ended = self.child.as_mut().expect("slapd").try_wait().expect("status");
            let log = || fs::read_to_string(self.path("log")).expect("log");
            assert!(ended.is_none(), "slapd ended: {}", log());
            assert!(Instant::now() < deadline, "slapd does not answer: {}", log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn has_tls(&self) -> bool {
        fs::read_to_string(self.path("slapd.conf")).expect("config").contains("TLSCert")
    }

    /// Adds lines to the end of slapd.conf, for the next start.
    pub(crate) fn configure(&self, lines: &str) {
        let config = fs::read_to_string(self.path("slapd.conf")).expect("config");
        write_file(&self.path("slapd.conf"), &(config + lines));
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
            drop(fs::remove_file(self.path("ldapi")));
        }
    }

    /// Has it stand still, or go on.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("slapd");
        let pid = Pid::from_child(child);
        kill_process(pid, signal).expect("signal");
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn socket(&self) -> String {
        Server::Local(self.path("ldapi")).to_string()
    }

    /// How the MTA of this name uses it.
    pub(crate) fn settings(&self, mta: &str) -> Settings {
        Settings {
            servers: vec![Server::Local(self.path("ldapi"))],
            base: BASE.into(),
            bind: Bind::Simple {
                dn: format!("cn={mta},ou=mtas,{BASE}").into(),
                password_file: self.path("password"),
            },
            ca: None,
            cluster: "mx".into(),
            host: format!("{mta}.example.org").into(),
            map: "access".into(),
            votes: "trytlsd".into(),
            vote_ttl: Duration::from_secs(3600),
            timeout: Duration::from_secs(10),
        }
    }

    /// The directory, as the MTA of this name has it.
    pub(crate) fn directory(&self, mta: &str) -> Directory {
        Directory::new(self.settings(mta)).expect("settings")
    }

    /// The admin adds what the LDIF says.
    pub(crate) fn ldapadd(&self, ldif: &str) {
        self.tool("ldapadd", &[], ldif);
    }

    /// The admin changes it.
    pub(crate) fn ldapmodify(&self, ldif: &str) {
        self.tool("ldapmodify", &[], ldif);
    }

    /// What is there, by sendmail's schema, without line folding.
    pub(crate) fn ldapsearch(&self, filter: &str) -> String {
        self.tool("ldapsearch", &["-LLL", "-o", "ldif-wrap=no", "-b", BASE, filter], "")
    }

    /// The admin writes an entry for a scope: `sendmailMTACluster: mx`, `sendmailMTAHost: mta1.example.org`.
    pub(crate) fn admin_writes(&self, scope: &str, key: &str, value: &str) {
        let (_, who) = scope.split_once(": ").expect("scope");
        self.ldapadd(&format!(
            "dn: cn={key} of {who},{BASE}\nobjectClass: sendmailMTAMapObject\n\
             objectClass: extensibleObject\n\
             sendmailMTAMapName: access\nsendmailMTAKey: {key}\nsendmailMTAMapValue: {value}\n\
             {scope}\n\n"
        ));
    }

    #[expect(clippy::disallowed_methods, reason = "a tool that is known to end")]
    fn tool(&self, tool: &str, arguments: &[&str], input: &str) -> String {
        let root = format!("cn=root,{BASE}");
        let mut command = Command::new(self.tools.join(tool));
        command.args(["-x", "-H", &self.socket(), "-D", &root, "-w", "secret"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect(tool);
        let mut stdin = child.stdin.take().expect("stdin");
        let input = input.to_owned();
        let feeder = thread::spawn(move || stdin.write_all(input.as_bytes()).expect("input"));
        let done = child.wait_with_output().expect(tool);
        feeder.join().expect("input");
        assert!(done.status.success(), "{tool}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("text")
    }
}

/// Writes a file, whatever it was.
pub(crate) fn write_file(path: &Path, text: &str) {
    File::create(path).expect("create").write_all(text.as_bytes()).expect("write");
}

/// Gives a file these rights.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

/// An entry, `Try_TLS:` or another tag before the key, for the relay of that name.
pub(crate) fn entry(key: &str) -> Managed {
    let Tagged { remedy, key } = key.parse().expect("key");
    Managed {
        remedy,
        relay: key.to_string().into(),
        key,
        why: "3 stuck attempts: wrong version number (*\\)".to_owned(),
        since: "2026-11-23T10:50:38Z".parse().expect("time"),
        until: Some("2026-12-23T10:50:38Z".parse().expect("time")),
    }
}
