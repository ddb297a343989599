//! Servers that are not there, do not answer, or do not let us.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use directory::{Added, Bind, Directory, Kind, Look, Server, Settings};
use rustix::process::Signal;

use crate::lab::{BASE, Wish, entry, set_mode, slapd, slapd_like, write_file};

fn with(settings: Settings) -> Directory {
    Directory::new(settings).expect("settings")
}

#[test]
fn a_server_that_went_and_came_back() {
    let Some(mut slapd) = slapd("trouble::a_server_that_went_and_came_back") else { return };
    let mut mta1 = slapd.directory("mta1");
    assert_eq!(mta1.add(&entry("a.example")).expect("add"), Added::Written);
    slapd.stop();
    let first = mta1.look().expect_err("gone");
    assert_eq!(first.kind, Kind::Unreachable, "{first}");
    let mut again = first.again.expect("again");
    assert!(again <= Duration::from_secs(1), "{again:?}");
    for _ in 0..6 {
        again = mta1.look().expect_err("gone").again.expect("again");
    }
    assert!(again >= Duration::from_secs(16), "{again:?}");
    slapd.start();
    assert_eq!(mta1.look().expect("look").ours, [entry("a.example")]);
    // One that came back before anybody asked is not noticed at all; and the pauses begin anew.
    slapd.stop();
    slapd.start();
    assert_eq!(mta1.add(&entry("b.example")).expect("add"), Added::Written);
    slapd.stop();
    assert!(mta1.look().expect_err("gone").again.expect("again") <= Duration::from_secs(1));
}

