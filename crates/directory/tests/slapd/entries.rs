//! Our entries and the admin's in one map.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use access::lookup::{Tag, lookup};
use access::remedy::Tagged;
use directory::{Added, Answer, Changed, Look, Settings};

use crate::lab::{BASE, Wish, entry, slapd, slapd_like};

const CLUSTER: &str = "sendmailMTACluster: mx";
const HOST: &str = "sendmailMTAHost: mta1.example.org";
const OTHER_HOST: &str = "sendmailMTAHost: mta2.example.org";

/// Keys of every kind.
const KEYS: [&str; 6] = [
    "Try_TLS:192.0.2.1",
    "Try_TLS:IPv6:fd00:1ab:0:0:0:0:0:41",
    "Try_TLS:[smart.example.net]",
    "Try_TLS:mx.example.net",
    "TLS_Clt_features:mx.example.net",
    "Srv_Features:192.0.2.1",
];

fn tagged(key: &str) -> Tagged {
    key.parse().expect("key")
}

fn one(value: &str, ours: bool) -> Answer {
    Answer::One { value: value.as_bytes().into(), ours }
}

#[test]
fn an_entry_lives_and_ends() {
    let Some(slapd) = slapd("entries::an_entry_lives_and_ends") else { return };
    let (mut mta1, mut mta2) = (slapd.directory("mta1"), slapd.directory("mta2"));
    assert_eq!(mta1.look().expect("look"), Look::default());
    for key in KEYS {
        let entry = entry(key);
        assert_eq!(mta1.lookup(key).expect("lookup"), Answer::None);
        assert_eq!(mta1.add(&entry).expect("add"), Added::Written);
        // sendmail asks in lower case, and sometimes not.
        for key in [key.to_owned(), key.to_lowercase(), key.to_uppercase()] {
            let expect = one(entry.remedy.value(), true);
            assert_eq!(mta2.lookup(&key).expect("lookup"), expect, "{key}");
        }
    }
    let look = mta2.look().expect("look");
    let mut ours: Vec<_> = look.ours.iter().map(|managed| managed.tagged().to_string()).collect();
    ours.sort_by_key(|key| KEYS.iter().position(|k| k == key));
    assert_eq!(ours, KEYS);
    assert!(look.ours.contains(&entry("Try_TLS:mx.example.net")), "{look:?}");
    assert!(look.conflicts.is_empty() && look.admins == Look::default().admins);

    let mut later = entry("Try_TLS:mx.example.net");
    later.until = Some("2027-01-23T10:50:38Z".parse().expect("time"));
    assert_eq!(mta2.renew(&later).expect("renew"), Changed::Done);
    assert_eq!(mta2.renew(&later).expect("renew"), Changed::Done);
    assert!(mta1.look().expect("look").ours.contains(&later));
    // It is renewed by name of its key; the first one's term is not what stands there any more.
    assert_eq!(
        mta1.add(&entry("Try_TLS:mx.example.net")).expect("add"),
        Added::Already(Box::new(later))
    );
    for key in KEYS {
        assert_eq!(mta2.remove(&tagged(key)).expect("remove"), Changed::Done);
        assert_eq!(mta1.remove(&tagged(key)).expect("remove"), Changed::Missing);
        assert_eq!(mta1.renew(&entry(key)).expect("renew"), Changed::Missing);
    }
    assert_eq!(mta1.look().expect("look"), Look::default());
}

#[test]
fn of_two_who_add_at_once_one_does() {
    let Some(slapd) = slapd("entries::of_two_who_add_at_once_one_does") else { return };
    const ROUNDS: usize = 20;
    let barrier = Barrier::new(2);
    let adder = |mta| {
        let mut directory = slapd.directory(mta);
        let barrier = &barrier;
        move || {
            let one = |round| {
                barrier.wait();
                directory.add(&entry(&format!("mx{round}.example.net")))
            };
            (0..ROUNDS).map(one).collect::<Vec<_>>()
        }
    };
    let outcomes = thread::scope(|scope| {
        let both = ["mta1", "mta2"].map(|mta| scope.spawn(adder(mta)));
        both.map(|one| one.join().expect("adder"))
    });
    let mut written = 0;
    for outcome in outcomes.into_iter().flatten() {
        match outcome.expect("add") {
            Added::Written => written += 1,
            Added::Already(there) => assert_eq!(*there, entry(&there.relay)),
            Added::Contradicted(line) => panic!("{line}"),
        }
    }
    assert_eq!(written, ROUNDS);
    let look = slapd.directory("mta3").look().expect("look");
    assert_eq!((look.ours.len(), look.conflicts.len()), (ROUNDS, 0));
}

