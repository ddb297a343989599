//! Each check as a table: a healthy host, one thing of it changed, and what is then said.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::Config;
use facts::Surveyed;
use sendmail::about::About;
use sendmail::cf::Cf;

use super::super::places::{LogPlace, Places};
use super::super::seen::Meta;
use super::*;
use crate::finding::Grade::{self, Good, Note, Wrong};
use crate::host::Host;

const NOW: &str = "2026-11-23T12:00:00Z";

fn node(path: &str, kind: Kind, mode: u32) -> Node {
    let what = Meta {
        kind,
        link: false,
        mode,
        uid: 0,
        links: 1,
        mtime: 1_000_000,
        readable: Ok(()),
        writable: true,
    };
    Node { path: path.into(), what: Ok(what) }
}

/// A host where all is right, with these lines in its cf and in its config.
fn host(cf: &str, config: &str) -> (Seen, Deep) {
    let config = format!("[access]\ncf = \"/nowhere/sendmail.cf\"\n{config}");
    let config = Config::of_text(Path::new("/etc/trytlsd/trytlsd.toml"), &config).unwrap();
    let cf = Cf::parse(Path::new("/nowhere/sendmail.cf"), cf.as_bytes());
    let seen = Seen {
        sender: None,
        host: Host::of(&config, cf.map_err(|error| error.to_string())),
        config,
        journal: None,
        logs: vec![node("/var/log/mail.log", Kind::File, 0o640)],
        access: node("/etc/mail/access", Kind::File, 0o600),
        map: Some(node("/etc/mail/access.db", Kind::File, 0o640)),
        makemap: Some("/usr/sbin/makemap".into()),
        sendmail: Some("/usr/sbin/sendmail".into()),
        folders: vec![node("/etc/mail", Kind::Folder, 0o2755), node("/etc", Kind::Folder, 0o755)],
        ledger: (
            node("/var/lib/trytlsd", Kind::Folder, 0o755),
            node("/var/lib", Kind::Folder, 0o755),
        ),
        deep: None,
    };
    let sample = Sample {
        lines: 500,
        stamped: 500,
        sendmail: 400,
        telling: 60,
        flaw: None,
        programs: vec!["sm-mta".to_owned()],
        last: Some("2026-11-23T11:58:00Z".parse().unwrap()),
        written: Some("2026-11-23T11:58:01Z".parse().unwrap()),
    };
    let deep = Deep {
        now: NOW.parse().unwrap(),
        places: Places::default(),
        about: Some(Ok(About { version: "8.17.1.9".to_owned(), starttls: true })),
        asked: Some(Proof::DoesNotMatch { said: "OK".to_owned() }),
        classes: Some(Ok(vec!["hash".to_owned(), "btree".to_owned()])),
        samples: vec![(PathBuf::from("/var/log/mail.log"), Ok(sample))],
        dns: Some((vec![server("127.0.0.1:53", true, Ok(true))], Answer::Known(Tlsa::Absent))),
        time_keeper: Some("chrony"),
        uid: 0,
    };
    (seen, deep)
}

fn server(address: &str, trusted: bool, validates: Result<bool, &str>) -> Surveyed {
    let address: SocketAddr = address.parse().unwrap();
    Surveyed { address, trusted, validates: validates.map_err(str::to_owned) }
}

const HEALTHY: &str = "Kaccess hash -T<TMPF> /etc/mail/access\n";

/// What the check says once `change` is made: how good, and a part of the text; nothing at all with an empty text.
#[track_caller]
fn check(id: &str, change: impl FnOnce(&mut Seen, &mut Deep), grade: Grade, part: &str) {
    let (mut seen, mut deep) = host(HEALTHY, "");
    change(&mut seen, &mut deep);
    judge(id, &seen, &deep, grade, part);
}

#[track_caller]
fn judge(id: &str, seen: &Seen, deep: &Deep, grade: Grade, part: &str) {
    let all = findings(seen, deep);
    let found: Vec<&Finding> = all.iter().filter(|finding| finding.id == id).collect();
    if part.is_empty() {
        return assert!(found.is_empty(), "{found:?}");
    }
    let [found] = found.as_slice() else { panic!("not one finding: {found:?}") };
    assert!(found.grade == grade && found.text.contains(part), "{found:?}");
    assert!(found.text.is_ascii() && found.mend.iter().all(|line| line.is_ascii()), "{found:?}");
    assert!(grade != Wrong || !found.mend.is_empty(), "no word of how to mend it: {found:?}");
}

/// The first sample.
fn sample(deep: &mut Deep) -> &mut Sample {
    deep.samples.first_mut().unwrap().1.as_mut().unwrap()
}

fn of(node: &mut Node) -> &mut Meta {
    node.what.as_mut().unwrap()
}

