//! The lines of one failed delivery, as sendmail writes them now.

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
    /// A failure of the relay at the address, now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the lines are written now")]
    pub fn new(relay: &str, address: &str) -> Self {
        let stamp = format!("{:.6} mx1 sm-mta[276]: ", Timestamp::now());
        Self {
            ruleset: format!(
                "{stamp}ruleset=tls_server, arg1=SOFTWARE, relay={relay}, reject=454 4.7.0 TLS handshake failed.\n"
            ),
            delivery: format!(
                "{stamp}6ANBUDwd000274: to=<u@example.org>, delay=00:00:00, xdelay=00:00:00, mailer=esmtp, \
                 pri=30078, relay={relay}. [{address}], dsn=4.7.0, stat=Deferred: 454 4.7.0 TLS handshake failed.\n"
            ),
        }
    }
}

/// Both lines.
#[must_use]
pub fn failure(relay: &str, address: &str) -> String {
    let Failure { ruleset, delivery } = Failure::new(relay, address);
    ruleset + &delivery
}
