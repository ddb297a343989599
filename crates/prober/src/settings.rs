//! How the probe is to look like this host's sendmail, and how long it waits.

use std::time::Duration;

use sendmail::cf::ClientTls;

use crate::target::HostName;

/// What is the same for every probe.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// This host's own name (sendmail's `$j`), told in EHLO; without one the address of our end is told, as RFC 5321,
    /// section 4.1.3, has it.
    pub own_name: Option<HostName>,
    /// What sendmail.cf says of TLS.
    pub tls: ClientTls,
    /// Deadlines.
    pub timeouts: Timeouts,
}

/// The longest that each step may take. A whole conversation has at most nine of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the whole of a reply is there, the greeting included.
    pub reply: Duration,
    /// For the whole handshake.
    pub handshake: Duration,
}

impl Timeouts {
    /// The same for each step.
    pub const fn each(step: Duration) -> Self {
        Self { connect: step, reply: step, handshake: step }
    }
}

/// 30 seconds each. sendmail waits longer (an hour, or what `Timeout.starttls` says): a peer that needs more than this is
/// called slow, not broken in another way.
impl Default for Timeouts {
    fn default() -> Self {
        Self::each(Duration::from_secs(30))
    }
}
