//! The domains of the recipients whose mail is stuck at a relay: whose `TLS_Rcpt:` entries and MTA-STS policies matter.
//!
//! Only the domains are kept, not the recipients: no more is needed, and a ledger full of addresses would be a treasure.
//! So a `TLS_Rcpt:` entry for one user counts for all users of his domain; once TLS is off, his mail would take the same
//! way.
//!
//! **Bounds.** 64 domains of a relay, and 4 KB of their names; what does not fit, and what has no domain that could be
//! told, is remembered as "more", and that is unknown.

use maillog::event::Recipients;
use maillog::relay::is_plain_name;
use serde::{Deserialize, Serialize};

/// Domains kept for one relay at most.
const MOST: usize = 64;

/// Bytes of their names at most.
const MOST_BYTES: usize = 4096;

/// The domains, each once, in the order they were seen. Lower case, as in the log, without a dot at the end; empty for a
/// recipient without a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domains {
    list: Vec<Box<str>>,
    /// Whether there were more than are kept, or some of which no domain can be told.
    more: bool,
}

impl Domains {
    /// Adds those of the recipients; gives what is new.
    pub(crate) fn add(&mut self, recipients: &Recipients<'_>) -> Vec<Box<str>> {
        self.more |= recipients.more;
        let before = self.list.len();
        for recipient in &recipients.list {
            let Some(domain) = domain_of(recipient) else {
                self.more = true;
                continue;
            };
            let domain = domain.to_ascii_lowercase();
            if self.list.iter().any(|known| **known == *domain) {
                continue;
            }
            if self.list.len() >= MOST || self.bytes() + domain.len() > MOST_BYTES {
                self.more = true;
                continue;
            }
            self.list.push(domain.into());
        }
        self.list.get(before..).unwrap_or_default().to_vec()
    }

    /// The domains.
    pub fn list(&self) -> &[Box<str>] {
        &self.list
    }

    /// Whether there were more.
    pub fn has_more(&self) -> bool {
        self.more
    }

    fn bytes(&self) -> usize {
        self.list.iter().map(|domain| domain.len()).sum()
    }

    /// With no more than is ever kept: what is read back may have been changed.
    pub(crate) fn bounded(mut self) -> Self {
        while self.list.len() > MOST || self.bytes() > MOST_BYTES {
            self.list.pop();
            self.more = true;
        }
        self
    }
}

/// The domain that sendmail would find in the address; empty if it has none. None where that cannot be said: it makes a
/// domain of `u%host` and `host!u` as well, and what is no plain name may be cut, commented or not in ASCII.
fn domain_of(recipient: &str) -> Option<&str> {
    let (user, domain) = recipient.rsplit_once('@').unwrap_or((recipient, ""));
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let odd = user.contains(['%', '!']) || !(domain.is_empty() || is_domain(domain));
    (!odd).then_some(domain)
}

/// A plain name, or an address literal.
fn is_domain(domain: &str) -> bool {
    let literal = domain.starts_with('[') && domain.ends_with(']');
    literal || is_plain_name(&domain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipients(list: &[&str], more: bool) -> Recipients<'static> {
        Recipients { list: list.iter().map(|text| text.to_string().into()).collect(), more }
    }

    #[test]
    fn each_domain_once() {
        let mut domains = Domains::default();
        let list = ["a@X.example", "b@x.example.", "\"c@d\"@y.example", "local", "z@[192.0.2.1]"];
        domains.add(&recipients(&list, false));
        let expect = ["x.example", "y.example", "", "[192.0.2.1]"];
        assert_eq!(domains.list().iter().map(|d| &**d).collect::<Vec<_>>(), expect);
        assert!(!domains.has_more());
        assert_eq!(domains.add(&recipients(&["u@x.example", "u@new.example"], false)).len(), 1);
        assert!(domains.add(&recipients(&[], true)).is_empty() && domains.has_more());
    }

    #[test]
    fn a_flood_is_bounded_and_remembered_as_more() {
        let mut domains = Domains::default();
        for n in 0..MOST {
            domains.add(&recipients(&[&format!("u@d{n}.example")], false));
        }
        assert!(!domains.has_more());
        assert!(domains.add(&recipients(&["u@one-more.example"], false)).is_empty());
        assert!(domains.has_more() && domains.list().len() == MOST);
        let mut domains = Domains::default();
        for n in 0..40 {
            domains.add(&recipients(&[&format!("u@{n}{}", "x".repeat(200))], false));
        }
        assert!(domains.has_more() && domains.bytes() <= MOST_BYTES);
    }
}
