//! Any bytes as the access file: what an edit puts there is read back, and nothing of the admin's changes.
//!
//! The last byte chooses the entries wanted, and belongs to the text as well: any file is a case. The text is also the
//! reason that is written into the comments.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use access::block::{Block, What, edit, parse};
use access::key::Key;
use access::lookup::{Entries, Hit, Tag, lookup, lookup_recipient, would_match};
use access::managed::Managed;
use access::remedy::Remedy;
use access::text::{Kind, records};
use libfuzzer_sys::fuzz_target;

const KEYS: [&str; 6] = [
    "a.example",
    "b.example",
    "mx.c.example",
    "[smart.example]",
    "192.0.2.1",
    "IPv6:2001:db8:0:0:0:0:0:1",
];

const BEGIN: &[u8] = b"# BEGIN trytlsd";
const COMMENT: &[u8] = b"# trytlsd: key=";

fuzz_target!(|text: &[u8]| {
    let Some(&choice) = text.last() else { return };
    reads_lines(text);
    looks_up(text);
    reads_keys(text);

    let wanted = wanted(choice, text);
    let edited = edit(text, &wanted);
    assert_eq!(edit(&edited, &wanted), edited, "editing twice is editing once");
    holds(&edited, &wanted);
    keeps(text, &edited, &wanted);
    let cleared = edit(&edited, &[]);
    assert!(parse(&cleared).managed.is_empty());
    let keys = keys(text);
    assert_eq!(
        foreign(&cleared, &keys),
        foreign(text, &keys),
        "what is not ours outlives the block"
    );
    if !has_block(text) {
        assert_eq!(cleared, text, "a block comes and goes without a trace");
    }
});

/// Some of the keys, with foreign text for a reason. Each character may take ten bytes in the comment, which has room for
/// all of thirty.
fn wanted(choice: u8, text: &[u8]) -> Vec<Managed> {
    let foreign: String = String::from_utf8_lossy(text).chars().take(30).collect();
    let chosen = KEYS.iter().enumerate().filter(|(bit, _)| choice >> bit & 1 == 1);
    let entry = |(bit, key): (usize, &&str)| Managed {
        remedy: Remedy::ALL[usize::from(choice) % Remedy::ALL.len()],
        key: key.parse().expect("a key"),
        relay: foreign.as_str().into(),
        why: foreign.clone(),
        since: "2026-11-23T10:50:38Z".parse().expect("a time"),
        until: (bit % 2 == 1).then(|| "2026-12-23T10:50:38Z".parse().expect("a time")),
    };
    chosen.map(entry).collect()
}

/// The block says exactly what was wanted, and so does the map that is made of the text.
fn holds(edited: &[u8], wanted: &[Managed]) {
    let Block { mut managed, admins, oddities } = parse(edited);
    managed.sort_by(|a, b| a.key.cmp(&b.key));
    let mut expect = wanted.to_vec();
    expect.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(managed, expect);
    let entries = Entries::parse(edited);
    for entry in wanted {
        let tagged = entry.tagged();
        let admins_too = oddities
            .iter()
            .any(|odd| matches!(&odd.what, What::AlsoAdmins { entry, .. } if *entry == tagged));
        let hit = entries.exact(&tagged).expect("it was put there");
        assert!(admins_too || hit.value == entry.remedy.value().as_bytes(), "{hit:?}");
        assert_eq!(admins.exact(&tagged).is_some(), admins_too, "{entry:?}");
    }
}

/// The text before the first block and behind the last keeps every byte; in between, the lines that are not ours do.
fn keeps(text: &[u8], edited: &[u8], wanted: &[Managed]) {
    if !has_block(text) {
        assert!(edited.starts_with(text));
    }
    let head = head(text);
    let without_end = head.strip_suffix(b"\n").filter(|_| wanted.is_empty()).unwrap_or(head);
    assert!(edited.starts_with(head) || edited.starts_with(without_end));
    let keys = keys(text);
    assert_eq!(foreign(edited, &keys), foreign(text, &keys));
}

