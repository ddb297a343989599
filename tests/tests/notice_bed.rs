//! Notices by the real sendmail: a mail to a local mailbox, with its headers as they arrive; and the summary of a day.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use tests::bed::Bed;
use tests::clock::Clock;
use tests::mta::{ACCESS, Mta, Queue};
use tests::peers::{Mode, Peer};
use tests::trytlsd::output;
use tests::wait;

const SOON: Duration = Duration::from_secs(40);

/// One attempt is enough, and no probe stands in for it; the bed's peers live on loopback.
const CONFIG: &str = "dry_run = false\n[policy]\nfailures = 1\nmin_span = \"0s\"\nnever = []\nprobe = false\n[guards]\n\
    burst_relays = 0\nburst_share = 0\n[notice]\nmail_to = [\"root\", \"nobody@localhost\"]\n";

#[test]
fn a_notice_arrives_in_a_local_mailbox() {
    let Some(bed) = Bed::new()
        .peer(Peer::new("required", "127.0.0.11", Mode::Garbage))
        .peer(Peer::new("broken", "127.0.0.12", Mode::Garbage))
        .mta(
            Mta::default()
                .queue(Queue::Nobody)
                .access(&format!("{ACCESS}TLS_Srv:required.mx.test\tENCR:112\n")),
        )
        .start_or_skip("a_notice_arrives_in_a_local_mailbox")
    else {
        return;
    };
    let mailbox = |user: &str| bed.namespace().read(&format!("/var/mail/{user}"));
    let clock = Clock::new(&bed).unwrap();
    // From noon on, so that it is known on which side of a morning all is.
    let of_day: u32 = bed.sh("date +%s").unwrap().trim().parse::<u32>().unwrap() / 60 % 1440;
    clock.advance((1440 + 720 - of_day) % 1440).unwrap();
    let mut trytlsd = clock.run(CONFIG).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    bed.send(&["u@required.rcpt.test"]).unwrap();
    trytlsd.wait_says(SOON, "held relay=required.mx.test").unwrap();
    // Not at once: others may come with it.
    assert_eq!(mailbox("root"), "");
    clock.advance(3).unwrap();
    trytlsd.wait_says(SOON, "a notice was sent").unwrap();
    let mails = |count: usize| {
        let all = || mailbox("root").matches("\nSubject: trytlsd on ").count();
        wait::until(SOON, "the mail", || (all() >= count).then_some(()))
            .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", bed.log(), mailbox("root")));
        mailbox("root")
    };
    let mail = mails(1);
    // sendmail has put the host to the names, and taken all else as it was.
    for part in [
        "\nFrom: trytlsd <root@lab.example.test>\nTo: root@lab.example.test, nobody@lab.example.test\n",
        "\nSubject: trytlsd on lab.example.test: 1 thing needs a person\nDate: ",
        "@lab.example.test>\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n",
        "\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\nThis is trytlsd on lab",
        "\n* required.mx.test is held by the guard TLS_Srv\n",
        "\n      trytlsd explain required.mx.test\n",
    ] {
        assert!(mail.contains(part), "no {part:?} in\n{mail}");
    }

    // The next morning: what was done, and what still waits for a person.
    clock.advance(12 * 60).unwrap();
    let id = bed.send(&["v@required.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &[&id, "stat=Deferred"]).unwrap();
    bed.send(&["u@broken.rcpt.test"]).unwrap();
    trytlsd.wait_says_times(SOON, "proof relay=broken.mx.test proof=Matches", 1).unwrap();
    clock.advance(12 * 60).unwrap();
    let mail = mails(2);
    for part in [
        "\nSubject: trytlsd on lab.example.test: 1 relay without TLS, 1 held, ",
        "\n* 2 relays, TLS was off with 1: it is now with 1, and on again with 0\n",
        "\n1 thing needs a person:\n\n* required.mx.test is held by the guard TLS_Srv\n",
        "\n* broken.mx.test: TLS off for ",
    ] {
        assert!(mail.contains(part), "no {part:?} in\n{mail}");
    }

    // Where nobody takes mail it waits as all mail does, and trytlsd's part is done.
    bed.stop_mta().unwrap();
    let ran = output(&bed, &["notice", "--test"]).unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && said == "given away, to root, nobody@localhost\n", "{ran:?}");
    let waiting = bed.sh("ls /var/spool/mqueue-client").unwrap();
    assert!(waiting.contains("qf"), "{waiting}");
    assert_eq!(mails(2).matches("\nSubject: trytlsd").count(), 2);
}

/// What lasts a minute is an alarm, and an alarm is told: a log that is gone, a map that cannot be rebuilt.
#[test]
fn map_and_log_out_of_reach_are_told() {
    let Some(bed) = Bed::new()
        .mta(Mta::default().queue(Queue::Nobody))
        .start_or_skip("map_and_log_out_of_reach_are_told")
    else {
        return;
    };
    let clock = Clock::new(&bed).unwrap();
    let config = format!(
        "{CONFIG}digest = false\n[access]\nmakemap = \"/run/makemap\"\nlook_every = \"1s\"\n"
    );
    let mut trytlsd = clock.run(&config).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    // Without rsyslog, which would write on into the file that was renamed, and trytlsd would read it there. It is the only one
    // in the bed's own namespace.
    bed.sh("pkill -x rsyslogd; mv /var/log/mail.log /var/log/mail.log.away; echo 'x.test REJECT' >>/etc/mail/access")
        .unwrap();
    trytlsd.wait_says(SOON, "cannot start /run/makemap").unwrap();
    trytlsd.wait_says(SOON, "the log is missing").unwrap();
    assert!(!trytlsd.stderr().contains("ALARM"), "{}", trytlsd.stderr());
    clock.advance(2).unwrap();
    trytlsd
        .wait_says(SOON, "ALARM: the log /var/log/mail.log is missing; it is tried again")
        .unwrap();
    trytlsd.wait_says(SOON, "/run/makemap: No such file or directory (os error 2); it is tried again, and the map is as it was").unwrap();
    clock.advance(3).unwrap();
    trytlsd.wait_says(SOON, "a notice was sent").unwrap();
    let mail = wait::until(SOON, "the mail", || {
        Some(bed.namespace().read("/var/mail/root"))
            .filter(|mail| mail.contains("Subject: trytlsd"))
    });
    let mail = mail.unwrap();
    for part in [
        ": 2 things need a person\n",
        "\n* A log cannot be read\n  Why: the log /var/log/mail.log is missing; it is tried again, and what\n",
        "\n* The access map cannot be changed\n",
        "\n      trytlsd doctor\n",
    ] {
        assert!(mail.contains(part), "no {part:?} in\n{mail}");
    }
    // An alarm that has ended while nobody was there is not kept.
    trytlsd.signal("KILL").unwrap();
    trytlsd.wait_end(SOON).unwrap();
    bed.sh("mv /var/log/mail.log.away /var/log/mail.log; ln -s /usr/sbin/makemap /run/makemap")
        .unwrap();
    let mut trytlsd = clock.run(&config).unwrap();
    trytlsd.wait_says(SOON, "the alarm has ended: the log can be read again").unwrap();
    trytlsd.wait_says(SOON, "the alarm has ended: the map can be rebuilt again").unwrap();
    trytlsd.stop().unwrap();
}
