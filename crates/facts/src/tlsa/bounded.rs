//! The way to a server while signatures are checked: with an end to it, and with nothing on it but what was asked for.
//!
//! To prove one answer hickory asks for keys, asks for what proves these, and so on up to the root. Whoever owns a zone
//! decides how much there is to ask and to compute (KeyTrap, CVE-2023-50387; the closest-encloser attack on NSEC3,
//! CVE-2023-50868). hickory 0.26.3 bounds it for one set of records: 9 signatures, 2 keys and 2 DS records of one key
//! tag, 500 NSEC3 iterations (above 100 they prove nothing), 26 links of the chain. It bounds neither how many sets
//! there are nor how often the same is asked. So, for all that one [`Bounded`] carries:
//!
//! * at most [`MAX_QUESTIONS`] different questions are put; the answer to one that was put before is that of then;
//! * at most [`MAX_ANSWERS`] answers are handed over, each of at most [`MAX_RECORDS`] records;
//! * with at most [`MAX_SIGNATURES`] signatures, which are about twice as many checks: 0.1 s of a processor.
//!
//! Beyond that every question fails, and what was to be proven is unknown.
//!
//! hickory proves whatever an answer holds, and then believes some of it without a look at whose it is: if all of the
//! authority section is from an unsigned zone it looks no further, and keys of an unsigned zone, given for those of a
//! signed one, make what that one signed unsigned (0.26.3, `verify_response` and `verify_rrsig_with_keys`). Whoever is
//! on the way could unsign the world. So an answer is handed over without the records of others: in the answer section
//! those of the very name that was asked, in the authority section what can deny it: the SOA, NSEC and NSEC3 records of
//! zones that the name is in, and their signatures.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{self, Stream};
use hickory_resolver::NameServerPool;
use hickory_resolver::net::runtime::RuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::op::{DnsRequest, DnsResponse, Query};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// Different questions. A name in the fourth zone below the root takes about 20, an unsigned one 10 more.
const MAX_QUESTIONS: usize = 64;

/// Answers, those to the same question included.
const MAX_ANSWERS: usize = 256;

/// Records in one answer.
const MAX_RECORDS: usize = 256;

/// Signatures in all answers together.
const MAX_SIGNATURES: usize = 512;

type Answer = Result<DnsResponse, NetError>;

/// The server, for all the questions that one fact takes.
#[derive(Clone)]
pub(super) struct Bounded<P: RuntimeProvider> {
    pool: NameServerPool<P>,
    spent: Arc<Mutex<Spent>>,
}

/// What was used up, and what was learnt for it.
#[derive(Default)]
struct Spent {
    questions: usize,
    answers: usize,
    signatures: usize,
    known: HashMap<Query, Answer>,
}

impl<P: RuntimeProvider> Bounded<P> {
    pub(super) fn new(pool: NameServerPool<P>) -> Self {
        Self { pool, spent: Arc::default() }
    }

    async fn ask(self, request: DnsRequest) -> Answer {
        let Some(query) = request.queries.first().cloned() else {
            return Err("no question".into());
        };
        let known = self.spent().known.get(&query).cloned();
        let answer = match known {
            Some(answer) => answer,
            None => {
                self.spent().put()?;
                let answer = strip(self.pool.send(request).first_answer().await, &query);
                self.spent().known.insert(query, answer.clone());
                answer
            }
        };
        self.spent().take(&answer)?;
        answer
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: RuntimeProvider> DnsHandle for Bounded<P> {
    type Response = Pin<Box<dyn Stream<Item = Answer> + Send>>;
    type Runtime = P;

    fn send(&self, request: DnsRequest) -> Self::Response {
        Box::pin(stream::once(self.clone().ask(request)))
    }
}

impl Spent {
    /// Counts a question.
    fn put(&mut self) -> Result<(), NetError> {
        self.questions += 1;
        within(self.questions <= MAX_QUESTIONS)
    }

    /// Counts an answer.
    fn take(&mut self, answer: &Answer) -> Result<(), NetError> {
        let signed = |record: &&Record| record.record_type() == RecordType::RRSIG;
        self.answers += 1;
        self.signatures += records(answer).filter(signed).count();
        within(self.answers <= MAX_ANSWERS && self.signatures <= MAX_SIGNATURES)
    }
}

/// The records of an answer.
fn records(answer: &Answer) -> impl Iterator<Item = &Record> {
    let (message, none) = match answer {
        Ok(response) => (Some(response), None),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => (None, none.authorities.as_ref()),
        Err(_) => (None, None),
    };
    let sections = message.into_iter().flat_map(|message| message.all_sections());
    sections.chain(none.into_iter().flat_map(|records| records.iter()))
}

fn within(fine: bool) -> Result<(), NetError> {
    if fine { Ok(()) } else { Err("too much work to validate".into()) }
}

/// The answer without the records of others. One with more than [`MAX_RECORDS`] is none.
fn strip(mut answer: Answer, query: &Query) -> Answer {
    within(records(&answer).take(MAX_RECORDS + 1).count() <= MAX_RECORDS)?;
    match &mut answer {
        Ok(response) => {
            response.additionals.clear();
            response.answers.retain(|record| record.name == query.name);
            response.authorities = denial(&response.authorities, query);
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let authorities = none.authorities.take().unwrap_or_default();
            none.authorities = Some(denial(&authorities, query).into());
            if none.soa.as_ref().is_some_and(|soa| !soa.name.zone_of(&query.name)) {
                none.soa = None;
            }
        }
        Err(_) => {}
    }
    answer
}

/// What of an authority section can deny what was asked.
fn denial(section: &[Record], query: &Query) -> Vec<Record> {
    let signature = |record: &Record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => {
            let input = rrsig.input();
            Some((input.type_covered, input.signer_name.zone_of(&query.name)))
        }
        _ => None,
    };
    // Where a record of the kind, of that name, is signed by a zone that the name asked for is in.
    let signed = |name: &Name, kind: RecordType| {
        let own = section.iter().filter(|record| record.name == *name);
        own.filter_map(signature).any(|of| of == (kind, true))
    };
    let denies = |record: &&Record| match record.record_type() {
        RecordType::SOA => record.name.zone_of(&query.name),
        kind @ (RecordType::NSEC | RecordType::NSEC3) => signed(&record.name, kind),
        _ => match signature(record) {
            Some((RecordType::SOA | RecordType::NSEC | RecordType::NSEC3, above)) => above,
            _ => false,
        },
    };
    section.iter().filter(denies).cloned().collect()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::dnssec::Algorithm;
    use hickory_resolver::proto::dnssec::rdata::sig::SigInput;
    use hickory_resolver::proto::dnssec::rdata::{NSEC, RRSIG};
    use hickory_resolver::proto::op::Message;
    use hickory_resolver::proto::rr::SerialNumber;
    use hickory_resolver::proto::rr::rdata::{NULL, SOA};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("name")
    }

