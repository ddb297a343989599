//! The MTA-STS policy of a recipient's domain (RFC 8461): a TXT record says that there is one, HTTPS says what it is.
//!
//! What holds:
//!
//! * No record, or none that is valid: the domain has no policy, unless one is kept that has not expired.
//! * The record has the id of the kept policy: that is the policy, and nothing is fetched.
//! * Otherwise it is fetched. If that fails, the kept policy goes on until it expires (section 3.3).
//! * Nothing kept, and DNS or the fetch fails: unknown. The RFC would have mail go on as if there were no policy; we do
//!   not, for whoever can disturb a fetch could then have TLS turned off.
//!
//! After a failed fetch the domain is left alone for five minutes (section 3.3), after trouble in DNS for as long as any
//! unknown answer.

mod fetch;
mod kept;
mod policy;
mod reach;
mod record;
mod socket;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::policy::fact::{Answer, Fact, Sts};
use hickory_resolver::net::runtime::RuntimeProvider;
use hickory_resolver::proto::rr::RecordType;
use jiff::{SignedDuration, Timestamp};
use maillog::relay::is_plain_name;
use tokio::time::Instant;

use crate::cache::Keep;
use crate::resolver::Settings;
use crate::upstream::{Trouble, Upstream, absolute};
use fetch::Fetcher;
use kept::Kept;

/// How long a domain is left alone after a failed fetch, in seconds.
const AFTER_FAILURE: u32 = 300;

/// How long a policy is good at least: a `max_age` of 0 must not make us fetch for every line of the log.
const AT_LEAST: SignedDuration = SignedDuration::from_mins(1);

/// The policies that are known, and how others are fetched.
#[derive(Debug)]
pub(crate) struct Policies {
    fetcher: Fetcher,
    /// For one fetch, DNS included.
    timeout: Duration,
    kept: Mutex<Kept>,
}

/// Why there is no fresh policy, and for how long that is to be left at.
struct Failure(String, Keep);

impl Policies {
    /// None are known yet.
    pub(crate) fn new(settings: &Settings) -> Self {
        let fetcher = Fetcher {
            port: settings.sts_port,
            private: settings.sts_private,
            ca_file: settings.ca_file.clone(),
        };
        Self { fetcher, timeout: settings.sts_timeout, kept: Mutex::default() }
    }

    /// Learns what was known before a restart.
    pub(crate) fn keep(&self, policies: impl IntoIterator<Item = (Box<str>, Sts)>) {
        let mut kept = self.kept();
        policies.into_iter().for_each(|(domain, sts)| kept.put(domain, sts));
    }

    /// Finds out the policy; the record by the deadline.
    pub(crate) async fn find_out<P: RuntimeProvider>(
        &self,
        servers: &Upstream<P>,
        domain: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> (Answer<Option<Sts>>, Keep) {
        if !is_plain_name(domain) {
            return (Answer::Unknown("the domain is no plain name".into()), Keep::Unknown);
        }
        let kept = self.kept().get(domain, now);
        let (id, ttl) = match published(servers, domain, deadline).await {
            Ok((Some(id), ttl)) => (id, ttl),
            Ok((None, ttl)) => return (Answer::Known(kept), Keep::Ttl(ttl)),
            Err(Trouble(why)) => {
                let failure = Failure(format!("TXT of _mta-sts.{domain}: {why}"), Keep::Unknown);
                return without(kept, failure);
            }
        };
        if kept.as_ref().is_some_and(|kept| kept.id == id) {
            return (Answer::Known(kept), Keep::Ttl(ttl));
        }
        let policy = match self.fetch(servers, domain).await {
            Ok(policy) => policy,
            Err(failure) => return without(kept, failure),
        };
        let max_age = SignedDuration::from_secs(policy.max_age.into());
        let until = now.saturating_add(max_age).unwrap_or(Timestamp::MAX);
        let sts = Sts { mode: policy.mode, id, fetched: now, until };
        self.kept().put(domain.into(), sts.clone());
        (Answer::Known(Some(sts)), Keep::Ttl(ttl))
    }

    async fn fetch<P: RuntimeProvider>(
        &self,
        servers: &Upstream<P>,
        domain: &str,
    ) -> Result<policy::Policy, Failure> {
        let deadline = Instant::now() + self.timeout;
        let host = format!("mta-sts.{domain}");
        let addresses = self.fetcher.addresses(servers, &host, deadline).await;
        let addresses = addresses
            .map_err(|Trouble(why)| Failure(format!("address of {host}: {why}"), Keep::Unknown))?;
        let failure = |why: &str| {
            Failure(format!("MTA-STS policy of {domain}: {why}"), Keep::Ttl(AFTER_FAILURE))
        };
        let body = self.fetcher.get(&host, &addresses, deadline).await;
        policy::parse(&body.map_err(|Trouble(why)| failure(&why))?).map_err(failure)
    }

    /// A panic of another holder left nothing half-done in it.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a remembered fact may still be told: a policy only until it expires, but for a minute at least.
pub(crate) fn holds(fact: &Fact, now: Timestamp) -> bool {
    let Fact::Sts(_, Answer::Known(Some(sts))) = fact else { return true };
    now < sts.until || now.duration_since(sts.fetched) < AT_LEAST
}

/// The id that the domain publishes, if it does so, and for how long that holds, in seconds.
async fn published<P: RuntimeProvider>(
    servers: &Upstream<P>,
    domain: &str,
    deadline: Instant,
) -> Result<(Option<Box<str>>, u32), Trouble> {
    let name = absolute(&format!("_mta-sts.{domain}"))?;
    let records = servers.look_up(&name, RecordType::TXT, deadline).await?;
    Ok((record::id(&records.data), records.ttl))
}

/// The answer where there is no fresh policy.
fn without(kept: Option<Sts>, Failure(why, keep): Failure) -> (Answer<Option<Sts>>, Keep) {
    tracing::debug!(why, kept = kept.is_some(), "no fresh MTA-STS policy");
    match kept {
        Some(kept) => (Answer::Known(Some(kept)), keep),
        None => (Answer::Unknown(why.into()), keep),
    }
}
