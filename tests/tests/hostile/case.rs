//! One thing that somebody tries, and the entries that are right all the same.

use std::sync::Arc;

use tests::dns::Zone;
use tests::lines::Failure;

use crate::ca::Wish;
use crate::https::Manner;

/// A case.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// What it adds to the log.
    pub(crate) log: Vec<u8>,
    /// What it adds to DNS.
    dns: Arc<dyn Fn(Zone) -> Zone + Send + Sync>,
    /// The host of its MTA-STS policy.
    pub(crate) web: Option<Web>,
    /// The keys of the entries that are right; none for most.
    pub(crate) right: Vec<String>,
    /// Nobody tries anything: here an entry is right.
    pub(crate) honest: bool,
}

/// A web server.
#[derive(Clone)]
pub(crate) struct Web {
    /// Address and port.
    pub(crate) address: String,
    pub(crate) wish: Wish,
    pub(crate) manner: Manner,
}

impl Case {
    /// A case of this name, with these bytes in the log.
    pub(crate) fn new(name: impl Into<String>, log: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            log: log.into(),
            dns: Arc::new(|zone| zone),
            web: None,
            right: Vec::new(),
            honest: false,
        }
    }

    /// With this in the log before.
    pub(crate) fn after(mut self, log: &str) -> Self {
        self.log.splice(0..0, log.bytes());
        self
    }

    /// With this in DNS.
    pub(crate) fn dns(self, dns: impl Fn(Zone) -> Zone + Send + Sync + 'static) -> Self {
        let before = self.dns;
        Self { dns: Arc::new(move |zone| dns(before(zone))), ..self }
    }

    /// With this web server.
    pub(crate) fn web(self, web: Web) -> Self {
        Self { web: Some(web), ..self }
    }

    /// This entry is right.
    pub(crate) fn right(mut self, key: &str) -> Self {
        self.right.push(key.to_owned());
        self
    }

    /// Nobody tries anything, and this entry is right.
    pub(crate) fn honest(self, key: &str) -> Self {
        Self { honest: true, ..self.right(key) }
    }

    pub(crate) fn zone(&self, zone: Zone) -> Zone {
        (self.dns)(zone)
    }
}

/// Three failures with the relay, for mail to `u@example.org`.
pub(crate) fn broken(relay: &str, address: &str) -> String {
    let Failure { ruleset, delivery } = Failure::by(276, relay, address);
    (ruleset + &delivery).repeat(3)
}

/// The same for mail to these recipients, as `to=` has them.
pub(crate) fn broken_to(relay: &str, address: &str, to: &str) -> String {
    broken(relay, address).replace("<u@example.org>", to)
}