    fn record(owner: &str, data: RData) -> Record {
        Record::from_rdata(name(owner), 300, data)
    }

    fn signature(owner: &str, type_covered: RecordType, signer: &str) -> Record {
        let input = SigInput {
            type_covered,
            algorithm: Algorithm::ECDSAP256SHA256,
            num_labels: 2,
            original_ttl: 300,
            sig_expiration: SerialNumber::new(2),
            sig_inception: SerialNumber::new(1),
            key_tag: 1,
            signer_name: name(signer),
        };
        record(owner, RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![1]))))
    }

    fn response(answers: Vec<Record>, authorities: Vec<Record>) -> Answer {
        let mut message = Message::query().into_response();
        message.answers = answers;
        message.authorities = authorities;
        Ok(DnsResponse::from_message(message).expect("response"))
    }

    /// What is left of the answer to the question for the TLSA records of `a.b.test`.
    fn left(answers: Vec<Record>, authorities: Vec<Record>) -> Option<String> {
        let query = Query::query(name("a.b.test."), RecordType::TLSA);
        let answer = strip(response(answers, authorities), &query).ok()?;
        let records = answer.all_sections().map(|r| format!("{} {}", r.name, r.record_type()));
        Some(records.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn only_what_was_asked_for() {
        let any = || RData::NULL(NULL::with(vec![1]));
        let soa = || RData::SOA(SOA::new(name("ns."), name("ns."), 1, 1, 1, 1, 1));
        let nsec = || RData::DNSSEC(DNSSECRData::NSEC(NSEC::new(name("z.test."), [])));
        let check = |answers, authorities, expect: &str| {
            assert_eq!(left(answers, authorities).as_deref(), Some(expect));
        };
        check(vec![record("A.b.test.", any()), record("b.test.", any())], vec![], "A.b.test. NULL");
        let tlsa = RecordType::TLSA;
        let (own, other) = (signature("a.b.test.", tlsa, "b.test."), signature("c.", tlsa, "c."));
        check(vec![own, other], vec![], "a.b.test. RRSIG");
        let soas = ["a.b.test.", "b.test.", ".", "c.test.", "x.a.b.test."];
        let soas = soas.iter().map(|owner| record(owner, soa())).collect();
        check(vec![], soas, "a.b.test. SOA, b.test. SOA, . SOA");
        check(vec![], vec![record("b.test.", any())], "");
        // A denial counts only by the signature of a zone that the name is in.
        check(vec![], vec![record("y.b.test.", nsec())], "");
        let denial =
            |signer, kind| vec![record("y.b.test.", nsec()), signature("y.b.test.", kind, signer)];
        check(vec![], denial("b.test.", RecordType::NSEC), "y.b.test. NSEC, y.b.test. RRSIG");
        check(vec![], denial("y.b.test.", RecordType::NSEC), "");
        check(vec![], denial("b.test.", RecordType::NS), "");
        check(vec![], denial("b.test.", RecordType::SOA), "y.b.test. RRSIG");
        let many = |count| vec![record("a.b.test.", any()); count];
        assert!(left(many(MAX_RECORDS), vec![]).is_some());
        assert!(left(many(MAX_RECORDS), many(1)).is_none());
    }

    #[test]
    fn an_end_to_questions() {
        let mut spent = Spent::default();
        let put = std::iter::from_fn(|| spent.put().ok()).take(1000).count();
        assert_eq!(put, MAX_QUESTIONS);
    }

    #[test]
    fn an_end_to_answers() {
        let taken = |answer: Answer| {
            let mut spent = Spent::default();
            std::iter::from_fn(|| spent.take(&answer).ok()).take(1000).count()
        };
        assert_eq!(taken(Err(NetError::Timeout)), MAX_ANSWERS);
        let signatures = vec![signature("a.test.", RecordType::TLSA, "test."); 64];
        assert_eq!(taken(response(signatures, vec![])), MAX_SIGNATURES / 64);
    }
}
