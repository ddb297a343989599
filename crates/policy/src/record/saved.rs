//! A record as the ledger keeps it, and back.

use access::remedy::Tagged;
use serde::{Deserialize, Serialize};

use super::{Record, Standing, Work};
use crate::approval::Approval;
use crate::domains::Domains;
use crate::evidence::Evidence;
use crate::fleet::{SavedWaits, Waits};
use crate::life::Life;
use crate::probation::Probation;
use crate::queue::Queue;

/// A record as the ledger keeps it. What was asked is asked again after a restart, and a guard speaks again; an edit that
/// was under way is kept, so that it can be settled by a look at the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    evidence: Evidence,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    active: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    proposed: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    editing: Vec<String>,
    /// TLS worked while these were being written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cleared: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removing: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wiped: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    since: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    lifted_at: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifted_until: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    domains: Option<Box<Domains>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<Box<Queue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dane_warned: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approved: Option<Box<Approval>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    life: Option<Box<Life>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probation: Option<Probation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits: Option<Box<SavedWaits>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifted_here: Option<(u32, u32)>,
    last_seen: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Saved {
    /// When the relay was last seen, in seconds since 1970.
    pub fn last_seen(&self) -> i64 {
        self.last_seen.into()
    }

    /// Of an MTA that is in no fleet any more: there is nobody to wait for.
    pub(crate) fn alone(self) -> Self {
        Self { waits: None, ..self }
    }

    /// Whether the record must be kept however old: an entry is in force, proposed, on its way in or out, was lifted, waits for
    /// the fleet, or is approved.
    pub fn stays(&self) -> bool {
        let keys = [&self.active, &self.proposed, &self.editing, &self.removing, &self.wiped];
        let terms =
            self.lifted_until.is_some() || self.approved.is_some() || self.probation.is_some();
        keys.iter().any(|keys| !keys.is_empty()) || terms || self.waits.is_some()
    }
}

impl Record {
    /// As the ledger keeps it.
    pub fn save(&self) -> Saved {
        let text = |keys: &[Tagged]| keys.iter().map(Tagged::brief).collect();
        Saved {
            evidence: self.evidence.clone(),
            active: text(self.active()),
            proposed: text(self.proposed()),
            editing: text(self.editing()),
            cleared: matches!(self.work(), Work::Editing { cleared: true, .. }),
            removing: text(self.removing()),
            wiped: text(self.wiped()),
            since: self.since(),
            lifted_at: self.lifted_at(),
            lifted_until: self.lifted_until(),
            domains: self.domains.clone(),
            queue: self.queue.clone(),
            dane_warned: self.dane_warned(),
            approved: self.standing.as_ref().and_then(|standing| standing.approved.clone()),
            life: self.life().cloned().map(Box::new),
            probation: self.standing.as_ref().and_then(|standing| standing.probation),
            waits: self.waits().map(|waits| Box::new(waits.save())),
            lifted_here: self.standing.as_ref().and_then(|standing| standing.lifted_here),
            last_seen: self.last_seen,
        }
    }

    /// From the ledger. A text that is no key any more is passed over: the file is the truth of what is in force.
    pub fn load(saved: Saved) -> Self {
        let keys = |texts: Vec<String>| -> Vec<Tagged> {
            texts.iter().filter_map(|text| text.parse().ok()).collect()
        };
        let work = match keys(saved.editing) {
            editing if editing.is_empty() => Work::Idle,
            keys => Work::Editing { keys, cleared: saved.cleared },
        };
        let standing = Standing {
            active: keys(saved.active),
            proposed: keys(saved.proposed),
            work,
            removing: keys(saved.removing),
            wiped: keys(saved.wiped),
            since: saved.since,
            lifted_at: saved.lifted_at,
            lifted_until: saved.lifted_until,
            dane_warned: saved.dane_warned,
            approved: saved.approved.map(|approval| Box::new(approval.bounded())),
            life: saved.life.map(|life| Box::new(life.bounded())),
            probation: saved.probation,
            probes: None,
            waits: saved.waits.and_then(|waits| Waits::load(*waits)).map(Box::new),
            lifted_here: saved.lifted_here,
            touched: 0,
            told: None,
        };
        let standing = (standing != Standing::default()).then(|| Box::new(standing));
        Self {
            evidence: saved.evidence.bounded(),
            domains: saved.domains.map(|domains| Box::new(domains.bounded())),
            queue: saved.queue.map(|queue| Box::new(queue.bounded())),
            standing,
            last_seen: saved.last_seen,
        }
    }
}
