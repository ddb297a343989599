//! An operator's own regular expressions over sendmail's messages (`[[log.pattern]]`).
//!
//! A pattern is tried on the message of a delivery line that ended Deferred (`6ANB…: to=<…>, … stat=Deferred: …`) and of
//! a `ruleset=tls_server` line: these name the relay at a place where nobody but sendmail writes. The named group
//! `relay` must be that very name: a pattern that takes a name out of the server's words matches nothing, for whoever
//! writes those words could have any relay opted out. The same goes for the group `address`.
//!
//! The `regex` crate takes time linear in the text, whatever the pattern; the size of what a pattern is compiled to is
//! bounded. Without patterns nothing of this costs anything.

use std::borrow::Cow;
use std::sync::Arc;

use regex::bytes::{Captures, Regex, RegexBuilder};

use crate::delivery::{self, Delivery, Outcome};
use crate::event::Recipients;
use crate::prefix;
use crate::relay::{Relay, bracketed_address, parse_address};
use crate::reply::{Reply, of};
use crate::ruleset;
use crate::shape::Shape;

/// Patterns at most.
pub const MOST_PATTERNS: usize = 32;
/// Bytes of a pattern's text at most.
const LONGEST: usize = 1000;
/// Bytes of what a pattern is compiled to at most, and of what its search remembers.
const SIZE: usize = 1 << 20;

/// One pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    name: Box<str>,
    regex: Regex,
    counts: bool,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BadPattern {
    #[error("its name is not 1 to 40 letters, digits, blanks, `.`, `_` and `-`")]
    Name,
    #[error("it is longer than {LONGEST} bytes")]
    Long,
    #[error("it has no group (?P<relay>...)")]
    NoRelay,
    #[error("{0}")]
    Syntax(String),
}

/// Why a pattern says nothing of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum NoMatch {
    #[error("it is no line of sendmail's")]
    NoLine,
    #[error("it is neither a delivery line that ended Deferred nor a ruleset=tls_server line")]
    Shape,
    #[error("the pattern does not match it")]
    Regex,
    #[error("what the group `relay` takes is not the relay that sendmail names in the line")]
    Relay,
    #[error("what the group `address` takes is not the address beside the relay in the line")]
    Address,
}

/// The patterns in force; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Arc<[Pattern]>);

/// The relay of a line, where sendmail names it.
enum Own<'a> {
    Delivery(Box<Delivery<'a>>),
    Ruleset(Relay<'a>),
}

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// See [`BadPattern`].
    pub fn new(name: &str, regex: &str, counts: bool) -> Result<Self, BadPattern> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b" ._-".contains(&b);
        if !(1..=40).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(BadPattern::Name);
        }
        if regex.len() > LONGEST {
            return Err(BadPattern::Long);
        }
        let regex = RegexBuilder::new(regex)
            .size_limit(SIZE)
            .dfa_size_limit(SIZE)
            .build()
            .map_err(|error| BadPattern::Syntax(error.to_string()))?;
        if !regex.capture_names().flatten().any(|group| group == "relay") {
            return Err(BadPattern::NoRelay);
        }
        Ok(Self { name: name.into(), regex, counts })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says of a whole line of the log, for instance a sample.
    ///
    /// # Errors
    /// Why it says nothing of it.
    pub fn try_line<'a>(&self, line: &'a [u8]) -> Result<Reply<'a>, NoMatch> {
        let line = line.trim_ascii_end();
        let (_, message) = prefix::split(line).map_err(|_| NoMatch::NoLine)?;
        let reply = self.read(message, &own(message).ok_or(NoMatch::Shape)?)?;
        Ok(Reply { by: Cow::Owned(self.name.to_string()), ..reply })
    }

    fn read<'a>(&self, message: &'a [u8], own: &Own<'a>) -> Result<Reply<'a>, NoMatch> {
        let groups = self.regex.captures(message).ok_or(NoMatch::Regex)?;
        let by = Cow::Owned(self.name.to_string());
        let relay = groups.name("relay").ok_or(NoMatch::Regex)?.as_bytes();
        match own {
            Own::Delivery(delivery) => {
                let dotless = |name: &[u8]| name.strip_suffix(b".").unwrap_or(name).to_vec();
                if dotless(relay) != dotless(delivery.relay) {
                    return Err(NoMatch::Relay);
                }
                if !address_fits(&groups, delivery) {
                    return Err(NoMatch::Address);
                }
                of(delivery, by, self.counts).ok_or(NoMatch::Relay)
            }
            Own::Ruleset(own) => {
                if Relay::parse(relay).as_ref() != Some(own) {
                    return Err(NoMatch::Relay);
                }
                if groups.name("address").is_some() {
                    return Err(NoMatch::Address);
                }
                let (relay, recipients) = (own.clone(), Recipients::default());
                Ok(Reply { relay, address: None, by, counts: self.counts, recipients })
            }
        }
    }
}

