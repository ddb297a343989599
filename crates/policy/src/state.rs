//! All that the heart knows, and how it is saved and restored.

use std::collections::VecDeque;
use std::net::IpAddr;

use access::lookup::Entries;
use jiff::Timestamp;
use maillog::relay::Relay;

use crate::adoption::{Adopted, Adoptions};
use crate::alarm::{About, Alarm, Outside};
use crate::asked::Asked;
use crate::candidate::relays;
use crate::clients::{Client, Clients};
use crate::fact::{Answer, Question};
use crate::fleet::Ballot;
use crate::halt::{Halt, HaltKind};
use crate::hold::Hold;
use crate::host::Host;
use crate::input::Change;
use crate::lately::Lately;
use crate::moment::seconds;
use crate::never::is_below;
use crate::record::{Record, Saved};
use crate::remedy::RelayRemedy;
use crate::ring::HOUR;
use crate::rules::Rules;
use crate::successes::{Success, Successes};
use crate::table::Table;

/// What failed is tried again so often, in seconds.
const RETRY_EVERY: u32 = 60;

/// What others tell of their trouble is kept so far, in characters.
const MOST_OF_TROUBLE: usize = 300;

/// All that the heart knows.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) rules: Rules,
    pub(crate) relays: Table<Record>,
    pub(crate) successes: Successes,
    pub(crate) clients: Clients,
    pub(crate) adoptions: Adoptions,
    /// What the MTAs of the fleet said when the directory was last looked at.
    pub(crate) ballot: Ballot,
    /// When our block was last put back, if it was.
    pub(crate) put_back: Option<Timestamp>,
    /// Whether what comes in is judged at once. While a daemon reads what was written before its start, evidence is only
    /// gathered: a relay that failed in the morning may have recovered at noon, further down in the same log.
    pub(crate) live: bool,
    /// Dry run has ended, and what it has shown is being written.
    pub(crate) armed: bool,
    /// An operator's word that nothing is to be decided for now.
    pub(crate) halt: Option<Halt>,
    pub(crate) host: Host,
    /// The admin's own lines in the access file.
    pub(crate) admin: Answer<Entries>,
    /// What became of TLS with all relays lately.
    pub(crate) lately: Lately,
    /// Those that were raised and have not ended.
    alarms: Vec<Alarm>,
    /// The last tick, in seconds since 1970; 0 before the first.
    pub(crate) ticked: u32,
    /// When what failed was last tried again, in seconds since 1970.
    retried: u32,
    /// The seconds at which entries were made lately.
    pub(crate) made: VecDeque<u32>,
}

/// What changed since the last time, to be saved together with the position in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsaved {
    /// Relays that failed; none if the record was dropped.
    pub relays: Vec<(Box<str>, Option<Saved>)>,
    /// Relays whose TLS worked.
    pub successes: Vec<(Box<str>, Success)>,
    /// Clients of ours, by address; none if the row was dropped.
    pub clients: Vec<(Box<str>, Option<Client>)>,
    /// Lines of the admin's that are adopted, by relay; none if the adoption has ended.
    pub adoptions: Vec<(Box<str>, Option<Adopted>)>,
}

impl State {
    /// Nothing known yet.
    pub fn new(rules: Rules) -> Self {
        let rules = rules.settled();
        let relays = Table::new(rules.max_relays);
        let clients = Clients::new(rules.receiving.as_ref().map_or(1, |r| r.max_clients));
        Self {
            rules,
            relays,
            successes: Successes::default(),
            clients,
            adoptions: Adoptions::default(),
            ballot: Ballot::default(),
            put_back: None,
            live: true,
            armed: false,
            halt: None,
            host: Host::NOT_ASKED,
            admin: Answer::NotAsked,
            lately: Lately::default(),
            alarms: Vec::new(),
            ticked: 0,
            retried: 0,
            made: VecDeque::new(),
        }
    }

