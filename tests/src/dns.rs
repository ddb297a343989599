//! A small DNS server for tests and the demo.
//!
//! It answers like a recursive resolver: it follows aliases within its records, says NXDOMAIN for a name that it does
//! not have and nothing for a kind that a name does not have, both with an SOA record. Beyond that a name can be given
//! a [`Manner`]: to fail, to be silent, to be late, to lie. Every question is written down.
//!
//! UDP and TCP on one port of 127.0.0.1, or another of this host; answers that are too long for UDP are truncated, as they should be. It runs
//! on threads of its own and ends when it is dropped.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS, PTR, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// The TTL of records that are added without one, in seconds.
const TTL: u32 = 300;

/// How the server treats questions about a name.
#[derive(Clone, Debug)]
pub enum Manner {
    /// NXDOMAIN, whatever records there are.
    NxDomain,
    /// SERVFAIL.
    ServFail,
    /// REFUSED.
    Refused,
    /// No answer.
    Silent,
    /// The right answer, later.
    Late(Duration),
    /// A referral to another server, and no answer: what a server says that does not resolve for us.
    Referral,
    /// Exactly these records as the answer section, whatever was asked.
    Lie(Vec<Record>),
    /// The right answer to another question.
    OtherQuestion,
}

/// What the server knows.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    records: Vec<Record>,
    manners: HashMap<Name, Manner>,
    proven: HashSet<Name>,
}

/// The running server.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    zone: Mutex<Zone>,
    asked: Mutex<Vec<String>>,
    /// The requests in it, by id and text: a repeat over UDP has the id of the first.
    seen: Mutex<HashSet<(u16, String)>>,
    stop: AtomicBool,
}

impl Zone {
    /// Nothing at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a PTR record for the address.
    pub fn ptr(self, address: &str, name: &str) -> Self {
        let owner = reverse(address).to_string();
        self.record(&owner, RData::PTR(PTR(absolute(name))))
    }

    /// Adds an A or AAAA record.
    pub fn address(self, name: &str, address: &str) -> Self {
        let data = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => RData::A(address.into()),
            Ok(IpAddr::V6(address)) => RData::AAAA(address.into()),
            Err(error) => panic!("{address}: {error}"),
        };
        self.record(name, data)
    }

    /// Adds a PTR record and the address that confirms it.
    pub fn host(self, address: &str, name: &str) -> Self {
        self.ptr(address, name).address(name, address)
    }

    /// Adds a CNAME record.
    pub fn alias(self, name: &str, target: &str) -> Self {
        self.record(name, RData::CNAME(CNAME(absolute(target))))
    }

    /// Adds a record of any kind, with a TTL of 300 s.
    pub fn record(self, name: &str, data: RData) -> Self {
        self.record_for(TTL, name, data)
    }

    /// Adds a record of any kind.
    pub fn record_for(mut self, ttl: u32, name: &str, data: RData) -> Self {
        self.records.push(Record::from_rdata(absolute(name), ttl, data));
        self
    }

    /// Gives a name a manner.
    pub fn manner(mut self, name: &str, manner: Manner) -> Self {
        self.manners.insert(absolute(name), manner);
        self
    }

    /// Gives an address's PTR name a manner.
    pub fn reverse_manner(mut self, address: &str, manner: Manner) -> Self {
        self.manners.insert(reverse(address), manner);
        self
    }

    /// Says AD=1 of the records of this name, and of what is made up about it, to those who ask for it with DO and AD;
    /// of a chain of aliases only if it says so of each.
    pub fn proven(mut self, name: &str) -> Self {
        self.proven.insert(absolute(name));
        self
    }

    /// The records of a name and kind through its aliases, and whether the name at the end exists.
    fn resolve(&self, name: &Name, kind: RecordType) -> (Vec<Record>, bool) {
        let mut answers = Vec::new();
        let mut current = name.clone();
        for _ in 0..8 {
            let own = || self.records.iter().filter(|record| record.name == current);
            let found = own().filter(|record| record.record_type() == kind);
            let before = answers.len();
            answers.extend(found.cloned());
            if answers.len() > before {
                return (answers, true);
            }
            let alias = own().find_map(|record| match &record.data {
                RData::CNAME(target) => Some((record.clone(), target.0.clone())),
                _ => None,
            });
            let Some((record, target)) = alias else {
                return (answers, own().next().is_some());
            };
            answers.push(record);
            current = target;
        }
        (answers, true)
    }

    /// The response to a request; none for silence. May sleep.
    fn respond(&self, request: &Message) -> Option<Message> {
        let query = request.queries.first()?;
        let mut response = request.clone().into_response();
        response.metadata.recursion_available = true;
        response.answers.clear();
        response.additionals.clear();
        let asks = request.metadata.authentic_data
            && request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        response.metadata.authentic_data = asks && self.proven.contains(query.name());
        let mut fail = |code| {
            response.metadata.response_code = code;
            Some(response.clone())
        };
        match self.manners.get(query.name()) {
            Some(Manner::NxDomain) => return fail(ResponseCode::NXDomain),
            Some(Manner::ServFail) => return fail(ResponseCode::ServFail),
            Some(Manner::Refused) => return fail(ResponseCode::Refused),
            Some(Manner::Silent) => return None,
            Some(Manner::Referral) => {
                let server = RData::NS(NS(absolute("ns.elsewhere.example")));
                response.add_authority(Record::from_rdata(Name::root(), TTL, server));
                return Some(response);
            }
            Some(Manner::Lie(records)) => {
                response.add_answers(records.iter().cloned());
                return Some(response);
            }
            Some(Manner::OtherQuestion) => {
                for query in &mut response.queries {
                    query.set_name(absolute("other.example"));
                }
            }
            Some(Manner::Late(delay)) => thread::sleep(*delay),
            None => {}
        }
        let (answers, exists) = self.resolve(query.name(), query.query_type());
        if answers.is_empty() && query.name().is_root() && query.query_type() == RecordType::SOA {
            // As one that validates: the root is signed.
            response.metadata.authentic_data = asks;
            response.add_answer(soa());
            return Some(response);
        }
        let unproven = answers.iter().any(|record| !self.proven.contains(&record.name));
        response.metadata.authentic_data &= !unproven;
        if !exists {
            response.metadata.response_code = ResponseCode::NXDomain;
        }
        if answers.iter().all(|record| record.record_type() != query.query_type()) {
            response.add_authority(soa());
        }
        response.add_answers(answers);
        Some(response)
    }
}

