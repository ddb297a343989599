//! Whether there is news, without a look.

use directory::{Added, Changed, Directory, Says, Settings};

use crate::lab::{BASE, Slapd, Wish, entry, slapd, slapd_like, write_file};

const SYNCPROV: &str = "moduleload syncprov\noverlay syncprov\n";

/// That there is news, and after a look none.
fn news(directory: &mut Directory, what: &str) {
    assert!(!directory.is_unchanged().expect("asked"), "{what}");
    directory.look().expect("look");
    assert!(directory.is_unchanged().expect("asked"), "after {what}");
    assert!(directory.is_unchanged().expect("asked"), "after {what}, again");
}

fn object(key: &str) -> String {
    format!("sendmailMTAKey=Try_TLS:{key},sendmailMTAMapName=access,sendmailMTACluster=mx,{BASE}")
}

#[test]
fn whatever_is_written_is_news() {
    let wish = Wish { database: SYNCPROV, ..Wish::default() };
    let Some(mut slapd) = slapd_like("mark::whatever_is_written_is_news", &wish) else { return };
    let [mut mta1, mut mta2] = ["mta1", "mta2"].map(|mta| slapd.directory(mta));
    news(&mut mta1, "nothing was looked at yet");
    assert_eq!(mta2.add(&entry("a.example")).expect("add"), Added::Written);
    news(&mut mta1, "another's entry");
    assert_eq!(mta1.add(&entry("b.example")).expect("add"), Added::Written);
    news(&mut mta1, "an entry of its own");
    let renewed = later("a.example");
    assert_eq!(mta2.renew(&renewed).expect("renew"), Changed::Done);
    news(&mut mta1, "another end");
    assert_eq!(mta2.remove(&renewed.tagged()).expect("remove"), Changed::Done);
    news(&mut mta1, "an entry that is gone");
    slapd.admin_writes("sendmailMTACluster: mx", "Try_TLS:c.example", "YES");
    news(&mut mta1, "the admin's entry");
    slapd.ldapmodify(&format!("dn: {}\nchangetype: delete\n", object("b.example")));
    news(&mut mta1, "an entry that the admin took out");
    // Another server may be at the other end of another connection.
    slapd.stop();
    slapd.start();
    news(&mut mta1, "another connection");
    // In one database with the map the votes are news too, if useless.
    mta2.vote("a.example", &Says::Works, 0).expect("vote");
    news(&mut mta1, "a vote");
}

fn later(key: &str) -> access::managed::Managed {
    let until = Some("2027-01-23T10:50:38Z".parse().expect("time"));
    access::managed::Managed { until, ..entry(key) }
}

/// A database for the map alone, glued into the admin's: both are looked at.
#[test]
fn a_map_of_its_own_database() {
    let test = "mark::a_map_of_its_own_database";
    let wish = Wish { database: SYNCPROV, ..Wish::default() };
    let Some(mut slapd) = slapd_like(test, &wish) else { return };
    slapd.stop();
    let inner = slapd.path("inner").display().to_string();
    let config = std::fs::read_to_string(slapd.path("slapd.conf")).expect("config");
    let (head, outer) = config.split_once("database mdb").expect("database");
    let (_, rules) = outer.split_once(SYNCPROV).expect("rules");
    std::fs::create_dir(&inner).expect("folder");
    write_file(
        &slapd.path("slapd.conf"),
        &format!(
            "{head}moduleload syncprov\ndatabase mdb\nsuffix \"sendmailMTACluster=own,{BASE}\"\nsubordinate\n\
             rootdn \"cn=root,{BASE}\"\ndirectory {inner}\n{rules}overlay syncprov\n\
             database mdb{}",
            outer.replace("moduleload syncprov\n", "")
        ),
    );
    slapd.start();
    let own = Settings { cluster: "own".into(), ..slapd.settings("mta1") };
    slapd.ldapadd(&own.containers());
    let [mut mta1, mut mta2] = [(); 2].map(|()| Directory::new(own.clone()).expect("settings"));
    assert_eq!(mta2.add(&entry("a.example")).expect("add"), Added::Written);
    news(&mut mta1, "nothing was looked at yet");
    assert_eq!(mta2.add(&entry("b.example")).expect("add"), Added::Written);
    news(&mut mta1, "another's entry");
    slapd.admin_writes("sendmailMTACluster: own", "Try_TLS:c.example", "YES");
    news(&mut mta1, "the admin's entry");
    assert_eq!(mta1.look().expect("look").ours.len(), 2);
}

/// A server without stamps, and one that does not show them.
#[test]
fn where_nobody_tells_all_is_news() {
    let test = "mark::where_nobody_tells_all_is_news";
    let never = |slapd: &Slapd| {
        let mut mta1 = slapd.directory("mta1");
        for _ in 0..2 {
            mta1.look().expect("look");
            assert!(!mta1.is_unchanged().expect("asked"));
        }
    };
    let Some(plain) = slapd(test) else { return };
    never(&plain);
    let access = "access to attrs=userPassword by anonymous auth\n\
         access to attrs=contextCSN by * none\n\
         access to * by dn.children=\"ou=mtas,dc=example,dc=org\" write by * read\n";
    let wish = Wish { database: SYNCPROV, access, ..Wish::default() };
    never(&slapd_like(test, &wish).expect("slapd"));
}
