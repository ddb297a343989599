//! The lookup key: what stands after the tag in the access map.
//!
//! A key is built from foreign text (an MX record, a PTR record), and a line of the access file that held a blank, a
//! line end or a comment sign in its key would say something else than was meant. So there are two gates: the
//! constructors accept only plain host names, and [`Key::is_valid`] is asked again before anything is written.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

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

/// The text is no key that may be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither a plain host name nor a whole address as sendmail writes it")]
pub struct Invalid {
    /// The text, cut after 300 characters.
    pub text: String,
}

impl Invalid {
    fn new(text: &str) -> Self {
        Self { text: text.chars().take(300).collect() }
    }
}

impl Key {
    /// The key for a relay's name, folded to lower case as makemap does.
    ///
    /// # Errors
    /// If it is no plain host name.
    pub fn name(text: &str) -> Result<Self, Invalid> {
        plain(text).map(Self::Name)
    }

    /// The key for a smart host that is written in brackets; `text` is without them.
    ///
    /// # Errors
    /// If it is no plain host name.
    pub fn bracketed(text: &str) -> Result<Self, Invalid> {
        plain(text).map(Self::Bracketed)
    }

    /// Whether the key may stand in the access file: a plain host name or an address.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Name(name) | Self::Bracketed(name) => is_plain_name(name),
            Self::Address(_) => true,
        }
    }

    /// The address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(_) | Self::Bracketed(_) => None,
        }
    }

    /// The key as the map holds it: makemap folds ASCII letters.
    pub fn folded(&self) -> String {
        self.to_string().to_ascii_lowercase()
    }
}

impl fmt::Display for Key {
    /// As the access file has it: `mx.example.org`, `[smart.example.org]`, `192.0.2.1`,
    /// `IPv6:2001:db8:0:0:0:0:0:1` (uncompressed: sendmail looks up no other form). An IPv4 address in IPv6 clothes is
    /// written as IPv4: that is what sendmail makes of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Bracketed(name) => write!(f, "[{name}]"),
            Self::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => write!(f, "{address}"),
                IpAddr::V6(address) => {
                    f.write_str("IPv6")?;
                    address.segments().iter().try_for_each(|group| write!(f, ":{group:x}"))
                }
            },
        }
    }
}

impl FromStr for Key {
    type Err = Invalid;

    /// Reads what [`fmt::Display`] writes, in any case. Prefixes (`192.0.2`, `IPv6:fd00`) and compressed IPv6 addresses
    /// are no keys of ours: the first cover more than one relay, the second match none.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new(text);
        if let Some(inner) = text.strip_prefix('[') {
            return Self::bracketed(inner.strip_suffix(']').ok_or_else(invalid)?);
        }
        let key = match text.split_at_checked(5) {
            Some((tag, rest)) if tag.eq_ignore_ascii_case("ipv6:") => {
                let address: Ipv6Addr = rest.parse().map_err(|_| invalid())?;
                Self::Address(address.into())
            }
            _ => match text.parse() {
                Ok(address) => Self::Address(IpAddr::V4(address)),
                Err(_) => return Self::name(text),
            },
        };
        if key.folded() == text.to_ascii_lowercase() { Ok(key) } else { Err(invalid()) }
    }
}

fn plain(text: &str) -> Result<Box<str>, Invalid> {
    if is_plain_name(text) { Ok(text.to_ascii_lowercase().into()) } else { Err(Invalid::new(text)) }
}

/// At most 253 bytes; labels of 1 to 63 letters, digits, hyphens (not at either end) and underscores; not all digits
/// and dots (RFC 1123 section 2.1, and the underscore that real hosts have).
fn is_plain_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253
        && text.split('.').all(label)
        && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let check = |text: &str, expect: &str| {
            let key = text.parse::<Key>().map_or_else(|_| "invalid".to_owned(), |k| k.to_string());
            assert_eq!(key, expect, "{text:?}");
        };
        check("mx.example.org", "mx.example.org");
        check("MX.Example.ORG", "mx.example.org");
        check("localhost", "localhost");
        check("[smart.example.org]", "[smart.example.org]");
        check("192.0.2.1", "192.0.2.1");
        check("IPv6:fd00:1ab:0:0:0:0:0:41", "IPv6:fd00:1ab:0:0:0:0:0:41");
        check("ipv6:FD00:1AB:0:0:0:0:0:41", "IPv6:fd00:1ab:0:0:0:0:0:41");
        for text in [
            "IPv6:fd00:1ab::41",
            "IPv6:fd00:1ab",
            "IPv6:0:0:0:0:0:ffff:c000:201",
            "fd00:1ab:0:0:0:0:0:41",
            "[192.0.2.1]",
            "[mx.example.org",
            "192.0.2",
            "127",
            "",
            ".example.org",
            "mx.example.org.",
            "a b",
            "a\tNO\nTry_TLS:b",
            "-a.example",
            "mx.ex\u{e4}mple",
            "#mx",
            "u@example.org",
        ] {
            check(text, "invalid");
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_written_as_ipv4() {
        let address = IpAddr::V6("::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(Key::Address(address).to_string(), "192.0.2.1");
    }

    #[test]
    fn a_key_that_was_built_by_hand_is_checked_again() {
        assert!(!Key::Name("a\tNO\nTry_TLS:b".into()).is_valid());
        assert!(!Key::Bracketed("a]".into()).is_valid());
        assert!(Key::Bracketed("a.example".into()).is_valid());
    }

    proptest! {
        #[test]
        fn whatever_parses_is_valid_and_survives(text in "(IPv6:|\\[)?[a-fA-F0-9_:.\\]-]{0,40}") {
            if let Ok(key) = text.parse::<Key>() {
                prop_assert!(key.is_valid());
                prop_assert_eq!(key.to_string().parse::<Key>(), Ok(key));
            }
        }
    }
}
