//! The main job on the real thing: mail is stuck, trytlsd writes the entry, and the running sendmail delivers without a
//! restart. Real sendmail, rsyslog, makemap and dnsmasq; peers that break STARTTLS.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use tests::bed::{Bed, Replace};
use tests::mta::{Mta, Queue};
use tests::peers::{Channel, Mode, Peer, Ptr};
use tests::trytlsd::Trytlsd;

const SOON: Duration = Duration::from_secs(40);

/// Writes after two stuck attempts. The bed's peers live on loopback, which is on the never-list by default.
const ARMED: &str = "dry_run = false\n[policy]\nfailures = 2\nmin_span = \"0s\"\nnever = []\n[guards]\nweak_min_span = \"0s\"\nburst_share = 0\nburst_relays = 0\ntrusted_min_span = \"0s\"\n";

/// The entries in the access file, without comments.
fn entries(bed: &Bed) -> Vec<String> {
    bed.access().lines().filter(|line| line.starts_with("Try_TLS:")).map(str::to_owned).collect()
}

/// Sends to `name`, and waits until it arrived in clear.
fn flows(bed: &Bed, trytlsd: &mut Trytlsd<'_>, name: &str) {
    bed.send(&[&format!("u@{name}.rcpt.test")]).unwrap();
    trytlsd.wait_says(SOON, &format!("relay={name}.mx.test proof=Matches")).unwrap();
    bed.wait_accepted(SOON, name, Channel::Clear, 1).unwrap();
}

/// One way of running the queue: mail is stuck, and then it flows, with nobody restarting anything.
fn stuck_mail_flows(name: &str, mta: Mta, foreign_make: bool) {
    let bed = Bed::new()
        .peer(Peer::new("broken", "127.0.0.11", Mode::Garbage))
        .peer(Peer::new("later", "127.0.0.12", Mode::Reset))
        .peer(Peer::new("good", "127.0.0.21", Mode::Tls))
        .mta(mta)
        .start_or_skip(name);
    let Some(bed) = bed else { return };
    let mut trytlsd = Trytlsd::run(&bed, ARMED).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    flows(&bed, &mut trytlsd, "broken");
    if foreign_make {
        bed.namespace()
            .write("/etc/mail/access", bed.access() + "Connect:192.0.2.1\tREJECT\n")
            .unwrap();
        bed.make().unwrap();
    }
    flows(&bed, &mut trytlsd, "later");
    assert_eq!(entries(&bed), ["Try_TLS:127.0.0.11\tNO", "Try_TLS:127.0.0.12\tNO"]);
    assert_eq!(bed.access().contains("Connect:192.0.2.1\tREJECT\n"), foreign_make);
    bed.send(&["u@good.rcpt.test"]).unwrap();
    bed.wait_accepted(SOON, "good", Channel::Tls, 1).unwrap();
    assert!(trytlsd.stop().unwrap().success());
}

#[test]
fn a_daemon_that_forks_its_queue_runs_delivers() {
    let mta = Mta::default().queue(Queue::Daemon(1));
    stuck_mail_flows("a_daemon_that_forks_its_queue_runs_delivers", mta, true);
}

#[test]
fn a_persistent_queue_runner_delivers_also_after_a_foreign_make() {
    let mta = Mta::default().queue(Queue::Persistent(1));
    stuck_mail_flows("a_persistent_queue_runner_delivers_also_after_a_foreign_make", mta, true);
}

#[test]
fn a_persistent_queue_runner_delivers_with_host_status() {
    let mta = Mta::default()
        .queue(Queue::Persistent(1))
        .host_status()
        .m4("define(`confTO_HOSTSTATUS', `2s')dnl");
    stuck_mail_flows("a_persistent_queue_runner_delivers_with_host_status", mta, false);
}

/// A runner that took a map which was replaced before trytlsd was started is told as well.
#[test]
fn a_map_replaced_before_the_start_is_no_obstacle() {
    let bed = Bed::new()
        .peer(Peer::new("broken", "127.0.0.11", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Persistent(1)))
        .start_or_skip("a_map_replaced_before_the_start_is_no_obstacle");
    let Some(bed) = bed else { return };
    bed.send(&["u@broken.rcpt.test"]).unwrap();
    // The runner's own attempt, not only that of the process that took the message: then it holds the map.
    bed.wait_log(SOON, "two attempts", |log| {
        (log.matches("arg1=SOFTWARE, relay=broken.mx.test").count() >= 2).then_some(())
    })
    .unwrap();
    bed.add_access("Connect:192.0.2.1\tREJECT\n", Replace::Rename).unwrap();
    let mut trytlsd = Trytlsd::run(&bed, ARMED).unwrap();
    trytlsd.wait_says(SOON, "told processes that held a deleted map").unwrap();
    bed.wait_accepted(SOON, "broken", Channel::Clear, 1).unwrap();
    assert!(trytlsd.stop().unwrap().success());
}

