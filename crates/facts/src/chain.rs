//! What an answer section says about one name.
//!
//! A name may be an alias: reverse zones of less than 256 addresses are delegated by CNAMEs (RFC 2317). The chain is
//! followed from the name that was asked, by exact owner; a record of any other name in the section is nobody's
//! business, however plausible it looks. A chain that comes back to itself, or is longer than [`MAX_LINKS`], is no
//! answer.

use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// Aliases in one section, at most. BIND and unbound follow 8 to 16.
pub(crate) const MAX_LINKS: usize = 8;

/// Records of one kind, at most; the rest is not looked at.
const MAX_RECORDS: usize = 64;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// The records of the kind asked for, at most 64, and the shortest TTL on the way.
    Found(Vec<RData>, u32),
    /// An alias whose target the section does not tell about, and the shortest TTL on the way.
    Elsewhere(Name, u32),
    /// Nothing about the name.
    Nothing,
    /// More than [`MAX_LINKS`] aliases.
    TooLong,
}

/// Follows `name` through the section.
pub(crate) fn follow(section: &[Record], name: &Name, kind: RecordType) -> Chain {
    let mut current = name;
    let mut ttl = u32::MAX;
    for links in 0..=MAX_LINKS {
        let own = || section.iter().filter(|record| record.name == *current);
        let wanted: Vec<&Record> =
            own().filter(|record| record.record_type() == kind).take(MAX_RECORDS).collect();
        if !wanted.is_empty() {
            let ttl = wanted.iter().map(|record| record.ttl).fold(ttl, u32::min);
            return Chain::Found(wanted.into_iter().map(|r| r.data.clone()).collect(), ttl);
        }
        let alias = own().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((&target.0, record.ttl)),
            _ => None,
        });
        match alias {
            Some((target, record_ttl)) => {
                current = target;
                ttl = ttl.min(record_ttl);
            }
            None if links == 0 => return Chain::Nothing,
            None => return Chain::Elsewhere(current.clone(), ttl),
        }
    }
    Chain::TooLong
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::proto::rr::rdata::CNAME;
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("name")
    }

    /// Records by `owner ttl target-or-address`.
    fn section(text: &str) -> Vec<Record> {
        let record = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [owner, ttl, data] = words.as_slice() else { panic!("{line}") };
            let data = match data.parse::<Ipv4Addr>() {
                Ok(address) => RData::A(address.into()),
                Err(_) => RData::CNAME(CNAME(name(data))),
            };
            Record::from_rdata(name(owner), ttl.parse().expect("ttl"), data)
        };
        text.split(", ").filter(|line| !line.is_empty()).map(record).collect()
    }

    #[test]
    fn chains() {
        fn check(text: &str, expect: &str) {
            let found = match follow(&section(text), &name("a."), RecordType::A) {
                Chain::Found(data, ttl) => {
                    data.iter().map(|d| format!("{d} ")).collect::<String>() + &ttl.to_string()
                }
                Chain::Elsewhere(name, ttl) => format!("at {name} {ttl}"),
                other => format!("{other:?}"),
            };
            assert_eq!(found, expect, "{text}");
        }
        check("", "Nothing");
        check("a. 60 192.0.2.1, a. 50 192.0.2.2", "192.0.2.1 192.0.2.2 50");
        check("A. 60 192.0.2.1", "192.0.2.1 60");
        check("b. 60 192.0.2.1", "Nothing");
        check("b.a. 60 192.0.2.1", "Nothing");
        check("a. 60 b., b. 50 192.0.2.1, c. 1 192.0.2.9", "192.0.2.1 50");
        check("b. 70 192.0.2.1, a. 60 b.", "192.0.2.1 60"); // any order
        check("a. 60 b., c. 1 192.0.2.1", "at b. 60");
        check("a. 60 b., b. 50 c.", "at c. 50");
        check("a. 60 a.", "TooLong");
        check("a. 60 b., b. 60 a.", "TooLong");
        let links = |n: u8| -> String {
            let link = |i: u8| format!("{}. 9 {}., ", (b'a' + i) as char, (b'b' + i) as char);
            (0..n).map(link).collect::<String>() + &format!("{}. 9 192.0.2.1", (b'a' + n) as char)
        };
        check(&links(8), "192.0.2.1 9");
        check(&links(9), "TooLong");
    }

    #[test]
    fn no_more_than_64() {
        let many: Vec<String> = (0..200).map(|i| format!("a. 60 192.0.2.{i}")).collect();
        let found = follow(&section(&many.join(", ")), &name("a."), RecordType::A);
        assert!(matches!(found, Chain::Found(data, 60) if data.len() == 64));
    }

    proptest! {
        /// Whatever is found was said of the name itself or of an alias of it.
        #[test]
        fn never_of_another(links in proptest::collection::vec((0_u8..6, 0_u8..6, any::<bool>()), 0..12)) {
            let text: Vec<String> = links.iter().map(|(owner, to, alias)| {
                let target = if *alias { format!("{}.", (b'a' + to) as char) } else { format!("192.0.2.{owner}") };
                format!("{}. 60 {target}", (b'a' + owner) as char)
            }).collect();
            let mut reached = vec![0];
            for _ in 0..6 {
                let from = |(owner, _, alias): &&(u8, u8, bool)| *alias && reached.contains(owner);
                let more: Vec<u8> = links.iter().filter(from).map(|link| link.1).collect();
                reached.extend(more);
                reached.sort_unstable();
                reached.dedup();
            }
            if let Chain::Found(data, _) = follow(&section(&text.join(", ")), &name("a."), RecordType::A) {
                for data in data {
                    let RData::A(address) = data else { panic!("no address") };
                    prop_assert!(reached.contains(&address.octets()[3]));
                }
            }
        }
    }
}
