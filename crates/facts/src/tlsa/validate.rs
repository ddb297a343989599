//! Validation of our own, by hickory's `DnssecDnsHandle`: the server is only asked for records and their signatures.
//!
//! What hickory hands over is a message whose records carry each what was proven of it, and an error where a denial is
//! not proven, or a wildcard that nothing proves to apply. What it is handed is only what can be about the name (see the
//! module `bounded`), for it believes too much of the rest. Its message is read with the same care:
//!
//! * Only records of the name that was asked are looked at. An alias is followed by a question of its own, and if the
//!   answer also says that there is nothing at its end, which hickory takes for a denial of the alias, it is asked for
//!   alone.
//! * "There is none" counts if an NSEC or NSEC3 record that is itself proven says so (hickory has then checked that it
//!   says it of this name), or if the SOA record of a zone that the name is in is proven to be unsigned.
//!
//! Everything else is unknown: a bogus signature, one that ran out, an algorithm that hickory does not know within a
//! zone that has others, NSEC3 with too many iterations. A zone signed only by algorithms that are not known is
//! unsigned (RFC 4035, section 5.2).

use std::sync::Arc;

use hickory_resolver::NameServerPool;
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::RuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{self, TrustAnchors};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::time::Instant;

use super::bounded::Bounded;
use super::{Found, Proof};
use crate::upstream::{NEGATIVE_TTL, Trouble, in_words, printable};

/// Questions for one look-up: the first, and one or two for each alias.
const MAX_QUESTIONS: usize = 8;

/// Sets of records of which it is remembered, for the questions of one fact, what was proven.
const REMEMBERED: usize = 256;

/// What an answer lacks.
const UNPROVEN: &str = "bogus: no proof that there is none";

/// One server and the keys of the root, for the questions of one fact.
pub(super) struct Validator<P: RuntimeProvider> {
    handle: DnssecDnsHandle<Bounded<P>>,
}

/// What one answer says about one name.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Records(Vec<RData>, dnssec::Proof, u32),
    Alias(Name, dnssec::Proof, u32),
    /// That it is an alias, and something about the end of it that is not proven in the same breath.
    PerhapsAlias,
    None(u32),
}

impl<P: RuntimeProvider> Validator<P> {
    pub(super) fn new(pool: NameServerPool<P>, anchors: Arc<TrustAnchors>) -> Self {
        let handle = DnssecDnsHandle::with_trust_anchor(Bounded::new(pool), anchors);
        Self { handle: handle.validation_cache_size(REMEMBERED) }
    }

    /// The records of a kind that the name has, through its aliases.
    pub(super) async fn look_up(
        &self,
        name: &Name,
        kind: RecordType,
        until: Instant,
    ) -> Result<Found, Trouble> {
        let (mut name, mut asked) = (name.clone(), kind);
        let (mut proof, mut ttl) = (Proof::Secure, u32::MAX);
        for _ in 0..MAX_QUESTIONS {
            let (target, own, own_ttl) = match self.ask(&name, asked, until).await? {
                Said::Records(data, own, own_ttl) if asked == kind => {
                    let proof = weaker(proof, own)?;
                    return Ok(Found { data, proof, ttl: ttl.min(own_ttl) });
                }
                Said::None(own_ttl) if asked == kind => {
                    let ttl = ttl.min(own_ttl);
                    return Ok(Found { data: Vec::new(), proof, ttl });
                }
                Said::PerhapsAlias if asked == kind => {
                    asked = RecordType::CNAME;
                    continue;
                }
                Said::Records(data, own, own_ttl) => match data.into_iter().next() {
                    Some(RData::CNAME(target)) => (target.0, own, own_ttl),
                    _ => break,
                },
                Said::Alias(target, own, own_ttl) => (target, own, own_ttl),
                Said::None(_) | Said::PerhapsAlias => {
                    return Err(Trouble("it is an alias and is none".into()));
                }
            };
            proof = weaker(proof, own)?;
            (name, asked, ttl) = (target, kind, ttl.min(own_ttl));
        }
        Err(Trouble("too many aliases (CNAME)".into()))
    }

    async fn ask(&self, name: &Name, kind: RecordType, until: Instant) -> Result<Said, Trouble> {
        let query = Query::query(name.clone(), kind);
        let mut options = DnsRequestOptions::default();
        options.edns_set_dnssec_ok = true;
        let answer = self.handle.lookup(query, options).first_answer();
        let Ok(answer) = tokio::time::timeout_at(until, answer).await else {
            return Err(Trouble("timed out".into()));
        };
        read(answer, name, kind).map_err(|why| Trouble(printable(&why).into()))
    }
}

/// What is left of a proof after one more link.
fn weaker(so_far: Proof, link: dnssec::Proof) -> Result<Proof, Trouble> {
    match link {
        dnssec::Proof::Secure => Ok(so_far),
        dnssec::Proof::Insecure => Ok(Proof::Insecure),
        dnssec::Proof::Bogus => Err(Trouble("bogus: a signature is missing or wrong".into())),
        dnssec::Proof::Indeterminate => Err(Trouble("nothing proves that or denies it".into())),
    }
}

/// Reads what hickory makes of an answer.
fn read(
    answer: Result<DnsResponse, NetError>,
    name: &Name,
    kind: RecordType,
) -> Result<Said, String> {
    let message = match answer {
        Ok(message) => message,
        Err(NetError::Dns(DnsError::Nsec { response, .. })) => {
            // What it says of the alias and what it says of its end are proven by different records.
            let alias = of(&response.answers, name, RecordType::CNAME).next();
            return match alias {
                Some(_) if kind != RecordType::CNAME => Ok(Said::PerhapsAlias),
                _ => Err(UNPROVEN.to_owned()),
            };
        }
        Err(error) => return Err(in_words(&error)),
    };
    if !matches!(message.response_code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(message.response_code.to_string());
    }
    let denial = message.authorities.iter().any(denies);
    let wanted: Vec<&Record> = of(&message.answers, name, kind).collect();
    if let Some(proof) = wanted.iter().map(|record| record.proof).min() {
        let ttl = wanted.iter().map(|record| record.ttl).min().unwrap_or(0);
        let data = wanted.into_iter().map(|record| record.data.clone()).collect();
        return Ok(Said::Records(data, proof, ttl));
    }
    if let Some(alias) = of(&message.answers, name, RecordType::CNAME).next()
        && let RData::CNAME(target) = &alias.data
    {
        return Ok(Said::Alias(target.0.clone(), alias.proof, alias.ttl));
    }
    let unsigned = |record: &Record| {
        record.record_type() == RecordType::SOA
            && record.proof == dnssec::Proof::Insecure
            && record.name.zone_of(name)
    };
    if denial || message.authorities.iter().any(unsigned) {
        return Ok(Said::None(message.negative_ttl().unwrap_or(NEGATIVE_TTL)));
    }
    Err(UNPROVEN.to_owned())
}

/// The records of the section that are of the name and the kind.
fn of<'a>(
    section: &'a [Record],
    name: &Name,
    kind: RecordType,
) -> impl Iterator<Item = &'a Record> {
    section.iter().filter(move |record| record.name == *name && record.record_type() == kind)
}

/// Whether the record is a proven one of those that deny others.
fn denies(record: &Record) -> bool {
    let kind = matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3);
    kind && record.proof == dnssec::Proof::Secure
}
