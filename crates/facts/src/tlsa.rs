//! The TLSA records of a relay, and whether DNSSEC proves them (RFC 7672).
//!
//! Asked is `_25._tcp.<relay>`. Where the relay's name is an alias (section 2.2.2), sendmail's peers seek the records at
//! the alias's end first and then at the name itself; a promise at either place is one, so both are asked. Every record
//! of the type counts, also one that no client could use: what its zone means by it is not ours to guess.
//!
//! Whether records are proven is a matter of the server that answered:
//!
//! * A trusted one (on the loopback interface, or named in [`Settings::trusted`]) says so with the AD bit. AD=0
//!   says "not signed" only if that server validates at all: it does if it says AD=1 of the root's SOA record.
//! * The word of another is worth nothing, for anybody on the way can set a bit. There the signatures are checked here,
//!   from the root's keys on: see the module `validate`.
//!
//! What no server answers, what is not proven either way, what takes too long: unknown. The zone belongs to whoever owns
//! the relay's name, so the chains that are followed, the questions for one fact and the work for one answer are
//! bounded; and all of it happens within one deadline.

mod anchor;
mod bounded;
mod validate;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use hickory_resolver::net::runtime::RuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use maillog::relay::is_plain_name;
use policy::fact::{Answer, Tlsa};
use tokio::time::Instant;

use crate::cache::Keep;
use crate::resolver::{Dnssec, Settings};
use crate::upstream::{Server, Trouble, Upstream, absolute};
use validate::Validator;

/// Aliases of a relay's name that are followed.
const MAX_ALIASES: usize = 6;

/// Servers that no file of the system's owner vouches for though they are on the loopback interface: systemd-resolved's
/// stub, which hands on what others say, or not, by its own rules.
const STUBS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 53), Ipv4Addr::new(127, 0, 0, 54)];

/// Whose word is believed.
#[derive(Debug)]
pub(crate) struct Rules {
    trusted: Vec<IpAddr>,
    dnssec: Dnssec,
    trust_anchor: Option<PathBuf>,
}

/// Records of one kind and what is known of them.
struct Found {
    data: Vec<RData>,
    proof: Proof,
    /// How long it holds, in seconds.
    ttl: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// DNSSEC proves them.
    Secure,
    /// They come from a zone that is not signed, or by way of one.
    Insecure,
    /// Nobody looked.
    None,
}

/// Who answers, and who proves it.
enum Source<'a, P: RuntimeProvider> {
    /// The server both.
    Trusted(&'a Server<P>),
    /// The server answers and we prove.
    Validated(&'a Validator<P>),
}

impl Rules {
    /// What of the settings is about TLSA.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            trusted: settings.trusted.iter().map(IpAddr::to_canonical).collect(),
            dnssec: settings.dnssec,
            trust_anchor: settings.trust_anchor.clone(),
        }
    }

    /// Finds out about the relay of this name.
    pub(crate) async fn find_out<P: RuntimeProvider>(
        &self,
        servers: &Upstream<P>,
        relay: &str,
        deadline: Instant,
    ) -> (Answer<Tlsa>, Keep) {
        if self.dnssec == Dnssec::Off {
            return (Answer::NotAsked, Keep::Unknown);
        }
        let name = is_plain_name(relay).then(|| absolute(relay).ok());
        let Some(Some(name)) = name else {
            return (Answer::Unknown("TLSA: no plain host name".into()), Keep::Unknown);
        };
        let mut turns = servers.turns(deadline);
        while let Some((server, until)) = turns.next() {
            match self.ask(server, &name, until).await {
                Ok((tlsa, ttl)) => {
                    turns.answered();
                    return (Answer::Known(tlsa), Keep::Ttl(ttl));
                }
                Err(why) => turns.failed(server, &why),
            }
        }
        let Trouble(why) = turns.trouble();
        (Answer::Unknown(format!("TLSA of {relay}: {why}").into()), Keep::Unknown)
    }

    /// Asks one server, in the way that it deserves.
    async fn ask<P: RuntimeProvider>(
        &self,
        server: &Server<P>,
        relay: &Name,
        until: Instant,
    ) -> Result<(Tlsa, u32), Trouble> {
        if self.dnssec != Dnssec::Validate && self.trusts(server.address().ip()) {
            let told = judge(&Source::Trusted(server), relay, until).await;
            // One that does not validate may still hand on the signatures, and the proofs that there is nothing.
            let retry = self.dnssec == Dnssec::Auto && server.known_to_validate() == Some(false);
            if told.is_ok() || !retry {
                return told;
            }
        }
        if self.dnssec == Dnssec::Resolver {
            return Err(Trouble("not a trusted resolver".into()));
        }
        let anchors = anchor::read(self.trust_anchor.as_deref())?;
        let validator = Validator::new(server.pool(), anchors);
        judge(&Source::Validated(&validator), relay, until).await
    }

    /// Whether its word on DNSSEC is believed.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let stub = STUBS.iter().any(|stub| address == IpAddr::V4(*stub));
        address.is_loopback() && !stub || self.trusted.contains(&address)
    }
}

