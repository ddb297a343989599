//! What was told, and when: a note in the ledger.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest reason that is kept, in characters.
const MOST_OF_WHY: usize = 300;

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    /// All that began with this happening of the ledger, or before.
    pub(crate) upto: i64,
    /// When the last notice went.
    pub(crate) at: Option<Timestamp>,
    /// Until when the summaries tell.
    pub(crate) digest: Option<Timestamp>,
    /// What is on its way.
    pub(crate) going: Option<Going>,
    /// Notices cannot be sent.
    pub(crate) failing: Option<Failing>,
}

/// Which notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Something needs a person.
    News,
    /// The summary of a day.
    Digest,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::News => "news",
            Self::Digest => "digest",
        }
    }
}

/// A notice on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Going {
    pub(crate) kind: Kind,
    /// What it tells: see [`Told::upto`].
    pub(crate) upto: i64,
    pub(crate) at: Timestamp,
}

/// Why notices cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failing {
    pub(crate) since: Timestamp,
    /// When it was last tried, and how often.
    pub(crate) last: Timestamp,
    pub(crate) tries: u32,
    pub(crate) why: String,
}

impl Told {
    /// From the ledger. What was on its way counts as told, unless it had failed before.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let mut told: Self = serde_json::from_str(text).ok()?;
        if let Some(going) = told.going.take()
            && told.failing.is_none()
        {
            told.went(going);
        }
        Some(told)
    }

    /// As the ledger keeps it.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// It went.
    pub(super) fn went(&mut self, going: Going) {
        self.nothing(going.kind, going.upto, going.at);
        (self.at, self.going, self.failing) = (Some(going.at), None, None);
    }

    /// It was looked, and there is nothing to tell.
    pub(super) fn nothing(&mut self, kind: Kind, upto: i64, at: Timestamp) {
        self.upto = upto;
        if kind == Kind::Digest {
            self.digest = Some(at);
        }
    }

    /// It could not be sent.
    pub(super) fn failed(&mut self, why: &str, at: Timestamp) {
        let before = self.failing.take();
        self.going = None;
        self.failing = Some(Failing {
            since: before.as_ref().map_or(at, |before| before.since),
            last: at,
            tries: before.map_or(0, |before| before.tries).saturating_add(1),
            why: why.chars().take(MOST_OF_WHY).collect(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn killed_on_the_way_it_counts_as_told() {
        let going = Going { kind: Kind::Digest, upto: 7, at: at(100) };
        let mut told = Told { upto: 3, digest: Some(at(1)), going: Some(going), ..Told::default() };
        let read = Told::of_text(&told.to_text()).unwrap();
        assert_eq!((read.upto, read.at, read.digest), (7, Some(at(100)), Some(at(100))));
        assert_eq!(read.going, None);

        // One that had failed is tried again.
        told.failed("no such program", at(50));
        told.going = Some(going);
        let read = Told::of_text(&told.to_text()).unwrap();
        assert_eq!((read.upto, read.at, read.digest), (3, None, Some(at(1))));
        assert_eq!(read.failing.unwrap().tries, 1);
        assert_eq!(Told::of_text("nonsense"), None);
        assert_eq!(Told::of_text("{}"), Some(Told::default()));
    }

    #[test]
    fn what_fails_is_told_since_when_and_goes_when_it_works() {
        let mut told = Told::default();
        told.failed("a", at(10));
        told.failed(&"b".repeat(1000), at(20));
        let failing = told.failing.clone().unwrap();
        assert_eq!((failing.since, failing.last, failing.tries), (at(10), at(20), 2));
        assert_eq!(failing.why.len(), MOST_OF_WHY);
        told.went(Going { kind: Kind::News, upto: 1, at: at(30) });
        assert_eq!((told.failing, told.at, told.digest), (None, Some(at(30)), None));
    }
}
