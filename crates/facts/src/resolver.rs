//! The resolver: takes questions, remembers answers, asks the network for the rest.
//!
//! Questions come in bursts (a log that is read for the first time holds thousands of relays), so at most
//! [`IN_FLIGHT`] of a kind are put to the network at once, the same question only once, and what was learnt is kept for
//! a while. Each kind has turns of its own, so that name servers and web servers that are slow on purpose hold up
//! nothing but each other.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::net::runtime::{RuntimeProvider, TokioRuntimeProvider};
use jiff::Timestamp;
use policy::fact::{Answer, Fact, Question, Sts};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use crate::addresses;
use crate::cache::Cache;
use crate::ptr;
use crate::servers::Servers;
use crate::sts::{self, Policies};
use crate::survey::{self, Surveyed};
use crate::tlsa;

/// Questions of a kind that are put to the network at the same time.
const IN_FLIGHT: usize = 8;

/// So much longer may a question about TLSA records take: to validate in process takes 10 to 30 look-ups, one after the
/// other, from the root down.
const TLSA_TIMES: u32 = 5;

/// Who says whether TLSA records are proven by DNSSEC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dnssec {
    /// A trusted resolver that validates, by the AD bit of its answers; where the resolver is not trusted or does not
    /// validate, we do.
    #[default]
    Auto,
    /// Trusted resolvers only; what another says of records is unknown.
    Resolver,
    /// We do, whatever the resolver says.
    Validate,
    /// Nobody: TLSA records are not asked for.
    Off,
}

/// How the network is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The DNS servers; none: those of [`Settings::resolv_conf`].
    pub servers: Vec<SocketAddr>,
    /// The time for one whole question, with all that it takes (the forward confirmation of every PTR name), from
    /// the moment it is its turn; at least 10 ms. Five times as long for TLSA records.
    pub timeout: Duration,
    /// How many answers are remembered, at least 1.
    pub cache_cap: usize,
    /// Where the servers are read from if none are given; read again when it changes.
    pub resolv_conf: PathBuf,
    /// Servers whose AD bit is believed, for the way to them is safe and so are they (RFC 6698, section A.3), beside
    /// those on the loopback interface. systemd-resolved's own (127.0.0.53, 127.0.0.54) must be named here to be
    /// trusted.
    pub trusted: Vec<IpAddr>,
    /// Who says whether TLSA records are proven.
    pub dnssec: Dnssec,
    /// Where validation of our own begins: a file of DNSKEY records in the form of a zone file, as `root.key` of
    /// unbound; DS records are no use. None: the root's keys of 2017 and 2024, built in. Read anew for every question.
    pub trust_anchor: Option<PathBuf>,
    /// The port of MTA-STS policies; other than 443 for tests.
    pub sts_port: u16,
    /// The time in which an MTA-STS policy must be fetched, the address of its host included.
    pub sts_timeout: Duration,
    /// Whether an MTA-STS policy may be fetched from an address that is not of the public Internet: loopback, private,
    /// link-local and the like. Whoever owns a domain chooses the address, so only where no such owner is a stranger.
    pub sts_private: bool,
    /// Further authorities for MTA-STS, PEM, beside those of the system's OpenSSL; read anew for every fetch.
    pub ca_file: Option<PathBuf>,
}

impl Default for Settings {
    /// The servers of `/etc/resolv.conf`, 3 s, 4096 answers, [`Dnssec::Auto`]; policies from public addresses, within
    /// 10 s.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(3),
            cache_cap: 4096,
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            trusted: Vec::new(),
            dnssec: Dnssec::Auto,
            trust_anchor: None,
            sts_port: 443,
            sts_timeout: Duration::from_secs(10),
            sts_private: false,
            ca_file: None,
        }
    }
}

/// Answers questions about relays. Share it by reference or in an `Arc`; dropping an [`Resolver::ask`] half-way does
/// no harm.
pub struct Resolver<P: RuntimeProvider = TokioRuntimeProvider> {
    timeout: Duration,
    turns: Semaphore,
    tlsa_turns: Semaphore,
    sts_turns: Semaphore,
    policies: Policies,
    tlsa: tlsa::Rules,
    servers: Mutex<Servers<P>>,
    memory: Mutex<Memory>,
}

/// What is known, and what is being found out.
#[derive(Debug)]
struct Memory {
    cache: Cache,
    flying: HashMap<Question, Arc<OnceCell<Fact>>>,
}

impl Resolver {
    /// A resolver. Reads no file and opens no socket yet; [`Resolver::ask`] must be called within a tokio runtime with
    /// I/O and time.
    pub fn new(settings: Settings) -> Self {
        Self::over(TokioRuntimeProvider::default(), settings)
    }
}

