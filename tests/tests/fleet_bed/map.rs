//! What stands in the directory is what sendmail of each MTA goes by, from the next delivery on and without a rebuild.

use directory::{Added, Answer, Changed, Directory};
use tests::fleet::{Fleet, entry};
use tests::mta::{Mta, Queue};
use tests::peers::Channel;

use crate::{SOON, ask, found, peers};

const KEY: &str = "Try_TLS:broken.mx.test";

fn fleet(name: &str, mtas: usize) -> Option<Fleet> {
    Fleet::start_or_skip(name, mtas, &peers(), &Mta::default().queue(Queue::Nobody))
}

fn directory(fleet: &Fleet, mta: usize) -> Directory {
    Directory::new(fleet.settings(mta).unwrap()).unwrap()
}

#[test]
fn one_entry_counts_for_all() {
    let Some(fleet) = fleet("one_entry_counts_for_all", 3) else { return };
    // TLS with the good peer, none with the broken one.
    fleet.send("good").unwrap();
    fleet.wait_accepted(SOON, "good", Channel::Tls, 1).unwrap();
    for (bed, id) in fleet.mtas().iter().zip(fleet.send("broken").unwrap()) {
        bed.wait_line(SOON, &[&id, "stat=Deferred: 454 4.7.0 TLS handshake failed."]).unwrap();
    }

    // MTA 1 writes it, and all deliver in clear.
    let mut mta1 = directory(&fleet, 1);
    let entry = entry(KEY).unwrap();
    let added = fleet.with_directory(1, &mut mta1, |mta1| mta1.add(&entry)).unwrap();
    assert_eq!(added, Added::Written);
    assert_eq!(fleet.entries().unwrap(), ["Try_TLS:broken.mx.test NO"]);
    fleet.settle().unwrap();
    fleet.mtas().iter().try_for_each(tests::bed::Bed::flush).unwrap();
    fleet.wait_accepted(SOON, "broken", Channel::Clear, 1).unwrap();

    // With mended STARTTLS too, until the entry goes; then over TLS.
    fleet.mends("broken").unwrap();
    fleet.send("broken").unwrap();
    fleet.wait_accepted(SOON, "broken", Channel::Clear, 2).unwrap();
    let tagged = entry.tagged();
    let removed = fleet.with_directory(1, &mut mta1, |mta1| mta1.remove(&tagged)).unwrap();
    assert_eq!(removed, Changed::Done);
    fleet.settle().unwrap();
    fleet.send("broken").unwrap();
    fleet.wait_accepted(SOON, "broken", Channel::Tls, 1).unwrap();
}

/// A broken OpenSSL of one MTA makes good peers broken to it alone, and does not cut it off from the directory.
#[test]
fn one_mta_can_have_a_broken_openssl() {
    let Some(fleet) = fleet("one_mta_can_have_a_broken_openssl", 2) else { return };
    fleet.break_openssl(2).unwrap();
    let ids = fleet.send("good").unwrap();
    fleet.mta(1).wait_accepted(SOON, "good", Channel::Tls, 1).unwrap();
    fleet
        .mta(2)
        .wait_line(SOON, &[&ids[1], "stat=Deferred: 454 4.7.0 TLS handshake failed."])
        .unwrap();
    fleet.admin_writes("sendmailMTACluster: mx", KEY, "NO").unwrap();
    fleet.settle().unwrap();
    assert_eq!(found(fleet.mta(2), KEY).as_deref(), Some("NO"));
    fleet.mend_openssl(2).unwrap();
    fleet.mta(2).flush().unwrap();
    fleet.mta(2).wait_accepted(SOON, "good", Channel::Tls, 1).unwrap();
}

/// The real cf, and not only its K line: what is there once is found, and answers the ruleset; what is there for the
/// cluster and for the host is not.
#[test]
fn two_objects_with_one_key_are_none() {
    let Some(fleet) = fleet("two_objects_with_one_key_are_none", 2) else { return };
    let tries = |mta| {
        let asks =
            ".D{server_name}broken.mx.test\n.D{server_addr}127.0.0.11\ntry_tls broken.mx.test\n";
        let said = ask(fleet.mta(mta), asks);
        !said.contains("$# error $@ 5 . 7 . 1 $:")
    };
    assert_eq!([1, 2].map(tries), [true, true]);
    let mut mta1 = directory(&fleet, 1);
    let ours = entry(KEY).unwrap();
    fleet.with_directory(1, &mut mta1, |mta1| mta1.add(&ours)).unwrap();
    fleet.settle().unwrap();
    assert_eq!([1, 2].map(tries), [false, false]);
    fleet.admin_writes("sendmailMTAHost: mta1.example.org", KEY, "NO").unwrap();
    fleet.settle().unwrap();
    assert_eq!([1, 2].map(tries), [true, false]);
    assert_eq!([1, 2].map(|mta| found(fleet.mta(mta), KEY)), [None, Some("NO".to_owned())]);
    // The directory's own view is the same.
    let mut mta2 = directory(&fleet, 2);
    let look = |mta, directory| fleet.with_directory(mta, directory, |d| d.lookup(KEY)).unwrap();
    assert_eq!(look(1, &mut mta1), Answer::Several(2));
    assert_eq!(look(2, &mut mta2), Answer::One { value: (*b"NO").into(), ours: true });
}
