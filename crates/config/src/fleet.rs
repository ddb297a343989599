//! A map that several MTAs share: where the directory is, and how they agree.

use directory::{Bind, Settings};
use policy::fleet;

use crate::section::{Setting, Shown, section};
use crate::span::Span;
use crate::values::{Absolute, LdapServer, Optional, Target, Text, Within};
use crate::{Config, Error};

/// The name of the access map in the directory.
const MAP: &str = "access";

/// The name of the one that holds what the MTAs say.
const VOTES: &str = "trytlsd";

section!(
    /// The directory.
    Ldap, GivenLdap, "[ldap] ", {
    /// The servers, tried in this order.
    urls: Vec<Text<LdapServer>> = Vec::new(),
    /// Where sendmail searches.
    base: String = String::new(),
    /// Who we are to it; empty: the user that we run as, over a socket of this host.
    bind_dn: String = String::new(),
    /// A file with the password and nothing else, which nobody but its owner may read.
    password_file: Optional<Absolute> = Optional(None),
    /// Who signs the servers' certificates, PEM, instead of those whom the system believes.
    ca_file: Optional<Absolute> = Optional(None),
    /// The cluster, as in `confLDAP_CLUSTER`.
    cluster: String = String::new(),
    /// The name of this MTA; empty: what sendmail calls itself (`$j`).
    host: String = String::new(),
    /// How long the server may take for each step.
    timeout: Span = Span::seconds(5),
});

section!(
    /// How the MTAs agree.
    Fleet, GivenFleet, "[fleet] ", {
    /// How many of them must see a relay broken.
    quorum: Within<1, 1000> = Within(2),
    /// How long the others may object once so many do.
    settle: Span = Span::seconds(5 * 60),
    /// How long what an MTA says counts after it was last said.
    vote_ttl: Span = Span::seconds(3600),
});

impl Config {
    /// Whether the map is one that a fleet shares.
    pub fn is_shared(&self) -> bool {
        *self.access.target == Target::Ldap
    }

    /// The directory, for the MTA of this name; none where the map is a file.
    pub fn directory(&self, host: &str) -> Option<Settings> {
        let Ldap { urls, base, bind_dn, password_file, ca_file, cluster, timeout, .. } = &self.ldap;
        let bind = match &password_file.0 {
            Some(file) => {
                let dn = bind_dn.as_str().into();
                Bind::Simple { dn, password_file: file.0.clone() }
            }
            None => Bind::External,
        };
        self.is_shared().then(|| Settings {
            servers: urls.iter().map(|url| url.0.0.clone()).collect(),
            base: base.as_str().into(),
            bind,
            ca: ca_file.0.as_ref().map(|path| path.0.clone()),
            cluster: cluster.as_str().into(),
            host: host.into(),
            map: MAP.into(),
            votes: VOTES.into(),
            vote_ttl: self.fleet.vote_ttl.to_std(),
            timeout: timeout.to_std(),
        })
    }

    /// How the MTA of this name takes part in the fleet; none where the map is a file.
    pub fn fleet(&self, host: &str) -> Option<fleet::Fleet> {
        let Fleet { quorum, settle, vote_ttl } = &self.fleet;
        let quorum = u16::try_from(quorum.0).ok().and_then(std::num::NonZeroU16::new);
        let mut fleet = fleet::Fleet::new(host);
        fleet.quorum = quorum.unwrap_or(fleet.quorum);
        (fleet.settle, fleet.ttl) = (settle.0, vote_ttl.0);
        self.is_shared().then_some(fleet)
    }

    /// What of a fleet makes no sense.
    pub(crate) fn check_fleet(&self, path: &std::path::Path) -> Result<(), Error> {
        let wrong = |why: &'static str| Err(Error::Fleet { path: path.to_owned(), why });
        if !self.is_shared() {
            return Ok(());
        }
        let Ldap { urls, base, bind_dn, password_file, cluster, .. } = &self.ldap;
        if urls.is_empty() || base.is_empty() || cluster.is_empty() {
            return wrong("it needs [ldap] urls, base and cluster");
        }
        if bind_dn.is_empty() != password_file.0.is_none() {
            return wrong(
                "[ldap] bind_dn and password_file need each other; without both it is SASL EXTERNAL",
            );
        }
        if *self.receiving.enabled {
            return wrong("[receiving] is for a map of one MTA's own: set enabled = false");
        }
        let between = self.access.look_every.0;
        if self.fleet.settle.0 <= between || self.fleet.vote_ttl.0 <= between.saturating_mul(4) {
            return wrong(
                "[fleet] settle must be longer than [access] look_every, and vote_ttl four times as long",
            );
        }
        Ok(())
    }
}
