//! The thread that changes the map: makemap may take seconds, and reading the log never waits for it.
//!
//! Orders that came in while the map was being rebuilt are carried out together by the next rebuild. Between orders, the
//! map is looked after: when others replaced it, the processes of sendmail that still hold the old one are told.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use access::key::Key;
use maillog::relay::Relay;
use policy::input::{Edit, Input, MapState, Proof};
use tokio::sync::mpsc::Sender;

/// How often the map is looked after.
const TEND_EVERY: Duration = Duration::from_secs(15);

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Change the map.
    Edit(Edit),
    /// Ask sendmail about the relay, at each address.
    Prove(Relay<'static>, Vec<Option<IpAddr>>),
}
