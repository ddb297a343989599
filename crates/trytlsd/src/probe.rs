//! `trytlsd probe`: does STARTTLS work with a host, as the sendmail here would use it?
//!
//! It works without a config file and without a sendmail.cf; then it says in what it may differ from sendmail. A name's
//! addresses are those that this system finds (hosts file included), as the operator may want to probe a host that DNS does
//! not know.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use config::Config;
use prober::{Diagnosis, HostName, Settings, Target, Timeouts};
use sendmail::cf::Cf;

use crate::MISUSED;
use crate::cli;
use crate::clock;
use crate::letter::letter;
use crate::output::{Style, complain, print};
use crate::place::{Host, Place};
use crate::probed::{Address, Probed};

/// Addresses of a host that are probed.
const MAX_ADDRESSES: usize = 4;

/// STARTTLS is broken at some address.
const BROKEN: u8 = 1;

/// No address was reached.
const UNREACHED: u8 = 2;

/// Runs the command.
pub(crate) fn run(args: &cli::Probe, config: &Config) -> anyhow::Result<u8> {
    let Some(place) = Place::parse(&args.target) else {
        complain(format!("{:?} is no host name and no address", args.target));
        return Ok(MISUSED);
    };
    let step = args.timeout.to_std();
    let (settings, differs) = settings(config, step);
    let (found, unreached) = match look(&place, &settings) {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(format!("{}: {error}", args.target))),
    };
    if let Some(why) = &unreached {
        complain(why);
    }
    let status = match found.as_slice() {
        found if found.iter().any(|(_, diagnosis)| diagnosis.is_broken()) => BROKEN,
        found if found.iter().any(|(_, diagnosis)| diagnosis.verdict.is_some()) => 0,
        _ => UNREACHED,
    };
    if args.letter {
        let now = clock::now();
        match found.iter().find(|(_, diagnosis)| diagnosis.is_broken()) {
            Some((target, broken)) => print(letter(target, broken, &settings, now))?,
            None => complain("nothing was found that is broken, so there is nothing to write"),
        }
        return Ok(status);
    }
    let addresses = found.into_iter().map(|(target, diagnosis)| Address::new(target, diagnosis));
    let mut probed = Probed::new(&place, &settings, addresses.collect());
    (probed.unreached, probed.differs) = (unreached, differs);
    print(if args.json { probed.json()? } else { probed.text(Style::of_stdout()) })?;
    Ok(status)
}

/// What sendmail.cf says, and what it could not tell.
pub(crate) fn settings(config: &Config, step: Duration) -> (Settings, Vec<String>) {
    let mut differs = Vec::new();
    let cf = Cf::read(&config.access.cf.0.0).unwrap_or_else(|error| {
        differs.push(format!("{error}; TLS is set up as OpenSSL has it by itself"));
        Cf::default()
    });
    let node = || {
        let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
        HostName::parse(&node).filter(|name| name.as_str().contains('.'))
    };
    let own_name = cf.host_name.as_deref().and_then(HostName::parse).or_else(node);
    let timeouts = Timeouts::each(step);
    (Settings { own_name, tls: cf.client_tls, timeouts }, differs)
}

/// Probes the place. An error is why no address is known, or why nothing can be asked here: any other exit status than that
/// of an unreached host would tell something of the host.
fn look(place: &Place, settings: &Settings) -> io::Result<Vec<(Target, Diagnosis)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(probe(place, settings));
    // A look-up that was given up may go on for long: nobody waits for it.
    runtime.shutdown_background();
    found
}

/// Probes each address in turn.
async fn probe(place: &Place, settings: &Settings) -> io::Result<Vec<(Target, Diagnosis)>> {
    let mut found = Vec::new();
    for target in targets(place, settings.timeouts.connect).await? {
        let diagnosis = prober::probe(&target, settings).await;
        found.push((target, diagnosis));
    }
    Ok(found)
}

/// The addresses, each once.
async fn targets(place: &Place, limit: Duration) -> io::Result<Vec<Target>> {
    let port = place.port;
    let name = match &place.host {
        Host::Address(address) => return Ok(vec![Target { host: None, address: *address, port }]),
        Host::Name(name) => name,
    };
    let looking_up = tokio::net::lookup_host((name.as_str(), port));
    let found = tokio::time::timeout(limit, looking_up).await??;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|socket| socket.ip()) {
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    }
    let target = |address| Target { host: Some(name.clone()), address, port };
    Ok(addresses.into_iter().map(target).collect())
}
