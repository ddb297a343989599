//! A small Internet of names: a root and zones below it, signed anew for every run, and unbound over them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Below it are the zones; above it nothing but the root.
const TOP: &str = "test";

/// How a zone is signed.
#[derive(Clone, Copy)]
enum Signed {
    /// By these options of ldns-signzone.
    By(&'static [&'static str]),
    /// By these, and then the text is changed: what is named first becomes what is second, the line that holds both
    /// goes.
    Spoilt(&'static str, &'static str),
    /// Only the zone above says so.
    OnlyAbove,
    Not,
}

// unbound 1.17 gives the NSEC record of a wildcard the name that was asked, if it is also the zone's own server and does
// not validate; hence `above.wild`, which is before `any.wild`, and `mx.star`, which is before `other.star`.
const ZONES: &[(&str, Signed, &str)] = &[
    (
        "secure",
        Signed::By(&[]),
        "mx A 192.0.2.1\n_25._tcp.mx TLSA 3 1 1 $HASH\n\
         plain A 192.0.2.2\nnodata A 192.0.2.3\n_25._tcp.nodata TXT none\n\
         alias CNAME mx\nalias2 CNAME alias\nto-plain CNAME plain\nto-nowhere CNAME nowhere\n\
         to-unsigned CNAME mx.unsigned.test.\nto-bogus CNAME mx.bogus.test.\n\
         _25._tcp.by-alias CNAME _25._tcp.mx\n_25._tcp.lost CNAME nowhere\n\
         _25._tcp.by-unsigned CNAME _25._tcp.mx.unsigned.test.\n\
         *.wild TLSA 3 1 1 $HASH\nabove.wild A 192.0.2.5\n\
         *.star CNAME plain\nmx.star A 192.0.2.4\n_25._tcp.mx.star TLSA 3 1 1 $HASH\n\
         loop CNAME loop2\nloop2 CNAME loop\n\
         child NS ns.test.\n",
    ),
    (
        "nsec3",
        Signed::By(&["-n", "-t", "0"]),
        "mx A 192.0.2.1\n_25._tcp.mx TLSA 3 1 1 $HASH\n\
         plain A 192.0.2.2\nnodata A 192.0.2.3\n_25._tcp.nodata TXT none\n\
         alias CNAME mx\nto-plain CNAME plain\n*.wild TLSA 3 1 1 $HASH\n\
         *.star CNAME plain\nmx.star A 192.0.2.4\n",
    ),
    ("costly", Signed::By(&["-n", "-t", "200"]), ZONE),
    ("expired", Signed::By(&["-i", "20200101000000", "-e", "20200201000000"]), ZONE),
    ("bogus", Signed::Spoilt(HASH, OTHER_HASH), ZONE),
    ("stripped", Signed::Spoilt("RRSIG\tTLSA", ""), ZONE),
    ("above", Signed::OnlyAbove, ZONE),
    ("unsigned", Signed::Not, ZONE),
    ("child.secure", Signed::Not, ZONE),
];

const ZONE: &str = "mx A 192.0.2.1\n_25._tcp.mx TLSA 3 1 1 $HASH\nplain A 192.0.2.2\n\
                    alias CNAME mx.secure.test.\n";

const HASH: &str = "0b9fa5a59eed715c26c1020c711b4f6ec42d58b0015e14337a39dad301c5afc3";
const OTHER_HASH: &str = "1b9fa5a59eed715c26c1020c711b4f6ec42d58b0015e14337a39dad301c5afc3";

/// The zones' files and the root's key.
pub(crate) struct Lab {
    tools: PathBuf,
    folder: TempDir,
}

/// A running unbound; ends when it is dropped.
pub(crate) struct Unbound {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Lab {
    /// Signs all zones with the tools in the folder.
    pub(crate) fn new(tools: &Path) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let lab = Self { tools: tools.to_path_buf(), folder };
        let mut top = String::new();
        let mut ds = String::new();
        for (name, signed, body) in ZONES {
            let own = lab.zone(&format!("{name}.{TOP}."), *signed, &body.replace("$HASH", HASH));
            if !name.contains('.') {
                writeln!(top, "{name} NS ns.{TOP}.").expect("text");
            }
            ds += &own;
        }
        // With opt-out, as top-level domains are.
        let by = Signed::By(&["-n", "-p", "-t", "0"]);
        let ds = lab.zone(&format!("{TOP}."), by, &(top + &ds));
        lab.zone(".", Signed::By(&[]), &format!("{TOP}. NS ns.{TOP}.\n{ds}"));
        lab
    }

