//! Joins the lines of one attempt. Neither the error line nor the ruleset line carries a queue id, so host and process
//! are what they have in common with the delivery line.
//!
//! An attempt is kept until the next delivery line of its process. sendmail writes that line when it is through with all
//! hosts of the message, so it may name another relay, and it may be late: with its default time-outs the next host may
//! hold sendmail for an hour in STARTTLS (which is an attempt of its own, and the count begins anew), or for three and a
//! half hours in RCPT, DATA and the final dot. Hence [`ATTEMPT_LIFETIME`]; after it the process is taken for dead and its
//! id for another's. A cause and its ruleset line come from the same function call, microseconds apart, or as long as a
//! look-up in a locked or remote access map takes: [`CAUSE_LIFETIME`].

use crate::event::{Attempt, Cause};
use crate::prefix::Prefix;
use crate::relay::Relay;
use crate::ruleset::TlsServer;
use crate::table::Table;

/// Four hours, in seconds.
const ATTEMPT_LIFETIME: i64 = 4 * 3600;
/// Two minutes, in seconds.
const CAUSE_LIFETIME: i64 = 120;
/// Attempts, and causes, that are kept at most. One takes about 0.2 KB, 0.6 KB at most.
const MOST: u16 = 8192;
/// A minute in which the delivery over a new connection is logged, and ten more, in seconds: beyond it an address stays
/// unknown, and nothing is lost.
const SERVED_LIFETIME: i64 = 600;
/// Bytes of a reason that are kept.
pub(crate) const LONGEST_REASON: usize = 100;

/// What waits for its next line.
#[derive(Debug)]
pub(crate) struct Joiner {
    pub(crate) causes: Table<Cause<'static>>,
    pub(crate) attempts: Table<Attempt<'static>>,
    /// Relays with which TLS has just worked.
    pub(crate) served: Table<Relay<'static>>,
    /// Relays with which an entry has just turned TLS off.
    pub(crate) cleared: Table<Relay<'static>>,
}

impl Joiner {
    pub(crate) fn new() -> Self {
        Self {
            causes: Table::new(MOST, CAUSE_LIFETIME),
            attempts: Table::new(MOST, ATTEMPT_LIFETIME),
            served: Table::new(MOST, SERVED_LIFETIME),
            cleared: Table::new(MOST, ATTEMPT_LIFETIME),
        }
    }

    /// A client error line: the cause of the next ruleset line of its process.
    pub(crate) fn failed(&mut self, line: &Prefix<'_>, cause: Cause<'_>) {
        let mut cause = cause.into_owned();
        if cause.reason.len() > LONGEST_REASON {
            let kept: String = cause
                .reason
                .char_indices()
                .take_while(|(at, _)| *at < LONGEST_REASON)
                .map(|(_, c)| c)
                .collect();
            cause.reason = kept.into();
        }
        self.causes.push(line, cause);
    }

    /// A ruleset line: the attempt, if STARTTLS broke.
    pub(crate) fn attempt<'a>(
        &mut self,
        line: &Prefix<'_>,
        ruleset: TlsServer<'a>,
    ) -> Option<Attempt<'a>> {
        let cause = self.causes.take(line).pop();
        let fault = ruleset.fault()?;
        Some(Attempt { relay: ruleset.relay, fault, code: ruleset.code, cause })
    }

    /// Keeps an attempt for the next delivery line of its process.
    pub(crate) fn keep(&mut self, line: &Prefix<'_>, attempt: &Attempt<'_>) {
        self.attempts.push(line, attempt.clone().into_owned());
    }

    /// Keeps the relay of a handshake that worked for the next delivery line of its process, which tells the address.
    pub(crate) fn succeeded(&mut self, line: &Prefix<'_>, relay: &Relay<'_>) {
        self.served.push(line, relay.clone().into_owned());
    }

    /// A delivery line: the relay that it names, if TLS with it has just worked. Others of its process have lines to come.
    pub(crate) fn served(&mut self, line: &Prefix<'_>, logged: &[u8]) -> Option<Relay<'static>> {
        named(&mut self.served, line, logged)
    }

    /// Keeps a relay with which an entry turned TLS off for the next delivery line of its process that names it.
    pub(crate) fn in_clear(&mut self, line: &Prefix<'_>, relay: &Relay<'_>) {
        self.cleared.push(line, relay.clone().into_owned());
    }

    /// A delivery line: the relay that it names, if an entry has just turned TLS off with it.
    pub(crate) fn freed(&mut self, line: &Prefix<'_>, logged: &[u8]) -> Option<Relay<'static>> {
        named(&mut self.cleared, line, logged)
    }

    /// Whether anything waits for a delivery line.
    pub(crate) fn waits(&self) -> bool {
        !self.attempts.is_empty() || !self.served.is_empty() || !self.cleared.is_empty()
    }

    /// Whether something may wait for a delivery line of this process. Never wrong when it says no.
    pub(crate) fn may_wait_for(&self, pid: u32) -> bool {
        self.attempts.may_know(pid) || self.served.may_know(pid) || self.cleared.may_know(pid)
    }

    /// Whether what waits has changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        let changed = [
            self.causes.take_changed(),
            self.attempts.take_changed(),
            self.served.take_changed(),
            self.cleared.take_changed(),
        ];
        changed.contains(&true)
    }

    /// A delivery line: the attempts of its process that it ends.
    pub(crate) fn ended(&mut self, line: &Prefix<'_>) -> Vec<Attempt<'static>> {
        self.attempts.take(line)
    }
}

/// Takes the relay that the delivery line names; the others go on waiting.
fn named(
    table: &mut Table<Relay<'static>>,
    line: &Prefix<'_>,
    logged: &[u8],
) -> Option<Relay<'static>> {
    let mut all = table.take(line);
    let named = all.iter().rposition(|relay| relay.is_logged_as(logged));
    let named = named.map(|at| all.remove(at));
    all.into_iter().for_each(|relay| table.push(line, relay));
    named
}