fn address_fits(groups: &Captures<'_>, delivery: &Delivery<'_>) -> bool {
    let Some(group) = groups.name("address") else { return true };
    let address = bracketed_address(group.as_bytes())
        .or_else(|| parse_address(&String::from_utf8_lossy(group.as_bytes())));
    address.is_some() && address == delivery.address
}

/// The relay of a message that patterns are tried on.
fn own(message: &[u8]) -> Option<Own<'_>> {
    match Shape::of(message) {
        Shape::Delivery => {
            let delivery = delivery::read(message).ok()?;
            let deferred = delivery.outcome == Outcome::Deferred;
            deferred.then(|| Own::Delivery(Box::new(delivery)))
        }
        Shape::TlsServer => Some(Own::Ruleset(ruleset::tls_server(message).ok()?.relay)),
        _ => None,
    }
}

impl Patterns {
    /// These patterns, the first that matches a line speaks.
    pub fn new(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the first that matches says of a message.
    pub(crate) fn read<'a>(&self, message: &'a [u8]) -> Option<Reply<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let own = own(message)?;
        self.0.iter().find_map(|pattern| pattern.read(message, &own).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFERRED: &str = "Nov 23 10:57:42 lab sm-mta[421]: 6ANAvgJL000419: to=<u@gw.test>, delay=00:00:00, \
        xdelay=00:00:00, mailer=esmtp, pri=30074, relay=gw.mx.test. [127.0.0.40], dsn=4.2.0, ";
    const RULESET: &str = "Nov 23 10:57:42 lab sm-mta[421]: ruleset=tls_server, arg1=PROTOCOL, \
        relay=gw.mx.test, reject=454 4.7.0 TLS handshake failed.";

    #[test]
    fn lines() {
        let check = |regex: &str, line: &str, expect: &str| {
            let pattern = Pattern::new("mine", regex, true).unwrap();
            let got = match pattern.try_line(line.as_bytes()) {
                Ok(r) => format!("{} {:?} {} {}", r.relay, r.address, r.by, r.counts),
                Err(why) => format!("{why:?}"),
            };
            assert_eq!(got, expect, "{regex} {line}");
        };
        let gw = r#"gw.mx.test Some(127.0.0.40) mine true"#;
        let busy =
            format!("{DEFERRED}reply=451 TLS busy at victim.example, stat=Deferred: 451 TLS busy");
        check(r"relay=(?P<relay>[^, ]+) .*reply=451 TLS busy", &busy, gw);
        check(r"relay=(?<relay>[^, ]+)\. \[(?<address>[^\]]+)\], .*TLS busy", &busy, gw);
        check(r"relay=(?<relay>[^, ]+) (?<address>\[[^ ]+\]), .*TLS busy", &busy, gw);
        check(r"TLS busy at (?P<relay>[a-z.]+)", &busy, "Relay");
        check(r"relay=(?<relay>[^, ]+) .*reply=(?<address>\d+)", &busy, "Address");
        check(r"relay=(?P<relay>[^, ]+) .*reply=452", &busy, "Regex");
        let sent = format!("{DEFERRED}stat=Sent (TLS busy)");
        check(r"relay=(?P<relay>[^, ]+) .*TLS busy", &sent, "Shape");
        check(r"arg1=PROTOCOL, relay=(?P<relay>[^,]+)", RULESET, "gw.mx.test None mine true");
        check(r"arg1=(?<relay>PROTOCOL)", RULESET, "Relay");
        check(r"relay=(?P<relay>x)", "Nov 23 10:57:42 lab sm-mta[421]: hello", "Shape");
        check(r"relay=(?P<relay>x)", "hello", "NoLine");
        let cut = busy.replace("gw.mx.test.", "aaaaaaaaaaaaaaaaaa...aaaaaaaaa.example.");
        check(r"relay=(?P<relay>[^, ]+) ", &cut, "Relay");
    }

    #[test]
    fn patterns_that_cannot_be_used() {
        let check = |name: &str, regex: &str, expect: &str| {
            let error = Pattern::new(name, regex, true).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("", "(?P<relay>x)", "its name");
        check("a\n", "(?P<relay>x)", "its name");
        check("a", "x", "no group (?P<relay>...)");
        check("a", "(?P<relay>x", "unclosed group");
        check("a", &"x".repeat(1001), "longer than 1000 bytes");
        check("a", r"(?P<relay>\w{1000}{1000})", "exceeds size limit");
    }

    #[test]
    fn the_first_that_matches_speaks() {
        let of = |name, counts| Pattern::new(name, "relay=(?P<relay>[^, ]+)", counts).unwrap();
        let patterns = Patterns::new([of("first", false), of("second", true)]);
        let line = format!("{DEFERRED}stat=Deferred: 451 x");
        let message = line.split_once("]: ").unwrap().1;
        let reply = patterns.read(message.as_bytes()).unwrap();
        assert_eq!((&*reply.by, reply.counts), ("first", false));
        assert!(Patterns::default().read(message.as_bytes()).is_none());
    }
}
