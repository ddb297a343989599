//! A fleet: MTAs that read one access map from a directory, which two servers hold.
//!
//! Each MTA is a [`Bed`] of its own, with peers of the same names and addresses as at the others: to break a peer is to
//! break it for all. Each of the two directory servers ([`Slapd`]) is in a network of its own too, and wires lie between
//! each MTA and both, and between the two; nothing else is connected, and nothing reaches the host. Servers are
//! `ldap1.example.org` and `ldap2.example.org` (10.77.0.1, 10.77.0.2), MTAs `mta1.example.org` and so on (10.77.1.1).
//!
//! sendmail speaks ldaps, since it has no StartTLS; trytlsd and the servers among each other speak StartTLS.

use std::net::Ipv4Addr;
use std::time::Duration;

use access::managed::Managed;
use access::remedy::Tagged;
use anyhow::{Context as _, Result};
use directory::{Bind, Directory, Settings};

use crate::authority::Authority;
use crate::bed::{Bed, Plan};
use crate::mta::{ACCESS, Mta};
use crate::namespace::Namespace;
use crate::peers::{Channel, Mode, Peer};
use crate::slapd::{self, BASE, PASSWORD, Slapd};
use crate::trytlsd::Trytlsd;
use crate::{need, wait};

/// `confLDAP_CLUSTER`.
pub const CLUSTER: &str = "mx";

/// Where a bed has the certificate of who signs the servers'.
pub const CA: &str = "/etc/ldap/ca.pem";

/// Where a bed has the password of its MTA's bind DN.
pub const PASSWORD_FILE: &str = "/etc/trytlsd/ldap-password";

/// The longest that the servers may take to tell each other.
const LAG: Duration = Duration::from_secs(60);

/// A fleet that runs. All of it ends when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    mtas: Vec<Bed>,
    mta: Mta,
    servers: [Slapd; 2],
    ca: Vec<u8>,
}

/// The name of MTA 1, 2 … (`$j`).
#[must_use]
pub fn host(number: usize) -> String {
    format!("mta{number}.example.org")
}

/// Who MTA 1, 2 … is to the directory.
#[must_use]
pub fn bind_dn(number: usize) -> String {
    format!("cn=mta{number},ou=mtas,{BASE}")
}

/// The servers' URLs, as trytlsd is given them.
#[must_use]
pub fn servers() -> [String; 2] {
    [1, 2].map(|number| format!("ldap://{}", slapd::name(number)))
}

/// An entry as trytlsd makes it, for `Try_TLS:mx.example.net` and the like.
pub fn entry(key: &str) -> Result<Managed> {
    let Tagged { remedy, key } = key.parse().ok().with_context(|| format!("{key:?} is no key"))?;
    Ok(Managed {
        remedy,
        relay: key.to_string().into(),
        key,
        why: "3 stuck attempts: wrong version number".to_owned(),
        since: "2026-11-23T10:50:38Z".parse()?,
        until: Some("2036-11-23T10:50:38Z".parse()?),
    })
}

impl Fleet {
    /// So many MTAs, each set up like `mta` and with these peers; or say that the test `name` is skipped.
    ///
    /// # Panics
    /// When the fleet can be had and does not start, and under `CI=true` when it cannot be had.
    #[must_use]
    pub fn start_or_skip(name: &str, mtas: usize, peers: &[Peer], mta: &Mta) -> Option<Self> {
        let ready = slapd::tools().and_then(|tools| {
            let root = need::root()?;
            let make = || Namespace::new(&root, &[]).map_err(|error| format!("{error:#}"));
            Ok((tools, [make()?, make()?]))
        });
        let (tools, networks) = match ready {
            Ok(ready) => ready,
            Err(why) => {
                need::skip(name, &why);
                return None;
            }
        };
        let mta = mta.clone().ldap(CLUSTER, &default_spec());
        let beds: Vec<Bed> = (1..=mtas)
            .map(|number| {
                // sendmail looks for a name of each address of its host.
                let own = format!("host-record={},{}", host(number), address(number));
                plan(number, peers, &mta).dns(&own).start_or_skip(name)
            })
            .collect::<Option<_>>()?;
        let fleet = Authority::new().and_then(|authority| {
            let [one, two] = networks;
            let mut fleet = Self {
                mtas: beds,
                mta,
                ca: authority.pem()?,
                servers: [
                    Slapd::start_new(1, one, tools.clone(), &authority)?,
                    Slapd::start_new(2, two, tools, &authority)?,
                ],
            };
            fleet.furnish()?;
            Ok(fleet)
        });
        match fleet {
            Ok(fleet) => Some(fleet),
            Err(error) => panic!("the fleet for {name} does not start: {error:#}"),
        }
    }