/// What the source says about the relay. A promise at either of its names is one; without one, doubt at either is
/// doubt.
async fn judge<P: RuntimeProvider>(
    source: &Source<'_, P>,
    relay: &Name,
    until: Instant,
) -> Result<(Tlsa, u32), Trouble> {
    let own = records(source, relay, until).await;
    if let Ok((Tlsa::Secure, _)) = own {
        return own;
    }
    let (end, ttl) = alias_end(source, relay, until).await?;
    let Some(end) = end else {
        return own.map(|(tlsa, own)| (tlsa, own.min(ttl)));
    };
    let there = records(source, &end, until).await;
    if let Ok((Tlsa::Secure, _)) = there {
        return there;
    }
    let ((own, own_ttl), (there, there_ttl)) = (own?, there?);
    let insecure = own == Tlsa::Insecure || there == Tlsa::Insecure;
    let tlsa = if insecure { Tlsa::Insecure } else { Tlsa::Absent };
    Ok((tlsa, own_ttl.min(there_ttl).min(ttl)))
}

/// What the TLSA records of one name are, and for how long.
async fn records<P: RuntimeProvider>(
    source: &Source<'_, P>,
    base: &Name,
    until: Instant,
) -> Result<(Tlsa, u32), Trouble> {
    let name = Name::from_labels([b"_25".as_slice(), b"_tcp"]);
    let name = name.and_then(|prefix| prefix.append_domain(base));
    let name = name.map_err(|_| Trouble("the alias is too long a name".into()))?;
    let Found { data, proof, ttl } = source.look_up(&name, RecordType::TLSA, until).await?;
    match proof {
        Proof::None => Err(Trouble("it does not validate".into())),
        _ if data.is_empty() => Ok((Tlsa::Absent, ttl)),
        Proof::Secure => Ok((Tlsa::Secure, ttl)),
        Proof::Insecure => Ok((Tlsa::Insecure, ttl)),
    }
}

/// Where the relay's aliases end, if it is one and they may be followed: an alias that is known not to be proven leads
/// nowhere (RFC 7672, section 2.2.2). With the time for which all that holds.
async fn alias_end<P: RuntimeProvider>(
    source: &Source<'_, P>,
    relay: &Name,
    until: Instant,
) -> Result<(Option<Name>, u32), Trouble> {
    let mut end = None;
    let mut ttl = u32::MAX;
    for _ in 0..=MAX_ALIASES {
        let name = end.as_ref().unwrap_or(relay);
        let found = source.look_up(name, RecordType::CNAME, until).await?;
        ttl = ttl.min(found.ttl);
        match found.data.first() {
            Some(_) if found.proof == Proof::Insecure => return Ok((None, ttl)),
            Some(RData::CNAME(target)) => end = Some(target.0.clone()),
            _ => return Ok((end, ttl)),
        }
    }
    Err(Trouble("the name is an alias, by too many aliases".into()))
}

impl<P: RuntimeProvider> Source<'_, P> {
    async fn look_up(
        &self,
        name: &Name,
        kind: RecordType,
        until: Instant,
    ) -> Result<Found, Trouble> {
        let server = match self {
            Self::Trusted(server) => server,
            Self::Validated(validator) => return validator.look_up(name, kind, until).await,
        };
        let records = server.look_up(name, kind, until).await?;
        let proof = match records.secure {
            true => Proof::Secure,
            false if server.validates(until).await? => Proof::Insecure,
            false => Proof::None,
        };
        Ok(Found { data: records.data, proof, ttl: records.ttl })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_trusted() {
        let settings = Settings {
            trusted: vec!["192.0.2.53".parse().expect("address")],
            ..Settings::default()
        };
        let check = |address: &str, expect: bool| {
            let rules = Rules::new(&settings);
            assert_eq!(rules.trusts(address.parse().expect("address")), expect, "{address}");
        };
        check("127.0.0.1", true);
        check("127.9.9.9", true);
        check("::1", true);
        check("::ffff:127.0.0.1", true);
        check("127.0.0.53", false);
        check("127.0.0.54", false);
        check("::ffff:127.0.0.53", false);
        check("192.0.2.53", true);
        check("::ffff:192.0.2.53", true);
        check("192.0.2.54", false);
        check("10.0.0.1", false);
        check("::", false);
        check("fe80::1", false);
        let named = vec!["127.0.0.53".parse().expect("address")];
        let rules = Rules::new(&Settings { trusted: named, ..Settings::default() });
        assert!(rules.trusts("127.0.0.53".parse().expect("address")));
    }
}
