//! The DNS servers, asked one after the other.
//!
//! hickory's `NameServerPool` does the protocol with each server: random ids and ports, repeats over UDP, TCP after a
//! truncated answer, no answer taken that does not repeat the question. What is above it in hickory (`Resolver` and its
//! cache) is not used, because:
//!
//! * it answers for `127.0.0.0/8`, `::1` and `localhost` by itself, and never asks the server about them (0.26.3,
//!   `caching_client`), while sendmail does ask;
//! * it returns an error without asking the next server when one says SERVFAIL or REFUSED;
//! * it keeps records, and we keep facts (see the module `cache`).
//!
//! Each server gets an equal share of the time that is left; the one that answered last is asked first the next time.
//! Search domains and the hosts file play no part: names are absolute, and what is asked is what DNS says.
//!
//! NXDOMAIN and an empty answer are answers. All else is trouble: no answer in time, SERVFAIL, REFUSED, a referral (the
//! server does not resolve for us), an answer about other names only.
//!
//! What DNSSEC has to say is a matter between us and one server (see the module `tlsa`), so for that a single [`Server`]
//! can be asked, with the DO and AD bits set, and what it says of its answer (AD) is handed on. Nothing here believes it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::RuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::time::Instant;

use crate::chain::{Chain, follow};

/// Questions for one look-up, at most: the first, and one for each alias that leads out of an answer.
const MAX_QUESTIONS: usize = 4;

/// Used where nothing says how long a negative answer holds (it has no SOA record), in seconds.
pub(crate) const NEGATIVE_TTL: u32 = 60;

/// Characters of a [`Trouble`], at most.
const MAX_WORDS: usize = 200;

/// How long it is remembered whether a server validates.
const PROBED_FOR: Duration = Duration::from_secs(3600);

/// The servers, in the order of the config.
pub(crate) struct Upstream<P: RuntimeProvider> {
    servers: Vec<Server<P>>,
    /// The one that answered last.
    first: AtomicUsize,
}

/// One of them.
pub(crate) struct Server<P: RuntimeProvider> {
    address: SocketAddr,
    pool: NameServerPool<P>,
    /// Whether it validates, and when that was found out.
    validates: Mutex<Option<(Instant, bool)>>,
}

/// Why something is unknown, in words: printable ASCII, of bounded length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble(pub(crate) Box<str>);

/// The records found, none if there are none, and how long that holds, in seconds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) data: Vec<RData>,
    pub(crate) ttl: u32,
    /// Whether DNSSEC proves them, in the words of the server: AD=1 with every answer on the way. Only if it was asked
    /// to say so ([`Server::look_up`]); of what is not there it never says it.
    pub(crate) secure: bool,
}

impl<P: RuntimeProvider> Upstream<P> {
    /// The servers, over a network; `timeout` bounds a single question.
    pub(crate) fn new(addresses: &[SocketAddr], timeout: Duration, network: &P) -> Self {
        let mut options = ResolverOpts::default();
        options.timeout = timeout;
        options.num_concurrent_reqs = 1;
        // Without the features for encrypted DNS there is nothing in it that could fail.
        let context = TlsConfig::new().map(|tls| Arc::new(PoolContext::new(options, tls)));
        let server = |address: &SocketAddr| {
            let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = address.port());
            let config = NameServerConfig::new(address.ip(), true, connections.to_vec());
            let context = context.as_ref().ok()?;
            let pool = NameServerPool::from_config([config], Arc::clone(context), network.clone());
            Some(Server { address: *address, pool, validates: Mutex::default() })
        };
        Self { servers: addresses.iter().filter_map(server).collect(), first: AtomicUsize::new(0) }
    }

    /// The records of a kind that the name has, through its aliases.
    pub(crate) async fn look_up(
        &self,
        name: &Name,
        kind: RecordType,
        deadline: Instant,
    ) -> Result<Records, Trouble> {
        look_up(&Whom::Each(self), name, kind, deadline).await
    }

    /// All of them, in the order of the config.
    pub(crate) fn all(&self) -> &[Server<P>] {
        &self.servers
    }

    /// The servers, one after the other, until one answers.
    pub(crate) fn turns(&self, deadline: Instant) -> Turns<'_, P> {
        let first = self.first.load(Ordering::Relaxed);
        Turns { upstream: self, first, turn: 0, deadline, troubles: String::new() }
    }

    /// One question, to one server after the other until one answers.
    async fn ask(
        &self,
        name: &Name,
        kind: RecordType,
        deadline: Instant,
    ) -> Result<Reply, Trouble> {
        let mut turns = self.turns(deadline);
        while let Some((server, until)) = turns.next() {
            match server.ask(name, kind, Bits::Plain, until).await {
                Ok(reply) => {
                    turns.answered();
                    return Ok(reply);
                }
                Err(why) => turns.failed(server, &why),
            }
        }
        Err(turns.trouble())
    }
}

