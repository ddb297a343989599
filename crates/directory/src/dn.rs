//! Distinguished names (RFC 4514): written with foreign text in them, and read back from what a server says.
//!
//! A name from a server may be written in more than one way; it is taken apart before anything is compared. A name with
//! more than one attribute at a level, or a value in hexadecimal (`#04…`), is none of ours and is not read.

use ldap3::dn_escape;

/// The name of what stands under `parent` with this attribute.
pub(crate) fn below(parent: &str, attribute: &str, value: &str) -> String {
    format!("{attribute}={},{parent}", dn_escape(value))
}

/// The name of what it stands under.
pub(crate) fn above(name: &str) -> Option<&str> {
    let mut escaped = false;
    let comma = name.find(|c| {
        let ends = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    name.get(comma? + 1..)
}

/// The attributes and values of a name, the own one first; attributes in lower case. None if it is none of ours.
pub(crate) fn parse(name: &str) -> Option<Vec<(String, String)>> {
    let mut levels = Vec::new();
    let mut rest = name;
    loop {
        let (attribute, after) = rest.split_once('=')?;
        let attribute = attribute.trim_matches(' ').to_ascii_lowercase();
        if attribute.is_empty() || !attribute.bytes().all(is_of_attribute) {
            return None;
        }
        let (value, after) = value(after.trim_start_matches(' '))?;
        levels.push((attribute, value));
        match after {
            None => return Some(levels),
            Some(after) => rest = after,
        }
    }
}

fn is_of_attribute(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
}

/// A value, and what follows the comma behind it.
fn value(text: &str) -> Option<(String, Option<&str>)> {
    if text.starts_with('#') {
        return None;
    }
    let mut bytes = Vec::new();
    // How much of them stays when blanks at the end go.
    let mut kept = 0;
    let mut rest = text;
    let after = loop {
        let mut chars = rest.chars();
        let Some(c) = chars.next() else { break None };
        rest = chars.as_str();
        match c {
            ',' => break Some(rest),
            '+' | '"' | ';' | '<' | '>' | '\0' => return None,
            '\\' => {
                let escaped = rest.chars().next()?;
                if let Some(hex) =
                    rest.get(..2).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))
                {
                    bytes.push(u8::from_str_radix(hex, 16).ok()?);
                    rest = rest.get(2..)?;
                } else {
                    bytes.extend(escaped.to_string().bytes());
                    rest = rest.get(escaped.len_utf8()..)?;
                }
                kept = bytes.len();
            }
            c => {
                bytes.extend(c.to_string().bytes());
                if c != ' ' {
                    kept = bytes.len();
                }
            }
        }
    };
    bytes.truncate(kept);
    Some((String::from_utf8(bytes).ok()?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for value in
            ["x", "a b", " a", "#x", "a,b=c+d", "\\", "Try_TLS:[s.example]", "\u{e4}", "\0"]
        {
            let name = below("dc=example,dc=org", "sendmailMTAKey", value);
            let read = parse(&name).unwrap();
            assert_eq!(read.first().unwrap(), &("sendmailmtakey".to_owned(), value.to_owned()));
            assert_eq!(read.len(), 3, "{name}");
        }
    }

    #[test]
    fn what_stands_above() {
        let check = |name: &str, expect| assert_eq!(above(name), expect, "{name}");
        check("dc=example,dc=org", Some("dc=org"));
        check("dc=org", None);
        check("cn=a\\,b\\2c,dc=org", Some("dc=org"));
        check("cn=a\\\\,dc=org", Some("dc=org"));
    }

    #[test]
    fn names_as_servers_write_them() {
        let check = |name: &str, expect: Option<&[(&str, &str)]>| {
            let read = parse(name);
            let read: Option<Vec<_>> =
                read.as_ref().map(|r| r.iter().map(|(a, v)| (a.as_str(), v.as_str())).collect());
            assert_eq!(read.as_deref(), expect, "{name}");
        };
        check("CN = a , dc= b", Some(&[("cn", "a"), ("dc", "b")]));
        check("cn=a\\2Cb\\C3\\A4\\,\\20,dc=b", Some(&[("cn", "a,b\u{e4}, "), ("dc", "b")]));
        for name in ["", "a", "cn=a+sn=b,dc=x", "cn=#0401", "cn=\"a\"", "cn=a\\", "=a", "cn=\\ff"] {
            check(name, None);
        }
    }
}
