//! Our block in all states that an admin can leave it in.

#![expect(
    clippy::unwrap_used,
    reason = "test code, though some of it outside of the test functions"
)]

use access::block::{What, edit, foreign_lines, is_there, parse};
use access::key::Key;
use access::managed::Managed;
use access::remedy::Tagged;
use access::text::{Kind, records};
use proptest::prelude::*;

fn entry(key: &str) -> Managed {
    let Tagged { remedy, key: parsed } = key.parse().unwrap();
    Managed {
        remedy,
        key: parsed,
        relay: key.into(),
        why: "3 stuck".to_owned(),
        since: "2026-11-23T10:50:38Z".parse().unwrap(),
        until: None,
    }
}

fn entries(keys: &[&str]) -> Vec<Managed> {
    keys.iter().map(|key| entry(key)).collect()
}

fn with(text: &str, keys: &[&str]) -> String {
    String::from_utf8(edit(text.as_bytes(), &entries(keys))).unwrap()
}

fn keys(text: &str) -> Vec<String> {
    parse(text.as_bytes()).managed.iter().map(|m| m.key.to_string()).collect()
}

fn oddities(text: &str) -> Vec<String> {
    parse(text.as_bytes()).oddities.iter().map(ToString::to_string).collect()
}

const BEGIN: &str =
    "# BEGIN trytlsd: entries that trytlsd keeps. Put lines of your own outside of this block.\n";
const END: &str = "# END trytlsd\n";

fn pair(key: &str) -> String {
    format!(
        "# trytlsd: key={key} relay={key} since=2026-11-23T10:50:38Z until=- why=3 stuck\n\
         Try_TLS:{key}\tNO\n"
    )
}

