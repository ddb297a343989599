//! What a value of a `Try_TLS:` entry means to sendmail.
//!
//! The rule set compares the value's tokens: only `NO` turns TLS off, in any case, with blanks or a carriage return
//! around it. A comment in parentheses is no token; one behind `#` is. A value that ends in `<TMPF>` is a temporary
//! failure, and that turns TLS off too. `?` is what a miss looks like, so the search goes on. Measured on sendmail
//! 8.17.1 in address test mode (`testdata/try_tls_effect.tsv`).

use crate::text::is_space;

/// What sendmail does with a relay whose lookup gave the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It does not try TLS.
    Off,
    /// It tries TLS, and looks no further.
    Try,
    /// It looks further, as if there were no entry.
    Miss,
}

/// What the value means.
pub fn meaning(value: &[u8]) -> Meaning {
    let plain = without_comments(value);
    let start = plain.iter().position(|&b| !is_space(b)).unwrap_or(plain.len());
    let end = plain.iter().rposition(|&b| !is_space(b)).map_or(start, |at| at + 1);
    let bare = plain.get(start..end).unwrap_or_default();
    // A backslash at the very end escapes nothing and is dropped.
    let bare = bare.strip_suffix(b"\\").unwrap_or(bare);
    if bare.eq_ignore_ascii_case(b"NO") || ends_in_tmpf(bare) {
        return Meaning::Off;
    }
    if bare == b"?" { Meaning::Miss } else { Meaning::Try }
}

/// Whether the last three tokens are `<`, `TMPF` and `>`.
fn ends_in_tmpf(value: &[u8]) -> bool {
    let dense: Vec<u8> = value.iter().copied().filter(|&b| !is_space(b)).collect();
    let tail = dense.get(dense.len().saturating_sub(6)..).unwrap_or_default();
    tail.eq_ignore_ascii_case(b"<TMPF>")
}

/// The value with a blank for each comment in parentheses. One that is never closed swallows the rest; a closing one
/// too many is dropped.
fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut depth = 0_usize;
    let mut kept = Vec::with_capacity(value.len());
    let mut bytes = value.iter();
    while let Some(&b) = bytes.next() {
        match b {
            b'(' => {
                depth += 1;
                kept.push(b' ');
            }
            b')' => depth = depth.saturating_sub(1),
            b'\\' if depth > 0 => {
                bytes.next();
            }
            _ if depth == 0 => kept.push(b),
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings() {
        let check = |value: &[u8], expect| assert_eq!(meaning(value), expect, "{value:?}");
        for value in [&b"NO"[..], b"no", b"nO \t\x0b\x0c\r", b"(c)NO", b"NO\\"] {
            check(value, Meaning::Off);
        }
        for value in
            [&b"NO (why)"[..], b"NO (why", b"NO )", b"NO ((a)b)", b"NO (a\\)b)", b"NO (\")"]
        {
            check(value, Meaning::Off);
        }
        for value in [&b"<TMPF>"[..], b"foo <tmpf>", b"NO <TMPF>", b"x<TMPF>", b"< TMPF >"] {
            check(value, Meaning::Off);
        }
        for value in
            [&b"YES"[..], b"NO # c", b"NO NO", b"NO,", b"\"NO\"", b"<NO>", b"N\\O", b"NO\xa0"]
        {
            check(value, Meaning::Try);
        }
        for value in [&b"N(x)O"[..], b"NO why)", b"()", b"NO \"(a)\"", b"<TMPF> NO"] {
            check(value, Meaning::Try);
        }
        check(b"", Meaning::Try);
        check(b"?", Meaning::Miss);
    }
}
