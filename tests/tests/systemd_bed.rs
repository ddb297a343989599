//! trytlsd as a service, from its own units, under a real systemd: ready when it is, reloaded, in its sandbox with all the
//! rights that it needs and no more, and started anew by the watchdog when it hangs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use tests::bed::{ACCESS, ACCESS_DB, Bed, Replace};
use tests::lines::Failure;
use tests::mta::{ACCESS as MTA_ACCESS, Mta, Queue};
use tests::peers::{Channel, Mode, Peer};
use tests::trytlsd::install_service;
use tests::wait;

const SOON: Duration = Duration::from_secs(40);

/// One attempt is enough, and no probe stands in for it; the bed's peers live on loopback.
const CONFIG: &str = "dry_run = false\n[policy]\nfailures = 1\nmin_span = \"0s\"\nnever = []\nprobe = false\n[guards]\n\
    burst_relays = 0\nburst_share = 0\n";

fn show(bed: &Bed, property: &str) -> String {
    let line = bed.sh(&format!("systemctl show trytlsd --property {property} --value")).unwrap();
    line.trim().to_owned()
}

fn journal(bed: &Bed) -> String {
    bed.sh("journalctl --no-pager --quiet --all --output=cat --unit=trytlsd").unwrap()
}

fn wait_journal(bed: &Bed, part: &str) {
    let said = wait::until(SOON, part, || journal(bed).contains(part).then_some(()));
    said.unwrap_or_else(|error| panic!("{error:#}\n{}", journal(bed)));
}

fn wait_status(bed: &Bed, is: impl Fn(&str) -> bool) {
    let said = wait::until(SOON, "the status", || is(&show(bed, "StatusText")).then_some(()));
    said.unwrap_or_else(|error| panic!("{error:#}: {}\n{}", show(bed, "StatusText"), journal(bed)));
}

fn stuck(bed: &Bed, peer: &str) -> String {
    let id = bed.send(&[&format!("u@{peer}.rcpt.test")]).unwrap();
    bed.wait_line(SOON, &[&id, "stat=Deferred: 454 4.7.0 TLS handshake failed."]).unwrap();
    id
}

fn delivered(bed: &Bed, peer: &str) {
    if let Err(error) = bed.wait_accepted(SOON, peer, Channel::Clear, 1) {
        panic!("{error:#}\n{}", bed.sh("journalctl --no-pager --quiet --all").unwrap());
    }
}

