//! The receiving side on the real sendmail: a client with a broken STARTTLS is no longer offered it, and its mail comes in;
//! whoever else connects is offered it as before.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use tests::bed::{Bed, Replace};
use tests::client::{Client, Instead};
use tests::mta::{ACCESS, Mta, Queue};
use tests::peers::{Channel, Mode, Peer, Ptr};
use tests::trytlsd::Trytlsd;

const SOON: Duration = Duration::from_secs(40);

/// Writes after two broken handshakes. The guards that need hours are off.
const ARMED: &str = "dry_run = false\n[policy]\nfailures = 2\nmin_span = \"0s\"\nnever = []\n\
    [guards]\nweak_min_span = \"0s\"\nburst_share = 0\nburst_relays = 0\ntrusted_for = \"0s\"\n";
const ON: &str = "[receiving]\nenabled = true\nmin_span = \"0s\"\n";

const OLD: &str = "192.0.2.50";
const SCANNER: &str = "192.0.2.51";
const OTHER: &str = "192.0.2.52";
const V6: &str = "fd00:1ab::41";

/// The clients come from addresses of the bed's own. Without this sendmail would take their names for its own.
const STRANGERS: &str = "define(`confDONT_PROBE_INTERFACES', `True')dnl";

fn bed(name: &str) -> Option<Bed> {
    Bed::new()
        .peer(Peer::new("old", OLD, Mode::Tls))
        .peer(Peer::new("scanner", SCANNER, Mode::Tls))
        .peer(Peer::new("other", OTHER, Mode::Tls).ptr(Ptr::None))
        .peer(Peer::new("six", V6, Mode::Tls))
        .mta(
            Mta::default()
                .queue(Queue::Daemon(1))
                .m4(STRANGERS)
                .access(&format!("{ACCESS}Connect:192.0.2\tRELAY\n")),
        )
        .start_or_skip(name)
}

fn breaks(bed: &Bed, from: &str, instead: Instead) {
    let client = Client::connect(bed, from).unwrap();
    assert!(client.is_offered_starttls(), "{from} {}", bed.access());
    client.break_starttls(instead).unwrap();
}

fn is_offered(bed: &Bed, from: &str) -> bool {
    Client::connect(bed, from).unwrap().is_offered_starttls()
}

/// The entries in the access file, without comments.
fn entries(bed: &Bed) -> Vec<String> {
    let ours = |line: &&str| line.starts_with("Srv_Features:") || line.starts_with("Try_TLS:");
    bed.access().lines().filter(ours).map(str::to_owned).collect()
}

#[test]
fn a_broken_client_is_no_longer_offered_starttls() {
    let Some(bed) = bed("a_broken_client_is_no_longer_offered_starttls") else { return };
    let mut trytlsd = Trytlsd::run(&bed, &format!("{ARMED}{ON}")).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    for _ in 0..3 {
        breaks(&bed, SCANNER, Instead::Http);
    }
    bed.wait_line(SOON, &["STARTTLS=server, error: accept failed", "reason=http request"]).unwrap();
    for _ in 0..2 {
        breaks(&bed, OLD, Instead::Garbage);
    }
    trytlsd.wait_says(SOON, "client=192.0.2.50 proof=Matches").unwrap();
    assert_eq!(entries(&bed), ["Srv_Features:192.0.2.50\tS"], "{}", trytlsd.stderr());

    // Its very next connection is not offered STARTTLS, and its mail comes in and goes on.
    let client = Client::connect(&bed, OLD).unwrap();
    assert!(!client.is_offered_starttls());
    client.deliver("u@other.rcpt.test").unwrap();
    bed.wait_accepted(SOON, "other", Channel::Tls, 1).unwrap();
    for from in [SCANNER, OTHER, V6, "127.0.0.1"] {
        assert!(is_offered(&bed, from), "{from}");
    }

    // The same by IPv6, beside the first.
    for _ in 0..2 {
        breaks(&bed, V6, Instead::Garbage);
    }
    trytlsd.wait_says(SOON, "client=fd00:1ab::41 proof=Matches").unwrap();
    assert!(!is_offered(&bed, V6) && !is_offered(&bed, OLD) && is_offered(&bed, OTHER));
    assert_eq!(
        entries(&bed),
        ["Srv_Features:192.0.2.50\tS", "Srv_Features:IPv6:fd00:1ab:0:0:0:0:0:41\tS"]
    );
    assert!(trytlsd.stop().unwrap().success());
}

/// By name, where sendmail itself has confirmed it; by address where there is none.
#[test]
fn by_the_confirmed_name() {
    let Some(bed) = bed("by_the_confirmed_name") else { return };
    let config = format!("{ARMED}{ON}key = \"name\"\n");
    let mut trytlsd = Trytlsd::run(&bed, &config).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    for from in [OLD, OTHER] {
        for _ in 0..2 {
            breaks(&bed, from, Instead::Garbage);
        }
        trytlsd.wait_says(SOON, &format!("client={from} proof=Matches")).unwrap();
        assert!(!is_offered(&bed, from), "{from}: {}", bed.access());
    }
    assert_eq!(
        entries(&bed),
        ["Srv_Features:old.ptr.test\tS", "Srv_Features:192.0.2.52\tS"],
        "{}",
        bed.log()
    );
    assert!(trytlsd.stop().unwrap().success());
}

/// An entry of the admin's, whatever it says, is not merged: it holds, and the line is quoted. So it is where the whole is
/// off.
#[test]
fn what_the_admin_wrote_holds() {
    let Some(bed) = bed("what_the_admin_wrote_holds") else { return };
    let mut trytlsd = Trytlsd::run(&bed, ARMED).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    for _ in 0..3 {
        breaks(&bed, OLD, Instead::Garbage);
    }
    bed.wait_line(SOON, &["STARTTLS=server, error: accept failed", "[192.0.2.50]"]).unwrap();
    assert!(trytlsd.stop().unwrap().success());
    assert_eq!(entries(&bed), [""; 0]);

    bed.add_access("Srv_Features:192.0.2\tV\n", Replace::Rename).unwrap();
    let line = bed.access().lines().count();
    let mut trytlsd = Trytlsd::run(&bed, &format!("{ARMED}{ON}")).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    for _ in 0..2 {
        breaks(&bed, OLD, Instead::Garbage);
    }
    let says =
        format!("covers it: line {line} of the access file says \"Srv_Features:192.0.2\\tV\"");
    trytlsd.wait_says(SOON, &says).unwrap();
    assert_eq!(entries(&bed), ["Srv_Features:192.0.2\tV"]);
    assert!(is_offered(&bed, OLD));
    assert!(trytlsd.stop().unwrap().success());
}