    fn furnish(&mut self) -> Result<()> {
        let [one, two] = &self.servers;
        one.namespace().connect(slapd::address(1), two.namespace(), slapd::address(2))?;
        for (index, bed) in self.mtas.iter().enumerate() {
            for server in &self.servers {
                let to = slapd::address(server.number());
                bed.namespace().connect(address(index + 1), server.namespace(), to)?;
            }
            let inside = bed.namespace();
            inside.write(CA, &self.ca)?;
            inside.write("/etc/ldap/ldap.conf", format!("TLS_CACERT {CA}\n"))?;
            inside.write(PASSWORD_FILE, format!("{PASSWORD}\n"))?;
            bed.sh(&format!("chmod 600 {PASSWORD_FILE}"))?;
        }
        let containers = self.settings(1)?.containers();
        one.ldapadd(&(slapd::people(self.mtas.len()) + &containers))?;
        for line in ACCESS.lines().filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once('\t').context("a line of the access file")?;
            self.admin_writes(&format!("sendmailMTACluster: {CLUSTER}"), key, value.trim())?;
        }
        self.settle()
    }

    /// MTA 1, 2 …
    ///
    /// # Panics
    /// When there is none: a mistake in the test.
    #[must_use]
    pub fn mta(&self, number: usize) -> &Bed {
        let bed = number.checked_sub(1).and_then(|index| self.mtas.get(index));
        bed.unwrap_or_else(|| panic!("there is no MTA {number}"))
    }

    /// All MTAs.
    #[must_use]
    pub fn mtas(&self) -> &[Bed] {
        &self.mtas
    }

    /// Directory server 1 or 2.
    ///
    /// # Panics
    /// When there is none: a mistake in the test.
    #[must_use]
    pub fn server(&self, number: usize) -> &Slapd {
        let server = self.servers.iter().find(|server| server.number() == number);
        server.unwrap_or_else(|| panic!("there is no directory server {number}"))
    }

    /// From now on STARTTLS is broken at this peer, for all MTAs.
    pub fn breaks(&self, peer: &str) -> Result<()> {
        self.mtas.iter().try_for_each(|bed| bed.set_peer(peer, Mode::Garbage))
    }

    /// From now on it works again, for all.
    pub fn mends(&self, peer: &str) -> Result<()> {
        self.mtas.iter().try_for_each(|bed| bed.set_peer(peer, Mode::Tls))
    }

    /// sendmail of this MTA alone has ciphers from now on that no peer has: good peers are broken to it. The directory is
    /// reached as before, since this is in sendmail.cf and not OpenSSL's own configuration.
    pub fn break_openssl(&self, mta: usize) -> Result<()> {
        let broken = named(mta, &self.mta)
            .m4("define(`confCIPHER_LIST', `ECDHE-RSA-AES256-GCM-SHA384')dnl")
            .m4("define(`confCLIENT_SSL_OPTIONS', `+SSL_OP_NO_TLSv1_3')dnl");
        self.mta(mta).set_mta(&broken)
    }

    /// It is as at the start.
    pub fn mend_openssl(&self, mta: usize) -> Result<()> {
        self.mta(mta).set_mta(&named(mta, &self.mta))
    }

    /// Mail from every MTA to the peer; the queue ids.
    pub fn send(&self, peer: &str) -> Result<Vec<String>> {
        let recipient = format!("u@{peer}.rcpt.test");
        self.mtas.iter().map(|bed| bed.send(&[&recipient])).collect()
    }

    /// Waits until the peer has accepted so many messages over `channel` from every MTA.
    pub fn wait_accepted(
        &self,
        limit: Duration,
        peer: &str,
        channel: Channel,
        count: usize,
    ) -> Result<()> {
        self.mtas.iter().try_for_each(|bed| bed.wait_accepted(limit, peer, channel, count))
    }

    /// Kills a directory server (SIGKILL).
    pub fn kill_directory(&self, number: usize) -> Result<()> {
        self.server(number).kill()
    }

    /// Starts it again, with its data.
    pub fn start_directory(&self, number: usize) -> Result<()> {
        self.server(number).start()
    }

    /// The entries of the access map that the MTAs write, as the first server that runs has them:
    /// `Try_TLS:mx.example.net NO`.
    pub fn entries(&self) -> Result<Vec<String>> {
        self.living()?.entries()
    }

    /// What the MTAs say, as the first server that runs has it: `mta1.example.org mx.example.net v1 says=works …`.
    pub fn votes(&self) -> Result<Vec<String>> {
        self.living()?.votes()
    }

    fn living(&self) -> Result<&Slapd> {
        self.servers.iter().find(|server| server.runs()).context("no directory server runs")
    }

    /// Waits until both servers hold the same.
    pub fn settle(&self) -> Result<()> {
        let [one, two] = &self.servers;
        let same = wait::until(LAG, "two servers that hold the same", || {
            (one.all().ok()? == two.all().ok()?).then_some(())
        });
        same.with_context(|| {
            format!("{:#?}\n{:#?}\n{}\n{}", one.all(), two.all(), one.log(), two.log())
        })
    }

    /// The admin writes an entry for a scope: `sendmailMTACluster: mx`, `sendmailMTAHost: mta1.example.org`.
    pub fn admin_writes(&self, scope: &str, key: &str, value: &str) -> Result<()> {
        let (_, who) = scope.split_once(": ").context("a scope")?;
        self.living()?.ldapadd(&format!(
            "dn: cn={key} of {who},{BASE}\nobjectClass: sendmailMTAMapObject\n\
             objectClass: extensibleObject\nsendmailMTAMapName: access\n\
             sendmailMTAKey: {key}\nsendmailMTAMapValue: {value}\n{scope}\n\n"
        ))
    }

    /// How MTA 1, 2 … uses the directory, when the test itself does so in its network: the servers by their addresses,
    /// since names are resolved by the host.
    pub fn settings(&self, number: usize) -> Result<Settings> {
        let servers = [1, 2].map(|n| format!("ldap://{}", slapd::address(n)).parse());
        let inside = self.mta(number).namespace();
        Ok(Settings {
            servers: servers.into_iter().collect::<Result<_, _>>()?,
            base: BASE.into(),
            bind: Bind::Simple {
                dn: bind_dn(number).into(),
                password_file: inside.path(PASSWORD_FILE),
            },
            ca: Some(inside.path(CA)),
            cluster: CLUSTER.into(),
            host: host(number).into(),
            map: "access".into(),
            votes: "trytlsd".into(),
            vote_ttl: Duration::from_secs(86_400),
            timeout: Duration::from_secs(10),
        })
    }

    /// Work with the directory as MTA 1, 2 … does, in its network.
    pub fn with_directory<T: Send>(
        &self,
        number: usize,
        directory: &mut Directory,
        work: impl FnOnce(&mut Directory) -> Result<T, directory::Error> + Send,
    ) -> Result<T> {
        self.mta(number).namespace().inside(|| Ok(work(directory)?))
    }

    /// `trytlsd run` at an MTA.
    pub fn run_trytlsd(&self, number: usize, config: &str) -> Result<Trytlsd<'_>> {
        Trytlsd::run(self.mta(number), config)
    }
}

/// The bed of an MTA.
fn plan(number: usize, peers: &[Peer], mta: &Mta) -> Plan {
    let named = named(number, mta);
    let mut plan = Bed::new().mta(named).file("/etc/mail/ldap-secret", &format!("{PASSWORD}\n"));
    for server in [1, 2] {
        plan = plan.dns(&format!("host-record={},{}", slapd::name(server), slapd::address(server)));
    }
    peers.iter().fold(plan, |plan, peer| plan.peer(peer.clone()))
}

fn named(number: usize, mta: &Mta) -> Mta {
    mta.clone().host(&host(number))
}

/// `confLDAP_DEFAULT_SPEC`: both servers, the first one that answers; over TLS, with a name and a password of sendmail's
/// own, and with what limits there are (docs/fleet.md).
fn default_spec() -> String {
    let [one, two] = [1, 2].map(|number| format!("ldaps://{}", slapd::name(number)));
    format!(
        "-w 3 -c 10 -l 10 -H \"{one} {two}\" -d \"cn=sendmail,{BASE}\" -M simple -P /etc/mail/ldap-secret -b {BASE}"
    )
}

/// The address of MTA 1, 2 …
fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a4d_0100 + u32::try_from(number).unwrap_or(0))
}
