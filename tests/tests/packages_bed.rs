//! The Debian package in the bed: the real dpkg installs it, upgrades it, removes it and purges it, beside a real sendmail
//! through which mail flows all the while. No systemd runs there: what it would start is started as the unit says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]
#![allow(clippy::disallowed_methods, reason = "the package is made as `make deb` makes it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tests::bed::Bed;
use tests::mta::{Mta, Queue};
use tests::need;
use tests::peers::{Channel, Mode, Peer, Ptr};
use tests::trytlsd::{binary, pages};

const SOON: Duration = Duration::from_secs(40);

/// Runs a script on the host that must succeed; what it printed.
fn sh(script: &str, folder: &Path, variables: &[(&str, &Path)]) -> String {
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(folder).envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The package, of the programs that the tests have, and the same with a higher version.
fn packages(folder: &Path) -> (PathBuf, PathBuf) {
    let (binary, pages) = (binary().unwrap(), pages().unwrap());
    let first = sh(
        "DEB_OUT=\"$PWD\" DEB_COMPRESS=none \"$REPO/packaging/deb\" \"$BIN\" \"$PAGES\"",
        folder,
        &[("REPO", need::repository()), ("BIN", &binary), ("PAGES", &pages)],
    );
    let next = sh(
        "dpkg-deb -R \"$DEB\" next; sed -i 's/^Version: .*/Version: 9.0.0-1/' next/DEBIAN/control
         dpkg-deb --root-owner-group -Znone -b next next.deb >/dev/null; rm -r next; echo \"$PWD/next.deb\"",
        folder,
        &[("DEB", Path::new(&first))],
    );
    (first.into(), next.into())
}

/// `dpkg ARGS…` in the bed, with nobody to answer a question; it must succeed. All that it printed.
fn dpkg(bed: &Bed, args: &str) -> String {
    bed.sh(&format!("DEBIAN_FRONTEND=noninteractive dpkg {args} </dev/null 2>&1")).unwrap()
}

/// What the unit starts, as it stands there.
fn exec_start(bed: &Bed) -> Vec<String> {
    let unit = bed.namespace().read("/lib/systemd/system/trytlsd.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    line.split(' ').map(str::to_owned).collect()
}

/// Starts what the unit starts, waits until its output has all of `parts`, and ends it; gives its output.
fn run(bed: &Bed, parts: &[&str]) -> String {
    let command = exec_start(bed).join(" ");
    bed.sh(&format!("{command} >/run/said 2>&1 & echo $! >/run/said.pid")).unwrap();
    let said = || bed.namespace().read("/run/said");
    tests::wait::until(SOON, &format!("{parts:?}"), || {
        parts.iter().all(|part| said().contains(part)).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", said()));
    bed.sh("kill $(cat /run/said.pid); while kill -0 $(cat /run/said.pid) 2>/dev/null; do sleep 0.02; done")
        .unwrap();
    said()
}

#[test]
fn a_package_from_its_installation_to_its_purge() {
    let Some(bed) = Bed::new()
        .peer(Peer::new("broken", "127.0.0.11", Mode::Garbage).ptr(Ptr::Mx))
        .mta(Mta::default().queue(Queue::Nobody))
        .start_or_skip("a_package_from_its_installation_to_its_purge")
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (first, next) = packages(folder.path());
    for (deb, inside) in [(first, "/tmp/first.deb"), (next, "/tmp/next.deb")] {
        std::fs::copy(deb, bed.namespace().path(inside)).unwrap();
    }
    let admins = bed.access();

    // It installs, and is enabled for the next start of the system.
    dpkg(&bed, "-i /tmp/first.deb");
    let status = |format: &str| bed.sh(&format!("dpkg-query -W -f '{format}' trytlsd")).unwrap();
    assert_eq!(status("${db:Status-Abbrev}"), "ii ");
    assert_eq!(bed.sh("trytlsd --version").unwrap(), "trytlsd 0.1.0\n");
    assert_eq!(bed.sh("dpkg -V trytlsd | grep -v ' /usr/share/' || :").unwrap(), "");
    bed.sh("[ -L /etc/systemd/system/multi-user.target.wants/trytlsd.service ]").unwrap();

    // As it is installed it is a dry run: an entry is shown and none written.
    let id = bed.send(&["u@broken.rcpt.test"]).unwrap();
    bed.wait_line(SOON, &[&id, "stat=Deferred"]).unwrap();
    // The bed's peers live on loopback, and nothing there validates.
    bed.namespace()
        .write(
            "/etc/trytlsd/trytlsd.d/bed.toml",
            "[dns]\ndnssec = \"off\"\n[policy]\nfailures = 1\nmin_span = \"0s\"\nnever = []\nprobe = false\n\
             [guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\nburst_share = 0\nburst_relays = 0\n\
             [flush]\nway = \"off\"\n",
        )
        .unwrap();
    bed.sh("mkdir -p /var/lib/trytlsd").unwrap(); // StateDirectory=
    let said = run(&bed, &["dry_run=true", "\nTry_TLS:broken.mx.test\tNO\n"]);
    assert_eq!(bed.access(), admins, "{said}");

    // An upgrade keeps what the admin wrote into the config.
    let config = "/etc/trytlsd/trytlsd.toml";
    bed.sh(&format!("sed -i 's/^dry_run = true$/dry_run = false/' {config}")).unwrap();
    let edited = bed.namespace().read(config);
    let upgrade = dpkg(&bed, "-i /tmp/next.deb");
    assert_eq!(status("${Version}"), "9.0.0-1", "{upgrade}");
    assert_eq!(bed.namespace().read(config), edited);
    assert!(edited.contains("\ndry_run = false\n"));

    // Now it writes an entry, and mail flows.
    run(&bed, &["proof=Matches"]);
    assert!(bed.access().contains("\nTry_TLS:broken.mx.test\tNO\n"), "{}", bed.access());
    bed.flush().unwrap();
    bed.wait_accepted(SOON, "broken", Channel::Clear, 1).unwrap();
    let with_entry = bed.access();

    // Removed, it says what becomes of the entry, and keeps config and ledger.
    let removal = dpkg(&bed, "--remove trytlsd");
    assert!(removal.contains("1 of its entries in /etc/mail/access stay"), "{removal}");
    bed.sh(&format!("[ -f {config} ] && [ -f /var/lib/trytlsd/ledger.db ]")).unwrap();
    dpkg(&bed, "-i /tmp/next.deb");
    assert_eq!(bed.namespace().read(config), edited);

    // Purged, it asks nothing, says it once, takes its ledger and its config, and leaves the access file and the mail alone.
    let purge = dpkg(&bed, "--purge trytlsd");
    assert_eq!(purge.matches("1 of its entries in /etc/mail/access stay").count(), 1, "{purge}");
    assert!(purge.contains("\n    Try_TLS:broken.mx.test\tNO\n"), "{purge}");
    bed.sh(&format!("! [ -e {config} ] && ! [ -e /var/lib/trytlsd ] && ! [ -e /usr/bin/trytlsd ]"))
        .unwrap();
    bed.sh("! [ -e /etc/systemd/system/multi-user.target.wants/trytlsd.service ]").unwrap();
    bed.sh("! dpkg-query -W trytlsd 2>/dev/null").unwrap();
    assert_eq!(bed.access(), with_entry);
    bed.send(&["u@broken.rcpt.test"]).unwrap();
    bed.wait_accepted(SOON, "broken", Channel::Clear, 2).unwrap();

    // What it says takes them out does, and leaves the admin's own lines as they were.
    let command = purge.lines().find(|line| line.starts_with("    sed -i ")).unwrap();
    bed.sh(command).unwrap();
    assert_eq!(bed.access().trim_end(), admins.trim_end());
}

/// The RPM package holds what it should; the config is one that an upgrade keeps. Installed it is nowhere here.
#[test]
fn an_rpm_package() {
    let tools = need::repository().join("tests/bed/rpm");
    let output = Command::new(tools).output().unwrap();
    if !output.status.success() {
        return need::skip("an_rpm_package", "no rpmbuild (tests/bed/rpm)");
    }
    let folder = tempfile::tempdir().unwrap();
    let tools = String::from_utf8(output.stdout).unwrap();
    let (binary, pages) = (binary().unwrap(), pages().unwrap());
    let asked = sh(
        "rpm=$(RPM_OUT=\"$PWD\" \"$REPO/packaging/rpm\" \"$BIN\" \"$PAGES\" | tail -n 1)
         PATH=${TOOLS:+$TOOLS:}$PATH
         for what in -l --configfiles --requires; do echo \"== $what\"; rpm --dbpath \"$PWD/db\" -qp $what \"$rpm\"; done",
        folder.path(),
        &[
            ("REPO", need::repository()),
            ("BIN", &binary),
            ("PAGES", &pages),
            ("TOOLS", Path::new(tools.trim())),
        ],
    );
    for line in [
        "/usr/bin/trytlsd",
        "/usr/lib/systemd/system/trytlsd.service",
        "/usr/share/man/man8/trytlsd-scan.8.gz",
        "/usr/share/man/man5/trytlsd.toml.5.gz",
        "/usr/share/zsh/site-functions/_trytlsd",
        "== --configfiles\n/etc/trytlsd/trytlsd.toml",
        "libc.so.6()(64bit)",
    ] {
        assert!(asked.contains(&format!("{line}\n")), "{line:?} in {asked}");
    }
}

/// The manual pages and completions know every command and option that `--help` knows, and the config's page every key.
#[test]
fn pages_and_completions_say_what_help_says() {
    let folder = tempfile::tempdir().unwrap();
    let sample = need::repository().join("config/trytlsd.toml");
    sh(
        "\"$PAGES\" . \"$SAMPLE\"",
        folder.path(),
        &[("PAGES", &pages().unwrap()), ("SAMPLE", &sample)],
    );
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let rig = tests::rig::Rig::new().unwrap();
    let words = |help: &str, begin: &str| -> Vec<String> {
        let first = help.lines().filter_map(|line| line.trim_start().strip_prefix(begin));
        first.filter_map(|rest| rest.split([' ', ',']).next()).map(str::to_owned).collect()
    };
    let help = rig.trytlsd(&["--help"]).unwrap().stdout;
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 10, "{help}");
    for command in commands {
        let page = read(&format!("trytlsd-{command}.8"));
        let help = rig.trytlsd(&[command, "--help"]).unwrap().stdout;
        for option in words(&help, "--") {
            let in_roff = format!("\\-\\-{}", option.replace('-', "\\-"));
            assert!(page.contains(&in_roff), "{option} is not in trytlsd-{command}.8: {page}");
            for shell in ["trytlsd.bash", "_trytlsd"] {
                assert!(read(shell).contains(&format!("--{option}")), "{option} in {shell}");
            }
            assert!(read("trytlsd.fish").contains(&format!("-l {option}")), "{option} in fish");
        }
        assert!(page.contains("Exit status:"), "{page}");
    }
    let page = read("trytlsd.toml.5");
    let checked =
        rig.trytlsd(&["check-config", "--json", "--config", "trytlsd.toml"]).unwrap().stdout;
    let checked: serde_json::Value = serde_json::from_str(&checked).unwrap();
    for key in checked["keys"].as_array().unwrap() {
        let name = key["key"].as_str().unwrap();
        let name = name.split_once("] ").map_or(name, |(_, name)| name);
        assert!(page.contains(&format!("\n.B {name} = ")), "{name} is not in trytlsd.toml.5");
    }
}