#[test]
fn a_healthy_host() {
    let (seen, deep) = host(HEALTHY, "");
    for finding in findings(&seen, &deep) {
        let expect = if finding.id == "mode" { Note } else { Good };
        assert_eq!(finding.grade, expect, "{finding:?}");
    }
    judge("mode", &seen, &deep, Note, "dry run");
}

#[test]
fn sendmail_and_makemap() {
    let version = |version: &'static str, starttls: bool| {
        move |_: &mut Seen, deep: &mut Deep| {
            deep.about = Some(Ok(About { version: version.to_owned(), starttls }));
        }
    };
    check("sendmail-version", version("8.17.1.9", true), Good, "is sendmail 8.17.1.9");
    check("sendmail-version", version("8.18.1", true), Good, "is sendmail 8.18.1");
    check("sendmail-version", version("8.13.8", true), Note, "is sendmail 8.13.8");
    check("sendmail-version", version("8.9.3", true), Wrong, "does not know Try_TLS");
    check("sendmail-version", version("8.17.1", false), Wrong, "without STARTTLS");
    check("sendmail-version", |_, deep| deep.about = Some(Err("Exim".into())), Wrong, "Exim");
    check("sendmail-version", |_, deep| deep.about = None, Good, "");

    let answer = |proof: Option<Proof>| move |_: &mut Seen, deep: &mut Deep| deep.asked = proof;
    let none = Proof::NoAnswer { why: "4 . 3 . 0".to_owned() };
    check("sendmail-answers", |_, _| (), Good, "answers");
    check("sendmail-answers", answer(Some(none)), Note, "4 . 3 . 0");
    check("sendmail-answers", answer(Some(Proof::Matches)), Wrong, "covers every host");
    check("sendmail-answers", answer(None), Good, "");

    let classes = |list: Result<Vec<String>, String>| {
        move |_: &mut Seen, deep: &mut Deep| deep.classes = Some(list)
    };
    check("makemap-class", classes(Ok(vec!["btree".into()])), Wrong, "class hash, only btree");
    check("makemap-class", classes(Err("killed".into())), Wrong, "killed");
    let (seen, deep) = host("Kaccess text /etc/mail/access\n", "");
    judge("makemap-class", &seen, &deep, Good, "");
}

#[test]
fn the_map() {
    check("map-age", |_, _| (), Good, "not older");
    check("map-age", |seen, _| of(&mut seen.access).mtime += 1, Wrong, "no effect yet");
    check("map-age", |seen, _| seen.map = None, Good, "");

    let folder = |mode: u32| {
        move |seen: &mut Seen, _: &mut Deep| of(seen.folders.first_mut().unwrap()).mode = mode
    };
    check("map-rights", |_, _| (), Good, "uid 0, mode 0640");
    check(
        "map-rights",
        folder(0o2775),
        Wrong,
        "a group may write to the folder /etc/mail (mode 2775)",
    );
    check("map-rights", folder(0o777), Wrong, "everybody may write to the folder");
    check("map-rights", folder(0o1777), Good, "uid 0");
    check(
        "map-rights",
        |seen, _| of(&mut seen.access).mode = 0o666,
        Wrong,
        "everybody may write to /etc/mail/access ",
    );
    let map = |change: fn(&mut Meta)| {
        move |seen: &mut Seen, _: &mut Deep| change(of(seen.map.as_mut().unwrap()))
    };
    check("map-rights", map(|meta| meta.link = true), Wrong, "is a symbolic link");
    check("map-rights", map(|meta| meta.links = 2), Wrong, "is one of several names");
}

#[test]
fn rights_of_each_user() {
    let closed = |seen: &mut Seen| of(seen.folders.first_mut().unwrap()).writable = false;
    check("rights", |_, _| (), Good, "runs as root");
    check("rights", |seen, _| closed(seen), Wrong, "as root, and all the same");
    check("rights", |_, deep| deep.uid = 7, Note, "dry run needs not");
    check(
        "rights",
        |seen, deep| (of(&mut seen.access).uid, deep.uid) = (7, 7),
        Good,
        "uid 7, which may",
    );
    let (seen, mut deep) = host(HEALTHY, "");
    let armed = Config::of_text(Path::new("/x"), "dry_run = false\n").unwrap();
    deep.uid = 7;
    judge("rights", &Seen { config: armed, ..seen }, &deep, Wrong, "may not replace");
}