/// Who is asked.
enum Whom<'a, P: RuntimeProvider> {
    /// Every server in its turn, for each question anew.
    Each(&'a Upstream<P>),
    /// One server only, with DNSSEC.
    One(&'a Server<P>),
}

/// The bits of a question that are about DNSSEC.
#[derive(Clone, Copy)]
enum Bits {
    /// None.
    Plain,
    /// DO (RFC 3225) and AD (RFC 6840, section 5.7): say what DNSSEC says.
    Dnssec,
}

async fn look_up<P: RuntimeProvider>(
    whom: &Whom<'_, P>,
    name: &Name,
    kind: RecordType,
    deadline: Instant,
) -> Result<Records, Trouble> {
    let mut name = name.clone();
    let mut ttl = u32::MAX;
    let mut secure = true;
    for _ in 0..MAX_QUESTIONS {
        let answer = match whom {
            Whom::Each(upstream) => upstream.ask(&name, kind, deadline).await?,
            Whom::One(server) => server.ask(&name, kind, Bits::Dnssec, deadline).await?,
        };
        secure &= answer.secure;
        match follow(&answer.section, &name, kind) {
            Chain::Found(data, chain) => {
                return Ok(Records { data, ttl: ttl.min(chain), secure });
            }
            Chain::Nothing | Chain::Elsewhere(..) if answer.none => {
                return Ok(Records { data: Vec::new(), ttl: ttl.min(answer.ttl), secure: false });
            }
            Chain::Elsewhere(target, chain) => {
                ttl = ttl.min(chain);
                name = target;
            }
            Chain::Nothing => return Err(Trouble("the answer is about other names".into())),
            Chain::TooLong => return Err(Trouble("too many aliases (CNAME)".into())),
        }
    }
    Err(Trouble("too many aliases (CNAME)".into()))
}

/// The servers in the order in which they are asked: each gets an equal share of the time that is left.
pub(crate) struct Turns<'a, P: RuntimeProvider> {
    upstream: &'a Upstream<P>,
    first: usize,
    turn: usize,
    deadline: Instant,
    troubles: String,
}

impl<'a, P: RuntimeProvider> Turns<'a, P> {
    /// The next server, and until when it may take.
    pub(crate) fn next(&mut self) -> Option<(&'a Server<P>, Instant)> {
        let left = self.upstream.servers.len().checked_sub(self.turn).filter(|left| *left > 0)?;
        let server = self.upstream.servers.get(self.index(self.turn))?;
        let now = Instant::now();
        if now >= self.deadline {
            return None;
        }
        self.turn += 1;
        let share = (self.deadline - now) / u32::try_from(left).unwrap_or(1);
        Some((server, now + share))
    }

    /// The server that was next answered: it is the first to be asked from now on.
    pub(crate) fn answered(&self) {
        let index = self.index(self.turn.saturating_sub(1));
        self.upstream.first.store(index, Ordering::Relaxed);
    }

    /// The server did not.
    pub(crate) fn failed(&mut self, server: &Server<P>, Trouble(why): &Trouble) {
        let gap = if self.troubles.is_empty() { "" } else { "; " };
        self.troubles += &format!("{gap}{}: {why}", server.address);
    }

    /// None of them did.
    pub(crate) fn trouble(self) -> Trouble {
        let why = match (self.troubles.as_str(), self.upstream.servers.len()) {
            ("", 0) => "no DNS server",
            ("", _) => "timed out",
            (troubles, _) => troubles,
        };
        Trouble(why.chars().take(MAX_WORDS).collect::<String>().into())
    }

    fn index(&self, turn: usize) -> usize {
        (self.first + turn) % self.upstream.servers.len().max(1)
    }
}

