//! All that the heart knows, and how it is saved and restored.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::never::is_below;
use crate::record::{Record, Saved};
use crate::rules::Rules;
use crate::successes::Successes;
use crate::table::Table;

/// All that the heart knows.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) rules: Rules,
    pub(crate) relays: Table<Record>,
    pub(crate) successes: Successes,
    /// When our block was last put back, if it was.
    pub(crate) put_back: Option<Timestamp>,
    /// Whether what comes in is judged at once. While a daemon reads what was written before its start, evidence is only
    /// gathered: a relay that failed in the morning may have recovered at noon, further down in the same log.
    pub(crate) live: bool,
}

/// What changed since the last time, to be saved together with the position in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsaved {
    /// Relays that failed; none if the record was dropped.
    pub relays: Vec<(Box<str>, Option<Saved>)>,
    /// Relays whose TLS worked, with the second since 1970.
    pub successes: Vec<(Box<str>, u32)>,
}

impl State {
    /// Nothing known yet.
    pub fn new(rules: Rules) -> Self {
        let relays = Table::new(rules.max_relays);
        Self { rules, relays, successes: Successes::default(), put_back: None, live: true }
    }

    /// From what was saved. From now on, what changes is remembered for [`State::unsaved`]; nothing is judged before
    /// [`crate::input::Request::Resume`].
    pub fn restored(
        rules: Rules,
        relays: impl IntoIterator<Item = (Box<str>, Saved)>,
        successes: impl IntoIterator<Item = (Box<str>, u32)>,
    ) -> Self {
        let mut state = Self::new(rules);
        state.relays.track();
        for (relay, saved) in relays {
            *state.relays.get_or_insert_with(&relay, Record::default) = Record::load(saved);
        }
        state.relays.forget_changes_but_drops();
        for (relay, second) in successes {
            state.successes.note(&relay, second);
        }
        state.live = false;
        state.successes.track();
        state
    }

    /// The same, with the moment at which our block was last put back, if it was.
    #[must_use]
    pub fn with_put_back(mut self, at: Option<Timestamp>) -> Self {
        self.put_back = at;
        self
    }

    /// What changed since the last call.
    pub fn unsaved(&mut self) -> Unsaved {
        let saved =
            |(relay, record): (Box<str>, Option<&Record>)| (relay, record.map(Record::save));
        Unsaved {
            relays: self.relays.take_changed().map(saved).collect(),
            successes: self.successes.take_changed(),
        }
    }

    /// Whether anything changed since the last [`State::unsaved`].
    pub fn is_unsaved(&self) -> bool {
        self.relays.has_changed() || self.successes.has_changed()
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Changes the rules (a reload). What was decided stays; what is decided next follows them.
    pub fn set_rules(&mut self, rules: Rules) {
        self.relays.set_cap(rules.max_relays);
        self.rules = rules;
    }

    /// What is known of a relay that failed, by its text in the ruleset line.
    pub fn record(&self, relay: &str) -> Option<&Record> {
        self.relays.get(relay)
    }

    /// When TLS with the relay last worked, in seconds since 1970.
    pub fn last_success(&self, relay: &str) -> Option<u32> {
        self.successes.last(relay)
    }

    /// The addresses whose facts candidates wait for.
    pub fn asked(&self) -> impl Iterator<Item = IpAddr> {
        self.relays.iter().flat_map(|(_, record)| record.asked())
    }

    /// Whether another relay was seen below the name, or the never-list has one there.
    pub(crate) fn covers_others(&self, name: &str) -> bool {
        let below = |relay: &str| is_below(relay.trim_matches(['[', ']']), name);
        self.rules.never.has_below(name)
            || self.successes.any_below(name)
            || self.relays.iter().any(|(relay, _)| below(relay))
    }
}
