//! The life of an entry on the real sendmail, over IPv4 and IPv6: a peer breaks and is opted out within minutes; it is
//! mended, the probes see it, the entry goes and the next mail goes over TLS; it breaks again and is back the short way.
//! Nobody touches anything. The days in between are trytlsd's alone: its clock is set ahead.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use tests::bed::Bed;
use tests::clock::Clock;
use tests::mta::{Mta, Queue};
use tests::peers::{Channel, Mode, Peer};
use tests::trytlsd::Trytlsd;

const SOON: Duration = Duration::from_secs(40);

/// The default thresholds and guards; the bed's peers live on loopback, which is on the never-list by default.
const CONFIG: &str = "dry_run = false\n[policy]\nnever = []\n";

const PEERS: [&str; 2] = ["four", "six"];

fn entries(bed: &Bed) -> usize {
    bed.access().lines().filter(|line| line.starts_with("Try_TLS:")).count()
}

/// Mail to both peers; the queue ids.
fn send(bed: &Bed) -> Vec<String> {
    PEERS.iter().map(|peer| bed.send(&[&format!("u@{peer}.rcpt.test")]).unwrap()).collect()
}

fn stuck(bed: &Bed) {
    for id in send(bed) {
        bed.wait_line(SOON, &[&id, "stat=Deferred: 454 4.7.0 TLS handshake failed."]).unwrap();
    }
}

/// Waits until `what` was said of both peers `times` times.
fn said(trytlsd: &Trytlsd<'_>, what: &str, times: usize) {
    for peer in PEERS {
        let line = what.replace("PEER", &format!("relay={peer}.mx.test"));
        trytlsd.wait_says_times(SOON, &line, times).unwrap();
    }
}

fn delivered(bed: &Bed, channel: Channel, count: usize) {
    for peer in PEERS {
        bed.wait_accepted(SOON, peer, channel, count).unwrap();
    }
}

#[test]
fn an_entry_comes_and_goes_by_itself() {
    let Some(bed) = Bed::new()
        .peer(Peer::new("four", "127.0.0.11", Mode::Garbage))
        .peer(Peer::new("six", "fd00:1ab::11", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Nobody))
        .start_or_skip("an_entry_comes_and_goes_by_itself")
    else {
        return;
    };
    let clock = Clock::new(&bed).unwrap();
    let mut trytlsd = clock.run(CONFIG).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();

    // One attempt of the queue's, and three probes over six minutes.
    stuck(&bed);
    // Before the clock is set on: a failure that is read later would be one of later.
    trytlsd.wait_stuck(SOON, 2).unwrap();
    for (probe, minutes) in [(1, 2), (2, 2), (3, 3)] {
        assert_eq!(entries(&bed), 0, "{}", trytlsd.stderr());
        clock.advance(minutes).unwrap();
        said(&trytlsd, "probed PEER found=\"broken: not-tls\"", probe);
    }
    said(&trytlsd, "active PEER", 1);
    said(&trytlsd, "proof PEER proof=Matches", 1);
    said(&trytlsd, "flushing PEER messages=1", 1);
    assert!(clock.minutes() < 10);
    // Delivered at once, without a run of the queue.
    delivered(&bed, Channel::Clear, 1);
    tests::wait::until(SOON, "an empty queue", || bed.queue().unwrap().is_empty().then_some(()))
        .unwrap();

    // Mended: two good probes, and the entry goes.
    for peer in PEERS {
        bed.set_peer(peer, Mode::Tls).unwrap();
    }
    for (probe, minutes) in [(1, 27 * 60), (2, 70)] {
        clock.advance(minutes).unwrap();
        said(&trytlsd, "probed PEER found=\"good\"", probe);
    }
    said(&trytlsd, "lifted PEER", 1);
    tests::wait::until(SOON, "no entry", || (entries(&bed) == 0).then_some(())).unwrap();
    assert_eq!(bed.map().unwrap().matches("try_tls:").count(), 0);
    send(&bed);
    delivered(&bed, Channel::Tls, 1);

    // It breaks again: one stuck attempt is enough, though TLS worked a moment ago.
    for peer in PEERS {
        bed.set_peer(peer, Mode::Garbage).unwrap();
    }
    stuck(&bed);
    said(&trytlsd, "proof PEER proof=Matches", 2);
    delivered(&bed, Channel::Clear, 2);
    tests::wait::until(SOON, "an empty queue", || bed.queue().unwrap().is_empty().then_some(()))
        .unwrap();
    assert!(trytlsd.stop().unwrap().success());
}