    /// From what was saved. From now on, what changes is remembered for [`State::unsaved`]; nothing is judged before
    /// [`crate::input::Request::Resume`].
    pub fn restored(
        rules: Rules,
        relays: impl IntoIterator<Item = (Box<str>, Saved)>,
        successes: impl IntoIterator<Item = (Box<str>, Success)>,
    ) -> Self {
        let mut state = Self::new(rules);
        state.relays.track();
        let alone = state.rules.fleet.is_none();
        for (relay, saved) in relays {
            let saved = if alone { saved.alone() } else { saved };
            *state.relays.get_or_insert_with(&relay, Record::default) = Record::load(saved);
        }
        state.relays.forget_changes_but_drops();
        for (relay, success) in successes {
            let is_relay = state.successes.recall(&relay, success);
            if is_relay && state.relays.get(&relay).is_none_or(|record| record.evidence.is_empty())
            {
                state.lately.recall_worked(success.second);
            }
        }
        for (relay, record) in state.relays.iter() {
            let Some(last) = record.evidence.last() else { continue };
            let was_new = state.successes.last(relay).is_some();
            state.lately.recall(relay, last, record.evidence.began().unwrap_or(last), was_new);
        }
        state.live = false;
        state.admin = Answer::Unknown("it was not looked at yet".into());
        state.successes.track();
        state.clients.table.track();
        state
    }

    /// The same, with the clients that were saved.
    #[must_use]
    pub fn with_clients(mut self, clients: impl IntoIterator<Item = (Box<str>, Client)>) -> Self {
        for (address, client) in clients {
            *self.clients.table.get_or_insert_with(&address, Client::default) = client;
        }
        self.clients.table.forget_changes_but_drops();
        self
    }

    /// The same, with the admin's lines that are adopted.
    #[must_use]
    pub fn with_adoptions(
        mut self,
        adoptions: impl IntoIterator<Item = (Box<str>, Adopted)>,
    ) -> Self {
        for (relay, adopted) in adoptions {
            self.adoptions.restore(&relay, adopted);
        }
        self
    }

    /// The same, with the moment at which our block was last put back, if it was.
    #[must_use]
    pub fn with_put_back(mut self, at: Option<Timestamp>) -> Self {
        self.put_back = at;
        self
    }

    /// The same, with what the clock said lately.
    #[must_use]
    pub fn with_clock(mut self, at: Option<Timestamp>) -> Self {
        self.ticked = at.map_or(0, seconds);
        self
    }

    /// The same, with the alarms that were raised and had not ended.
    #[must_use]
    pub fn with_alarms(mut self, alarms: Vec<Alarm>) -> Self {
        self.alarms = alarms;
        self
    }

    /// The same, halted as it was.
    #[must_use]
    pub fn with_halt(mut self, halt: Option<Halt>) -> Self {
        self.halt = halt;
        self
    }

