//! The relay: the host that sendmail connected to, as the ruleset line names it.
//!
//! sendmail writes the name verbatim into `relay=` of the `ruleset=tls_server` line: lower case, full length, no
//! trailing dot, no address; with brackets where the mailertable or a smart host had brackets; `[192.0.2.1]` or
//! `[ipv6:2001:db8::1]` for an address literal. Other lines add a trailing dot, an address, or cut the name in the
//! middle; they are brought to this form before they are compared.
//!
//! The text is foreign: it comes from an MX record, which may hold any byte but a comma and white space. It is kept
//! so that it can be shown; only what [`Relay::form`] calls a plain name or an address may become a lookup key.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A relay by its name in the ruleset line, lower case, at most 255 bytes of printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Relay<'a>(Cow<'a, str>);

/// What a relay's text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form<'a> {
    /// A plain host name: letters, digits, hyphens and underscores, labels of 1 to 63 bytes, no dot at the end.
    Name(&'a str),
    /// A plain host name in brackets (the name is without them): a smart host whose MX is not looked up.
    Bracketed(&'a str),
    /// An address literal.
    Address(IpAddr),
    /// Anything else. Never a key.
    Odd,
}

impl<'a> Relay<'a> {
    /// Reads the text of `relay=` as the ruleset line writes it. `None` if it is empty, longer than 255 bytes, or holds
    /// a comma, white space or a byte that is no printable ASCII: sendmail writes no such relay.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let ok = |b: &u8| b.is_ascii_graphic() && *b != b',';
        if text.is_empty() || text.len() > 255 || !text.iter().all(ok) {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Some(Self(Cow::Owned(text.to_ascii_lowercase())));
        }
        Some(Self(Cow::Borrowed(text)))
    }

    /// The text, verbatim but for its case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A relay that owns its text.
    pub fn into_owned(self) -> Relay<'static> {
        Relay(Cow::Owned(self.0.into_owned()))
    }

    /// What the text is.
    pub fn form(&self) -> Form<'_> {
        let Some(inner) = self.0.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else {
            return if is_plain_name(&self.0) { Form::Name(&self.0) } else { Form::Odd };
        };
        if let Some(address) = parse_address(inner) {
            return Form::Address(address);
        }
        if is_plain_name(inner) { Form::Bracketed(inner) } else { Form::Odd }
    }
}

impl fmt::Display for Relay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads an address as sendmail writes it between brackets: `192.0.2.1`, `IPv6:2001:db8:0:0:0:0:0:1`; the tag in any
/// case, the address compressed or not.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    match text.split_at_checked(5) {
        Some((tag, rest)) if tag.eq_ignore_ascii_case("ipv6:") => {
            rest.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => text.parse().ok().map(IpAddr::V4),
    }
}

/// Whether the text is a plain host name: at most 253 bytes, labels of 1 to 63 letters, digits, hyphens (not at either
/// end) and underscores, and not all digits and dots.
pub fn is_plain_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.len() <= 253
        && text.split('.').all(label)
        && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let form = |text: &str| match Relay::parse(text.as_bytes()) {
            None => "none".to_owned(),
            Some(relay) => format!("{:?}", relay.form()),
        };
        assert_eq!(form("mx.example.org"), r#"Name("mx.example.org")"#);
        assert_eq!(form("MX.Example.ORG"), r#"Name("mx.example.org")"#);
        assert_eq!(form("[smart.example.org]"), r#"Bracketed("smart.example.org")"#);
        assert_eq!(form("[192.0.2.1]"), "Address(192.0.2.1)");
        assert_eq!(form("[ipv6:fd00:1ab::41]"), "Address(fd00:1ab::41)");
        assert_eq!(form("192.0.2.1"), "Odd");
        assert_eq!(form("a..b"), "Odd");
        assert_eq!(form("a=b.example"), "Odd");
        assert_eq!(form("*.example"), "Odd");
        assert_eq!(form("mx.example.org."), "Odd");
        assert_eq!(form("a b"), "none");
        assert_eq!(form("a,b"), "none");
        assert_eq!(form(""), "none");
    }
}
