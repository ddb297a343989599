//! Why a candidate is held: the guard that speaks, and the fact it rests on.

use std::fmt;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::fleet::Objection;
use crate::guard::Guard;
use crate::handshake::Handshake;
use crate::never::NeverItem;

/// The reason of a hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hold {
    /// The never-list covers the relay.
    #[error("the never-list has {0}")]
    Never(NeverItem),
    /// The relay is this host.
    #[error("{0} is this host's own name")]
    OwnHost(Box<str>),
    /// The host's own names are not known.
    #[error("this host's own names are unknown: {0}")]
    OwnHostUnknown(Box<str>),
    /// The access file could not be read, so nobody knows what the admin said.
    #[error("the access file is unknown: {0}")]
    AccessUnknown(Box<str>),
    /// The admin has an entry that covers the relay, whatever it says.
    #[error("the admin's own entry covers it: {0}")]
    AdminTryTls(Line),
    /// The admin requires TLS for a recipient: with Try_TLS the mail would bounce.
    #[error("{} would bounce: {line}", recipients(domain))]
    TlsRcpt {
        /// The recipient's domain; empty for one without.
        domain: Box<str>,
        /// The entry.
        line: Line,
    },
    /// More recipients than are remembered, or odd ones, and the admin requires TLS for some.
    #[error(
        "it has recipients whose domains are not known, and the access file has TLS_Rcpt: entries ({0})"
    )]
    TlsRcptUnknown(Line),
    /// The admin has an entry with options of TLS that covers the relay; ours would hide it, or be hidden.
    #[error("the admin's own TLS_Clt_features: entry covers it: {0}")]
    AdminCltFeatures(Line),
    /// The admin requires TLS of the relay: with Try_TLS the mail would be deferred all the same.
    #[error("TLS is required of it: {0}")]
    TlsSrv(Line),
    /// The admin has an entry for the client, whatever it says.
    #[error("the admin's own Srv_Features: entry covers it: {0}")]
    AdminSrvFeatures(Line),
    /// Clients get no entries at all.
    #[error("the receiving side is off")]
    ReceivingOff,
    /// The admin requires TLS of the client: not offered any, it could deliver nothing.
    #[error("TLS is required of the client: {0}")]
    TlsClt(Line),
    /// sendmail itself has warned of it.
    #[error("sendmail warned at {0:.0} that DANE is configured for it")]
    DaneWarned(Timestamp),
    /// DNSSEC proves that it has TLSA records.
    #[error("DNSSEC proves TLSA records for {0} (DANE)")]
    DaneSecure(Box<str>),
    /// Whether it has is not known.
    #[error("whether it uses DANE is unknown: {0}")]
    DaneUnknown(Box<str>),
    /// A recipient's domain enforces MTA-STS.
    #[error("{0} enforces MTA-STS")]
    StsEnforced(Box<str>),
    /// Whether it does is not known.
    #[error("whether {0} enforces MTA-STS is unknown: {1}")]
    StsUnknown(Box<str>, Box<str>),
    /// More recipients' domains than are remembered, or some that cannot be told.
    #[error(
        "it has recipients whose domains are not known; whether all do without MTA-STS is unknown"
    )]
    StsTooMany,
    /// TLS with it worked lately, and it has not failed for long enough since.
    #[error(
        "TLS with it worked at {at:.0} ({}, verify={}); it must fail for {wanted:#} without a success, so far {failing:#}",
        .handshake.version(), .handshake.verify()
    )]
    WorkedLately {
        /// When.
        at: Timestamp,
        /// How.
        handshake: Handshake,
        /// How long it has failed since.
        failing: SignedDuration,
        /// How long it must.
        wanted: SignedDuration,
    },
    /// TLS with the client worked lately, and it has not failed for long enough since.
    #[error(
        "TLS with the client worked at {at:.0}; it must fail for {wanted:#} without a success, so far {failing:#}"
    )]
    ClientWorkedLately {
        /// When, to the hour.
        at: Timestamp,
        /// How long it has failed since.
        failing: SignedDuration,
        /// How long it must.
        wanted: SignedDuration,
    },
    /// TLS with some relay worked lately at an address that its entry would act on.
    #[error(
        "TLS worked at {address} at {at:.0}, with this relay or another; it must fail there for {wanted:#} without a success, so far {failing:#}"
    )]
    WorkedThere {
        /// Where.
        address: IpAddr,
        /// When.
        at: Timestamp,
        /// How long the relay has failed since.
        failing: SignedDuration,
        /// How long it must.
        wanted: SignedDuration,
    },
    /// sendmail cuts so long a name in the lines that tell of a success.
    #[error(
        "whether TLS with it works is unknown: sendmail cuts names of 100 bytes and more in its log"
    )]
    SuccessUnknown,
    /// An entry by address would act on another relay too, and a guard speaks against that one.
    #[error("{address} is {name}'s too: {hold}")]
    Neighbour {
        /// The address.
        address: IpAddr,
        /// The other relay, or the confirmed PTR name.
        name: Box<str>,
        /// What speaks against an entry for it.
        hold: Box<Hold>,
    },
    /// The network items of the never-list, and the admin's entries by address, may cover it.
    #[error("its addresses are unknown: {0}")]
    AddressesUnknown(Box<str>),
    /// The fault seems to be ours.
    #[error("the fault seems to be ours: {0}")]
    OwnFault(Box<str>),
    /// Too few of the attempts are more than resets and time-outs.
    #[error(
        "only {strong} of {stuck} attempts are more than resets and time-outs; those must span {wanted:#}, so far {span:#}"
    )]
    WeakEvidence {
        /// Attempts that are more.
        strong: u32,
        /// All attempts.
        stuck: u32,
        /// From the first to the last.
        span: SignedDuration,
        /// How far that must be.
        wanted: SignedDuration,
    },
    /// As many entries are in force as there may be.
    #[error("{0} entries are in force, and there may be no more than {1}")]
    EntriesLimit(u32, u32),
    /// As many new entries as there may be in an hour.
    #[error("{0} entries were made within an hour, and there may be no more than {1}")]
    HourLimit(u32, u32),
    /// sendmail goes on in clear by itself.
    #[error("TLSFallbacktoClear is on: sendmail goes on in clear by itself")]
    FallsBack,
    /// The remedy is one that this sendmail does not know.
    #[error("sendmail cannot fall back for one relay: {0}")]
    NoFallback(Box<str>),
    /// sendmail does not fall back for what the relay says in words.
    #[error(
        "it said in words that its STARTTLS is broken; sendmail falls back only after a broken handshake"
    )]
    NoFallbackForReply,
    /// Others must see it too.
    #[error("{} of the fleet must say that {keys} is needed: {}", mtas(*want), do_so(*have, *want))]
    Agreement {
        /// The entries.
        keys: Box<str>,
        /// How many say so.
        have: u16,
        /// How many must.
        want: u16,
    },
    /// One of them speaks against it.
    #[error("another MTA of the fleet objects: {0}")]
    Objected(Objection),
    /// More relays wait for the others than may.
    #[error("{0} relays wait for the fleet already")]
    TooManyWait(usize),
    /// An MX record may hold anything; such a text is never a key.
    #[error("the relay is no plain host name")]
    NotAPlainName,
    /// A name of two labels or fewer, or with relays below it, while no address was seen.
    #[error("the name covers other hosts too, and no address is known")]
    NameTooBroad,
    /// `key = "ip"` or `"ptr"`, and no Deferred line of the relay named an address.
    #[error("no address of the relay was seen")]
    NoAddress,
    /// `key = "ptr"` and there is none.
    #[error("{0} has no confirmed PTR name")]
    NoPtr(IpAddr),
    /// `key = "ptr"` and the question was not answered.
    #[error("the PTR is unknown: {0}")]
    PtrUnknown(Box<str>),
    /// `key = "ptr"` and sendmail would not look that name up.
    #[error("the PTR name {key} would not match: sendmail looks up {name}")]
    KeyWouldNotMatch {
        /// The PTR name.
        key: Box<str>,
        /// The name that sendmail connected to.
        name: Box<str>,
    },
    /// The entry was written, and sendmail, when asked, did not act on it.
    #[error("sendmail was asked and does not act on the entry: {0}")]
    Refuted(Box<str>),
    /// The admin has an entry for the key that says otherwise.
    #[error("the admin's own entry stands in the way: {0}")]
    Admins(Box<str>),
    /// An entry of ours was taken out by hand.
    #[error("an entry was lifted by hand and its hold-off has not ended")]
    Lifted,
    /// The relay has an entry for each of very many addresses already.
    #[error("it has entries for too many addresses already")]
    TooManyKeys,
    /// The map could not be changed; tried again later.
    #[error("the map could not be changed: {0}")]
    MapFailed(Box<str>),
}

