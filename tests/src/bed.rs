//! The bed: a real sendmail, a real rsyslog, a real DNS server and peers, in namespaces of the test's
//! own over a private copy of a small Debian root.
//!
//! A bed starts in about 0.15 s, is private to its test and leaves nothing behind: its
//! files are kept in memory, and with its first process everything in it ends.

use std::fs::File;
use std::net::IpAddr;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::certificate::{Validity, for_key};
use crate::dialogue::inject;
use crate::mta::Mta;
use crate::namespace::Namespace;
use crate::peers::{Channel, Mode, Peer, Peers};
use crate::{need, wait, zone};

/// The maillog in the bed, in Debian 12's format (RFC 3339 time stamps).
pub const MAILLOG: &str = "/var/log/mail.log";

/// The same lines with traditional time stamps (RFC 3164).
pub const MAILLOG_TRADITIONAL: &str = "/var/log/mail.trad.log";

/// The access file in the bed.
pub const ACCESS: &str = "/etc/mail/access";

/// The access map in the bed.
pub const ACCESS_DB: &str = "/etc/mail/access.db";

/// The certificate that sendmail shows to peers that ask for one, and its key: where Debian has them.
const CLIENT_CERT: &str = "/etc/mail/tls/sendmail-client.crt";
const CLIENT_KEY: &str = "/etc/mail/tls/sendmail-common.key";

/// What rsyslog does in the bed: Debian's actions without the kernel's log, which is the host's.
const RSYSLOG: &str = "module(load=\"imuxsock\")\n$FileOwner root\n$FileGroup adm\n\
    $FileCreateMode 0640\n$DirCreateMode 0755\n$Umask 0022\n$WorkDirectory /var/spool/rsyslog\n\
    mail.*\t-/var/log/mail.log\nmail.*\t-/var/log/mail.trad.log;RSYSLOG_TraditionalFileFormat\n";

/// How a new access map takes the place of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// `makemap hash access < access`: truncated and written anew under makemap's lock.
    InPlace,
    /// Built aside and renamed over, as Debian's `make -C /etc/mail` does.
    Rename,
    /// Renamed over, then the mtime of the old inode is raised: a sendmail that holds it notices.
    RenameAndTouch,
}

/// A bed to be: what stands in it.
#[derive(Debug, Default)]
pub struct Plan {
    peers: Vec<Peer>,
    dns: Vec<String>,
    mta: Mta,
    systemd: bool,
    files: Vec<(String, String)>,
}

impl Plan {
    /// With this peer.
    #[must_use]
    pub fn peer(mut self, peer: Peer) -> Self {
        self.peers.push(peer);
        self
    }

    /// With a further line of dnsmasq's configuration, as `mx-host=two.rcpt.test,good.mx.test,20`.
    #[must_use]
    pub fn dns(mut self, line: &str) -> Self {
        self.dns.push(line.to_owned());
        self
    }

    /// With a file that only root may read, there before sendmail starts.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// With sendmail set up like this.
    #[must_use]
    pub fn mta(self, mta: Mta) -> Self {
        Self { mta, ..self }
    }

    /// With systemd as its first process, and its journal.
    #[must_use]
    pub fn systemd(self) -> Self {
        Self { systemd: true, ..self }
    }

    /// Start it, or say that the test `name` is skipped, and give nothing.
    ///
    /// # Panics
    /// When the bed is there and does not start, and under `CI=true` when it is not there.
    #[must_use]
    pub fn start_or_skip(self, name: &str) -> Option<Bed> {
        let ready = need::root().and_then(|root| {
            // Namespaces that cannot be had are a lack; what fails in them later is a fault.
            let make = if self.systemd { Namespace::booted } else { Namespace::new };
            make(&root, &self.addresses()).map_err(|error| format!("{error:#}"))
        });
        match ready {
            Err(why) => {
                need::skip(name, &why);
                None
            }
            Ok(namespace) => match self.furnish(namespace) {
                Ok(bed) => Some(bed),
                Err(error) => panic!("the bed for {name} does not start: {error:#}"),
            },
        }
    }

    /// The peers' addresses that "lo" does not have by itself.
    fn addresses(&self) -> Vec<IpAddr> {
        let all = self.peers.iter().map(Peer::address);
        all.filter(|address| !address.is_loopback()).collect()
    }