/// An entry of each tag for one address: they have nothing to do with each other.
#[test]
fn entries_of_every_tag_stand_side_by_side() {
    let all = ["192.0.2.1", "TLS_Clt_features:192.0.2.1", "Srv_Features:192.0.2.1"];
    let admin = "Srv_Features:192.0.2.1 V\n";
    let text = with(admin, &all);
    for line in [
        "# trytlsd: key=192.0.2.1 relay=192.0.2.1 ",
        "\nTry_TLS:192.0.2.1\tNO\n",
        "# trytlsd: key=TLS_Clt_features:192.0.2.1 relay=",
        "\nTLS_Clt_features:192.0.2.1\tflags=C\n",
        "# trytlsd: key=Srv_Features:192.0.2.1 relay=",
        "\nSrv_Features:192.0.2.1\tS\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert_eq!(parse(text.as_bytes()).managed, entries(&all));
    assert_eq!(
        oddities(&text),
        ["line 1: a line for Srv_Features:192.0.2.1 outside the block too (V)"]
    );
    assert_eq!(parse(text.as_bytes()).admins.exact(&all[2].parse().unwrap()).unwrap().line_no, 1);
    assert_eq!(with(&text, &all), text);
    let text = with(&text, &all[2..]);
    assert_eq!(parse(text.as_bytes()).managed, entries(&all[2..]));
    assert_eq!(with(&text, &[]), admin);
}

/// What is no longer as we wrote it is the admin's, under every tag.
#[test]
fn an_edited_entry_of_another_tag_is_the_admins() {
    let text = with("", &["Srv_Features:192.0.2.1"]);
    let edited = text.replace("192.0.2.1\tS", "192.0.2.1\tS V");
    let block = parse(edited.as_bytes());
    assert!(block.managed.is_empty());
    let entry = "Srv_Features:192.0.2.1".parse().unwrap();
    assert!(
        block
            .oddities
            .iter()
            .any(|odd| odd.what == What::NoEntry("Srv_Features:192.0.2.1".parse().unwrap()))
    );
    assert_eq!(block.admins.exact(&entry).unwrap().value, b"S V");
}

#[test]
fn a_block_comes_and_goes() {
    let admin = "Connect:127 RELAY\n";
    let text = with(admin, &["a.example", "192.0.2.1"]);
    assert_eq!(text, format!("{admin}{BEGIN}{}{}{END}", pair("a.example"), pair("192.0.2.1")));
    assert_eq!(parse(text.as_bytes()).managed, entries(&["a.example", "192.0.2.1"]));
    assert!(oddities(&text).is_empty());
    let text = with(&text, &["192.0.2.1", "b.example"]);
    assert_eq!(text, format!("{admin}{BEGIN}{}{}{END}", pair("192.0.2.1"), pair("b.example")));
    assert_eq!(with(&text, &[]), admin);
    assert_eq!(with(admin, &[]), admin);
}

#[test]
fn every_byte_of_the_admins_comes_back() {
    for admin in [
        "",
        "a b",
        "a b\n",
        "a b\r\n",
        "a b\r\nc d",
        "\u{feff}a b\n",
        "\u{feff}",
        "\n\n",
        "# END trytlsd\nTry_TLS:a.example NO\n",
        "# trytlsd: key=a.example\n",
    ] {
        let text = with(admin, &["a.example"]);
        assert!(text.starts_with(admin), "{text:?}");
        assert_eq!(keys(&text), ["a.example"], "{admin:?}");
        assert_eq!(with(&text, &[]), admin, "{admin:?}");
        assert_eq!(with(&with(&text, &["b.example"]), &[]), admin, "{admin:?}");
    }
    let raw = b"\xff\xfe\0\na\0b".as_slice();
    let text = edit(raw, &entries(&["a.example"]));
    assert_eq!(edit(&text, &[]), raw);
}

#[test]
fn an_added_line_end_stays_when_something_hangs_on_it() {
    // the admin appended behind the block
    let text = with("a b", &["a.example"]) + "c d\n";
    assert_eq!(with(&text, &[]), "a b\nc d\n");
    // the admin changed the line before it
    let text = with("a b", &["a.example"]).replacen("a b", "a bc", 1);
    assert_eq!(with(&text, &[]), "a bc\n");
}

#[test]
fn the_block_stays_where_it_is() {
    let text = with("a b\n", &["a.example"]) + "c d\n";
    let text = with(&text, &["a.example", "b.example"]);
    assert_eq!(text, format!("a b\n{BEGIN}{}{}{END}c d\n", pair("a.example"), pair("b.example")));
    assert!(oddities(&text).is_empty());
}

#[test]
fn what_changes_in_an_entry_is_written_in_place() {
    let text = with("", &["a.example", "b.example"]);
    let mut desired = entries(&["a.example", "b.example"]);
    desired[0].until = Some("2027-01-01T00:00:00Z".parse().unwrap());
    let changed = edit(text.as_bytes(), &desired);
    assert_eq!(parse(&changed).managed, desired);
    assert_eq!(edit(&changed, &desired), changed);
}

#[test]
fn the_end_marker_is_gone() {
    let text = format!("a b\n{BEGIN}{}{}c d\n", pair("a.example"), pair("b.example"));
    assert_eq!(keys(&text), ["a.example", "b.example"]);
    assert_eq!(oddities(&text), ["line 2: the block of trytlsd has no end marker"]);
    assert_eq!(
        with(&text, &["a.example", "c.example"]),
        format!("a b\n{BEGIN}{}{}{END}c d\n", pair("a.example"), pair("c.example"))
    );
    assert_eq!(with(&text, &[]), "a b\nc d\n");
    // and nothing is left of the block but its first line
    let text = format!("a b\n{}", BEGIN.trim_end());
    assert_eq!(with(&text, &["a.example"]), format!("a b\n{BEGIN}{}{END}", pair("a.example")));
    assert_eq!(with(&text, &[]), "a b\n");
}

#[test]
fn lines_that_are_not_ours() {
    let text = format!("a b\n{BEGIN}{}c d\nTry_TLS:b.example NO\n{END}e f", pair("a.example"));
    let lines: Vec<_> = foreign_lines(text.as_bytes()).collect();
    assert_eq!(lines, [&b"a b\n"[..], b"c d\n", b"Try_TLS:b.example NO\n", b"e f"]);
    let there = |text: &str| is_there(text.as_bytes());
    assert!(there(&text) && there(&format!("{BEGIN}{END}")) && there(BEGIN));
    assert!(!there("a b\n") && !there(&pair("a.example")) && !there(END));
}

#[test]
fn the_begin_marker_is_gone() {
    let text = format!("a b\n{}{END}", pair("a.example"));
    assert!(keys(&text).is_empty());
    assert_eq!(oddities(&text), ["line 4: an end marker of trytlsd without a begin marker"]);
    assert!(with(&text, &["b.example"]).starts_with(&text));
    assert_eq!(with(&with(&text, &["b.example"]), &[]), text);
}

#[test]
fn two_blocks_become_one() {
    let one = format!("{BEGIN}{}{END}", pair("a.example"));
    let two = format!("{BEGIN}{}x y\n{}{END}", pair("a.example"), pair("b.example"));
    let text = format!("{one}c d\n{two}e f\n");
    assert_eq!(keys(&text), ["a.example", "b.example"]);
    assert_eq!(
        oddities(&text),
        [
            "line 6: a second block of trytlsd",
            "line 8: the entry Try_TLS:a.example stands there twice",
            "line 9: a foreign line in the block of trytlsd: x y",
        ]
    );
    assert_eq!(
        with(&text, &["a.example", "b.example"]),
        format!("{BEGIN}{}{}{END}c d\nx y\ne f\n", pair("a.example"), pair("b.example"))
    );
    assert_eq!(with(&text, &[]), "c d\nx y\ne f\n");
}

#[test]
fn foreign_lines_inside_stay() {
    let text = format!(
        "{BEGIN}# mine\n{}\nConnect:10 RELAY\n{}{END}",
        pair("a.example"),
        pair("b.example")
    );
    assert_eq!(
        oddities(&text),
        [
            "line 2: a foreign line in the block of trytlsd: # mine",
            "line 6: a foreign line in the block of trytlsd: Connect:10 RELAY",
        ]
    );
    assert_eq!(
        with(&text, &["b.example"]),
        format!("{BEGIN}# mine\n\nConnect:10 RELAY\n{}{END}", pair("b.example"))
    );
    assert_eq!(with(&text, &[]), "# mine\n\nConnect:10 RELAY\n");
}

#[test]
fn an_entry_without_its_comment_is_the_admins_unless_we_want_the_same() {
    let text = format!("{BEGIN}Try_TLS:a.example   no\n{}{END}", pair("b.example"));
    assert_eq!(keys(&text), ["b.example"]);
    assert_eq!(oddities(&text), ["line 2: the entry Try_TLS:a.example has lost its comment"]);
    assert_eq!(
        with(&text, &["b.example"]),
        format!("{BEGIN}Try_TLS:a.example   no\n{}{END}", pair("b.example"))
    );
    assert_eq!(
        with(&text, &["b.example", "a.example"]),
        format!("{BEGIN}{}{}{END}", pair("a.example"), pair("b.example"))
    );
    assert_eq!(with(&text, &[]), "Try_TLS:a.example   no\n");
}

#[test]
fn an_edited_entry_is_the_admins() {
    for line in ["Try_TLS:a.example\tYES", "Try_TLS:other.example\tNO", "#Try_TLS:a.example\tNO"] {
        let text = with("", &["a.example"]).replace("Try_TLS:a.example\tNO", line);
        assert!(keys(&text).is_empty(), "{line}");
        assert!(
            parse(text.as_bytes())
                .oddities
                .iter()
                .any(|odd| odd.what == What::NoEntry("a.example".parse().unwrap())),
            "{line}"
        );
        assert_eq!(with(&text, &[]), format!("{line}\n"));
        assert!(with(&text, &["b.example"]).contains(line));
    }
    // another spelling of the same is still ours
    for line in ["Try_TLS:A.Example NO", "try_tls:a.example\t\tno  "] {
        let text = with("", &["a.example"]).replace("Try_TLS:a.example\tNO", line);
        assert_eq!(keys(&text), ["a.example"], "{line}");
        assert_eq!(with(&text, &["a.example"]), with("", &["a.example"]));
    }
}

#[test]
fn an_editor_that_writes_crlf_breaks_nothing() {
    let text = with("a b\n", &["a.example"]).replace('\n', "\r\n");
    assert_eq!(keys(&text), ["a.example"]);
    assert!(oddities(&text).is_empty());
    assert_eq!(with(&text, &[]), "a b\r\n");
}

#[test]
fn the_admins_line_for_the_same_key_is_reported() {
    let text = format!("try_tls:A.example YES\n{BEGIN}{}{END}", pair("a.example"));
    assert_eq!(
        oddities(&text),
        ["line 1: a line for Try_TLS:a.example outside the block too (YES)"]
    );
    let block = parse(text.as_bytes());
    let hit = block.admins.try_tls(&"a.example".parse().unwrap()).unwrap();
    assert_eq!((hit.line_no, hit.value), (1, &b"YES"[..]));
    // what we wrote is not the admin's
    let block = parse(with("", &["a.example"]).as_bytes());
    assert_eq!(block.admins.try_tls(&"a.example".parse().unwrap()), None);
}

#[test]
fn a_key_that_says_something_else_is_not_written() {
    let mut bad = entry("a.example");
    bad.key = Key::Name("a\tNO\nConnect:0".into());
    assert_eq!(edit(b"x y\n", &[bad]), b"x y\n");
}

#[test]
fn one_line_for_each_key() {
    let mut upper = entry("a.example");
    upper.key = Key::Name("A.Example".into());
    let text = edit(b"", &[entry("a.example"), upper]);
    assert_eq!(text, with("", &["a.example"]).into_bytes());
}

/// Lines that an admin, or we, could have left in any order.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(BEGIN.trim_end().as_bytes().to_vec()),
        Just(b"# BEGIN trytlsd".to_vec()),
        Just(END.trim_end().as_bytes().to_vec()),
        prop_oneof![Just("a.example"), Just("b.example"), Just("192.0.2.1")].prop_map(|key| pair(
            key
        )
        .trim_end()
        .as_bytes()
        .to_vec()),
        prop_oneof![Just("a.example"), Just("c.example")]
            .prop_map(|key| format!("Try_TLS:{key}\tNO").into_bytes()),
        Just(b"Try_TLS:a.example YES".to_vec()),
        Just(b"Connect:10 RELAY\r".to_vec()),
        "[ -~\t]{0,12}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..8),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    (prop::collection::vec(line(), 0..12), any::<bool>()).prop_map(|(lines, ended)| {
        let mut text = lines.join(&b'\n');
        if ended {
            text.push(b'\n');
        }
        text
    })
}

