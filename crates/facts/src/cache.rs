//! Answers that were learnt lately.
//!
//! Whole facts are kept (the PTR names together with their confirmation), not DNS records: that is what is asked for
//! again, and a fact made of records of different ages would be nobody's answer. How long: the shortest TTL of all that
//! it was made of, but at least a minute (a zone with TTL 0 must not make us ask for every line of the log) and at most
//! an hour (an operator who mends his PTR sees it noticed). An unknown answer is kept 10 s: long enough that a burst of
//! lines for one relay waits for one timeout only, short enough to be asked again at the next attempt.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use policy::fact::{Fact, Question};
use tokio::time::Instant;

/// How long an answer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The network's own figure, in seconds.
    Ttl(u32),
    /// Something in it is unknown.
    Unknown,
}

impl Keep {
    /// The shorter of two.
    pub(crate) fn min(self, other: Self) -> Self {
        match (self, other) {
            (Self::Ttl(a), Self::Ttl(b)) => Self::Ttl(a.min(b)),
            _ => Self::Unknown,
        }
    }

    /// 10 s for an unknown answer, otherwise a minute to an hour.
    pub(crate) fn as_duration(self) -> Duration {
        match self {
            Self::Ttl(seconds) => Duration::from_secs(seconds.clamp(60, 3600).into()),
            Self::Unknown => Duration::from_secs(10),
        }
    }
}

/// Facts by question, at most `cap`; the one put first leaves first.
#[derive(Debug)]
pub(crate) struct Cache {
    cap: usize,
    entries: HashMap<Question, Entry>,
    /// Every put, oldest first; one whose number is no longer the entry's was put again later.
    order: VecDeque<(Question, u64)>,
    puts: u64,
}

#[derive(Debug)]
struct Entry {
    fact: Fact,
    until: Instant,
    put: u64,
}

impl Cache {
    /// An empty cache.
    pub(crate) fn new(cap: usize) -> Self {
        Self { cap: cap.max(1), entries: HashMap::new(), order: VecDeque::new(), puts: 0 }
    }

    /// The fact, if it is still good.
    pub(crate) fn get(&mut self, question: &Question, now: Instant) -> Option<Fact> {
        let entry = self.entries.get(question)?;
        (now < entry.until).then(|| entry.fact.clone())
    }

    /// Keeps a fact.
    pub(crate) fn put(&mut self, question: Question, fact: Fact, now: Instant, keep: Duration) {
        self.puts += 1;
        let entry = Entry { fact, until: now + keep, put: self.puts };
        self.order.push_back((question.clone(), self.puts));
        self.entries.insert(question, entry);
        while self.entries.len() > self.cap || self.order.len() > 2 * self.cap {
            let Some((oldest, put)) = self.order.pop_front() else { break };
            if self.entries.get(&oldest).is_some_and(|entry| entry.put == put) {
                self.entries.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use policy::fact::Answer;
    use proptest::prelude::*;

    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn fact(last: u8, why: &str) -> Fact {
        Fact::Ptr(address(last), Answer::Unknown(why.into()))
    }

    #[test]
    fn how_long() {
        fn check(keep: Keep, seconds: u64) {
            assert_eq!(keep.as_duration(), Duration::from_secs(seconds), "{keep:?}");
        }
        check(Keep::Ttl(0), 60);
        check(Keep::Ttl(59), 60);
        check(Keep::Ttl(300), 300);
        check(Keep::Ttl(u32::MAX), 3600);
        check(Keep::Unknown, 10);
        check(Keep::Ttl(300).min(Keep::Ttl(200)), 200);
        check(Keep::Ttl(300).min(Keep::Unknown), 10);
        check(Keep::Unknown.min(Keep::Ttl(300)), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends() {
        let mut cache = Cache::new(4);
        let question = Question::Ptr(address(1));
        assert_eq!(cache.get(&question, Instant::now()), None);
        cache.put(question.clone(), fact(1, "a"), Instant::now(), Duration::from_secs(60));
        tokio::time::advance(Duration::from_millis(59_999)).await;
        assert_eq!(cache.get(&question, Instant::now()), Some(fact(1, "a")));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(cache.get(&question, Instant::now()), None);
        cache.put(question.clone(), fact(1, "b"), Instant::now(), Duration::from_secs(60));
        assert_eq!(cache.get(&question, Instant::now()), Some(fact(1, "b")));
    }

    proptest! {
        #[test]
        fn the_newest_stay(cap in 1_usize..6, puts in proptest::collection::vec(0_u8..10, 0..60)) {
            let (mut cache, now) = (Cache::new(cap), Instant::now());
            for (i, &last) in puts.iter().enumerate() {
                let fact = fact(last, &i.to_string());
                cache.put(Question::Ptr(address(last)), fact, now, Duration::from_secs(60));
                prop_assert!(cache.entries.len() <= cap && cache.order.len() <= 2 * cap);
            }
            // The last put is there, and whatever is there is its question's last put.
            if let Some((i, &last)) = puts.iter().enumerate().next_back() {
                let expect = Some(fact(last, &i.to_string()));
                prop_assert_eq!(cache.get(&Question::Ptr(address(last)), now), expect);
            }
            for last in 0..10 {
                if let Some(found) = cache.get(&Question::Ptr(address(last)), now) {
                    let i = puts.iter().rposition(|&put| put == last).expect("was put");
                    prop_assert_eq!(found, fact(last, &i.to_string()));
                }
            }
        }
    }
}
