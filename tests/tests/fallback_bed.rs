//! `[entry] remedy = "fallback"` on the real sendmail, over IPv4 and IPv6: a peer breaks, gets its entry, and mail flows in
//! clear; it is mended, and the next mail goes over TLS with nobody touching anything; it breaks again, and the same entry
//! lets mail flow at once. When nothing broke for a week it goes. Where sendmail cannot do it, that is said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use tests::bed::Bed;
use tests::clock::Clock;
use tests::mta::{Mta, Queue};
use tests::peers::{Channel, Mode, Peer};
use tests::trytlsd::{Trytlsd, output};

const SOON: Duration = Duration::from_secs(40);

const CONFIG: &str = "dry_run = false\n[policy]\nnever = []\n[entry]\nremedy = \"fallback\"\n";

const ENTRIES: [&str; 2] = [
    "TLS_Clt_features:127.0.0.11\tflags=C",
    "TLS_Clt_features:IPv6:fd00:1ab:0:0:0:0:0:11\tflags=C",
];

const PEERS: [&str; 2] = ["four", "six"];

fn entries(bed: &Bed) -> Vec<String> {
    let ours = |line: &&str| line.starts_with("TLS_Clt_features:") || line.starts_with("Try_TLS:");
    bed.access().lines().filter(ours).map(str::to_owned).collect()
}

/// Mail to both peers is delivered so, for the `count`th time, without a run of the queue.
fn delivered(bed: &Bed, channel: Channel, count: usize) {
    for peer in PEERS {
        bed.wait_accepted(SOON, peer, channel, count).unwrap();
    }
    let empty = || bed.queue().unwrap().is_empty().then_some(());
    tests::wait::until(SOON, "an empty queue", empty).unwrap();
}

fn send(bed: &Bed) {
    for peer in PEERS {
        bed.send(&[&format!("u@{peer}.rcpt.test")]).unwrap();
    }
}

fn set(bed: &Bed, mode: &Mode) {
    for peer in PEERS {
        bed.set_peer(peer, mode.clone()).unwrap();
    }
}

/// Waits until `what` was said of both peers `times` times.
fn said(trytlsd: &Trytlsd<'_>, what: &str, times: usize) {
    for peer in PEERS {
        let line = what.replace("PEER", &format!("relay={peer}.mx.test"));
        trytlsd.wait_says_times(SOON, &line, times).unwrap();
    }
}

#[test]
fn an_entry_that_heals_by_itself() {
    let Some(bed) = Bed::new()
        .peer(Peer::new("four", "127.0.0.11", Mode::Garbage))
        .peer(Peer::new("six", "fd00:1ab::11", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Nobody).session_features())
        .start_or_skip("an_entry_that_heals_by_itself")
    else {
        return;
    };
    let clock = Clock::new(&bed).unwrap();
    let mut trytlsd = clock.run(CONFIG).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();

    // Broken: one attempt of the queue's and three probes, then the entry; what was stuck is delivered.
    for peer in PEERS {
        let id = bed.send(&[&format!("u@{peer}.rcpt.test")]).unwrap();
        bed.wait_line(SOON, &[&id, "stat=Deferred: 454 4.7.0 TLS handshake failed."]).unwrap();
    }
    // The log is looked at each second; what is read after the clock was set would count from then on.
    trytlsd.wait_stuck(SOON, 2).unwrap();
    for (probe, minutes) in [(1, 2), (2, 2), (3, 3)] {
        assert_eq!(entries(&bed), [""; 0], "{}", trytlsd.stderr());
        clock.advance(minutes).unwrap();
        said(&trytlsd, "probed PEER found=\"broken: not-tls\"", probe);
    }
    said(&trytlsd, "proof PEER proof=Matches", 1);
    said(&trytlsd, "flushing PEER messages=1", 1);
    delivered(&bed, Channel::Clear, 1);
    let mut written = entries(&bed);
    written.sort_unstable();
    assert_eq!(written, ENTRIES);
    let file = bed.access();
    assert_eq!(file.matches(" until=- ").count(), 2, "they have no end: {file}");

    // Mended: the next mail goes over TLS. Broken again: the next one goes in clear at once.
    set(&bed, &Mode::Tls);
    send(&bed);
    delivered(&bed, Channel::Tls, 1);
    set(&bed, &Mode::Garbage);
    for count in [2, 3, 4] {
        send(&bed);
        delivered(&bed, Channel::Clear, count);
    }
    assert_eq!(bed.access(), file, "nobody touched it");
    assert_eq!(bed.log().matches("stat=Deferred").count(), 2, "{}", bed.log());

    // Mended for good: probed each day, and after a week without a fault it goes.
    set(&bed, &Mode::Tls);
    for (probe, days) in [(1, 2), (2, 4), (3, 3)] {
        assert_eq!(entries(&bed).len(), 2, "{}", trytlsd.stderr());
        clock.advance(days * 24 * 60).unwrap();
        said(&trytlsd, "probed PEER found=\"good\"", probe);
    }
    said(&trytlsd, "lifted PEER", 1);
    tests::wait::until(SOON, "no entry", || entries(&bed).is_empty().then_some(())).unwrap();
    assert_eq!(bed.map().unwrap().matches("tls_clt_features:").count(), 0);
    send(&bed);
    delivered(&bed, Channel::Tls, 2);
    assert!(trytlsd.stop().unwrap().success());
}

#[test]
fn where_sendmail_cannot_do_it() {
    let Some(bed) = Bed::new().start_or_skip("where_sendmail_cannot_do_it") else { return };
    let feature = "FEATURE(`tls_session_features')dnl into the mc file";
    let config = "/etc/trytlsd/trytlsd.toml";
    let try_tls = CONFIG.replace("fallback", "try_tls");
    let mut trytlsd = Trytlsd::run(&bed, &try_tls).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    let check = || {
        let output = output(&bed, &["check-config"]).unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (_, text) = check();
    let told = "ok [entry] remedy = \"try_tls\" is used; \"fallback\" could not be: ";
    assert!(text.contains(told) && text.contains(feature), "{text}");

    // A running daemon keeps its config, and a new one does not start.
    bed.namespace().write(config, CONFIG).unwrap();
    trytlsd.signal("HUP").unwrap();
    trytlsd.wait_says(SOON, "the old config stays in force").unwrap();
    assert!(trytlsd.stop().unwrap().success());
    let (status, text) = check();
    let refused = "[entry] remedy = \"fallback\" cannot be used: /etc/mail/sendmail.cf: ";
    assert!(
        status == Some(1) && text.contains(&format!("!! {refused}")) && text.contains(feature),
        "{text}"
    );
    let mut trytlsd = Trytlsd::start(&bed, &["run"]).unwrap();
    assert!(!trytlsd.wait_end(SOON).unwrap().success());
    assert!(trytlsd.stderr().contains(refused), "{}", trytlsd.stderr());

    // With the line that it named it does.
    bed.sh("cd /etc/mail && sed -i \"s/^MAILER_DEFINITIONS/FEATURE(\\`tls_session_features')dnl\\n&/\" sendmail.mc \
            && m4 sendmail.mc >sendmail.cf").unwrap();
    let (_, text) = check();
    let can = "ok sendmail falls back for one relay: [entry] remedy = \"fallback\" can be used";
    assert!(text.contains(can), "{text}");
    let mut trytlsd = Trytlsd::start(&bed, &["run"]).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    assert!(trytlsd.stop().unwrap().success());
}
