//! What the log says, line shapes taken away: the closed set of events that the rest of the house knows.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::relay::Relay;
use crate::reply::Reply;
use crate::stamp::Stamp;

/// One thing that the log says.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// When the line that ended it was written.
    pub stamp: Stamp,
    /// The host that wrote the line, as in the syslog prefix.
    pub host: Cow<'a, str>,
    /// The process that wrote the line.
    pub pid: u32,
    /// The line itself, without its end. An event that outlives its block has none: few want it.
    pub line: &'a [u8],
    /// What it says.
    pub what: What<'a>,
}

/// The kinds of event.
#[derive(Clone, Debug, PartialEq)]
pub enum What<'a> {
    /// A `ruleset=tls_server` line: STARTTLS with the relay broke. Whether mail is stuck for it is not known yet.
    Attempt(Attempt<'a>),
    /// The delivery line after an attempt was Deferred: mail is stuck. One for each attempt of the process since its
    /// last delivery line. Boxed, being rare and by far the largest: an event is moved as a whole, and a tenth of a log's
    /// lines are successes (measured: 18 ns less for each).
    Stuck(Box<Stuck<'a>>),
    /// The delivery line after an attempt was Sent: another MX took the mail, or `TLSFallbacktoClear` did.
    Sent(Attempt<'a>),
    /// The delivery line after an attempt was neither (a bounce, `Service unavailable`), or cannot be read.
    Failed(Attempt<'a>),
    /// `STARTTLS=client, relay=…, version=…`: a TLS handshake with the relay succeeded.
    Success(Success<'a>),
    /// The delivery line after a success names where it was.
    Served(Served<'a>),
    /// A bare `stat=Deferred`: a message waits for a relay that this process has already failed with. Said of the line
    /// alone: where it also ends an attempt, it comes after the `Stuck`.
    Waiting(Waiting<'a>),
    /// `ruleset=try_tls`: an entry of the access map turned TLS off for this relay.
    TryTls(TryTls<'a>),
    /// The delivery line after an entry was used: what became of the mail.
    Freed(Freed<'a>),
    /// `STARTTLS=client, relay=…, warning=DANE configured in DNS but …`.
    DaneWarning(Relay<'a>),
    /// A relay said in its own words that its STARTTLS is broken. Said of the line alone: where it also ends an attempt, it
    /// comes after the `Stuck`.
    Reply(Box<Reply<'a>>),
    /// `STARTTLS=server, error: accept failed`: a client's handshake with us broke, and why.
    ClientFailed(Client<'a>, Cause<'a>),
    /// `STARTTLS=server, relay=…, version=…`: a client's handshake with us succeeded.
    ClientSucceeded(Client<'a>),
    /// `QUEUEID: from=…, nrcpts=…, relay=…`: a client handed a message over, in clear or not.
    ClientDelivered(Client<'a>),
}

impl What<'_> {
    /// The relay against which it speaks.
    pub fn against(&self) -> Option<&str> {
        match self {
            Self::Attempt(attempt) | Self::Failed(attempt) => Some(attempt.relay.as_str()),
            Self::Stuck(stuck) => Some(stuck.attempt.relay.as_str()),
            Self::Reply(reply) => Some(reply.relay.as_str()),
            _ => None,
        }
    }
}

/// `arg1` of the `ruleset=tls_server` line: what sendmail thinks broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The handshake broke after the server's 220.
    Software,
    /// The server answered STARTTLS with something that is no reply to it.
    Protocol,
    /// Our own host could not start TLS.
    Config,
}

/// One broken STARTTLS with a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// The relay, verbatim as in the ruleset line.
    pub relay: Relay<'a>,
    /// What broke.
    pub fault: Fault,
    /// The SMTP reply code of `reject=`: 403, 454, 503, 554. A 5xx comes from a requirement of the admin's.
    pub code: u16,
    /// What the `STARTTLS=client, error:` line just before it of the same process said.
    pub cause: Option<Cause<'a>>,
}

impl Attempt<'_> {
    /// Whether it counts towards an entry: `arg1=SOFTWARE` with a 4xx code.
    pub fn counts(&self) -> bool {
        self.fault == Fault::Software && (400..500).contains(&self.code)
    }
}

/// Why a handshake broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause<'a> {
    /// Its kind.
    pub kind: CauseKind,
    /// `reason=` of the line (OpenSSL's words), at most 100 bytes; empty for sendmail before 8.14.6, which writes none.
    pub reason: Cow<'a, str>,
}

/// The kind of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CauseKind {
    /// TLS itself: an alert, a version, a cipher, garbage.
    Handshake,
    /// A reset, a close or a timeout: `SSL_error=5`, `SSL_error=2, retry=0`, or OpenSSL 3's `unexpected eof while
    /// reading`. Weak evidence: the network does that too.
    Network,
}

/// Mail that is stuck because of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck<'a> {
    /// The attempt.
    pub attempt: Attempt<'a>,
    /// The relay's address, if the Deferred line is of this relay and names one. Of several attempts with such a name only
    /// the last has it.
    pub address: Option<IpAddr>,
    /// The message.
    pub queue_id: Cow<'a, str>,
    /// Its recipients.
    pub recipients: Recipients<'a>,
}

/// The recipients that a delivery line names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients<'a> {
    /// Without angle brackets; at most 64, foreign text.
    pub list: Vec<Cow<'a, str>>,
    /// Whether there are more than the list has.
    pub more: bool,
}

/// A handshake that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success<'a> {
    /// The relay, its trailing dot cut. sendmail cuts the line's name after 100 bytes, so a longer one is not whole.
    pub relay: Relay<'a>,
    /// `version=`, for instance `TLSv1.3`.
    pub version: Cow<'a, str>,
    /// `verify=`, for instance `OK` or `FAIL`.
    pub verify: Cow<'a, str>,
}

/// Where TLS with a relay worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served<'a> {
    /// The relay of the success line.
    pub relay: Relay<'a>,
    /// Where sendmail was connected to.
    pub address: IpAddr,
}

/// A message that waits without an attempt of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<'a> {
    /// The relay, its trailing dot cut. May be cut in the middle: see [`crate::relay`].
    pub relay: Relay<'a>,
    /// The message.
    pub queue_id: Cow<'a, str>,
    /// Its recipients.
    pub recipients: Recipients<'a>,
}

/// An entry that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TryTls<'a> {
    /// The relay, verbatim.
    pub relay: Relay<'a>,
    /// The address sendmail had connected to, where the line shows it.
    pub address: Option<IpAddr>,
}

/// What became of mail for which an entry was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freed<'a> {
    /// The relay of the line that says so.
    pub relay: Relay<'a>,
    /// The message.
    pub queue_id: Cow<'a, str>,
    /// How its delivery ended.
    pub end: End,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `stat=Sent`.
    Sent,
    /// `stat=Deferred`: for another cause than TLS.
    Deferred,
    /// A bounce, and all else.
    Failed,
}

/// A client of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client<'a> {
    /// The name of its PTR record, if sendmail had one. Foreign text.
    pub name: Option<Cow<'a, str>>,
    /// Its address.
    pub address: IpAddr,
    /// Whether sendmail marked the name `(may be forged)`: its forward look-up does not give the address back.
    pub may_be_forged: bool,
}
