//! What a server sends, checked before ldap3 sees it.
//!
//! ldap3 (0.12.1) takes it for granted that a message has the shape it should have, and panics where it has not: two
//! bytes, an empty sequence, are enough. A panic ends the whole daemon. It also buffers without bound, and its parser
//! calls itself for each level of nesting. So each message is walked here first, by its one lawful shape (RFC 4511,
//! section 4 and appendix B), definite lengths only, as LDAP demands; what has another shape ends the connection.
//!
//! **What an attacker could try**, on the way before StartTLS or as the server: messages that are huge, endless, deeply
//! nested, out of turn, or text that is no UTF-8. Nothing is built from them here; a message is a slice of what came in.

/// Bytes of a message at most. The largest that is lawful for us is one row with all its values.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;

/// A message has not the shape that it should have; which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What we asked, and so what may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The number of the message.
    pub(crate) id: u32,
    answer: u8,
}

/// Whether more is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A part of the answer.
    Part,
    /// The end of it.
    End,
}

const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x78;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// How long the first message is, if that can be told yet.
pub(crate) fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    match bytes.first() {
        None => return Ok(None),
        Some(&SEQUENCE) => {}
        Some(_) => return Err(Malformed("no LDAP message")),
    }
    let Some((length, header)) = length_of(bytes)? else { return Ok(None) };
    match length.checked_add(header) {
        Some(all) if all <= MAX_MESSAGE => Ok(Some(all)),
        _ => Err(Malformed("a message of more than 1 MiB")),
    }
}