#[test]
fn a_server_that_stands_still() {
    let Some(slapd) = slapd("trouble::a_server_that_stands_still") else { return };
    let timeout = Duration::from_millis(500);
    let mut mta1 = with(Settings { timeout, ..slapd.settings("mta1") });
    assert_eq!(mta1.look().expect("look"), Look::default());
    slapd.signal(Signal::STOP);
    let began = Instant::now();
    for _ in 0..2 {
        let error = mta1.look().expect_err("no answer");
        assert_eq!(error.kind, Kind::Timeout, "{error}");
        assert!(error.again.is_some());
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    slapd.signal(Signal::CONT);
    assert_eq!(mta1.look().expect("look"), Look::default());
}

#[test]
fn the_next_server_is_tried() {
    let Some(slapd) = slapd("trouble::the_next_server_is_tried") else { return };
    let mut settings = slapd.settings("mta1");
    settings.servers.insert(0, Server::Local("/nowhere/ldapi".into()));
    assert_eq!(with(settings.clone()).look().expect("look"), Look::default());
    settings.servers.pop();
    let error = with(settings).look().expect_err("nowhere");
    let words = error.to_string();
    assert!(
        words.starts_with("ldapi://%2Fnowhere%2Fldapi: cannot connect: No such file"),
        "{words}"
    );
}

#[test]
fn credentials() {
    let Some(slapd) = slapd("trouble::credentials") else { return };
    let file = slapd.path("password");
    let check = |text: &str, mode: u32, expect: &str| {
        write_file(&file, text);
        set_mode(&file, mode);
        let error = slapd.directory("mta1").look().expect_err("refused");
        assert_eq!((error.kind, error.again), (Kind::Credentials, None), "{error}");
        assert!(error.to_string().contains(expect), "{error}");
    };
    check("wrong\n", 0o600, "cannot bind: not with these credentials (LDAP result 49)");
    // With an empty password slapd would let anybody read.
    check("", 0o600, "/password: it is empty");
    check("\n", 0o600, "/password: it is empty");
    check("pass word\nmore\n", 0o600, "it has more than one line");
    check("pass word\n", 0o644, "its mode lets everybody at it");
    write_file(&file, "pass word");
    set_mode(&file, 0o640);
    assert_eq!(slapd.directory("mta1").look().expect("look"), Look::default());
    // It is read for each connection.
    std::fs::remove_file(&file).expect("remove");
    let error = slapd.directory("mta1").look().expect_err("no file");
    assert!(error.to_string().contains("/password: No such file"), "{error}");
}

#[test]
fn the_user_that_we_run_as() {
    let Some(mut slapd) = slapd("trouble::the_user_that_we_run_as") else { return };
    let external = Settings { bind: Bind::External, ..slapd.settings("mta1") };
    let mut mta1 = with(external);
    let error = mta1.add(&entry("a.example")).expect_err("no rights");
    assert_eq!((error.kind, error.again), (Kind::NoRights, None), "{error}");
    assert!(error.to_string().contains("its access rules have to allow it"), "{error}");
    slapd.stop();
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    slapd.configure(&format!(
        "authz-regexp gidNumber={gid}\\\\+uidNumber={uid},cn=peercred,cn=external,cn=auth cn=mta1,ou=mtas,{BASE}\n"
    ));
    slapd.start();
    assert_eq!(mta1.add(&entry("a.example")).expect("add"), Added::Written);
}

#[test]
fn nothing_is_said_without_tls() {
    let Some(slapd) = slapd("trouble::nothing_is_said_without_tls") else { return };
    let server = format!("ldap://127.0.0.1:{}", slapd.port).parse().expect("server");
    let error = with(Settings { servers: vec![server], ..slapd.settings("mta1") }).look();
    let error = error.expect_err("no TLS");
    assert_eq!((error.kind, error.again), (Kind::Untrusted, None), "{error}");
    assert!(
        error.to_string().contains("cannot begin TLS: it offers none (LDAP result 2"),
        "{error}"
    );
}

#[test]
fn servers_are_who_they_say() {
    let wish = Wish { tls: true, ..Wish::default() };
    let Some(slapd) = slapd_like("trouble::servers_are_who_they_say", &wish) else { return };
    let elsewhere = tempfile::tempdir().expect("folder");
    let other = crate::certificate::Authority::new(elsewhere.path());
    let look = |server: String, ca| {
        let servers = vec![server.parse().expect("server")];
        with(Settings { servers, ca, ..slapd.settings("mta1") }).look()
    };
    for (scheme, port) in [("ldap", slapd.port), ("ldaps", slapd.tls_port)] {
        for host in ["127.0.0.1", "localhost"] {
            let known =
                look(format!("{scheme}://{host}:{port}"), Some(slapd.authority.file.clone()));
            assert_eq!(known.expect("look"), Look::default());
        }
        for ca in [None, Some(other.file.clone())] {
            let error = look(format!("{scheme}://127.0.0.1:{port}"), ca).expect_err("unknown");
            assert_eq!((error.kind, error.again), (Kind::Untrusted, None), "{error}");
            assert!(error.to_string().contains("its certificate: "), "{error}");
        }
        let ca = Some(slapd.authority.file.clone());
        let error = look(format!("{scheme}://127.0.0.2:{port}"), ca).expect_err("another");
        assert!(matches!(error.kind, Kind::Untrusted | Kind::Unreachable), "{error}");
        let none = look(format!("{scheme}://127.0.0.1:{port}"), Some("/nowhere/ca.pem".into()));
        let words = none.expect_err("no file").to_string();
        assert!(words.contains("the ca file /nowhere/ca.pem"), "{words}");
    }
}

#[test]
fn a_server_that_takes_no_changes() {
    let Some(mut slapd) = slapd("trouble::a_server_that_takes_no_changes") else { return };
    let mut mta1 = slapd.directory("mta1");
    slapd.stop();
    slapd.configure("readonly on\n");
    slapd.start();
    assert_eq!(mta1.look().expect("look"), Look::default());
    let error = mta1.add(&entry("a.example")).expect_err("read-only");
    assert_eq!(error.kind, Kind::Refuses, "{error}");
    assert!(error.again.is_some() && error.to_string().contains("(LDAP result 53"), "{error}");
}

#[test]
fn a_replica_names_its_provider() {
    let Some(mut slapd) = slapd("trouble::a_replica_names_its_provider") else { return };
    let mut mta1 = slapd.directory("mta1");
    slapd.stop();
    slapd.configure(&format!(
        "syncrepl rid=1 provider=ldap://127.0.0.1:9 type=refreshAndPersist retry=\"3600 +\" \
         searchbase=\"{BASE}\" bindmethod=simple\nupdateref ldap://provider.example.org\n"
    ));
    slapd.start();
    assert_eq!(mta1.look().expect("look"), Look::default());
    let error = mta1.add(&entry("a.example")).expect_err("replica");
    assert_eq!((error.kind, error.again), (Kind::Elsewhere, None), "{error}");
    let words = error.to_string();
    assert!(words.contains("it names ldap://provider.example.org/"), "{words}");
    assert!(words.contains("referrals are not followed"), "{words}");
}

#[test]
fn what_has_to_be_there_first() {
    let wish = Wish { schema: false, ..Wish::default() };
    let name = "trouble::what_has_to_be_there_first";
    let Some(bare) = slapd_like(name, &wish) else { return };
    let mut mta1 = bare.directory("mta1");
    for error in
        [mta1.look().expect_err("no schema"), mta1.add(&entry("a.example")).expect_err("no schema")]
    {
        assert_eq!((error.kind, error.again), (Kind::Schema, None), "{error}");
        assert!(error.to_string().contains("has to load sendmail.schema"), "{error}");
    }
    let Some(slapd) = slapd(name) else { return };
    let mut mta1 = with(Settings { cluster: "new".into(), ..slapd.settings("mta1") });
    for error in [mta1.look().expect_err("none"), mta1.add(&entry("a.example")).expect_err("none")]
    {
        assert_eq!((error.kind, error.again), (Kind::NoContainer, None), "{error}");
        let words = error.to_string();
        assert!(words.contains("sendmailMTAMapName=access,sendmailMTACluster=new,"), "{words}");
    }
}

/// ldap3 would panic over some of these, and a panic ends the daemon.
#[test]
fn what_is_no_ldap_ends_the_connection_and_nothing_else() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("ldapi");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("socket");
    let answers: [&[u8]; 7] = [
        b"\x30\x00",
        b"\x30\x05\x02\x01\x01\x61\x00",
        b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00",
        b"\x30\x0c\x02\x01\x07\x61\x07\x0a\x01\x00\x04\x00\x04\x00",
        b"220 mail.example ESMTP\r\n",
        b"\x30\x84\xff\xff\xff\xff",
        b"",
    ];
    let server = thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).expect("read") > 0);
            stream.write_all(answer).expect("write");
        }
    });
    let settings = Settings {
        servers: vec![Server::Local(socket)],
        base: BASE.into(),
        bind: Bind::External,
        ca: None,
        cluster: "mx".into(),
        host: "mta1.example.org".into(),
        map: "access".into(),
        votes: "trytlsd".into(),
        vote_ttl: Duration::from_secs(3600),
        timeout: Duration::from_secs(5),
    };
    let mut mta1 = with(settings);
    for answer in answers {
        let error = mta1.look().expect_err("no LDAP");
        assert_eq!(error.kind, Kind::Unreachable, "{answer:?} {error}");
        let expect = if answer.is_empty() { "closed the connection" } else { "no proper LDAP" };
        assert!(error.to_string().contains(expect), "{answer:?} {error}");
    }
    server.join().expect("server");
    // On the way to TLS too.
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let port = listener.local_addr().expect("address").port();
    let server = thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().expect("accept");
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).expect("read") > 0);
        stream.write_all(b"\x30\x00").expect("write");
    });
    let slapd_less = format!("ldap://127.0.0.1:{port}").parse().expect("server");
    let settings = Settings {
        servers: vec![slapd_less],
        bind: Bind::Simple { dn: "cn=x".into(), password_file: "/nowhere".into() },
        base: BASE.into(),
        ca: None,
        cluster: "mx".into(),
        host: "mta1.example.org".into(),
        map: "access".into(),
        votes: "trytlsd".into(),
        vote_ttl: Duration::from_secs(3600),
        timeout: Duration::from_secs(5),
    };
    let error = with(settings).look().expect_err("no LDAP");
    assert_eq!(error.kind, Kind::Untrusted, "{error}");
    server.join().expect("server");
}
