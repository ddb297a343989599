//! The messages that wait for a relay, by queue id: so that they need not wait for the next run of the queue when their way
//! is free.
//!
//! **Bounds.** 32 of a relay; of more the earliest are forgotten, and wait for the queue.

use serde::{Deserialize, Serialize};

/// Messages of one relay that are remembered.
pub const MOST: usize = 32;

/// The longest queue id, in bytes: sendmail's have 14.
const LONGEST: usize = 32;

/// Queue ids, each once, in the order they were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Queue(Vec<Box<str>>);

impl Queue {
    /// Remembers one. What is no queue id is passed over: it will stand on a command line.
    pub(crate) fn add(&mut self, id: &str) {
        if !is_queue_id(id) || self.0.iter().any(|known| **known == *id) {
            return;
        }
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(id.into());
    }

    /// All of them, in the order they were seen.
    pub fn ids(&self) -> &[Box<str>] {
        &self.0
    }

    /// All of them.
    pub(crate) fn into_ids(self) -> Vec<Box<str>> {
        self.0
    }

    /// With no more than is ever kept: what is read back may have been changed.
    pub(crate) fn bounded(self) -> Self {
        let mut queue = Self::default();
        self.0.iter().for_each(|id| queue.add(id));
        queue
    }
}

/// Letters and digits, and not many.
fn is_queue_id(id: &str) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_queue_ids_and_only_so_many() {
        let mut queue = Queue::default();
        for id in ["6AN00000000001", "6AN00000000001", "", "-bd", "a b", "../x", &"x".repeat(33)] {
            queue.add(id);
        }
        assert_eq!(queue.clone().into_ids(), ["6AN00000000001".into()]);
        (0..100).for_each(|n| queue.add(&format!("6AN{n}")));
        let ids = queue.into_ids();
        assert_eq!((ids.len(), &*ids[0], &*ids[31]), (MOST, "6AN68", "6AN99"));
        let queue: Queue = serde_json::from_str(r#"["a;b","6AN1"]"#).unwrap();
        assert_eq!(queue.bounded().into_ids(), ["6AN1".into()]);
    }
}
