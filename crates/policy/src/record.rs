//! What is known of one relay.

mod saved;

use std::net::IpAddr;

use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::event::Recipients;

pub use self::saved::Saved;
use crate::approval::Approval;
use crate::asked::Asked;
use crate::domains::Domains;
use crate::evidence::{Evidence, Weight};
use crate::fact::{Fact, Question};
use crate::fleet::Waits;
use crate::hold::Hold;
use crate::life::Life;
use crate::moment::seconds;
use crate::probation::Probation;
use crate::probes::Probes;
use crate::queue::Queue;
use crate::remedy::RelayRemedy;
use crate::rules::Rules;
use crate::table::Row;

/// One relay that failed. Below the threshold it is its evidence and no more, since of such relays a flood is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Stuck attempts since the last success.
    pub evidence: Evidence,
    /// The domains of the recipients whose mail is stuck.
    domains: Option<Box<Domains>>,
    /// The messages that are stuck.
    queue: Option<Box<Queue>>,
    standing: Option<Box<Standing>>,
    pub(crate) last_seen: u32,
}

/// What was decided about a relay, and what is going on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) active: Vec<Tagged>,
    pub(crate) proposed: Vec<Tagged>,
    pub(crate) work: Work,
    /// Keys that are to be taken out, and may still be in the file.
    pub(crate) removing: Vec<Tagged>,
    /// Keys that others wiped away with the rest of the file, and that are to be put back.
    pub(crate) wiped: Vec<Tagged>,
    /// When the first of the entries was made, or shown, in seconds since 1970; 0 if there is none.
    pub(crate) since: u32,
    /// When entries were last lifted by hand, in seconds since 1970; 0 if they never were.
    pub(crate) lifted_at: u32,
    /// Until when a lifting by hand holds, in seconds since 1970.
    pub(crate) lifted_until: Option<u32>,
    /// When sendmail last warned that DANE is configured for the relay, in seconds since 1970.
    pub(crate) dane_warned: Option<u32>,
    /// An operator's word against the guards.
    pub(crate) approved: Option<Box<Approval>>,
    /// The life of the entries in force.
    pub(crate) life: Option<Box<Life>>,
    /// An entry was lifted, and may return.
    pub(crate) probation: Option<Probation>,
    /// Probes that count as attempts.
    pub(crate) probes: Option<Probes>,
    /// What waits for the others of the fleet.
    pub(crate) waits: Option<Box<Waits>>,
    /// An operator's word to us, and not to another MTA of the fleet, that it gets no entry: until when, and when it was
    /// given; in seconds since 1970.
    pub(crate) lifted_here: Option<(u32, u32)>,
    /// When we last changed entries in the directory, in seconds since 1970; 0 if it is not known.
    pub(crate) touched: u32,
    /// The hold that was told last: the same one is not told again each time it is met.
    pub(crate) told: Option<Hold>,
}

impl Standing {
    /// Nothing new is wanted any more: what is asked is forgotten, and what is being written is taken out again once that is
    /// answered.
    pub(crate) fn abandon(&mut self) {
        match &mut self.work {
            Work::Editing { cleared, .. } => *cleared = true,
            work => *work = Work::Idle,
        }
    }

    /// The first entry is made, or shown.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        if self.since == 0 {
            self.since = seconds(now);
        }
    }
}

/// What is going on with a relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing.
    #[default]
    Idle,
    /// Facts are gathered.
    Asking(Asked),
    /// Facts are gathered before the entries in force stand for another term.
    Renewing(Asked),
    /// The map is being changed.
    Editing {
        /// The keys whose writing is not answered yet.
        keys: Vec<Tagged>,
        /// TLS worked meanwhile: what gets written is to be taken out again.
        cleared: bool,
    },
    /// A guard speaks.
    Held(Hold),
}

