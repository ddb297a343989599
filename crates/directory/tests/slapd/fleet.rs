//! docs/fleet.md, done as it stands there: its slapd.conf, its LDIF and its commands make two servers and a replica.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, net};

use directory::{
    Added, Answer, Bind, Changed, Directory, Error, Kind, Look, Says, Server, Settings,
};
use tempfile::TempDir;

use crate::certificate::Authority;
use crate::lab::{BASE, entry, set_mode, write_file};
use crate::need;

const MANUAL: &str = include_str!("../../../../docs/fleet.md");

/// The passwords that the page leaves to the reader.
const REPLICATOR: &str = "as you like it";

/// Commands that are for a host of its own.
const ELSEWHERE: [&str; 3] = ["apt install", "systemctl stop", "install -d"];

/// The texts in blocks of this kind.
fn blocks(kind: &str) -> impl Iterator<Item = &'static str> {
    let fence = format!("```{kind}\n");
    let mut rest = MANUAL;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&fence)?;
        let (block, after) = after.split_once("```")?;
        rest = after;
        Some(block)
    })
}

/// One slapd.
struct Host {
    folder: PathBuf,
    child: Child,
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Host {
    fn socket(&self) -> Server {
        Server::Local(self.folder.join("ldapi"))
    }
}

/// What the page makes.
struct Fleet {
    folder: TempDir,
    tools: PathBuf,
    urls: [String; 2],
    /// Two that take writes, and a replica.
    hosts: Vec<Host>,
}

impl Fleet {
    fn new(test: &str) -> Option<Self> {
        let Some(tools) = env::var_os("TRYTLSD_SLAPD") else {
            need::skip(test, "TRYTLSD_SLAPD is not set (tests/bed/slapd)");
            return None;
        };
        let folder = tempfile::tempdir().expect("folder");
        Authority::new(folder.path());
        let free = [0; 2].map(|_| net::TcpListener::bind("127.0.0.1:0").expect("port"));
        let urls = free.map(|free| {
            format!("ldaps://127.0.0.1:{}", free.local_addr().expect("address").port())
        });
        let mut fleet = Self { folder, tools: tools.into(), urls, hosts: Vec::new() };
        let [config] = blocks("slapd").collect::<Vec<_>>().try_into().expect("one slapd.conf");
        for number in 0..2 {
            fleet.hosts.push(fleet.start(config, &fleet.urls[number]));
        }
        fleet.follow_the_page();
        let replica: String = config
            .lines()
            .filter(|line| !line.starts_with("serverID"))
            .map(|line| match line {
                "multiprovider on" => "updateref ldaps://ldap1.example.org\n".to_owned(),
                line => format!("{line}\n"),
            })
            .collect();
        let replica = fleet.start(&replica, "");
        fleet.hosts.push(replica);
        Some(fleet)
    }

