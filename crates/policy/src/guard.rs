//! The guards: whatever speaks against an entry. Every candidate passes all of them before anything is written.
//!
//! Each gives its opinion with the fact that it rests on, in a fixed order; the first that speaks decides. A fact that
//! could not be found out speaks too: whoever can make handshakes fail can make answers fail. The one exception is what
//! nobody asked for (old logs read elsewhere, `--no-dns`): that is silent, and says so.

mod bounds;
mod doubts;
mod neighbours;
mod promises;
mod words;

pub(crate) use self::words::quoted;

use std::fmt;
use std::net::IpAddr;

use access::remedy::Tagged;
use jiff::{SignedDuration, Timestamp};
use maillog::relay::Relay;

use crate::asked::Asked;
use crate::candidate::keys_for;
use crate::evidence::Weight;
use crate::fleet;
use crate::hold::Hold;
use crate::record::Record;
use crate::remedy::RelayRemedy;
use crate::state::State;

/// The guards, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    /// The never-list of the config.
    Never,
    /// `$j` and class w.
    OwnHost,
    /// An entry of the admin's own, under `Try_TLS:` or the tag that ours would have.
    AdminTryTls,
    /// `TLS_Rcpt:`, with which the mail would bounce.
    TlsRcpt,
    /// `TLS_Srv:`, with which it would be deferred all the same.
    TlsSrv,
    /// DANE (RFC 7672).
    Dane,
    /// MTA-STS (RFC 8461).
    MtaSts,
    /// TLS worked lately.
    WorkedLately,
    /// Other relays at the address that an entry would act on.
    Neighbours,
    /// Many relays at once, or CONFIG errors.
    OwnFault,
    /// Only resets and time-outs.
    WeakEvidence,
    /// Entries in force, and new ones in an hour.
    Limits,
    /// `TLSFallbacktoClear`, or none for one relay where our entry needs it.
    FallsBack,
    /// The other MTAs of the fleet that the map is shared with. After all others.
    Fleet,
    /// Of clients: an entry `Srv_Features:` of the admin's own.
    AdminSrvFeatures,
    /// Of clients: `TLS_Clt:`, with which their mail would be refused.
    TlsClt,
}

impl Guard {
    /// Every guard there is, of relays and of clients.
    pub const EVERY: [Self; 16] = [
        Self::Never,
        Self::OwnHost,
        Self::AdminTryTls,
        Self::TlsRcpt,
        Self::TlsSrv,
        Self::Dane,
        Self::MtaSts,
        Self::WorkedLately,
        Self::Neighbours,
        Self::OwnFault,
        Self::WeakEvidence,
        Self::Limits,
        Self::FallsBack,
        Self::Fleet,
        Self::AdminSrvFeatures,
        Self::TlsClt,
    ];
}

/// What a guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// Nothing against an entry; the fact, in words.
    Silent(String),
    /// No.
    Holds(Hold),
    /// It waits for an answer; to which question.
    Waits(String),
}

/// The opinion of one guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// Whose.
    pub guard: Guard,
    /// What it says, and why.
    pub says: Says,
}

/// What every guard is shown.
struct Case<'a> {
    state: &'a State,
    relay: &'a Relay<'a>,
    asked: &'a Asked,
    now: Timestamp,
}

