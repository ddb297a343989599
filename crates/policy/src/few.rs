//! A short list that needs no heap for its first item.
//!
//! A relay that failed once has one moment and one address; of such relays a flood is made. Measured with 100,000 of
//! them: a `Vec` each for both costs two allocations of 32 bytes a relay.

use serde::{Deserialize, Serialize};

/// A list of a few items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<T>", into = "Vec<T>", bound(serialize = "T: Clone + Serialize"))]
pub(crate) enum Few<T> {
    /// At most one.
    One(Option<T>),
    /// Any number. In a box, so that the common one takes no more than it needs.
    #[expect(clippy::box_collection, reason = "8 bytes in each of very many relays instead of 24")]
    Many(Box<Vec<T>>),
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::One(None)
    }
}

impl<T> Few<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(item) => item.as_slice(),
            Self::Many(items) => items,
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Self::One(item) => item.as_mut_slice(),
            Self::Many(items) => items,
        }
    }

    /// Inserts before the item at `at`, at most at the end.
    pub(crate) fn insert(&mut self, at: usize, item: T) {
        match self {
            Self::One(slot @ None) => *slot = Some(item),
            Self::One(slot) => {
                let mut items: Vec<T> = slot.take().into_iter().collect();
                items.insert(at.min(items.len()), item);
                *self = Self::Many(Box::new(items));
            }
            Self::Many(items) => items.insert(at.min(items.len()), item),
        }
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        match self {
            Self::One(slot) => {
                if slot.as_ref().is_some_and(|item| !keep(item)) {
                    *slot = None;
                }
            }
            Self::Many(items) => items.retain(keep),
        }
    }

    pub(crate) fn remove(&mut self, at: usize) -> Option<T> {
        match self {
            Self::One(slot) => slot.take_if(|_| at == 0),
            Self::Many(items) => (at < items.len()).then(|| items.remove(at)),
        }
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(mut items: Vec<T>) -> Self {
        if items.len() > 1 { Self::Many(Box::new(items)) } else { Self::One(items.pop()) }
    }
}

impl<T> From<Few<T>> for Vec<T> {
    fn from(few: Few<T>) -> Self {
        match few {
            Few::One(item) => item.into_iter().collect(),
            Few::Many(items) => *items,
        }
    }
}