/// The root's SOA record.
fn soa() -> Record {
    let ns = absolute("ns.example");
    let soa = SOA::new(ns.clone(), ns, 1, 3600, 600, 86_400, TTL);
    Record::from_rdata(Name::root(), TTL, RData::SOA(soa))
}

impl DnsServer {
    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start(zone: Zone) -> io::Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST, zone)
    }

    /// Starts a server on a free port of an address of this host.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start_at(host: Ipv4Addr, zone: Zone) -> io::Result<Self> {
        let (udp, tcp) = bind(host)?;
        let address = udp.local_addr()?;
        let shared = Arc::new(Shared {
            zone: Mutex::new(zone),
            asked: Mutex::default(),
            seen: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let udp = Arc::new(udp);
        let threads = vec![
            thread::spawn({
                let shared = Arc::clone(&shared);
                move || serve_udp(&udp, &shared)
            }),
            thread::spawn({
                let shared = Arc::clone(&shared);
                move || serve_tcp(&tcp, &shared)
            }),
        ];
        Ok(Self { address, shared, threads })
    }

    /// Where it listens, by UDP and by TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every question so far, as `PTR 1.2.0.192.in-addr.arpa`. A question that is asked again is there again; a
    /// request that is only sent again, because its answer was late, is not.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.shared.asked).clone()
    }

    /// Replaces what it knows.
    pub fn set(&self, zone: Zone) {
        *lock(&self.shared.zone) = zone;
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wake both threads: an empty datagram, a connection that says nothing.
        let wake = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        drop(wake.and_then(|socket| socket.send_to(&[], self.address)));
        drop(TcpStream::connect(self.address));
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Shared {
    /// Reads a request, writes it down, and lets the zone answer it.
    fn answer(&self, request: &[u8]) -> Option<Message> {
        let request = Message::from_vec(request).ok()?;
        let query = request.queries.first()?;
        let name = query.name().to_ascii().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let question = format!("{} {name}", query.query_type());
        if lock(&self.seen).insert((request.metadata.id, question.clone())) {
            lock(&self.asked).push(question);
        }
        let zone = lock(&self.zone).clone();
        zone.respond(&request)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// One port for both.
fn bind(host: Ipv4Addr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut error = io::Error::other("no port tried");
    for _ in 0..20 {
        let udp = UdpSocket::bind((host, 0))?;
        match TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(taken) => error = taken,
        }
    }
    Err(error)
}

/// Answers each datagram on a thread of its own: one late answer must not hold up the others.
fn serve_udp(socket: &Arc<UdpSocket>, shared: &Arc<Shared>) {
    let mut buffer = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
        if shared.stopped() {
            return;
        }
        let request = buffer.get(..length).unwrap_or_default().to_vec();
        let (socket, shared) = (Arc::clone(socket), Arc::clone(shared));
        thread::spawn(move || {
            let Some(response) = shared.answer(&request) else { return };
            let limit = usize::from(response.max_payload().max(512));
            let Ok(mut bytes) = response.to_vec() else { return };
            if bytes.len() > limit {
                let Ok(truncated) = response.truncate().to_vec() else { return };
                bytes = truncated;
            }
            drop(socket.send_to(&bytes, peer));
        });
    }
}

/// Answers each connection on a thread of its own, until the client closes it.
fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((mut stream, _)) = listener.accept() {
        if shared.stopped() {
            return;
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || while talk(&mut stream, &shared).is_ok() {});
    }
}

/// One request and its response over TCP.
fn talk(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut request = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut request)?;
    let response = shared.answer(&request).ok_or_else(|| io::Error::other("silence"))?;
    let bytes = response.to_vec().map_err(io::Error::other)?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat())
}

/// The name below `in-addr.arpa` or `ip6.arpa`.
fn reverse(address: &str) -> Name {
    match address.parse::<IpAddr>() {
        Ok(address) => Name::from(address),
        Err(error) => panic!("{address}: {error}"),
    }
}

/// The name, from the root.
fn absolute(name: &str) -> Name {
    let dot = if name.ends_with('.') { "" } else { "." };
    match Name::from_ascii(format!("{name}{dot}")) {
        Ok(name) => name,
        Err(error) => panic!("{name}: {error}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