impl Work {
    /// The questions of what waits for answers.
    pub(crate) fn asked(&self) -> Option<&Asked> {
        match self {
            Self::Asking(asked) | Self::Renewing(asked) => Some(asked),
            Self::Idle | Self::Editing { .. } | Self::Held(_) => None,
        }
    }

    /// The same, to be changed.
    pub(crate) fn asked_mut(&mut self) -> Option<&mut Asked> {
        match self {
            Self::Asking(asked) | Self::Renewing(asked) => Some(asked),
            Self::Idle | Self::Editing { .. } | Self::Held(_) => None,
        }
    }
}

impl Record {
    /// The keys that are in force.
    pub fn active(&self) -> &[Tagged] {
        self.standing.as_ref().map_or(&[], |standing| &standing.active)
    }

    /// The keys that dry run has shown.
    pub fn proposed(&self) -> &[Tagged] {
        self.standing.as_ref().map_or(&[], |standing| &standing.proposed)
    }

    /// What a guard says against the relay, if one speaks.
    pub fn hold(&self) -> Option<&Hold> {
        match self.work() {
            Work::Held(hold) => Some(hold),
            Work::Idle | Work::Asking(_) | Work::Renewing(_) | Work::Editing { .. } => None,
        }
    }

    pub(crate) fn work(&self) -> &Work {
        self.standing.as_ref().map_or(&Work::Idle, |standing| &standing.work)
    }

    /// What was decided, to be changed.
    pub(crate) fn standing(&mut self) -> &mut Standing {
        self.standing.get_or_insert_default()
    }

    /// What was decided, if anything was.
    pub(crate) fn standing_if_any(&mut self) -> Option<&mut Standing> {
        self.standing.as_deref_mut()
    }

    /// The domains of the recipients whose mail is stuck, if any was seen.
    pub fn domains(&self) -> Option<&Domains> {
        self.domains.as_deref()
    }

    /// The messages that are stuck, if any was seen.
    pub fn queue(&self) -> Option<&Queue> {
        self.queue.as_deref()
    }

    /// When sendmail last warned that DANE is configured for the relay, in seconds since 1970.
    pub fn dane_warned(&self) -> Option<u32> {
        self.standing.as_ref().and_then(|standing| standing.dane_warned)
    }

    /// An operator's word against the guards, if it holds.
    pub fn approval(&self, now: Timestamp) -> Option<&Approval> {
        let approved = self.standing.as_ref().and_then(|standing| standing.approved.as_deref());
        approved.filter(|approval| seconds(now) < approval.until)
    }

    /// Until when an entry that was lifted by hand stays out, in seconds since 1970.
    pub fn lifted_until(&self) -> Option<u32> {
        self.standing.as_ref().and_then(|standing| standing.lifted_until)
    }

    /// When entries were last lifted by hand, in seconds since 1970; 0 if they never were.
    pub(crate) fn lifted_at(&self) -> u32 {
        self.standing.as_ref().map_or(0, |standing| standing.lifted_at)
    }

    /// When the first of its entries was made, or shown, in seconds since 1970; 0 if it has none.
    pub fn since(&self) -> u32 {
        self.standing.as_ref().map_or(0, |standing| standing.since)
    }

    /// When the relay last failed, in seconds since 1970.
    pub fn last_seen(&self) -> u32 {
        self.last_seen
    }

    /// The life of the entries in force, if there are any.
    pub fn life(&self) -> Option<&Life> {
        self.standing.as_ref().and_then(|standing| standing.life.as_deref())
    }

    /// The same, to be changed.
    pub(crate) fn life_mut(&mut self) -> Option<&mut Life> {
        self.standing.as_mut().and_then(|standing| standing.life.as_deref_mut())
    }

    /// Whether an entry was lifted lately, so that it may return at once.
    pub fn probation(&self, now: Timestamp) -> Option<Probation> {
        let probation = self.standing.as_ref().and_then(|standing| standing.probation);
        probation.filter(|probation| probation.lasts(seconds(now)))
    }

