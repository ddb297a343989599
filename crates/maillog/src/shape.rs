//! Which of sendmail's lines a message is, by its beginning.

use std::fmt;

use crate::client::{CLIENT, CLIENT_ERROR};
use crate::delivery::queue_id;
use crate::ruleset::{TLS_SERVER, TRY_TLS};
use crate::server::{SERVER, SERVER_ERROR};

/// The line shapes that tell anything about STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `ruleset=tls_server, …`
    TlsServer,
    /// `ruleset=try_tls, …`
    TryTls,
    /// `STARTTLS=client, error: …`, before 8.13 behind a queue id.
    ClientError,
    /// `STARTTLS=client, relay=…`: a success or a DANE warning.
    ClientNamed,
    /// `STARTTLS=server, error: …`
    ServerError,
    /// `STARTTLS=server, relay=…`
    ServerSuccess,
    /// `QUEUEID: to=…`
    Delivery,
    /// `QUEUEID: from=…`
    From,
    /// Anything else.
    Other,
}

impl Shape {
    /// The shape of a message.
    #[inline]
    pub(crate) fn of(message: &[u8]) -> Self {
        let begins = |text: &str| message.starts_with(text.as_bytes());
        let follows = |text: &str, next: &[u8]| {
            message.strip_prefix(text.as_bytes()).is_some_and(|rest| rest.starts_with(next))
        };
        match message.first() {
            Some(b'S') if follows(CLIENT, b"relay=") => Self::ClientNamed,
            Some(b'S') if begins(CLIENT_ERROR) => Self::ClientError,
            Some(b'S') if follows(SERVER, b"relay=") => Self::ServerSuccess,
            Some(b'S') if begins(SERVER_ERROR) => Self::ServerError,
            Some(b'r') if begins(TLS_SERVER) => Self::TlsServer,
            Some(b'r') if begins(TRY_TLS) => Self::TryTls,
            Some(_) => match queue_id(message) {
                Some((_, rest)) if rest.starts_with(b"to=") => Self::Delivery,
                Some((_, rest)) if rest.starts_with(b"from=") => Self::From,
                Some((_, rest)) if rest.starts_with(CLIENT_ERROR.as_bytes()) => Self::ClientError,
                _ => Self::Other,
            },
            None => Self::Other,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TlsServer => "result of the rule set tls_server",
            Self::TryTls => "result of the rule set try_tls",
            Self::ClientError => "broken handshake with a relay",
            Self::ClientNamed => "handshake with a relay",
            Self::ServerError => "broken handshake of a client with us",
            Self::ServerSuccess => "handshake of a client with us",
            Self::Delivery => "delivery line",
            Self::From => "message from a client",
            Self::Other => "other line",
        })
    }
}
