//! The delivery line: what became of a message at a host.
//!
//! `QUEUEID: to=…[, ctladdr=…], delay=…, xdelay=…, mailer=…, pri=…, relay=…, dsn=…[, reply=…], stat=…`
//!
//! It is foreign at both ends: a quoted recipient may hold any text, and so may the server's reply, which stands in
//! `reply=` and again in `stat=`. So it is read strictly from the left: the list of recipients by its quotes and
//! brackets, then sendmail's own fields in sendmail's order, then the relay; of `stat=` only the first word counts, and
//! where `reply=` comes before it, only the class of `dsn=`. What a line says is believed only of a process that is
//! known to have failed with TLS (see [`crate::joiner`]); a Deferred line alone proves nothing.

use std::net::IpAddr;

use memchr::memmem;

use crate::cursor::{Cursor, text};
use crate::event::Recipients;
use crate::flaw::Flaw;
use crate::relay::bracketed_address;

/// How many recipients of a line are kept: a line of syslog has hardly room for more.
const MOST_RECIPIENTS: usize = 64;

/// What became of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// `stat=Deferred`
    Deferred,
    /// `stat=Sent`
    Sent,
    /// A bounce and all else.
    Other,
}

/// A delivery line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery<'a> {
    /// Letters and digits.
    pub(crate) queue_id: &'a [u8],
    /// The list of recipients.
    pub(crate) to: &'a [u8],
    /// From `delay=` on: all but the addresses of people.
    pub(crate) fields: &'a [u8],
    /// Whether sendmail says that there are more (`, [more]`).
    pub(crate) more: bool,
    /// The host, verbatim: with a dot at its end, maybe cut in its middle.
    pub(crate) relay: &'a [u8],
    pub(crate) address: Option<IpAddr>,
    /// `4.7.0`; empty if the line has none.
    pub(crate) dsn: &'a [u8],
    /// Whether the server's words come before `stat=`.
    pub(crate) has_reply: bool,
    /// What follows: `stat=…`, or the server's words and then that.
    pub(crate) tail: &'a [u8],
    pub(crate) outcome: Outcome,
}

impl<'a> Delivery<'a> {
    /// Whether it is a bare `stat=Deferred` for a host that was not connected to: the process had failed with that host
    /// before (or another process had, with `HostStatusDirectory`). A local mailer's host has no dot at its end.
    pub(crate) fn is_waiting(&self) -> bool {
        let host = self.relay.ends_with(b".") || self.relay.ends_with(b"]");
        let unconnected = self.address.is_none() && !self.relay.contains(&b' ');
        host && unconnected && !self.has_reply && self.tail == b"Deferred"
    }

    /// The recipients, at most 64, their angle brackets cut.
    pub(crate) fn recipients(&self) -> Recipients<'a> {
        let mut rest = self.to;
        let mut list = Vec::new();
        while !rest.is_empty() && list.len() < MOST_RECIPIENTS {
            let end = next_comma(rest, 0).unwrap_or(rest.len());
            let (recipient, after) = rest.split_at(end);
            let inner = recipient.strip_prefix(b"<").and_then(|r| r.strip_suffix(b">"));
            list.push(text(inner.unwrap_or(recipient)));
            rest = after.get(1..).unwrap_or_default();
        }
        Recipients { list, more: self.more || !rest.is_empty() }
    }
}

/// Splits `QUEUEID: rest`.
pub(crate) fn queue_id(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut cursor = Cursor::new(message);
    let id = cursor.take_while(|b| b.is_ascii_alphanumeric());
    let id = (5..=32).contains(&id.len()).then_some(id)?;
    cursor.skip(": ").then_some((id, cursor.rest()))
}