    fn furnish(self, namespace: Namespace) -> Result<Bed> {
        // Under systemd the journal has /dev/log, and forwards to syslogd what comes in, as on Debian.
        let rsyslog = match self.systemd {
            true => RSYSLOG.replacen(
                "imuxsock\"",
                "imuxsock\" SysSock.Name=\"/run/systemd/journal/syslog\"",
                1,
            ),
            false => RSYSLOG.to_owned(),
        };
        namespace.write("/etc/rsyslog.conf", rsyslog)?;
        namespace.write("/etc/dnsmasq.conf", zone::dnsmasq(&self.peers, &self.dns))?;
        namespace
            .write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")?;
        namespace.write(
            "/etc/hosts",
            format!("127.0.0.1 {} lab localhost\n::1 localhost\n", zone::HOST),
        )?;
        namespace.write("/etc/mail/sendmail.mc", self.mta.mc())?;
        namespace.write("/etc/mail/mailertable", &self.mta.mailertable)?;
        namespace.write(ACCESS, &self.mta.access)?;
        // As Debian leaves them; the access file is readable by root alone.
        namespace.sh("
            # By itself it takes a second to go into the background.
            setsid rsyslogd -n -iNONE >/var/log/rsyslogd.out 2>&1 &
            dnsmasq --conf-file=/etc/dnsmasq.conf
            cd /etc/mail
            m4 sendmail.mc >sendmail.cf
            makemap hash mailertable <mailertable
            makemap hash access <access
            chown smmta:smmsp mailertable.db access.db
            mkdir -p /var/lib/sendmail/host_status /run/sendmail/mta /run/sendmail/stampdir
            chown smmta:smmsp /run/sendmail/mta /var/lib/sendmail/host_status
            syslog=/dev/log
            [ ! -d /run/systemd/system ] || syslog=/run/systemd/journal/syslog
            until [ -S $syslog ]; do sleep 0.01; done
        ")?;
        for (path, text) in &self.files {
            namespace.write(path, text)?;
            namespace.sh(&format!("chmod 600 {path}"))?;
        }
        let peers = Peers::start(&namespace, &self.peers)?;
        let bed = Bed { peers, namespace, mta: self.mta };
        bed.start_mta()?;
        Ok(bed)
    }
}

/// A bed that runs. Everything in it ends when it is dropped.
#[derive(Debug)]
pub struct Bed {
    // The peers go first: their threads end while the namespaces are still there.
    peers: Peers,
    namespace: Namespace,
    mta: Mta,
}

impl Bed {
    /// A bed to be.
    #[must_use]
    #[expect(clippy::new_ret_no_self, reason = "a bed is planned first, then started")]
    pub fn new() -> Plan {
        Plan::default()
    }

    /// The namespaces, to run programs and reach files in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The peers, to ask what they have seen.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Break or mend a peer: connections that come in from now on find it in `mode`.
    pub fn set_peer(&self, name: &str, mode: Mode) -> Result<()> {
        self.peers.set(&self.namespace, name, mode)
    }

    /// Run a program inside to its end, whatever its status.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<Output> {
        self.namespace.run(program, args)
    }

    /// Run a shell script inside that must succeed; gives what it printed.
    pub fn sh(&self, script: &str) -> Result<String> {
        self.namespace.sh(script)
    }

    /// Hand one message for all the recipients to sendmail by SMTP; gives its queue id.
    pub fn send(&self, recipients: &[&str]) -> Result<String> {
        self.namespace.inside(|| inject(recipients))
    }

