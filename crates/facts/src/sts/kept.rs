//! The policies that were fetched, until they expire.
//!
//! A policy is kept for its `max_age` even if nothing is seen of it any more (RFC 8461, section 3.3): that is its point,
//! for whoever can suppress an answer on the way could otherwise take the policy away. They are few (domains to which
//! mail is stuck, and that have a policy), and bounded all the same; beyond the bound the one that would expire first
//! leaves. Whoever owns thousands of domains could push out others that way, if mail to all of them were stuck here.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use policy::fact::Sts;

/// Domains, at most.
const MAX_DOMAINS: usize = 10_000;

/// Policies by domain.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    policies: HashMap<Box<str>, Sts>,
    /// The same domains by when theirs ends.
    ends: BTreeSet<(Timestamp, Box<str>)>,
}

impl Kept {
    /// The policy of the domain, if it still holds.
    pub(crate) fn get(&self, domain: &str, now: Timestamp) -> Option<Sts> {
        self.policies.get(domain).filter(|sts| now < sts.until).cloned()
    }

    /// Keeps a policy, in place of the one before.
    pub(crate) fn put(&mut self, domain: Box<str>, sts: Sts) {
        self.ends.insert((sts.until, domain.clone()));
        let until = sts.until;
        if let Some(before) = self.policies.insert(domain.clone(), sts)
            && before.until != until
        {
            self.ends.remove(&(before.until, domain));
        }
        while self.policies.len() > MAX_DOMAINS {
            let Some((_, first)) = self.ends.pop_first() else { break };
            self.policies.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use policy::fact::StsMode;
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("time")
    }

    fn sts(until: i64) -> Sts {
        Sts { mode: StsMode::Enforce, id: "1".into(), fetched: at(0), until: at(until) }
    }

    #[test]
    fn until_it_ends() {
        let mut kept = Kept::default();
        kept.put("a.test".into(), sts(100));
        assert_eq!(kept.get("a.test", at(99)), Some(sts(100)));
        assert_eq!(kept.get("a.test", at(100)), None);
        assert_eq!(kept.get("b.test", at(0)), None);
        kept.put("a.test".into(), sts(50)); // a later policy may be shorter
        assert_eq!(kept.get("a.test", at(50)), None);
        assert_eq!(kept.get("a.test", at(49)), Some(sts(50)));
    }

    #[test]
    fn the_first_to_end_leaves() {
        let mut kept = Kept::default();
        for i in 0..10_000 {
            kept.put(format!("{i}.test").into(), sts(20_000 - i));
        }
        kept.put("long.test".into(), sts(50_000));
        assert_eq!(kept.policies.len(), 10_000);
        assert_eq!(kept.get("9999.test", at(0)), None);
        assert!(kept.get("9998.test", at(0)).is_some() && kept.get("long.test", at(0)).is_some());
        kept.put("short.test".into(), sts(1)); // it is the one that leaves
        assert_eq!(kept.get("short.test", at(0)), None);
    }

    proptest! {
        /// Both tables tell the same.
        #[test]
        fn of_one_mind(puts in proptest::collection::vec((0_u8..5, 0_i64..5), 0..40)) {
            let mut kept = Kept::default();
            for (domain, until) in puts {
                kept.put(format!("{domain}.test").into(), sts(until));
                let mut ends: Vec<_> = kept.policies.iter().map(|(d, s)| (s.until, d.clone())).collect();
                ends.sort();
                prop_assert!(kept.ends.iter().eq(&ends));
            }
        }
    }
}