fn desired() -> impl Strategy<Value = Vec<Managed>> {
    prop::collection::vec(
        prop_oneof![
            Just("a.example"),
            Just("b.example"),
            Just("c.example"),
            Just("IPv6:1:2:3:4:5:6:7:8"),
            Just("Srv_Features:a.example"),
            Just("TLS_Clt_features:c.example")
        ],
        0..4,
    )
    .prop_map(|keys| entries(&keys))
}

/// The lines that are not ours, and not one that we took over because we were to write the same.
fn foreign(text: &[u8], desired: &[Managed]) -> Vec<Vec<u8>> {
    let ours = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r');
        line.starts_with("# BEGIN trytlsd")
            || line.starts_with("# END trytlsd")
            || line.starts_with("# trytlsd: key=")
            || ["a.example", "b.example", "192.0.2.1"]
                .iter()
                .any(|k| line == format!("Try_TLS:{k}\tNO"))
            || desired.iter().any(|m| line == m.line())
    };
    text.split(|&b| b == b'\n').filter(|l| !l.is_empty() && !ours(l)).map(<[u8]>::to_vec).collect()
}

fn without_block() -> impl Strategy<Value = Vec<u8>> {
    text().prop_map(|text| {
        let lines = text.split(|&b| b == b'\n');
        let lines: Vec<_> = lines.filter(|line| !line.starts_with(b"# BEGIN trytlsd")).collect();
        lines.join(&b'\n')
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn editing_twice_is_editing_once(text in text(), desired in desired()) {
        let once = edit(&text, &desired);
        prop_assert_eq!(edit(&once, &desired), once);
    }

    #[test]
    fn the_block_holds_what_was_desired(text in text(), desired in desired()) {
        let mut want: Vec<_> = desired.clone();
        want.sort_by_key(Managed::tagged);
        want.dedup();
        let mut got = parse(&edit(&text, &desired)).managed;
        got.sort_by_key(Managed::tagged);
        prop_assert_eq!(got, want);
    }

    #[test]
    fn foreign_lines_keep_their_bytes_and_order(text in text(), desired in desired()) {
        prop_assert_eq!(foreign(&edit(&text, &desired), &desired), foreign(&text, &desired));
    }

    #[test]
    fn a_text_without_a_block_comes_back(text in without_block(), first in desired(), second in desired()) {
        let edited = edit(&edit(&text, &first), &second);
        prop_assert!(edited.starts_with(&text));
        prop_assert_eq!(edit(&edited, &[]), text);
    }

    #[test]
    fn what_is_not_ours_stays_the_same_whatever_we_write(text in without_block(), first in desired(), second in desired()) {
        let stripped = |text: &[u8]| -> Vec<Vec<u8>> {
            let lines = foreign_lines(text).map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec());
            lines.collect()
        };
        let mut text = text;
        let before = stripped(&text);
        for desired in [first, second] {
            text = edit(&text, &desired);
            prop_assert_eq!(is_there(&text), !desired.is_empty());
            prop_assert_eq!(stripped(&text), before.clone());
        }
    }

    #[test]
    fn what_stands_around_the_block_keeps_every_byte(
        before in without_block(),
        after in without_block(),
        first in desired(),
        second in desired(),
    ) {
        prop_assume!(!first.is_empty());
        let text = [edit(&before, &first), after.clone()].concat();
        let edited = edit(&text, &second);
        prop_assert!(edited.starts_with(&before) && edited.ends_with(&after));
        // The line end that was added before the block stays if something hangs on it.
        let joined = !before.is_empty() && !before.ends_with(b"\n") && !after.is_empty();
        let joint = if joined { &b"\n"[..] } else { b"" };
        prop_assert_eq!(edit(&edited, &[]), [&before, joint, &after].concat());
    }

    #[test]
    fn foreign_text_in_a_comment_comes_back(text in text(), relay in "(?s).{0,30}", why in "(?s).{0,30}") {
        let managed = Managed { relay: relay.into(), why, ..entry("a.example") };
        let edited = edit(&text, std::slice::from_ref(&managed));
        prop_assert_eq!(parse(&edited).managed, [managed]);
    }

    #[test]
    fn whatever_is_read_is_whole_lines_of_the_text(text in text()) {
        for record in records(&text) {
            if let Kind::Entry { key, value } = record.kind {
                prop_assert!(!key.is_empty() && !value.is_empty());
                prop_assert!(record.raw.len() >= key.len() + 1 + value.len());
            }
        }
    }
}
