//! Any bytes as the answers of a DNS server: whatever it says, no hostile name becomes a key, and without the signature
//! of the root nothing is proven of TLSA records, neither that they are there nor that they are not.
//!
//! The whole resolver runs, over a network in memory and a clock that jumps. A case is a row of answers, each with its
//! length (two bytes) before it: the flags, how many records each of the three sections has, and the records. The id and
//! the question before them are those of the query, for an answer without them is not even looked at. When no answer is
//! left the server is silent.

#![no_main]

use std::collections::VecDeque;
use std::future::{Future, ready};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use access::block::{edit, parse};
use access::key::Key;
use access::lookup::would_match;
use access::managed::Managed;
use facts::{Dnssec, Resolver, Settings};
use hickory_resolver::net::runtime::{
    DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime,
};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use maillog::relay::{Relay, is_plain_name};
use policy::choice::{Located, keys};
use policy::fact::{Answer, Fact, Ptr, Question};
use policy::rules::KeyMode;

const RELAY: &str = "mx.one.test";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fuzz_target!(|data: &[u8]| {
    let address = IpAddr::V4(ADDRESS);
    let fact = ask(data, Question::Ptr(address));
    let Fact::Ptr(about, answer) = fact else { panic!("another fact: {fact:?}") };
    assert_eq!(about, address);
    believe(&answer, data);
    for mode in [KeyMode::Auto, KeyMode::Name, KeyMode::Ptr, KeyMode::Ip] {
        for relay in [RELAY, "[mx.one.test]", "a=b.test"] {
            write(mode, relay, &answer);
        }
    }
    let Fact::Tlsa(_, Answer::Unknown(why)) = ask(data, Question::Tlsa(RELAY.into())) else {
        panic!("proven by nothing");
    };
    assert!(why.len() <= 600 && why.bytes().all(|b| (b' '..=b'~').contains(&b)), "{why:?}");
});

/// The names are plain ones, and confirmed only by an answer that holds the address.
fn believe(answer: &Answer<Ptr>, data: &[u8]) {
    match answer {
        Answer::Known(ptr) => {
            assert!(ptr.names.len() <= 8 && ptr.names.is_sorted_by(|a, b| a.name < b.name));
            for name in &ptr.names {
                let lower = !name.name.bytes().any(|b| b.is_ascii_uppercase());
                assert!(lower && is_plain_name(&name.name), "{name:?}");
                let said = data.windows(4).any(|bytes| bytes == ADDRESS.octets());
                assert!(said || !name.confirmed, "{name:?}");
            }
        }
        Answer::Unknown(why) => {
            assert!(!why.is_empty() && why.len() <= 600, "{why}");
            assert!(why.bytes().all(|b| (b' '..=b'~').contains(&b)), "{why:?}");
        }
        Answer::NotAsked => panic!("it was asked"),
    }
}

/// A key is the relay's own name or its address, never a name that only the DNS server said; and its line is one entry.
fn write(mode: KeyMode, relay: &str, answer: &Answer<Ptr>) {
    let relay = Relay::parse(relay.as_bytes()).expect("a relay");
    let located = [Located { address: ADDRESS.into(), ptr: answer.clone() }];
    let Ok(keys) = keys(mode, &relay, &located, |_| false) else { return };
    for key in keys {
        let own = key.to_string() == relay.as_str() || key == Key::Address(ADDRESS.into());
        assert!(own && key.is_valid(), "{key:?}");
        assert!(would_match(&key, relay.as_str(), Some(ADDRESS.into())), "{key:?}");
        let why = match answer {
            Answer::Unknown(why) => why.to_string(),
            other => format!("{other:?}"),
        };
        let entry = Managed {
            remedy: access::remedy::Remedy::TryTls,
            key: key.clone(),
            relay: relay.as_str().into(),
            why,
            since: "2026-11-23T10:50:38Z".parse().expect("a time"),
            until: None,
        };
        let block = parse(&edit(b"", &[entry]));
        let [read] = block.managed.as_slice() else { panic!("{block:?}") };
        assert!(read.key == key && block.oddities.is_empty(), "{block:?}");
    }
}

fn ask(data: &[u8], question: Question) -> Fact {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let network = Network { left: Arc::new(Mutex::new(answers(data))), ..Network::default() };
    let settings = Settings {
        servers: vec![SocketAddr::from(([127, 0, 0, 1], 53))],
        timeout: Duration::from_secs(3),
        dnssec: Dnssec::Validate,
        ..Settings::default()
    };
    runtime.block_on(async {
        Resolver::over(network, settings).ask(question, Timestamp::UNIX_EPOCH).await
    })
}

/// The answers that a case holds; the last may be cut.
fn answers(mut data: &[u8]) -> VecDeque<Vec<u8>> {
    let mut answers = VecDeque::new();
    while let Some((length, rest)) = data.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (answer, rest) = rest.split_at(length);
        answers.push_back(answer.to_vec());
        data = rest;
    }
    answers
}

/// A network with one server on it, which has only so many answers.
#[derive(Clone, Default)]
struct Network {
    left: Arc<Mutex<VecDeque<Vec<u8>>>>,
    handle: TokioHandle,
}

/// A socket: what it was sent is answered at once.
struct Socket {
    network: Network,
    arrived: Mutex<VecDeque<(Vec<u8>, SocketAddr)>>,
}

impl RuntimeProvider for Network {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = Socket;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> TokioHandle {
        self.handle.clone()
    }

    /// The server does not do TCP.
    fn connect_tcp(
        &self,
        _: SocketAddr,
        _: Option<SocketAddr>,
        _: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Tcp>>>> {
        Box::pin(ready(Err(io::ErrorKind::ConnectionRefused.into())))
    }

    fn bind_udp(
        &self,
        _: SocketAddr,
        _: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Socket>>>> {
        let socket = Socket { network: self.clone(), arrived: Mutex::default() };
        Box::pin(ready(Ok(socket)))
    }
}

impl DnsUdpSocket for Socket {
    type Time = TokioTime;

    fn poll_recv_from(
        &self,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        // Without an answer nobody wakes this task but its own time-out.
        let Some((bytes, from)) = self.arrived.lock().expect("lock").pop_front() else {
            return Poll::Pending;
        };
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        Poll::Ready(Ok((length, from)))
    }

    fn poll_send_to(
        &self,
        _: &mut Context<'_>,
        query: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        if let Some(answer) = self.network.left.lock().expect("lock").pop_front() {
            let message = message(query, &answer);
            self.arrived.lock().expect("lock").push_back((message, to));
        }
        Poll::Ready(Ok(query.len()))
    }
}

/// The answer to a query, as it is sent.
fn message(query: &[u8], answer: &[u8]) -> Vec<u8> {
    const HEAD: usize = 12;
    let question = query.get(HEAD..).unwrap_or_default();
    let name = question.iter().position(|&b| b == 0).unwrap_or(question.len());
    let question = question.get(..name + 5).unwrap_or(question);
    let [high, low, answers, authorities, additionals, records @ ..] = answer else {
        return query.to_vec();
    };
    let mut message = query.get(..2).unwrap_or_default().to_vec();
    message.extend([high | 0x80, *low, 0, 1, 0, *answers, 0, *authorities, 0, *additionals]);
    message.extend(question);
    message.extend(records);
    message
}
