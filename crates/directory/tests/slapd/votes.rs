//! What the MTAs say to each other, how old it is, and who may say it.

use std::thread::sleep;
use std::time::Duration;

use directory::{Directory, Kind, Says, Settings, Vote, Votes};

use crate::lab::{BASE, Slapd, Wish, slapd, slapd_like};

/// Long enough to be dead with a term of a second, by clocks that tell whole ones.
const DEAD: Duration = Duration::from_millis(3100);

fn broken(keys: &[&str]) -> Says {
    Says::Broken { keys: keys.iter().map(|key| key.parse().expect("key")).collect() }
}

/// `relay by mta`, of those that live.
fn living(votes: &Votes) -> Vec<String> {
    votes.living.iter().map(|vote| format!("{} by {}", vote.relay, vote.mta)).collect()
}

fn brief(slapd: &Slapd, mta: &str) -> Directory {
    let vote_ttl = Duration::from_secs(1);
    Directory::new(Settings { vote_ttl, ..slapd.settings(mta) }).expect("settings")
}

#[test]
fn everybody_hears_what_is_said() {
    let Some(slapd) = slapd("votes::everybody_hears_what_is_said") else { return };
    let [mut mta1, mut mta2] = ["mta1", "mta2"].map(|mta| slapd.directory(mta));
    assert_eq!(mta1.votes().expect("votes"), Votes::default());
    let says = broken(&["Try_TLS:mx.example.net", "Try_TLS:192.0.2.1"]);
    mta1.vote("mx.example.net", &says, 100).expect("vote");
    mta2.vote("mx.example.net", &Says::Works, 7).expect("vote");
    mta2.vote("mx.example.com", &Says::Lifted { until: 1_800_000_000 }, 0).expect("vote");
    for mta in [&mut mta1, &mut mta2] {
        let votes = mta.votes().expect("votes");
        let heard: Vec<_> =
            votes.living.iter().map(|v| (&*v.relay, &*v.mta, &v.says, v.seen)).collect();
        let expect = [
            ("mx.example.com", "mta2.example.org", &Says::Lifted { until: 1_800_000_000 }, 0),
            ("mx.example.net", "mta1.example.org", &says, 100),
            ("mx.example.net", "mta2.example.org", &Says::Works, 7),
        ];
        assert_eq!(heard, expect);
        assert!(votes.living.iter().all(|vote| vote.age < 10), "{votes:?}");
        assert_eq!((votes.dead.len(), votes.unreadable), (0, 0));
    }
    // One row for each: what is said takes the place of what was said.
    mta1.vote("mx.example.net", &Says::Mended { keys: Vec::new() }, 0).expect("vote");
    mta1.vote("mx.example.net", &Says::Forbids, 0).expect("vote");
    mta2.withdraw("mx.example.com").expect("withdraw");
    mta2.withdraw("mx.example.com").expect("withdraw");
    mta2.withdraw("MX.example.NET").expect("withdraw");
    let votes = mta2.votes().expect("votes");
    let [Vote { says, .. }] = votes.living.as_slice() else { panic!("{votes:?}") };
    assert_eq!(*says, Says::Forbids);
    // They are no part of the access map.
    assert_eq!(mta1.look().expect("look"), directory::Look::default());
}

/// The server's clock is more than a year behind ours; its own stamps are what counts.
#[test]
fn ages_are_told_by_the_servers_clock() {
    let wish = Wish { clock: Some("-400d"), ..Wish::default() };
    let Some(slapd) = slapd_like("votes::ages_are_told_by_the_servers_clock", &wish) else {
        return;
    };
    let [mut mta1, mut mta2] = ["mta1", "mta2"].map(|mta| slapd.directory(mta));
    mta1.vote("mx.example.net", &Says::Works, 0).expect("vote");
    mta1.vote("mx.example.com", &Says::Works, 0).expect("vote");
    brief(&slapd, "mta3").vote("mx.example.net", &Says::Works, 0).expect("vote");
    sleep(DEAD);
    // Said again, it is young again.
    mta1.vote("mx.example.com", &Says::Works, 0).expect("vote");
    for _ in 0..2 {
        let votes = mta2.votes().expect("votes");
        assert_eq!(
            living(&votes),
            ["mx.example.com by mta1.example.org", "mx.example.net by mta1.example.org"]
        );
        let [young, old] = votes.living.as_slice() else { panic!("{votes:?}") };
        assert!(young.age < 3 && (3..60).contains(&old.age), "{votes:?}");
        let [dead] = votes.dead.as_slice() else { panic!("{votes:?}") };
        assert!((1..60).contains(&dead.since), "{votes:?}");
        assert!(dead.object.contains("mta3.example.org"), "{votes:?}");
    }
    // It is really behind.
    let real = std::fs::metadata(slapd.path("log")).expect("log").modified().expect("time");
    let real = jiff::Timestamp::try_from(real).expect("time").as_second() - 300 * 86_400;
    let real = jiff::Timestamp::from_second(real).expect("time").strftime("%Y%m%d%H%M%SZ");
    let behind = |is: &str| slapd.ldapsearch(&format!("(modifyTimestamp{is}={real})"));
    assert!(behind(">").is_empty() && behind("<").contains("v1 says=works ttl=3600"));
}

