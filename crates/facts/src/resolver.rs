//! The resolver: takes questions, remembers answers, asks the network for the rest.
//!
//! Questions come in bursts (a log that is read for the first time holds thousands of relays), so at most
//! [`IN_FLIGHT`] are put to the network at once, the same question only once, and what was learnt is kept for a while.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::net::runtime::{RuntimeProvider, TokioRuntimeProvider};
use policy::fact::{Answer, Fact, Question};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use crate::cache::{Cache, Keep};
use crate::ptr;
use crate::servers::Servers;

/// Questions that are put to the network at the same time.
const IN_FLIGHT: usize = 8;

/// How the network is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The DNS servers; none: those of [`Settings::resolv_conf`].
    pub servers: Vec<SocketAddr>,
    /// The time for one whole question, with all that it takes (the forward confirmation of every PTR name), from
    /// the moment it is its turn; at least 10 ms.
    pub timeout: Duration,
    /// How many answers are remembered, at least 1.
    pub cache_cap: usize,
    /// Where the servers are read from if none are given; read again when it changes.
    pub resolv_conf: PathBuf,
}

impl Default for Settings {
    /// The servers of `/etc/resolv.conf`, 3 s, 4096 answers.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(3),
            cache_cap: 4096,
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
        }
    }
}

/// Answers questions about relays. Share it by reference or in an `Arc`; dropping an [`Resolver::ask`] half-way does
/// no harm.
pub struct Resolver<P: RuntimeProvider = TokioRuntimeProvider> {
    timeout: Duration,
    turns: Semaphore,
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
        let Settings { servers, resolv_conf, cache_cap, .. } = settings;
        Self {
            timeout,
            turns: Semaphore::new(IN_FLIGHT),
            servers: Mutex::new(Servers::new(servers, resolv_conf, timeout, network)),
            memory: Mutex::new(Memory { cache: Cache::new(cache_cap), flying: HashMap::new() }),
        }
    }

    /// The answer, from memory or from the network. Never fails: what cannot be found out is [`Answer::Unknown`].
    ///
    /// Takes [`Settings::timeout`] from its turn at most; with many questions at once the turn must be waited for.
    pub async fn ask(&self, question: Question) -> Fact {
        let cell = {
            let mut memory = lock(&self.memory);
            if let Some(fact) = memory.cache.get(&question, Instant::now()) {
                return fact;
            }
            Arc::clone(memory.flying.entry(question.clone()).or_default())
        };
        let flight = Flight { memory: &self.memory, question: &question, cell };
        flight.cell.get_or_init(|| self.find_out(&question)).await.clone()
    }

    /// Asks the network and remembers what it said.
    async fn find_out(&self, question: &Question) -> Fact {
        let _turn = self.turns.acquire().await;
        let servers = lock(&self.servers).current(Instant::now());
        let deadline = Instant::now() + self.timeout;
        let (fact, keep) = match question {
            Question::Ptr(address) => {
                let address = *address;
                let (answer, keep) = ptr::find_out(&servers, address, deadline).await;
                if let Answer::Unknown(why) = &answer {
                    tracing::debug!(%address, why, "PTR unknown");
                }
                (Fact::Ptr(address, answer), keep)
            }
            Question::Tlsa(name) => (Fact::Tlsa(name.clone(), Answer::NotAsked), Keep::Unknown),
            Question::Sts(domain) => (Fact::Sts(domain.clone(), Answer::NotAsked), Keep::Unknown),
        };
        let now = Instant::now();
        lock(&self.memory).cache.put(question.clone(), fact.clone(), now, keep.as_duration());
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
