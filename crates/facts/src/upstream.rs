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

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::RuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::time::Instant;

use crate::chain::{Chain, follow};

/// Questions for one look-up, at most: the first, and one for each alias that leads out of an answer.
const MAX_QUESTIONS: usize = 4;

/// Used where a negative answer has no SOA record, in seconds.
const NEGATIVE_TTL: u32 = 60;

/// The servers, in the order of the config.
pub(crate) struct Upstream<P: RuntimeProvider> {
    servers: Vec<Server<P>>,
    /// The one that answered last.
    first: AtomicUsize,
}

struct Server<P: RuntimeProvider> {
    address: SocketAddr,
    pool: NameServerPool<P>,
}

/// Why something is unknown, in words: printable ASCII, of bounded length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble(pub(crate) Box<str>);

/// The records found, none if there are none, and how long that holds, in seconds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) data: Vec<RData>,
    pub(crate) ttl: u32,
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
            Some(Server { address: *address, pool })
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
        let mut name = name.clone();
        let mut ttl = u32::MAX;
        for _ in 0..MAX_QUESTIONS {
            let answer = self.ask(&name, kind, deadline).await?;
            match follow(&answer.section, &name, kind) {
                Chain::Found(data, chain) => return Ok(Records { data, ttl: ttl.min(chain) }),
                Chain::Nothing | Chain::Elsewhere(..) if answer.none => {
                    return Ok(Records { data: Vec::new(), ttl: ttl.min(answer.ttl) });
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

    /// One question, to one server after the other until one answers.
    async fn ask(
        &self,
        name: &Name,
        kind: RecordType,
        deadline: Instant,
    ) -> Result<Reply, Trouble> {
        let count = self.servers.len();
        let first = self.first.load(Ordering::Relaxed);
        let mut troubles = String::new();
        for turn in 0..count {
            let index = (first + turn) % count;
            let Some(server) = self.servers.get(index) else { break };
            let now = Instant::now();
            if now >= deadline {
                break;
            }
            let share = (deadline - now) / u32::try_from(count - turn).unwrap_or(1);
            match server.ask(name, kind, now + share).await {
                Ok(reply) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(why) => {
                    let gap = if troubles.is_empty() { "" } else { "; " };
                    troubles += &format!("{gap}{}: {why}", server.address);
                }
            }
        }
        if troubles.is_empty() {
            troubles = if count == 0 { "no DNS server" } else { "timed out" }.to_owned();
        }
        Err(Trouble(printable(&troubles).into()))
    }
}

/// What a server said.
struct Reply {
    section: Vec<hickory_resolver::proto::rr::Record>,
    /// Whether it says that there is nothing (at the end of the aliases in the section, if there are any).
    none: bool,
    /// How long that holds.
    ttl: u32,
}

impl<P: RuntimeProvider> Server<P> {
    async fn ask(&self, name: &Name, kind: RecordType, until: Instant) -> Result<Reply, String> {
        let query = Query::query(name.clone(), kind);
        let answer = self.pool.lookup(query, DnsRequestOptions::default()).first_answer();
        let Ok(answer) = tokio::time::timeout_at(until, answer).await else {
            return Err("timed out".to_owned());
        };
        match answer {
            Ok(response) => {
                let ttl = response.negative_ttl().unwrap_or(NEGATIVE_TTL);
                let message: Message = response.into_message();
                let none = message.metadata.response_code == ResponseCode::NXDomain;
                Ok(Reply { section: message.answers, none, ttl })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let empty = none.response_code == ResponseCode::NoError;
                if empty && none.soa.is_none() && none.ns.is_some() {
                    return Err("a referral instead of an answer".to_owned());
                }
                let ttl = none.negative_ttl.unwrap_or(NEGATIVE_TTL);
                Ok(Reply { section: Vec::new(), none: true, ttl })
            }
            Err(NetError::Timeout) => Err("timed out".to_owned()),
            Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(match code {
                ResponseCode::ServFail => "SERVFAIL".to_owned(),
                ResponseCode::Refused => "REFUSED".to_owned(),
                other => other.to_string(),
            }),
            Err(NetError::Io(error)) => Err(error.to_string()),
            Err(other) => Err(other.to_string()),
        }
    }
}

impl<P: RuntimeProvider> fmt::Debug for Upstream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.servers.iter().map(|server| server.address)).finish()
    }
}

/// The text with everything but printable ASCII escaped, at most 200 characters: an error may quote a name.
pub(crate) fn printable(text: &str) -> String {
    text.bytes().flat_map(std::ascii::escape_default).map(char::from).take(200).collect()
}
