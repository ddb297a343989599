//! Adoption on the real sendmail: a line that the admin wrote is adopted and its use counted; the peer is mended, which is
//! told; and on a word the line goes, the map with it, and the next mail goes over TLS.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use tests::bed::Bed;
use tests::clock::Clock;
use tests::mta::{ACCESS, Mta, Queue};
use tests::peers::{Channel, Mode, Peer};
use tests::trytlsd::output;

const SOON: Duration = Duration::from_secs(40);

/// The bed's peers live on loopback, which is on the never-list by default.
const CONFIG: &str = "dry_run = false\n[policy]\nnever = []\n";

const LINE: &str = "Try_TLS:old.mx.test  NO";

#[test]
fn an_adopted_line_is_looked_after_and_lifted() {
    let access = format!("{ACCESS}# by hand\n{LINE}\n");
    let Some(bed) = Bed::new()
        .peer(Peer::new("old", "127.0.0.11", Mode::Tls))
        .mta(Mta::default().queue(Queue::Nobody).access(&access))
        .start_or_skip("an_adopted_line_is_looked_after_and_lifted")
    else {
        return;
    };
    let clock = Clock::new(&bed).unwrap();
    let mut trytlsd = clock.run(CONFIG).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    let run = |args: &[&str]| {
        let out = output(&bed, args).unwrap();
        let told = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{told}{}", String::from_utf8_lossy(&out.stderr));
        told
    };
    let before = bed.access();
    run(&["adopt", "old.mx.test"]);
    assert_eq!(bed.access(), before);
    bed.send(&["u@old.rcpt.test"]).unwrap();
    bed.wait_accepted(SOON, "old", Channel::Clear, 1).unwrap();
    tests::wait::until(SOON, "its use", || {
        run(&["explain", "--no-dns", "old.mx.test"]).contains("1 times, last at").then_some(())
    })
    .unwrap();

    for (probe, minutes) in [(1, 27 * 60), (2, 70)] {
        clock.advance(minutes).unwrap();
        let probed = "probed relay=old.mx.test found=\"good\"";
        trytlsd.wait_says_times(SOON, probed, probe).unwrap();
    }
    trytlsd.wait_says(SOON, "it is taken out with: trytlsd lift old.mx.test").unwrap();
    assert_eq!(bed.access(), before);
    assert!(bed.map().unwrap().contains("try_tls:old.mx.test"));

    assert!(run(&["lift", "old.mx.test"]).contains(": lifted: line "));
    trytlsd.wait_says(SOON, "lifted: the adopted line").unwrap();
    assert_eq!(bed.access(), before.replace(&format!("{LINE}\n"), ""));
    assert!(!bed.map().unwrap().contains("try_tls:"), "{}", bed.map().unwrap());
    bed.send(&["u@old.rcpt.test"]).unwrap();
    bed.wait_accepted(SOON, "old", Channel::Tls, 1).unwrap();
    assert!(trytlsd.stop().unwrap().success());
}
