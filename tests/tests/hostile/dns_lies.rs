//! DNS that lies, loops, is late or says nothing: about the PTR, which can only move an entry from the name to the
//! address; about TLSA and MTA-STS, where it must hold.

use std::time::Duration;

use hickory_proto::rr::rdata::{PTR, TXT};
use hickory_proto::rr::{Name, RData};
use tests::dns::{Manner, Zone};

use crate::OWN;
use crate::case::{Case, broken, broken_to};

/// Longer than the resolver waits.
const TOO_LATE: Duration = Duration::from_secs(4);

fn manners() -> Vec<(&'static str, Manner)> {
    vec![
        ("SERVFAIL", Manner::ServFail),
        ("REFUSED", Manner::Refused),
        ("silence", Manner::Silent),
        ("an answer that is too late", Manner::Late(TOO_LATE)),
        ("a referral", Manner::Referral),
        ("an answer to another question", Manner::OtherQuestion),
    ]
}

/// A PTR record whose name has these labels, bytes of any kind.
fn ptr(labels: &[&[u8]]) -> RData {
    RData::PTR(PTR(Name::from_labels(labels.iter().copied()).unwrap()))
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut n = 0;
    let mut next = || {
        n += 1;
        (format!("mx.d{n}.test"), format!("192.0.2.{n}"))
    };

    for (name, manner) in manners() {
        let (relay, address) = next();
        let at = address.clone();
        let case = Case::new(format!("PTR: {name}"), broken(&relay, &address));
        cases.push(case.dns(move |zone| zone.reverse_manner(&at, manner.clone())).right(&address));
    }
    let long: &[&[u8]] = &[&[b'a'; 63], &[b'b'; 63], &[b'c'; 63], &[b'd'; 60]];
    let lies: Vec<(&str, RData)> = vec![
        ("our own name", ptr(&[b"lab", b"example", b"test"])),
        ("a provider's name", ptr(&[b"mx", b"google", b"test"])),
        ("a name with a space", ptr(&[b"a b", b"test"])),
        ("a name with a newline", ptr(&[b"x\nTry_TLS:", b"test"])),
        ("a name with a NUL", ptr(&[b"x\0", b"test"])),
        ("a name with a #", ptr(&[b"#x", b"test"])),
        ("a name with a tab and NO", ptr(&[b"x\tNO", b"test"])),
        ("a name of 255 bytes", ptr(long)),
        ("a whole domain", ptr(&[b"google", b"test"])),
        ("a top-level domain", ptr(&[b"test"])),
        ("the root", RData::PTR(PTR(Name::root()))),
        ("localhost", ptr(&[b"localhost"])),
        ("an address", ptr(&[b"192", b"0", b"2", b"200"])),
    ];
    for (name, lie) in lies {
        let (relay, address) = next();
        let reverse = reverse(&address);
        let case = Case::new(format!("PTR: {name}"), broken(&relay, &address));
        // The owner of the zone has his lie confirmed, where he can: our own name and others' he cannot.
        cases.push(case.dns(move |zone| zone.record(&reverse, lie.clone())).right(&address));
    }
    let (relay, address) = next();
    let own = reverse(&address);
    let log = broken(&relay, &address);
    cases.push(
        Case::new("PTR: 200 names", log)
            .dns(move |zone| {
                let name = |n: usize| ptr(&[format!("n{n}").as_bytes(), b"many", b"test"]);
                (0..200).fold(zone, |zone, n| zone.record(&own, name(n)))
            })
            .right(&address),
    );
    let (relay, address) = next();
    let own = reverse(&address);
    let log = broken(&relay, &address);
    cases.push(
        Case::new("PTR: aliases in a circle", log)
            .dns(move |zone| zone.alias(&own, "circle.test").alias("circle.test", &own))
            .right(&address),
    );
    let (relay, address) = next();
    let (at, name) = (address.clone(), relay.clone());
    cases.push(
        Case::new("PTR: the relay's name, and that is elsewhere", broken(&relay, &address))
            .dns(move |zone| zone.ptr(&at, &name).address(&name, "192.0.2.250"))
            .right(&address),
    );
    let (relay, address) = next();
    let (at, name) = (address.clone(), relay.clone());
    cases.push(
        Case::new("PTR: the relay's name, confirmed", broken(&relay, &address))
            .dns(move |zone| zone.host(&at, &name))
            .honest(&relay),
    );
    // The PTR is another's name, and he who owns both zones has it confirmed: still it is not what sendmail looks up.
    let (relay, address) = next();
    let at = address.clone();
    cases.push(
        Case::new("PTR: another name, confirmed", broken(&relay, &address))
            .dns(move |zone| zone.host(&at, "gateway.other.test"))
            .right(&address),
    );
    // Where it is confirmed the address is one of ours.
    let (relay, address) = next();
    let at = address.clone();
    cases.push(
        Case::new("PTR: our own name, confirmed", broken(&relay, &address))
            .dns(move |zone| zone.host(&at, OWN)),
    );

    for (name, manner) in manners() {
        let (relay, address) = next();
        let case = Case::new(format!("TLSA: {name}"), broken(&relay, &address));
        let owner = format!("_25._tcp.{relay}");
        cases.push(case.dns(move |zone| zone.manner(&owner, manner.clone())));
    }
    let (relay, address) = next();
    let owner = format!("_25._tcp.{relay}");
    cases.push(
        Case::new("TLSA: aliases in a circle", broken(&relay, &address))
            .dns(move |zone| zone.alias(&owner, "tlsa.test").alias("tlsa.test", &owner)),
    );
    for (name, manner) in manners() {
        let (relay, address) = next();
        let domain = format!("sts{n}.test", n = address.rsplit('.').next().unwrap());
        let owner = format!("_mta-sts.{domain}");
        let log = broken_to(&relay, &address, &format!("<u@{domain}>"));
        let case = Case::new(format!("MTA-STS record: {name}"), log);
        cases.push(case.dns(move |zone| zone.manner(&owner, manner.clone())));
    }
    let (relay, address) = next();
    cases.push(
        Case::new(
            "MTA-STS record: aliases in a circle",
            broken_to(&relay, &address, "<u@round.test>"),
        )
        .dns(|zone| {
            zone.alias("_mta-sts.round.test", "x.test").alias("x.test", "_mta-sts.round.test")
        }),
    );
    let (relay, address) = next();
    let record = |text: &str| RData::TXT(TXT::new(vec![text.to_owned()]));
    cases.push(
        Case::new("MTA-STS record: something else", broken_to(&relay, &address, "<u@other.test>"))
            .dns(move |zone: Zone| zone.record("_mta-sts.other.test", record("v=spf1 -all")))
            .honest(&address),
    );
    cases
}

fn reverse(address: &str) -> String {
    let mut bytes: Vec<&str> = address.split('.').collect();
    bytes.reverse();
    format!("{}.in-addr.arpa", bytes.join("."))
}
