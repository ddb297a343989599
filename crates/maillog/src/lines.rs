//! One line in, its events out. The only reader there is: [`crate::finder`] and [`crate::plain`] differ in which lines
//! they hand to it.

use memchr::memmem;

use crate::client::{self, CLIENT_ERROR, Named};
use crate::cursor::text;
use crate::delivery::{self, Delivery, Outcome};
use crate::event::{Attempt, End, Event, Fault, Freed, Served, Stuck, Waiting, What};
use crate::flaw::Flaw;
use crate::joiner::Joiner;
use crate::kinds::Kinds;
use crate::pattern::Patterns;
use crate::prefix::{Prefix, Splitter};
use crate::relay::Relay;
use crate::reply::{GROUPWISE, of_groupwise};
use crate::shape::Shape;
use crate::{ruleset, server};

/// Kinds that need the ruleset lines and the client error lines.
pub(crate) const OF_ATTEMPTS: Kinds = Kinds::ATTEMPTS.with(Kinds::OUTCOMES);
/// Kinds that need the lines with `STARTTLS=client, relay=`.
pub(crate) const OF_NAMED: Kinds = Kinds::SUCCESSES.with(Kinds::DANE_WARNINGS).with(Kinds::SERVED);
/// Kinds that need the delivery lines of processes of which something waits.
pub(crate) const OF_DELIVERIES: Kinds = Kinds::OUTCOMES.with(Kinds::SERVED).with(Kinds::TRY_TLS);

/// Reads lines for the kinds wanted.
#[derive(Debug)]
pub(crate) struct Lines {
    kinds: Kinds,
    splitter: Splitter,
    joiner: Joiner,
    /// None where replies are not wanted.
    patterns: Patterns,
}

impl Lines {
    pub(crate) fn new(kinds: Kinds, patterns: Patterns) -> Self {
        Self::with_joiner(kinds, patterns, Joiner::new())
    }

    /// Lines that go on with what waits.
    pub(crate) fn with_joiner(kinds: Kinds, patterns: Patterns, joiner: Joiner) -> Self {
        let patterns = if kinds.any(Kinds::REPLIES) { patterns } else { Patterns::default() };
        Self { kinds, splitter: Splitter::default(), joiner, patterns }
    }

