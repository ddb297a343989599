//! Where the operator says to knock: `mx.example.org`, `192.0.2.1:25`, `[2001:db8::1]:25`, and as the log has relays:
//! `[192.0.2.1]`, `[IPv6:2001:db8::1]`, `[smart.example.org]`.

use std::net::IpAddr;

use prober::{HostName, SMTP};

/// A host or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Name(HostName),
    Address(IpAddr),
}

impl Place {
    /// Reads it; none if it is no such thing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self { host: Host::Address(address), port: SMTP });
        }
        let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((host, ""))) => (host, SMTP),
            Some(Some((host, port))) => (host, number(port.strip_prefix(':')?)?),
            Some(None) => return None,
            None => match text.split_once(':') {
                Some((host, port)) => (host, number(port)?),
                None => (text, SMTP),
            },
        };
        let tag = host.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:"));
        let host = match tag.map_or(host, |tag| host.get(tag.len()..).unwrap_or_default()).parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name(HostName::parse(host)?),
        };
        Some(Self { host, port })
    }
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let check = |text: &str, expect: Option<(&str, u16)>| {
            let place = Place::parse(text).map(|Place { host, port }| match host {
                Host::Name(name) => (name.to_string(), port),
                Host::Address(address) => (address.to_string(), port),
            });
            let expect = expect.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(place, expect, "{text:?}");
        };
        check("MX.example.org.", Some(("mx.example.org", 25)));
        check("mx.example.org:587", Some(("mx.example.org", 587)));
        check("[mx.example.org]", Some(("mx.example.org", 25)));
        check("192.0.2.1", Some(("192.0.2.1", 25)));
        check("192.0.2.1:2525", Some(("192.0.2.1", 2525)));
        check("[192.0.2.1]:2525", Some(("192.0.2.1", 2525)));
        check("2001:db8::1", Some(("2001:db8::1", 25)));
        check("[2001:db8::1]", Some(("2001:db8::1", 25)));
        check("[IPv6:2001:db8:0:0:0:0:0:1]:26", Some(("2001:db8::1", 26)));
        for bad in ["", "a b", "[a", "a]", "mx:0", "mx:65536", "mx:", "[mx]x", "1.2.3", "mx\n", "é"]
        {
            check(bad, None);
        }
    }
}
