//! Whom a command is about: a relay that mail goes to, or a client that mail comes from.

use std::fmt;
use std::net::IpAddr;

use maillog::relay::{Relay, parse_address};
use policy::clients::Client;
use policy::state::State;
use serde::{Serialize, Serializer};

use crate::cli;
use crate::output::complain;
use crate::place::{Host, Place};
use crate::{FAILED, MISUSED};

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    /// By its text in the log.
    Relay(#[serde(serialize_with = "text")] Relay<'static>),
    /// By its address.
    Client(IpAddr),
}

fn text<S: Serializer>(relay: &Relay<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(relay.as_str())
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay(relay) => f.write_str(relay.as_str()),
            Self::Client(address) => write!(f, "{address}"),
        }
    }
}

impl Subject {
    /// Whom the command line means.
    ///
    /// # Errors
    /// The exit status, if it is nobody; that was complained of.
    pub(crate) fn of(about: &cli::About, state: &State) -> Result<Self, u8> {
        match (&about.relay, &about.client) {
            (_, Some(typed)) => client(state, typed).map(Self::Client),
            (Some(typed), None) => relay(state, typed).map(Self::Relay),
            (None, None) => Err(MISUSED),
        }
    }

    /// As the commands take it.
    pub(crate) fn argument(&self) -> String {
        match self {
            Self::Relay(relay) => relay.as_str().to_owned(),
            Self::Client(address) => format!("--client {address}"),
        }
    }

    /// Whether anything is on record of it.
    pub(crate) fn is_known(&self, state: &State) -> bool {
        match self {
            Self::Relay(relay) => {
                let relay = relay.as_str();
                state.record(relay).is_some() || state.adoptions().get(relay).is_some()
            }
            Self::Client(address) => state.clients().get(*address).is_some(),
        }
    }
}

/// The relay that is meant by what somebody typed.
///
/// # Errors
/// The exit status, if no log could name it.
pub(crate) fn relay(state: &State, typed: &str) -> Result<Relay<'static>, u8> {
    let name = typed.trim().trim_end_matches('.');
    let text = state.meant_by(name).unwrap_or(name);
    Relay::parse(text.as_bytes()).map(Relay::into_owned).ok_or_else(|| {
        complain(format!("{typed:?} is nothing that the log could name as a relay"));
        MISUSED
    })
}

/// The client that is meant: by its address, or by the PTR name of one that is on record.
fn client(state: &State, typed: &str) -> Result<IpAddr, u8> {
    let place = match parse_address(typed.trim()) {
        Some(address) => Some(Host::Address(address)),
        None => Place::parse(typed.trim()).map(|place| place.host),
    };
    let name = match place {
        Some(Host::Address(address)) => return Ok(address.to_canonical()),
        Some(Host::Name(name)) => name.to_string().to_ascii_lowercase(),
        None => {
            complain(format!("{typed:?} is neither an address nor a host name"));
            return Err(MISUSED);
        }
    };
    let called = |client: &Client| client.name() == Some(name.as_str());
    let by_name =
        |client: &Client| client.standing().entry().is_some_and(|e| e.key.to_string() == name);
    let which = |fits: &dyn Fn(&Client) -> bool| -> Vec<IpAddr> {
        let clients = state.clients().iter().filter(|(_, client)| fits(client));
        clients.map(|(address, _)| address).collect()
    };
    let mut found = which(&by_name);
    if found.is_empty() {
        found = which(&called);
    }
    found.sort_unstable();
    match found.as_slice() {
        [address] => Ok(*address),
        [] => {
            complain(format!("no client by the name {name} is on record; give its address"));
            Err(FAILED)
        }
        several => {
            let several: Vec<String> = several.iter().take(8).map(ToString::to_string).collect();
            complain(format!("several clients have the name {name}: {}", several.join(" ")));
            Err(FAILED)
        }
    }
}