/// Reads a message that begins with `QUEUEID: to=`.
pub(crate) fn read(message: &[u8]) -> Result<Delivery<'_>, Flaw> {
    let (queue_id, rest) = queue_id(message).ok_or(Flaw::OtherMessage)?;
    let mut cursor = Cursor::new(rest);
    cursor.expect("to=")?;
    let to = cursor.take(end_of_list(cursor.rest(), b" ").ok_or(Flaw::OpenList)?);
    let more = cursor.skip(", [more]");
    if cursor.skip(", ctladdr=") {
        // sendmail cuts a long one in its middle, so its quotes may be odd.
        let end = end_of_list(cursor.rest(), b" delay=")
            .or_else(|| memmem::find(cursor.rest(), b", delay="))
            .ok_or(Flaw::Missing(", delay="))?;
        cursor.take(end);
    }
    let fields = cursor.rest().get(2..).unwrap_or_default();
    cursor.expect(", delay=")?;
    skip_duration(&mut cursor, "delay=")?;
    if cursor.skip(", xdelay=") {
        skip_duration(&mut cursor, "xdelay=")?;
    }
    if cursor.skip(", mailer=") && cursor.field().is_empty() {
        return Err(Flaw::Value("mailer="));
    }
    cursor.expect(", pri=")?;
    cursor.number().ok_or(Flaw::Value("pri="))?;
    skip_own_fields(&mut cursor, &["relay", "dsn", "reply", "stat", "quarantine"]);
    if !cursor.skip(", relay=") {
        return Err(Flaw::NoRelay);
    }
    let (relay, address) = host_and_address(cursor.long_field());
    let dsn = if cursor.skip(", dsn=") { cursor.field() } else { b"" };
    skip_own_fields(&mut cursor, &["reply", "stat"]);
    let has_reply = cursor.skip(", reply=");
    if !has_reply {
        cursor.expect(", stat=")?;
    }
    let tail = cursor.rest();
    let outcome = if has_reply { outcome_of_dsn(dsn) } else { outcome_of_stat(tail) };
    Ok(Delivery { queue_id, to, fields, more, relay, address, dsn, has_reply, tail, outcome })
}

fn outcome_of_dsn(dsn: &[u8]) -> Outcome {
    match dsn {
        [b'2', b'.', ..] => Outcome::Sent,
        [b'4', b'.', ..] => Outcome::Deferred,
        _ => Outcome::Other,
    }
}

/// sendmail's own word: `Deferred`, `Deferred: …`, `Sent`, `Sent (…)`.
fn outcome_of_stat(stat: &[u8]) -> Outcome {
    let mut cursor = Cursor::new(stat);
    match cursor.take_while(|b| b.is_ascii_alphabetic()) {
        b"Deferred" if matches!(cursor.rest(), [] | [b':', ..]) => Outcome::Deferred,
        b"Sent" if matches!(cursor.rest(), [] | [b' ', ..]) => Outcome::Sent,
        _ => Outcome::Other,
    }
}

/// `name. [192.0.2.1]`: the host, and the address if a connection was made.
fn host_and_address(relay: &[u8]) -> (&[u8], Option<IpAddr>) {
    let Some(blank) = memchr::memchr(b' ', relay) else { return (relay, None) };
    match relay.get(blank + 1..).and_then(bracketed_address) {
        Some(address) => (relay.get(..blank).unwrap_or(relay), Some(address)),
        None => (relay, None),
    }
}

/// `00:00:05`, `1+03:00:00`
fn skip_duration(cursor: &mut Cursor<'_>, name: &'static str) -> Result<(), Flaw> {
    match cursor.take_while(|b| b.is_ascii_digit() || b == b':' || b == b'+') {
        [] => Err(Flaw::Value(name)),
        _ => Ok(()),
    }
}

/// Steps over fields that only some builds of sendmail write (`ntries=`, `stage=`, `STS=`), up to one of `known`.
fn skip_own_fields(cursor: &mut Cursor<'_>, known: &[&str]) {
    loop {
        let mut ahead = *cursor;
        if !ahead.skip(", ") {
            return;
        }
        let name = ahead.take_while(|b| b.is_ascii_alphabetic());
        let is_known = known.iter().any(|k| k.as_bytes() == name);
        if is_known || name.is_empty() || !ahead.skip("=") {
            return;
        }
        ahead.take_while(|b| b.is_ascii_graphic() && b != b',');
        *cursor = ahead;
    }
}

/// Where a list of addresses ends: at a comma outside quotes and brackets that `after` follows.
fn end_of_list(list: &[u8], after: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let comma = next_comma(list, from)?;
        if list.get(comma + 1..).is_some_and(|rest| rest.starts_with(after)) {
            return Some(comma);
        }
        from = comma + 1;
    }
}

