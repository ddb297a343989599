//! The bed's sendmail: its configuration as m4 text, and the processes that it is started as.
//!
//! Debian's own set-up (OSTYPE, DOMAIN, starttls.m4) with what a test cannot wait for shortened.

use crate::zone::HOST;

/// The access map that the tests begin with: the bed itself may relay and is not slowed down, as
/// Debian's DOMAIN(debian-mta) would.
pub const ACCESS: &str = "# the bed's access map\n\
    Connect:127\t\t\tRELAY\nConnect:IPv6:::1\t\tRELAY\nGreetPause:\t\t\t0\n\
    ClientRate:\t\t\t0\nClientConn:\t\t\t0\n";

/// Who runs the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// The daemon forks a runner every so many seconds (`-bd -q5s`): each opens the map anew.
    Daemon(u32),
    /// A process of its own that stays (`-qp5s`) and keeps the map open.
    Persistent(u32),
    /// Nobody but the test ([`crate::bed::Bed::flush`]).
    Nobody,
}

/// How sendmail is set up. `Mta::default()` is a daemon with a queue run each second.
#[derive(Debug, Clone)]
pub struct Mta {
    pub(crate) queue: Queue,
    pub(crate) mailertable: String,
    pub(crate) access: String,
    host_status: bool,
    fallback_to_clear: bool,
    starttls_timeout: u32,
    host: String,
    ldap: Option<Ldap>,
    extra: String,
}

/// Where an access map in LDAP is.
#[derive(Debug, Clone)]
struct Ldap {
    cluster: String,
    spec: String,
}

impl Default for Mta {
    fn default() -> Self {
        Self {
            queue: Queue::Daemon(1),
            mailertable: String::new(),
            access: ACCESS.to_owned(),
            host_status: false,
            fallback_to_clear: false,
            starttls_timeout: 4,
            host: HOST.to_owned(),
            ldap: None,
            extra: String::new(),
        }
    }
}

impl Mta {
    /// Who runs the queue.
    #[must_use]
    pub fn queue(self, queue: Queue) -> Self {
        Self { queue, ..self }
    }

    /// A line of the mailertable, as `smart("x.test", "esmtp:[garbage.mx.test]")`.
    #[must_use]
    pub fn mailer(mut self, domain: &str, mailer: &str) -> Self {
        self.mailertable.push_str(&format!("{domain}\t{mailer}\n"));
        self
    }

    /// The access file's text, instead of [`ACCESS`].
    #[must_use]
    pub fn access(self, text: &str) -> Self {
        Self { access: text.to_owned(), ..self }
    }

    /// With `HostStatusDirectory`: a host that failed is not tried again for 30 minutes.
    #[must_use]
    pub fn host_status(self) -> Self {
        Self { host_status: true, ..self }
    }

    /// With `TLSFallbacktoClear`: sendmail itself tries again without STARTTLS.
    #[must_use]
    pub fn fallback_to_clear(self) -> Self {
        Self { fallback_to_clear: true, ..self }
    }

    /// With ``FEATURE(`tls_session_features')``: `TLS_Clt_features:` entries are looked up.
    #[must_use]
    pub fn session_features(self) -> Self {
        self.m4("FEATURE(`tls_session_features')dnl")
    }

    /// `Timeout.starttls` in seconds, 4 unless told.
    #[must_use]
    pub fn starttls_timeout(self, seconds: u32) -> Self {
        Self { starttls_timeout: seconds, ..self }
    }

    /// Under this name (`$j`).
    #[must_use]
    pub fn host(self, name: &str) -> Self {
        Self { host: name.to_owned(), ..self }
    }

    /// With its access map in LDAP (``FEATURE(`access_db', `LDAP')``): that of `cluster`, by a default spec as
    /// `-w 3 -H ldaps://ldap1.example.org -b dc=example,dc=org`. The access file is then read by nobody.
    #[must_use]
    pub fn ldap(self, cluster: &str, spec: &str) -> Self {
        Self { ldap: Some(Ldap { cluster: cluster.to_owned(), spec: spec.to_owned() }), ..self }
    }

    /// Further m4 lines, before the mailers.
    #[must_use]
    pub fn m4(mut self, line: &str) -> Self {
        self.extra.push_str(line);
        self.extra.push('\n');
        self
    }

    /// The text of sendmail.mc.
    pub(crate) fn mc(&self) -> String {
        let status = if self.host_status {
            "define(`confHOST_STATUS_DIRECTORY', `/var/lib/sendmail/host_status')dnl"
        } else {
            "undefine(`confHOST_STATUS_DIRECTORY')dnl"
        };
        let fallback = if self.fallback_to_clear {
            "define(`confTLS_FALLBACK_TO_CLEAR', `True')dnl"
        } else {
            "dnl"
        };
        let access = match &self.ldap {
            None => "FEATURE(`access_db', `hash -T<TMPF> /etc/mail/access')dnl".to_owned(),
            Some(Ldap { cluster, spec }) => format!(
                "define(`confLDAP_CLUSTER', `{cluster}')dnl\n\
                 define(`confLDAP_DEFAULT_SPEC', `{spec}')dnl\nFEATURE(`access_db', `LDAP')dnl"
            ),
        };
        format!(
            "divert(0)dnl
define(`_USE_ETC_MAIL_')dnl
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
VERSIONID(`test bed')
OSTYPE(`debian')dnl
DOMAIN(`debian-mta')dnl
include(`/etc/mail/tls/starttls.m4')dnl
{status}
{fallback}
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Family=inet,  Name=MTA-v4, Port=smtp, Addr=127.0.0.1')dnl
DAEMON_OPTIONS(`Family=inet6, Name=MTA-v6, Port=smtp, Addr=::1')dnl
define(`confPRIVACY_FLAGS', `needmailhelo,authwarnings')dnl
define(`confDOMAIN_NAME', `{}')dnl
define(`confTO_STARTTLS', `{}s')dnl
define(`confMIN_QUEUE_AGE', `0')dnl
FEATURE(`use_cw_file')dnl
{access}
FEATURE(`mailertable', `hash -o /etc/mail/mailertable')dnl
{}MAILER_DEFINITIONS
MAILER(`local')dnl
MAILER(`smtp')dnl
",
            self.host, self.starttls_timeout, self.extra
        )
    }

    /// The shell commands that start sendmail.
    pub(crate) fn start(&self) -> String {
        let daemon = "/usr/sbin/sendmail -Am -L sm-mta -bd";
        match self.queue {
            Queue::Daemon(seconds) => format!("{daemon} -q{seconds}s\n"),
            Queue::Persistent(seconds) => {
                format!("{daemon}\n/usr/sbin/sendmail -Am -L sm-que -qp{seconds}s\n")
            }
            Queue::Nobody => format!("{daemon}\n"),
        }
    }
}
