//! A fleet: several MTAs whose sendmail reads one map, and who must agree before TLS is turned off for all of them.
//!
//! Each MTA says in the directory what it sees, one row for each relay ([`Vote`]). It looks at all rows from time to time, and
//! whatever follows is worked out anew from each look (`hear`): what it wants to say is compared with its own row, and the
//! difference is written. So a write that was lost is made good at the next look, and nothing is kept twice.
//!
//! - *Promotion* (`agreement`): what has passed all guards here waits until [`Fleet::quorum`] MTAs name the same key, and
//!   nobody objects: with whom TLS worked within the window, whom a promise binds, where an operator lifted it. The others are
//!   given [`Fleet::settle`] to object. Then the guards are asked again and the entry is written; whoever agrees may do it, the
//!   directory makes one of two.
//! - *What others wrote* (`shared`) is in force here as well: sendmail reads it. It is probed, and it may be gone again.
//! - *The end* (`ending`): two good probes here are a vote. As many of those take the entry out. So does its time, unless as
//!   many find the peer broken then. No MTA ends an entry for being of no use to itself alone.
//!
//! What turns TLS on needs nobody's consent: an operator's word, and mail that would bounce. In dry run (not armed) an MTA
//! follows what others do, shows what it would say, says nothing and is not counted.
//!
//! The receiving side is off in a fleet: the votes are about relays, and one MTA alone must turn nothing off for all.
//!
//! **What an attacker could try.** Who sits on the way to one MTA, or has its log, gets one vote. Who may write into the
//! directory as several MTAs can say anything, but he could write the entry itself. Rows and the names in them are bounded;
//! a look that is not fresh counts for nothing. Many broken relays make many rows: 500 at most.

mod agreement;
mod ballot;
mod ending;
mod shared;
mod word;

use std::fmt;
use std::num::NonZeroU16;

use access::remedy::Tagged;
use jiff::{SignedDuration, Timestamp};
use maillog::relay::Relay;
use serde::{Deserialize, Serialize};

pub(crate) use self::agreement::{SavedWaits, Waits, opinion, pass};
pub(crate) use self::ballot::Ballot;
pub(crate) use self::ending::{is_renewed, on_next};
pub(crate) use self::shared::{follow, gone, is_settled};
use crate::moment::seconds_of;
use crate::state::State;
use crate::step::Outcome;

/// How this MTA takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// In lower case, as names in rows are compared.
    me: Box<str>,
    /// How many MTAs must agree.
    pub quorum: NonZeroU16,
    /// How long a row counts after it was written. It is written again after half of that.
    pub ttl: SignedDuration,
    /// How long an agreement must stand before it counts, so that others can object: longer than the time between two looks
    /// of any MTA, together with what a replica lags behind.
    pub settle: SignedDuration,
}

impl Fleet {
    /// With the quorum that holds unless the config says otherwise. `me`: the name of this MTA, that no other of the fleet has.
    pub fn new(me: &str) -> Self {
        Self {
            me: me.to_ascii_lowercase().into(),
            quorum: NonZeroU16::MIN.saturating_add(1),
            ttl: SignedDuration::from_hours(1),
            settle: SignedDuration::from_mins(5),
        }
    }

    fn ttl(&self) -> u32 {
        seconds_of(self.ttl)
    }
}

/// One row of the directory: what one MTA says of one relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Which MTA. Foreign text.
    pub mta: Box<str>,
    /// The relay.
    pub relay: Relay<'static>,
    /// What it says.
    pub says: Says,
    /// How long before the row was written that was seen, in seconds, by the clock of the MTA that wrote it.
    pub seen: u32,
    /// How long ago the row was written, in seconds, by the directory's clock; 0 in one that is to be written.
    pub age: u32,
}

/// What an MTA says of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// Its mail is stuck there and no guard speaks; or the time of these entries has ended and a probe found it broken.
    Broken {
        /// The entries that are needed, in order.
        keys: Vec<Tagged>,
    },
    /// TLS works with it.
    Works,
    /// It must not get mail in clear from this MTA: a guard of its own speaks for what was promised or required.
    Forbids,
    /// These entries are of no use to it any more: two good probes in a row.
    Mended {
        /// Which, in order.
        keys: Vec<Tagged>,
    },
    /// An operator said there that it gets no entry.
    Lifted {
        /// Until when, in seconds since 1970.
        until: u32,
    },
}

/// Another MTA speaks against an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// Which. Foreign text.
    pub mta: Box<str>,
    /// Why.
    pub why: Why,
}

/// Why an MTA objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// [`Says::Works`].
    Works,
    /// [`Says::Forbids`].
    Forbids,
    /// [`Says::Lifted`].
    Lifted,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mta, why } = self;
        match why {
            Why::Works => write!(f, "TLS with it worked lately on {mta}"),
            Why::Forbids => write!(f, "{mta} must not send to it in clear"),
            Why::Lifted => write!(f, "an operator lifted it on {mta}"),
        }
    }
}

/// A look at the directory: all rows that live, ours among them.
pub(crate) fn hear(state: &mut State, votes: Vec<Vote>, now: Timestamp, outcome: &mut Outcome) {
    let Some(fleet) = state.rules.fleet.clone() else { return };
    state.ballot.take(&fleet, votes, now);
    if !state.live {
        return; // The log is not read up to its end, and what is said was not weighed yet.
    }
    shared::hear_lifted(state, &fleet, now, outcome);
    agreement::tally(state, &fleet, now, outcome);
    if state.armed && !state.is_halted() {
        ending::tend(state, &fleet, now, outcome);
    }
    word::reconcile(state, &fleet, now, outcome);
}