#[test]
fn a_service_that_systemd_starts_reloads_and_watches() {
    let Some(bed) = Bed::new()
        .systemd()
        .peer(Peer::new("a", "127.0.0.11", Mode::Garbage))
        .peer(Peer::new("b", "127.0.0.12", Mode::Garbage))
        .peer(Peer::new("never", "127.0.0.13", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Nobody))
        .start_or_skip("a_service_that_systemd_starts_reloads_and_watches")
    else {
        return;
    };
    let owners = format!("stat -c '%U:%G %a' {ACCESS} {ACCESS_DB}");
    // As Debian ships them: the access file is root's alone, the folder belongs to sendmail's user.
    bed.sh(&format!(
        "chmod 600 {ACCESS} && stat -c '%U:%G %a' /etc/mail | grep -qx 'smmta:smmsp 2755'"
    ))
    .unwrap();
    let before = bed.sh(&owners).unwrap();
    install_service(&bed, CONFIG).unwrap();

    // It returns when the log is opened, not before.
    bed.sh("systemctl start trytlsd").unwrap();
    assert_eq!(show(&bed, "ActiveState"), "active", "{}", journal(&bed));
    wait_status(&bed, |status| status == "0 relays stuck, 0 entries in force");
    let pid = show(&bed, "MainPID");

    // A relay is opted out and sendmail proves it, in the sandbox; the stuck message goes out in a unit of its own.
    let id = stuck(&bed, "a");
    wait_journal(&bed, "proof relay=a.mx.test proof=Matches");
    delivered(&bed, "a");
    wait::until(SOON, "the end of the flush", || {
        let unit = format!("trytlsd-flush@{id}.service");
        let said =
            bed.sh(&format!("journalctl --no-pager --quiet --output=cat UNIT={unit}")).unwrap();
        said.contains("Deactivated successfully").then_some(())
    })
    .unwrap_or_else(|error| {
        panic!("{error:#}\n{}", bed.sh("ps axf; journalctl --no-pager --quiet --all").unwrap())
    });
    wait_status(&bed, |status| status == "0 relays stuck, 1 entry in force");
    assert_eq!(bed.sh(&owners).unwrap(), before);

    // A broken config changes nothing, and systemctl status says what is wrong with it.
    bed.namespace().write("/etc/trytlsd/trytlsd.toml", "dry_run = maybe\n").unwrap();
    bed.sh("systemctl reload trytlsd").unwrap();
    wait_status(&bed, |status| {
        status.starts_with(
            "0 relays stuck, 1 entry in force; the config is broken and the old one is in force: ",
        ) && status.contains("trytlsd.toml")
    });
    wait_journal(&bed, "the old config stays in force");
    // A good one is taken: the never-list, and patterns.
    let never = CONFIG.replace("never = []", "never = [\"never.mx.test\"]");
    bed.namespace().write("/etc/trytlsd/trytlsd.toml", never).unwrap();
    bed.sh("systemctl reload trytlsd").unwrap();
    wait_status(&bed, |status| status == "0 relays stuck, 1 entry in force");
    stuck(&bed, "never");
    wait_journal(&bed, "held relay=never.mx.test");
    assert_eq!(show(&bed, "MainPID"), pid);
    assert_eq!(show(&bed, "ActiveState"), "active");

    // A process that does nothing any more is ended by the watchdog and started anew, and goes on.
    bed.namespace()
        .write(
            "/run/systemd/system/trytlsd.service.d/test.conf",
            "[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\nRestartSec=0\n",
        )
        .unwrap();
    bed.sh("systemctl daemon-reload && systemctl restart trytlsd").unwrap();
    let pid = show(&bed, "MainPID");
    // Longer than the watchdog waits: it is fed, though nothing happens.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(
        (show(&bed, "MainPID"), show(&bed, "NRestarts")),
        (pid, "0".to_owned()),
        "{}",
        journal(&bed)
    );
    bed.sh("systemctl kill --kill-whom=main --signal=STOP trytlsd").unwrap();
    wait::until(SOON, "the restart", || (show(&bed, "NRestarts") == "1").then_some(())).unwrap();
    wait::until(SOON, "the new start", || (show(&bed, "ActiveState") == "active").then_some(()))
        .unwrap();
    stuck(&bed, "b");
    delivered(&bed, "b");

    bed.sh("systemctl stop trytlsd").unwrap();
    assert_eq!(show(&bed, "Result"), "success", "{}", journal(&bed));
    assert_eq!(show(&bed, "StateDirectoryMode"), "0750");
}

