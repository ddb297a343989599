//! `ruleset=tls_server` and `ruleset=try_tls`, the two rule sets that tell about STARTTLS with a relay.
//!
//! All of a `tls_server` line is written by sendmail: its only foreign part is the relay, the name of an MX record, which
//! can hold neither comma nor blank. It carries no queue id, so it is read only where it begins the message.

use std::net::IpAddr;

use crate::cursor::{Cursor, word};
use crate::event::{Fault, TryTls};
use crate::flaw::Flaw;
use crate::relay::{Relay, bracketed_address};

pub(crate) const TLS_SERVER: &str = "ruleset=tls_server, ";
pub(crate) const TRY_TLS: &str = "ruleset=try_tls, ";
/// How both begin. Few other lines have it (`tls_client`, `trust_auth`), and one search is cheaper than two.
pub(crate) const RESULT_OF_T: &str = "ruleset=t";

/// `ruleset=tls_server, arg1=…, relay=…, reject=…`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsServer<'a> {
    /// What became of STARTTLS: `SOFTWARE`, `NONE` …
    pub(crate) arg1: &'a str,
    pub(crate) relay: Relay<'a>,
    /// 400 to 599.
    pub(crate) code: u16,
    /// The rest of the reply. `TLS handshake failed.`, `STARTTLS failed.` and others: the words are those of the
    /// sendmail.cf and tell nothing that `arg1` does not.
    pub(crate) words: &'a [u8],
}

impl TlsServer<'_> {
    /// What broke. `None` for a finished handshake or none at all, where the rule set refused for want of what an
    /// entry of the admin's requires.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self.arg1 {
            "SOFTWARE" => Some(Fault::Software),
            "PROTOCOL" => Some(Fault::Protocol),
            "CONFIG" => Some(Fault::Config),
            _ => None,
        }
    }
}

/// Reads a message that begins with [`TLS_SERVER`].
pub(crate) fn tls_server(message: &[u8]) -> Result<TlsServer<'_>, Flaw> {
    let mut cursor = Cursor::new(message);
    cursor.expect(TLS_SERVER)?;
    cursor.expect("arg1=")?;
    let arg1 = word(cursor.field()).ok_or(Flaw::Value("arg1="))?;
    cursor.expect(", relay=")?;
    let relay = Relay::parse(cursor.long_field()).ok_or(Flaw::Value("relay="))?;
    cursor.expect(", reject=")?;
    let code = reply_code(&mut cursor).ok_or(Flaw::Value("reject="))?;
    Ok(TlsServer { arg1, relay, code, words: cursor.rest() })
}

/// `ruleset=try_tls, arg1=…, relay=…, reject=…` (`status=` from 8.17.2 on).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TryTlsLine<'a> {
    pub(crate) arg1: &'a [u8],
    pub(crate) relay: Relay<'a>,
    pub(crate) code: u16,
    /// The rest of the reply; a recipient stands in it.
    pub(crate) words: &'a [u8],
}

impl<'a> TryTlsLine<'a> {
    /// What it tells: an entry was used. `None` for 451, where the map could not be read.
    pub(crate) fn used(&self) -> Option<TryTls<'a>> {
        if self.code < 500 {
            return None;
        }
        Some(TryTls { relay: self.relay.clone(), address: self.address() })
    }

    /// The address at the end: `… do not try TLS with mx.example.org [192.0.2.1]`. The recipient stands before it.
    fn address(&self) -> Option<IpAddr> {
        let at = self.words.iter().rposition(|b| *b == b' ')?;
        let (before, address) = self.words.split_at_checked(at)?;
        let before = before.strip_suffix(self.relay.as_str().as_bytes())?;
        before.ends_with(b"do not try TLS with ").then(|| address_at_end(address)).flatten()
    }
}

/// IPv4 addresses stand there bare of their tag, IPv6 ones with or without it.
fn address_at_end(text: &[u8]) -> Option<IpAddr> {
    let text = text.trim_ascii();
    bracketed_address(text).or_else(|| {
        let inner = text.strip_prefix(b"[")?.strip_suffix(b"]")?;
        std::str::from_utf8(inner).ok()?.parse().ok()
    })
}

/// Reads a message that begins with [`TRY_TLS`].
pub(crate) fn try_tls(message: &[u8]) -> Result<TryTlsLine<'_>, Flaw> {
    let mut cursor = Cursor::new(message);
    cursor.expect(TRY_TLS)?;
    cursor.expect("arg1=")?;
    let arg1 = cursor.long_field();
    cursor.expect(", relay=")?;
    let relay = Relay::parse(cursor.long_field()).ok_or(Flaw::Value("relay="))?;
    if !cursor.skip(", reject=") {
        cursor.expect(", status=")?;
    }
    let code = reply_code(&mut cursor).ok_or(Flaw::Value("reject="))?;
    Ok(TryTlsLine { arg1, relay, code, words: cursor.rest() })
}

