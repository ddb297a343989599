use proptest::prelude::*;

use super::*;

fn target(name: &str, address: &str) -> Target {
    let address = (!address.is_empty()).then(|| address.parse().expect("address"));
    Target::new(name, address).expect("plain")
}

/// The questions of the transcripts in `testdata`, which are those of sendmail 8.17.1.9 on Debian 12. Its map had
/// `Try_TLS:` entries for mx.broken.example, 192.0.2.7, IPv6:2001:db8:0:0:0:0:0:1 and [smart.example.org] (NO), and for
/// yes.example (YES).
fn asked() -> [Target; 6] {
    [
        target("mx.broken.example", "192.0.2.99"),
        target("good.example", "192.0.2.98"),
        target("[smart.example.org]", "192.0.2.98"),
        target("[ipv6:2001:db8::1]", "2001:db8::1"),
        target("mx.broken.example", ""),
        target("yes.example", "192.0.2.7"),
    ]
}

fn no_match(said: &str) -> Proof {
    Proof::DoesNotMatch { said: said.into() }
}

fn no_answer(why: &str) -> Proof {
    Proof::NoAnswer { why: why.into() }
}

#[test]
fn transcripts_of_the_real_one() {
    fn check(transcript: &[u8], expect: [Proof; 6]) {
        assert_eq!(read(transcript, &asked(), "exit status: 0"), expect);
    }
    let tmpf =
        r#"$# error $@ 4 . 3 . 0 $: "451 Temporary system failure. Please try again later.""#;
    check(
        include_bytes!("../../testdata/bt-answers.txt"),
        [
            Proof::Matches,
            no_match("OK"),
            Proof::Matches,
            Proof::Matches,
            Proof::Matches,
            no_match("< YES > < >"),
        ],
    );
    let remarked = |remark: &str| {
        let mut proofs = [(); 6].map(|()| no_answer(tmpf));
        proofs[0] = no_answer(&format!("{tmpf} ({remark})"));
        proofs
    };
    check(
        include_bytes!("../../testdata/bt-denied.txt"),
        remarked(r#"hash map "access": unsafe map file /etc/mail/access.db: Permission denied"#),
    );
    check(
        include_bytes!("../../testdata/bt-missing.txt"),
        remarked(
            r#"hash map "access": missing map file /etc/mail/access.db: No such file or directory"#,
        ),
    );
    check(
        include_bytes!("../../testdata/bt-empty.txt"),
        remarked("Cannot open hash database /etc/mail/access.db: Invalid argument"),
    );
    check(
        include_bytes!("../../testdata/bt-nofeature.txt"),
        [
            no_match("mx . broken . example"),
            no_match("good . example"),
            no_match("[ smart . example . org ]"),
            no_match("[ ipv6 : 2001 : db8 : : 1 ]"),
            no_match("mx . broken . example"),
            no_match("yes . example"),
        ],
    );
    check(
        include_bytes!("../../testdata/bt-nocf.txt"),
        [(); 6].map(|()| {
            no_answer("/etc/mail/none.cf: line 0: cannot open: No such file or directory")
        }),
    );
}

#[test]
fn answers_belong_to_their_questions() {
    fn check(transcript: &str, expect: &[Proof]) {
        let targets = [target("a.example", ""), target("b.example", "")];
        assert_eq!(read(transcript.as_bytes(), &targets, "exit status: 9"), expect, "{transcript}");
    }
    let none = no_answer("no answer to be found in its output; exit status: 9");
    let yes = "try_tls          returns: $# error $@ 5 . 7 . 1 $: x\n";
    let input = |name: &str| format!("> > > try_tls            input: {name}\n");
    // An answer without a question, a question without an answer, another's answer.
    check(yes, &[none.clone(), none.clone()]);
    check(&input("a . example"), &[none.clone(), none.clone()]);
    check(&(input("c . example") + yes), &[none.clone(), none.clone()]);
    check(&(input("b . example") + yes), &[none.clone(), Proof::Matches]);
    check(&(input("a . example") + yes + yes), &[Proof::Matches, none.clone()]);
    check(&(input("A . Example") + yes), &[Proof::Matches, none.clone()]);
    check(&(input("a . example") + &input("b . example") + yes), &[none.clone(), Proof::Matches]);
    // Another ruleset's return, and what only looks like ours.
    let looks =
        "D                returns: $# error $@ 5 . 7 . 1 $: x\n x try_tls returns: $# error";
    let remark = no_answer("x try_tls returns: $# error");
    check(&(input("a . example") + looks), &[remark.clone(), remark]);
    let undefined = no_answer("Undefined ruleset try_tls");
    check("> Undefined ruleset try_tls\n> ", &[undefined.clone(), undefined]);
    let value = "try_tls          returns: < $# error $@ 5 . 7 . 1 $: x > < >\n";
    check(
        &(input("a . example") + value),
        &[no_match("< $# error $@ 5 . 7 . 1 $: x > < >"), none.clone()],
    );
    let ugly = format!("try_tls          returns: \x1b[31m\t{}\n", "x".repeat(500));
    let said = format!(r"\x1b[31m\t{}", "x".repeat(SAID_CAP - 10));
    check(&(input("a . example") + &ugly), &[no_match(&said), none]);
}

#[test]
fn names_that_are_no_question() {
    for name in [
        "",
        "a b",
        "a\nb",
        "a\n/quit",
        "$j",
        "a$jb",
        "[a",
        "a]",
        "[]",
        "a:b",
        ".a",
        "-a",
        "/map",
        "a,b",
        "a(b)",
        "a\"",
        "é.example",
        "a\0",
        "[[a]]",
        "a;b",
        "a@b",
        "=Sx",
    ] {
        assert_eq!(Target::new(name, None), None, "{name:?}");
    }
    assert_eq!(Target::new(&"a".repeat(256), None), None);
    assert_eq!(target("MX.Example", "").name, "mx.example");
}

#[test]
fn addresses_as_sendmail_has_them() {
    fn check(address: &str, expect: &str) {
        assert_eq!(target("x", address).addr(), expect);
    }
    check("", "");
    check("192.0.2.1", "192.0.2.1");
    check("2001:db8::1", "IPv6:2001:db8:0:0:0:0:0:1");
    check("fd00:1ab::41", "IPv6:fd00:1ab:0:0:0:0:0:41");
}

proptest! {
    #[test]
    fn any_transcript(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let proofs = read(&bytes, &asked(), "x");
        prop_assert_eq!(proofs.len(), 6);
        let silent = |proof: &Proof| matches!(proof, Proof::NoAnswer { .. });
        prop_assert!(proofs.iter().all(silent));
    }

    #[test]
    fn a_name_is_one_harmless_word(name in any::<String>()) {
        if let Some(target) = Target::new(&name, None) {
            let harmless = |b: u8| b.is_ascii_alphanumeric() || b"._-:[]".contains(&b);
            prop_assert!(target.name.bytes().all(harmless));
        }
    }
}

/// What sendmail 8.17.1.9 printed whose map had `Srv_Features:` entries for 192.0.2.50 and cl1.ptr.test (S); of the many
/// look-ups some lines are left out.
#[test]
fn clients() {
    let client = |name: Option<&str>, address: &str| {
        Target::client(name, address.parse().expect("address")).expect("plain")
    };
    let targets = [
        client(Some("x.ptr.test"), "192.0.2.50"),
        client(Some("a.cl1.ptr.test"), "192.0.2.51"),
        client(None, "192.0.2.52"),
        client(None, "fd00:1ab::41"),
    ];
    let transcript = include_bytes!("../../testdata/bt-srv-features.txt");
    let expect = [Proof::Matches, Proof::Matches, no_match("OK"), no_match("OK")];
    assert_eq!(read(transcript, &targets, "exit status: 0"), expect);
    assert_eq!(Target::client(Some("a b"), "192.0.2.1".parse().expect("address")), None);
    assert_eq!(Target::client(Some("[a]"), "192.0.2.1".parse().expect("address")), None);
}

#[test]
fn what_srv_features_returns() {
    let check = |text: &str, expect: bool| {
        let proof = judge(Side::Client, text.as_bytes(), None);
        assert_eq!(proof == Proof::Matches, expect, "{text}: {proof:?}");
    };
    check("$# S", true);
    check("$# V S", true);
    check("$# s", false);
    check("OK", false);
    assert!(matches!(judge(Side::Client, b"$# TEMP", None), Proof::NoAnswer { .. }));
}