/// A line of the access file, or an entry of a directory, quoted. Foreign text, of bounded length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1; 0 in a directory.
    pub number: usize,
    /// Its text.
    pub text: Box<str>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { number: 0, text } => write!(f, "an entry in the directory says {text:?}"),
            Self { number, text } => write!(f, "line {number} of the access file says {text:?}"),
        }
    }
}

pub(crate) fn mtas(count: u16) -> String {
    if count == 1 { "1 MTA".to_owned() } else { format!("{count} MTAs") }
}

/// With as many as must, the others are given some minutes to object.
fn do_so(have: u16, want: u16) -> String {
    let do_so = match have {
        0 => "none does".to_owned(),
        1 => "1 does".to_owned(),
        have => format!("{have} do"),
    };
    let rest = if have < want { "so far" } else { "and the others may still object" };
    format!("{do_so} {rest}")
}

fn recipients(domain: &str) -> String {
    match domain {
        "" => "mail to a recipient".to_owned(),
        domain => format!("mail to {domain}"),
    }
}

impl Hold {
    /// Whether both are of one kind, whatever they say besides.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether it speaks for mail to others, too, that is reached where this relay is: what was promised or required.
    pub(crate) fn is_for_others(&self) -> bool {
        matches!(
            self.guard(),
            Some(Guard::Never | Guard::TlsRcpt | Guard::TlsSrv | Guard::Dane | Guard::MtaSts)
        )
    }