    /// What waits for the others of the fleet, if something does.
    pub(crate) fn waits(&self) -> Option<&Waits> {
        self.standing.as_ref().and_then(|standing| standing.waits.as_deref())
    }

    /// An operator's word to us that it gets no entry, if one holds: until when, and when it was given.
    pub(crate) fn lifted_here(&self, now: Timestamp) -> Option<(u32, u32)> {
        let word = self.standing.as_ref().and_then(|standing| standing.lifted_here);
        word.filter(|(until, _)| seconds(now) < *until)
    }

    /// When we last changed its entries in the directory, in seconds since 1970.
    pub(crate) fn touched(&self) -> u32 {
        self.standing.as_ref().map_or(0, |standing| standing.touched)
    }

    pub(crate) fn probes(&self) -> Option<&Probes> {
        self.standing.as_ref().and_then(|standing| standing.probes.as_ref())
    }

    /// What counts against the relay: the evidence, with the probes that count as attempts; on probation one attempt is
    /// enough.
    pub(crate) fn weigh(&mut self, rules: &Rules, now: Timestamp) -> Weight {
        let mut weight = self.evidence.weigh(rules, now);
        if weight.stuck == 0 {
            return weight;
        }
        weight.enough |= self.relapses(weight, now);
        let Some(probes) = self.probes() else { return weight };
        if probes.suffice(weight.stuck, rules.failures) {
            weight.enough = true;
            weight.strong_enough |= probes.strong() && weight.strong > 0;
        }
        weight
    }

    /// Whether TLS itself has broken while the relay is on probation.
    pub(crate) fn relapses(&self, weight: Weight, now: Timestamp) -> bool {
        weight.strong > 0 && self.probation(now).is_some()
    }