/// What stands before the first begin marker.
fn head(text: &[u8]) -> &[u8] {
    let lines = text.split_inclusive(|&b| b == b'\n');
    &text[..lines.take_while(|line| !line.starts_with(BEGIN)).map(<[u8]>::len).sum()]
}

fn has_block(text: &[u8]) -> bool {
    head(text).len() < text.len()
}

/// The lines that could not be ours whatever stands around them, without their line ends. Ours are the markers, the
/// comments, and entries for the keys wanted or named by a comment.
fn foreign<'a>(text: &'a [u8], keys: &[Vec<u8>]) -> Vec<&'a [u8]> {
    let ours = |line: &&[u8]| {
        let folded = line.to_ascii_lowercase();
        let entry = Remedy::ALL.iter().any(|remedy| {
            let prefix = remedy.prefix().to_ascii_lowercase();
            folded.strip_prefix(prefix.as_bytes()).is_some_and(|rest| keys.contains(&word(rest)))
        });
        let marks: [&[u8]; 3] = [BEGIN, b"# END trytlsd", COMMENT];
        entry || marks.iter().any(|mark| line.starts_with(mark))
    };
    let lines = text.split_inclusive(|&b| b == b'\n');
    lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line)).filter(|line| !ours(line)).collect()
}

/// The keys that may be wanted, and those that a comment like ours names; folded.
fn keys(text: &[u8]) -> Vec<Vec<u8>> {
    let comments = text.split(|&b| b == b'\n').filter_map(|line| line.strip_prefix(COMMENT));
    comments.chain(KEYS.map(str::as_bytes)).map(|key| word(&key.to_ascii_lowercase())).collect()
}

fn word(text: &[u8]) -> Vec<u8> {
    text.iter().copied().take_while(|b| !b.is_ascii_whitespace() && *b != 0x0b).collect()
}

fn reads_lines(text: &[u8]) {
    let count = 1 + text.iter().filter(|&&b| b == b'\n').count();
    for record in records(text) {
        assert!((1..=count).contains(&record.line_no) && !record.raw.contains(&b'\n'));
        if let Kind::Entry { key, value } = record.kind {
            assert!(!key.is_empty() && !value.is_empty() && record.raw.starts_with(key));
            assert!(record.raw.len() > key.len() + value.len());
        }
    }
}

fn looks_up(text: &[u8]) {
    let entries = Entries::parse(text);
    let names = String::from_utf8_lossy(text.get(..40).unwrap_or(text)).into_owned();
    let check = |hit: Option<Hit<'_>>| {
        if let Some(hit) = hit {
            let line = text.split(|&b| b == b'\n').nth(hit.line_no - 1).unwrap_or_default();
            assert!(line.windows(hit.raw.len()).any(|part| part == hit.raw), "{hit:?}");
            assert!(entries.contains(hit.key), "{hit:?}");
        }
    };
    let address = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    for name in ["mx.c.example", "[smart.example]", "[192.0.2.1]", &names] {
        for tag in [Tag::TryTls, Tag::TlsSrv, Tag::TlsCltFeatures, Tag::SrvFeatures] {
            check(lookup(&entries, tag, name, address));
            check(lookup(&entries, tag, name, None));
        }
        check(lookup_recipient(&entries, name));
        check(lookup_recipient(&entries, &format!("u+d@{name}")));
    }
}

/// Text that is taken for a key is one: sendmail looks it up, and its line is one entry and nothing else.
fn reads_keys(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    for word in text.split_ascii_whitespace() {
        let Ok(key) = word.parse::<Key>() else { continue };
        assert!(key.is_valid());
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        let (name, address) = match &key {
            Key::Address(address) => ("mx.example.org".to_owned(), Some(*address)),
            Key::Name(_) | Key::Bracketed(_) => (key.to_string(), None),
        };
        assert!(would_match(&key, &name, address), "{key}");
        let line = access::remedy::Tagged::try_tls(key.clone()).line().into_bytes();
        let read: Vec<_> = records(&line).map(|record| record.kind).collect();
        let [Kind::Entry { value: b"NO", .. }] = read.as_slice() else { panic!("{read:?}") };
    }
}
