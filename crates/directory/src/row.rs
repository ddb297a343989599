//! One row of the directory, as the server gave it: foreign to the last byte.

use ldap3::ResultEntry;
use ldap3::asn1::{PL, StructureTag};

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Row {
    /// None for what has not the shape of a row.
    pub(crate) fn of(entry: ResultEntry) -> Option<Self> {
        let [dn, attributes] = <[StructureTag; 2]>::try_from(parts(entry.0)?).ok()?;
        let read = |attribute| {
            let [name, values] = <[StructureTag; 2]>::try_from(parts(attribute)?).ok()?;
            let values = parts(values)?.into_iter().map(bytes).collect::<Option<_>>()?;
            Some((text(name)?, values))
        };
        let attributes = parts(attributes)?.into_iter().map(read).collect::<Option<_>>()?;
        Some(Self { dn: text(dn)?, attributes })
    }

    /// The values of an attribute.
    pub(crate) fn values(&self, attribute: &str) -> &[Vec<u8>] {
        let is = |(name, _): &&(String, Vec<Vec<u8>>)| name.eq_ignore_ascii_case(attribute);
        self.attributes.iter().find(is).map_or(&[], |(_, values)| values)
    }

    /// The value of an attribute that has one only.
    pub(crate) fn only(&self, attribute: &str) -> Option<&[u8]> {
        match self.values(attribute) {
            [value] => Some(value),
            _ => None,
        }
    }
}

fn parts(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(parts) => Some(parts),
        PL::P(_) => None,
    }
}

fn bytes(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

fn text(tag: StructureTag) -> Option<String> {
    String::from_utf8(bytes(tag)?).ok()
}
