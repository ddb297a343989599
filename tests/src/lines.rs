//! Lines as sendmail writes them now: a failed delivery, a handshake that worked.

use jiff::Timestamp;

/// A failure in its two lines: the broken STARTTLS, and the mail that waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The ruleset line.
    pub ruleset: String,
    /// The delivery line.
    pub delivery: String,
}

impl Failure {
    /// A failure of the relay at the address, seen by the process `pid` now.
    #[must_use]
    pub fn by(pid: u32, relay: &str, address: &str) -> Self {
        Self::after(&prefix(pid), pid, relay, address)
    }

    /// The same, as it was logged then.
    #[must_use]
    pub fn at(at: Timestamp, relay: &str, address: &str) -> Self {
        let pid = 276;
        Self::after(&format!("{at:.6} mx1 sm-mta[{pid}]: "), pid, relay, address)
    }

    fn after(prefix: &str, pid: u32, relay: &str, address: &str) -> Self {
        Self {
            ruleset: format!(
                "{prefix}STARTTLS=client, error: connect failed=-1, reason=wrong version number, SSL_error=1, errno=0, retry=-1\n\
                 {prefix}ruleset=tls_server, arg1=SOFTWARE, relay={relay}, reject=454 4.7.0 TLS handshake failed.\n"
            ),
            delivery: format!(
                "{prefix}6ANBUDwd{pid:06}: to=<u@example.org>, delay=00:00:00, xdelay=00:00:00, mailer=esmtp, \
                 pri=30078, relay={relay}. [{address}], dsn=4.7.0, stat=Deferred: 454 4.7.0 TLS handshake failed.\n"
            ),
        }
    }
}

/// Both lines of a failure.
#[must_use]
pub fn failure(relay: &str, address: &str) -> String {
    let Failure { ruleset, delivery } = Failure::by(276, relay, address);
    ruleset + &delivery
}

/// A handshake with the relay that worked.
#[must_use]
pub fn success(relay: &str) -> String {
    let prefix = prefix(276);
    format!(
        "{prefix}STARTTLS=client, relay={relay}., version=TLSv1.3, verify=OK, cipher=TLS_AES_256_GCM_SHA384, bits=256/256\n"
    )
}

/// A handshake with the relay at the address that worked, and the delivery after it.
#[must_use]
pub fn delivered(relay: &str, address: &str) -> String {
    let prefix = prefix(276);
    success(relay)
        + &format!(
            "{prefix}6ANBUDwd000277: to=<u@example.org>, delay=00:00:00, xdelay=00:00:00, mailer=esmtp, \
             pri=30078, relay={relay}. [{address}], dsn=2.0.0, stat=Sent (ok)\n"
        )
}

/// What stands before the message of a line that the process `pid` writes now.
#[expect(clippy::disallowed_methods, reason = "the lines are written now")]
pub(crate) fn prefix(pid: u32) -> String {
    format!("{:.6} mx1 sm-mta[{pid}]: ", Timestamp::now())
}
