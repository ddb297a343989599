//! Probes for the heart: one relay, at each address that matters, as one answer.
//!
//! At most [`AT_ONCE`] relays are probed at a time, each address for [`STEP`] a step at most. The relay is broken if it is at
//! any address, and good only if it is at all of them that were reached: an entry by name acts on all.
//!
//! Where mail would flow without an entry the peer counts as good, also if it offers no STARTTLS any more or refuses it
//! before the handshake: sendmail goes on in clear then (measured on 8.17).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use facts::Resolver;
use maillog::relay::{Form, Relay};
use policy::fact::{Answer, Fact, Question};
use policy::life::Probed;
use policy::never::NeverList;
use prober::{Diagnosis, HostName, SMTP, Settings, Target, Verdict, glance};
use tokio::sync::Semaphore;

use crate::clock;
use crate::probe;

/// Relays that are probed at the same time.
const AT_ONCE: usize = 8;

/// Addresses of a relay that are probed at most.
const MOST_ADDRESSES: usize = 8;

/// The longest that each step of a conversation may take: a peer that needs longer fails with a queue that is busy, too.
const STEP: Duration = Duration::from_secs(30);

/// Who probes.
pub(crate) struct Watcher {
    settings: Settings,
    /// Where nobody knocks, wherever a name may lead.
    never: NeverList,
    turns: Semaphore,
}

impl Watcher {
    /// As the config says.
    pub(crate) fn new(config: &Config) -> Self {
        let settings = probe::settings(config, STEP).0;
        Self { settings, never: config.rules().never, turns: Semaphore::new(AT_ONCE) }
    }

    /// Probes the relay at the addresses, or at those of its name if there are none.
    pub(crate) async fn probe(
        &self,
        resolver: &Arc<Resolver>,
        relay: &Relay<'static>,
        mut addresses: Vec<IpAddr>,
    ) -> Probed {
        let _turn = self.turns.acquire().await;
        let host = match relay.form() {
            Form::Name(name) | Form::Bracketed(name) => HostName::parse(name),
            Form::Address(address) => {
                addresses = vec![address];
                None
            }
            Form::Odd => None,
        };
        if let (true, Some(name)) = (addresses.is_empty(), &host) {
            let question = Question::Addresses(name.as_str().into());
            if let Fact::Addresses(_, Answer::Known(found)) =
                resolver.ask(question, clock::now()).await
            {
                addresses = found;
            }
        }
        addresses.retain(|address| self.never.covers_address(*address).is_none());
        let mut found = Probed::Unreached;
        for address in addresses.into_iter().take(MOST_ADDRESSES) {
            let target = Target { host: host.clone(), address, port: SMTP };
            match of(&glance(&target, &self.settings).await) {
                broken @ Probed::Broken { .. } => return broken,
                Probed::Good => found = Probed::Good,
                Probed::Unreached => {}
            }
        }
        found
    }
}

/// What the heart makes of a diagnosis.
fn of(diagnosis: &Diagnosis) -> Probed {
    let Some(verdict) = diagnosis.verdict else { return Probed::Unreached };
    if diagnosis.is_clear_already() {
        return Probed::Good;
    }
    let strong = match verdict {
        Verdict::Good | Verdict::NoStarttls => return Probed::Good,
        Verdict::Refused | Verdict::ClosedOrReset | Verdict::Timeout => false,
        Verdict::NotTls
        | Verdict::NoVersion
        | Verdict::NoCipher
        | Verdict::WeakKey
        | Verdict::Signature
        | Verdict::ClientCert => true,
    };
    Probed::Broken { how: verdict.word().into(), strong }
}
