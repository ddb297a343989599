//! Why a candidate is held: the guard that speaks, and the fact it rests on.

use std::net::IpAddr;

use crate::never::NeverItem;

/// The reason of a hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hold {
    /// The never-list covers the relay.
    #[error("the never-list has {0}")]
    Never(NeverItem),
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

impl Hold {
    /// Whether both are of one kind, whatever they say besides.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether this is the operator's own word, not a doubt of ours.
    pub fn is_never(&self) -> bool {
        matches!(self, Self::Never(_))
    }
}