/// Which key is written, on the real lookup: each of them makes mail flow.
#[test]
fn the_key_is_the_one_that_sendmail_looks_up() {
    let bed = Bed::new()
        .peer(Peer::new("same", "127.0.0.11", Mode::Garbage).ptr(Ptr::Mx))
        .peer(Peer::new("other", "127.0.0.12", Mode::Garbage).ptr(Ptr::Own))
        .peer(Peer::new("unconfirmed", "127.0.0.13", Mode::Garbage).ptr(Ptr::Unconfirmed))
        .peer(Peer::new("none", "127.0.0.14", Mode::Garbage).ptr(Ptr::None))
        .peer(Peer::new("six", "fd00:1ab::41", Mode::Garbage).ptr(Ptr::Mx))
        .peer(Peer::new("sixnone", "fd00:1ab::42", Mode::Garbage).ptr(Ptr::None))
        .peer(Peer::new("smart", "127.0.0.15", Mode::Garbage).ptr(Ptr::Mx))
        .peer(Peer::new("smartother", "127.0.0.16", Mode::Garbage).ptr(Ptr::Own))
        .peer(Peer::new("literal", "127.0.0.17", Mode::Garbage))
        .peer(Peer::new("first", "127.0.0.18", Mode::Garbage).ptr(Ptr::Mx))
        .peer(Peer::new("second", "127.0.0.22", Mode::Tls))
        .peer(Peer::new("brokenfirst", "127.0.0.19", Mode::Garbage))
        .peer(Peer::new("downsecond", "127.0.0.23", Mode::Refused))
        .peer(Peer::new("good", "127.0.0.21", Mode::Tls))
        .dns("mx-host=fine.rcpt.test,first.mx.test,10")
        .dns("mx-host=fine.rcpt.test,second.mx.test,20")
        .dns("mx-host=down.rcpt.test,brokenfirst.mx.test,10")
        .dns("mx-host=down.rcpt.test,downsecond.mx.test,20")
        .mta(
            Mta::default()
                .queue(Queue::Persistent(1))
                .mailer("via.test", "esmtp:[smart.mx.test]")
                .mailer("viaother.test", "esmtp:[smartother.mx.test]")
                .mailer("vialiteral.test", "esmtp:[127.0.0.17]"),
        )
        .start_or_skip("the_key_is_the_one_that_sendmail_looks_up");
    let Some(bed) = bed else { return };
    let mut trytlsd = Trytlsd::run(&bed, ARMED).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    let to = ["same", "other", "unconfirmed", "none", "six", "sixnone", "fine", "down", "good"];
    for name in to {
        bed.send(&[&format!("u@{name}.rcpt.test")]).unwrap();
    }
    for domain in ["via.test", "viaother.test", "vialiteral.test"] {
        bed.send(&[&format!("u@{domain}")]).unwrap();
    }
    let clear = [
        "same",
        "other",
        "unconfirmed",
        "none",
        "six",
        "sixnone",
        "smart",
        "smartother",
        "literal",
        "brokenfirst",
    ];
    for name in clear {
        bed.wait_accepted(SOON, name, Channel::Clear, 1)
            .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", trytlsd.stderr(), bed.access()));
    }
    bed.wait_accepted(SOON, "second", Channel::Tls, 1).unwrap();
    bed.wait_accepted(SOON, "good", Channel::Tls, 1).unwrap();
    let mut written = entries(&bed);
    written.sort();
    let mut expect = [
        "Try_TLS:same.mx.test\tNO",
        "Try_TLS:127.0.0.12\tNO",
        "Try_TLS:127.0.0.13\tNO",
        "Try_TLS:127.0.0.14\tNO",
        "Try_TLS:six.mx.test\tNO",
        "Try_TLS:IPv6:fd00:1ab:0:0:0:0:0:42\tNO",
        "Try_TLS:[smart.mx.test]\tNO",
        "Try_TLS:127.0.0.16\tNO",
        "Try_TLS:127.0.0.17\tNO",
        "Try_TLS:brokenfirst.mx.test\tNO",
    ];
    expect.sort_unstable();
    assert_eq!(written, expect);
    // A good peer beside them keeps TLS, before and after.
    bed.send(&["v@good.rcpt.test"]).unwrap();
    bed.wait_accepted(SOON, "good", Channel::Tls, 2).unwrap();
    assert_eq!(bed.peers().accepted("good", Channel::Clear), 0);
    assert_eq!(bed.peers().accepted("second", Channel::Clear), 0);
    assert!(trytlsd.stop().unwrap().success());
}