#[test]
fn the_admins_entries_are_his() {
    let Some(slapd) = slapd("entries::the_admins_entries_are_his") else { return };
    let mut mta1 = slapd.directory("mta1");
    slapd.admin_writes(CLUSTER, "Try_TLS:Example.NET", "YES");
    slapd.admin_writes(HOST, "TLS_Rcpt:strict.example", "VERIFY");
    slapd.admin_writes(OTHER_HOST, "Try_TLS:other.example", "NO");
    slapd.admin_writes("sendmailMTACluster: elsewhere", "Try_TLS:far.example", "NO");
    slapd.admin_writes(CLUSTER, "From:spam.example", "REJECT");
    let look = mta1.look().expect("look");
    let hit = lookup(&look.admins, Tag::TryTls, "mx.example.net", None).expect("hit");
    assert_eq!((hit.value, hit.raw), (&b"YES"[..], &b"try_tls:example.net\tYES"[..]));
    assert!(look.admins.any_tls_rcpt().is_some());
    for key in [&b"try_tls:other.example"[..], b"try_tls:far.example", b"from:spam.example"] {
        assert!(!look.admins.contains(key));
    }

    let before = slapd.ldapsearch("(objectClass=sendmailMTAMapObject)");
    let line = "Try_TLS:Example.NET YES (cn=Try_TLS:Example.NET of mx,dc=example,dc=org)";
    assert_eq!(mta1.add(&entry("example.net")).expect("add"), Added::Contradicted(line.into()));
    assert_eq!(mta1.remove(&tagged("example.net")).expect("remove"), Changed::NotOurs(line.into()));
    assert_eq!(mta1.renew(&entry("example.net")).expect("renew"), Changed::NotOurs(line.into()));
    assert_eq!(slapd.ldapsearch("(objectClass=sendmailMTAMapObject)"), before);
    // Other clusters' keys are none of our concern.
    assert_eq!(mta1.add(&entry("far.example")).expect("add"), Added::Written);
    assert_eq!(slapd.directory("mta2").look().expect("look").ours.len(), 1);
}

/// To sendmail two objects with one key are none (cf/README, "LDAP").
#[test]
fn a_key_for_cluster_and_host_is_no_key() {
    let Some(slapd) = slapd("entries::a_key_for_cluster_and_host_is_no_key") else { return };
    let (mut mta1, mut mta2) = (slapd.directory("mta1"), slapd.directory("mta2"));
    slapd.admin_writes(OTHER_HOST, "Try_TLS:mx.example.net", "YES");
    // For whatever host: an entry of ours would be void there, and with it the admin's.
    let Added::Contradicted(line) = mta1.add(&entry("mx.example.net")).expect("add") else {
        panic!("added");
    };
    assert!(line.starts_with("Try_TLS:mx.example.net YES for mta2.example.org ("), "{line}");

    assert_eq!(mta1.add(&entry("mx.example.com")).expect("add"), Added::Written);
    slapd.admin_writes(HOST, "Try_TLS:MX.example.com", "YES");
    assert_eq!(mta1.lookup("Try_TLS:mx.example.com").expect("lookup"), Answer::Several(2));
    assert_eq!(mta2.lookup("Try_TLS:mx.example.com").expect("lookup"), one("NO", true));
    let look = mta1.look().expect("look");
    let [conflict] = look.conflicts.as_slice() else { panic!("{look:?}") };
    assert_eq!((&*conflict.key, conflict.objects.len()), ("try_tls:mx.example.com", 2));
    assert!(conflict.ours);
    assert!(!look.admins.contains(b"try_tls:mx.example.com"));
    assert_eq!(look.ours, [entry("mx.example.com")]);
    assert!(mta2.look().expect("look").conflicts.is_empty());
    // Taking ours out is all that we can do.
    assert_eq!(mta1.remove(&tagged("mx.example.com")).expect("remove"), Changed::Done);
    assert_eq!(mta1.lookup("Try_TLS:mx.example.com").expect("lookup"), one("YES", false));
}

