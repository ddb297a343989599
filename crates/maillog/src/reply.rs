//! Words of a relay that tell of its broken STARTTLS where no handshake was tried or none broke by sendmail's account.
//!
//! GroupWise answers STARTTLS, and then MAIL too, with `450 TLS negotation failure` (spelt so); sendmail goes on after
//! the first, and the mail is deferred for the second. No `ruleset=tls_server` line is written. An operator may know of
//! more such texts: see [`crate::pattern`].
//!
//! Whoever is spoken to can say what he likes, and so can whoever sits on the path. So such a line speaks of no relay but
//! its own: the one that sendmail itself names in `relay=` of that very line, at the address beside it.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::delivery::{Delivery, Outcome};
use crate::event::Recipients;
use crate::relay::{Relay, ends_of_cut};

/// What GroupWise says.
pub(crate) const GROUPWISE: &str = "450 TLS negotation failure";
/// What it is called.
const NAME: &str = "GroupWise";

/// A relay said that its STARTTLS is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The relay of the line, its trailing dot cut; never one whose name the line has cut in its middle.
    pub relay: Relay<'a>,
    /// Its address, if the line names one.
    pub address: Option<IpAddr>,
    /// What it was known by: `GroupWise`, or the name of an operator's pattern.
    pub by: Cow<'a, str>,
    /// Whether it counts towards an entry.
    pub counts: bool,
    /// The recipients of the message that was deferred for it.
    pub recipients: Recipients<'a>,
}

/// The reply of GroupWise, if the line is one.
pub(crate) fn of_groupwise<'a>(delivery: &Delivery<'a>) -> Option<Reply<'a>> {
    if !is_of_groupwise(delivery) {
        return None;
    }
    of(delivery, Cow::Borrowed(NAME), true)
}

/// Whether the line was deferred for what GroupWise says.
fn is_of_groupwise(delivery: &Delivery<'_>) -> bool {
    let words = if delivery.has_reply {
        Some(delivery.tail)
    } else {
        delivery.tail.strip_prefix(b"Deferred: ") // sendmail before 8.14 writes no `reply=`.
    };
    delivery.outcome == Outcome::Deferred
        && words.is_some_and(|words| words.starts_with(GROUPWISE.as_bytes()))
}

/// A reply of the line's own relay.
pub(crate) fn of<'a>(delivery: &Delivery<'a>, by: Cow<'a, str>, counts: bool) -> Option<Reply<'a>> {
    if ends_of_cut(delivery.relay).is_some() {
        return None;
    }
    let relay = Relay::parse_dotted(delivery.relay)?;
    let (address, recipients) = (delivery.address, delivery.recipients());
    Some(Reply { relay, address, by, counts, recipients })
}