#[test]
fn a_ptr_key_that_would_not_match_is_held_and_says_so() {
    let bed = Bed::new()
        .peer(Peer::new("other", "127.0.0.12", Mode::Garbage).ptr(Ptr::Own))
        .peer(Peer::new("same", "127.0.0.11", Mode::Garbage).ptr(Ptr::Mx))
        .start_or_skip("a_ptr_key_that_would_not_match_is_held_and_says_so");
    let Some(bed) = bed else { return };
    let mut trytlsd = Trytlsd::run(&bed, &format!("{ARMED}[access]\nkey = \"ptr\"\n")).unwrap();
    bed.send(&["u@other.rcpt.test"]).unwrap();
    let says = "the PTR name other.ptr.test would not match: sendmail looks up other.mx.test";
    trytlsd.wait_says(SOON, says).unwrap();
    bed.send(&["u@same.rcpt.test"]).unwrap();
    bed.wait_accepted(SOON, "same", Channel::Clear, 1).unwrap();
    assert_eq!(entries(&bed), ["Try_TLS:same.mx.test\tNO"]);
    assert_eq!(bed.peers().accepted("other", Channel::Clear), 0);
    assert!(trytlsd.stop().unwrap().success());
}

/// A smart host given by its address, with a second one that is down: the Deferred line names only the second.
#[test]
fn an_address_literal_is_proven_at_its_own_address() {
    let bed = Bed::new()
        .peer(Peer::new("literal", "127.0.0.17", Mode::Garbage))
        .peer(Peer::new("down", "127.0.0.23", Mode::Refused))
        .mta(Mta::default().mailer("via.test", "esmtp:[127.0.0.17]:[127.0.0.23]"))
        .start_or_skip("an_address_literal_is_proven_at_its_own_address");
    let Some(bed) = bed else { return };
    let mut trytlsd = Trytlsd::run(&bed, ARMED).unwrap();
    bed.send(&["u@via.test"]).unwrap();
    trytlsd.wait_says(SOON, "relay=[127.0.0.17] proof=Matches").unwrap();
    bed.wait_accepted(SOON, "literal", Channel::Clear, 1).unwrap();
    assert_eq!(entries(&bed), ["Try_TLS:127.0.0.17\tNO"]);
    assert!(trytlsd.stop().unwrap().success());
}

/// `rebuild = "none"`: somebody else rebuilds the map, later. No proof is asked for before that, and nothing is undone.
#[test]
fn a_map_that_others_rebuild_is_left_to_them() {
    let bed = Bed::new()
        .peer(Peer::new("broken", "127.0.0.11", Mode::Garbage))
        .start_or_skip("a_map_that_others_rebuild_is_left_to_them");
    let Some(bed) = bed else { return };
    let config = format!("{ARMED}[access]\nrebuild = \"none\"\n");
    let mut trytlsd = Trytlsd::run(&bed, &config).unwrap();
    bed.send(&["u@broken.rcpt.test"]).unwrap();
    trytlsd.wait_says(SOON, "relay=broken.mx.test proof=NotYet").unwrap();
    assert_eq!(bed.peers().accepted("broken", Channel::Clear), 0);
    bed.make().unwrap();
    bed.wait_accepted(SOON, "broken", Channel::Clear, 1).unwrap();
    assert_eq!(entries(&bed), ["Try_TLS:127.0.0.11\tNO"]);
    assert!(trytlsd.stop().unwrap().success());
}

/// Dry run shows the lines and writes nothing; when it ends, what was proposed is written.
#[test]
fn dry_run_shows_and_its_end_writes() {
    let bed = Bed::new()
        .peer(Peer::new("broken", "127.0.0.11", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Persistent(1)))
        .start_or_skip("dry_run_shows_and_its_end_writes");
    let Some(bed) = bed else { return };
    let dry = ARMED.replace("dry_run = false\n", "");
    let mut trytlsd = Trytlsd::run(&bed, &dry).unwrap();
    let before = bed.access();
    bed.send(&["u@broken.rcpt.test"]).unwrap();
    trytlsd.wait_says(SOON, "Try_TLS:127.0.0.11\tNO").unwrap();
    assert_eq!(trytlsd.stdout(), "Try_TLS:127.0.0.11\tNO\n");
    assert_eq!(bed.access(), before);
    assert_eq!(bed.queue().unwrap().len(), 1);
    bed.namespace().write("/etc/trytlsd/trytlsd.toml", "what = 1\n").unwrap();
    trytlsd.signal("HUP").unwrap();
    trytlsd.wait_says(SOON, "the old config stays in force").unwrap();
    bed.namespace().write("/etc/trytlsd/trytlsd.toml", ARMED).unwrap();
    trytlsd.signal("HUP").unwrap();
    bed.wait_accepted(SOON, "broken", Channel::Clear, 1).unwrap();
    assert_eq!(entries(&bed), ["Try_TLS:127.0.0.11\tNO"]);
    assert!(trytlsd.stop().unwrap().success());
    // The admin's lines are untouched, to the byte.
    assert!(bed.access().starts_with(&before));
}