#[test]
fn an_entry_of_ours_that_was_edited_is_the_admins() {
    let Some(slapd) = slapd("entries::an_entry_of_ours_that_was_edited_is_the_admins") else {
        return;
    };
    let mut mta1 = slapd.directory("mta1");
    let dn = |key: &str| {
        format!(
            "sendmailMTAKey=Try_TLS:{key},sendmailMTAMapName=access,sendmailMTACluster=mx,{BASE}"
        )
    };
    let edits = [
        ("value.example", "replace: sendmailMTAMapValue\nsendmailMTAMapValue: YES"),
        ("why.example", "replace: description\ndescription: by hand"),
        ("none.example", "delete: description"),
        ("two.example", "add: description\ndescription: and more"),
        ("key.example", "add: sendmailMTAKey\nsendmailMTAKey: Try_TLS:more.example"),
        ("host.example", "add: sendmailMTAHost\nsendmailMTAHost: mta1.example.org"),
    ];
    for (key, edit) in edits {
        assert_eq!(mta1.add(&entry(key)).expect("add"), Added::Written);
        slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\n{edit}\n", dn(key)));
        let result = mta1.remove(&tagged(key)).expect("remove");
        assert!(matches!(result, Changed::NotOurs(_)), "{key} {result:?}");
        let result = mta1.add(&entry(key)).expect("add");
        assert!(matches!(result, Added::Contradicted(_)), "{key} {result:?}");
    }
    // Away from the cluster no lookup finds it, but it has our name.
    assert_eq!(mta1.add(&entry("gone.example")).expect("add"), Added::Written);
    let edit = "replace: sendmailMTACluster\nsendmailMTACluster: elsewhere";
    slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\n{edit}\n", dn("gone.example")));
    let result = mta1.add(&entry("gone.example")).expect("add");
    assert!(matches!(result, Added::Contradicted(_)), "{result:?}");

    let look = mta1.look().expect("look");
    assert_eq!(look.ours, []);
    assert!(look.admins.contains(b"try_tls:more.example"));
}

/// slapd's `ldif` database knows no assertions.
#[test]
fn a_server_without_assertions_will_do() {
    let wish = Wish { backend: "ldif", ..Wish::default() };
    let Some(slapd) = slapd_like("entries::a_server_without_assertions_will_do", &wish) else {
        return;
    };
    let mut mta1 = slapd.directory("mta1");
    assert_eq!(mta1.add(&entry("mx.example.net")).expect("add"), Added::Written);
    assert_eq!(mta1.remove(&tagged("mx.example.net")).expect("remove"), Changed::Done);
    assert_eq!(mta1.look().expect("look"), Look::default());
}

#[test]
fn two_clusters_share_a_directory() {
    let Some(slapd) = slapd("entries::two_clusters_share_a_directory") else { return };
    let other = Settings { cluster: "a, b+c".replace(' ', "").into(), ..slapd.settings("mta2") };
    let ldif = other.containers();
    slapd.ldapadd(&ldif);
    let mut mta1 = slapd.directory("mta1");
    let mut mta2 = directory::Directory::new(other).expect("settings");
    for mta in [&mut mta1, &mut mta2] {
        assert_eq!(mta.add(&entry("mx.example.net")).expect("add"), Added::Written);
        assert_eq!(mta.look().expect("look").ours, [entry("mx.example.net")]);
    }
    assert_eq!(mta1.remove(&tagged("mx.example.net")).expect("remove"), Changed::Done);
    assert_eq!(mta2.look().expect("look").ours, [entry("mx.example.net")]);
}

