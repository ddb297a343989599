//! Somebody between us and the server, who changes answers. What he must never get: that a relay with proven records
//! has none, or has them unsigned.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use facts::{Dnssec, Resolver, Settings};
use hickory_proto::op::{DnsRequest, DnsRequestOptions, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::lab::Lab;
use crate::{ask, real, settings};

/// How an answer is changed; the server can be asked for more.
type Meddle = fn(&Server, &Query, Message) -> Message;

/// The server behind.
struct Server(SocketAddr);

impl Server {
    /// What it says, with the signatures.
    fn ask(&self, about: &str, kind: RecordType) -> Message {
        let mut options = DnsRequestOptions::default();
        options.edns_set_dnssec_ok = true;
        let request = DnsRequest::from_query(Query::query(name(about), kind), options);
        let response = self.pass(&request.to_vec().expect("request")).expect("response");
        Message::from_vec(&response).expect("response")
    }

    fn pass(&self, request: &[u8]) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        socket.send_to(request, self.0).ok()?;
        let mut buffer = vec![0; 65_535];
        let length = socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }
}

/// Who changes answers; ends when dropped.
struct Meddler {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Meddler {
    fn start(
        server: SocketAddr,
        meddle: impl Fn(&Server, &Query, Message) -> Message + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
        let address = socket.local_addr().expect("address");
        let stop = Arc::new(AtomicBool::new(false));
        let (server, stopped) = (Server(server), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let answer = server.pass(&buffer[..length]).expect("response");
                let answer = Message::from_vec(&answer).expect("response");
                let query = answer.queries.first().expect("question").clone();
                let answer = meddle(&server, &query, answer);
                let answer = answer.to_vec().expect("response");
                drop(socket.send_to(&answer, peer));
            }
        });
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let wake = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        drop(wake.and_then(|socket| socket.send_to(&[], self.address)));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("name")
}

fn signature(record: &Record) -> bool {
    record.record_type() == RecordType::RRSIG
}

/// The message as a denial, with these records as the proof.
fn denial(mut message: Message, code: ResponseCode, proof: Vec<Record>) -> Message {
    message.metadata.response_code = code;
    message.metadata.authentic_data = true;
    message.answers.clear();
    message.authorities = proof;
    message
}

/// The records of the kind, which are of a zone that is not signed.
fn soa_of_unsigned(server: &Server) -> Vec<Record> {
    let mut records = server.ask("nowhere.unsigned.test.", RecordType::A).authorities;
    records.retain(|record| record.record_type() == RecordType::SOA);
    assert_eq!(records.len(), 1);
    records
}

/// The message with the answer to another question, as if it were to this one.
fn replayed(server: &Server, query: &Query, mut message: Message, of: &str) -> Message {
    let other = server.ask(of, query.query_type());
    let rename = |mut record: Record| {
        if record.name == name(of) {
            record.name = query.name().clone();
        }
        record
    };
    message.metadata.response_code = other.metadata.response_code;
    message.answers = other.answers.into_iter().map(rename).collect();
    message.authorities = other.authorities;
    message
}

