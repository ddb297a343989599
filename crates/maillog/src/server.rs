//! `STARTTLS=server`: handshakes of our clients with us.
//!
//! `relay=` is `[ident@]name [address][ (may be forged)]`, or the bare address, cut after 100 bytes: of a line whose
//! bracket does not close, the address cannot be known. The name is that of the client's PTR record, so it is foreign;
//! it holds no blank. sendmail up to 8.14.3 names no relay in its error line.
//!
//! The `from=` line of a message ends in the same `relay=`. What stands before it is the sender's: the envelope's from and
//! the Message-Id can say anything, but not after the last `, relay=`, since neither a PTR name nor an address holds a
//! blank. Whoever forges the number of recipients before it speaks of his own address only.

use std::borrow::Cow;
use std::net::IpAddr;

use memchr::memmem;

use crate::client::failure;
use crate::cursor::{Cursor, text, word};
use crate::event::{Cause, Client};
use crate::flaw::Flaw;
use crate::relay::bracketed_address;

pub(crate) const SERVER: &str = "STARTTLS=server, ";
pub(crate) const SERVER_ERROR: &str = "STARTTLS=server, error: ";
/// Stands in the line of each message that comes in.
pub(crate) const FROM: &str = ": from=";

/// Reads a message that begins with [`SERVER_ERROR`].
pub(crate) fn error(message: &[u8]) -> Result<(Client<'_>, Cause<'_>), Flaw> {
    let mut cursor = Cursor::new(message);
    cursor.expect(SERVER_ERROR)?;
    cursor.expect("accept failed=")?;
    cursor.number().ok_or(Flaw::Value("accept failed="))?;
    let failure = failure(&mut cursor)?;
    cursor.expect(", relay=")?;
    let cause = Cause { kind: failure.kind(), reason: text(failure.reason) };
    Ok((client(cursor.rest())?, cause))
}

/// Reads a message that begins with `STARTTLS=server, relay=`.
pub(crate) fn success(message: &[u8]) -> Result<Client<'_>, Flaw> {
    let mut cursor = Cursor::new(message);
    cursor.expect(SERVER)?;
    cursor.expect("relay=")?;
    let end = memmem::find(cursor.rest(), b", version=").ok_or(Flaw::Missing(", version="))?;
    client(cursor.take(end))
}

/// Reads a message `QUEUEID: from=…` that has recipients.
pub(crate) fn delivered(message: &[u8]) -> Result<Client<'_>, Flaw> {
    let recipients = memmem::find(message, b", nrcpts=").ok_or(Flaw::Missing(", nrcpts="))?;
    let count = message.get(recipients + b", nrcpts=".len()..).unwrap_or_default();
    if !matches!(count, [b'1'..=b'9', ..]) {
        return Err(Flaw::Value("nrcpts="));
    }
    let relay = memmem::rfind(message, b", relay=").ok_or(Flaw::Missing(", relay="))?;
    client(message.get(relay + b", relay=".len()..).unwrap_or_default())
}

fn client(relay: &[u8]) -> Result<Client<'_>, Flaw> {
    read_client(relay)
        .map(|(name, address, may_be_forged)| Client { name, address, may_be_forged })
        .ok_or(Flaw::Value("relay="))
}

fn read_client(relay: &[u8]) -> Option<(Option<Cow<'_, str>>, IpAddr, bool)> {
    let (relay, may_be_forged) = match relay.strip_suffix(b" (may be forged)") {
        Some(relay) => (relay, true),
        None => (relay, false),
    };
    let Some(blank) = memchr::memrchr(b' ', relay) else {
        return Some((None, bracketed_address(after_ident(relay))?, may_be_forged));
    };
    let (name, address) = relay.split_at_checked(blank)?;
    let address = bracketed_address(address.trim_ascii_start())?;
    let name = word(after_ident(name))?;
    Some((Some(Cow::Borrowed(name)), address, may_be_forged))
}