    /// The root's key, as unbound and we read it.
    pub(crate) fn anchor(&self) -> PathBuf {
        self.path("root.key")
    }

    /// Starts unbound over the zones, on a free port of the address.
    pub(crate) fn unbound(&self, host: Ipv4Addr, validates: bool) -> Unbound {
        // A port that was free a moment ago may be another's now.
        let started = (0..10).find_map(|_| self.try_unbound(host, validates));
        started.unwrap_or_else(|| panic!("{}", fs::read_to_string(self.path("log")).expect("log")))
    }

    /// Waits until it listens; none if it ended instead.
    #[expect(clippy::disallowed_methods, reason = "a server that must outlive the call")]
    fn try_unbound(&self, host: Ipv4Addr, validates: bool) -> Option<Unbound> {
        let free = UdpSocket::bind((host, 0)).expect("port");
        let address = free.local_addr().expect("address");
        drop(free);
        let modules = if validates { "validator iterator" } else { "iterator" };
        let mut config = format!(
            "server:\n interface: {host}@{}\n port: {}\n access-control: 127.0.0.0/8 allow\n \
             so-reuseport: no\n do-ip6: no\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n \
             directory: \"{}\"\n use-syslog: no\n logfile: \"\"\n module-config: \"{modules}\"\n \
             local-zone: \"{TOP}.\" nodefault\n num-threads: 1\n trust-anchor-file: \"{}\"\n\
             remote-control:\n control-enable: no\n",
            address.port(),
            address.port(),
            self.folder.path().display(),
            self.anchor().display(),
        );
        let names = ZONES.iter().map(|(name, ..)| format!("{name}.{TOP}."));
        for name in names.chain([format!("{TOP}."), ".".to_owned()]) {
            writeln!(
                config,
                "auth-zone:\n name: \"{name}\"\n zonefile: \"{name}zone\"\n for-downstream: no\n \
                 for-upstream: yes\n fallback-enabled: no"
            )
            .expect("text");
        }
        let file = format!("unbound-{}.conf", address.port());
        self.write(&file, &config);
        let mut command = Command::new(self.tools.join("unbound"));
        command.arg("-d").arg("-c").arg(self.path(&file)).stdin(Stdio::null());
        let child = command.stderr(File::create(self.path("log")).expect("log")).spawn();
        let mut server = Unbound { child: child.expect("unbound"), address };
        while TcpStream::connect(address).is_err() {
            if server.child.try_wait().expect("status").is_some() {
                return None;
            }
            thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    /// Writes a zone, signed or not; its DS record for the zone above, if there is one.
    fn zone(&self, name: &str, signed: Signed, body: &str) -> String {
        let file = format!("{name}zone");
        self.write(
            &file,
            &format!(
                "$ORIGIN {name}\n$TTL 300\n@ SOA ns.{TOP}. admin.{TOP}. 1 3600 600 86400 60\n\
                 @ NS ns.{TOP}.\n{body}"
            ),
        );
        let options = match signed {
            Signed::Not => return String::new(),
            Signed::By(options) => options,
            Signed::Spoilt(..) | Signed::OnlyAbove => &[],
        };
        let key = self.run("ldns-keygen", &["-a", "ECDSAP256SHA256", "-k", name]);
        let key = key.trim();
        if name == "." {
            fs::copy(self.path(&format!("{key}.key")), self.anchor()).expect("copy");
        }
        let ds = fs::read_to_string(self.path(&format!("{key}.ds"))).expect("DS record");
        if matches!(signed, Signed::OnlyAbove) {
            return ds;
        }
        let out = format!("{name}signed");
        self.run("ldns-signzone", &[options, &["-o", name, "-f", &out, &file, key]].concat());
        let mut text = fs::read_to_string(self.path(&out)).expect("signed zone");
        if let Signed::Spoilt(from, to) = signed {
            assert!(text.contains(from), "nothing to spoil: {text}");
            let spoil = |line: &str| match to {
                "" if line.contains(from) => String::new(),
                "" => format!("{line}\n"),
                to => format!("{}\n", line.replace(from, to)),
            };
            text = text.lines().map(spoil).collect();
        }
        self.write(&file, &text);
        ds
    }

    /// What the tool prints.
    #[expect(clippy::disallowed_methods, reason = "a tool that is known to end")]
    fn run(&self, tool: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(self.tools.join(tool));
        let done = command.args(arguments).current_dir(self.folder.path()).output().expect(tool);
        let words = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{tool} {arguments:?}: {words}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let mut file = File::create(self.path(file)).expect("create");
        file.write_all(text.as_bytes()).expect("write");
    }
}