/// What is said of the relay's records.
const ABOUT_TLSA: &[(&str, Meddle)] = &[
    ("nothing is said", |_, _, message| denial(message, ResponseCode::NoError, vec![])),
    ("there is no such name", |_, _, message| denial(message, ResponseCode::NXDomain, vec![])),
    ("the zone's SOA record only", |server, _, message| {
        let mut proof = server.ask("nowhere.secure.test.", RecordType::TLSA).authorities;
        proof.retain(|record| record.name == name("secure.test."));
        assert!(proof.iter().any(signature));
        denial(message, ResponseCode::NXDomain, proof)
    }),
    // hickory by itself lets this pass: all of the authority section is proven to be unsigned.
    ("the SOA record of an unsigned zone", |server, _, message| {
        denial(message, ResponseCode::NXDomain, soa_of_unsigned(server))
    }),
    ("the same, that there is no such type", |server, _, message| {
        denial(message, ResponseCode::NoError, soa_of_unsigned(server))
    }),
    ("the denial of another name", |server, _, message| {
        let proof = server.ask("_25._tcp.plain.secure.test.", RecordType::TLSA).authorities;
        denial(message, ResponseCode::NXDomain, proof)
    }),
    ("the denial of another type", |server, query, message| {
        let proof = server.ask(&query.name().to_ascii(), RecordType::TXT).authorities;
        denial(message, ResponseCode::NoError, proof)
    }),
    ("the denial of another zone, by opt-out", |server, _, message| {
        let proof = server.ask("secure2.test.", RecordType::DS).authorities;
        denial(message, ResponseCode::NXDomain, proof)
    }),
    ("the denial of the zone above", |server, _, message| {
        let mut proof = server.ask("unsigned.test.", RecordType::DS).authorities;
        proof.retain(|record| record.record_type() != RecordType::SOA);
        denial(message, ResponseCode::NoError, proof)
    }),
    ("other records, not signed", |_, _, mut message| {
        message.answers.retain(|record| !signature(record));
        message
    }),
    ("an alias, not signed", |_, query, mut message| {
        let alias = RData::CNAME(CNAME(name("plain.secure.test.")));
        message.answers = vec![Record::from_rdata(query.name().clone(), 300, alias)];
        message
    }),
    ("an alias of another name", |server, query, message| {
        replayed(server, query, message, "alias.secure.test.")
    }),
    ("a referral", |_, _, message| {
        let ns = RData::NS(NS(name("ns.unsigned.test.")));
        let ns = Record::from_rdata(name("mx.secure.test."), 300, ns);
        denial(message, ResponseCode::NoError, vec![ns])
    }),
    ("an error", |_, _, message| denial(message, ResponseCode::ServFail, vec![])),
    ("an odd error", |_, _, message| denial(message, ResponseCode::NotAuth, vec![])),
];

/// A key of a zone that is not signed, in the place of the one that was asked for.
fn key_of_unsigned(server: &Server, query: &Query, mut message: Message) -> Message {
    if query.query_type() != RecordType::DNSKEY || query.name().num_labels() < 2 {
        return message;
    }
    for record in &mut message.answers {
        record.name = name("unsigned.test.");
    }
    message.answers.retain(|record| !signature(record));
    message.authorities = soa_of_unsigned(server);
    message
}

/// What is said of the keys on the way, besides that the records are not signed.
const ABOUT_KEYS: &[(&str, Meddle)] = &[
    ("nothing", |_, _, message| message),
    ("there is no key", |_, query, message| match query.query_type() {
        RecordType::DS | RecordType::DNSKEY => denial(message, ResponseCode::NoError, vec![]),
        _ => message,
    }),
    ("a zone of its own, with an unsigned one's SOA record", |server, query, mut message| {
        match query.query_type() {
            RecordType::NS => {
                let ns = RData::NS(NS(name("ns.unsigned.test.")));
                message.answers = vec![Record::from_rdata(query.name().clone(), 300, ns)];
                message
            }
            RecordType::DS => denial(message, ResponseCode::NoError, soa_of_unsigned(server)),
            _ => message,
        }
    }),
    ("a zone of its own, not there by opt-out", |server, query, mut message| {
        match query.query_type() {
            RecordType::NS => {
                let ns = RData::NS(NS(name("ns.unsigned.test.")));
                message.answers = vec![Record::from_rdata(query.name().clone(), 300, ns)];
                message
            }
            RecordType::DS if query.name().num_labels() > 1 => {
                let proof = server.ask("unsigned.test.", RecordType::DS).authorities;
                denial(message, ResponseCode::NoError, proof)
            }
            _ => message,
        }
    }),
    ("an error", |_, query, message| match query.query_type() {
        RecordType::DS | RecordType::DNSKEY => denial(message, ResponseCode::ServFail, vec![]),
        _ => message,
    }),
];

