//! What is probed: one address of one host.

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};

/// The longest name that DNS can hold, in bytes, without the final dot (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;

/// The longest label, in bytes.
const MAX_LABEL: usize = 63;

/// The port of SMTP between hosts (RFC 5321, section 4.5.4.2).
pub const SMTP: u16 = 25;

/// A host's name: lower case, without a final dot, letters, digits, `-` and `_` in its labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(Box<str>);

impl HostName {
    /// Reads a name; none if it is none that a host can have, or an address.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let label = |label: &str| (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(fits);
        let good = name.len() <= MAX_NAME && name.split('.').all(label);
        // The last label of a name is never a number (RFC 1123, section 2.1): else it is a mistyped address.
        let number = name.rsplit('.').next()?.bytes().all(|b| b.is_ascii_digit());
        (good && !number).then(|| Self(name.to_ascii_lowercase().into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where to knock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name by which sendmail would connect; the certificate is compared with it. None if only the address is known.
    pub host: Option<HostName>,
    /// The address.
    pub address: IpAddr,
    /// The port, usually [`SMTP`].
    pub port: u16,
}

impl Target {
    /// As the socket's address.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Some(host), SMTP) => write!(f, "{host} [{}]", self.address),
            (Some(host), port) => write!(f, "{host} [{}] port {port}", self.address),
            (None, SMTP) => write!(f, "[{}]", self.address),
            (None, port) => write!(f, "[{}] port {port}", self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = |text: &str| HostName::parse(text).map(|name| name.to_string());
        assert_eq!(name("MX_1.Example.org.").as_deref(), Some("mx_1.example.org"));
        assert_eq!(name("localhost").as_deref(), Some("localhost"));
        let long = "a".repeat(64);
        for bad in ["", ".", "a..b", "a b", "a\r\nb", "1.2.3.4", "1.2.3", "::1", "ü.example", &long]
        {
            assert_eq!(name(bad), None, "{bad:?}");
        }
    }
}