/// What a server said.
struct Reply {
    section: Vec<Record>,
    /// Whether it says that there is nothing (at the end of the aliases in the section, if there are any).
    none: bool,
    /// How long that holds.
    ttl: u32,
    /// Whether it says that the section is proven (AD).
    secure: bool,
}

impl<P: RuntimeProvider> Server<P> {
    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What carries questions to it: each is repeated, and put by TCP where the answer needs it.
    pub(crate) fn pool(&self) -> NameServerPool<P> {
        self.pool.clone()
    }

    /// The records of a kind that the name has, through its aliases, by this server alone, which is asked to say
    /// whether they are proven.
    pub(crate) async fn look_up(
        &self,
        name: &Name,
        kind: RecordType,
        until: Instant,
    ) -> Result<Records, Trouble> {
        look_up(&Whom::One(self), name, kind, until).await
    }

    /// Whether it validates: whether it says that the root's SOA record, which is signed, is proven. What was found
    /// out holds for an hour.
    pub(crate) async fn validates(&self, until: Instant) -> Result<bool, Trouble> {
        if let Some(known) = self.known_to_validate() {
            return Ok(known);
        }
        let validates = self.look_up(&Name::root(), RecordType::SOA, until).await?.secure;
        *self.validates.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), validates));
        Ok(validates)
    }

    /// The same, if it was found out within the last hour.
    pub(crate) fn known_to_validate(&self) -> Option<bool> {
        let known = *self.validates.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|(at, _)| at.elapsed() < PROBED_FOR).map(|(_, validates)| validates)
    }

    async fn ask(
        &self,
        name: &Name,
        kind: RecordType,
        bits: Bits,
        until: Instant,
    ) -> Result<Reply, Trouble> {
        let reply = self.put(name, kind, bits, until).await;
        reply.map_err(|why| Trouble(printable(&why).into()))
    }

    async fn put(
        &self,
        name: &Name,
        kind: RecordType,
        bits: Bits,
        until: Instant,
    ) -> Result<Reply, String> {
        let query = Query::query(name.clone(), kind);
        let mut options = DnsRequestOptions::default();
        options.edns_set_dnssec_ok = matches!(bits, Bits::Dnssec);
        let mut request = DnsRequest::from_query(query, options);
        request.metadata.authentic_data = matches!(bits, Bits::Dnssec);
        let answer = self.pool.send(request).first_answer();
        let Ok(answer) = tokio::time::timeout_at(until, answer).await else {
            return Err("timed out".to_owned());
        };
        match answer {
            Ok(response) => {
                let ttl = response.negative_ttl().unwrap_or(NEGATIVE_TTL);
                let message: Message = response.into_message();
                let none = message.metadata.response_code == ResponseCode::NXDomain;
                let secure = message.metadata.authentic_data;
                Ok(Reply { section: message.answers, none, ttl, secure })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let empty = none.response_code == ResponseCode::NoError;
                if empty && none.soa.is_none() && none.ns.is_some() {
                    return Err("a referral instead of an answer".to_owned());
                }
                let ttl = none.negative_ttl.unwrap_or(NEGATIVE_TTL);
                Ok(Reply { section: Vec::new(), none: true, ttl, secure: false })
            }
            Err(error) => Err(in_words(&error)),
        }
    }
}

/// Why there is no answer, not yet escaped.
pub(crate) fn in_words(error: &NetError) -> String {
    match error {
        NetError::Timeout => "timed out".to_owned(),
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => "SERVFAIL".to_owned(),
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => "REFUSED".to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => code.to_string(),
        NetError::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

impl<P: RuntimeProvider> fmt::Debug for Upstream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.servers.iter().map(|server| server.address)).finish()
    }
}

/// The name of this text, which has no dot at its end.
pub(crate) fn absolute(name: &str) -> Result<Name, Trouble> {
    let name = Name::from_ascii(format!("{name}."));
    name.map_err(|_| Trouble("it is no name that DNS can hold".into()))
}

/// The text with everything but printable ASCII escaped, at most 200 characters: an error may quote a name.
pub(crate) fn printable(text: &str) -> String {
    text.bytes().flat_map(std::ascii::escape_default).map(char::from).take(MAX_WORDS).collect()
}