/// sendmail cannot submit mail in the sandbox; a unit of its own does it.
#[test]
fn a_notice_gets_out_of_the_sandbox() {
    let Some(bed) = Bed::new()
        .systemd()
        .peer(Peer::new("required", "127.0.0.11", Mode::Garbage))
        .mta(
            Mta::default()
                .queue(Queue::Nobody)
                .access(&format!("{MTA_ACCESS}TLS_Srv:required.mx.test\tENCR:112\n")),
        )
        .start_or_skip("a_notice_gets_out_of_the_sandbox")
    else {
        return;
    };
    let notice = "[notice]\nmail_to = \"root\"\nevery = \"1s\"\n";
    install_service(&bed, &format!("{CONFIG}{notice}")).unwrap();
    // The reason: in the sandbox of trytlsd.service it does not work.
    bed.namespace()
        .write(
            "/usr/local/bin/inside",
            "#!/bin/sh\nprintf 'To: root\\n\\nx\\n' | /usr/sbin/sendmail -i -t\n",
        )
        .unwrap();
    let said = bed
        .sh("chmod 755 /usr/local/bin/inside; cd /etc/systemd/system
             sed -e 's|^ExecStart=.*|ExecStart=/usr/local/bin/inside|; s/^Type=.*/Type=oneshot/' \\
                 -e '/^ExecReload=/d; /^Restart/d; /^WatchdogSec=/d; /^NotifyAccess=/d' trytlsd.service >inside.service
             systemctl daemon-reload
             ! systemctl start inside 2>&1
             journalctl --no-pager --quiet --output=cat --unit=inside")
        .unwrap();
    assert!(said.contains("drop_privileges: setgid("), "{said}");
    bed.sh("systemctl start trytlsd").unwrap();
    stuck(&bed, "required");
    wait_journal(&bed, "a notice was sent kind=\"news\" to=root");
    wait::until(SOON, "the mail", || {
        let mailbox = bed.namespace().read("/var/mail/root");
        mailbox.contains("\n* required.mx.test is held by the guard TLS_Srv\n").then_some(())
    })
    .unwrap_or_else(|error| {
        panic!("{error:#}\n{}", bed.sh("journalctl --no-pager --quiet --all").unwrap())
    });
    // What was put beside the ledger is gone.
    bed.sh("[ -e /var/lib/trytlsd/ledger.db ] && ! [ -e /var/lib/trytlsd/notice ]").unwrap();

    // Where the unit fails, the status says so.
    bed.sh("mv /etc/systemd/system/trytlsd-notice.service /tmp && systemctl daemon-reload")
        .unwrap();
    let check = bed.run("trytlsd", &["check-config"]).unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(
        said.contains("!! notices: trytlsd-notice.service is not among systemd's units"),
        "{said}"
    );
    bed.add_access("TLS_Srv:127.0.0.12\tENCR:112\n", Replace::Rename).unwrap();
    bed.sh("systemctl restart trytlsd").unwrap();
    let lines = Failure::by(7001, "other.mx.test", "127.0.0.12");
    bed.namespace().write("/tmp/lines", lines.ruleset + &lines.delivery).unwrap();
    bed.sh("cat /tmp/lines >>/var/log/mail.log").unwrap();
    wait_journal(&bed, "a notice cannot be sent: ");
    assert!(journal(&bed).contains("trytlsd-notice.service not found"), "{}", journal(&bed));
}

/// The real journald between the real sendmail and us: what sendmail logs is seen from within the sandbox, and what a local
/// user logs in its name is not believed.
#[test]
fn the_journal_tells_who_wrote_a_line() {
    let Some(bed) = Bed::new()
        .systemd()
        .peer(Peer::new("a", "127.0.0.11", Mode::Garbage))
        .peer(Peer::new("victim", "127.0.0.12", Mode::Tls))
        .mta(Mta::default().queue(Queue::Nobody))
        .start_or_skip("the_journal_tells_who_wrote_a_line")
    else {
        return;
    };
    install_service(&bed, &format!("{CONFIG}[log]\nsource = \"journald\"\n")).unwrap();
    // Forged before the start, as a user and (by a program that is not sendmail) as root; then after it.
    let forge = |by: &str, n: u32| {
        let lines = Failure::by(n, "victim.mx.test", "127.0.0.12");
        for line in (lines.ruleset + &lines.delivery).lines() {
            let (_, message) = line.split_once("]: ").unwrap();
            bed.namespace().write("/tmp/forged", message).unwrap();
            let log = format!("logger --id={n} -p mail.info -t sm-mta -f /tmp/forged");
            bed.sh(&format!("chmod 644 /tmp/forged; su -s /bin/sh {by} -c '{log}'")).unwrap();
        }
    };
    forge("nobody", 4001);
    bed.sh("systemctl start trytlsd").unwrap();
    wait_journal(&bed, "all that was logged so far is read; following");
    forge("nobody", 4002);
    forge("root", 4003);
    stuck(&bed, "a");
    wait_journal(&bed, "proof relay=a.mx.test proof=Matches");
    delivered(&bed, "a");
    let said = journal(&bed);
    assert!(said.contains("they are not believed"), "{said}");
    assert!(!said.contains("victim"), "{said}");
    wait_status(&bed, |status| status == "0 relays stuck, 1 entry in force");
    let check = bed.run("trytlsd", &["check-config"]).unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(said.contains("the journal journald holds lines of sendmail's"), "{said}");
}
