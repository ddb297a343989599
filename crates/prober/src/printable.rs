//! Foreign bytes as text that may be shown.

/// The text in printable ASCII, at most `longest` bytes: what is no such becomes an escape (`\x00`, `\n`), what is too
/// long ends in `...`.
pub(crate) fn printable(bytes: &[u8], longest: usize) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.extend(std::ascii::escape_default(*byte).map(char::from)),
        }
        if text.len() > longest {
            text.truncate(longest.saturating_sub(3));
            text.push_str("...");
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_is_left() {
        let check = |bytes: &[u8], expect: &str| assert_eq!(printable(bytes, 12), expect);
        check(b"220 ready", "220 ready");
        check(b"a\0\x1b[m\n\xff", "a\\x00\\x1b...");
        check(b"123456789012", "123456789012");
        check(b"1234567890123", "123456789...");
    }
}