/// The part after `ident@`: what the client's own ident server says of its user.
fn after_ident(name: &[u8]) -> &[u8] {
    match memchr::memrchr(b'@', name) {
        Some(at) => name.get(at + 1..).unwrap_or_default(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::CauseKind;

    #[test]
    fn clients() {
        let check = |message: &str, expect: &str| {
            let no_cause =
                |client| (client, Cause { kind: CauseKind::Handshake, reason: "".into() });
            let read = if message.starts_with(SERVER_ERROR) {
                error(message.as_bytes())
            } else if message.starts_with(SERVER) {
                success(message.as_bytes()).map(no_cause)
            } else {
                delivered(message.as_bytes()).map(no_cause)
            };
            let got = match read {
                Ok((c, cause)) => format!(
                    "{:?} {} {} {:?}",
                    c.name.as_deref(),
                    c.address,
                    c.may_be_forged,
                    cause.reason
                ),
                Err(flaw) => format!("{flaw:?}"),
            };
            assert_eq!(got, expect, "{message}");
        };
        let head = "STARTTLS=server, error: accept failed=-1, reason=http request, SSL_error=1, errno=0, retry=-1";
        let broken = |relay: &str, expect: &str| check(&format!("{head}, relay={relay}"), expect);
        broken(
            "cl1.ptr.test [127.0.0.50]",
            r#"Some("cl1.ptr.test") 127.0.0.50 false "http request""#,
        );
        broken(
            "cl1.ptr.test [127.0.0.50] (may be forged)",
            r#"Some("cl1.ptr.test") 127.0.0.50 true "http request""#,
        );
        broken("[127.0.0.52]", r#"None 127.0.0.52 false "http request""#);
        broken("u@[127.0.0.52]", r#"None 127.0.0.52 false "http request""#);
        broken("u@a.test [127.0.0.52]", r#"Some("a.test") 127.0.0.52 false "http request""#);
        broken(
            "v6.test [IPv6:fd00:1ab:0:0:0:0:0:41]",
            r#"Some("v6.test") fd00:1ab::41 false "http request""#,
        );
        broken("[192.0.2.1] [192.0.2.2]", r#"Some("[192.0.2.1]") 192.0.2.2 false "http request""#);
        broken("cl1.ptr.test [127.0.0.5", r#"Value("relay=")"#);
        broken("root@localhost", r#"Value("relay=")"#);
        broken("", r#"Value("relay=")"#);
        check(
            "STARTTLS=server, error: accept failed=-1, SSL_error=1, errno=0, retry=-1, relay=a.test [192.0.2.1]",
            r#"Some("a.test") 192.0.2.1 false """#,
        );
        check(
            "STARTTLS=server, error: accept failed=-1, SSL_error=1, timedout=0, errno=0",
            r#"Missing(", relay=")"#,
        );
        check(
            "STARTTLS=server, relay=a.test [192.0.2.1] (may be forged), version=TLSv1.3, verify=NO, cipher=x, bits=1/1",
            r#"Some("a.test") 192.0.2.1 true """#,
        );
        let from =
            |fields: &str, expect: &str| check(&format!("6ANB000565: from={fields}"), expect);
        let a = r#"Some("a.test") 192.0.2.1 false """#;
        from(
            "<x@b>, size=9, class=0, nrcpts=1, msgid=<m>, proto=ESMTP, daemon=v4, relay=a.test [192.0.2.1]",
            a,
        );
        from(
            "<x@b>, size=0, class=0, nrcpts=0, proto=ESMTP, relay=a.test [192.0.2.1]",
            r#"Value("nrcpts=")"#,
        );
        from(
            "<\", relay=v.test [192.0.2.9]\"@b>, nrcpts=1, msgid=<, relay=v.test [192.0.2.9]>, relay=a.test [192.0.2.1]",
            a,
        );
        from(
            "root, size=9, class=0, nrcpts=1, msgid=<m>, relay=root@localhost",
            r#"Value("relay=")"#,
        );
        from("<x@b>, nrcpts=1, msgid=<m>", r#"Missing(", relay=")"#);
        check(
            "STARTTLS=server, relay=a.test [192.0, version=TLSv1.3, verify=NO",
            r#"Value("relay=")"#,
        );
    }
}
