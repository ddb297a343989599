//! The doctor on a host with the real sendmail, rsyslog and a DNS server: what it says when all is right, and when things
//! are broken one after the other; that what it prints is of use.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tests::bed::Bed;
use tests::mta::{Mta, Queue};
use tests::peers::{Channel, Mode, Peer, Ptr};
use tests::trytlsd::{self, Trytlsd};

const SOON: Duration = Duration::from_secs(40);

/// The bed's resolver does not validate, and there is no root above it.
const NO_DNSSEC: &str = "[dns]\ndnssec = \"off\"\n";

/// Without an entry for what it says of each check.
type Said = BTreeMap<String, (String, String, String)>;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `trytlsd doctor --json`: exit status, and by the check's name its grade, text and what to do.
fn doctor(bed: &Bed, args: &[&str]) -> (Option<i32>, Said) {
    let output = trytlsd::output(bed, &[&["doctor", "--json"], args].concat()).unwrap();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let one = |finding: &Value| {
        let mend: Vec<&str> =
            finding["mend"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        (text(finding, "id"), (text(finding, "grade"), text(finding, "text"), mend.join("\n")))
    };
    let said: Said = report["findings"].as_array().unwrap().iter().map(one).collect();
    let wrong = said.values().any(|(grade, ..)| grade == "wrong");
    assert_eq!(report["good"].as_bool(), Some(!wrong), "{report}");
    (output.status.code(), said)
}

/// What the config file says and a host without faults.
fn configured(bed: &Bed) {
    let config = trytlsd::output(bed, &["doctor", "--write-config"]).unwrap();
    assert!(config.status.success(), "{config:?}");
    bed.sh("mkdir -p /etc/trytlsd/trytlsd.d").unwrap();
    bed.namespace().write("/etc/trytlsd/trytlsd.toml", out(&config)).unwrap();
    bed.namespace().write("/etc/trytlsd/trytlsd.d/bed.toml", NO_DNSSEC).unwrap();
}

#[test]
fn a_host_right_and_broken() {
    let Some(bed) = Bed::new()
        .peer(Peer::new("broken", "127.0.0.11", Mode::Garbage))
        .mta(Mta::default().queue(Queue::Nobody))
        .start_or_skip("a_host_right_and_broken")
    else {
        return;
    };
    // Without a config: what it finds, and that it finds it by itself.
    bed.send(&["u@broken.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &["stat=Deferred"]).unwrap();
    let (status, said) = doctor(&bed, &[]);
    assert_eq!(said["mode"].0, "note", "{said:#?}");
    // The bed's DNS server knows its own names only.
    assert_eq!(said["resolver"].0, "wrong", "{said:#?}");
    assert!(said["resolver"].1.contains("127.0.0.1:53: REFUSED"), "{said:#?}");
    assert_eq!((&*said["dnssec"].0, status), ("wrong", Some(1)), "{said:#?}");

    // The config that it prints is one: nothing is wrong by check-config, nor by the doctor.
    configured(&bed);
    let config = bed.namespace().read("/etc/trytlsd/trytlsd.toml");
    for part in [
        "path = \"/var/log/mail.log\"",
        "# Found (/etc/rsyslog.conf, line 8, sends mail there); sendmail's lines are seen in it.",
        "map = \"/etc/mail/access\"",
        "cf = \"/etc/mail/sendmail.cf\"",
    ] {
        assert!(config.contains(part), "{part:?} in {config}");
    }
    let checked = trytlsd::output(&bed, &["check-config"]).unwrap();
    assert!(checked.status.success(), "{}", out(&checked));
    let (status, said) = doctor(&bed, &["--no-dns"]);
    assert_eq!(status, Some(0), "{said:#?}");
    for (id, part) in [
        ("sendmail-version", "/usr/sbin/sendmail is sendmail 8.17.1.9, with STARTTLS"),
        ("access-map", "the access map is hash /etc/mail/access"),
        ("sendmail-answers", "answers, so each entry can be proven"),
        ("makemap-class", "can build maps of class hash"),
        ("log-level", "LogLevel is 9"),
        ("fallback", "TLSFallbacktoClear is off"),
        ("log-understood", "are sendmail's and about mail or STARTTLS"),
        ("map-age", "not older than its text"),
        ("map-rights", "mode 0640"),
        ("rights", "runs as root and may write to /etc/mail"),
    ] {
        let (grade, text, _) = &said[id];
        assert!(grade == "good" && text.contains(part), "{id}: {said:#?}");
    }
    // In words, with what is wrong at the end.
    let text = out(&trytlsd::output(&bed, &["doctor", "--no-dns"]).unwrap());
    assert!(text.contains("\nok ") && text.contains("\nall is right: "), "{text}");

    // It looked, and changed nothing.
    let state = "find /etc /var/spool /var/lib -newer /etc/trytlsd/trytlsd.d/bed.toml -type f";
    assert_eq!(bed.sh(state).unwrap(), "");

    // One thing after the other is broken. Each is told with its place and value and how to mend it, and mended so.
    let broken = |shell: &str, id: &str, part: &str, to_do: &str, back: &str| {
        bed.sh(shell).unwrap();
        let (status, said) = doctor(&bed, &["--no-dns"]);
        let (grade, text, mend) =
            said.get(id).unwrap_or_else(|| panic!("{id} says nothing: {said:#?}"));
        assert!(grade == "wrong" && text.contains(part), "{id}: {said:#?}");
        assert!(mend.contains(to_do), "{to_do:?} in {mend}");
        assert_eq!(status, Some(1));
        bed.sh(back).unwrap();
        let (status, said) = doctor(&bed, &["--no-dns"]);
        assert_eq!(status, Some(0), "after {back}: {said:#?}");
    };
    let m4 = "cd /etc/mail; m4 sendmail.mc >sendmail.cf";
    let with_mc = |line: &str| {
        format!(
            "cd /etc/mail; cp sendmail.mc mc.kept; sed -i \"s/^MAILER_DEFINITIONS/{line}\\n&/\" sendmail.mc; {m4}"
        )
    };
    let mc_back = format!("cd /etc/mail; mv mc.kept sendmail.mc; {m4}");
    broken(
        &with_mc("define(\\`confLOG_LEVEL', \\`6')dnl"),
        "log-level",
        "LogLevel is 6",
        "define(`confLOG_LEVEL', `9')dnl",
        &mc_back,
    );
    broken(
        &with_mc("define(\\`confTLS_FALLBACK_TO_CLEAR', \\`True')dnl"),
        "fallback",
        "TLSFallbacktoClear is on",
        "define(`confTLS_FALLBACK_TO_CLEAR', `False')dnl",
        &mc_back,
    );
    broken(
        &format!("cd /etc/mail; cp sendmail.mc mc.kept; sed -i /access_db/d sendmail.mc; {m4}"),
        "access-map",
        "FEATURE(`access_db') is missing",
        "FEATURE(`access_db', `hash -T<TMPF> /etc/mail/access')dnl",
        &mc_back,
    );
    broken(
        "mv /etc/mail/sendmail.cf /etc/mail/cf.kept",
        "cf",
        "cannot read /etc/mail/sendmail.cf",
        "[access] cf",
        "mv /etc/mail/cf.kept /etc/mail/sendmail.cf",
    );
    broken(
        "touch -d '+1 hour' /etc/mail/access",
        "map-age",
        "has no effect yet",
        "makemap hash /etc/mail/access < /etc/mail/access",
        "touch -r /etc/mail/access.db /etc/mail/access",
    );
    broken(
        "rm /etc/mail/access.db",
        "map-file",
        "No such file",
        "makemap hash /etc/mail/access < /etc/mail/access",
        "makemap hash /etc/mail/access </etc/mail/access",
    );
    broken(
        "chmod o+w /etc/mail",
        "map-rights",
        "everybody may write to the folder /etc/mail",
        "chmod go-w /etc/mail",
        "chmod go-w /etc/mail",
    );
    broken(
        "mv /var/log/mail.log /var/log/kept",
        "log",
        "the log /var/log/mail.log: No such file",
        "[log] path = \"/var/log/mail.trad.log\" (/etc/rsyslog.conf, line 9, sends mail there)",
        "mv /var/log/kept /var/log/mail.log",
    );
    broken(
        "sed 's/^[^ ]*/1732361413/' /var/log/mail.log >/var/log/epoch
         cp /etc/trytlsd/trytlsd.toml /tmp/toml
         sed -i s,/var/log/mail.log,/var/log/epoch, /etc/trytlsd/trytlsd.toml",
        "log-format",
        "no syslog time stamp at the start",
        "rsyslog: mail.* -/var/log/mail.log;RSYSLOG_FileFormat",
        "cp /tmp/toml /etc/trytlsd/trytlsd.toml",
    );
    broken(
        "mv /usr/libexec/sendmail/makemap /tmp/makemap",
        "makemap",
        "makemap is not there",
        "[access] makemap =",
        "mv /tmp/makemap /usr/libexec/sendmail/makemap",
    );
    broken(
        "mv /usr/sbin/sendmail /tmp/sendmail.link
         printf '#!/bin/sh\\necho sendmail: fatal: unsupported: -d >&2; exit 64\\n' >/usr/sbin/sendmail
         chmod 755 /usr/sbin/sendmail",
        "sendmail-version",
        "fatal: unsupported: -d",
        "Postfix",
        "mv -f /tmp/sendmail.link /usr/sbin/sendmail",
    );

    // A config that is none, and one that is not there: it cannot look.
    for args in [["doctor", "--config", "/nowhere"], ["doctor", "--config", "/etc/passwd"]] {
        let output = trytlsd::output(&bed, &args).unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

/// The lines of `--sequence-map`, done as they say: sendmail then finds our entries in our file, and yours before them. The
/// guards see yours too, at once.
#[test]
fn a_map_of_our_own() {
    const NAME: &str = "a_map_of_our_own";
    let access = format!(
        "{}TLS_Rcpt:strict.rcpt.test\tENCR:112\nTry_TLS:both.mx.test\tYES\n",
        tests::mta::ACCESS
    );
    let Some(bed) = Bed::new()
        .peer(Peer::new("broken", "127.0.0.11", Mode::Garbage).ptr(Ptr::Mx))
        .peer(Peer::new("strict", "127.0.0.12", Mode::Garbage).ptr(Ptr::Mx))
        .mta(Mta::default().queue(Queue::Nobody).access(&access))
        .start_or_skip(NAME)
    else {
        return;
    };
    let printed = trytlsd::output(&bed, &["doctor", "--sequence-map"]).unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let lines = out(&printed);

    // 1. In sendmail.mc, all that is printed instead of the line with access_db: the commands in it are comments for m4.
    let mc = bed.namespace().read("/etc/mail/sendmail.mc");
    let old = mc.lines().find(|line| line.starts_with("FEATURE(`access_db'")).unwrap();
    bed.namespace().write("/etc/mail/sendmail.mc", mc.replace(old, &lines)).unwrap();
    // 2. The commands. make -C /etc/mail does more than the bed is set up for; m4 is what it does with the cf.
    for command in ["touch /etc/mail/trytlsd", "makemap hash /etc/mail/trytlsd < /etc/mail/trytlsd"]
    {
        assert!(lines.contains(command), "{command} in {lines}");
        bed.sh(command).unwrap();
    }
    bed.sh("cd /etc/mail; m4 sendmail.mc >sendmail.cf").unwrap();
    bed.stop_mta().unwrap();
    bed.start_mta().unwrap();
    // 3. The config.
    configured(&bed);
    let config = bed.namespace().read("/etc/trytlsd/trytlsd.toml");
    assert!(
        config.contains("file = \"/etc/mail/trytlsd\"\nmap = \"/etc/mail/trytlsd\""),
        "{config}"
    );
    // 4. The doctor.
    let (status, said) = doctor(&bed, &["--no-dns"]);
    assert_eq!(status, Some(0), "{said:#?}");
    assert_eq!(said["beside"].0, "good", "{said:#?}");
    assert!(said["access-map"].1.contains("the access map is hash /etc/mail/trytlsd"), "{said:#?}");

    // sendmail finds what is in our file, and yours first.
    bed.sh("printf 'Try_TLS:ours.mx.test\\tNO\\nTry_TLS:both.mx.test\\tNO\\n' >/etc/mail/trytlsd
        makemap hash /etc/mail/trytlsd </etc/mail/trytlsd")
        .unwrap();
    let asked = |key: &str| {
        bed.sh(&format!("echo '/map access {key}' | sendmail -bt | grep -A9 '^> map_lookup'"))
            .unwrap()
    };
    assert!(
        asked("Try_TLS:ours.mx.test").contains("returns NO (0)"),
        "{}",
        asked("Try_TLS:ours.mx.test")
    );
    assert!(asked("Try_TLS:both.mx.test").contains("returns YES (0)"));
    assert!(asked("Connect:127").contains("returns RELAY (0)"));
    assert!(asked("Try_TLS:none.mx.test").contains("no match"));
    bed.sh(": >/etc/mail/trytlsd; makemap hash /etc/mail/trytlsd </etc/mail/trytlsd").unwrap();

    // The daemon writes into our file alone, and holds where an entry of yours, in the other, says that mail would bounce.
    let before = bed.access();
    bed.namespace()
        .write(
            "/etc/trytlsd/trytlsd.d/test.toml",
            "dry_run = false\n[policy]\nfailures = 2\nmin_span = \"0s\"\nnever = []\nprobe = false\n[access]\nlook_every = \"1s\"\n\
             [guards]\nweak_min_span = \"0s\"\nburst_share = 0\nburst_relays = 0\ntrusted_for = \"0s\"\n",
        )
        .unwrap();
    let mut daemon = Trytlsd::start(&bed, &["run"]).unwrap();
    daemon.wait_says(SOON, "following").unwrap();
    for relay in ["broken", "strict"] {
        let id = bed.send(&[&format!("u@{relay}.rcpt.test")]).unwrap();
        bed.wait_line(SOON, &[&id, "stat=Deferred"]).unwrap();
    }
    bed.flush().unwrap();
    daemon.wait_says(SOON, "relay=broken.mx.test proof=Matches").unwrap();
    daemon.wait_says(SOON, "mail to strict.rcpt.test would bounce").unwrap();
    assert_eq!(bed.access(), before);
    let ours = bed.namespace().read("/etc/mail/trytlsd");
    assert!(ours.contains("\nTry_TLS:broken.mx.test\tNO\n") && !ours.contains("strict"), "{ours}");
    bed.flush().unwrap();
    bed.wait_accepted(SOON, "broken", Channel::Clear, 1).unwrap();

    // A requirement that is added there later takes the entry out.
    bed.add_access("TLS_Srv:broken.mx.test\tENCR:112\n", tests::bed::Replace::Rename).unwrap();
    tests::wait::until(SOON, "the entry's end", || {
        (!bed.namespace().read("/etc/mail/trytlsd").contains("Try_TLS:broken")).then_some(())
    })
    .unwrap();
    assert!(daemon.stop().unwrap().success());
}
