//! What a real sendmail finds in the map, by the K line that `FEATURE(access_db, LDAP)` makes, is what we say it finds.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use directory::{Added, Answer};

use crate::lab::{BASE, Slapd, entry, slapd, write_file};
use crate::need;

/// Of sendmail 8.17's cf/feature/access_db.m4.
const MAP: &str = "Kaccess ldap -T<TMPF> -1 -v sendmailMTAMapValue,sendmailMTAMapSearch:FILTER:sendmailMTAMapObject,sendmailMTAMapURL:URL:sendmailMTAMapObject -k (&(objectClass=sendmailMTAMapObject)(|(sendmailMTACluster=${sendmailMTACluster})(sendmailMTAHost=$j))(sendmailMTAMapName=access)(sendmailMTAKey=%0))";

/// What sendmail finds for each key.
#[expect(clippy::disallowed_methods, reason = "a program that is known to end")]
fn found(root: &Path, slapd: &Slapd, keys: &[&str]) -> Vec<Option<String>> {
    let (cf, port) = (slapd.path("sendmail.cf"), slapd.port);
    // Without -w 3 it binds by LDAPv2, which slapd does not take.
    let lines = [
        "V10/Berkeley".to_owned(),
        "D{sendmailMTACluster}mx".to_owned(),
        "Djmta1.example.org".to_owned(),
        format!("O LDAPDefaultSpec=-w 3 -H ldap://127.0.0.1:{port} -b {BASE}"),
        format!("O QueueDirectory={}", slapd.path("").display()),
        MAP.to_owned(),
    ];
    write_file(&cf, &(lines.join("\n") + "\n"));
    let first = |folder: &str, name: &str| {
        let found = fs::read_dir(root.join(folder)).expect("folder").find_map(|file| {
            let path = file.expect("file").path();
            path.to_string_lossy().contains(name).then_some(path)
        });
        found.unwrap_or_else(|| panic!("no {name} in {folder}"))
    };
    // Under a host name without a dot it would wait a minute for a better one.
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        // As root of a namespace of its own sendmail would drop groups, which it may not there.
        command.args(["--map-current-user", "--keep-caps"]);
    }
    command.args(["--uts", "sh", "-c", "hostname mta1.example.org && exec \"$@\"", "sh"]);
    command
        .arg(first("lib64", "ld-linux"))
        .arg("--library-path")
        .arg(first("usr/lib", "-linux-gnu"));
    command.arg(root.join("usr/libexec/sendmail/sendmail")).arg("-C").arg(&cf).arg("-bt");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("sendmail");
    let asks: String = keys.iter().map(|key| format!("/map access {key}\n")).collect();
    let mut stdin = child.stdin.take().expect("stdin");
    let feeder = thread::spawn(move || stdin.write_all(asks.as_bytes()).expect("input"));
    let done = child.wait_with_output().expect("sendmail");
    feeder.join().expect("input");
    let said = String::from_utf8(done.stdout).expect("text");
    let answer = |key: &&str| {
        let head = format!("map_lookup: access ({key}) ");
        let line = said.lines().find_map(|line| line.trim_start_matches("> ").strip_prefix(&head));
        let line = line.unwrap_or_else(|| panic!("{key}: {said}"));
        if line == "no match (68)" {
            return None;
        }
        let value = line.strip_prefix("returns ").and_then(|line| line.strip_suffix(" (0)"));
        Some(value.unwrap_or_else(|| panic!("{key}: {line}")).to_owned())
    };
    keys.iter().map(answer).collect()
}

#[test]
fn sendmail_finds_what_we_say() {
    let test = "sendmail::sendmail_finds_what_we_say";
    let root = match need::root() {
        Ok(root) => root,
        Err(why) => return need::skip(test, &why),
    };
    let Some(slapd) = slapd(test) else { return };
    let mut mta1 = slapd.directory("mta1");
    let ours = [
        "Try_TLS:mx.example.net",
        "Try_TLS:192.0.2.1",
        "Try_TLS:IPv6:fd00:1ab:0:0:0:0:0:41",
        "Try_TLS:[smart.example.net]",
        "TLS_Clt_features:mx.example.net",
        "Srv_Features:192.0.2.1",
    ];
    for key in ours {
        assert_eq!(mta1.add(&entry(key)).expect("add"), Added::Written);
    }
    assert_eq!(mta1.add(&entry("Try_TLS:void.example")).expect("add"), Added::Written);
    slapd.admin_writes("sendmailMTAHost: mta1.example.org", "Try_TLS:void.example", "YES");
    slapd.admin_writes("sendmailMTAHost: mta2.example.org", "Try_TLS:other.example", "YES");
    slapd.admin_writes("sendmailMTACluster: mx", "Try_TLS:a*b(c)", "YES");
    slapd.admin_writes("sendmailMTACluster: mx", "TLS_Rcpt:Strict.Example", "VERIFY:128");
    let keys = [
        &ours[..],
        &[
            "try_tls:MX.EXAMPLE.NET",
            "try_tls:ipv6:FD00:1AB:0:0:0:0:0:41",
            "Try_TLS:example.net",
            "Try_TLS:192.0.2",
            "Try_TLS:void.example",
            "Try_TLS:other.example",
            "Try_TLS:*",
            "Try_TLS:a*b(c)",
            "tls_rcpt:strict.example",
        ],
    ]
    .concat();
    let found = found(&root, &slapd, &keys);
    assert_eq!(found.iter().flatten().count(), ours.len() + 4, "{found:?}");
    for (key, found) in keys.iter().zip(found) {
        let said = match mta1.lookup(key).expect("lookup") {
            Answer::One { value, .. } => Some(String::from_utf8(value.into()).expect("text")),
            Answer::None | Answer::Several(_) => None,
        };
        assert_eq!(said, found, "{key}");
    }
}
