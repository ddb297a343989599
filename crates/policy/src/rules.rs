//! The rules: the numbers and lists of the config that a decision rests on.

use jiff::{SignedDuration, Timestamp};

use crate::clients::ClientKey;
use crate::fleet::Fleet;
use crate::moment::{seconds, seconds_of};
use crate::never::NeverList;
use crate::remedy::RelayRemedy;

/// What the operator tuned.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Stuck attempts within [`Rules::window`] that make a relay a candidate, 1 to 1000.
    pub failures: u32,
    /// How far back stuck attempts count.
    pub window: SignedDuration,
    /// The least time between the first and the last of them: a hiccup is short.
    pub min_span: SignedDuration,
    /// What never gets an entry.
    pub never: NeverList,
    /// Which key is written.
    pub key: KeyMode,
    /// What a new entry of a relay does.
    pub remedy: RelayRemedy,
    /// How long a relay whose entry was lifted by hand gets none.
    pub hold_off: SignedDuration,
    /// The least time between two puttings back of a block that others removed.
    pub put_back_every: SignedDuration,
    /// Relays remembered at most; beyond it the least recently seen leave.
    pub max_relays: usize,
    /// Whether a relay is probed after its first failure.
    pub probe: bool,
    /// How long entries stand.
    pub life: Life,
    /// The numbers of the guards.
    pub guards: Guards,
    /// The rules of the receiving side; none while it is off, as it is in a fleet.
    pub receiving: Option<Receiving>,
    /// How this MTA takes part in a fleet whose map is one; none while it has a map of its own.
    pub fleet: Option<Fleet>,
}

impl Rules {
    /// Without the receiving side in a fleet: its votes are about relays, and one MTA alone turns nothing off for all.
    pub(crate) fn settled(mut self) -> Self {
        self.receiving = self.receiving.filter(|_| self.fleet.is_none());
        self
    }

    /// Until when a relay or client gets no entry whose entry is lifted by hand now; in seconds since 1970.
    pub(crate) fn hold_off_until(&self, now: Timestamp) -> u32 {
        seconds(now.saturating_add(self.hold_off).unwrap_or(Timestamp::MAX))
    }
}

/// The rules of the receiving side, beside those that it shares with the sending one.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiving {
    /// The least time between the first and the last broken handshake of a client that is not known by its mail.
    pub min_span: SignedDuration,
    /// Which key is written.
    pub key: ClientKey,
    /// How long an entry lives: nobody can probe a client, so TLS is offered again then.
    pub ttl: SignedDuration,
    /// Clients remembered at most.
    pub max_clients: usize,
}

impl Default for Receiving {
    fn default() -> Self {
        Self {
            min_span: SignedDuration::from_hours(6),
            key: ClientKey::Address,
            ttl: SignedDuration::from_hours(30 * 24),
            max_clients: 10_000,
        }
    }
}

/// How long entries stand, and how often the peer is probed meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    /// How long an entry stands before it is renewed or dropped; zero: for ever.
    pub ttl: SignedDuration,
    /// The time between two probes of a peer with an entry, at first; at least a second.
    pub probe_every: SignedDuration,
    /// An entry that sendmail has not used for so long is lifted; zero: never.
    pub unused_after: SignedDuration,
    /// For how long a peer must not have been found broken before its entry goes; zero: until two good probes in a row.
    pub quiet_for: SignedDuration,
}

impl Life {
    /// The rules for entries of that kind. One that lets sendmail fall back heals by itself, and the log does not tell when
    /// it was looked up: it needs no end, and goes when nothing broke for a week.
    pub(crate) fn of(&self, remedy: RelayRemedy) -> Self {
        match remedy {
            RelayRemedy::TryTls => self.clone(),
            RelayRemedy::Fallback => Self {
                ttl: SignedDuration::ZERO,
                unused_after: SignedDuration::ZERO,
                quiet_for: SignedDuration::from_hours(7 * 24),
                ..self.clone()
            },
        }
    }

    /// The rules for a line of the admin's: it has no end.
    pub(crate) fn of_the_admins(&self) -> Self {
        Self { ttl: SignedDuration::ZERO, ..self.clone() }
    }

    /// Until when an entry stands that is made, or renewed, now; in seconds since 1970.
    pub fn until(&self, now: u32) -> u32 {
        if self.ttl.is_zero() {
            return u32::MAX;
        }
        now.saturating_add(seconds_of(self.ttl))
    }
}

impl Default for Life {
    fn default() -> Self {
        Self {
            ttl: SignedDuration::from_hours(30 * 24),
            probe_every: SignedDuration::from_hours(24),
            unused_after: SignedDuration::from_hours(14 * 24),
            quiet_for: SignedDuration::ZERO,
        }
    }
}

/// The numbers of the guards. A zero switches one off.
#[derive(Clone, Debug, PartialEq)]
pub struct Guards {
    /// The least time between the first and the last attempt where resets and time-outs are needed to make the count.
    pub weak_min_span: SignedDuration,
    /// For how long a relay with which TLS worked is trusted.
    pub trusted_for: SignedDuration,
    /// How long a trusted relay must have failed without a success.
    pub trusted_min_span: SignedDuration,
    /// Relays that begin to fail within an hour: as many are our own fault.
    pub burst_relays: u32,
    /// The share, 0 to 1, of the relays tried within an hour that may fail before it is our own fault.
    pub burst_share: f64,
    /// Entries in force at most.
    pub max_entries: u32,
    /// New entries within an hour at most.
    pub max_per_hour: u32,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            weak_min_span: SignedDuration::from_hours(6),
            trusted_for: SignedDuration::from_hours(30 * 24),
            trusted_min_span: SignedDuration::from_hours(3 * 24),
            burst_relays: 20,
            burst_share: 0.5,
            max_entries: 500,
            max_per_hour: 20,
        }
    }
}

/// Which lookup key is written for a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyMode {
    /// The name if the PTR, confirmed forward, is the name that sendmail connected to; else the address.
    #[default]
    Auto,
    /// The name that sendmail connected to, always.
    Name,
    /// The PTR name; held where sendmail would not look it up.
    Ptr,
    /// The address, always.
    Ip,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            failures: 3,
            window: SignedDuration::from_hours(24),
            min_span: SignedDuration::from_mins(30),
            never: NeverList::default(),
            key: KeyMode::Auto,
            remedy: RelayRemedy::TryTls,
            hold_off: SignedDuration::from_hours(30 * 24),
            put_back_every: SignedDuration::from_hours(1),
            max_relays: 10_000,
            probe: true,
            life: Life::default(),
            guards: Guards::default(),
            receiving: None,
            fleet: None,
        }
    }
}
