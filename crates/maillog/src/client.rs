//! `STARTTLS=client`: what sendmail says of its own handshakes with relays.
//!
//! Forms, by version: a failure is `error: connect failed=-1, reason=…, SSL_error=1, errno=0, retry=-1` since 8.14.6,
//! without `reason=` from 8.13 on, with a queue id and `timedout=` in 8.12; it never names the relay. Success and DANE
//! warnings name it, with a dot at its end, cut after 100 bytes.

use crate::cursor::{Cursor, text, word};
use crate::event::{Cause, CauseKind, Success};
use crate::flaw::Flaw;
use crate::relay::Relay;

pub(crate) const CLIENT: &str = "STARTTLS=client, ";
pub(crate) const CLIENT_ERROR: &str = "STARTTLS=client, error: ";

/// What OpenSSL 3 says when the peer closes the connection in the middle of a handshake.
const CLOSED: &[u8] = b"unexpected eof while reading";

/// A line with a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// `relay=…, version=…, verify=…, cipher=…`
    Success(Success<'a>),
    /// `relay=…, warning=DANE configured in DNS but …`
    DaneWarning(Relay<'a>),
}

/// Reads a message that begins with `STARTTLS=client, relay=`.
#[inline]
pub(crate) fn named(message: &[u8]) -> Result<Named<'_>, Flaw> {
    let mut cursor = Cursor::new(message);
    cursor.expect(CLIENT)?;
    cursor.expect("relay=")?;
    let relay = Relay::parse_dotted(cursor.long_field()).ok_or(Flaw::Value("relay="))?;
    if cursor.skip(", warning=") {
        cursor.expect("DANE configured in DNS but ")?;
        return Ok(Named::DaneWarning(relay));
    }
    cursor.expect(", version=")?;
    let version = usual_word(cursor.field()).ok_or(Flaw::Value("version="))?;
    cursor.expect(", verify=")?;
    let verify = usual_word(cursor.field()).ok_or(Flaw::Value("verify="))?;
    cursor.expect(", cipher=")?;
    Ok(Named::Success(Success { relay, version: version.into(), verify: verify.into() }))
}

/// As [`word`], without a look at each byte of the usual ones.
#[inline]
fn usual_word(text: &[u8]) -> Option<&str> {
    match text {
        b"TLSv1.3" => Some("TLSv1.3"),
        b"TLSv1.2" => Some("TLSv1.2"),
        b"OK" => Some("OK"),
        b"FAIL" => Some("FAIL"),
        b"NO" => Some("NO"),
        _ => word(text),
    }
}

/// Reads a message that begins with [`CLIENT_ERROR`].
pub(crate) fn error(message: &[u8]) -> Result<Cause<'_>, Flaw> {
    let mut cursor = Cursor::new(message);
    cursor.expect(CLIENT_ERROR)?;
    if !cursor.skip("connect failed=") {
        // `SSL_new failed` and its like: our own side.
        let reason = text(cursor.rest());
        return Ok(Cause { kind: CauseKind::Handshake, reason });
    }
    cursor.number().ok_or(Flaw::Value("connect failed="))?;
    let failure = failure(&mut cursor)?;
    Ok(Cause { kind: failure.kind(), reason: text(failure.reason) })
}

/// The fields that client and server errors share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure<'a> {
    /// Empty if the line has none.
    pub(crate) reason: &'a [u8],
    ssl_error: i32,
    retry: Option<i32>,
}

impl Failure<'_> {
    /// `SSL_error` 5 is a system call that failed (a reset, a close), 2 and 3 wait for the network until the time is up
    /// (`retry=0`; sendmail 8.12 has no `retry=`).
    pub(crate) fn kind(self) -> CauseKind {
        match self.ssl_error {
            5 => CauseKind::Network,
            2 | 3 if self.retry.is_none_or(|retry| retry == 0) => CauseKind::Network,
            _ if self.reason == CLOSED => CauseKind::Network,
            _ => CauseKind::Handshake,
        }
    }
}

