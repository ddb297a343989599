//! The values that are more than a number or a text.

use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use policy::never::NeverItem;
use policy::remedy::RelayRemedy;
use policy::rules::KeyMode;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `[log] source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogSource {
    /// Files, followed.
    File,
    /// The system's journal.
    Journald,
}

/// `[access] target`: where the map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A file, and what makemap makes of it.
    File,
    /// A directory that a fleet shares.
    Ldap,
}

/// `[ldap] urls`: a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdapServer(pub directory::Server);

impl FromStr for LdapServer {
    type Err = directory::Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for LdapServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `[access] type`: the class of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MapType {
    /// As the K line of sendmail.cf says.
    Auto,
    /// Berkeley DB, hashed.
    Hash,
    /// Berkeley DB, sorted.
    Btree,
    /// sendmail reads the text itself; nothing is built.
    Text,
}

/// `[access] key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyChoice {
    /// The name where the confirmed PTR is that name, else the address.
    Auto,
    /// The name.
    Name,
    /// The confirmed PTR name.
    Ptr,
    /// The address.
    Ip,
}

impl From<KeyChoice> for KeyMode {
    fn from(choice: KeyChoice) -> Self {
        match choice {
            KeyChoice::Auto => Self::Auto,
            KeyChoice::Name => Self::Name,
            KeyChoice::Ptr => Self::Ptr,
            KeyChoice::Ip => Self::Ip,
        }
    }
}

/// `[entry] remedy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedyChoice {
    /// `Try_TLS:<key> NO`: no TLS with the relay.
    TryTls,
    /// `TLS_Clt_features:<key> flags=C`: TLS is tried, and mail goes in clear after a broken handshake.
    Fallback,
}

impl From<RemedyChoice> for RelayRemedy {
    fn from(choice: RemedyChoice) -> Self {
        match choice {
            RemedyChoice::TryTls => Self::TryTls,
            RemedyChoice::Fallback => Self::Fallback,
        }
    }
}

/// `[flush] way`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlushWay {
    /// A unit of its own where trytlsd is a service of systemd's; else sendmail.
    Auto,
    /// `trytlsd-flush@<queue id>.service`.
    Unit,
    /// `sendmail -Am -qI<queue id>`.
    Sendmail,
    /// Not at all: the mail waits for the queue.
    Off,
}

/// `[dns] dnssec`: who says whether TLSA records are proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnssecChoice {
    /// A trusted server that validates; else trytlsd itself.
    Auto,
    /// Trusted servers only.
    Resolver,
    /// trytlsd itself, whatever a server says.
    Validate,
    /// Nobody: they are not asked for.
    Off,
}

impl From<DnssecChoice> for facts::Dnssec {
    fn from(choice: DnssecChoice) -> Self {
        match choice {
            DnssecChoice::Auto => Self::Auto,
            DnssecChoice::Resolver => Self::Resolver,
            DnssecChoice::Validate => Self::Validate,
            DnssecChoice::Off => Self::Off,
        }
    }
}

/// `[access] rebuild`: how the map follows the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RebuildWay {
    /// A whole new map, renamed over the old one.
    Replace,
    /// `makemap -o`, in place.
    Append,
    /// The admin's own command.
    Command,
    /// Not at all: the text is the map, or somebody else builds it.
    None,
}

/// `[access] prove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProveWay {
    /// Ask sendmail where the K line names this very map, else read the keys back.
    Auto,
    /// Only read the keys back.
    Never,
}

/// One path or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths(pub Vec<PathBuf>);

impl Serialize for Paths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Paths;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a list of paths")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Paths, E> {
                one_path(text).map(|path| Paths(vec![path])).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Paths, A::Error> {
                let mut paths = Vec::new();
                while let Some(text) = seq.next_element::<String>()? {
                    paths.push(one_path(&text).map_err(Error::custom)?);
                }
                if paths.is_empty() {
                    return Err(Error::custom("the list of paths is empty"));
                }
                Ok(Paths(paths))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

fn one_path(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') {
        return Ok(PathBuf::from(text));
    }
    Err(format!("{text:?} is no absolute path"))
}

/// A value that is written as text: read with its `FromStr`, printed with its `Display`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(Error::custom)
    }
}

/// An absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absolute(pub PathBuf);

impl FromStr for Absolute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_path(text).map(Self)
    }
}

impl fmt::Display for Absolute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

/// A text that may be empty, which means none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Optional<T>(pub Option<T>);

impl<T: fmt::Display> Serialize for Optional<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_str(""),
        }
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Optional<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|value| Self(Some(value))).map_err(Error::custom)
    }
}

/// An IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub IpAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is no IP address"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A socket on the loopback interface. Others could be reached from outside, and what listens there asks nobody who he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loopback(pub std::net::SocketAddr);

impl FromStr for Loopback {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Ok(socket) = text.parse::<std::net::SocketAddr>() else {
            return Err(format!(
                "{text:?} is no address with a port: write \"127.0.0.1:9180\" or \"[::1]:9180\""
            ));
        };
        if !socket.ip().is_loopback() {
            return Err(format!(
                "{text:?} is not on the loopback interface: the page asks nobody who he is, so others must not reach it; \
                 write \"127.0.0.1:{0}\", and put a proxy before it that does",
                socket.port()
            ));
        }
        Ok(Self(socket))
    }
}

impl fmt::Display for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A DNS server: an address or a host name, with `:port` or without (53), an IPv6 address with a port in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server(pub std::net::SocketAddr);

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(socket) = text.parse() {
            return Ok(Self(socket));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(std::net::SocketAddr::new(address, 53)));
        }
        // A name is looked up once, by the system: for a server in /etc/hosts, such as localhost. A fuzzer asks nobody.
        let found = match text.rsplit_once(':') {
            _ if cfg!(fuzzing) => Ok(Vec::new().into_iter()),
            Some(_) => text.to_socket_addrs(),
            None => (text, 53).to_socket_addrs(),
        };
        found.ok().and_then(|mut found| found.next()).map(Self).ok_or_else(|| {
            format!(
                "{text:?} is no DNS server: write \"192.0.2.53\", \"127.0.0.1:5353\", \"[::1]:5353\" or host:port"
            )
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A number within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within<const LOW: u32, const HIGH: u32>(pub u32);

impl<const LOW: u32, const HIGH: u32> Serialize for Within<LOW, HIGH> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de, const LOW: u32, const HIGH: u32> Deserialize<'de> for Within<LOW, HIGH> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        match u32::try_from(number) {
            Ok(number) if (LOW..=HIGH).contains(&number) => Ok(Self(number)),
            _ => Err(Error::custom(format!("{number} is not between {LOW} and {HIGH}"))),
        }
    }
}

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Share;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share from 0.0 to 1.0")
            }

            fn visit_f64<E: Error>(self, share: f64) -> Result<Share, E> {
                if (0.0..=1.0).contains(&share) {
                    return Ok(Share(share));
                }
                Err(E::custom(format!("{share} is not between 0.0 and 1.0")))
            }

            fn visit_i64<E: Error>(self, share: i64) -> Result<Share, E> {
                match share {
                    0 => Ok(Share(0.0)),
                    1 => Ok(Share(1.0)),
                    _ => Err(E::custom(format!("{share} is not between 0.0 and 1.0"))),
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// The default of `[policy] never`.
pub(crate) fn loopback() -> Vec<Text<NeverItem>> {
    ["127.0.0.0/8", "::1/128"].iter().filter_map(|net| net.parse().ok()).map(Text).collect()
}