/// The length that is told after the first byte, and of how many bytes the head is.
fn length_of(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let Some(&first) = bytes.get(1) else { return Ok(None) };
    if first < 0x80 {
        return Ok(Some((usize::from(first), 2)));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 4 {
        return Err(Malformed("a length"));
    }
    let Some(digits) = bytes.get(2..2 + count) else { return Ok(None) };
    Ok(Some((digits.iter().fold(0, |sum, &b| sum << 8 | usize::from(b)), 2 + count)))
}

/// What is left of a piece of a message, read from its beginning.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The content of the next element, which has this tag.
    fn take(&mut self, tag: u8, what: &'static str) -> Result<&'a [u8], Malformed> {
        if !self.next_is(tag) {
            return Err(Malformed(what));
        }
        let (length, header) = length_of(self.0)?.ok_or(Malformed(what))?;
        let (content, rest) =
            self.0.get(header..).and_then(|r| r.split_at_checked(length)).ok_or(Malformed(what))?;
        self.0 = rest;
        Ok(content)
    }

    fn open(&mut self, tag: u8, what: &'static str) -> Result<Reader<'a>, Malformed> {
        self.take(tag, what).map(Reader)
    }

    fn text(&mut self, tag: u8, what: &'static str) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.take(tag, what)?).map_err(|_| Malformed(what))
    }

    fn number(&mut self, tag: u8, what: &'static str) -> Result<u32, Malformed> {
        match self.take(tag, what)? {
            [] => Err(Malformed(what)),
            [first, ..] if *first >= 0x80 => Err(Malformed(what)),
            digits if digits.len() <= 4 => {
                Ok(digits.iter().fold(0, |sum, &b| sum << 8 | u32::from(b)))
            }
            _ => Err(Malformed(what)),
        }
    }

    fn end(&self, what: &'static str) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed(what)) }
    }
}

/// What a request of ours asks; none if it has no answer.
pub(crate) fn request(message: &[u8]) -> Result<Option<Asked>, Malformed> {
    let mut body = Reader(message).open(SEQUENCE, "a request")?;
    let id = body.number(INTEGER, "a request's number")?;
    let answer = match body.0.first() {
        Some(0x60) => 0x61,
        Some(0x63) => DONE,
        Some(0x66) => 0x67,
        Some(0x68) => 0x69,
        Some(0x4a) => 0x6b,
        Some(0x77) => EXTENDED,
        _ => return Ok(None),
    };
    Ok(Some(Asked { id, answer }))
}

/// Checks a message of the server's.
pub(crate) fn response(message: &[u8], asked: Option<Asked>) -> Result<Came, Malformed> {
    let mut message = Reader(message);
    let mut body = message.open(SEQUENCE, "a message")?;
    message.end("a message")?;
    let id = body.number(INTEGER, "a message's number")?;
    let asked = asked.filter(|asked| asked.id == id);
    let Some(Asked { answer, .. }) = asked else {
        return Err(Malformed(if id == 0 {
            "it says goodbye"
        } else {
            "an answer that nobody asked for"
        }));
    };
    let came = match body.0.first() {
        Some(&ENTRY) if answer == DONE => entry(body.open(ENTRY, "a row")?)?,
        Some(&REFERENCE) if answer == DONE => texts(body.open(REFERENCE, "a referral")?)?,
        Some(&tag) if tag == answer => result(body.open(tag, "a result")?)?,
        _ => return Err(Malformed("an answer to something else")),
    };
    if !body.is_empty() {
        controls(body.open(0xa0, "controls")?)?;
        body.end("what comes after the controls")?;
    }
    Ok(came)
}

fn entry(mut row: Reader<'_>) -> Result<Came, Malformed> {
    row.text(OCTETS, "a row's name")?;
    let mut attributes = row.open(SEQUENCE, "a row's attributes")?;
    row.end("a row")?;
    while !attributes.is_empty() {
        let mut attribute = attributes.open(SEQUENCE, "an attribute")?;
        attribute.text(OCTETS, "an attribute's name")?;
        let mut values = attribute.open(SET, "an attribute's values")?;
        attribute.end("an attribute")?;
        while !values.is_empty() {
            values.take(OCTETS, "a value")?;
        }
    }
    Ok(Came::Part)
}

fn texts(mut list: Reader<'_>) -> Result<Came, Malformed> {
    while !list.is_empty() {
        list.text(OCTETS, "a referral's address")?;
    }
    Ok(Came::Part)
}

fn result(mut result: Reader<'_>) -> Result<Came, Malformed> {
    result.number(ENUMERATED, "a result's code")?;
    result.text(OCTETS, "a result's name")?;
    result.text(OCTETS, "a result's text")?;
    if result.next_is(0xa3) {
        texts(result.open(0xa3, "a result's referrals")?)?;
    }
    // What is behind it in the answers to a bind and to an extended operation.
    if result.next_is(0x87) {
        result.take(0x87, "credentials")?;
    }
    if result.next_is(0x8a) {
        result.text(0x8a, "an operation's name")?;
    }
    if result.next_is(0x8b) {
        result.take(0x8b, "an operation's value")?;
    }
    result.end("a result")?;
    Ok(Came::End)
}

fn controls(mut list: Reader<'_>) -> Result<(), Malformed> {
    while !list.is_empty() {
        let mut control = list.open(SEQUENCE, "a control")?;
        control.text(OCTETS, "a control's name")?;
        if control.next_is(BOOLEAN) && control.take(BOOLEAN, "a control")?.len() != 1 {
            return Err(Malformed("a control"));
        }
        if control.next_is(OCTETS) {
            control.take(OCTETS, "a control's value")?;
        }
        control.end("a control")?;
    }
    Ok(())
}

/// The cookie in the value of the control that pages come with (RFC 2696); empty after the last page.
pub(crate) fn cookie(value: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut body = Reader(value).open(SEQUENCE, "a page's control")?;
    body.take(INTEGER, "a page's size")?;
    let cookie = body.take(OCTETS, "a page's cookie")?.to_vec();
    body.end("a page's control")?;
    Ok(cookie)
}

/// The request to begin TLS (RFC 4511, section 4.14), as message 1.
pub(crate) const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// The code and the text of the answer to it.
pub(crate) fn start_tls(message: &[u8]) -> Result<(u32, &str), Malformed> {
    response(message, request(START_TLS)?)?;
    let mut body = Reader(message).open(SEQUENCE, "a message")?;
    body.take(INTEGER, "a message's number")?;
    let mut result = body.open(EXTENDED, "a result")?;
    let code = result.number(ENUMERATED, "a result's code")?;
    result.text(OCTETS, "a result's name")?;
    Ok((code, result.text(OCTETS, "a result's text")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element.
    fn of(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 0x80);
        [&[tag, length], content].concat()
    }

    fn message(id: u8, rest: &[u8]) -> Vec<u8> {
        of(SEQUENCE, &[&of(INTEGER, &[id]), rest].concat())
    }

    const OK: &[u8] = b"\x0a\x01\x00\x04\x00\x04\x00";

    fn asked(tag: u8) -> Option<Asked> {
        request(&message(7, &of(tag, b""))).unwrap()
    }

    #[test]
    fn answers_of_every_kind() {
        let check = |asks: u8, answer: &[u8], expect: Result<Came, &'static str>| {
            let got = response(&message(7, answer), asked(asks));
            assert_eq!(got, expect.map_err(Malformed), "{answer:?}");
        };
        check(0x60, &of(0x61, OK), Ok(Came::End));
        check(0x60, &of(0x61, &[OK, b"\x87\x01x"].concat()), Ok(Came::End));
        check(0x66, &of(0x67, &[OK, b"\xa3\x03\x04\x01x"].concat()), Ok(Came::End));
        check(0x68, &of(0x69, OK), Ok(Came::End));
        check(0x4a, &of(0x6b, OK), Ok(Came::End));
        check(0x63, &of(0x65, OK), Ok(Came::End));
        check(0x63, &of(0x73, b"\x04\x01x"), Ok(Came::Part));
        let row = [&b"\x04\x01x"[..], &of(0x30, &of(0x30, b"\x04\x01a\x31\x03\x04\x01\xff"))];
        check(0x63, &of(0x64, &row.concat()), Ok(Came::Part));
        let paged = [&of(0x65, OK)[..], &of(0xa0, &of(0x30, b"\x04\x03oid\x04\x01v"))].concat();
        check(0x63, &paged, Ok(Came::End));

        check(0x66, &of(0x65, OK), Err("an answer to something else"));
        check(0x60, &of(0x64, &row.concat()), Err("an answer to something else"));
        check(0x63, &of(0x79, OK), Err("an answer to something else"));
        check(0x66, b"", Err("an answer to something else"));
        check(0x66, &of(0x67, b""), Err("a result's code"));
        check(0x66, &of(0x67, b"\x0a\x00\x04\x00\x04\x00"), Err("a result's code"));
        check(0x66, &of(0x67, b"\x0a\x01\x00\x04\x01\xff\x04\x00"), Err("a result's name"));
        check(0x66, &of(0x67, b"\x0a\x01\x00\x04\x00\x24\x00"), Err("a result's text"));
        check(0x66, &of(0x67, &[OK, b"\x04\x00"].concat()), Err("a result"));
        check(0x63, &of(0x64, b"\x04\x01x\x30\x02\x04\x00"), Err("an attribute"));
        check(0x63, &of(0x64, b"\x04\x01x\x30\x7f"), Err("a row's attributes"));
        check(0x63, &[&paged[..], b"\x04\x00"].concat(), Err("what comes after the controls"));
        let bad = [&of(0x65, OK)[..], &of(0xa0, &of(0x30, b"\x04\x03oid\x01\x00"))].concat();
        check(0x63, &bad, Err("a control"));
    }

    #[test]
    fn answers_out_of_turn() {
        let one = message(7, &of(0x67, OK));
        let none = Err(Malformed("an answer that nobody asked for"));
        assert_eq!(response(&one, None), none);
        assert_eq!(response(&message(8, &of(0x67, OK)), asked(0x66)), none);
        // The notice of disconnection (RFC 4511, section 4.4.1).
        let bye = message(0, &of(0x78, OK));
        assert_eq!(response(&bye, asked(0x66)), Err(Malformed("it says goodbye")));
        assert_eq!(response(b"\x30\x00", asked(0x66)), Err(Malformed("a message's number")));
        assert_eq!(asked(0x42), None);
    }

    #[test]
    fn lengths() {
        let check = |bytes: &[u8], expect| assert_eq!(length(bytes), expect, "{bytes:?}");
        check(b"", Ok(None));
        check(b"\x30", Ok(None));
        check(b"\x30\x00", Ok(Some(2)));
        check(b"\x30\x82\x01", Ok(None));
        check(b"\x30\x82\x01\x00", Ok(Some(260)));
        check(b"\x30\x84\x00\x00\x00\x05", Ok(Some(11)));
        check(b"\x30\x80", Err(Malformed("a length")));
        check(b"\x30\x89", Err(Malformed("a length")));
        check(b"\x30\x84\xff\xff\xff\xff", Err(Malformed("a message of more than 1 MiB")));
        check(b"220 mail ESMTP\r\n", Err(Malformed("no LDAP message")));
    }

    #[test]
    fn tls_is_begun() {
        let answer = |code: u8, text: &str| {
            let result = [&[0x0a, 1, code, 4, 0], &of(4, text.as_bytes())[..]].concat();
            message(1, &of(0x78, &result))
        };
        assert_eq!(start_tls(&answer(0, "")), Ok((0, "")));
        assert_eq!(start_tls(&answer(2, "unsupported")), Ok((2, "unsupported")));
        assert!(start_tls(&message(1, &of(0x61, OK))).is_err());
        assert_eq!(cookie(b"\x30\x06\x02\x01\x00\x04\x01x"), Ok(b"x".to_vec()));
        assert!(cookie(b"\x30\x00").is_err() && cookie(b"").is_err());
    }
}