    /// Starts a slapd by the page's file, with what is of this host in the place of what is of theirs.
    #[expect(clippy::disallowed_methods, reason = "a server that must outlive the call")]
    fn start(&self, config: &str, url: &str) -> Host {
        let folder = self.folder.path().join(format!("host{}", self.hosts.len()));
        for database in ["votes", "map"] {
            fs::create_dir_all(folder.join("lib").join(database)).expect("folder");
        }
        let home = self.tools.parent().expect("home").display().to_string();
        let path = |path: &Path| path.display().to_string();
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let mut text = config.to_owned();
        for (theirs, ours) in [
            ("/etc/ldap/schema", format!("{home}/schema")),
            ("/usr/lib/ldap", format!("{home}/modules")),
            ("/etc/ldap/tls", path(self.folder.path())),
            ("/var/lib/ldap", path(&folder.join("lib"))),
            ("/run/slapd", path(&folder)),
            ("ldaps://ldap1.example.org", self.urls[0].clone()),
            ("ldaps://ldap2.example.org", self.urls[1].clone()),
            ("gidNumber=0+uidNumber=0", format!("gidNumber={gid}+uidNumber={uid}")),
            ("credentials=REPLICATOR", format!("credentials=\"{REPLICATOR}\"")),
        ] {
            assert!(text.contains(theirs) || theirs.contains("ldap2"), "{theirs}");
            text = text.replace(theirs, &ours);
        }
        write_file(&folder.join("slapd.conf"), &text);
        let mut command = Command::new(self.tools.join("slapd"));
        let socket = Server::Local(folder.join("ldapi"));
        command.args(["-d", "0", "-h", &format!("{socket} {url}"), "-f"]);
        command.arg(folder.join("slapd.conf")).stdin(Stdio::null()).stdout(Stdio::null());
        let log = File::create(folder.join("log")).expect("log");
        let mut host = Host { child: command.stderr(log).spawn().expect("slapd"), folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(host.folder.join("ldapi")).is_err() {
            let log = || fs::read_to_string(host.folder.join("log")).expect("log");
            assert!(host.child.try_wait().expect("status").is_none(), "slapd ended: {}", log());
            assert!(Instant::now() < deadline, "slapd does not answer: {}", log());
            sleep(Duration::from_millis(10));
        }
        host
    }

    /// Runs the commands of the page, but those for a host of its own.
    fn follow_the_page(&self) {
        let file = |name: &str| self.folder.path().join(name);
        let mut ldif = blocks("ldif");
        write_file(&file("fleet.ldif"), ldif.next().expect("LDIF"));
        write_file(&file("replicator.password"), REPLICATOR);
        let mut ran = 0;
        for line in blocks("sh").flat_map(str::lines) {
            if ELSEWHERE.iter().any(|elsewhere| line.starts_with(elsewhere)) {
                continue;
            }
            ran += 1;
            if line.starts_with("ldapsearch") {
                // "A moment later."
                until(line, || self.runs(line, &self.hosts[1]).is_ok());
            } else {
                self.run(line, &self.hosts[0]);
            }
        }
        assert_eq!(ran, 7);
        // The admin's own entry.
        write_file(&file("own.ldif"), ldif.next().expect("an entry"));
        self.run("ldapadd -Q -Y EXTERNAL -H ldapi:/// -f own.ldif", &self.hosts[0]);
        for name in ["mta1.password", "mta2.password"] {
            set_mode(&file(name), 0o600);
        }
    }

    fn run(&self, line: &str, host: &Host) -> String {
        self.runs(line, host).unwrap_or_else(|said| panic!("{line}: {said}"))
    }

    /// What a line of the shell prints on a host, or how it complains.
    #[expect(clippy::disallowed_methods, reason = "a command that is known to end")]
    fn runs(&self, line: &str, host: &Host) -> Result<String, String> {
        let line = line.replace("ldapi:///", &host.socket().to_string());
        let path = env::var("PATH").expect("PATH");
        let mut command = Command::new("sh");
        command.args(["-euc", &line]).current_dir(self.folder.path());
        let done = command.env("PATH", format!("{}:{path}", self.tools.display())).output();
        let done = done.expect("sh");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
    }

    /// How an MTA uses these servers.
    fn settings(&self, mta: &str, servers: &[&str]) -> Settings {
        Settings {
            servers: servers.iter().map(|url| url.parse().expect("server")).collect(),
            base: BASE.into(),
            bind: Bind::Simple {
                dn: format!("cn={mta},ou=mtas,{BASE}").into(),
                password_file: self.folder.path().join(format!("{mta}.password")),
            },
            ca: Some(self.folder.path().join("ca.pem")),
            cluster: "mx".into(),
            host: format!("{mta}.example.org").into(),
            map: "access".into(),
            votes: "trytlsd".into(),
            vote_ttl: Duration::from_secs(3600),
            timeout: Duration::from_secs(10),
        }
    }

    /// As the page says: the first, and when it is gone the second.
    fn directory(&self, mta: &str) -> Directory {
        let [first, second] = &self.urls;
        Directory::new(self.settings(mta, &[first, second])).expect("settings")
    }

    /// At one server only.
    fn directory_at(&self, mta: &str, server: &str) -> Directory {
        Directory::new(self.settings(mta, &[server])).expect("settings")
    }
}

/// Waits until it is so: what one server has been told the others hear a moment later.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(100));
    }
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let error = outcome.expect_err("no rights");
    assert_eq!((error.kind, error.again), (Kind::NoRights, None), "{error}");
}

#[test]
fn the_page_makes_a_fleet() {
    let Some(mut fleet) = Fleet::new("fleet::the_page_makes_a_fleet") else { return };
    let mut mta1 = fleet.directory("mta1");
    // What the page shows is what trytlsd wants.
    assert!(MANUAL.contains(&fleet.settings("mta1", &[]).containers()));
    assert_eq!(mta1.add(&entry("mx.example.net")).expect("add"), Added::Written);
    mta1.vote("mx.example.net", &Says::Works, 0).expect("vote");

    // The second server and the replica hear of it.
    let second = fleet.urls[1].clone();
    let replica = fleet.hosts[2].socket().to_string();
    until("the second server is told", || {
        // Its accounts come from the first as well.
        let mut mta2 = fleet.directory_at("mta2", &second);
        mta2.look().is_ok_and(|look| look.ours == [entry("mx.example.net")])
            && mta2.votes().is_ok_and(|votes| votes.living.len() == 1)
    });
    let mut mta2 = fleet.directory_at("mta2", &second);
    let look = mta2.look().expect("look");
    assert!(look.conflicts.is_empty());
    let own = Answer::One { value: b"REJECT"[..].into(), ours: false };
    assert_eq!(mta2.lookup("From:spam.example").expect("lookup"), own);
    until("the replica is told", || {
        fleet.directory_at("mta2", &replica).look().is_ok_and(|seen| seen == look)
    });
    let error = fleet.directory_at("mta2", &replica).remove(&entry("mx.example.net").tagged());
    assert_eq!(error.expect_err("replica").kind, Kind::Elsewhere);

    // A vote is no news of the map, and what another server was told is.
    mta1.look().expect("look");
    mta1.vote("mx.example.com", &Says::Forbids, 0).expect("vote");
    assert!(mta1.is_unchanged().expect("asked"));
    assert_eq!(mta2.remove(&entry("mx.example.net").tagged()).expect("remove"), Changed::Done);
    until("the first server is told", || !mta1.is_unchanged().expect("asked"));
    until("the entry is gone", || mta1.look().expect("look").ours.is_empty());

    // Without the first server the second will do.
    drop(fleet.hosts.remove(0));
    assert_eq!(mta1.add(&entry("b.example")).expect("add"), Added::Written);
    let of = |look: Look| look.ours;
    assert_eq!(of(mta2.look().expect("look")), [entry("b.example")]);
}

