//! One of the two directory servers is killed, then both: what sendmail and trytlsd's own view make of it.

use directory::{Added, Directory, Kind, Says};
use tests::fleet::{Fleet, entry};
use tests::mta::{Mta, Queue};
use tests::peers::Channel;

use crate::{SOON, found, peers};

fn fleet(name: &str, mtas: usize) -> Option<Fleet> {
    Fleet::start_or_skip(name, mtas, &peers(), &Mta::default().queue(Queue::Nobody))
}

#[test]
fn the_other_one_takes_over() {
    let Some(fleet) = fleet("the_other_one_takes_over", 2) else { return };
    let mut mta1 = Directory::new(fleet.settings(1).unwrap()).unwrap();
    let broken = |key: &str| Says::Broken { keys: vec![key.parse().unwrap()] };
    let (first, says) = (entry("Try_TLS:first.mx.test").unwrap(), broken("Try_TLS:first.mx.test"));
    fleet
        .with_directory(1, &mut mta1, |d| {
            d.vote("first.mx.test", &says, 0)?;
            d.add(&first)
        })
        .unwrap();
    // Written to one, read at the other.
    fleet.settle().unwrap();
    assert_eq!(fleet.server(2).entries().unwrap(), ["Try_TLS:first.mx.test NO"]);
    let says =
        "mta1.example.org first.mx.test v1 says=broken ttl=86400 seen=0 keys=Try_TLS:first.mx.test";
    assert_eq!(fleet.server(2).votes().unwrap(), [says]);

    fleet.kill_directory(1).unwrap();
    let second = entry("Try_TLS:broken.mx.test").unwrap();
    let added = fleet.with_directory(1, &mut mta1, |d| d.add(&second)).unwrap();
    assert_eq!(added, Added::Written);
    fleet.send("broken").unwrap();
    fleet.wait_accepted(SOON, "broken", Channel::Clear, 1).unwrap();

    // Back, with what it had, and with what it missed.
    fleet.start_directory(1).unwrap();
    fleet.settle().unwrap();
    let both = ["Try_TLS:broken.mx.test NO", "Try_TLS:first.mx.test NO"];
    assert_eq!(fleet.server(1).entries().unwrap(), both);
    fleet.kill_directory(2).unwrap();
    assert_eq!(found(fleet.mta(2), "Try_TLS:broken.mx.test").as_deref(), Some("NO"));
    let look = fleet.with_directory(1, &mut mta1, Directory::look).unwrap();
    assert_eq!(look.ours, [second, first]);
}

/// Mail is neither lost nor sent by half a map: it is put off.
#[test]
fn none_answers() {
    let Some(fleet) = fleet("none_answers", 1) else { return };
    let mta = fleet.mta(1);
    let queued = mta.send(&["u@broken.rcpt.test"]).unwrap();
    mta.wait_line(SOON, &[&queued, "stat=Deferred: 454 4.7.0 TLS handshake failed."]).unwrap();
    fleet.admin_writes("sendmailMTACluster: mx", "Try_TLS:broken.mx.test", "NO").unwrap();
    fleet.settle().unwrap();
    for number in [1, 2] {
        fleet.kill_directory(number).unwrap();
    }
    let mut mta1 = Directory::new(fleet.settings(1).unwrap()).unwrap();
    let error = fleet.with_directory(1, &mut mta1, Directory::look).unwrap_err();
    let error = error.downcast::<directory::Error>().unwrap();
    assert_eq!(error.kind, Kind::Unreachable);
    // New mail is refused for the time being, and what waits goes on waiting.
    let refused = mta.send(&["u@good.rcpt.test"]).unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("sendmail said \"4"), "{refused}\n{}", mta.log());
    mta.flush().unwrap();
    assert_eq!(mta.queue().unwrap(), [queued], "{}", mta.log());
    assert_eq!(mta.peers().accepted("broken", Channel::Clear), 0);
    fleet.start_directory(1).unwrap();
    mta.send(&["u@good.rcpt.test"]).unwrap();
    mta.wait_accepted(SOON, "good", Channel::Tls, 1).unwrap();
    mta.flush().unwrap();
    mta.wait_accepted(SOON, "broken", Channel::Clear, 1).unwrap();
}

/// A queue runner that stays has a connection of its own to the server that dies.
#[test]
fn a_queue_runner_changes_over() {
    let mta = Mta::default().queue(Queue::Persistent(1));
    let Some(fleet) = Fleet::start_or_skip("a_queue_runner_changes_over", 1, &peers(), &mta) else {
        return;
    };
    let mta = fleet.mta(1);
    let id = mta.send(&["u@broken.rcpt.test"]).unwrap();
    let tries = |log: &str| log.matches(&format!("{id}: to=")).count();
    mta.wait_log(SOON, "three attempts", |log| (tries(log) >= 3).then_some(())).unwrap();
    fleet.kill_directory(1).unwrap();
    fleet.admin_writes("sendmailMTACluster: mx", "Try_TLS:broken.mx.test", "NO").unwrap();
    mta.wait_accepted(SOON, "broken", Channel::Clear, 1).unwrap();
}
