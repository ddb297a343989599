//! What an entry of ours does: its tag and the one value that is ever written under it.
//!
//! Three tags matter. A file may hold entries of all of them for the same key, and they have nothing to do with each
//! other, so whatever speaks of an entry speaks of tag and key together ([`Tagged`]); a key alone would let the entry of
//! a client stand for that of a relay at the same address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::key::{Invalid, Key};
use crate::lookup::Tag;
use crate::value::{Meaning, meaning};

/// What an entry does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Remedy {
    /// `Try_TLS:<key> NO`: as a client, sendmail does not use STARTTLS with the relay.
    #[default]
    TryTls,
    /// `TLS_Clt_features:<key> flags=C`: it tries TLS, and goes on in clear where that failed (sendmail 8.16 and later
    /// with `FEATURE(tls_session_features)`).
    TlsCltFeatures,
    /// `Srv_Features:<key> S`: as a server, it does not offer STARTTLS to the client.
    SrvFeatures,
}

impl Remedy {
    /// Every remedy.
    pub const ALL: [Self; 3] = [Self::TryTls, Self::TlsCltFeatures, Self::SrvFeatures];

    /// The tag that its entries are looked up under.
    pub fn tag(self) -> Tag {
        match self {
            Self::TryTls => Tag::TryTls,
            Self::TlsCltFeatures => Tag::TlsCltFeatures,
            Self::SrvFeatures => Tag::SrvFeatures,
        }
    }

    /// The tag as it is written, with its colon.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::TryTls => "Try_TLS:",
            Self::TlsCltFeatures => "TLS_Clt_features:",
            Self::SrvFeatures => "Srv_Features:",
        }
    }

    /// The value that is written.
    pub fn value(self) -> &'static str {
        match self {
            Self::TryTls => "NO",
            Self::TlsCltFeatures => "flags=C",
            Self::SrvFeatures => "S",
        }
    }

    /// Whether the value, an admin's perhaps, does what ours would. Of `Srv_Features:` and `TLS_Clt_features:`, whose
    /// values hold further options, only the very same does.
    pub fn is_met_by(self, value: &[u8]) -> bool {
        match self {
            Self::TryTls => meaning(value) == Meaning::Off,
            Self::TlsCltFeatures | Self::SrvFeatures => {
                value.trim_ascii() == self.value().as_bytes()
            }
        }
    }
}

/// A key under its tag: what an entry of the file and of the map is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tagged {
    /// Gives the tag.
    pub remedy: Remedy,
    /// The key behind it.
    pub key: Key,
}

impl Tagged {
    /// The key under `Try_TLS:`.
    pub fn try_tls(key: Key) -> Self {
        Self { remedy: Remedy::TryTls, key }
    }

    /// The key under `Srv_Features:`.
    pub fn srv_features(key: Key) -> Self {
        Self { remedy: Remedy::SrvFeatures, key }
    }

    /// The address that it acts on; none if it acts by name.
    pub fn address(&self) -> Option<IpAddr> {
        self.key.address()
    }

    /// As short as it can be told: without the tag where that is `Try_TLS:`, as [`FromStr`] reads it.
    pub fn brief(&self) -> String {
        match self.remedy {
            Remedy::TryTls => self.key.to_string(),
            Remedy::TlsCltFeatures | Remedy::SrvFeatures => self.to_string(),
        }
    }

    /// Tag and key as the map holds them: makemap folds ASCII letters.
    pub fn folded(&self) -> String {
        self.to_string().to_ascii_lowercase()
    }

    /// The line of the access file: a tab, the value, nothing after it.
    pub fn line(&self) -> String {
        format!("{self}\t{}", self.remedy.value())
    }
}

impl fmt::Display for Tagged {
    /// `Try_TLS:mx.example.org`, as the access file has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.remedy.prefix(), self.key)
    }
}

impl FromStr for Tagged {
    type Err = Invalid;

    /// Reads what [`fmt::Display`] writes, in any case. A key without a tag stands under `Try_TLS:`, as in our comments.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        for remedy in Remedy::ALL {
            let tag = remedy.prefix();
            let Some((head, key)) = text.split_at_checked(tag.len()) else { continue };
            if head.eq_ignore_ascii_case(tag) {
                return Ok(Self { remedy, key: key.parse()? });
            }
        }
        text.parse().map(Self::try_tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let check = |text: &str, expect: &str| {
            let got = text.parse::<Tagged>().map_or("invalid".to_owned(), |t| t.line());
            assert_eq!(got, expect, "{text}");
            if let Ok(read) = text.parse::<Tagged>() {
                assert_eq!(read.brief().parse(), Ok(read), "{text}");
            }
        };
        check("Try_TLS:mx.example.org", "Try_TLS:mx.example.org\tNO");
        check("srv_features:192.0.2.1", "Srv_Features:192.0.2.1\tS");
        check(
            "Srv_Features:IPv6:fd00:1ab:0:0:0:0:0:41",
            "Srv_Features:IPv6:fd00:1ab:0:0:0:0:0:41\tS",
        );
        check("TLS_Clt_Features:[s.example]", "TLS_Clt_features:[s.example]\tflags=C");
        check("mx.example.org", "Try_TLS:mx.example.org\tNO");
        for text in ["Try_TLS:", "Try_TLS:a b", "TLS_Srv:mx.example.org", ""] {
            check(text, "invalid");
        }
    }

    #[test]
    fn values_that_do_the_same() {
        let check = |remedy: Remedy, value: &str, expect| {
            assert_eq!(remedy.is_met_by(value.as_bytes()), expect, "{remedy:?} {value:?}");
        };
        check(Remedy::TryTls, "no", true);
        check(Remedy::TryTls, "YES", false);
        check(Remedy::SrvFeatures, "S", true);
        check(Remedy::SrvFeatures, "S ", true);
        check(Remedy::SrvFeatures, "s", false);
        check(Remedy::SrvFeatures, "S V", false);
        check(Remedy::TlsCltFeatures, "flags=C", true);
        check(Remedy::TlsCltFeatures, "flags=DC", false);
        for remedy in Remedy::ALL {
            check(remedy, remedy.value(), true);
        }
    }
}
