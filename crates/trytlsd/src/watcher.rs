//! Probes for the heart: one relay, at each address that matters, as one answer.
//!
//! At most [`AT_ONCE`] relays are probed at a time, each address for [`STEP`] a step at most. The relay is broken if it is at
//! any address, and good only if it is at all of them that were reached: an entry by name acts on all.
//!
//! Whoever owns a name chooses the addresses it leads to. One that is no host's own (unspecified, multicast, of the link
//! alone, where a cloud answers for its metadata) is never knocked at, nor is one on the never-list. Private ones are: sendmail
//! delivers to smart hosts there, and would connect to them by the same name itself.
//!
//! Where mail would flow without an entry the peer counts as good, also if it offers no STARTTLS any more or refuses it
//! before the handshake: sendmail goes on in clear then (measured on 8.17). An answer that is neither a
//! yes nor a no, and 421, is broken: mail is deferred then, often without a word of TLS in the log, so that nothing would
//! bring a lifted entry back.

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
        addresses.retain(|a| is_a_hosts(*a) && self.never.covers_address(*a).is_none());
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

/// Whether the address can be that of one mail host.
fn is_a_hosts(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let odd = v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast();
            !odd && !v4.is_link_local()
        }
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast() && !v6.is_unicast_link_local(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_knocks() {
        let check = |addresses: &str, expect: bool| {
            for address in addresses.split(' ') {
                assert_eq!(is_a_hosts(address.parse().unwrap()), expect, "{address}");
            }
        };
        check("0.0.0.0 255.255.255.255 224.0.0.1 169.254.169.254 ::ffff:169.254.169.254", false);
        check(":: ff02::1 fe80::1", false);
        check("192.0.2.1 10.0.0.25 127.0.0.1 2001:db8::1 fd00::25 ::ffff:192.0.2.1", true);
    }
}
