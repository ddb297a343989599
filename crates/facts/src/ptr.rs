//! The PTR names of an address, each confirmed forward.
//!
//! Whoever holds an address writes any name into its PTR record, so a name counts as confirmed only if its own zone
//! gives the address back (as sendmail does before it drops "may be forged"). Only plain host names are looked at, at
//! most eight: in alphabetical order, so that a server that shuffles its records does not change the answer.
//!
//! If one name's confirmation fails (a timeout, SERVFAIL), that is not "not confirmed". What then holds:
//!
//! * Another name is confirmed: the answer is known, and the doubtful name stands in it as not confirmed. A confirmed
//!   name is a fact whatever else is true, and what rests on an unconfirmed name (nothing) is what may rest on a
//!   doubtful one. But the answer is kept no longer than an unknown one.
//! * No name is confirmed: then the doubtful one may be the very name, and "known, none confirmed" would be a claim
//!   that nobody made. The answer is unknown.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_resolver::net::runtime::RuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use maillog::relay::is_plain_name;
use policy::fact::{Answer, Ptr, PtrName};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::addresses;
use crate::cache::Keep;
use crate::upstream::{Trouble, Upstream, absolute};

/// Names that are looked at.
const MAX_NAMES: usize = 8;

/// Finds out the names. An IPv4 address mapped into IPv6 is taken for what it is.
pub(crate) async fn find_out<P: RuntimeProvider>(
    servers: &Arc<Upstream<P>>,
    address: IpAddr,
    deadline: Instant,
) -> (Answer<Ptr>, Keep) {
    let address = address.to_canonical();
    let reverse = match servers.look_up(&Name::from(address), RecordType::PTR, deadline).await {
        Ok(reverse) => reverse,
        Err(Trouble(why)) => {
            let why = format!("PTR of {address}: {why}");
            return (Answer::Unknown(why.into()), Keep::Unknown);
        }
    };
    let names = plain_names(&reverse.data);
    let mut forward = JoinSet::new();
    for (index, name) in names.iter().enumerate() {
        let (servers, name) = (Arc::clone(servers), name.clone());
        forward.spawn(async move { (index, confirms(&servers, &name, address, deadline).await) });
    }
    let mut keep = Keep::Ttl(reverse.ttl);
    let mut ptr = Ptr::default();
    ptr.names.extend(names.into_iter().map(|name| PtrName { name, confirmed: false }));
    let mut doubt: Option<String> = None;
    while let Some(done) = forward.join_next().await {
        let (index, result) = match done {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Some(entry) = ptr.names.get_mut(index) else { continue };
        match result {
            Ok((confirmed, ttl)) => {
                entry.confirmed = confirmed;
                keep = keep.min(Keep::Ttl(ttl));
            }
            Err(Trouble(why)) => {
                keep = Keep::Unknown;
                doubt = Some(format!("address of {}, the PTR of {address}: {why}", entry.name));
            }
        }
    }
    match doubt {
        Some(why) if !ptr.names.iter().any(|name| name.confirmed) => {
            (Answer::Unknown(why.into()), keep)
        }
        _ => (Answer::Known(ptr), keep),
    }
}

/// Whether the name has the address, and for how long that holds.
async fn confirms<P: RuntimeProvider>(
    servers: &Upstream<P>,
    name: &str,
    address: IpAddr,
    deadline: Instant,
) -> Result<(bool, u32), Trouble> {
    let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
    let records = servers.look_up(&absolute(name)?, kind, deadline).await?;
    let confirmed = records.data.iter().filter_map(addresses::of).any(|found| found == address);
    Ok((confirmed, records.ttl))
}

/// The plain host names among the records: lower case, no final dot, sorted, each once, at most eight.
fn plain_names(records: &[RData]) -> Vec<Box<str>> {
    let plain = |data: &RData| {
        let RData::PTR(target) = data else { return None };
        let name = target.0.to_ascii().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        is_plain_name(name).then(|| Box::from(name))
    };
    let mut names: Vec<Box<str>> = records.iter().filter_map(plain).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(MAX_NAMES);
    names
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::PTR;

    use super::*;

    /// Names by their labels, which may hold any byte; `|` stands between them.
    fn record(labels: &str) -> RData {
        let labels = labels.split('|').filter(|label| !label.is_empty()).map(str::as_bytes);
        RData::PTR(PTR(Name::from_labels(labels).expect("name")))
    }

    #[test]
    fn only_plain_names() {
        fn check(names: &[&str], expect: &[&str]) {
            let records: Vec<RData> = names.iter().map(|name| record(name)).collect();
            let found = plain_names(&records);
            assert_eq!(found.iter().map(|name| &**name).collect::<Vec<_>>(), expect, "{names:?}");
        }
        check(&["MX|Example|ORG"], &["mx.example.org"]);
        check(&["b|example", "a|example", "B|example"], &["a.example", "b.example"]);
        check(&["mx"], &["mx"]);
        check(&[""], &[]);
        check(&["192|0|2|1"], &[]);
        check(&["a\nruleset=x|example", "a\0|example", "a b|example"], &[]);
        check(&["$(id)|example", "ä|example", "a,b|example", "a\\|example"], &[]);
        check(&["a.b|example"], &[]); // one label with a dot in it
        check(&["*|example", "-a|example", "a_b|example"], &["a_b.example"]);
        let many: Vec<String> = (10..40).map(|i| format!("n{i}|example")).collect();
        let many: Vec<&str> = many.iter().map(|name| &**name).collect();
        let first: Vec<String> = (10..18).map(|i| format!("n{i}.example")).collect();
        check(&many, &first.iter().map(|name| &**name).collect::<Vec<_>>());
        assert_eq!(plain_names(&[RData::A(std::net::Ipv4Addr::LOCALHOST.into())]), []);
    }
}
