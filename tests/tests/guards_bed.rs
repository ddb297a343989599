//! The guards on the real sendmail: what a naive robot would have done is shown first, or could have happened, and then
//! that trytlsd holds, says why, and lets go when the reason has passed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use tests::bed::{Bed, Replace};
use tests::mta::{ACCESS, Mta, Queue};
use tests::peers::{Channel, Mode, Peer, Ptr};
use tests::trytlsd::Trytlsd;

const SOON: Duration = Duration::from_secs(40);

/// Writes after two stuck attempts. The bed's peers live on loopback, which is on the never-list by default. The guards
/// that need days are off, so that only the one that is looked at can hold.
const ARMED: &str = "dry_run = false\n[policy]\nfailures = 2\nmin_span = \"0s\"\nnever = []\n";
const NO_GUARDS: &str =
    "[guards]\nweak_min_span = \"0s\"\nburst_share = 0\nburst_relays = 0\ntrusted_for = \"0s\"\n";

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
