//! `STARTTLS=server`: handshakes of our clients with us.
//!
//! `relay=` is `[ident@]name [address][ (may be forged)]`, or the bare address, cut after 100 bytes: of a line whose
//! bracket does not close, the address cannot be known. The name is that of the client's PTR record, so it is foreign;
//! it holds no blank. sendmail up to 8.14.3 names no relay in its error line.

use std::borrow::Cow;
use std::net::IpAddr;

use memchr::memmem;

use crate::client::failure;
use crate::cursor::{Cursor, text, word};
use crate::event::Client;
use crate::flaw::Flaw;
use crate::relay::bracketed_address;

pub(crate) const SERVER: &str = "STARTTLS=server, ";
pub(crate) const SERVER_ERROR: &str = "STARTTLS=server, error: ";

/// Reads a message that begins with [`SERVER_ERROR`].
pub(crate) fn error(message: &[u8]) -> Result<Client<'_>, Flaw> {
    let mut cursor = Cursor::new(message);
    cursor.expect(SERVER_ERROR)?;
    cursor.expect("accept failed=")?;
    cursor.number().ok_or(Flaw::Value("accept failed="))?;
    let reason = text(failure(&mut cursor)?.reason);
    cursor.expect(", relay=")?;
    client(cursor.rest(), reason)
}

/// Reads a message that begins with `STARTTLS=server, relay=`.
pub(crate) fn success(message: &[u8]) -> Result<Client<'_>, Flaw> {
    let mut cursor = Cursor::new(message);
    cursor.expect(SERVER)?;
    cursor.expect("relay=")?;
    let end = memmem::find(cursor.rest(), b", version=").ok_or(Flaw::Missing(", version="))?;
    client(cursor.take(end), Cow::Borrowed(""))
}

fn client<'a>(relay: &'a [u8], reason: Cow<'a, str>) -> Result<Client<'a>, Flaw> {
    read_client(relay)
        .map(|(name, address, may_be_forged)| Client { name, address, may_be_forged, reason })
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

    #[test]
    fn clients() {
        let check = |message: &str, expect: &str| {
            let read = if message.starts_with(SERVER_ERROR) { error } else { success };
            let got = match read(message.as_bytes()) {
                Ok(c) => format!(
                    "{:?} {} {} {:?}",
                    c.name.as_deref(),
                    c.address,
                    c.may_be_forged,
                    c.reason
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
        check(
            "STARTTLS=server, relay=a.test [192.0, version=TLSv1.3, verify=NO",
            r#"Value("relay=")"#,
        );
    }
}