/// The first comma from `from` on that stands outside quotes, angle brackets and comments.
fn next_comma(list: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut quoted, mut depth) = (from, false, 0_usize);
    loop {
        let rest = list.get(at..)?;
        at += rest.iter().position(|byte| MEANS[usize::from(*byte)])?;
        match list.get(at)? {
            b'\\' => at += escaped(list.get(at..).unwrap_or_default()),
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'<' | b'(' => depth += 1,
            b'>' | b')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

/// The bytes that mean something in a list of addresses: a comma, quotes, brackets. Between them lies nearly all of it.
const MEANS: [bool; 256] = {
    let mut means = [false; 256];
    let mut at = 0;
    let all = b"\\\"<(>),";
    while at < all.len() {
        means[all[at] as usize] = true;
        at += 1;
    }
    means
};

/// How many bytes after a backslash belong to it. sendmail logs a backslash as two, so `\\` is one backslash of the
/// address, which takes the meaning of the next byte away; anything else after `\` stands for a control character.
fn escaped(text: &[u8]) -> usize {
    match text {
        [b'\\', b'\\', b'\\', ..] => 3,
        [b'\\', b'\\', ..] => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "delay=00:00:00, xdelay=00:00:00, mailer=esmtp, pri=30078";

    fn show(message: &str) -> String {
        match read(message.as_bytes()) {
            Err(flaw) => format!("{flaw:?}"),
            Ok(d) => format!(
                "{} {:?} {} {:?} {:?}{}",
                text(d.queue_id),
                d.recipients().list,
                text(d.relay),
                d.address.map(|a| a.to_string()),
                d.outcome,
                if d.is_waiting() { " waiting" } else { "" },
            ),
        }
    }

    #[test]
    fn outcomes() {
        let check = |tail: &str, expect: &str| {
            let message = format!("6ANBUDwd000274: to=<u@a.test>, {FIELDS}, {tail}");
            assert_eq!(
                show(&message),
                format!(r#"6ANBUDwd000274 ["u@a.test"] {expect}"#),
                "{message}"
            );
        };
        check(
            "relay=a.test. [127.0.0.11], dsn=4.7.0, stat=Deferred: 454 4.7.0 TLS handshake failed.",
            r#"a.test. Some("127.0.0.11") Deferred"#,
        );
        check(
            "relay=a.test. [127.0.0.11], dsn=2.0.0, stat=Sent (ok)",
            r#"a.test. Some("127.0.0.11") Sent"#,
        );
        check(
            "relay=a.test. [127.0.0.11], dsn=2.0.0, stat=Sent",
            r#"a.test. Some("127.0.0.11") Sent"#,
        );
        check("relay=a.test., dsn=4.0.0, stat=Deferred", "a.test. None Deferred waiting");
        check("relay=[a.test], dsn=4.0.0, stat=Deferred", "[a.test] None Deferred waiting");
        check(
            "relay=a.test. [127.0.0.11], dsn=4.0.0, stat=Deferred",
            r#"a.test. Some("127.0.0.11") Deferred"#,
        );
        check("relay=local, dsn=4.0.0, stat=Deferred", "local None Deferred");
        check(
            "relay=a.test. [127.0.0.11], dsn=5.7.0, stat=Service unavailable",
            r#"a.test. Some("127.0.0.11") Other"#,
        );
        check(
            "relay=a.test. [127.0.0.11], dsn=4.0.0, stat=Deferredly",
            r#"a.test. Some("127.0.0.11") Other"#,
        );
        check(
            "relay=a.test. [127.0.0.11], dsn=4.0.0, stat=Sentinel",
            r#"a.test. Some("127.0.0.11") Other"#,
        );
        check("ntries=3, relay=a.test., dsn=4.0.0, STS=OK, stat=Sent (x)", "a.test. None Sent");
        check(
            "relay=[IPv6:fd00:1ab::41] [IPv6:fd00:1ab:0:0:0:0:0:41], dsn=4.7.0, stat=Deferred: x",
            r#"[IPv6:fd00:1ab::41] Some("fd00:1ab::41") Deferred"#,
        );
        check(
            "relay=a.test. [not an address], dsn=4.7.0, stat=Deferred",
            "a.test. [not an address] None Deferred",
        );
    }

    #[test]
    fn words_of_the_server_do_not_count() {
        let check = |tail: &str, expect: &str| {
            let message = format!(
                "6ANBUDwd000274: to=<u@a.test>, {FIELDS}, relay=a.test. [127.0.0.11], {tail}"
            );
            let expect =
                format!(r#"6ANBUDwd000274 ["u@a.test"] a.test. Some("127.0.0.11") {expect}"#);
            assert_eq!(show(&message), expect, "{message}");
        };
        check("dsn=4.2.0, reply=450 x, stat=Sent (x), stat=Deferred: 450 x", "Deferred");
        check(
            "dsn=5.1.1, reply=550 x, stat=Deferred: 454 4.7.0 TLS handshake failed., stat=User unknown",
            "Other",
        );
        check(
            "dsn=4.7.0, stat=Deferred: 403 4.7.0 x, relay=v.example. [192.0.2.1], dsn=2.0.0, stat=Sent",
            "Deferred",
        );
        check(
            "dsn=2.0.0, stat=Sent (x, relay=v.example. [192.0.2.1], dsn=4.7.0, stat=Deferred: 403 x)",
            "Sent",
        );
    }

    #[test]
    fn recipients() {
        let check = |to: &str, expect: &str| {
            let message =
                format!("6ANBUDwd000274: to={to}, {FIELDS}, relay=a.test., dsn=2.0.0, stat=Sent");
            let got = show(&message);
            let got = got.strip_prefix("6ANBUDwd000274 ").unwrap_or(&got);
            assert_eq!(got.strip_suffix(" a.test. None Sent").unwrap_or(got), expect, "{to}");
        };
        check("<a@b>", r#"["a@b"]"#);
        check("a@b", r#"["a@b"]"#);
        check("<a@b>,<c@d>,e@f", r#"["a@b", "c@d", "e@f"]"#);
        check("<a@b>, [more]", r#"["a@b"]"#);
        check("<a@b>, ctladdr=<c@d> (1001/1001)", r#"["a@b"]"#);
        check("<a@b>, ctladdr=\"x, y\"@d (1/1)", r#"["a@b"]"#);
        check("<a@b>, ctladdr=\"xxxxx...yyyyy@d (1/1)", r#"["a@b"]"#);
        check("<@x,@y:a@b>", r#"["@x,@y:a@b"]"#);
        check("\"a, delay=00:00:01\"@b,<c@d>", r#"["\"a, delay=00:00:01\"@b", "c@d"]"#);
        check(r#"<"a\\", delay=00:00:01"@b>"#, r#"["\"a\\\\\", delay=00:00:01\"@b"]"#);
        check(r#"<"a\\\\">,<b@c>"#, r#"["\"a\\\\\\\\\"", "b@c"]"#);
        check("a@b (x, y)", r#"["a@b (x, y)"]"#);
        check("\"open", "OpenList");
        check("<open", "OpenList");
        let many = ["<a@b>"; 70].join(",");
        check(&many, &format!("{:?}", ["a@b"; 64]));
    }

    #[test]
    fn lines_that_are_none() {
        let check = |message: &str, expect: &str| assert_eq!(show(message), expect, "{message}");
        check("hello", "OtherMessage");
        check("6ANBUDwd000274: from=<a@b>, size=1", r#"Missing("to=")"#);
        check(
            "6ANBUDwd000274: to=<a@b>, delay=00:00:00, mailer=esmtp, pri=1, stat=queued",
            "NoRelay",
        );
        check(
            "6ANBUDwd000274: to=<a@b>, delay=00:00:00, pri=1, dsn=5.1.1, stat=User unknown",
            "NoRelay",
        );
        check("6ANBUDwd000274: to=<a@b>, pri=1, relay=x., stat=Sent", r#"Missing(", delay=")"#);
        check(
            "6ANBUDwd000274: to=<a@b>, delay=x, pri=1, relay=x., stat=Sent",
            r#"Value("delay=")"#,
        );
        check("6ANBUDwd000274: to=<a@b>, delay=1, pri=1, relay=x., else", r#"Missing(", stat=")"#);
    }
}
