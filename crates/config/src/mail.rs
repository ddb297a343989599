//! Addresses of mail: to whom notices go, and from whom they say they are.
//!
//! They stand in a header that `sendmail -t` reads its recipients from, so only what is an address beyond doubt is taken: no
//! quotes, comments, blanks or routes, and nothing that sendmail takes for a program (`|`), a file (`/`) or a list (`:`).

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// RFC 5321, section 4.5.3.1.
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 253;

/// Recipients of one notice.
const MOST: usize = 20;

/// `postmaster@example.org`; or `root`, a mailbox of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAddress(Box<str>);

impl MailAddress {
    /// The superuser of this host.
    pub(crate) fn root() -> Self {
        Self("root".into())
    }

    /// As it stands in a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MailAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (local, domain) = match text.split_once('@') {
            Some((local, domain)) => (local, Some(domain)),
            None => (text, None),
        };
        if is_local(local) && domain.is_none_or(is_domain) {
            return Ok(Self(text.into()));
        }
        Err(format!("{text:?} is no mail address: write \"postmaster@example.org\", or \"root\""))
    }
}

fn is_local(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"+-_=.~#&'".contains(&b);
    let atom = |atom: &str| !atom.is_empty() && atom.bytes().all(fits);
    text.len() <= LONGEST_LOCAL && !text.starts_with('-') && text.split('.').all(atom)
}

fn is_domain(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(fits);
    text.len() <= LONGEST_DOMAIN && text.split('.').all(label)
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One address, several, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAddresses(pub Vec<MailAddress>);

impl Serialize for MailAddresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [] => serializer.serialize_str(""),
            [one] => serializer.serialize_str(one.as_str()),
            many => serializer.collect_seq(many.iter().map(MailAddress::as_str)),
        }
    }
}

impl<'de> Deserialize<'de> for MailAddresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = MailAddresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mail address, or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<MailAddresses, E> {
                match text {
                    "" => Ok(MailAddresses(Vec::new())),
                    text => text.parse().map(|one| MailAddresses(vec![one])).map_err(Error::custom),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<MailAddresses, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = seq.next_element::<String>()? {
                    all.push(text.parse().map_err(Error::custom)?);
                }
                if all.len() > MOST {
                    return Err(Error::custom(format!("more than {MOST} addresses: name a list")));
                }
                Ok(MailAddresses(all))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_an_address_beyond_doubt() {
        let check = |text: &str, good: bool| {
            assert_eq!(text.parse::<MailAddress>().is_ok(), good, "{text:?}");
        };
        for good in ["root", "post.master+tls@mx.example.org", "o'neil@localhost", "a_b=c@x-y.test"]
        {
            check(good, true);
        }
        for bad in [
            "",
            "@example.org",
            "a@",
            "a@b@c",
            "a b@example.org",
            "a@example.org,b@example.org",
            "a@example.org\nBcc: x",
            "|/bin/sh",
            "/etc/passwd",
            ":include:/etc/passwd",
            "-bd",
            "\"a\"@example.org",
            "a..b@example.org",
            "a@example..org",
            "<a@example.org>",
            "\u{fc}@example.org",
            "a!b",
            "a%b",
        ] {
            check(bad, false);
        }
        check(&format!("{}@example.org", "x".repeat(65)), false);
    }
}
