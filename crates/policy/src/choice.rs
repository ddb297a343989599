//! Which lookup key is written for a relay.
//!
//! For `Try_TLS` sendmail looks up the name it connected to (the MX name, exactly as in the ruleset line), then its
//! parents, then the address; the PTR name never (measured on 8.17, read from 8.12 to 8.18). The old advice is "the PTR
//! name, or the address". `auto` is the rule on which both agree: the name where the PTR, confirmed forward, is that
//! name; otherwise the address, one entry for each address at which mail was stuck.
//!
//! A name covers every name below it. So a name of two labels or fewer, and one beneath which another relay was seen, is
//! written as its address. A PTR record is the peer's own text: a lying one can only move the choice from the name to
//! the address, since the name must be the one that sendmail connected to.

use std::net::IpAddr;

use access::key::Key;
use maillog::relay::{Form, Relay};

use crate::fact::{Answer, Ptr};
use crate::hold::Hold;
use crate::rules::KeyMode;

/// What is known of one address of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The address at which mail was stuck.
    pub address: IpAddr,
    /// Its PTR names.
    pub ptr: Answer<Ptr>,
}

/// Chooses the keys. `covers_others` says whether another relay was seen below the name.
///
/// # Errors
/// The hold that says why no key can be written.
pub fn keys(
    mode: KeyMode,
    relay: &Relay<'_>,
    located: &[Located],
    covers_others: impl Fn(&str) -> bool,
) -> Result<Vec<Key>, Hold> {
    let (name, name_key) = match relay.form() {
        Form::Address(address) => return Ok(vec![Key::Address(address)]),
        Form::Odd => return Err(Hold::NotAPlainName),
        Form::Name(name) => (name, Key::Name(name.into())),
        Form::Bracketed(name) => (name, Key::Bracketed(name.into())),
    };
    let addresses =
        || -> Vec<Key> { located.iter().map(|l| Key::Address(l.address.to_canonical())).collect() };
    match mode {
        KeyMode::Name => Ok(vec![name_key]),
        KeyMode::Ip if located.is_empty() => Err(Hold::NoAddress),
        KeyMode::Ip => Ok(addresses()),
        KeyMode::Ptr if located.iter().any(|l| l.ptr == Answer::NotAsked) => Ok(addresses()),
        KeyMode::Ptr => ptr_keys(relay, name, located),
        KeyMode::Auto => {
            let broad = matches!(name_key, Key::Name(_))
                && (name.bytes().filter(|b| *b == b'.').count() < 2 || covers_others(name));
            if located.is_empty() {
                return if broad { Err(Hold::NameTooBroad) } else { Ok(vec![name_key]) };
            }
            let confirmed = located.iter().all(|l| is_confirmed(&l.ptr, name));
            Ok(if confirmed && !broad { vec![name_key] } else { addresses() })
        }
    }
}

