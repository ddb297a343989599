//! The never-list: names, domains and networks that never get an entry.
//!
//! It is the operator's last word, so it is read strictly: what is neither a plain host name, a domain nor a network is
//! an error in the config, not an entry that silently matches nothing.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use maillog::relay::{Form, Relay, is_plain_name, parse_address};

/// One item of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NeverItem {
    /// `example.org`: the name and every name below it, as sendmail's own map reads a name.
    Name(Box<str>),
    /// `.example.org`: every name below it, but not the name itself.
    Below(Box<str>),
    /// `192.0.2.0/24`, `2001:db8::/32`, or one address.
    Network(IpNet),
}

/// Text that is no item of a never-list.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is no host name, domain or network (write mail.example.org, .example.org, 192.0.2.0/24, 192.0.2.1 or 2001:db8::/32)"
)]
pub struct NotAnItem(String);

impl FromStr for NeverItem {
    type Err = NotAnItem;

    fn from_str(text: &str) -> Result<Self, NotAnItem> {
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Network(net.trunc()));
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Some(address) = bare.parse().ok().or_else(|| parse_address(bare)) {
            return Ok(Self::Network(IpNet::from(address)));
        }
        let lower = bare.to_ascii_lowercase();
        match lower.strip_prefix('.') {
            Some(below) if is_plain_name(below) => Ok(Self::Below(below.into())),
            None if is_plain_name(&lower) => Ok(Self::Name(lower.into())),
            _ => Err(NotAnItem(text.to_owned())),
        }
    }
}

impl fmt::Display for NeverItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Below(name) => write!(f, ".{name}"),
            Self::Network(net) => write!(f, "{net}"),
        }
    }
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeverList(pub Vec<NeverItem>);

impl NeverList {
    /// The item that covers the relay by its own text: its name, or its address literal.
    pub fn covers_relay(&self, relay: &Relay<'_>) -> Option<&NeverItem> {
        match relay.form() {
            Form::Name(name) | Form::Bracketed(name) => self.covers_name(name),
            Form::Address(address) => self.covers_address(address),
            Form::Odd => None,
        }
    }

    /// The item that covers the host name (lower case, without a final dot).
    pub fn covers_name(&self, name: &str) -> Option<&NeverItem> {
        self.0.iter().find(|item| match item {
            NeverItem::Name(item) => name == &**item || is_below(name, item),
            NeverItem::Below(item) => is_below(name, item),
            NeverItem::Network(_) => false,
        })
    }

    /// Whether an item names a host below `name`, which an entry for `name` would cover too.
    pub fn has_below(&self, name: &str) -> bool {
        self.0.iter().any(|item| match item {
            NeverItem::Name(item) | NeverItem::Below(item) => is_below(item, name),
            NeverItem::Network(_) => false,
        })
    }

    /// Whether any item is a network, so that a relay's addresses matter.
    pub fn has_networks(&self) -> bool {
        self.0.iter().any(|item| matches!(item, NeverItem::Network(_)))
    }

    /// The item that covers the address; an IPv4 address mapped into IPv6 is taken for the IPv4 address.
    pub fn covers_address(&self, address: IpAddr) -> Option<&NeverItem> {
        let address = address.to_canonical();
        self.0.iter().find(|item| matches!(item, NeverItem::Network(net) if net.contains(&address)))
    }
}

/// Whether `name` lies below `domain` (and is not the domain itself).
pub fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_and_matched() {
        let check = |item: &str, subject: &str, expect: bool| {
            let list = NeverList(vec![item.parse().unwrap()]);
            let relay = Relay::parse(subject.as_bytes()).unwrap();
            assert_eq!(list.covers_relay(&relay).is_some(), expect, "{item} and {subject}");
        };
        check("example.org", "example.org", true);
        check("Example.ORG", "mx.example.org", true);
        check("example.org", "[mx.example.org]", true);
        check("example.org", "badexample.org", false);
        check(".example.org", "mx.example.org", true);
        check(".example.org", "example.org", false);
        check("127.0.0.0/8", "[127.0.0.11]", true);
        check("127.0.0.0/8", "[128.0.0.11]", false);
        check("[192.0.2.1]", "[192.0.2.1]", true);
        check("192.0.2.1", "[192.0.2.2]", false);
        check("2001:db8::/32", "[ipv6:2001:db8:0:0:0:0:0:1]", true);
        check("192.0.2.0/24", "[ipv6:::ffff:192.0.2.9]", true);
        check("::1/128", "[ipv6:::1]", true);
    }

    #[test]
    fn nonsense_is_an_error() {
        for text in ["", ".", "a b", "10.0.0.0/40", "*.example.org", "mx.example.org.", "300.1.1.1"]
        {
            assert!(text.parse::<NeverItem>().is_err(), "{text:?}");
        }
    }
}