    /// Whether this is the operator's own word, not a doubt of ours.
    pub fn is_never(&self) -> bool {
        matches!(self, Self::Never(_))
    }

    /// Whether it rests on something that could not be found out.
    pub fn is_unknown(&self) -> bool {
        matches!(
            self,
            Self::OwnHostUnknown(_)
                | Self::AccessUnknown(_)
                | Self::TlsRcptUnknown(_)
                | Self::SuccessUnknown
                | Self::AddressesUnknown(_)
                | Self::DaneUnknown(_)
                | Self::StsUnknown(..)
                | Self::StsTooMany
                | Self::PtrUnknown(_)
        )
    }

    /// The guard that speaks; none where no key can be written, or where the map is in the way.
    pub fn guard(&self) -> Option<Guard> {
        Some(match self {
            Self::Never(_) => Guard::Never,
            Self::OwnHost(_) | Self::OwnHostUnknown(_) => Guard::OwnHost,
            Self::AdminTryTls(_)
            | Self::AdminCltFeatures(_)
            | Self::AccessUnknown(_)
            | Self::Admins(_) => Guard::AdminTryTls,
            Self::AdminSrvFeatures(_) => Guard::AdminSrvFeatures,
            Self::TlsRcpt { .. } | Self::TlsRcptUnknown(_) => Guard::TlsRcpt,
            Self::TlsSrv(_) => Guard::TlsSrv,
            Self::TlsClt(_) => Guard::TlsClt,
            Self::DaneWarned(_) | Self::DaneSecure(_) | Self::DaneUnknown(_) => Guard::Dane,
            Self::StsEnforced(_) | Self::StsUnknown(..) | Self::StsTooMany => Guard::MtaSts,
            Self::AddressesUnknown(_) => Guard::Never,
            Self::WorkedLately { .. } | Self::ClientWorkedLately { .. } | Self::SuccessUnknown => {
                Guard::WorkedLately
            }
            Self::WorkedThere { .. } | Self::Neighbour { .. } => Guard::Neighbours,
            Self::OwnFault(_) => Guard::OwnFault,
            Self::WeakEvidence { .. } => Guard::WeakEvidence,
            Self::EntriesLimit(..) | Self::HourLimit(..) => Guard::Limits,
            Self::FallsBack | Self::NoFallback(_) => Guard::FallsBack,
            Self::Agreement { .. } | Self::Objected(_) | Self::TooManyWait(_) => Guard::Fleet,
            Self::NoFallbackForReply
            | Self::NotAPlainName
            | Self::NameTooBroad
            | Self::NoAddress
            | Self::NoPtr(_)
            | Self::PtrUnknown(_)
            | Self::KeyWouldNotMatch { .. }
            | Self::Refuted(_)
            | Self::Lifted
            | Self::TooManyKeys
            | Self::ReceivingOff
            | Self::MapFailed(_) => return None,
        })
    }

