//! The bed proves itself: what the facts say of sendmail is seen in it. Every test here needs the
//! bed's root and namespaces, and says so where they cannot be had.

use std::time::Duration;

use tests::bed::{Bed, MAILLOG_TRADITIONAL, Replace};
use tests::mta::{Mta, Queue};
use tests::peers::{Channel, Mode, Peer, Ptr, What};
use tests::trytlsd::Trytlsd;

const SOON: Duration = Duration::from_secs(20);

/// The lines of the maillog about outgoing mail, without time stamp, host, program and pid.
fn outgoing(bed: &Bed) -> Vec<String> {
    bed.log()
        .lines()
        .filter_map(|line| line.split_once("]: ").map(|(_, text)| text.to_owned()))
        .filter(|text| !text.contains(": from=") && !text.contains("starting daemon"))
        .filter(|text| !text.contains("started as") && !text.contains("alias database"))
        .collect()
}

#[test]
fn a_broken_peer_gives_three_lines() {
    let Some(bed) = Bed::new()
        .peer(Peer::new("garbage", "127.0.0.11", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Nobody))
        .start_or_skip("a_broken_peer_gives_three_lines")
    else {
        return;
    };
    let id = bed.send(&["u@garbage.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &[&id, "stat=Deferred"]).unwrap();
    let lines = outgoing(&bed);
    let expect = [
        "STARTTLS=client, error: connect failed=-1, reason=wrong version number, SSL_error=1, \
         errno=0, retry=-1",
        "ruleset=tls_server, arg1=SOFTWARE, relay=garbage.mx.test, \
         reject=454 4.7.0 TLS handshake failed.",
    ];
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert_eq!(lines[..2], expect);
    for part in [
        &*format!("{id}: to=<u@garbage.rcpt.test>, "),
        "relay=garbage.mx.test. [127.0.0.11], dsn=4.7.0, \
         stat=Deferred: 454 4.7.0 TLS handshake failed.",
    ] {
        assert!(lines[2].contains(part), "{part:?} in {:?}", lines[2]);
    }
    assert_eq!(bed.queue().unwrap(), [id]);
    assert_eq!(bed.peers().reports("garbage"), [What::Connected, What::StartTls]);

    // rsyslog: RFC 3339 with microseconds and zone, as Debian 12 has it, and the traditional form.
    let line = bed.wait_line(SOON, &["ruleset=tls_server"]).unwrap();
    assert_eq!((line.as_bytes()[10], line.as_bytes()[19]), (b'T', b'.'), "{line}");
    assert!(line.contains("+00:00 lab sm-mta["), "{line}");
    let traditional = bed.namespace().read(MAILLOG_TRADITIONAL);
    assert_eq!(traditional.lines().count(), bed.log().lines().count());
    assert_eq!(traditional.find(" lab sm-mta["), Some("Nov 23 11:30:13".len()), "{traditional}");
}

#[test]
fn every_mode_is_what_it_says() {
    let modes: &[(&str, Mode, &str)] = &[
        ("plainerror", Mode::PlainError, "reason=wrong version number, SSL_error=1"),
        ("close", Mode::Close, "reason=unknown, SSL_error=5, errno=104"),
        ("reset", Mode::Reset, "reason=unknown, SSL_error=5, errno=104"),
        ("hang", Mode::Hang, "reason=unknown, SSL_error=2, errno=11, retry=0"),
        ("tls10", Mode::Tls10, "reason=legacy sigalg disallowed or unsupported, SSL_error=1"),
        ("nocipher", Mode::NoCipher, "reason=sslv3 alert handshake failure, SSL_error=1"),
    ];
    let mut plan = Bed::new()
        .peer(Peer::new("good", "127.0.0.40", Mode::Tls))
        .peer(Peer::new("good6", "fd00:1ab::40", Mode::Tls))
        .peer(Peer::new("plain", "127.0.0.41", Mode::Plain))
        .peer(Peer::new("s454", "127.0.0.42", Mode::Reply("454 4.7.0 TLS not available".into())))
        .peer(Peer::new("drop", "127.0.0.43", Mode::DropAfterHandshake))
        .peer(Peer::new("refused", "127.0.0.44", Mode::Refused))
        .peer(Peer::new("busy", "127.0.0.45", Mode::Greeting("421 4.3.2 busy".into())))
        .mta(Mta::default().queue(Queue::Nobody).starttls_timeout(2));
    for ((name, mode, _), host) in modes.iter().zip(11..) {
        plan = plan.peer(Peer::new(name, &format!("127.0.0.{host}"), mode.clone()));
    }
    let Some(bed) = plan.start_or_skip("every_mode_is_what_it_says") else { return };

    // Broken in the handshake: the reason, the ruleset line and the mail deferred.
    let sent: Vec<String> = modes
        .iter()
        .map(|(name, ..)| bed.send(&[&format!("u@{name}.rcpt.test")]).unwrap())
        .collect();
    for ((name, _, reason), id) in modes.iter().zip(&sent) {
        let relay = format!("relay={name}.mx.test,");
        let ruleset =
            bed.wait_line(SOON, &["ruleset=tls_server, arg1=SOFTWARE, ", &relay]).unwrap();
        let pid = ruleset.split_once(": ").unwrap().0.split_once(" lab ").unwrap().1;
        bed.wait_line(SOON, &[pid, "STARTTLS=client, error: connect failed=-1", reason]).unwrap();
        // A peer that hangs keeps its Deferred line back for 22 s: not waited for here.
        if *name != "hang" {
            bed.wait_line(SOON, &[id, "stat=Deferred: 454 4.7.0 TLS handshake failed."]).unwrap();
        }
        assert_eq!(bed.peers().accepted(name, Channel::Clear), 0, "{name}");
    }

    // Delivered, over TLS or in clear.
    for (name, channel) in [
        ("good", Channel::Tls),
        ("good6", Channel::Tls),
        ("plain", Channel::Clear),
        ("s454", Channel::Clear),
    ] {
        let id = bed.send(&[&format!("u@{name}.rcpt.test")]).unwrap();
        bed.wait_accepted(SOON, name, channel, 1).unwrap();
        let line = bed.wait_line(SOON, &[&id, "stat=Sent"]).unwrap();
        let address = if name == "good6" { "[IPv6:fd00:1ab:0:0:0:0:0:40]" } else { "[127.0.0." };
        assert!(line.contains(&format!("relay={name}.mx.test. {address}")), "{line}");
        assert_eq!(
            bed.peers().reports(name).last(),
            Some(&What::Message { over: channel, recipients: vec![format!("u@{name}.rcpt.test")] })
        );
    }
    bed.wait_line(SOON, &["STARTTLS=client, relay=good.mx.test., version=TLSv1.3"]).unwrap();

    // Broken otherwise: deferred without a ruleset line.
    for (name, stat) in [
        ("drop", "stat=Deferred"),
        ("refused", "stat=Deferred: Connection refused"),
        ("busy", "stat=Deferred: 421 4.3.2 busy"),
    ] {
        let id = bed.send(&[&format!("u@{name}.rcpt.test")]).unwrap();
        bed.wait_line(SOON, &[&id, stat]).unwrap();
        assert!(!bed.log().contains(&format!("arg1=SOFTWARE, relay={name}.")), "{}", bed.log());
    }

    // Mended at run time, the mail that was stuck goes out over TLS; also where nobody had listened.
    for name in ["close", "refused"] {
        bed.set_peer(name, Mode::Tls).unwrap();
    }
    bed.flush().unwrap();
    for name in ["close", "refused"] {
        bed.wait_accepted(SOON, name, Channel::Tls, 1).unwrap();
    }
    bed.set_peer("good", Mode::Garbage).unwrap();
    let id = bed.send(&["u@good.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &[&id, "stat=Deferred: 454"]).unwrap();
}

#[test]
fn an_entry_by_hand_frees_the_mail() {
    let Some(bed) = Bed::new()
        .peer(Peer::new("name", "127.0.0.11", Mode::Garbage).ptr(Ptr::Mx))
        .peer(Peer::new("address", "127.0.0.12", Mode::Garbage).ptr(Ptr::None))
        .peer(Peer::new("six", "fd00:1ab::13", Mode::Garbage).ptr(Ptr::Unconfirmed))
        .peer(Peer::new("other", "127.0.0.14", Mode::Garbage))
        .peer(Peer::new("smart", "127.0.0.15", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Daemon(1)).mailer("far.test", "esmtp:[smart.mx.test]"))
        .start_or_skip("an_entry_by_hand_frees_the_mail")
    else {
        return;
    };
    let stuck =
        ["name.rcpt.test", "address.rcpt.test", "six.rcpt.test", "other.rcpt.test", "far.test"];
    for domain in stuck {
        let id = bed.send(&[&format!("u@{domain}")]).unwrap();
        bed.wait_line(SOON, &[&id, "stat=Deferred: 454 4.7.0 TLS handshake failed."]).unwrap();
    }
    // The PTR name of the last is what folklore says, and is not looked up.
    bed.add_access(
        "Try_TLS:name.mx.test\tNO\nTry_TLS:127.0.0.12\tNO\nTry_TLS:IPv6:fd00:1ab:0:0:0:0:0:13\tNO\n\
         Try_TLS:other.ptr.test\tNO\nTry_TLS:[smart.mx.test]\tNO\n",
        Replace::Rename,
    )
    .unwrap();
    for name in ["name", "address", "six", "smart"] {
        bed.wait_accepted(SOON, name, Channel::Clear, 1).unwrap();
    }
    bed.wait_line(SOON, &["ruleset=try_tls, arg1=name.mx.test, ", "do not try TLS with"]).unwrap();
    bed.flush().unwrap();
    assert_eq!(bed.peers().accepted("other", Channel::Clear), 0);
    assert_eq!(bed.queue().unwrap().len(), 1);
    let map = bed.map().unwrap();
    assert!(map.contains("try_tls:name.mx.test\tNO\n"), "{map}");
}

#[test]
fn a_persistent_runner_needs_the_old_inode_touched() {
    let Some(bed) = Bed::new()
        .peer(Peer::new("a", "127.0.0.11", Mode::Garbage))
        .peer(Peer::new("b", "127.0.0.12", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Persistent(1)))
        .start_or_skip("a_persistent_runner_needs_the_old_inode_touched")
    else {
        return;
    };
    let attempts = |peer: &str| {
        bed.peers().reports(peer).iter().filter(|what| **what == What::StartTls).count()
    };
    // The runner, not the daemon, must have looked into the map before it is replaced.
    bed.send(&["u@a.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &[" sm-que[", "relay=a.mx.test. [127.0.0.11]", "stat=Deferred"]).unwrap();
    let more = |peer: &str| {
        let now = attempts(peer);
        tests::wait::until(SOON, "three more attempts", || {
            (attempts(peer) >= now + 3).then_some(())
        })
    };
    // Debian's own way renames: the runner holds the deleted map and goes on failing.
    bed.namespace().write(tests::bed::ACCESS, bed.access() + "Try_TLS:a.mx.test\tNO\n").unwrap();
    bed.make().unwrap();
    assert!(bed.map().unwrap().contains("try_tls:a.mx.test\tNO\n"));
    more("a").unwrap();
    assert_eq!(bed.peers().accepted("a", Channel::Clear), 0, "{}", bed.log());
    // Healed without a restart: the mtime of the inode that it holds is raised.
    bed.sh("healed=0
        for fd in /proc/[0-9]*/fd/*; do
            case $(readlink $fd) in
            */access.db' (deleted)') touch -m -d '2 seconds' $fd; healed=$((healed + 1)) ;;
            esac
        done
        [ $healed -gt 0 ]")
        .unwrap();
    bed.wait_accepted(SOON, "a", Channel::Clear, 1).unwrap();

    // The way that keeps it from happening.
    bed.send(&["u@b.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &[" sm-que[", "relay=b.mx.test. [127.0.0.12]", "stat=Deferred"]).unwrap();
    bed.add_access("Try_TLS:127.0.0.12\tNO\n", Replace::RenameAndTouch).unwrap();
    bed.wait_accepted(SOON, "b", Channel::Clear, 1).unwrap();
}

#[test]
fn host_status_and_fallback_are_options() {
    let Some(bed) = Bed::new()
        .peer(Peer::new("a", "127.0.0.11", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Nobody).host_status())
        .start_or_skip("host_status_and_fallback_are_options (HostStatusDirectory)")
    else {
        return;
    };
    let id = bed.send(&["u@a.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &[&id, "stat=Deferred: 454"]).unwrap();
    bed.flush().unwrap();
    // The host is known to be bad: deferred without an attempt, and without an address.
    bed.wait_line(SOON, &[&id, "relay=a.mx.test., dsn=4.7.0, stat=Deferred"]).unwrap();
    assert_eq!(bed.peers().reports("a"), [What::Connected, What::StartTls]);
    drop(bed);

    let Some(bed) = Bed::new()
        .peer(Peer::new("a", "127.0.0.11", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Nobody).fallback_to_clear())
        .start_or_skip("host_status_and_fallback_are_options (TLSFallbacktoClear)")
    else {
        return;
    };
    bed.send(&["u@a.rcpt.test"]).unwrap();
    bed.wait_accepted(SOON, "a", Channel::Clear, 1).unwrap();
    bed.wait_line(SOON, &["ruleset=tls_server, arg1=SOFTWARE, relay=a.mx.test"]).unwrap();
}

#[test]
fn a_bed_leaves_nothing_behind() {
    let Some(bed) = Bed::new().start_or_skip("a_bed_leaves_nothing_behind") else { return };
    bed.namespace().write("/etc/mail/only-here", "x").unwrap();
    let root = tests::need::root().unwrap();
    let inside = bed.sh("hostname; ip -o link | wc -l").unwrap();
    assert_eq!(inside, "lab\n1\n");
    let first = bed.namespace().path("/etc/mail/only-here");
    assert!(first.exists());
    drop(bed);
    assert!(!first.exists());
    assert!(!root.join("etc/mail/only-here").exists());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains("testbed"), "{mounts}");
}

#[test]
fn the_binary_runs_in_the_bed() {
    let Some(bed) = Bed::new().start_or_skip("the_binary_runs_in_the_bed") else { return };
    let output = tests::trytlsd::output(&bed, &["--version"]).unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut daemon = Trytlsd::start(&bed, &["--version"]).unwrap();
    let status = daemon.wait_end(SOON).unwrap();
    assert!(status.success(), "{status}: {}", daemon.stderr());
    assert_eq!(daemon.stdout().as_bytes(), output.stdout);
}