#[test]
fn the_log() {
    let flaw = || Some(("1732361413 x".to_owned(), "no syslog time stamp".to_owned()));
    check("log-format", |_, _| (), Good, "all of its last 500 lines");
    check(
        "log-format",
        |_, deep| (sample(deep).stamped, sample(deep).flaw) = (0, flaw()),
        Wrong,
        "500 of 500 lines cannot be read: no syslog time stamp; for instance: 1732361413 x",
    );
    check(
        "log-format",
        |_, deep| (sample(deep).stamped, sample(deep).flaw) = (499, flaw()),
        Note,
        "1 of 500 lines",
    );
    check("log-format", |_, deep| *sample(deep) = Sample::default(), Good, "");

    check("log-understood", |_, _| (), Good, "400 of its last 500 lines");
    check("log-understood", |_, deep| *sample(deep) = Sample::default(), Note, "no lines yet");
    check("log-understood", |_, deep| sample(deep).sendmail = 0, Wrong, "programs: sm-mta");
    check(
        "log-understood",
        |_, deep| (sample(deep).sendmail, sample(deep).lines) = (0, 5),
        Note,
        "none of its 5 lines",
    );
    let (seen, mut deep) = host(HEALTHY, "");
    sample(&mut deep).sendmail = 0;
    let place = LogPlace { path: "/var/log/maillog".into(), why: String::new(), seen: true };
    deep.places.log = Some(place);
    let finding = findings(&seen, &deep).into_iter().find(|f| f.id == "log-understood").unwrap();
    assert!(finding.mend.concat().contains("[log] path = \"/var/log/maillog\""), "{finding:?}");

    let time = |text: &str| Some(text.parse().unwrap());
    check("log-fresh", |_, _| (), Good, "written 119 seconds ago");
    check(
        "log-fresh",
        |_, deep| sample(deep).written = time("2026-11-20T12:00:00Z"),
        Note,
        "last written 3 days ago",
    );
    // No log at all is what the check "log" tells.
    let gone = |_: &mut Seen, deep: &mut Deep| {
        deep.samples = vec![(PathBuf::from("/x"), Err("No such file".to_owned()))];
    };
    for id in ["log-format", "log-understood", "log-fresh"] {
        check(id, gone, Good, "");
    }
}

#[test]
fn dns() {
    let says = |servers: Vec<Surveyed>, tlsa: Answer<Tlsa>| {
        move |_: &mut Seen, deep: &mut Deep| deep.dns = Some((servers, tlsa))
    };
    let absent = || Answer::Known(Tlsa::Absent);
    let unknown = || Answer::Unknown("the answer is bogus".into());
    let far = || server("192.0.2.53:53", false, Ok(true));
    let dead = || server("192.0.2.54:53", false, Err("timed out"));
    check("resolver", |_, _| (), Good, "127.0.0.1:53 answers and validates (trusted)");
    check("resolver", says(vec![far(), dead()], absent()), Note, "192.0.2.54:53: timed out");
    check("resolver", says(vec![dead()], unknown()), Wrong, "no DNS server answers");
    check("resolver", says(vec![], unknown()), Wrong, "no DNS server is known");
    check("resolver", |_, deep| deep.dns = None, Note, "was not asked");

    check("dnssec", |_, _| (), Good, "a trusted resolver validates");
    check("dnssec", says(vec![far()], absent()), Good, "trytlsd checks the signatures itself");
    check("dnssec", says(vec![far()], unknown()), Wrong, "is held: the answer is bogus");
    check("dnssec", says(vec![far()], Answer::Known(Tlsa::Insecure)), Wrong, "looks unsigned");
    check("dnssec", |_, deep| deep.dns = None, Good, "");
    let (seen, deep) = host(HEALTHY, "[dns]\ndnssec = \"off\"\n");
    judge("dnssec", &seen, &deep, Note, "not looked at");
}

#[test]
fn ldap_in_the_access_map() {
    let judge = |cf: &str, grade, part: &str| {
        let (seen, deep) = host(cf, "");
        judge("ldap", &seen, &deep, grade, part);
    };
    judge(HEALTHY, Good, "no part of the access map is in LDAP");
    judge("Kaccess ldap -k x\n", Wrong, "line 1 of the cf: the access map is in LDAP");
    let beside = "Ka ldap -k x\nKb hash /etc/mail/access\nKaccess sequence a b\n";
    judge(beside, Note, "line 1 of the cf: a part of the access map");
    judge("", Good, "");
}

#[test]
fn clocks() {
    let time = |text: &str| Some(text.parse().unwrap());
    check("time", |_, _| (), Good, "kept by chrony");
    check("time", |_, deep| deep.time_keeper = None, Note, "no program was found");
    check(
        "time",
        |_, deep| sample(deep).last = time("2026-11-23T14:00:00Z"),
        Wrong,
        "which is 2 hours from now",
    );
    check(
        "time",
        |_, deep| {
            sample(deep).written = time("2026-11-23T10:58:01Z");
            sample(deep).last = time("2026-11-23T11:58:00Z");
        },
        Wrong,
        "another time zone?",
    );
}
