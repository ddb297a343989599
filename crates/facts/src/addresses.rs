//! The addresses of a host: what sendmail would connect to.

use std::net::IpAddr;

use hickory_resolver::net::runtime::RuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use maillog::relay::is_plain_name;
use policy::fact::Answer;
use tokio::time::Instant;

use crate::cache::Keep;
use crate::upstream::{Records, Trouble, Upstream, absolute};

/// Addresses that are told at most.
const MOST: usize = 16;

/// Finds out the addresses of both families. One family that cannot be found out makes it unknown: the other may be the
/// smaller half.
pub(crate) async fn find_out<P: RuntimeProvider>(
    servers: &Upstream<P>,
    host: &str,
    deadline: Instant,
) -> (Answer<Vec<IpAddr>>, Keep) {
    let name = is_plain_name(host).then(|| absolute(host).ok()).flatten();
    let Some(name) = name else {
        return (Answer::Unknown("it is no plain host name".into()), Keep::Unknown);
    };
    let (v4, v6) = match look_up(servers, &name, deadline).await {
        (Ok(v4), Ok(v6)) => (v4, v6),
        (Err(Trouble(why)), _) | (_, Err(Trouble(why))) => {
            return (Answer::Unknown(format!("addresses of {host}: {why}").into()), Keep::Unknown);
        }
    };
    let addresses = v4.data.iter().chain(&v6.data).filter_map(of);
    let all = addresses.map(|address| address.to_canonical()).take(MOST).collect();
    (Answer::Known(all), Keep::Ttl(v4.ttl.min(v6.ttl)))
}

/// The A and the AAAA records of the name, both asked for at the same time.
pub(crate) async fn look_up<P: RuntimeProvider>(
    servers: &Upstream<P>,
    name: &Name,
    deadline: Instant,
) -> (Result<Records, Trouble>, Result<Records, Trouble>) {
    tokio::join!(
        servers.look_up(name, RecordType::A, deadline),
        servers.look_up(name, RecordType::AAAA, deadline),
    )
}

/// The address in an A or AAAA record, as it stands there.
pub(crate) fn of(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}
