use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Cf, String> {
    Cf::parse(Path::new("/etc/mail/sendmail.cf"), text.as_bytes()).map_err(|e| e.to_string())
}

/// The access map in short: line, class, flags, path.
fn access(text: &str) -> String {
    fn show(map: &MapLine) -> String {
        let path = map.path.as_ref().map_or("-".into(), |p| p.display().to_string());
        let members: String = map.members.iter().map(|m| format!("({})", show(m))).collect();
        format!("{} {} {:?} {path}{members}", map.line, map.class, map.flags)
    }
    match parse(text) {
        Ok(cf) => cf.access.as_ref().map_or("none".into(), show),
        Err(error) => error,
    }
}

#[test]
fn the_access_map() {
    fn check(text: &str, expect: &str) {
        assert_eq!(access(text), expect, "{text}");
    }
    // Each of these was given to sendmail 8.17.1.9; what it looked up is what is expected here.
    check("Kaccess hash -T<TMPF> /etc/mail/access", r#"1 hash ["-T<TMPF>"] /etc/mail/access"#);
    check("Kaccess hash -o -T<TMPF> /a.db\n", r#"1 hash ["-o", "-T<TMPF>"] /a.db"#);
    check("V10\r\nKaccess hash -T<TMPF>\r\n\t/a\r\n", r#"2 hash ["-T<TMPF>"] /a"#);
    check("KACCESS BTREE /a", "1 btree [] /a");
    check("K access hash /a", "1 hash [] /a");
    check("Kaccess hash /a # comment", "1 hash [] /a");
    check("Kaccess hash # comment\n /a", "1 hash [] /a");
    check(r"Kaccess hash /a\#b", "1 hash [] /a#b");
    check(r#"Kaccess hash -T"<TM PF>" /a"#, r#"1 hash ["-T\"<TM"] PF>""#);
    check("Kaccess hash /none\nKaccess hash /a", "2 hash [] /a");
    check("#Kaccess hash /a", "none");
    check("# text\n Kaccess hash /a", "none");
    check("\n Kaccess hash /a", "none");
    check("", "none");
    check("Kaccess ldap -1 -k (&(a=b)) -v c", "1 ldap [] -");
    check("Kaccess implicit /a", "1 implicit [] /a");
    check("Kaccess text /a", "1 text [] /a");
    check(
        "Kone hash -o /one\nKtwo btree /two\nKaccess sequence one two",
        r#"3 sequence [] -(1 hash ["-o"] /one)(2 btree [] /two)"#,
    );
    check("Kone hash /o\nKaccess sequence ONE,one", "2 sequence [] -(1 hash [] /o)(1 hash [] /o)");
    check("Kother hash\nKaccess hash /a", "2 hash [] /a"); // another map's fault

    let error =
        |line, why| format!("/etc/mail/sendmail.cf, line {line}: K line of the map access: {why}");
    check("\nKaccess hash", &error(2, "no file name for class hash"));
    check("Kaccess hash -o -m", &error(1, "no file name for class hash"));
    check("Kaccess", &error(1, "no map class"));
    check("Kaccess hash /etc/$X", &error(1, "its path holds a macro"));
    check(
        "Kaccess sequence one\nKone hash /o",
        &error(1, "its member one is not defined before it"),
    );
    check("Kaccess sequence access", &error(1, "its member access is not defined before it"));
    check(
        "Kone hash\nKaccess sequence one",
        &error(2, "its member one, line 1: no file name for class hash"),
    );
    let mut doubling = "Km0 hash /m\n".to_owned();
    for i in 1..40 {
        doubling += &format!("Km{i} sequence m{0} m{0}\n", i - 1);
    }
    assert!(access(&(doubling + "Kaccess sequence m39")).contains("more than 64 maps in it"));
}

#[test]
fn leaves_are_asked_in_order() {
    let cf = parse("Ka hash /a\nKb hash /b\nKab sequence a b\nKc ldap x\nKaccess sequence c ab");
    let access = cf.expect("parses").access.expect("has one");
    let leaves: Vec<_> = access.leaves().iter().map(|map| map.line).collect();
    assert_eq!(leaves, [4, 1, 2]);
}

#[test]
fn db_once() {
    assert_eq!(MapLine::db(Path::new("/etc/mail/access")), Path::new("/etc/mail/access.db"));
    assert_eq!(MapLine::db(Path::new("/etc/mail/access.db")), Path::new("/etc/mail/access.db"));
}

#[test]
fn the_fallback() {
    fn check(text: &str, expect: bool) {
        assert_eq!(parse(text).expect("parses").tls_fallback_to_clear, expect, "{text}");
    }
    check("", false);
    check("O TLSFallbacktoClear=true", true);
    check("O TLSFallbacktoClear", true);
    check("O tlsfallbacktoclear = True", true);
    check("O TLSFallb=yes", true);
    check("O TLSFallbacktoClear=true # c", true);
    check("O TLSFallbacktoClear=false # true", false);
    check("O TLSFallbacktoClear=True\nO TLSFallbacktoClear=False", false);
    check("O TLSFallbacktoClear=1", false);
    check("O TLSFallbacktoClear=\"true\"", false);
    check("O TLS=true", false); // not unique
    check("OTLSFallbacktoClear=true", false); // the option T
    check("O  TLSFallbacktoClear=true", false);
    check("O\tTLSFallbacktoClear=true", false);
    check("#O TLSFallbacktoClear", false);
    check("# c\n O TLSFallbacktoClear=true", false);
    check("O TLSFallbacktoClearly=true", false);
}

#[test]
fn dane() {
    fn check(text: &str, expect: bool) {
        assert_eq!(parse(text).expect("parses").dane, expect, "{text}");
    }
    check("", false);
    check("O DANE=true", true);
    check("O DANE", true);
    check("O dan = Yes", true);
    check("O DANE=always", true);
    check("O DANE=false", false);
    check("O DANE=true\nO DANE=no", false);
    check("O DA=true", false); // DaemonPortOptions, DataFileBufferSize
    check("O DaemonPortOptions=true", false);
    check("ODANE=true", false); // the option D
    check("#O DANE", false);
}

#[test]
fn the_log_level() {
    let check = |text: &str, expect: Option<u8>| {
        assert_eq!(parse(text).expect("parses").log_level, expect, "{text}");
    };
    check("", None);
    check("O LogLevel=9", Some(9));
    check("O log = 14 # c", Some(14));
    check("O LogLevel=8\nO LogLevel=6\n", Some(6));
    check("O LogLevel=", Some(0));
    check("O LogLevel=none", Some(0));
    check("O LogLevel=999", Some(255));
    check("O LDAPDefaultSpec=9", None);
    check("OLogLevel=1", None); // the option L
}

#[test]
fn the_version() {
    let check = |text: &str, expect: Option<&str>| {
        assert_eq!(parse(text).expect("parses").version.as_deref(), expect, "{text}");
    };
    check("", None);
    check("DZ8.17.1.9/Debian-2+deb12u2", Some("8.17.1.9/Debian-2+deb12u2"));
    check("D{Z}8.18.1 # mine", Some("8.18.1"));
    check("DZ8.17.1\nDZ8.18.1\n", Some("8.18.1"));
    check("DZ$X", None);
    check("DZ\u{e9}", None);
    check("DZ", None);
    check(&format!("DZ{}", "8".repeat(VERSION_MAX)), Some(&*"8".repeat(VERSION_MAX)));
    check(&format!("DZ{}", "8".repeat(VERSION_MAX + 1)), None);
}

#[test]
fn the_host() {
    let cf = parse(
        "Cwlocalhost a.example\nC{w}b.example $j\nCzother\nFw/etc/mail/local-host-names %[^\\#]\n\
         Fw-o /etc/more\nFw|/bin/names\nDj$w.example\nDjlab.example.test\nO TrustedUser=smmta\n",
    )
    .expect("parses");
    assert_eq!(cf.own_names, ["localhost", "a.example", "b.example"]);
    let files = ["/etc/mail/local-host-names", "/etc/more"].map(PathBuf::from);
    assert_eq!(cf.own_name_files, files);
    assert_eq!(cf.host_name.as_deref(), Some("lab.example.test"));
    assert_eq!(cf.trusted_user.as_deref(), Some("smmta"));
    assert_eq!(parse("Dj$w.example").expect("parses").host_name, None);
    let run_as = |line: &str| parse(line).expect("parses").run_as_user;
    assert_eq!(run_as("O RunAsUser=smmta:smmsp").as_deref(), Some("smmta"));
    assert_eq!(run_as("O RunAsUser=111").as_deref(), Some("111"));
    assert_eq!(run_as("O RunAsUser=$z"), None);
    assert_eq!(run_as("O DefaultUser=mail:mail"), None);
}

#[test]
fn files_that_are_none() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("sendmail.cf");
    let error = |path: &Path| Cf::read(path).expect_err("refused").to_string();
    assert!(error(&path).starts_with(&format!("cannot read {}: ", path.display())));
    assert_eq!(error(folder.path()), format!("{} is no regular file", folder.path().display()));
    let file = File::create(&path).expect("file");
    file.set_len(MAX_BYTES + 1).expect("grow");
    assert!(error(&path).contains("larger than 8 MiB"));
    file.set_len(MAX_BYTES).expect("shrink"); // 8 MiB of NUL
    assert_eq!(Cf::read(&path).expect("reads"), Cf::default());
}

#[test]
fn tls_as_a_client() {
    let tls = |text: &str| parse(text).expect("parses").client_tls;
    let path = |path: &str| Some(PathBuf::from(path));
    let all = "O CipherList=HIGH:!aNULL:@SECLEVEL=1\nO CipherSuites=TLS_AES_128_GCM_SHA256\n\
               O ClientSSLOptions=+SSL_OP_NO_TLSv1 -SSL_OP_NO_TICKET # why\nO CACertFile=/ca.pem\n\
               O CACertPath=/etc/ssl/certs\nO ClientCertFile=/c.pem,/d.pem\nO ClientKeyFile=/k.pem\n";
    let expect = ClientTls {
        ciphers: Some("HIGH:!aNULL:@SECLEVEL=1".to_owned()),
        suites: Some("TLS_AES_128_GCM_SHA256".to_owned()),
        options: Some("+SSL_OP_NO_TLSv1 -SSL_OP_NO_TICKET".to_owned()),
        ca_file: path("/ca.pem"),
        ca_path: path("/etc/ssl/certs"),
        certificate: path("/c.pem"),
        key: path("/k.pem"),
    };
    assert_eq!(tls(all), expect);
    // The last counts; one without a value takes it back; a macro is not known; others are others.
    assert_eq!(tls(&format!("{all}O CipherL=ALL\n")).ciphers.as_deref(), Some("ALL"));
    assert_eq!(tls(&format!("{all}O cipherlist=\nO clientcertfile\n")).ciphers, None);
    assert_eq!(
        tls("O CipherList=$m\nO ClientKeyFile=$m/k\nO CACertFile=ca\n"),
        ClientTls::default()
    );
    assert_eq!(tls("O ServerCertFile=/s\nO ServerSSLOptions=SSL_OP_ALL\n"), ClientTls::default());
    assert_eq!(tls("#O CipherList=ALL\nOCipherList=ALL\n"), ClientTls::default());
}

/// Lines that look like some of a cf.
const LINE: &str = r"[KODCF# \t]?(access|one|j|w| )? ?(hash|sequence|one)?[ -/$#\\]{0,8}";

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(Cf::parse(Path::new("x"), &bytes));
    }

    #[test]
    fn any_lines(lines in proptest::collection::vec(LINE, 0..12)) {
        drop(Cf::parse(Path::new("x"), lines.join("\n").as_bytes()));
    }

    #[test]
    fn a_path_comes_back(path in "/[a-zA-Z0-9/._-]{1,40}", class in "hash|btree|dbm|cdb|text") {
        let cf = parse(&format!("V10\nKaccess {class} -o {path}\nS1")).expect("parses");
        let access = cf.access.expect("has one");
        prop_assert_eq!((access.class, access.path), (class, Some(PathBuf::from(path))));
    }
}

#[test]
fn falling_back_for_one_host() {
    let stock =
        "DZ8.17.1.9/Debian-2+deb12u2\nKaccess hash -T<TMPF> /etc/mail/access\nStls_clt_features\n";
    let check = |text: &str, expect: &str| {
        let found = parse(text).expect("parses").falls_back_per_host();
        let why = found.err().unwrap_or_default();
        assert!(why.contains(expect) && why.is_empty() == expect.is_empty(), "{text}: {why}");
    };
    check(stock, "");
    check(&stock.replace("Stls", "S tls"), "");
    check(&stock.replace("features", "features=97"), "");
    check(
        &stock.replace("Stls_clt_features", "Stls_clt_feat_acc"),
        "FEATURE(`tls_session_features')dnl",
    );
    check(&stock.replace("Stls", "#Stls"), "FEATURE(`tls_session_features')dnl");
    check(&stock.replace("Kaccess", "Kother"), "FEATURE(`access_db')");
    check(&stock.replace("8.17.1.9", "8.15.2"), "8.15.2/Debian-2+deb12u2, and only 8.16 and later");
    check(&stock.replace("8.17.1.9", "8.9.3"), "only 8.16 and later");
    check(&stock.replace("8.17.1.9", "8.16.0.41"), "");
    check(&stock.replace("8.17.1.9", "9.0"), "");
    check(&stock.replace("8.17.1.9", "ours"), "");
    check(&stock.replace("DZ8.17.1.9/Debian-2+deb12u2\n", ""), "");
}
