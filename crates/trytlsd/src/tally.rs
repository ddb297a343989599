//! What a whole log says of each relay, whatever the window: the figures that `scan` prints beside the verdict.
//!
//! Bounded, since a hostile log can name any number of relays: beyond [`RELAYS`] no further one is listed, and their
//! number is told.

use std::collections::HashMap;
use std::net::IpAddr;

use jiff::Timestamp;
use maillog::event::{Attempt, CauseKind, Event, Fault, What};

/// Relays listed at most.
pub(crate) const RELAYS: usize = 100_000;

/// Reasons kept for one relay at most.
const REASONS: usize = 8;

/// Addresses kept for one relay at most.
const ADDRESSES: usize = 16;

/// The relays of a log that failed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    relays: HashMap<Box<str>, Relay, foldhash::fast::RandomState>,
    /// Attempts, and replies, of relays beyond [`RELAYS`].
    pub(crate) unlisted: u64,
}

/// One relay.
#[derive(Debug)]
pub(crate) struct Relay {
    /// `arg1=SOFTWARE` with a 4xx code.
    pub(crate) attempts: u64,
    /// Those that left mail stuck.
    pub(crate) confirmed: u64,
    /// `arg1=SOFTWARE` with a 5xx code: a requirement of the admin's.
    pub(crate) permanent: u64,
    /// `arg1=PROTOCOL`.
    pub(crate) protocol: u64,
    /// `arg1=CONFIG`: a fault of our own host.
    pub(crate) config: u64,
    /// Deferred lines in which the relay itself said that its STARTTLS is broken; never among the attempts.
    pub(crate) replies: u64,
    /// Attempts whose cause was TLS itself.
    pub(crate) handshake: u64,
    /// Attempts whose cause was the network.
    pub(crate) network: u64,
    /// OpenSSL's words, with how often.
    pub(crate) reasons: Vec<(Box<str>, u64)>,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// Where mail was stuck.
    pub(crate) addresses: Vec<IpAddr>,
    /// The last success after the last attempt.
    pub(crate) recovered: Option<Timestamp>,
}

impl Tally {
    /// Notes an event.
    pub(crate) fn note(&mut self, event: &Event<'_>, at: Timestamp) {
        match &event.what {
            What::Attempt(attempt) => self.attempt(attempt, at),
            What::Stuck(stuck) => {
                let Some(relay) = self.relays.get_mut(stuck.attempt.relay.as_str()) else { return };
                relay.confirmed += u64::from(stuck.attempt.counts());
                relay.add_address(stuck.address);
            }
            What::Reply(reply) => {
                let Some(relay) = self.relay(reply.relay.as_str(), at) else { return };
                relay.replies += 1;
                relay.add_address(reply.address);
            }
            What::Success(success) => {
                if let Some(relay) = self.relays.get_mut(success.relay.as_str()) {
                    relay.recovered = Some(at);
                }
            }
            _ => {}
        }
    }

    /// The relays, most attempts first, then by name.
    pub(crate) fn sorted(&self) -> Vec<(&str, &Relay)> {
        let mut relays: Vec<_> = self.relays.iter().map(|(name, relay)| (&**name, relay)).collect();
        relays.sort_by(|(a, x), (b, y)| y.attempts.cmp(&x.attempts).then(a.cmp(b)));
        relays
    }

    /// The relay, which failed at that moment; none beyond [`RELAYS`].
    fn relay(&mut self, name: &str, at: Timestamp) -> Option<&mut Relay> {
        if !self.relays.contains_key(name) {
            if self.relays.len() >= RELAYS {
                self.unlisted += 1;
                return None;
            }
            self.relays.insert(name.into(), Relay::seen(at));
        }
        let relay = self.relays.get_mut(name)?;
        relay.first = relay.first.min(at);
        relay.last = relay.last.max(at);
        relay.recovered = None;
        Some(relay)
    }

    fn attempt(&mut self, attempt: &Attempt<'_>, at: Timestamp) {
        let Some(relay) = self.relay(attempt.relay.as_str(), at) else { return };
        match attempt.fault {
            Fault::Software if attempt.counts() => relay.attempts += 1,
            Fault::Software => relay.permanent += 1,
            Fault::Protocol => relay.protocol += 1,
            Fault::Config => relay.config += 1,
        }
        let Some(cause) = &attempt.cause else { return };
        match cause.kind {
            CauseKind::Handshake => relay.handshake += 1,
            CauseKind::Network => relay.network += 1,
        }
        match relay.reasons.iter_mut().find(|(reason, _)| **reason == *cause.reason) {
            Some((_, times)) => *times += 1,
            None => relay.add_reason(&cause.reason),
        }
    }
}

impl Relay {
    fn add_address(&mut self, address: Option<IpAddr>) {
        if let Some(address) = address
            && self.addresses.len() < ADDRESSES
            && !self.addresses.contains(&address)
        {
            self.addresses.push(address);
        }
    }

    fn add_reason(&mut self, reason: &str) {
        if self.reasons.len() < REASONS {
            self.reasons.push((reason.into(), 1));
        }
    }

    fn seen(at: Timestamp) -> Self {
        Self {
            attempts: 0,
            confirmed: 0,
            permanent: 0,
            protocol: 0,
            config: 0,
            replies: 0,
            handshake: 0,
            network: 0,
            reasons: Vec::new(),
            first: at,
            last: at,
            addresses: Vec::new(),
            recovered: None,
        }
    }
}