/// One guard's rule.
type Rule = fn(&Case<'_>) -> Says;

/// All guards that one MTA asks, in their order. The fleet is heard about what has passed them.
const ALL: [(Guard, Rule); 13] = [
    (Guard::Never, words::never),
    (Guard::OwnHost, words::own_host),
    (Guard::AdminTryTls, words::admin_try_tls),
    (Guard::TlsRcpt, words::tls_rcpt),
    (Guard::TlsSrv, words::tls_srv),
    (Guard::Dane, promises::dane),
    (Guard::MtaSts, promises::mta_sts),
    (Guard::WorkedLately, doubts::worked_lately),
    (Guard::Neighbours, neighbours::neighbours),
    (Guard::OwnFault, doubts::own_fault),
    (Guard::WeakEvidence, doubts::weak_evidence),
    (Guard::Limits, bounds::limits),
    (Guard::FallsBack, bounds::falls_back),
];

impl Case<'_> {
    fn record(&self) -> Option<&Record> {
        self.state.record(self.relay.as_str())
    }

    /// The addresses at which mail was stuck, or where entries act.
    fn addresses(&self) -> Vec<IpAddr> {
        let mut all = self.record().map(|record| record.evidence.addresses()).unwrap_or_default();
        let active =
            self.record().map_or(&[][..], Record::active).iter().filter_map(Tagged::address);
        for address in self.asked.addresses().chain(active) {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }

    /// Whether the relay has its entry, or is getting it.
    fn is_decided(&self) -> bool {
        self.record().is_some_and(Record::is_decided)
    }

    /// What its entries do, or would do.
    fn remedy(&self) -> RelayRemedy {
        self.state.remedy_for(self.relay)
    }

    /// Whether an entry of its was lifted lately, and TLS itself has broken since.
    fn relapses(&self) -> bool {
        let weight = self.weight();
        weight.is_some_and(|w| self.record().is_some_and(|record| record.relapses(w, self.now)))
    }

    /// The keys that would be written for the relay and are not in force; none where none can be chosen.
    fn new_keys(&self) -> Vec<Tagged> {
        let mut keys = keys_for(self.state, self.relay, self.asked).unwrap_or_default();
        let in_force = self.record().map_or(&[][..], Record::active);
        keys.retain(|key| !in_force.contains(key));
        keys
    }

    /// For how long the relay has failed, if that began at that second since 1970 or later; else zero.
    fn failing_since(&self, second: u32) -> SignedDuration {
        let evidence = self.record().map(|record| &record.evidence);
        let evidence = evidence.filter(|known| known.began().is_some_and(|at| at >= second));
        evidence.map_or(SignedDuration::ZERO, |evidence| evidence.failing_for(self.now))
    }

    /// The first hold of the rules that counts.
    fn first<const N: usize>(
        &self,
        rules: [Rule; N],
        counts: impl Fn(&Hold) -> bool,
    ) -> Option<Hold> {
        rules.into_iter().find_map(|rule| match rule(self) {
            Says::Holds(hold) => Some(hold).filter(&counts),
            Says::Silent(_) | Says::Waits(_) => None,
        })
    }

    /// The first hold of the rules that no approval overrules.
    fn not_overruled<const N: usize>(&self, rules: [Rule; N]) -> Option<Hold> {
        let approved = self.record().is_some_and(|record| record.approval(self.now).is_some());
        self.first(rules, |hold| !approved || hold.overrule(self.state.host.dane).is_err())
    }

    /// What the evidence weighs now, if there is any.
    fn weight(&self) -> Option<Weight> {
        let record = self.record()?;
        Some(record.clone().weigh(&self.state.rules, self.now))
    }
}

/// The opinions of all guards on a relay, in order; `asked` has the answers that have come. They can be asked of a relay
/// that is no candidate yet, too.
pub fn judge(state: &State, relay: &Relay<'_>, asked: &Asked, now: Timestamp) -> Vec<Opinion> {
    let case = Case { state, relay, asked, now };
    let own = ALL.into_iter().map(|(guard, rule)| Opinion { guard, says: rule(&case) });
    let fleet = fleet::opinion(state, relay, now);
    own.chain(fleet.map(|says| Opinion { guard: Guard::Fleet, says })).collect()
}

/// The first hold that no approval overrules, if there is one.
pub(crate) fn against(
    state: &State,
    relay: &Relay<'_>,
    asked: &Asked,
    now: Timestamp,
) -> Option<Hold> {
    Case { state, relay, asked, now }.not_overruled(ALL.map(|(_, rule)| rule))
}

/// The hold that speaks against putting an entry back that others wiped away. The network is not asked anew: it was asked
/// when the entry was made.
pub(crate) fn against_return(state: &State, relay: &Relay<'_>, now: Timestamp) -> Option<Hold> {
    Case { state, relay, asked: &Asked::default(), now }.not_overruled(WHAT_MAY_HAVE_CHANGED)
}

/// The hold that speaks against another term for an entry in force, by the answers that the network has given by now.
pub(crate) fn against_renewal(
    state: &State,
    relay: &Relay<'_>,
    asked: &Asked,
    now: Timestamp,
) -> Option<Hold> {
    let case = Case { state, relay, asked, now };
    case.not_overruled(WHAT_MAY_HAVE_CHANGED)
        .or_else(|| case.not_overruled([promises::dane, promises::mta_sts]))
}

/// What the operator, the log or a reload of the config may have changed since an entry was made.
const WHAT_MAY_HAVE_CHANGED: [Rule; 7] = [
    words::never,
    words::own_host,
    words::admin_try_tls,
    words::tls_rcpt,
    words::tls_srv,
    doubts::own_fault,
    bounds::falls_back,
];

/// Why the relay is none that anybody should knock at, if it is: on the never-list, or this host itself.
pub(crate) fn off_limits(state: &State, relay: &Relay<'_>, now: Timestamp) -> Option<Hold> {
    let case = Case { state, relay, asked: &Asked::default(), now };
    case.first([words::never, words::own_host], |_| true)
}

/// The hold that speaks, for certain and not for this MTA alone, against an entry that others want: what was said by our
/// operator, what is required of TLS, and sendmail's own warning of DANE.
pub(crate) fn forbids(state: &State, relay: &Relay<'_>, now: Timestamp) -> Option<Hold> {
    let case = Case { state, relay, asked: &Asked::default(), now };
    let rules = [words::never, words::own_host, words::tls_rcpt, words::tls_srv, promises::dane];
    case.first(rules, |hold| !hold.is_unknown())
}

/// The hold with which mail would bounce or be stuck all the same, if there is one: for entries that are in force.
pub(crate) fn requires_tls(state: &State, relay: &Relay<'_>, now: Timestamp) -> Option<Hold> {
    let requires = |hold: &Hold| matches!(hold, Hold::TlsRcpt { .. } | Hold::TlsSrv(_));
    let case = Case { state, relay, asked: &Asked::default(), now };
    case.first([words::tls_rcpt, words::tls_srv], requires)
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "never-list",
            Self::OwnHost => "own host",
            Self::AdminTryTls => "own Try_TLS",
            Self::TlsRcpt => "TLS_Rcpt",
            Self::TlsSrv => "TLS_Srv",
            Self::Dane => "DANE",
            Self::MtaSts => "MTA-STS",
            Self::WorkedLately => "worked lately",
            Self::Neighbours => "neighbours",
            Self::OwnFault => "is it us",
            Self::WeakEvidence => "weak evidence",
            Self::Limits => "limits",
            Self::FallsBack => "TLSFallbacktoClear",
            Self::Fleet => "fleet",
            Self::AdminSrvFeatures => "own Srv_Features",
            Self::TlsClt => "TLS_Clt",
        })
    }
}
