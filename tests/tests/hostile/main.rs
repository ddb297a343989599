//! What others could try, so that TLS is turned off where it should not be: forged log lines, hostile MX names, lying
//! DNS, MTA-STS hosts that redirect or never end, a peer that fails on purpose. One trytlsd is given all of it, and must
//! end with the entries that are right and not one more.
//!
//! Beside each kind of lie stands a case without it that ends with an entry: so a trytlsd that never writes any does not
//! pass.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]
#![expect(clippy::expect_used, reason = "a test may fail")]

#[path = "../../../crates/facts/tests/sts/ca.rs"]
mod ca;
mod case;
mod dns_lies;
#[path = "../../../crates/facts/tests/sts/https.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod https;
mod log_lies;
mod names;
mod recipients;
mod sts_lies;

use std::collections::BTreeSet;
use std::time::Duration;

use ca::{Authority, Wish};
use case::{Case, broken};
use https::HttpsServer;
use tests::bed::{Bed, Replace};
use tests::dns::{DnsServer, Zone};
use tests::trytlsd::Trytlsd;
use tests::wait;

/// The name that the bed's sendmail has for itself.
const OWN: &str = "lab.example.test";

/// Some answers come as late as they may.
const SOON: Duration = Duration::from_secs(90);

/// The last relay of the log: when it has its entry, all before it was read.
const LAST: &str = "203.0.113.250";

const LOG: &str = "/srv/mail.log";

/// The numbers of the guards would hold most of what is tried, all the same.
fn config(dns: &DnsServer, more: &str) -> String {
    format!(
        "dry_run = false\n[log]\npath = \"{LOG}\"\n\
         [policy]\nmin_span = \"0s\"\nnever = [\"127.0.0.0/8\", \"::1/128\", \"never.test\"]\n\
         [guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\nburst_relays = 0\nburst_share = 0\n\
         max_entries = 0\nmax_per_hour = 0\n\
         [dns]\nservers = [\"{}\"]\ntimeout = \"2s\"\n[mta_sts]\nca_file = \"/srv/ca.pem\"\n{more}",
        dns.address()
    )
}

/// Gives trytlsd all the cases; what it wrote beyond what is right, and what is right and it did not write.
fn run(bed: &Bed, cases: &[Case], more: &str) -> (String, Vec<String>) {
    let namespace = bed.namespace();
    let authority = Authority::new();
    namespace.write("/srv/ca.pem", std::fs::read(authority.file()).unwrap()).unwrap();
    let (dns, servers) = namespace
        .inside(|| {
            let zone = cases.iter().fold(Zone::new(), |zone, case| case.zone(zone));
            let servers: Vec<HttpsServer> = cases
                .iter()
                .filter_map(|case| case.web.as_ref())
                .map(|web| {
                    HttpsServer::start(
                        &web.address,
                        authority.acceptor(&web.wish),
                        web.manner.clone(),
                    )
                })
                .collect();
            Ok((DnsServer::start(zone)?, servers))
        })
        .unwrap();
    let mut log: Vec<u8> = cases.iter().flat_map(|case| case.log.clone()).collect();
    log.extend(broken("mx.last.test", LAST).bytes());
    namespace.write(LOG, "").unwrap();
    bed.sh("mkdir -p /etc/trytlsd/trytlsd.d").unwrap();
    let dnssec = "[dns]\ndnssec = \"auto\"\n";
    namespace.write("/etc/trytlsd/trytlsd.d/hostile.toml", dnssec).unwrap();
    let mut trytlsd = Trytlsd::run(bed, &config(&dns, more)).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    namespace.write(LOG, log).unwrap();
    trytlsd.wait_says(SOON, "INFO active relay=mx.last.test").unwrap();
    wait::until(SOON, "an outcome for each candidate", || {
        all_decided(&trytlsd.stderr()).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", trytlsd.stderr()));
    let said = trytlsd.stderr();
    trytlsd.stop().unwrap();

    let access = bed.access();
    let written: BTreeSet<&str> =
        access.lines().filter(|line| line.starts_with("Try_TLS:")).collect();
    let right: BTreeSet<String> = cases
        .iter()
        .flat_map(|case| &case.right)
        .cloned()
        .chain([LAST.to_owned()])
        .map(|key| format!("Try_TLS:{key}\tNO"))
        .collect();
    let mut wrong: Vec<String> = written
        .iter()
        .filter(|line| !right.contains(**line))
        .map(|l| format!("wrong: {l}"))
        .collect();
    wrong.extend(right.iter().filter(|line| !written.contains(&***line)).map(|line| {
        let names = cases.iter().filter(|case| {
            case.right.iter().any(|key| line.starts_with(&format!("Try_TLS:{key}\t")))
        });
        let names: Vec<&str> = names.map(|case| &*case.name).collect();
        format!("missing: {line} ({})", names.join(", "))
    }));
    // Their sockets lie in the bed's network: only from there can their threads be woken.
    namespace
        .inside(move || {
            drop((dns, servers));
            Ok(())
        })
        .unwrap();
    (said, wrong)
}

/// Whether each relay that became a candidate is held or has its entry.
fn all_decided(said: &str) -> bool {
    let named = |word: &str| -> BTreeSet<String> {
        let mark = format!(" {word} relay=");
        let relays = said.lines().filter_map(|line| line.split_once(&mark));
        relays.map(|(_, rest)| rest.split(" stuck=").next().unwrap_or(rest).to_owned()).collect()
    };
    let mut decided = named("held");
    decided.extend(named("active"));
    named("candidate").iter().all(|relay| {
        decided
            .iter()
            .any(|line| line.strip_prefix(relay.as_str()).is_some_and(|r| r.starts_with(' ')))
    })
}

#[test]
fn not_one_wrong_entry() {
    let Some(bed) = Bed::new().start_or_skip("not_one_wrong_entry") else { return };
    bed.add_access(
        "TLS_Rcpt:strict.test\tENCR:112\nTLS_Rcpt:boss@some.test\tVERIFY\n",
        Replace::Rename,
    )
    .unwrap();
    let cases: Vec<Case> = [
        log_lies::cases(),
        names::cases(),
        dns_lies::cases(),
        recipients::cases(),
        sts_lies::cases(),
    ]
    .concat();
    let hostile = cases.iter().filter(|case| !case.honest).count();
    assert!(hostile >= 60, "{hostile}");
    let (said, wrong) = run(&bed, &cases, "private_addresses = true\n");
    assert!(wrong.is_empty(), "{}\n{said}", wrong.join("\n"));
    println!("{hostile} hostile cases, {} honest ones", cases.len() - hostile);
}

#[test]
fn a_policy_from_a_private_address_is_none() {
    let Some(bed) = Bed::new().start_or_skip("a_policy_from_a_private_address_is_none") else {
        return;
    };
    let cases = sts_lies::from_private_addresses();
    let (said, wrong) = run(&bed, &cases, "");
    assert!(wrong.is_empty(), "{}\n{said}", wrong.join("\n"));
    assert_eq!(said.matches("held relay=").count(), cases.len(), "{said}");
}

/// A certificate as it should be for the MTA-STS host of the domain.
fn wish(domain: &str) -> Wish {
    let host: &'static str = Box::leak(format!("mta-sts.{domain}").into_boxed_str());
    Wish::of(&[host])
}