    /// An operator's word that nothing is to be decided for now, if it holds.
    pub fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.halt.is_some()
    }

    pub(crate) fn is_disarmed(&self) -> bool {
        self.halt.as_ref().is_some_and(|halt| halt.kind == HaltKind::Disarmed)
    }

    /// Entries that are to be taken out, and may still be in the file.
    pub fn removing(&self) -> usize {
        let of_relays = self.relays.iter().map(|(_, record)| record.removing().len());
        of_relays.sum::<usize>() + self.clients.removing()
    }

    /// What is known of this host itself, from now on.
    pub fn set_host(&mut self, host: Host) {
        self.host = host;
    }

    /// The admin's own lines in the access file, where no look at it tells them.
    pub fn set_admin(&mut self, admin: Answer<Entries>) {
        self.admin = admin;
    }

    /// An entry that is in force was made then: it counts against what may be made in an hour.
    pub fn note_made(&mut self, since: Timestamp) {
        self.made.push_back(seconds(since));
    }

    /// What is known of this host itself.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The alarms that were raised and have not ended.
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// What changed since the last call.
    pub fn unsaved(&mut self) -> Unsaved {
        let saved =
            |(relay, record): (Box<str>, Option<&Record>)| (relay, record.map(Record::save));
        Unsaved {
            relays: self.relays.take_changed().map(saved).collect(),
            successes: self.successes.take_changed(),
            clients: self.clients.table.take_changed().map(|(a, c)| (a, c.cloned())).collect(),
            adoptions: self.adoptions.take_changed(),
        }
    }

    /// Whether anything changed since the last [`State::unsaved`].
    pub fn is_unsaved(&self) -> bool {
        self.relays.has_changed()
            || self.successes.has_changed()
            || self.clients.table.has_changed()
            || self.adoptions.has_changed()
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Changes the rules (a reload). What was decided stays; what is decided next follows them.
    pub fn set_rules(&mut self, rules: Rules) {
        let rules = rules.settled();
        self.relays.set_cap(rules.max_relays);
        if let Some(receiving) = &rules.receiving {
            self.clients.table.set_cap(receiving.max_clients);
        }
        self.rules = rules;
    }

    /// What the relay's entries do, or would do.
    pub(crate) fn remedy_for(&self, relay: &Relay<'_>) -> RelayRemedy {
        let record = self.record(relay.as_str());
        record.map_or(self.rules.remedy, |record| record.remedy(&self.rules))
    }

    /// What is known of a relay that failed, by its text in the ruleset line.
    pub fn record(&self, relay: &str) -> Option<&Record> {
        self.relays.get(relay)
    }

    /// All relays that failed, by their text in the ruleset line, in no order.
    pub fn records(&self) -> impl Iterator<Item = (&str, &Record)> {
        self.relays.iter()
    }

    /// The failing relay that somebody means by this text: letters may be of either case.
    pub fn meant_by(&self, text: &str) -> Option<&str> {
        let names = || self.relays.iter().map(|(name, _)| name);
        names()
            .find(|name| *name == text)
            .or_else(|| names().find(|n| n.eq_ignore_ascii_case(text)))
    }

    /// When and how TLS with the relay last worked.
    pub fn last_success(&self, relay: &str) -> Option<Success> {
        self.successes.last(relay)
    }

    /// When and how TLS last worked at the address, with whatever relay.
    pub(crate) fn last_success_at(&self, address: IpAddr) -> Option<Success> {
        self.successes.last_at(address)
    }

    /// The questions whose answers candidates wait for; one that several wait for stands there several times.
    pub fn questions(&self) -> impl Iterator<Item = Question> {
        self.relays.iter().flat_map(|(_, record)| record.questions())
    }

    /// What would be asked of the relay if it were a candidate now.
    pub fn would_ask(&self, relay: &Relay<'_>) -> Asked {
        let record = self.record(relay.as_str());
        let addresses = record.map(|record| record.evidence.addresses()).unwrap_or_default();
        Asked::of(relay, &addresses, record.and_then(Record::domains))
    }

    /// The alarm that says that the fault is ours, if it is raised.
    pub(crate) fn own_fault(&self) -> Option<&Alarm> {
        self.alarms.iter().find(|alarm| alarm.about == About::OwnFault)
    }

    /// The clients that are known.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The admin's lines that are adopted.
    pub fn adoptions(&self) -> &Adoptions {
        &self.adoptions
    }

    /// Where the admin's line `Try_TLS:<key>` stands in the access file, from 1, if there is one.
    pub fn admins_line(&self, key: &access::key::Key) -> Option<usize> {
        match &self.admin {
            Answer::Known(entries) => entries.try_tls(key).map(|hit| hit.line_no),
            Answer::Unknown(_) | Answer::NotAsked => None,
        }
    }

    /// Entries in force, proposed, or on their way.
    pub(crate) fn entries(&self) -> u32 {
        let keys: usize = self.relays.iter().map(|(_, record)| record.keys().count()).sum();
        u32::try_from(keys + self.clients.entries()).unwrap_or(u32::MAX)
    }

    /// Entries made within the hour before, and those on their way.
    pub(crate) fn entries_lately(&self, now: u32) -> u32 {
        let lately = self.made.iter().filter(|made| now.saturating_sub(**made) < HOUR).count();
        let editing: usize = self.relays.iter().map(|(_, record)| record.coming().count()).sum();
        u32::try_from(lately + editing).unwrap_or(u32::MAX)
    }

    /// Whether what failed is to be tried again, which is so once a minute.
    pub(crate) fn is_time_to_retry(&mut self, now: Timestamp) -> bool {
        let now = seconds(now);
        // A clock that was set back must not put it off.
        let is = now.abs_diff(self.retried) >= RETRY_EVERY;
        if is {
            self.retried = now;
        }
        is
    }

    /// Whether what others wiped away may be put back by now. A moment that is yet to come is one of a clock that was wrong.
    pub(crate) fn may_put_back(&self, now: Timestamp) -> bool {
        let every = self.rules.put_back_every;
        self.put_back.is_none_or(|last| last > now || now.duration_since(last) >= every)
    }

    /// The limit that so many more entries would pass, if they would pass one. A relay may pass that of an hour alone,
    /// for it may have more addresses than that.
    pub(crate) fn limit(&self, more: usize, now: Timestamp) -> Option<Hold> {
        let guards = &self.rules.guards;
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let passes = |limit: u32, count: u32| limit > 0 && count.saturating_add(more) > limit;
        if guards.max_entries > 0 {
            let entries = self.entries();
            if passes(guards.max_entries, entries) {
                return Some(Hold::EntriesLimit(entries, guards.max_entries));
            }
        }
        let lately = self.entries_lately(seconds(now));
        let full = lately > 0 && passes(guards.max_per_hour, lately);
        full.then_some(Hold::HourLimit(lately, guards.max_per_hour))
    }

    /// Raises and ends alarms as things stand.
    pub(crate) fn weigh_alarms(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        self.weigh_own_fault(now, changes);
        let second = seconds(now);
        self.made.retain(|made| second.saturating_sub(*made) < HOUR);
        let limited = self.alarms.iter().any(|alarm| alarm.about == About::Limit);
        if limited && self.limit(1, now).is_none() {
            self.end(About::Limit, changes);
        }
    }

    /// Raises or ends the alarm that says that the fault is ours. Called for each attempt; for a success only while it is
    /// raised.
    pub(crate) fn weigh_own_fault(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        let second = seconds(now);
        let fault = self.lately.own_fault(&self.rules.guards, second);
        match (self.own_fault().map(|alarm| alarm.since), fault) {
            (None, Some(says)) => self.raise(About::OwnFault, &says, second, changes),
            (Some(since), None) if self.lately.has_worked_since(since) => {
                self.end(About::OwnFault, changes);
                self.acquit(since.saturating_sub(HOUR));
            }
            _ => {}
        }
    }

    /// What failed while the fault was ours is no evidence. What was decided before stays.
    fn acquit(&mut self, fault_began: u32) {
        let charged = |record: &Record| !record.evidence.is_empty() && !record.is_decided();
        for relay in relays(self, charged) {
            if let Some(record) = self.relays.get_mut(relay.as_str()) {
                record.acquit(fault_began);
            }
        }
    }

    /// A limit holds a candidate back.
    pub(crate) fn raise_limit(&mut self, hold: &Hold, now: Timestamp, changes: &mut Vec<Change>) {
        if !self.alarms.iter().any(|alarm| alarm.about == About::Limit) {
            self.raise(About::Limit, &hold.to_string(), seconds(now), changes);
        }
    }

    /// What is done outside fails, and why; none: it works.
    pub(crate) fn hear_of_trouble(
        &mut self,
        outside: Outside,
        why: Option<&str>,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        let about = About::from(outside);
        match (self.alarms.iter().any(|alarm| alarm.about == about), why) {
            (false, Some(why)) => {
                let why: String = why.chars().take(MOST_OF_TROUBLE).collect();
                self.raise(about, &why, seconds(now), changes);
            }
            (true, None) => self.end(about, changes),
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn raise(&mut self, about: About, says: &str, since: u32, changes: &mut Vec<Change>) {
        let alarm = Alarm { about, since, says: says.into() };
        changes.push(Change::Raised(alarm.clone()));
        self.alarms.push(alarm);
    }

    fn end(&mut self, about: About, changes: &mut Vec<Change>) {
        self.alarms.retain(|alarm| alarm.about != about);
        changes.push(Change::Ended(about));
    }

    /// Whether another relay was seen below the name, or the never-list or the admin's own lines have one there.
    pub(crate) fn covers_others(&self, name: &str) -> bool {
        let below = |relay: &str| is_below(relay.trim_matches(['[', ']']), name);
        let admins = match &self.admin {
            Answer::Known(entries) => entries.any_below(name),
            Answer::Unknown(_) | Answer::NotAsked => false,
        };
        admins
            || self.rules.never.has_below(name)
            || self.successes.any_below(name)
            || self.relays.iter().any(|(relay, _)| below(relay))
    }
}
