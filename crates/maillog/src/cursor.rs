//! Reads a message from left to right.

use std::borrow::Cow;

use crate::flaw::Flaw;

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// What is left.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Steps over `text`, if it stands here.
    #[inline]
    pub(crate) fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Steps over `text`, which must stand here.
    #[inline]
    pub(crate) fn expect(&mut self, text: &'static str) -> Result<(), Flaw> {
        if self.skip(text) { Ok(()) } else { Err(Flaw::Missing(text)) }
    }

    /// Takes the bytes before the next comma (all that is left, if there is none). For a few bytes.
    #[inline]
    pub(crate) fn field(&mut self) -> &'a [u8] {
        self.take_while(|b| b != b',')
    }

    /// As [`Cursor::field`], for a relay and other fields of some length.
    #[inline]
    pub(crate) fn long_field(&mut self) -> &'a [u8] {
        let end = memchr::memchr(b',', self.rest).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Takes `count` bytes; fewer, if fewer are left.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        head
    }

    /// Takes the bytes for which `wanted` holds.
    #[inline]
    pub(crate) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|b| !wanted(*b)).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Takes a number of at most nine digits, with or without a minus sign.
    pub(crate) fn number(&mut self) -> Option<i32> {
        let negative = self.skip("-");
        let digits = self.take_while(|b| b.is_ascii_digit());
        let value = unsigned(digits).filter(|_| digits.len() <= 9)?;
        let value = i32::try_from(value).ok()?;
        Some(if negative { -value } else { value })
    }
}

/// Reads 1 to 10 decimal digits.
pub(crate) fn unsigned(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    let mut value = 0_u64;
    for digit in digits {
        value = value * 10 + u64::from(digit.wrapping_sub(b'0'));
        if !digit.is_ascii_digit() {
            return None;
        }
    }
    u32::try_from(value).ok()
}

/// The bytes as text; what is no UTF-8 is replaced by U+FFFD.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// The bytes as text, if they are printable ASCII without blanks.
pub(crate) fn word(bytes: &[u8]) -> Option<&str> {
    let graphic = bytes.iter().fold(true, |all, b| all & b.is_ascii_graphic());
    if bytes.is_empty() || !graphic {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(unsigned(b"0"), Some(0));
        assert_eq!(unsigned(b"4294967295"), Some(u32::MAX));
        assert_eq!(unsigned(b"4294967296"), None);
        assert_eq!(unsigned(b"99999999999"), None);
        assert_eq!(unsigned(b""), None);
        assert_eq!(unsigned(b"1a"), None);
        assert_eq!(unsigned(b"1\xff"), None);
        assert_eq!(Cursor::new(b"-12,").number(), Some(-12));
        assert_eq!(Cursor::new(b"-").number(), None);
        assert_eq!(Cursor::new(b"1234567890").number(), None);
    }
}