#[test]
fn the_dead_are_buried_by_whoever_sees_them() {
    let Some(slapd) = slapd("votes::the_dead_are_buried_by_whoever_sees_them") else { return };
    let mut mta1 = brief(&slapd, "mta1");
    for relay in ["gone.example", "back.example"] {
        mta1.vote(relay, &Says::Works, 0).expect("vote");
    }
    let mut mta2 = slapd.directory("mta2");
    mta2.vote("gone.example", &Says::Works, 0).expect("vote");
    sleep(DEAD);
    let dead = mta2.votes().expect("votes").dead;
    assert_eq!(dead.len(), 2);
    assert_eq!(mta2.reap(&dead, Duration::from_secs(60)).expect("reap"), 0);
    // One speaks again before it is buried.
    slapd.directory("mta1").vote("back.example", &Says::Works, 0).expect("vote");
    assert_eq!(mta2.reap(&dead, Duration::ZERO).expect("reap"), 1);
    assert_eq!(mta2.reap(&dead, Duration::ZERO).expect("reap"), 0);
    let votes = mta2.votes().expect("votes");
    assert_eq!(
        living(&votes),
        ["back.example by mta1.example.org", "gone.example by mta2.example.org"]
    );
    assert!(votes.dead.is_empty());
}

#[test]
fn rows_that_are_none_are_passed_over() {
    let Some(slapd) = slapd("votes::rows_that_are_none_are_passed_over") else { return };
    let mut mta1 = slapd.directory("mta1");
    mta1.vote("mx.example.net", &Says::Works, 0).expect("vote");
    let container = format!("sendmailMTAMapName=trytlsd,sendmailMTACluster=mx,{BASE}");
    let home = format!("sendmailMTAHost=mta1.example.org,{container}");
    let row = |dn: &str, value: &str| {
        slapd.ldapadd(&format!(
            "dn: {dn}\nobjectClass: sendmailMTAMapObject\nsendmailMTAMapName: trytlsd\n\
             sendmailMTAKey: x\nsendmailMTAHost: y\nsendmailMTACluster: mx\n{value}\n"
        ));
    };
    let works = "sendmailMTAMapValue: v1 says=works ttl=3600 seen=0\n";
    row(&format!("sendmailMTAKey=x,{home}"), "sendmailMTAMapValue: v1 says=works\n");
    row(&format!("sendmailMTAKey=x,sendmailMTAKey=x,{home}"), works);
    row(&format!("sendmailMTAKey=x,{container}"), works);
    row(&format!("sendmailMTAKey=x+sendmailMTAHost=y,{home}"), works);
    row(&format!("sendmailMTAHost=y,{home}"), works);
    row(&format!("sendmailMTAKey=x,sendmailMTAKey=x,{container}"), "");
    let votes = mta1.votes().expect("votes");
    assert_eq!(living(&votes), ["mx.example.net by mta1.example.org"]);
    assert_eq!(votes.unreadable, 6);
}

#[test]
fn relays_of_any_name() {
    let Some(slapd) = slapd("votes::relays_of_any_name") else { return };
    let mut mta1 = slapd.directory("mta1");
    let relays = [
        "*",
        ")(x=*",
        "a,b=c+d;\"<>#",
        "\\00",
        "\0",
        "a b",
        "a  b",
        " a ",
        "\u{e4}",
        "\r\n[x]",
        "#x",
    ];
    for relay in relays {
        mta1.vote(relay, &Says::Works, 0).expect("vote");
    }
    let votes = mta1.votes().expect("votes");
    let mut heard: Vec<&str> = votes.living.iter().map(|vote| &*vote.relay).collect();
    let mut expect = relays;
    heard.sort_unstable();
    expect.sort_unstable();
    assert_eq!((heard.as_slice(), votes.unreadable), (&expect[..], 0));
    for relay in relays {
        mta1.withdraw(relay).expect("withdraw");
    }
    assert_eq!(mta1.votes().expect("votes"), Votes::default());
    for relay in ["", &"\u{1f4a9}".repeat(255)] {
        let error = mta1.vote(relay, &Says::Works, 0).expect_err("refused");
        assert_eq!(error.kind, Kind::Mistake, "{error}");
    }
}

#[test]
fn a_directory_without_a_place_for_votes() {
    let Some(slapd) = slapd("votes::a_directory_without_a_place_for_votes") else { return };
    let votes = "other".into();
    let mut mta1 = Directory::new(Settings { votes, ..slapd.settings("mta1") }).expect("settings");
    for error in [
        mta1.votes().expect_err("no place"),
        mta1.vote("mx.example.net", &Says::Works, 0).expect_err("no place"),
    ] {
        assert_eq!((error.kind, error.again), (Kind::NoContainer, None), "{error}");
    }
    mta1.withdraw("mx.example.net").expect("nothing to withdraw");
}
