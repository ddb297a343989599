//! The guards on the real sendmail: what a naive robot would have done is shown first, or could have happened, and then
//! that trytlsd holds, says why, and lets go when the reason has passed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::ops::Range;
use std::time::Duration;

use tests::bed::{Bed, Replace};
use tests::certificate::Validity;
use tests::mta::{ACCESS, Mta, Queue};
use tests::peers::{Channel, Mode, Peer, Ptr};
use tests::trytlsd::Trytlsd;

const SOON: Duration = Duration::from_secs(40);

/// Writes after two stuck attempts. The bed's peers live on loopback, which is on the never-list by default. The guards
/// that need days are off, so that only the one that is looked at can hold.
const ARMED: &str = "dry_run = false\n[policy]\nfailures = 2\nmin_span = \"0s\"\nnever = []\n";
const NO_GUARDS: &str =
    "[guards]\nweak_min_span = \"0s\"\nburst_share = 0\nburst_relays = 0\ntrusted_for = \"0s\"\n";
const BURST_ONLY: &str = "[guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\n";

/// The entries in the access file, without comments.
fn entries(bed: &Bed) -> Vec<String> {
    bed.access().lines().filter(|line| line.starts_with("Try_TLS:")).map(str::to_owned).collect()
}

/// The access map with a requirement for mail to `broken.rcpt.test`, and a sendmail that tries the queue when told.
fn requiring(requirement: &str) -> Mta {
    let access = format!("{ACCESS}TLS_Rcpt:broken.rcpt.test\t{requirement}\n");
    Mta::default().queue(Queue::Nobody).access(&access)
}

/// One peer that breaks STARTTLS.
fn one_broken(mta: Mta, name: &str) -> Option<Bed> {
    Bed::new()
        .peer(Peer::new("broken", "127.0.0.11", Mode::Garbage).ptr(Ptr::Mx))
        .mta(mta)
        .start_or_skip(name)
}