    /// The maillog so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.namespace.read(MAILLOG)
    }

    /// Wait until `found` gives something for the maillog's text, at most `limit`.
    ///
    /// # Errors
    /// Names `what` was awaited and shows the maillog, for that is what one wants to see then.
    pub fn wait_log<T>(
        &self,
        limit: Duration,
        what: &str,
        found: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        wait::until(limit, what, || found(&self.log())).with_context(|| self.log())
    }

    /// Wait for a line of the maillog that has all of `parts`; gives the first.
    pub fn wait_line(&self, limit: Duration, parts: &[&str]) -> Result<String> {
        self.wait_log(limit, &format!("a line with {parts:?}"), |log| {
            log.split('\n')
                .find(|line| parts.iter().all(|part| line.contains(part)))
                .map(str::to_owned)
        })
    }

    /// Wait until the peer has accepted `count` messages over `channel`, at most `limit`.
    pub fn wait_accepted(
        &self,
        limit: Duration,
        peer: &str,
        channel: Channel,
        count: usize,
    ) -> Result<()> {
        wait::until(limit, &format!("{count} messages at {peer}, {channel:?}"), || {
            (self.peers.accepted(peer, channel) >= count).then_some(())
        })
        .with_context(|| self.log())
    }

    /// The queue ids of the messages that wait in the queue.
    pub fn queue(&self) -> Result<Vec<String>> {
        let list = self.sh("ls /var/spool/mqueue")?;
        Ok(list
            .split_whitespace()
            .filter_map(|file| file.strip_prefix("qf"))
            .map(str::to_owned)
            .collect())
    }

    /// Try every message in the queue now (`sendmail -q`), in the foreground.
    pub fn flush(&self) -> Result<()> {
        self.sh("/usr/sbin/sendmail -Am -q").map(drop)
    }

    /// Start sendmail as the plan says, and wait until it answers.
    pub fn start_mta(&self) -> Result<()> {
        // Asked of the kernel: a connection made only to see would stand in the maillog.
        let listening = "until ss -Hltn 'src = 127.0.0.1:25' | grep -q .; do sleep 0.02; done";
        self.sh(&(self.mta.start() + listening)).map(drop)
    }

    /// Set sendmail up like this from now on, and start it anew. Who runs the queue stays as it was.
    pub fn set_mta(&self, mta: &Mta) -> Result<()> {
        self.namespace.write("/etc/mail/sendmail.mc", mta.mc())?;
        self.sh("cd /etc/mail && m4 sendmail.mc >sendmail.cf")?;
        self.stop_mta()?;
        self.start_mta()
    }

    /// End sendmail: the daemon and the queue runner, and what they have forked.
    pub fn stop_mta(&self) -> Result<()> {
        // Inside the bed's own pid namespace there is no other sendmail than the bed's.
        self.sh("while pkill -x 'sendmail|sendmail-mta'; do sleep 0.05; done").map(drop)
    }

    /// Give sendmail another client certificate, for the key that it has, and start it anew.
    pub fn certify_mta(&self, validity: Validity) -> Result<()> {
        let certificate = for_key(&self.namespace.read(CLIENT_KEY), zone::HOST, validity)?;
        self.namespace.write(CLIENT_CERT, certificate)?;
        self.stop_mta()?;
        self.start_mta()
    }

    /// The text of the access file.
    #[must_use]
    pub fn access(&self) -> String {
        self.namespace.read(ACCESS)
    }

    /// Append lines to the access file, as an admin would, and rebuild the map.
    pub fn add_access(&self, lines: &str, replace: Replace) -> Result<()> {
        self.namespace.write(ACCESS, self.access() + lines)?;
        self.rebuild(replace)
    }

    /// Rebuild the access map from the access file.
    pub fn rebuild(&self, replace: Replace) -> Result<()> {
        if replace == Replace::InPlace {
            return self.sh("cd /etc/mail && makemap hash access <access").map(drop);
        }
        let old = File::options()
            .write(true)
            .open(self.namespace.path(ACCESS_DB))
            .context("open the live map")?;
        self.sh("cd /etc/mail
            makemap hash access.new <access
            chown smmta:smmsp access.new.db
            chmod 0640 access.new.db
            mv -f access.new.db access.db")?;
        if replace == Replace::RenameAndTouch {
            let then = old.metadata().context("stat the old map")?.modified()?;
            old.set_modified(then + Duration::from_secs(2)).context("touch the old map")?;
        }
        Ok(())
    }

    /// What an admin on Debian runs after editing: `make -C /etc/mail`.
    pub fn make(&self) -> Result<()> {
        let output = self.run("make", &["-C", "/etc/mail"])?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "make -C /etc/mail: {}\n{said}", output.status);
        Ok(())
    }

    /// What the live access map holds: `makemap -u`, lines of key, tab and value.
    pub fn map(&self) -> Result<String> {
        self.sh("makemap -u hash /etc/mail/access")
    }
}
