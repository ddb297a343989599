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

/// The longest relay in bytes: the longest host name, and brackets.
const LONGEST: usize = 255;
/// Delivery lines cut a name of so many bytes or more (its dot counts) in its middle.
const CUT_FROM: usize = 40;
/// What they keep at each end.
const KEPT: usize = 18;

/// The class of a byte that no relay holds.
const ODD: u8 = 1;
/// The class of a capital.
const UPPER: u8 = 2;
/// The class of each byte. Successes are a tenth of a log; measured for a usual name: 105 instructions, 179 with
/// comparisons.
const CLASS: [u8; 256] = {
    let mut class = [ODD; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        class[byte as usize] = match byte {
            b',' => ODD,
            b'A'..=b'Z' => UPPER,
            _ => 0,
        };
        byte += 1;
    }
    class
};

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
    #[inline]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let seen = text.iter().fold(0, |seen, byte| seen | CLASS[usize::from(*byte)]);
        if text.is_empty() || text.len() > LONGEST || seen & ODD != 0 {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        if seen & UPPER != 0 {
            return Some(Self(Cow::Owned(text.to_ascii_lowercase())));
        }
        Some(Self(Cow::Borrowed(text)))
    }

    /// Reads a relay as the other lines write it, with a dot at its end.
    #[inline]
    pub(crate) fn parse_dotted(text: &'a [u8]) -> Option<Self> {
        Self::parse(text.strip_suffix(b".").unwrap_or(text))
    }

    /// The text, verbatim but for its case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a delivery line names this relay as `logged`: with a dot at its end, in any case, and, where name and dot
    /// have 40 bytes or more, only their first and last 18 with `...` between (sendmail's `shortenstring`; measured on
    /// sendmail 8.17: 38 bytes of name are whole, 39 are cut). Two relays may share their ends.
    pub fn is_logged_as(&self, logged: &[u8]) -> bool {
        let name = self.0.as_bytes();
        if name.eq_ignore_ascii_case(logged.strip_suffix(b".").unwrap_or(logged)) {
            return true;
        }
        let Some((head, tail)) = ends_of_cut(logged) else { return false };
        let ends_alike = |end: &[u8]| {
            name.len()
                .checked_sub(end.len())
                .and_then(|at| name.get(at..))
                .is_some_and(|n| n.eq_ignore_ascii_case(end))
        };
        let begins_alike = name.get(..KEPT).is_some_and(|n| n.eq_ignore_ascii_case(head));
        let dotted = name.len() >= CUT_FROM - 1 && tail.strip_suffix(b".").is_some_and(ends_alike);
        begins_alike && (dotted || (name.len() >= CUT_FROM && ends_alike(tail)))
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

/// The two ends of a name that a delivery line has cut in its middle, if it is one. Such a name is never a key.
pub(crate) fn ends_of_cut(logged: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = logged.split_at_checked(KEPT)?;
    let tail = rest.strip_prefix(b"...")?;
    (tail.len() == KEPT).then_some((head, tail))
}

/// Reads what stands between brackets, if it is an address; see [`parse_address`].
pub(crate) fn bracketed_address(text: &[u8]) -> Option<IpAddr> {
    let inner = text.strip_prefix(b"[")?.strip_suffix(b"]")?;
    parse_address(std::str::from_utf8(inner).ok()?)
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
        assert_eq!(form(&"a".repeat(256)), "none");
        assert_eq!(form("\u{e9}.example"), "none");
    }

    #[test]
    fn names_in_delivery_lines() {
        let check = |relay: &str, logged: &str, expect: bool| {
            let relay = Relay::parse(relay.as_bytes()).unwrap();
            assert_eq!(relay.is_logged_as(logged.as_bytes()), expect, "{relay} {logged}");
        };
        check("mx.example.org", "mx.example.org.", true);
        check("mx.example.org", "MX.example.org", true);
        check("mx.example.org", "mx.example.net.", false);
        check("[mx.example.org]", "[mx.example.org]", true);
        check("mx.example.org", "[mx.example.org]", false);
        check("[ipv6:fd00:1ab::41]", "[IPv6:fd00:1ab::41]", true);
        let long = "mail-gateway-number-one-of-the-very-long-subdomain.department.mx.test";
        check(long, "mail-gateway-numbe...epartment.mx.test.", true);
        check(long, "mail-gateway-numbe...epartment.mx.tesu.", false);
        check(long, "nail-gateway-numbe...epartment.mx.test.", false);
        check(long, "mail-gateway-numb...epartment.mx.test.", false);
        let (name_38, name_39) =
            (format!("{}.example", "a".repeat(30)), format!("{}.example", "a".repeat(31)));
        check(&name_38, "aaaaaaaaaaaaaaaaaa...aaaaaaaaaa.example.", false);
        check(&name_39, "aaaaaaaaaaaaaaaaaa...aaaaaaaaa.example.", true);
        check(&format!("[{name_38}]"), "[aaaaaaaaaaaaaaaaa...aaaaaaaaa.example]", true);
    }
}
