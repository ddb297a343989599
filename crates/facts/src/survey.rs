//! What can be expected of each DNS server: whether it answers, whether it validates, whether its word is believed.
//!
//! For those who look at a host (`trytlsd doctor`); no decision rests on it.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::net::runtime::RuntimeProvider;
use tokio::time::Instant;

use crate::tlsa::Rules;
use crate::upstream::{Trouble, Upstream};

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Where it is asked.
    pub address: SocketAddr,
    /// Whether its word on DNSSEC is believed: it is on the loopback interface, or the settings name it.
    pub trusted: bool,
    /// Whether it says that the root's SOA record is proven; or why it gave no answer.
    pub validates: Result<bool, String>,
}

/// Asks each server for the root's SOA record, one after the other.
pub(crate) async fn survey<P: RuntimeProvider>(
    servers: &Upstream<P>,
    rules: &Rules,
    timeout: Duration,
) -> Vec<Surveyed> {
    let mut surveyed = Vec::new();
    for server in servers.all() {
        let address = server.address();
        let validates = server.validates(Instant::now() + timeout).await;
        surveyed.push(Surveyed {
            address,
            trusted: rules.trusts(address.ip()),
            validates: validates.map_err(|Trouble(why)| why.into()),
        });
    }
    surveyed
}
