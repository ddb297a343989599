//! Events that outlive the block they were read from.

use std::borrow::Cow;

use crate::event::{
    Attempt, Cause, Client, Event, Freed, Recipients, Served, Stuck, Success, TryTls, Waiting, What,
};
use crate::kinds::Kinds;
use crate::reply::Reply;

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl Event<'_> {
    /// The same event, its text copied, without the line.
    pub fn into_owned(self) -> Event<'static> {
        let Self { stamp, host, pid, what, line: _ } = self;
        Event { stamp, host: owned(host), pid, line: b"", what: what.into_owned() }
    }
}

impl What<'_> {
    /// The kind it belongs to.
    pub fn kind(&self) -> Kinds {
        match self {
            Self::Attempt(_) => Kinds::ATTEMPTS,
            Self::Stuck(_) | Self::Sent(_) | Self::Failed(_) => Kinds::OUTCOMES,
            Self::Success(_) => Kinds::SUCCESSES,
            Self::Served(_) => Kinds::SERVED,
            Self::Waiting(_) => Kinds::WAITING,
            Self::TryTls(_) | Self::Freed(_) => Kinds::TRY_TLS,
            Self::DaneWarning(_) => Kinds::DANE_WARNINGS,
            Self::Reply(_) => Kinds::REPLIES,
            Self::ClientFailed(..) => Kinds::CLIENT_FAILURES,
            Self::ClientSucceeded(_) => Kinds::CLIENT_SUCCESSES,
            Self::ClientDelivered(_) => Kinds::CLIENT_DELIVERIES,
        }
    }

    /// The same, its text copied.
    pub fn into_owned(self) -> What<'static> {
        match self {
            Self::Attempt(attempt) => What::Attempt(attempt.into_owned()),
            Self::Stuck(stuck) => What::Stuck(Box::new(stuck.into_owned())),
            Self::Sent(attempt) => What::Sent(attempt.into_owned()),
            Self::Failed(attempt) => What::Failed(attempt.into_owned()),
            Self::Success(success) => What::Success(success.into_owned()),
            Self::Served(served) => What::Served(served.into_owned()),
            Self::Waiting(waiting) => What::Waiting(waiting.into_owned()),
            Self::TryTls(used) => What::TryTls(used.into_owned()),
            Self::Freed(freed) => What::Freed(freed.into_owned()),
            Self::DaneWarning(relay) => What::DaneWarning(relay.into_owned()),
            Self::Reply(reply) => What::Reply(Box::new(reply.into_owned())),
            Self::ClientFailed(client, cause) => {
                What::ClientFailed(client.into_owned(), cause.into_owned())
            }
            Self::ClientDelivered(client) => What::ClientDelivered(client.into_owned()),
            Self::ClientSucceeded(client) => What::ClientSucceeded(client.into_owned()),
        }
    }
}

impl Attempt<'_> {
    /// The same, its text copied.
    pub fn into_owned(self) -> Attempt<'static> {
        let Self { relay, fault, code, cause } = self;
        Attempt { relay: relay.into_owned(), fault, code, cause: cause.map(Cause::into_owned) }
    }
}

impl Cause<'_> {
    /// The same, its text copied.
    pub fn into_owned(self) -> Cause<'static> {
        Cause { kind: self.kind, reason: owned(self.reason) }
    }
}

impl Stuck<'_> {
    /// The same, its text copied.
    pub fn into_owned(self) -> Stuck<'static> {
        let Self { attempt, address, queue_id, recipients } = self;
        Stuck {
            attempt: attempt.into_owned(),
            address,
            queue_id: owned(queue_id),
            recipients: recipients.into_owned(),
        }
    }
}

impl Success<'_> {
    /// The same, its text copied.
    pub fn into_owned(self) -> Success<'static> {
        let Self { relay, version, verify } = self;
        Success { relay: relay.into_owned(), version: owned(version), verify: owned(verify) }
    }
}

impl Served<'_> {
    /// The same, its text copied.
    pub fn into_owned(self) -> Served<'static> {
        Served { relay: self.relay.into_owned(), address: self.address }
    }
}

impl Recipients<'_> {
    /// The same, free of the text it was read from.
    pub fn into_owned(self) -> Recipients<'static> {
        Recipients { list: self.list.into_iter().map(owned).collect(), more: self.more }
    }
}

impl Waiting<'_> {
    /// The same, its text copied.
    pub fn into_owned(self) -> Waiting<'static> {
        let Self { relay, queue_id, recipients } = self;
        Waiting {
            relay: relay.into_owned(),
            queue_id: owned(queue_id),
            recipients: recipients.into_owned(),
        }
    }
}

impl TryTls<'_> {
    /// The same, its text copied.
    pub fn into_owned(self) -> TryTls<'static> {
        TryTls { relay: self.relay.into_owned(), address: self.address }
    }
}

impl Freed<'_> {
    /// The same, its text copied.
    pub fn into_owned(self) -> Freed<'static> {
        let Self { relay, queue_id, end } = self;
        Freed { relay: relay.into_owned(), queue_id: owned(queue_id), end }
    }
}

impl Client<'_> {
    /// The same, its text copied.
    pub fn into_owned(self) -> Client<'static> {
        let Self { name, address, may_be_forged } = self;
        Client { name: name.map(owned), address, may_be_forged }
    }
}

impl Reply<'_> {
    /// The same, its text copied.
    pub fn into_owned(self) -> Reply<'static> {
        let Self { relay, address, by, counts, recipients } = self;
        let (relay, recipients) = (relay.into_owned(), recipients.into_owned());
        Reply { relay, address, by: owned(by), counts, recipients }
    }
}