    /// Whether it is on probation, or was until lately.
    pub(crate) fn was_on_probation(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.probation.is_some())
    }

    pub(crate) fn has_approval(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.approved.is_some())
    }

    /// Remembers the recipients' domains; gives those that are new.
    pub(crate) fn add_recipients(&mut self, recipients: &Recipients<'_>) -> Vec<Box<str>> {
        if recipients.list.is_empty() && !recipients.more {
            return Vec::new();
        }
        self.domains.get_or_insert_default().add(recipients)
    }

    /// A message is stuck.
    pub(crate) fn add_message(&mut self, id: &str) {
        self.queue.get_or_insert_default().add(id);
    }

    /// The messages that were stuck; their way is free.
    pub(crate) fn take_messages(&mut self) -> Vec<Box<str>> {
        self.queue.take().map(|queue| queue.into_ids()).unwrap_or_default()
    }

    /// TLS works: what was stuck flows. With an entry in force that is not known of other mail, so its domains stay.
    pub(crate) fn clear_evidence(&mut self) {
        self.evidence.clear();
        self.queue = None;
        if let Some(standing) = &mut self.standing {
            (standing.probes, standing.waits) = (None, None);
        }
        if !self.is_decided() {
            self.domains = None;
        }
    }

    /// Its attempts failed by our own fault, which began then: they are no evidence, unless it had failed before. Its mail
    /// may still be stuck, so the domains stay.
    pub(crate) fn acquit(&mut self, fault_began: u32) {
        if self.evidence.began().is_none_or(|began| began >= fault_began) {
            self.evidence.clear();
        }
        let Some(standing) = &mut self.standing else { return };
        standing.probes = None;
        if matches!(standing.work, Work::Asking(_) | Work::Held(Hold::OwnFault(_))) {
            (standing.work, standing.told) = (Work::Idle, None);
        }
    }

    /// What answers are waited for, if some are.
    pub(crate) fn asked(&self) -> Option<&Asked> {
        self.work().asked()
    }

    /// The questions whose answers are waited for.
    pub(crate) fn questions(&self) -> impl Iterator<Item = Question> {
        self.work().asked().into_iter().flat_map(Asked::open)
    }

    /// Whether the answer is waited for.
    pub(crate) fn waits_for(&self, fact: &Fact) -> bool {
        self.questions().any(|question| match (&question, fact) {
            (Question::Ptr(asked), Fact::Ptr(answered, _)) => asked == answered,
            (Question::Tlsa(asked), Fact::Tlsa(answered, _))
            | (Question::Sts(asked), Fact::Sts(answered, _))
            | (Question::Addresses(asked), Fact::Addresses(answered, _)) => asked == answered,
            _ => false,
        })
    }

    /// Whether a further stuck attempt may lead to a decision: not while one is on its way, nor while the hold is one
    /// that a further attempt does not mend.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        if self.is_lifted(now) {
            return false;
        }
        match self.work() {
            Work::Idle => true,
            Work::Held(hold) => {
                !matches!(hold, Hold::Refuted(_) | Hold::MapFailed(_) | Hold::Admins(_))
            }
            Work::Asking(_) | Work::Renewing(_) | Work::Editing { .. } => false,
        }
    }

    /// Whether an entry was lifted by hand, however long ago.
    pub(crate) fn has_hold_off(&self) -> bool {
        self.lifted_until().is_some()
    }

    /// Whether an entry was lifted by hand and its hold-off has not ended.
    pub(crate) fn is_lifted(&self, now: Timestamp) -> bool {
        self.lifted_until().is_some_and(|until| seconds(now) < until)
    }

    /// The addresses at which mail was stuck and that no key in force, proposed or being written covers.
    pub(crate) fn uncovered(&self) -> Vec<IpAddr> {
        if self.keys().any(|key| key.address().is_none()) {
            return Vec::new();
        }
        let covered = |address: &IpAddr| {
            let address = address.to_canonical();
            self.keys().any(|key| key.address() == Some(address))
        };
        self.evidence.addresses().into_iter().filter(|a| !covered(a)).collect()
    }

    /// Whether the relay is past its threshold: an entry is in force, proposed, being written or to be put back.
    pub(crate) fn is_decided(&self) -> bool {
        self.keys().next().is_some()
    }

    /// The keys in force, proposed, being written or to be put back.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Tagged> {
        self.active().iter().chain(self.proposed()).chain(self.coming()).chain(self.wiped())
    }

    /// The keys being written that are not in force already.
    pub(crate) fn coming(&self) -> impl Iterator<Item = &Tagged> {
        self.editing().iter().filter(|key| !self.active().contains(key))
    }

    /// What its entries do: those that it has; else those that it would get. All of one relay's are of one kind, so that
    /// they have one life.
    pub fn remedy(&self, rules: &Rules) -> RelayRemedy {
        self.keys().find_map(RelayRemedy::of).unwrap_or(rules.remedy)
    }

    /// The keys that are to be taken out, and may still be in the file.
    pub(crate) fn removing(&self) -> &[Tagged] {
        self.standing.as_ref().map_or(&[], |standing| &standing.removing)
    }

    /// The keys that others wiped away, and that are to be put back.
    pub(crate) fn wiped(&self) -> &[Tagged] {
        self.standing.as_ref().map_or(&[], |standing| &standing.wiped)
    }

    pub(crate) fn editing(&self) -> &[Tagged] {
        match self.work() {
            Work::Editing { keys, .. } => keys,
            Work::Idle | Work::Asking(_) | Work::Renewing(_) | Work::Held(_) => &[],
        }
    }
}

impl Row for Record {
    fn last_seen(&self) -> u32 {
        self.last_seen
    }

    fn must_stay(&self) -> bool {
        let terms = self.has_hold_off() || self.has_approval() || self.was_on_probation();
        let keys = [self.active(), self.editing(), self.removing(), self.wiped()];
        terms || self.waits().is_some() || keys.iter().any(|keys| !keys.is_empty())
    }
}
