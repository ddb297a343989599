//! The TXT record that says whether a domain has a policy, and which (RFC 8461, section 3.1).
//!
//! `v=STSv1; id=20260101T000000;`: the id changes whenever the policy does. Anybody may write anything into his zone, so
//! the record is read by the grammar, and what the grammar does not allow is no record.

use hickory_resolver::proto::rr::RData;

/// An id is 1 to this many letters and digits; so is a field's name, which may also hold `_`, `-` and `.`.
const MAX_NAME: usize = 32;

/// The id, if exactly one of the records is of version `STSv1` and that one is valid.
///
/// The strings of one record are joined without anything between them. Of two `id` fields the first counts (section
/// 3.2); fields that are not known here are passed over.
pub(crate) fn id(records: &[RData]) -> Option<Box<str>> {
    let text = |data: &RData| match data {
        RData::TXT(txt) => Some(txt.txt_data.concat()),
        _ => None,
    };
    let mut ours = records.iter().filter_map(text).filter(|text| fields(text).is_some());
    let only = ours.next()?;
    if ours.next().is_some() {
        return None;
    }
    parse(&only)
}

/// What comes after `v=STSv1;`, if the text begins so: a record of `v=STSv10` is of another version.
fn fields(text: &[u8]) -> Option<&[u8]> {
    trim(text.strip_prefix(b"v=STSv1")?).strip_prefix(b";")
}

/// The id in one record.
fn parse(text: &[u8]) -> Option<Box<str>> {
    let mut fields = fields(text)?;
    // One delimiter may end the record; two are an empty field, which the grammar does not have.
    if let Some(rest) = trim(fields).strip_suffix(b";") {
        fields = rest;
    }
    let mut id = None;
    for field in fields.split(|&b| b == b';').map(trim) {
        let equals = field.iter().position(|&b| b == b'=')?;
        let (name, value) = (field.get(..equals)?, field.get(equals + 1..)?);
        if name == b"id" {
            let valid = (1..=MAX_NAME).contains(&value.len())
                && value.iter().all(u8::is_ascii_alphanumeric);
            let value = valid.then(|| String::from_utf8_lossy(value).into())?;
            id.get_or_insert(value);
        } else if !is_name(name) || !is_value(value) {
            return None;
        }
    }
    id
}

/// Whether it can be the name of a field, in a record as in a policy.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.len() <= MAX_NAME
        && name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn is_value(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|&b| b.is_ascii_graphic() && b != b'=' && b != b';')
}

/// Without the spaces and tabs (WSP) at both ends.
fn trim(text: &[u8]) -> &[u8] {
    let is_text = |&b: &u8| b != b' ' && b != b'\t';
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text.iter().rposition(is_text).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{A, TXT};
    use proptest::prelude::*;

    use super::*;

    fn txt(strings: &[&[u8]]) -> RData {
        RData::TXT(TXT::from_bytes(strings.to_vec()))
    }

    #[test]
    fn by_the_grammar() {
        fn check(text: &str, expect: &str) {
            let found = id(&[txt(&[text.as_bytes()])]);
            assert_eq!(found.as_deref().unwrap_or("none"), expect, "{text}");
        }
        check("v=STSv1; id=20160831085700Z;", "20160831085700Z"); // of the RFC
        check("v=STSv1; id=1", "1");
        check("v=STSv1;id=1;", "1");
        check("v=STSv1 \t; \t id=1 \t; ", "1");
        check("v=STSv1; id=1; a.b-c_d=!#$<>~; ", "1");
        check("v=STSv1; x=1; id=2;", "2");
        check("v=STSv1; id=1; id=2;", "1");
        check("v=STSv1; id=12345678901234567890123456789012", "12345678901234567890123456789012");
        check("v=STSv1; id=123456789012345678901234567890123", "none");
        check("v=STSv1; id=", "none");
        check("v=STSv1; id=a-b", "none");
        check("v=STSv1; id=1; id=a-b", "none");
        check("v=STSv1; id= 1", "none");
        check("v=STSv1; id =1", "none");
        check("v=STSv1; ID=1", "none");
        check("v=STSv1; id=1;;", "none");
        check("v=STSv1;; id=1", "none");
        check("v=STSv1; id=1; x", "none");
        check("v=STSv1; id=1; x=", "none");
        check("v=STSv1; id=1; x=a=b", "none");
        check("v=STSv1; id=1; x=a b", "none");
        check("v=STSv1; id=1; -x=1", "none");
        check("v=STSv1; id=1; =1", "none");
        check(&format!("v=STSv1; id=1; {}=1", "x".repeat(33)), "none");
        check("v=STSv1; id=1\n", "none");
        check("v=STSv1; id=\u{e4}", "none");
        check("v=STSv1; x=1", "none");
        check("v=STSv1;", "none");
        check("v=STSv1", "none");
        check("v=STSv10; id=1", "none");
        check("v=STSv2; id=1", "none");
        check("V=STSv1; id=1", "none");
        check("v=stsv1; id=1", "none");
        check(" v=STSv1; id=1", "none");
        check("id=1; v=STSv1", "none");
        check("v=spf1 -all", "none");
        check("", "none");
    }

    #[test]
    fn exactly_one() {
        let one = || txt(&[b"v=STSv1; id=1"]);
        let other = || txt(&[b"v=STSv1; id=2"]);
        let foreign = || txt(&[b"v=spf1 -all"]);
        let address = || RData::A(A::new(192, 0, 2, 1));
        assert_eq!(id(&[]), None);
        assert_eq!(id(&[foreign()]), None);
        assert_eq!(id(&[address(), foreign(), one()]).as_deref(), Some("1"));
        assert_eq!(id(&[one(), txt(&[b"v=STSv12; id=2"])]).as_deref(), Some("1"));
        assert_eq!(id(&[one(), other()]), None);
        assert_eq!(id(&[one(), one()]), None);
        assert_eq!(id(&[one(), txt(&[b"v=STSv1; broken"])]), None); // of our version, though broken
        assert_eq!(id(&[txt(&[b"v=STS", b"v1; i", b"", b"d=1"])]).as_deref(), Some("1"));
        assert_eq!(id(&[txt(&[b"v=STSv1; id=1", b"2"])]).as_deref(), Some("12"));
    }

    proptest! {
        /// Whatever the zone says, an id is 1 to 32 letters and digits.
        #[test]
        fn an_id_or_none(records in proptest::collection::vec(
            proptest::collection::vec("(v=STSv1)?[ ;]{0,3}(id=)?[a-z0-9=;\\x00-\\x20\\x80]{0,40}", 0..3), 0..3,
        )) {
            let records: Vec<RData> = records.iter().map(|strings| {
                txt(&strings.iter().map(|s| s.as_bytes()).collect::<Vec<_>>())
            }).collect();
            if let Some(id) = id(&records) {
                prop_assert!((1..=32).contains(&id.len()), "{}", id);
                prop_assert!(id.bytes().all(|b| b.is_ascii_alphanumeric()), "{}", id);
            }
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _id = parse(&bytes);
        }
    }
}
