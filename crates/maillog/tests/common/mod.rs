//! Reading of whole logs, for the tests.

use maillog::event::{Event, What};
use maillog::finder::Finder;
use maillog::kinds::Kinds;

/// All events of the kinds wanted that the finder sees in a log.
pub(crate) fn found(kinds: Kinds, log: &[u8]) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    Finder::new(kinds).feed(log, &mut |event| events.push(event.into_owned()));
    events
}

/// An event in short: `12 stuck mx.example.org 192.0.2.1 [a@b]`, the process id first.
pub(crate) fn show(event: &Event<'_>) -> String {
    let what = match &event.what {
        What::Attempt(a) => {
            let cause = a.cause.as_ref().map(|c| format!(" {:?} {}", c.kind, c.reason));
            format!("attempt {} {:?} {}{}", a.relay, a.fault, a.code, cause.unwrap_or_default())
        }
        What::Stuck(s) => {
            let address = s.address.map_or_else(|| "-".to_owned(), |a| a.to_string());
            format!("stuck {} {address} {} {:?}", s.attempt.relay, s.queue_id, s.recipients.list)
        }
        What::Sent(a) => format!("sent {}", a.relay),
        What::Failed(a) => format!("failed {}", a.relay),
        What::Success(s) => format!("success {} {} {}", s.relay, s.version, s.verify),
        What::Served(s) => format!("served {} {}", s.relay, s.address),
        What::Waiting(w) => format!("waiting {} {}", w.relay, w.queue_id),
        What::TryTls(t) => {
            let address = t.address.map_or_else(|| "-".to_owned(), |a| a.to_string());
            format!("try_tls {} {address}", t.relay)
        }
        What::Freed(f) => format!("freed {} {} {:?}", f.relay, f.queue_id, f.end),
        What::DaneWarning(relay) => format!("dane {relay}"),
        What::Reply(r) => {
            let address = r.address.map_or_else(|| "-".to_owned(), |a| a.to_string());
            format!("reply {} {address} {} {:?}", r.relay, r.by, r.recipients.list)
        }
        What::ClientFailed(c, cause) => {
            format!("client failed {:?} {} {}", c.name.as_deref(), c.address, cause.reason)
        }
        What::ClientDelivered(c) => format!("delivered {:?} {}", c.name.as_deref(), c.address),
        What::ClientSucceeded(c) => format!("client {:?} {}", c.name.as_deref(), c.address),
    };
    format!("{} {what}", event.pid)
}