impl<P: RuntimeProvider> Resolver<P> {
    /// A resolver over another network than the host's: how a fuzzer has its answers believed, or not.
    pub fn over(network: P, settings: Settings) -> Self {
        let timeout = settings.timeout.max(Duration::from_millis(10));
        let policies = Policies::new(&settings);
        let tlsa = tlsa::Rules::new(&settings);
        let Settings { servers, resolv_conf, cache_cap, .. } = settings;
        Self {
            timeout,
            turns: Semaphore::new(IN_FLIGHT),
            tlsa_turns: Semaphore::new(IN_FLIGHT),
            sts_turns: Semaphore::new(IN_FLIGHT),
            policies,
            tlsa,
            servers: Mutex::new(Servers::new(servers, resolv_conf, timeout, network)),
            memory: Mutex::new(Memory { cache: Cache::new(cache_cap), flying: HashMap::new() }),
        }
    }

    /// Hands back the MTA-STS policies that were learnt before a restart, by domain, before anything is asked. At most
    /// 10,000 are kept; those that would expire first leave. Each holds until its `until`.
    pub fn keep_policies(&self, policies: impl IntoIterator<Item = (Box<str>, Sts)>) {
        self.policies.keep(policies);
    }

    /// The answer, from memory or from the network. Never fails: what cannot be found out is [`Answer::Unknown`].
    ///
    /// Takes [`Settings::timeout`] from its turn at most, five times as long for TLSA records, and for an MTA-STS policy
    /// that must be fetched [`Settings::sts_timeout`] more; with many questions at once the turn must be waited for. `now` is the time of
    /// day, by which such a policy begins and ends.
    pub async fn ask(&self, question: Question, now: Timestamp) -> Fact {
        let cell = {
            let mut memory = lock(&self.memory);
            let known = memory.cache.get(&question, Instant::now());
            if let Some(fact) = known.filter(|fact| sts::holds(fact, now)) {
                return fact;
            }
            Arc::clone(memory.flying.entry(question.clone()).or_default())
        };
        let flight = Flight { memory: &self.memory, question: &question, cell };
        flight.cell.get_or_init(|| self.find_out(&question, now)).await.clone()
    }

    /// What can be expected of each server, in the order of the config; see [`Surveyed`]. Nothing is remembered.
    ///
    /// Takes [`Settings::timeout`] for each server at most.
    pub async fn survey(&self) -> Vec<Surveyed> {
        let servers = lock(&self.servers).current(Instant::now());
        survey::survey(&servers, &self.tlsa, self.timeout).await
    }

    /// Asks the network and remembers what it said.
    async fn find_out(&self, question: &Question, now: Timestamp) -> Fact {
        let (turns, timeout) = match question {
            Question::Ptr(_) | Question::Addresses(_) => (&self.turns, self.timeout),
            Question::Tlsa(_) => (&self.tlsa_turns, self.timeout * TLSA_TIMES),
            Question::Sts(_) => (&self.sts_turns, self.timeout),
        };
        let _turn = turns.acquire().await;
        let servers = lock(&self.servers).current(Instant::now());
        let deadline = Instant::now() + timeout;
        let (fact, keep) = match question {
            Question::Ptr(address) => {
                let address = *address;
                let (answer, keep) = ptr::find_out(&servers, address, deadline).await;
                if let Answer::Unknown(why) = &answer {
                    tracing::debug!(%address, why, "PTR unknown");
                }
                (Fact::Ptr(address, answer), keep)
            }
            Question::Addresses(name) => {
                let (answer, keep) = addresses::find_out(&servers, name, deadline).await;
                (Fact::Addresses(name.clone(), answer), keep)
            }
            Question::Tlsa(name) => {
                let (answer, keep) = self.tlsa.find_out(&servers, name, deadline).await;
                if let Answer::Unknown(why) = &answer {
                    tracing::debug!(%name, why, "TLSA unknown");
                }
                (Fact::Tlsa(name.clone(), answer), keep)
            }
            Question::Sts(domain) => {
                let found = self.policies.find_out(&servers, domain, now, deadline).await;
                (Fact::Sts(domain.clone(), found.0), found.1)
            }
        };
        let until = keep.as_duration();
        lock(&self.memory).cache.put(question.clone(), fact.clone(), Instant::now(), until);
        fact
    }
}

/// A question being asked, by one or by several at once. The last to leave takes it out of the table, also if nobody
/// waited for the answer.
struct Flight<'a> {
    memory: &'a Mutex<Memory>,
    question: &'a Question,
    cell: Arc<OnceCell<Fact>>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut memory = lock(self.memory);
        // The table's cell may by now be one of a later flight.
        let own = |cell: &Arc<_>| Arc::ptr_eq(cell, &self.cell);
        let last = self.cell.initialized() || Arc::strong_count(&self.cell) <= 2;
        if last && memory.flying.get(self.question).is_some_and(own) {
            memory.flying.remove(self.question);
        }
    }
}

/// Locks. A panic of another holder left nothing half-done in what these guard.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