#[test]
fn hostile_names_harm_nothing() {
    let Some(slapd) = slapd("entries::hostile_names_harm_nothing") else { return };
    let mut mta1 = slapd.directory("mta1");
    assert_eq!(mta1.add(&entry("mx.example.net")).expect("add"), Added::Written);
    slapd.admin_writes(CLUSTER, "Try_TLS:a*b(c)", "YES");
    for key in
        ["*", "Try_TLS:*", "Try_TLS:mx.example.net)(sendmailMTAKey=*", "\0", "", "a,b", "\u{e4}"]
    {
        assert_eq!(mta1.lookup(key).expect("lookup"), Answer::None, "{key:?}");
    }
    assert_eq!(mta1.lookup("Try_TLS:a*b(c)").expect("lookup"), one("YES", false));
    // The relay and the reason of an entry are foreign text, and come back as they were.
    let mut odd = entry("odd.example");
    odd.relay = "*)(\\00,=+\u{e4}\0 x".into();
    odd.why = "\r\n\u{202e})(*\\2a".to_owned();
    assert_eq!(mta1.add(&odd).expect("add"), Added::Written);
    assert!(mta1.look().expect("look").ours.contains(&odd));
    odd.until = None;
    assert_eq!(mta1.renew(&odd).expect("renew"), Changed::Done);
    assert_eq!(mta1.remove(&odd.tagged()).expect("remove"), Changed::Done);
    // A key that was built by hand is not written.
    let mut bad = entry("mx.example.net");
    bad.key = access::key::Key::Name("a)(b=*,c\n".into());
    let words = mta1.add(&bad).expect_err("refused").to_string();
    assert!(words.ends_with("is no key that may be written"), "{words}");
}

#[test]
fn the_overdue_are_named() {
    let Some(slapd) = slapd("entries::the_overdue_are_named") else { return };
    let mut mta1 = slapd.directory("mta1");
    let mut endless = entry("endless.example");
    endless.until = None;
    for entry in [entry("mx.example.net"), endless] {
        assert_eq!(mta1.add(&entry).expect("add"), Added::Written);
    }
    let look = mta1.look().expect("look");
    let overdue = |now: &str| {
        let now = now.parse().expect("time");
        look.overdue(now, Duration::from_secs(3600)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(overdue("2026-12-23T11:50:38Z"), []);
    assert_eq!(overdue("2026-12-23T11:50:39Z"), [entry("mx.example.net")]);
}

/// 1,200 entries, by a server that gives 500 to a search.
#[test]
fn a_large_map_is_read_in_pages_or_not_at_all() {
    let wish = Wish { database: "sizelimit 500\n", ..Wish::default() };
    let name = "entries::a_large_map_is_read_in_pages_or_not_at_all";
    let Some(mut slapd) = slapd_like(name, &wish) else { return };
    let container = format!("sendmailMTAMapName=access,sendmailMTACluster=mx,{BASE}");
    let mut ldif = String::new();
    for n in 0..1200 {
        ldif += &format!(
            "dn: sendmailMTAKey=Try_TLS:mx{n}.example.net,{container}\n\
             objectClass: sendmailMTAMapObject\nsendmailMTAMapName: access\n\
             sendmailMTACluster: mx\nsendmailMTAKey: Try_TLS:mx{n}.example.net\n\
             sendmailMTAMapValue: YES\n\n"
        );
    }
    slapd.ldapadd(&ldif);
    let mut mta1 = slapd.directory("mta1");
    // Half a map is none.
    let error = mta1.look().map(|look| look.admins.try_tls_keys().count()).expect_err("half a map");
    assert_eq!((error.kind, error.again), (directory::Kind::TooMany, None), "{error}");
    assert!(error.to_string().contains("size.prtotal"), "{error}");
    slapd.stop();
    slapd.configure("limits users size.prtotal=unlimited\n");
    slapd.start();
    assert_eq!(mta1.look().expect("look").admins.try_tls_keys().count(), 1200);
}