    /// Whether an operator can overrule it. `dane`: sendmail itself does DANE.
    ///
    /// # Errors
    /// What he must change instead: mail would bounce, the entry would have no effect, or it was he who forbade it.
    pub fn overrule(&self, dane: bool) -> Result<(), &'static str> {
        Err(match self {
            Self::TlsRcpt { .. } | Self::TlsRcptUnknown(_) => {
                "with TLS_Rcpt: for a recipient a Try_TLS entry makes the mail bounce; take that line out, or have the other side mend its TLS"
            }
            Self::AccessUnknown(_) => {
                "the access file may require TLS for a recipient, and then the mail would bounce; make it readable"
            }
            Self::Neighbour { hold, .. } => return hold.overrule(dane),
            Self::TlsSrv(_) => {
                "with TLS_Srv: a Try_TLS entry only changes why the mail is deferred (or, with PERM+, makes it bounce); take that line out, or have the other side mend its TLS"
            }
            Self::DaneWarned(_) | Self::DaneSecure(_) | Self::DaneUnknown(_) if dane => {
                "sendmail does DANE (O DANE in sendmail.cf): in clear the mail would bounce; have the other side mend its TLS"
            }
            Self::TlsClt(_) => {
                "with TLS_Clt: its mail would be refused; take that line out, or have the other side mend its TLS"
            }
            Self::AdminTryTls(_)
            | Self::AdminCltFeatures(_)
            | Self::AdminSrvFeatures(_)
            | Self::Admins(_) => {
                "an entry of yours covers it, and the first match wins; change that line"
            }
            Self::ReceivingOff => {
                "turn it on in the config ([receiving] enabled) and start trytlsd again"
            }
            Self::Never(_) => "take it off the never-list ([policy] never) and reload",
            Self::OwnHost(_) => "mail of this host to itself needs no entry; look at what loops",
            Self::NoFallback(_) | Self::NoFallbackForReply => {
                "an entry that lets sendmail fall back would do nothing here; set [entry] remedy = \"try_tls\""
            }
            Self::FallsBack => "sendmail falls back by itself; there is nothing to do",
            Self::Agreement { .. } => {
                "an approval makes this MTA's vote, and as many must say so as the quorum of the fleet; approve it on another one too"
            }
            Self::Objected(_) => {
                "ask trytlsd explain on that MTA, and end there what it objects to"
            }
            Self::TooManyWait(_) => "it is taken up when there is room; look at what waits",
            Self::NotAPlainName
            | Self::NoAddress
            | Self::NameTooBroad
            | Self::NoPtr(_)
            | Self::PtrUnknown(_)
            | Self::KeyWouldNotMatch { .. } => {
                "no key can be written that sendmail would look up for this relay and no other; see [access] key"
            }
            Self::Refuted(_) => "sendmail does not act on the entry; see what it said",
            Self::TooManyKeys => {
                "it comes with ever new addresses; write an entry for its name by hand"
            }
            Self::MapFailed(_) => "the map could not be changed; it is tried again by itself",
            Self::OwnHostUnknown(_)
            | Self::DaneWarned(_)
            | Self::DaneSecure(_)
            | Self::DaneUnknown(_)
            | Self::StsEnforced(_)
            | Self::StsUnknown(..)
            | Self::StsTooMany
            | Self::WorkedLately { .. }
            | Self::WorkedThere { .. }
            | Self::SuccessUnknown
            | Self::AddressesUnknown(_)
            | Self::ClientWorkedLately { .. }
            | Self::OwnFault(_)
            | Self::WeakEvidence { .. }
            | Self::EntriesLimit(..)
            | Self::HourLimit(..)
            | Self::Lifted => return Ok(()),
        })
    }
}
