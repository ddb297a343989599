//! The path of a relay's page. A name may hold anything (it comes from an MX record), so all but letters, digits, `.`, `-`
//! and `_` is written as `%XX` (RFC 3986, section 2.1).

use std::fmt::Write as _;

/// The path of the relay's page.
pub(super) fn of_relay(relay: &str) -> String {
    let mut path = "/relay/".to_owned();
    for byte in relay.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                path.push(char::from(byte));
            }
            _ => {
                let _infallible = write!(path, "%{byte:02X}");
            }
        }
    }
    // A browser takes these for the folder and the one above it.
    match path.as_str() {
        "/relay/." => "/relay/%2E".to_owned(),
        "/relay/.." => "/relay/%2E%2E".to_owned(),
        _ => path,
    }
}

/// The name that is written so; none if it is no text.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        rest = after;
        let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let check = |relay: &str, expect: &str| {
            let path = of_relay(relay);
            assert_eq!(path, expect);
            let back = path.strip_prefix("/relay/").and_then(decoded);
            assert_eq!(back.as_deref(), Some(relay));
        };
        check("mx.example.org", "/relay/mx.example.org");
        check("[192.0.2.25]", "/relay/%5B192.0.2.25%5D");
        check("a/../b?c#d%", "/relay/a%2F..%2Fb%3Fc%23d%25");
        check("client 2001:db8::1", "/relay/client%202001%3Adb8%3A%3A1");
        assert_eq!(decoded("%"), None);
        assert_eq!(decoded("%4"), None);
        assert_eq!(decoded("%+4"), None);
        assert_eq!(decoded("%FF"), None);
    }
}
