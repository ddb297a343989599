//! The lookup key: what stands after the tag in the access map.

use std::fmt;
use std::net::IpAddr;

/// A key that sendmail's `try_tls` looks up for a relay.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The relay's name; matches every name below it too.
    Name(Box<str>),
    /// The name of a smart host that is written in brackets (kept here without them).
    Bracketed(Box<str>),
    /// The address that sendmail connected to.
    Address(IpAddr),
}

impl fmt::Display for Key {
    /// As the map has it: `mx.example.org`, `[smart.example.org]`, `192.0.2.1`, `IPv6:2001:db8:0:0:0:0:0:1`
    /// (uncompressed: sendmail looks up no other form).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Bracketed(name) => write!(f, "[{name}]"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => {
                f.write_str("IPv6")?;
                address.segments().iter().try_for_each(|group| write!(f, ":{group:x}"))
            }
        }
    }
}