    /// Whether an operator's patterns are tried.
    pub(crate) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// Whether what waits has changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        self.joiner.take_changed()
    }

    pub(crate) fn joiner(&self) -> &Joiner {
        &self.joiner
    }

    /// Reads one line, without its `\n`; a `\r` before that is no part of it.
    pub(crate) fn read<'b>(&mut self, line: &'b [u8], sink: &mut impl FnMut(Event<'b>)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok((prefix, message)) = self.splitter.split(line) else { return };
        let mut emit = |what: What<'b>| {
            let Prefix { stamp, host, pid, .. } = prefix;
            sink(Event { stamp, host: text(host), pid, line, what });
        };
        let kinds = self.kinds;
        match Shape::of(message) {
            Shape::ClientNamed if kinds.any(OF_NAMED) => match client::named(message) {
                Ok(Named::Success(success)) => {
                    if kinds.any(Kinds::SERVED) {
                        self.joiner.succeeded(&prefix, &success.relay);
                    }
                    if kinds.any(Kinds::SUCCESSES) {
                        emit(What::Success(success));
                    }
                }
                Ok(Named::DaneWarning(relay)) if kinds.any(Kinds::DANE_WARNINGS) => {
                    emit(What::DaneWarning(relay));
                }
                _ => {}
            },
            Shape::ClientError if kinds.any(OF_ATTEMPTS) => {
                if let Ok(cause) = client_error(message) {
                    self.joiner.failed(&prefix, cause);
                }
            }
            Shape::TlsServer if kinds.any(OF_ATTEMPTS) || self.has_patterns() => {
                self.attempt(&prefix, message, &mut emit);
            }
            Shape::Delivery => self.delivery(&prefix, message, &mut emit),
            Shape::TryTls if kinds.any(Kinds::TRY_TLS) => {
                if let Some(used) = ruleset::try_tls(message).ok().and_then(|line| line.used()) {
                    self.joiner.in_clear(&prefix, &used.relay);
                    emit(What::TryTls(used));
                }
            }
            Shape::ServerError if kinds.any(Kinds::CLIENT_FAILURES) => {
                if let Ok((client, cause)) = server::error(message) {
                    emit(What::ClientFailed(client, cause));
                }
            }
            Shape::ServerSuccess if kinds.any(Kinds::CLIENT_SUCCESSES) => {
                if let Ok(client) = server::success(message) {
                    emit(What::ClientSucceeded(client));
                }
            }
            Shape::From if kinds.any(Kinds::CLIENT_DELIVERIES) => {
                if let Ok(client) = server::delivered(message) {
                    emit(What::ClientDelivered(client));
                }
            }
            _ => {}
        }
    }

    fn attempt<'b>(
        &mut self,
        prefix: &Prefix<'_>,
        message: &'b [u8],
        emit: &mut impl FnMut(What<'b>),
    ) {
        let Ok(line) = ruleset::tls_server(message) else { return };
        let counts_already = line.fault() == Some(Fault::Software) && line.code < 500;
        if !counts_already && let Some(reply) = self.patterns.read(message) {
            emit(What::Reply(Box::new(reply)));
        }
        if !self.kinds.any(OF_ATTEMPTS) {
            return;
        }
        let Some(attempt) = self.joiner.attempt(prefix, line) else { return };
        if self.kinds.any(Kinds::OUTCOMES) {
            self.joiner.keep(prefix, &attempt);
        }
        if self.kinds.any(Kinds::ATTEMPTS) {
            emit(What::Attempt(attempt));
        }
    }

    /// A delivery line is read only where it ends an attempt, tells where TLS worked, or where waiting messages are
    /// wanted.
    fn delivery<'b>(
        &mut self,
        prefix: &Prefix<'_>,
        message: &'b [u8],
        emit: &mut impl FnMut(What<'b>),
    ) {
        let waiting = self.kinds.any(Kinds::WAITING) && message.ends_with(b"stat=Deferred");
        let replies = self.kinds.any(Kinds::REPLIES);
        let waited_for = waiting || self.joiner.may_wait_for(prefix.pid);
        let worth_reading = waited_for || (replies && self.may_be_reply(message));
        if !worth_reading {
            return;
        }
        let delivery = delivery::read(message);
        if !matches!(delivery, Err(Flaw::NoRelay)) {
            let ended = self.joiner.ended(prefix);
            emit_outcomes(ended, delivery.as_ref().ok(), emit);
            if let Ok(delivery) = &delivery
                && let Some(relay) = self.joiner.freed(prefix, delivery.relay)
            {
                emit(What::Freed(Freed {
                    relay,
                    queue_id: text(delivery.queue_id),
                    end: match delivery.outcome {
                        Outcome::Sent => End::Sent,
                        Outcome::Deferred => End::Deferred,
                        Outcome::Other => End::Failed,
                    },
                }));
            }
            if let Ok(Delivery { relay: logged, address: Some(address), .. }) = delivery
                && let Some(relay) = self.joiner.served(prefix, logged)
            {
                emit(What::Served(Served { relay, address }));
            }
        }
        if let (true, Ok(delivery)) = (replies, &delivery)
            && let Some(reply) = of_groupwise(delivery).or_else(|| self.patterns.read(message))
        {
            emit(What::Reply(Box::new(reply)));
        }
        if let Ok(delivery) = delivery
            && waiting
            && delivery.is_waiting()
            && let Some(relay) = Relay::parse_dotted(delivery.relay)
        {
            emit(What::Waiting(Waiting {
                relay,
                queue_id: text(delivery.queue_id),
                recipients: delivery.recipients(),
            }));
        }
    }
}

impl Lines {
    /// Whether a delivery line is worth a look for what the relay said.
    fn may_be_reply(&self, message: &[u8]) -> bool {
        self.has_patterns() || memmem::find(message, GROUPWISE.as_bytes()).is_some()
    }
}

/// Says how attempts ended. A delivery line that cannot be read confirms nothing: they failed.
fn emit_outcomes<'b>(
    attempts: Vec<Attempt<'static>>,
    delivery: Option<&Delivery<'b>>,
    emit: &mut impl FnMut(What<'b>),
) {
    let Some(delivery) = delivery else {
        return attempts.into_iter().for_each(|attempt| emit(What::Failed(attempt)));
    };
    // The line names the last host that was tried, so of two attempts with alike names the later one is meant.
    let named = attempts.iter().rposition(|a| a.relay.is_logged_as(delivery.relay));
    for (at, attempt) in attempts.into_iter().enumerate() {
        emit(match delivery.outcome {
            Outcome::Deferred => What::Stuck(Box::new(Stuck {
                attempt,
                address: delivery.address.filter(|_| named == Some(at)),
                queue_id: text(delivery.queue_id),
                recipients: delivery.recipients(),
            })),
            Outcome::Sent => What::Sent(attempt),
            Outcome::Other => What::Failed(attempt),
        });
    }
}

/// Reads a client error line, behind a queue id or not.
pub(crate) fn client_error(message: &[u8]) -> Result<crate::event::Cause<'_>, Flaw> {
    match delivery::queue_id(message) {
        Some((_, rest)) if rest.starts_with(CLIENT_ERROR.as_bytes()) => client::error(rest),
        _ => client::error(message),
    }
}