#[test]
fn nobody_may_more_than_he_must() {
    let Some(fleet) = Fleet::new("fleet::nobody_may_more_than_he_must") else { return };
    let [first, _] = fleet.urls.clone();
    let vote_ttl = Duration::from_secs(1);
    let brief = Settings { vote_ttl, ..fleet.settings("mta1", &[&first]) };
    let mut mta1 = Directory::new(brief).expect("settings");
    mta1.vote("mx.example.net", &Says::Works, 0).expect("vote");
    mta1.vote("mx.example.net", &Says::Forbids, 0).expect("vote");
    // Nobody speaks for another.
    let host = "mta1.example.org".into();
    let thief = Settings { host, ..fleet.settings("mta2", &[&first]) };
    let mut thief = Directory::new(thief).expect("settings");
    refused(thief.vote("mx.example.net", &Says::Works, 0));
    refused(thief.vote("mx.example.com", &Says::Works, 0));
    refused(thief.votes());
    // But may bury his dead.
    let mut mta2 = fleet.directory("mta2");
    mta2.vote("mx.example.net", &Says::Works, 0).expect("vote");
    until("it is dead", || mta2.votes().expect("votes").dead.len() == 1);
    let dead = mta2.votes().expect("votes").dead;
    assert_eq!(mta2.reap(&dead, Duration::ZERO).expect("reap"), 1);
    assert_eq!(mta2.votes().expect("votes").living.len(), 1);

    // sendmail, whom nobody knows, is shown the map and nothing else.
    let seen = |filter: &str, base: &str| {
        let base = format!("{base}{BASE}");
        let line = format!("ldapsearch -x -LLL -H ldapi:/// -b '{base}' '{filter}' || [ $? = 32 ]");
        fleet.run(&line, &fleet.hosts[0])
    };
    assert_eq!(mta2.add(&entry("mx.example.net")).expect("add"), Added::Written);
    assert!(seen("(sendmailMTAKey=try_tls:mx.example.net)", "").contains("MapValue: NO"));
    let accounts = seen("(sn=*)", "");
    assert!(accounts.contains("cn=mta1,") && !accounts.contains("userPassword"), "{accounts}");
    let votes = "sendmailMTAMapName=trytlsd,sendmailMTACluster=mx,";
    assert_eq!(seen("(objectClass=*)", votes), "");
    // An MTA writes entries, and neither accounts nor the containers.
    let password = "-y mta1.password -D cn=mta1,ou=mtas,dc=example,dc=org";
    for (dn, change) in [
        (format!("cn=mta2,ou=mtas,{BASE}"), "replace: sn\nsn: x"),
        (format!("cn=mta1,ou=mtas,{BASE}"), "replace: userPassword\nuserPassword: x"),
        (
            format!("sendmailMTAMapName=access,sendmailMTACluster=mx,{BASE}"),
            "replace: description\ndescription: x",
        ),
        (
            format!("sendmailMTAKey=From:spam.example,sendmailMTACluster=mx,{BASE}"),
            "replace: sendmailMTAMapValue\nsendmailMTAMapValue: OK",
        ),
    ] {
        write_file(
            &fleet.folder.path().join("change"),
            &format!("dn: {dn}\nchangetype: modify\n{change}\n"),
        );
        // 50: insufficient access.
        let line = format!(
            "if ldapmodify -x {password} -H ldapi:/// -f change; then false; else [ $? = 50 ]; fi"
        );
        fleet.run(&line, &fleet.hosts[0]);
    }
    assert!(matches!(
        mta2.lookup("From:spam.example").expect("lookup"),
        Answer::One { ours: false, .. }
    ));
}
