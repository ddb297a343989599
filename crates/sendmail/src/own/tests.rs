use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// The names that a transcript tells, or why it tells none.
fn told(transcript: &[u8]) -> Result<String, String> {
    understand(transcript).map(|own| own.names().collect::<Vec<_>>().join(" "))
}

#[test]
fn what_sendmail_printed() {
    let qualified = include_bytes!("../../testdata/bt-own.txt");
    assert_eq!(told(qualified), Ok("lab lab.example.test localhost".to_owned()));
    let bare = include_bytes!("../../testdata/bt-own-bare.txt");
    assert_eq!(told(bare), Ok("bare lab lab.example.test localhost".to_owned()));
    // Cut anywhere it is no answer.
    for whole in [&qualified[..], &bare[..]] {
        for end in 0..whole.len() {
            assert!(told(&whole[..end]).is_err(), "{end}");
        }
    }
}

#[test]
fn transcripts() {
    let check = |answers: &str, expect: Result<&str, &str>| {
        let banner = "ADDRESS TEST MODE (x)\nEnter <ruleset> <address>\n";
        let expect = expect.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(told(format!("{banner}{answers}").as_bytes()), expect, "{answers:?}");
    };
    let ended = Err("sendmail -bt ended before it had answered");
    check("> A.example.\n> b.example\n> ", Ok("a.example b.example"));
    check("> a\n> [192.0.2.1]\n192.0.2.2\n::1\n[IPv6:::1]\n[b]\nc d\n$x\n> ", Ok("a"));
    let long = "x".repeat(255);
    check(&format!("> a\n> {long}\n{long}x\n\u{e9}\n> \n"), Ok(&format!("a {long}")));
    check("", ended);
    check("> a", ended);
    check("> a\n> b\n", ended);
    let odd = |line| format!("sendmail -bt said something unexpected: {line}");
    check("> Undefined\n> b\n> ", Err(&odd("> Undefined")));
    check("> [192.0.2.1]\n> b\n> ", Err(&odd("> [192.0.2.1]")));
    check("oops\n> a\n> b\n> ", Err(&odd("oops")));
    check("> a\n> > ", Err(&odd("> >")));
    check("> a\n> b\n> c\n> ", Err(&odd("> c")));
    check("> a\n> b\n> \nmore", Err(&odd("more")));
}

#[test]
fn how_names_are_compared() {
    let own: Own = ["Lab.Example.Test.", "localhost", "192.0.2.1"].into_iter().collect();
    assert_eq!(own.names().collect::<Vec<_>>(), ["lab.example.test", "localhost"]);
    for name in ["lab.example.test", "LAB.example.test.", "[lab.example.test]", "localhost"] {
        assert!(own.contains(name), "{name}");
    }
    for name in ["", ".", "[]", "lab", "x.lab.example.test", "[lab.example.test", "192.0.2.1"] {
        assert!(!own.contains(name), "{name}");
    }
}

#[test]
fn from_the_cf_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let file = |name: &str| folder.path().join(name);
    let mut names = File::create(file("names")).expect("file");
    let text = b"# mine\nA.example # one\n\n  b.example.\r\n[192.0.2.1]\n\xff\nc.example";
    io::Write::write_all(&mut names, text).expect("write");
    File::create(file("large")).and_then(|f| f.set_len(FILE_MAX + 1)).expect("file");
    let cf = Cf {
        host_name: Some("mail.example".to_owned()),
        own_names: vec!["localhost".to_owned(), "two words".to_owned()],
        own_name_files: vec![file("none"), file("names"), file("large"), PathBuf::from("/")],
        ..Cf::default()
    };
    let (own, troubles) = of_cf(&cf, "Lab.example.test");
    let expect = "a.example b.example c.example lab lab.example.test localhost mail.example";
    assert_eq!(own.names().collect::<Vec<_>>().join(" "), expect);
    assert_eq!(troubles.len(), 3, "{troubles:?}");
    assert!(troubles[0].starts_with(&format!("cannot read {}: ", file("none").display())));
    assert!(troubles[1].ends_with("it is larger than 1 MiB"));
    assert_eq!(troubles[2], "cannot read /: it is no regular file");
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(told(&bytes));
    }
}