/// Takes `[, reason=…], SSL_error=…[, timedout=…], errno=…[, retry=…]`.
pub(crate) fn failure<'a>(cursor: &mut Cursor<'a>) -> Result<Failure<'a>, Flaw> {
    let reason = if cursor.skip(", reason=") {
        let end = memchr::memmem::find(cursor.rest(), b", SSL_error=");
        cursor.take(end.ok_or(Flaw::Missing(", SSL_error="))?)
    } else {
        b""
    };
    cursor.expect(", SSL_error=")?;
    let ssl_error = cursor.number().ok_or(Flaw::Value("SSL_error="))?;
    if cursor.skip(", timedout=") {
        cursor.number().ok_or(Flaw::Value("timedout="))?;
    }
    cursor.expect(", errno=")?;
    cursor.number().ok_or(Flaw::Value("errno="))?;
    let retry = if cursor.skip(", retry=") {
        Some(cursor.number().ok_or(Flaw::Value("retry="))?)
    } else {
        None
    };
    Ok(Failure { reason, ssl_error, retry })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes() {
        let check = |rest: &str, expect: Result<(CauseKind, &str), Flaw>| {
            let message = format!("STARTTLS=client, error: {rest}");
            let got = error(message.as_bytes());
            let got = got.as_ref().map(|c| (c.kind, c.reason.as_ref())).map_err(|f| *f);
            assert_eq!(got, expect, "{message}");
        };
        use CauseKind::{Handshake, Network};
        check(
            "connect failed=-1, reason=wrong version number, SSL_error=1, errno=0, retry=-1",
            Ok((Handshake, "wrong version number")),
        );
        check(
            "connect failed=-1, reason=unknown, SSL_error=5, errno=104, retry=-1",
            Ok((Network, "unknown")),
        );
        check(
            "connect failed=-1, reason=unknown, SSL_error=2, errno=11, retry=0",
            Ok((Network, "unknown")),
        );
        check(
            "connect failed=-1, reason=unknown, SSL_error=2, errno=11, retry=1",
            Ok((Handshake, "unknown")),
        );
        check(
            "connect failed=-1, reason=unexpected eof while reading, SSL_error=1, errno=32, retry=-1",
            Ok((Network, "unexpected eof while reading")),
        );
        check("connect failed=0, SSL_error=5, errno=0, retry=-1", Ok((Network, "")));
        check("connect failed=-1, SSL_error=1, timedout=0, errno=0", Ok((Handshake, "")));
        check("connect failed=-1, SSL_error=2, timedout=1, errno=0", Ok((Network, "")));
        check("SSL_new failed", Ok((Handshake, "SSL_new failed")));
        check("connect failed=-1, reason=x", Err(Flaw::Missing(", SSL_error=")));
        check("connect failed=x, SSL_error=1, errno=0", Err(Flaw::Value("connect failed=")));
        check("connect failed=-1, SSL_error=1", Err(Flaw::Missing(", errno=")));
    }

    #[test]
    fn lines_with_a_relay() {
        let check = |rest: &str, expect: &str| {
            let message = format!("STARTTLS=client, relay={rest}");
            let got = match named(message.as_bytes()) {
                Ok(Named::Success(s)) => format!("{} {} {}", s.relay, s.version, s.verify),
                Ok(Named::DaneWarning(relay)) => format!("dane {relay}"),
                Err(flaw) => format!("{flaw:?}"),
            };
            assert_eq!(got, expect, "{message}");
        };
        let tail = "version=TLSv1.3, verify=FAIL, cipher=TLS_AES_256_GCM_SHA384, bits=256/256";
        check(&format!("good.mx.test., {tail}"), "good.mx.test TLSv1.3 FAIL");
        check(&format!("[good.mx.test], {tail}"), "[good.mx.test] TLSv1.3 FAIL");
        check(
            &format!("good.mx.test., {tail}, pubkey_fp=x, status=y"),
            "good.mx.test TLSv1.3 FAIL",
        );
        check(
            "mx.test., version=TLSv1/SSLv3, verify=NO, cipher=RC4, bits=128/128",
            "mx.test TLSv1/SSLv3 NO",
        );
        check("mx.test., warning=DANE configured in DNS but STARTTLS failed", "dane mx.test");
        check("mx.test., warning=DANE configured in DNS but no STARTTLS available", "dane mx.test");
        check("mx.test., warning=else", r#"Missing("DANE configured in DNS but ")"#);
        check("mx.test., tlsstate=1, status=trying_again", r#"Missing(", version=")"#);
        check("mx.test., version=TLSv1.3, verify=OK", r#"Missing(", cipher=")"#);
        check("mx test., version=TLSv1.3, verify=OK, cipher=x", r#"Value("relay=")"#);
        check("., version=TLSv1.3, verify=OK, cipher=x", r#"Value("relay=")"#);
    }
}
