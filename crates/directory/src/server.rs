//! Where a directory is: `ldapi://%2Frun%2Fslapd%2Fldapi`, `ldaps://host`, `ldap://host`.
//!
//! What goes over a network goes under TLS: with `ldaps://` from the first byte on, with `ldap://` after StartTLS, without
//! which nothing is said. There is no way to do without.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Host, Url};

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// A socket on this host.
    Local(PathBuf),
    /// A host, by name or address, and a port.
    Remote {
        /// The name or address, without brackets. The certificate has to say it.
        host: Box<str>,
        /// The port.
        port: u16,
        /// How TLS begins.
        tls: Tls,
    },
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// With the connection (`ldaps://`, port 636).
    Direct,
    /// By StartTLS (`ldap://`, port 389).
    Start,
}

/// The text names no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of ldaps://HOST, ldap://HOST and ldapi://%2FPATH%2FOF%2FSOCKET ({why})")]
pub struct Invalid {
    text: Box<str>,
    why: &'static str,
}

impl FromStr for Server {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |why| Invalid { text: text.chars().take(300).collect(), why };
        let url = Url::parse(text).map_err(|_| invalid("it is no URL"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("nothing may stand behind the host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("no user name may stand in it"));
        }
        let (tls, port) = match url.scheme() {
            "ldapi" => {
                let host = url.host_str().ok_or_else(|| invalid("the path is missing"))?;
                let path = percent_decode_str(host).decode_utf8();
                let path = path.map_err(|_| invalid("the path is no UTF-8"))?;
                if url.port().is_some() || !path.starts_with('/') {
                    return Err(invalid("the path has to begin with %2F, and stand alone"));
                }
                return Ok(Self::Local(PathBuf::from(path.as_ref())));
            }
            "ldaps" => (Tls::Direct, 636),
            "ldap" => (Tls::Start, 389),
            _ => return Err(invalid("another scheme")),
        };
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() && name.bytes().all(is_of_name) => {
                name.into()
            }
            Some(Host::Ipv4(address)) => address.to_string().into(),
            Some(Host::Ipv6(address)) => address.to_string().into(),
            _ => return Err(invalid("the host is missing, or no plain name")),
        };
        Ok(Self::Remote { host, port: url.port().unwrap_or(port), tls })
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SOCKET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
        match self {
            Self::Local(path) => {
                write!(f, "ldapi://{}", utf8_percent_encode(&Path::to_string_lossy(path), SOCKET))
            }
            Self::Remote { host, port, tls } => {
                let (scheme, usual) = match tls {
                    Tls::Direct => ("ldaps", 636),
                    Tls::Start => ("ldap", 389),
                };
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{scheme}://{open}{host}{close}")?;
                if *port == usual { Ok(()) } else { write!(f, ":{port}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let check = |text: &str, expect: &str| {
            let got = text.parse::<Server>().map_or_else(|_| "invalid".into(), |s| s.to_string());
            assert_eq!(got, expect, "{text}");
        };
        check("ldaps://ldap.example.org", "ldaps://ldap.example.org");
        check("ldaps://ldap.example.org:636/", "ldaps://ldap.example.org");
        check("ldap://ldap.example.org:1389", "ldap://ldap.example.org:1389");
        check("ldap://192.0.2.1", "ldap://192.0.2.1");
        check("ldaps://[2001:db8::1]:1636", "ldaps://[2001:db8::1]:1636");
        check("ldapi://%2Frun%2Fslapd%2Fldapi", "ldapi://%2Frun%2Fslapd%2Fldapi");
        for text in [
            "",
            "ldap.example.org",
            "http://ldap.example.org",
            "ldap://",
            "ldap:///",
            "ldapi://",
            "ldapi:///run/slapd/ldapi",
            "ldapi://run",
            "ldap://a b",
            "ldap://a%0ab",
            "ldap://u:p@a.example",
            "ldap://a.example/dc=org",
            "ldap://a.example?x",
        ] {
            check(text, "invalid");
        }
    }
}
