//! With which relays TLS worked, and when last.
//!
//! One log line in ten is such a success, so this is the path that must cost nothing. Only two questions are ever asked:
//! when did TLS with this relay last work, and was any relay seen below this name. Neither needs the names themselves,
//! so the table holds a 64-bit hash of each name, keyed anew in each process, beside the second and two bytes of what
//! sendmail said of it: 16 bytes a relay that stay in the CPU's cache. Measured against a table of names on a log of a gigabyte with half a million successes: a
//! tenth of the CPU time of the whole scan.
//!
//! The same is kept of the addresses at which TLS worked: an entry by address would act on whatever relay is there.
//!
//! Two names with the same hash would be taken for one. Of 20,000 names that is one chance in 10¹¹, and it cannot be
//! arranged from outside, since the key is not known.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::handshake::Handshake;

/// Relays, and as many names above them, remembered at most; beyond it the older half is forgotten.
const MOST: usize = 20_000;

/// The last handshake with a relay that worked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// The second since 1970.
    pub second: u32,
    /// What sendmail said of it.
    pub handshake: Handshake,
}

/// What was last seen, by the hash of its name.
type Last = HashMap<u64, Success, RandomState>;

/// With which relays TLS worked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Successes {
    key: RandomState,
    relays: Last,
    /// Every name above one of the relays.
    above: Last,
    /// What changed since it was last asked for; none if nobody asks.
    changed: Option<HashMap<Box<str>, Success>>,
}

impl Successes {
    /// TLS with the relay worked. When it had worked last before.
    pub(crate) fn note(&mut self, relay: &str, success: Success) -> Option<u32> {
        let hash = self.key.hash_one(relay);
        let before = self.relays.get(&hash).copied();
        if before.is_some_and(|before| before.second > success.second) {
            return before.map(|before| before.second); // A log that is not in order.
        }
        if let Some(changed) = &mut self.changed {
            match changed.get_mut(relay) {
                Some(last) => *last = success,
                None => drop(changed.insert(relay.into(), success)),
            }
        }
        if let Some(last) = self.relays.get_mut(&hash) {
            *last = success;
            return before.map(|before| before.second);
        }
        insert(&mut self.relays, hash, success);
        for above in names_above(relay) {
            insert(&mut self.above, self.key.hash_one(above), success);
        }
        None
    }

    /// TLS worked at the address, with whatever relay.
    pub(crate) fn note_at(&mut self, address: IpAddr, success: Success) {
        let hash = self.hash_at(address);
        if self.relays.get(&hash).is_some_and(|before| before.second >= success.second) {
            return;
        }
        insert(&mut self.relays, hash, success);
        if let Some(changed) = &mut self.changed {
            changed.insert(place(address), success);
        }
    }

    /// The last time that TLS worked at the address, with whatever relay.
    pub(crate) fn last_at(&self, address: IpAddr) -> Option<Success> {
        self.relays.get(&self.hash_at(address)).copied()
    }

    /// Of an address: no text has such bytes to be hashed.
    fn hash_at(&self, address: IpAddr) -> u64 {
        self.key.hash_one((PLACE, address.to_canonical()))
    }

    /// What the ledger gives back: of a relay, or of an address. Whether it was a relay.
    pub(crate) fn recall(&mut self, text: &str, success: Success) -> bool {
        if let Some(address) = text.strip_prefix(PLACE) {
            if let Ok(address) = address.parse() {
                self.note_at(address, success);
            }
            return false;
        }
        self.note(text, success);
        true
    }

    /// The last time that TLS with the relay worked.
    pub(crate) fn last(&self, relay: &str) -> Option<Success> {
        self.relays.get(&self.key.hash_one(relay)).copied()
    }

    /// Whether a relay below the name was seen. One that was forgotten may still count.
    pub(crate) fn any_below(&self, name: &str) -> bool {
        self.above.contains_key(&self.key.hash_one(name))
    }

    /// Remembers from now on what changes.
    pub(crate) fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// What changed since the last call.
    pub(crate) fn take_changed(&mut self) -> Vec<(Box<str>, Success)> {
        self.changed.as_mut().map(std::mem::take).unwrap_or_default().into_iter().collect()
    }

    /// Whether anything changed.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.as_ref().is_some_and(|changed| !changed.is_empty())
    }
}

/// What an address is called among the relays, whose texts have no blanks.
const PLACE: &str = "at ";

fn place(address: IpAddr) -> Box<str> {
    format!("{PLACE}{}", address.to_canonical()).into()
}

/// The names above a relay, without the top-level domain: of `a.b.example` that is `b.example`.
fn names_above(relay: &str) -> impl Iterator<Item = &str> {
    let mut rest = relay.trim_matches(['[', ']']);
    std::iter::from_fn(move || {
        rest = rest.split_once('.')?.1;
        Some(rest).filter(|name| name.contains('.'))
    })
}

fn insert(last: &mut Last, hash: u64, success: Success) {
    if last.len() >= MOST {
        let mut ages: Vec<u32> = last.values().map(|success| success.second).collect();
        let (_, middle, _) = ages.select_nth_unstable(MOST / 2);
        let middle = *middle;
        last.retain(|_, success| success.second > middle);
    }
    last.insert(hash, success);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32) -> Success {
        Success { second, handshake: Handshake::of("TLSv1.3", "OK") }
    }

    #[test]
    fn what_was_seen_is_known() {
        let mut successes = Successes::default();
        assert_eq!(successes.note("a.mx.example.org", at(7)), None);
        assert_eq!(successes.note("a.mx.example.org", at(9)), Some(7));
        assert_eq!(successes.note("a.mx.example.org", at(8)), Some(9));
        assert_eq!(successes.last("a.mx.example.org"), Some(at(9)));
        assert_eq!(successes.last("mx.example.org"), None);
        assert!(successes.any_below("mx.example.org") && successes.any_below("example.org"));
        assert!(!successes.any_below("a.mx.example.org") && !successes.any_below("org"));
    }

    #[test]
    fn addresses_are_kept_beside_relays() {
        let mut successes = Successes::default();
        successes.track();
        let address: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        successes.note_at(address, at(7));
        successes.note_at(address, at(6));
        assert_eq!(successes.last_at("192.0.2.1".parse().unwrap()), Some(at(7)));
        let saved = successes.take_changed();
        assert_eq!(saved, [("at 192.0.2.1".into(), at(7))]);
        let mut again = Successes::default();
        assert!(!again.recall(&saved[0].0, saved[0].1) && again.recall("mx.example", at(3)));
        assert_eq!((again.last_at(address), again.last("mx.example")), (Some(at(7)), Some(at(3))));
    }

    #[test]
    fn a_flood_is_bounded_and_the_newest_stay() {
        let mut successes = Successes::default();
        for n in 0..100_000 {
            successes.note(&format!("r{n}.example"), at(n));
            assert!(successes.relays.len() <= MOST);
        }
        assert_eq!(successes.last("r99999.example"), Some(at(99_999)));
        assert_eq!(successes.last("r0.example"), None);
    }
}
