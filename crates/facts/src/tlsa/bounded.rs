//! The way to a server while signatures are checked, with an end to it.
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
//! Beyond that every question fails, and what was to be proven is unknown. Only what a proof is made of is handed over:
//! name servers in the authority section and their addresses would be proven too, from zones that are nobody's business.

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
use hickory_resolver::proto::rr::{RData, Record, RecordType};

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
        let records: Vec<&Record> = match answer {
            Ok(response) => response.all_sections().collect(),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                none.authorities.iter().flat_map(|records| records.iter()).collect()
            }
            Err(_) => Vec::new(),
        };
        let signed = |record: &&&Record| record.record_type() == RecordType::RRSIG;
        self.answers += 1;
        self.signatures += records.iter().filter(signed).count();
        within(
            self.answers <= MAX_ANSWERS
                && records.len() <= MAX_RECORDS
                && self.signatures <= MAX_SIGNATURES,
        )
    }
}

fn within(fine: bool) -> Result<(), NetError> {
    if fine { Ok(()) } else { Err("too much work to validate".into()) }
}

/// The answer without what proves nothing.
fn strip(mut answer: Answer, query: &Query) -> Answer {
    let proves = |record: &Record| {
        let kind = match &record.data {
            RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => rrsig.input().type_covered,
            _ => record.record_type(),
        };
        matches!(kind, RecordType::SOA | RecordType::NSEC | RecordType::NSEC3)
    };
    match &mut answer {
        Ok(response) => {
            response.additionals.clear();
            // Where a zone begins is told by its NS records, which hickory seeks in every section.
            if query.query_type() != RecordType::NS {
                response.authorities.retain(proves);
            }
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let authorities = none.authorities.take().unwrap_or_default();
            none.authorities = Some(authorities.iter().filter(|r| proves(r)).cloned().collect());
        }
        Err(_) => {}
    }
    answer
}
