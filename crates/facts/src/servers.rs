//! Which DNS servers are asked: those of the config, or those of `resolv.conf`.
//!
//! `resolv.conf` changes under a running daemon (DHCP, a VPN, a resolver installed later). It is looked at again at
//! most every 30 s, and only when a question is asked, so a host where nothing happens is left alone. If it cannot be
//! read any more, the servers that were known stay. A host without it, or without a `nameserver` line in it, has its
//! server at 127.0.0.1 (resolv.conf(5)).

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::net::runtime::RuntimeProvider;
use tokio::time::Instant;

use crate::upstream::Upstream;

/// How often the file is looked at, at most.
const EVERY: Duration = Duration::from_secs(30);

/// Nobody's resolv.conf is larger; what comes after is not read.
const MAX_BYTES: u64 = 64 * 1024;

/// glibc uses three servers; more than a few only cost time when all are down.
const MAX_SERVERS: usize = 8;

/// What tells one state of a file from another.
type Stamp = Option<(u64, u64, i64, i64)>;

/// The servers and where they come from.
pub(crate) struct Servers<P: RuntimeProvider> {
    file: Option<PathBuf>,
    timeout: Duration,
    network: P,
    looked: Option<(Instant, Stamp)>,
    upstream: Arc<Upstream<P>>,
}

impl<P: RuntimeProvider> Servers<P> {
    /// The given servers, or those of the file if none are given. Reads nothing yet.
    pub(crate) fn new(
        given: Vec<SocketAddr>,
        file: PathBuf,
        timeout: Duration,
        network: P,
    ) -> Self {
        let upstream = Arc::new(Upstream::new(&given, timeout, &network));
        let file = given.is_empty().then_some(file);
        Self { file, timeout, network, looked: None, upstream }
    }

    fn of(&self, addresses: &[SocketAddr]) -> Arc<Upstream<P>> {
        Arc::new(Upstream::new(addresses, self.timeout, &self.network))
    }

    /// The servers as they are now. May read a small file, which is why nobody waits for it on the reading path.
    pub(crate) fn current(&mut self, now: Instant) -> Arc<Upstream<P>> {
        if let Some(file) = &self.file
            && self.looked.is_none_or(|(at, _)| now >= at + EVERY)
        {
            let stamp = stamp(file);
            let before = self.looked.replace((now, stamp));
            if before.is_none_or(|(_, known)| known != stamp) {
                match read(file) {
                    Ok(servers) => self.upstream = self.of(&servers),
                    Err(error) if before.is_none() || error.kind() == io::ErrorKind::NotFound => {
                        tracing::warn!(file = %file.display(), %error, "asking DNS at 127.0.0.1");
                        self.upstream = self.of(&[LOCAL]);
                    }
                    Err(error) => {
                        let servers = &self.upstream;
                        tracing::warn!(file = %file.display(), %error, ?servers, "DNS servers kept");
                    }
                }
            }
        }
        Arc::clone(&self.upstream)
    }
}

/// The server of a host that names none.
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

fn stamp(file: &Path) -> Stamp {
    let data = fs::metadata(file).ok()?;
    Some((data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
}

fn read(file: &Path) -> io::Result<Vec<SocketAddr>> {
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(parse(&bytes))
}

/// The `nameserver` lines; an address that cannot be used (a zone that is no number) is passed over.
fn parse(bytes: &[u8]) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in String::from_utf8_lossy(bytes).split('\n') {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        servers.extend(address.map(|address| SocketAddr::new(address, 53)));
    }
    servers.truncate(MAX_SERVERS);
    if servers.is_empty() {
        servers.push(LOCAL);
    }
    servers
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use hickory_resolver::net::runtime::TokioRuntimeProvider;

    use super::*;

    fn servers(given: Vec<SocketAddr>, file: PathBuf) -> Servers<TokioRuntimeProvider> {
        Servers::new(given, file, Duration::from_secs(3), TokioRuntimeProvider::default())
    }

    #[test]
    fn nameserver_lines() {
        fn check(text: &str, expect: &str) {
            let servers: Vec<_> = parse(text.as_bytes()).iter().map(|s| s.to_string()).collect();
            assert_eq!(servers.join(" "), expect, "{text}");
        }
        check("", "127.0.0.1:53");
        check("nameserver 192.0.2.53\n", "192.0.2.53:53");
        check(
            "nameserver\t192.0.2.53 # x\r\nnameserver 2001:db8::53",
            "192.0.2.53:53 [2001:db8::53]:53",
        );
        check("#nameserver 192.0.2.53\n;nameserver 192.0.2.54\n", "127.0.0.1:53");
        check("search a.example\nnameserver nonsense\nnameserver\n", "127.0.0.1:53");
        check("nameserver fe80::1%eth0\nnameserver 192.0.2.53", "192.0.2.53:53");
        check(&"nameserver 192.0.2.1\n".repeat(9), &["192.0.2.1:53"; 8].join(" "));
        assert_eq!(
            parse(b"nameserver 192.0.2.1\n\xff\0nameserver"),
            parse(b"nameserver 192.0.2.1")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn read_again_when_changed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("resolv.conf");
        let write = |text: &str| {
            let mut file = File::create(&path).expect("create");
            file.write_all(text.as_bytes()).expect("write");
        };
        let mut servers = servers(vec![], path.clone());
        let mut check = |expect: &str| {
            assert_eq!(format!("{:?}", servers.current(Instant::now())), expect);
        };
        let later = || tokio::time::advance(EVERY);
        check("[127.0.0.1:53]"); // no file yet
        write("nameserver 192.0.2.1");
        check("[127.0.0.1:53]"); // looked at a moment ago
        later().await;
        check("[192.0.2.1:53]");
        write("nameserver 192.0.2.2\n");
        later().await;
        check("[192.0.2.2:53]");
        fs::remove_file(&path).expect("remove");
        fs::create_dir(&path).expect("folder");
        later().await;
        check("[192.0.2.2:53]"); // unreadable: what was known stays
        fs::remove_dir(&path).expect("remove");
        later().await;
        check("[127.0.0.1:53]");
    }

    #[tokio::test(start_paused = true)]
    async fn unchanged_servers_keep_their_connections() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("resolv.conf");
        drop(File::create(&path));
        let mut servers = servers(vec![], path);
        let first = servers.current(Instant::now());
        tokio::time::advance(EVERY).await;
        assert!(Arc::ptr_eq(&first, &servers.current(Instant::now())));
    }

    #[test]
    fn given_servers_stay() {
        let given = vec!["192.0.2.1:5353".parse().expect("address")];
        let mut servers = servers(given, "/nonexistent".into());
        let shown = format!("{:?}", servers.current(Instant::now()));
        assert_eq!(shown, "[192.0.2.1:5353]");
    }
}