/// Sends to the broken peer and waits until the mail is stuck; gives its queue id.
fn stuck(bed: &Bed) -> String {
    let id = bed.send(&["u@broken.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &[&id, "stat=Deferred: 454 4.7.0 TLS handshake failed."]).unwrap();
    id
}

#[test]
fn tls_rcpt_bounces_what_a_naive_entry_would_free() {
    const NAME: &str = "tls_rcpt_bounces_what_a_naive_entry_would_free";
    for requirement in ["ENCR:112", "VERIFY"] {
        // The danger: the entry that frees mail elsewhere loses it here.
        let Some(bed) = one_broken(requiring(requirement), NAME) else { return };
        let id = stuck(&bed);
        assert_eq!(bed.queue().unwrap(), [&*id]);
        bed.add_access("Try_TLS:broken.mx.test\tNO\n", Replace::Rename).unwrap();
        bed.flush().unwrap();
        bed.wait_line(SOON, &[&id, "ruleset=tls_rcpt, arg1=u@broken.rcpt.test"]).unwrap();
        bed.wait_line(SOON, &[&id, "to=<u@broken.rcpt.test>", "dsn=5.", "stat=Data format error"])
            .unwrap();
        // It goes back to the sender, and out of the queue.
        bed.wait_line(SOON, &[&id, "to=<sender@lab.example.test>"]).unwrap();
        assert!(!bed.queue().unwrap().contains(&id), "{}", bed.log());
        assert_eq!(bed.peers().accepted("broken", Channel::Clear), 0);
        drop(bed);

        // trytlsd holds, quotes the line, and the mail waits on.
        let Some(bed) = one_broken(requiring(requirement), NAME) else { return };
        let mut trytlsd = Trytlsd::run(&bed, &format!("{ARMED}{NO_GUARDS}")).unwrap();
        trytlsd.wait_says(SOON, "following").unwrap();
        let id = stuck(&bed);
        bed.flush().unwrap();
        let line = bed.access().lines().count();
        let says = format!(
            "mail to broken.rcpt.test would bounce: line {line} of the access file says \
             \"TLS_Rcpt:broken.rcpt.test\\t{requirement}\""
        );
        trytlsd.wait_says(SOON, &says).unwrap();
        bed.flush().unwrap();
        assert_eq!(bed.queue().unwrap(), [&*id], "{}", bed.log());
        assert!(!bed.log().contains("dsn=5."), "{}", bed.log());
        assert_eq!(entries(&bed), [""; 0]);
        assert!(trytlsd.stop().unwrap().success());
    }

    // The same without the requirement: an entry, and the mail is delivered in clear.
    let Some(bed) = one_broken(Mta::default().queue(Queue::Nobody), NAME) else { return };
    let mut trytlsd = Trytlsd::run(&bed, &format!("{ARMED}{NO_GUARDS}")).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    stuck(&bed);
    bed.flush().unwrap();
    trytlsd.wait_says(SOON, "relay=broken.mx.test proof=Matches").unwrap();
    assert_eq!(entries(&bed), ["Try_TLS:broken.mx.test\tNO"]);
    bed.flush().unwrap();
    bed.wait_accepted(SOON, "broken", Channel::Clear, 1).unwrap();
    assert!(trytlsd.stop().unwrap().success());
}

/// Relays that want a certificate of sendmail, and how many of them get mail soon after it is mended.
const RELAYS: usize = 50;
const TRIED_SOON: usize = 40;

/// Sends one message to each of those relays.
fn send_to(bed: &Bed, relays: Range<usize>) {
    for number in relays {
        bed.send(&[&format!("u@r{number}.rcpt.test")]).unwrap();
    }
}

/// Waits until each of them has taken so many messages over TLS.
fn wait_taken(bed: &Bed, relays: Range<usize>, count: usize) {
    for number in relays {
        bed.wait_accepted(SOON, &format!("r{number}"), Channel::Tls, count).unwrap();
    }
}

/// Sends to the peer that really is broken, until its mail gets through in clear.
fn broken_gets_its_entry(bed: &Bed, trytlsd: &mut Trytlsd<'_>) {
    stuck(bed);
    stuck(bed);
    trytlsd.wait_says(SOON, "relay=broken.mx.test proof=Matches").unwrap();
    assert_eq!(entries(bed), ["Try_TLS:broken.mx.test\tNO"], "{}", trytlsd.stderr());
}

#[test]
fn fifty_relays_failing_after_the_own_certificate_broke() {
    let mut plan = Bed::new()
        .peer(Peer::new("broken", "127.0.0.11", Mode::Garbage).ptr(Ptr::Mx))
        .mta(Mta::default().queue(Queue::Nobody));
    for number in 0..RELAYS {
        let address = format!("127.0.1.{}", number + 1);
        plan = plan.peer(Peer::new(&format!("r{number}"), &address, Mode::WantsCertificate));
    }
    let bed = plan.start_or_skip("fifty_relays_failing_after_the_own_certificate_broke");
    let Some(bed) = bed else { return };
    let config = format!("{ARMED}{BURST_ONLY}");
    let mut trytlsd = Trytlsd::run(&bed, &config).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    send_to(&bed, 0..RELAYS);
    wait_taken(&bed, 0..RELAYS, 1);

    // The certificate expires: each relay is past the threshold, and none gets an entry.
    bed.certify_mta(Validity::Expired).unwrap();
    for _ in 0..2 {
        send_to(&bed, 0..RELAYS);
    }
    let failed = "ruleset=tls_server, arg1=SOFTWARE, relay=r";
    bed.wait_log(SOON, "two failures with each relay", |log| {
        (log.matches(failed).count() >= 2 * RELAYS).then_some(())
    })
    .unwrap();
    let reason = "reason=sslv3 alert certificate expired";
    assert!(bed.log().contains(reason), "{}", bed.log());
    for number in 0..RELAYS {
        let held = format!("held relay=r{number}.mx.test reason=the fault seems to be ours: ");
        trytlsd.wait_says(SOON, &held).unwrap();
    }
    bed.flush().unwrap();
    assert_eq!(bed.queue().unwrap().len(), 2 * RELAYS, "{}", bed.log());
    assert_eq!(entries(&bed), [""; 0]);
    let raised = "ALARM: 20 relays began to fail within an hour; likely cause: this host's own \
                  certificate, which peers refuse";
    trytlsd.wait_says(SOON, raised).unwrap();

    // It is replaced, and most relays are tried before the others' turn comes: the alarm ends by itself.
    bed.certify_mta(Validity::Current).unwrap();
    send_to(&bed, 0..TRIED_SOON);
    wait_taken(&bed, 0..TRIED_SOON, 2);
    trytlsd.wait_says(SOON, "the alarm has ended: other relays work again").unwrap();
    assert_eq!(trytlsd.stderr().matches("ALARM").count(), 1, "{}", trytlsd.stderr());

    // Those others do not get what it held back, also when all is weighed anew, as at a start. Who is really broken does.
    assert!(trytlsd.stop().unwrap().success());
    let mut trytlsd = Trytlsd::run(&bed, &config).unwrap();
    broken_gets_its_entry(&bed, &mut trytlsd);

    // The rest is delivered, all of it over TLS.
    bed.flush().unwrap();
    wait_taken(&bed, 0..TRIED_SOON, 4);
    wait_taken(&bed, TRIED_SOON..RELAYS, 3);
    assert_eq!(bed.queue().unwrap(), [""; 0]);
    for number in 0..RELAYS {
        assert_eq!(bed.peers().accepted(&format!("r{number}"), Channel::Clear), 0);
    }
    assert_eq!(entries(&bed), ["Try_TLS:broken.mx.test\tNO"]);
    assert!(!trytlsd.stderr().contains("ALARM"), "{}", trytlsd.stderr());
    assert!(trytlsd.stop().unwrap().success());
}

/// Relays whose PTR is this host's own name, and one that is this host under another name of class w. Such a PTR is the
/// other side's text: it never becomes a key. By default the address does, unless our own forward zone confirms the PTR:
/// then the address is one of ours.
#[test]
fn our_own_name_as_ptr() {
    const OWN: &str = "lab.example.test";
    let bed = Bed::new()
        .peer(Peer::new("lying", "127.0.0.11", Mode::Garbage).ptr(Ptr::None))
        .peer(Peer::new("confirmed", "127.0.0.12", Mode::Garbage).ptr(Ptr::None))
        .peer(Peer::new("own", "127.0.0.13", Mode::Garbage).ptr(Ptr::Mx))
        .dns(&format!("ptr-record=11.0.0.127.in-addr.arpa,{OWN}"))
        .dns(&format!("host-record={OWN},127.0.0.12"))
        .mta(
            Mta::default()
                .queue(Queue::Nobody)
                .m4("LOCAL_DOMAIN(`own.mx.test')dnl")
                .mailer("own.rcpt.test", "esmtp:[own.mx.test]"),
        )
        .start_or_skip("our_own_name_as_ptr");
    let Some(bed) = bed else { return };
    let config = format!("{ARMED}{NO_GUARDS}");
    let mut trytlsd = Trytlsd::run(&bed, &format!("{config}[access]\nkey = \"ptr\"\n")).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    let [_, confirmed, own] = ["lying", "confirmed", "own"].map(|name| {
        let id = bed.send(&[&format!("u@{name}.rcpt.test")]).unwrap();
        bed.wait_line(SOON, &[&id, "stat=Deferred: 454 4.7.0 TLS handshake failed."]).unwrap();
        id
    });
    bed.flush().unwrap();
    for held in [
        "relay=lying.mx.test reason=127.0.0.11 has no confirmed PTR name".to_owned(),
        format!("relay=confirmed.mx.test reason={OWN} is this host's own name"),
        "relay=[own.mx.test] reason=[own.mx.test] is this host's own name".to_owned(),
    ] {
        trytlsd.wait_says(SOON, &held).unwrap();
    }
    assert_eq!(entries(&bed), [""; 0]);
    assert!(trytlsd.stop().unwrap().success());

    let mut trytlsd = Trytlsd::run(&bed, &config).unwrap();
    trytlsd.wait_says(SOON, "relay=lying.mx.test proof=Matches").unwrap();
    trytlsd.wait_says(SOON, "[own.mx.test] is this host's own name").unwrap();
    trytlsd.wait_says(SOON, &format!("confirmed.mx.test reason={OWN} is this host's")).unwrap();
    bed.flush().unwrap();
    bed.wait_accepted(SOON, "lying", Channel::Clear, 1).unwrap();
    let (mut waiting, mut expect) = (bed.queue().unwrap(), [confirmed, own]);
    waiting.sort_unstable();
    expect.sort_unstable();
    assert_eq!(waiting, expect);
    assert_eq!(entries(&bed), ["Try_TLS:127.0.0.11\tNO"]);
    assert!(trytlsd.stop().unwrap().success());
}