/// The answer about the relay by our own validation, over a server whose answers are changed.
async fn meddled(
    lab: &Lab,
    server: SocketAddr,
    relay: &str,
    meddle: impl Fn(&Server, &Query, Message) -> Message + Send + 'static,
) -> String {
    let meddler = Meddler::start(server, meddle);
    let servers = [meddler.address];
    let trust_anchor = Some(lab.anchor());
    let dnssec = Dnssec::Validate;
    let resolver = Resolver::new(Settings { dnssec, trust_anchor, ..settings(&servers) });
    ask(&resolver, relay).await
}

#[tokio::test]
async fn nobody_talks_us_out_of_it() {
    let Some(tools) = real::tools("hostile::nobody_talks_us_out_of_it") else { return };
    let lab = Lab::new(&tools);
    let unbound = lab.unbound(Ipv4Addr::LOCALHOST, false);
    real::ready(&unbound).await;
    let server = unbound.address;
    for relay in ["mx.secure.test", "mx.nsec3.test", "mx.star.secure.test"] {
        let answer = meddled(&lab, server, relay, |_, _, message| message).await;
        assert_eq!(answer, "Secure", "{relay}");
        let relay = relay.to_owned();
        let answer = |what: &str, answer: &str| {
            assert!(answer.starts_with("? "), "{relay} {what}: {answer}");
        };
        for (what, meddle) in ABOUT_TLSA {
            let changed =
                |server: &Server, query: &Query, message: Message| match query.query_type() {
                    RecordType::TLSA => meddle(server, query, message),
                    _ => message,
                };
            answer(what, &meddled(&lab, server, &relay, changed).await);
        }
        for (what, meddle) in ABOUT_KEYS {
            let changed =
                |server: &Server, query: &Query, mut message: Message| match query.query_type() {
                    RecordType::TLSA => {
                        message.answers.retain(|record| !signature(record));
                        message
                    }
                    _ => meddle(server, query, message),
                };
            answer(what, &meddled(&lab, server, &relay, changed).await);
        }
    }
}

/// hickory by itself takes the keys of any zone for those that it asked for, if they prove nothing.
#[tokio::test]
async fn keys_of_another_zone() {
    let Some(tools) = real::tools("hostile::keys_of_another_zone") else { return };
    let lab = Lab::new(&tools);
    let unbound = lab.unbound(Ipv4Addr::LOCALHOST, false);
    real::ready(&unbound).await;
    for relay in ["mx.secure.test", "plain.secure.test", "mx.nsec3.test", "plain.nsec3.test"] {
        let answer = meddled(&lab, unbound.address, relay, key_of_unsigned).await;
        assert!(answer.starts_with("? "), "{relay}: {answer}");
    }
}

/// A wildcard's alias is one of any name below it, by its signature; only a denial tells that this name has its own.
#[tokio::test]
async fn a_wildcard_that_does_not_apply() {
    let Some(tools) = real::tools("hostile::a_wildcard_that_does_not_apply") else { return };
    let lab = Lab::new(&tools);
    let unbound = lab.unbound(Ipv4Addr::LOCALHOST, false);
    real::ready(&unbound).await;
    for with_unsigned in [false, true] {
        let changed = move |server: &Server, query: &Query, message: Message| {
            if query.query_type() != RecordType::TLSA
                || !name("star.secure.test.").zone_of(query.name())
            {
                return message;
            }
            let mut message = replayed(server, query, message, "_25._tcp.other.star.secure.test.");
            assert!(
                message
                    .answers
                    .iter()
                    .any(|r| r.record_type() == RecordType::CNAME && r.name == *query.name())
            );
            // hickory by itself lets the second pass: all of the authority section is proven to be unsigned.
            message.authorities = if with_unsigned { soa_of_unsigned(server) } else { vec![] };
            message
        };
        let answer = meddled(&lab, unbound.address, "mx.star.secure.test", changed).await;
        assert!(answer.starts_with("? "), "{answer}");
    }
}
