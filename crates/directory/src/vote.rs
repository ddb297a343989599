//! What one MTA says of one relay, and how that is written in its row.
//!
//! `v1 says=broken ttl=3600 seen=12 keys=Try_TLS:mx.example.net,Try_TLS:192.0.2.1`, always in this order. What is other
//! than this to the letter is no statement. A row's term is its own, so that MTAs of different configs understand each
//! other; one that claims more than 30 days is not believed.

use std::time::Duration;

use access::remedy::Tagged;
use policy::fleet::Says;

/// Entries of one statement at most; as many as a relay may have.
const MAX_KEYS: usize = 64;

/// The longest term of a row.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(30 * 86_400);

/// What one MTA says of one relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Which MTA, by the name that its row stands under; in lower case. Foreign text.
    pub mta: Box<str>,
    /// The relay. Foreign text.
    pub relay: Box<str>,
    /// What it says.
    pub says: Says,
    /// How long before the row was written that was seen, in seconds, by that MTA's own clock.
    pub seen: u32,
    /// How long ago the row was written, in seconds, by the server's clock. Of no meaning in one that is to be written.
    pub age: u32,
}

/// A statement with its term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) says: Says,
    pub(crate) ttl: u32,
    pub(crate) seen: u32,
}

impl Statement {
    /// None if it holds more than may be said at once.
    pub(crate) fn print(&self) -> Option<String> {
        let Self { says, ttl, seen } = self;
        let (word, more) = match says {
            Says::Broken { keys } => ("broken", format!(" keys={}", list(keys)?)),
            Says::Mended { keys } => ("mended", format!(" keys={}", list(keys)?)),
            Says::Works => ("works", String::new()),
            Says::Forbids => ("forbids", String::new()),
            Says::Lifted { until } => ("lifted", format!(" until={until}")),
        };
        Some(format!("v1 says={word} ttl={ttl} seen={seen}{more}"))
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.strip_prefix("v1 says=")?;
        let (word, text) = text.split_once(" ttl=")?;
        let (ttl, text) = text.split_once(" seen=")?;
        let (seen, more) = match text.split_once(' ') {
            Some((seen, more)) => (seen, Some(more)),
            None => (text, None),
        };
        let says = match (word, more) {
            ("broken", Some(more)) => Says::Broken { keys: keys(more.strip_prefix("keys=")?)? },
            ("mended", Some(more)) => Says::Mended { keys: keys(more.strip_prefix("keys=")?)? },
            ("works", None) => Says::Works,
            ("forbids", None) => Says::Forbids,
            ("lifted", Some(more)) => Says::Lifted { until: number(more.strip_prefix("until=")?)? },
            _ => return None,
        };
        let ttl = number(ttl).filter(|&ttl| ttl > 0 && u64::from(ttl) <= MAX_TTL.as_secs())?;
        Some(Self { says, ttl, seen: number(seen)? })
    }
}

fn list(keys: &[Tagged]) -> Option<String> {
    let fits = keys.len() <= MAX_KEYS && keys.iter().all(|entry| entry.key.is_valid());
    fits.then(|| keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

fn keys(text: &str) -> Option<Vec<Tagged>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let keys: Vec<Tagged> =
        text.split(',').take(MAX_KEYS + 1).map(|key| key.parse().ok()).collect::<Option<_>>()?;
    (keys.len() <= MAX_KEYS).then_some(keys)
}

fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let keys: Vec<Tagged> =
            ["mx.example.net", "TLS_Clt_features:[s.example]", "IPv6:fd00:1ab:0:0:0:0:0:41"]
                .map(|key| key.parse().unwrap())
                .into();
        let check = |says: Says, expect: &str| {
            let statement = Statement { says, ttl: 3600, seen: 12 };
            assert_eq!(statement.print().as_deref(), Some(expect));
            assert_eq!(Statement::parse(expect.as_bytes()), Some(statement));
        };
        check(
            Says::Broken { keys },
            "v1 says=broken ttl=3600 seen=12 keys=Try_TLS:mx.example.net,\
             TLS_Clt_features:[s.example],Try_TLS:IPv6:fd00:1ab:0:0:0:0:0:41",
        );
        check(Says::Mended { keys: Vec::new() }, "v1 says=mended ttl=3600 seen=12 keys=");
        check(Says::Works, "v1 says=works ttl=3600 seen=12");
        check(Says::Forbids, "v1 says=forbids ttl=3600 seen=12");
        check(Says::Lifted { until: 7 }, "v1 says=lifted ttl=3600 seen=12 until=7");
    }

    #[test]
    fn nothing_else_is_a_statement() {
        for text in [
            "",
            "v1",
            "v2 says=works ttl=1 seen=1",
            "v1 says=works ttl=0 seen=1",
            "v1 says=works ttl=2592001 seen=1",
            "v1 says=works ttl=-1 seen=1",
            "v1 says=works ttl=+1 seen=1",
            "v1 says=works ttl=1 seen=99999999999",
            "v1 says=works ttl=1 seen=1 keys=a.example",
            "v1 says=works ttl=1 seen=1 ",
            "v1 says=broken ttl=1 seen=1",
            "v1 says=broken ttl=1 seen=1 keys=a.example,",
            "v1 says=broken ttl=1 seen=1 keys=a b",
            "v1 says=broken ttl=1 seen=1 keys=TLS_Srv:a.example",
            "v1 says=perhaps ttl=1 seen=1",
        ] {
            assert_eq!(Statement::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Statement::parse(b"v1 says=works ttl=1 seen=\xff"), None);
        let key: Tagged = "a.example".parse().unwrap();
        let many = |n| Says::Broken { keys: vec![key.clone(); n] };
        let print = |n| Statement { says: many(n), ttl: 1, seen: 0 }.print();
        let text = print(64).unwrap();
        assert!(Statement::parse(text.as_bytes()).is_some());
        assert_eq!(Statement::parse(format!("{text},a.example").as_bytes()), None);
        assert_eq!(print(65), None);
    }
}