/// `key = "ptr"`: the PTR name, where sendmail would look it up.
fn ptr_keys(relay: &Relay<'_>, name: &str, located: &[Located]) -> Result<Vec<Key>, Hold> {
    if located.is_empty() {
        return Err(Hold::NoAddress);
    }
    let mut keys = Vec::new();
    for Located { address, ptr } in located {
        let ptr = match ptr {
            Answer::Known(ptr) => ptr,
            Answer::Unknown(why) => return Err(Hold::PtrUnknown(why.clone())),
            Answer::NotAsked => return Err(Hold::PtrUnknown("not asked".into())),
        };
        let mut names = ptr.names.iter().filter(|n| n.confirmed);
        let Some(first) = names.clone().next() else { return Err(Hold::NoPtr(*address)) };
        if !names.any(|n| &*n.name == name) {
            return Err(Hold::KeyWouldNotMatch { key: first.name.clone(), name: name.into() });
        }
        let key = match relay.form() {
            Form::Bracketed(_) => Key::Bracketed(name.into()),
            _ => Key::Name(name.into()),
        };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn is_confirmed(ptr: &Answer<Ptr>, name: &str) -> bool {
    match ptr {
        Answer::Known(ptr) => ptr.names.iter().any(|n| n.confirmed && &*n.name == name),
        Answer::Unknown(_) | Answer::NotAsked => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::PtrName;

    fn ptr(text: &str) -> Answer<Ptr> {
        match text {
            "?" => Answer::Unknown("timeout".into()),
            "" => Answer::Known(Ptr::default()),
            names => Answer::Known(Ptr {
                names: names
                    .split(' ')
                    .map(|n| PtrName {
                        name: n.trim_start_matches('!').into(),
                        confirmed: !n.starts_with('!'),
                    })
                    .collect(),
            }),
        }
    }

    /// `located`: pairs of an address and its PTR names; `!` marks a name that is not confirmed, `?` no answer.
    fn check(mode: KeyMode, relay: &str, located: &[(&str, &str)], others: &str, expect: &str) {
        let located: Vec<_> = located
            .iter()
            .map(|(address, names)| Located { address: address.parse().unwrap(), ptr: ptr(names) })
            .collect();
        let relay = Relay::parse(relay.as_bytes()).unwrap();
        let below = |name: &str| crate::never::is_below(others, name);
        let chosen = match keys(mode, &relay, &located, below) {
            Ok(keys) => keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(hold) => format!("held: {hold}"),
        };
        assert_eq!(chosen, expect);
    }

    #[test]
    fn auto() {
        use KeyMode::Auto;
        let mx = "mx.example.org";
        check(Auto, mx, &[("192.0.2.1", mx)], "", mx);
        check(Auto, mx, &[("192.0.2.1", "!mx.example.org")], "", "192.0.2.1");
        check(Auto, mx, &[("192.0.2.1", "other.example.org")], "", "192.0.2.1");
        check(Auto, mx, &[("192.0.2.1", "")], "", "192.0.2.1");
        check(Auto, mx, &[("192.0.2.1", "?")], "", "192.0.2.1");
        check(Auto, mx, &[("192.0.2.1", mx), ("192.0.2.2", mx)], "", mx);
        check(Auto, mx, &[("192.0.2.1", mx), ("192.0.2.2", "")], "", "192.0.2.1 192.0.2.2");
        check(Auto, mx, &[("192.0.2.1", mx)], "a.mx.example.org", "192.0.2.1");
        check(Auto, mx, &[], "", mx);
        check(Auto, "example.org", &[("192.0.2.1", "example.org")], "", "192.0.2.1");
        check(
            Auto,
            "example.org",
            &[],
            "",
            "held: the name covers other hosts too, and no address is known",
        );
        check(Auto, "[mx.example.org]", &[("192.0.2.1", mx)], "", "[mx.example.org]");
        check(Auto, "[smart]", &[("192.0.2.1", "smart")], "", "[smart]");
        check(Auto, "[mx.example.org]", &[("192.0.2.1", "")], "", "192.0.2.1");
        check(Auto, "[192.0.2.7]", &[], "", "192.0.2.7");
        check(Auto, "[ipv6:2001:db8::7]", &[], "", "IPv6:2001:db8:0:0:0:0:0:7");
        check(Auto, mx, &[("2001:db8::1", "")], "", "IPv6:2001:db8:0:0:0:0:0:1");
        check(Auto, "a=b.example", &[], "", "held: the relay is no plain host name");
    }

    #[test]
    fn forced() {
        let mx = "mx.example.org";
        check(KeyMode::Name, mx, &[("192.0.2.1", "")], "", mx);
        check(KeyMode::Name, "[mx.example.org]", &[], "", "[mx.example.org]");
        check(KeyMode::Ip, mx, &[("192.0.2.1", mx)], "", "192.0.2.1");
        check(KeyMode::Ip, mx, &[], "", "held: no address of the relay was seen");
        check(KeyMode::Ptr, mx, &[("192.0.2.1", mx)], "", mx);
        check(
            KeyMode::Ptr,
            mx,
            &[("192.0.2.1", "ptr.example.org")],
            "",
            "held: the PTR name ptr.example.org would not match: sendmail looks up mx.example.org",
        );
        check(
            KeyMode::Ptr,
            mx,
            &[("192.0.2.1", "")],
            "",
            "held: 192.0.2.1 has no confirmed PTR name",
        );
        check(KeyMode::Ptr, mx, &[("192.0.2.1", "?")], "", "held: the PTR is unknown: timeout");
    }
}