/// Takes `454 `: a reply code of class 4 or 5 and a blank.
fn reply_code(cursor: &mut Cursor<'_>) -> Option<u16> {
    let digits = cursor.take_while(|b| b.is_ascii_digit());
    let [b'4' | b'5', tens, ones] = digits else { return None };
    let class = if digits.first() == Some(&b'4') { 400 } else { 500 };
    cursor.skip(" ").then(|| class + u16::from(tens - b'0') * 10 + u16::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_server_lines() {
        let check = |message: &str, expect: Result<(&str, &str, u16), Flaw>| {
            let got = tls_server(message.as_bytes());
            let got = got.as_ref().map(|l| (l.arg1, l.relay.as_str(), l.code)).map_err(|f| *f);
            assert_eq!(got, expect, "{message}");
        };
        let head = "ruleset=tls_server, arg1=";
        let ok = |rest: &str, expect| check(&format!("{head}{rest}"), Ok(expect));
        ok(
            "SOFTWARE, relay=mx.example.org, reject=454 4.7.0 TLS handshake failed.",
            ("SOFTWARE", "mx.example.org", 454),
        );
        ok(
            "SOFTWARE, relay=mx.example.org, reject=403 4.7.0 TLS handshake.",
            ("SOFTWARE", "mx.example.org", 403),
        );
        ok(
            "SOFTWARE, relay=[192.0.2.1], reject=503 5.7.0 TLS handshake failed.",
            ("SOFTWARE", "[192.0.2.1]", 503),
        );
        ok("SOFTWARE, relay=a=b, reject=554 5.7.0 TLS handshake failed.", ("SOFTWARE", "a=b", 554));
        ok("PROTOCOL, relay=mx, reject=454 4.7.0 STARTTLS failed.", ("PROTOCOL", "mx", 454));
        ok(
            "CONFIG, relay=mx, reject=454 4.7.0 STARTTLS temporarily not possible.",
            ("CONFIG", "mx", 454),
        );
        ok(
            "CONFIG, relay=mx, reject=454 4.7.0 TLS temporarily not available.",
            ("CONFIG", "mx", 454),
        );
        ok(
            "NONE, relay=mx, reject=403 4.7.0 encryption too weak 0 less than 112",
            ("NONE", "mx", 403),
        );
        let bad = |rest: &str, flaw| check(&format!("{head}{rest}"), Err(flaw));
        bad("SOFTWARE, relay=mx, reject=254 x", Flaw::Value("reject="));
        bad("SOFTWARE, relay=mx, reject=4545 x", Flaw::Value("reject="));
        bad("SOFTWARE, relay=mx, reject=454", Flaw::Value("reject="));
        bad("SOFTWARE, relay=mx, discard", Flaw::Missing(", reject="));
        bad("SOFTWARE, relay=m x, reject=454 x", Flaw::Value("relay="));
        bad("SOFTWARE, relay=, reject=454 x", Flaw::Value("relay="));
        bad("SOFTWARE, arg2=x, relay=mx, reject=454 x", Flaw::Missing(", relay="));
        bad("SOFT WARE, relay=mx, reject=454 x", Flaw::Value("arg1="));
        bad(", relay=mx, reject=454 x", Flaw::Value("arg1="));
        check(
            "ruleset=tls_server,arg1=SOFTWARE,relay=mx,reject=454 x",
            Err(Flaw::Missing(TLS_SERVER)),
        );
    }

    #[test]
    fn try_tls_lines() {
        let check = |tail: &str, expect: Option<Option<&str>>| {
            let message =
                format!("ruleset=try_tls, arg1=mx.example.org, relay=mx.example.org, {tail}");
            let got = try_tls(message.as_bytes()).unwrap().used();
            let expect = expect.map(|a| a.map(|a| a.parse::<IpAddr>().unwrap()));
            assert_eq!(got.map(|used| used.address), expect, "{message}");
        };
        let words = "550 5.7.1 <u@example.org>... do not try TLS with mx.example.org";
        check(&format!("reject={words} [192.0.2.1]"), Some(Some("192.0.2.1")));
        check(&format!("status={words} [192.0.2.1]"), Some(Some("192.0.2.1")));
        check(&format!("status={words} [IPv6:2001:db8:0:0:0:0:0:1]"), Some(Some("2001:db8::1")));
        check(&format!("status={words} [2001:db8::1]"), Some(Some("2001:db8::1")));
        check("reject=550 5.7.1 do not try TLS with other.example [192.0.2.1]", Some(None));
        check("reject=550 5.7.1 something else", Some(None));
        check("reject=451 4.3.0 Temporary system failure. Please try again later.", None);
    }
}
