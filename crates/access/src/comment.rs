//! The comment line above each entry of ours: for people to read, and read back by us.
//!
//! It also marks an entry of ours in an LDAP directory, as its description.
//!
//! `# trytlsd: key=… relay=… since=… until=… why=…`, always in this order. `key` repeats the entry's, so that an
//! entry that was edited is noticed; under another tag than `Try_TLS:` it begins with the tag. `relay` and `why` are foreign text (names from DNS, OpenSSL's words): all but
//! printable ASCII is written as `\u{…}`, so they cannot end the line; and the line is cut below makemap's 1,023 bytes,
//! for a longer one would have its tail read as an entry.

use jiff::Timestamp;

use crate::managed::Managed;
use crate::remedy::{Remedy, Tagged};

/// Bytes of the comment line at most, without its line end.
const MAX_LINE: usize = 990;
/// Bytes of the relay at most once it is escaped; one from the log has no more than 255.
const MAX_RELAY: usize = 320;
/// Bytes of the reason at most once it is escaped.
const MAX_WHY: usize = 400;

const HEAD: &str = "# trytlsd: key=";

/// The comment line, without a line end.
pub fn print(entry: &Managed) -> String {
    let relay = escape(&entry.relay, MAX_RELAY, |c| c != ' ');
    let since = seconds(entry.since);
    let until = entry.until.map_or_else(|| "-".to_owned(), |at| seconds(at).to_string());
    let tag = if entry.remedy == Remedy::TryTls { "" } else { entry.remedy.prefix() };
    let key = entry.key.folded();
    let mut line = format!("{HEAD}{tag}{key} relay={relay} since={since} until={until} why=");
    let room = MAX_LINE.saturating_sub(line.len()).min(MAX_WHY);
    line.push_str(&escape(&entry.why, room, |_| true));
    line
}

/// Reads the line that [`print()`] writes. `None` for any other line.
pub fn parse(line: &[u8]) -> Option<Managed> {
    let line = std::str::from_utf8(line).ok()?.strip_prefix(HEAD)?;
    let (key, line) = line.split_once(" relay=")?;
    let (relay, line) = line.split_once(" since=")?;
    let (since, line) = line.split_once(" until=")?;
    let (until, why) = line.split_once(" why=")?;
    let Tagged { remedy, key } = key.parse().ok()?;
    Some(Managed {
        remedy,
        key,
        relay: unescape(relay)?.into(),
        why: unescape(why)?,
        since: since.parse().ok()?,
        until: if until == "-" { None } else { Some(until.parse().ok()?) },
    })
}

fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Printable ASCII as it is if it is `plain`, a backslash doubled, all else as `\u{…}`; cut with `...` where it would not fit.
pub fn escape(text: &str, room: usize, plain: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    let mut cut = 0;
    for c in text.chars() {
        let before = out.len();
        match c {
            '\\' => out.push_str("\\\\"),
            ' '..='~' if plain(c) => out.push(c),
            _ => out.extend(c.escape_unicode()),
        }
        if before + 3 <= room {
            cut = before;
        }
        if out.len() > room {
            out.truncate(cut);
            out.push_str("...");
            break;
        }
    }
    out
}

/// Reads what [`escape`] writes. `None` if it cannot have written that.
pub fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        if let Some(after) = escaped.strip_prefix('\\') {
            out.push('\\');
            rest = after;
            continue;
        }
        let (digits, after) = escaped.strip_prefix("u{")?.split_once('}')?;
        out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use proptest::prelude::*;

    fn entry(relay: &str, why: &str) -> Managed {
        Managed {
            remedy: Remedy::TryTls,
            key: Key::name("mx.example.org").unwrap(),
            relay: relay.into(),
            why: why.to_owned(),
            since: "2026-11-23T10:50:38Z".parse().unwrap(),
            until: Some("2026-12-23T10:50:38Z".parse().unwrap()),
        }
    }

    #[test]
    fn the_line_says_all() {
        let line = print(&entry("mx.example.org", "3 stuck in 24h: wrong version number"));
        assert_eq!(
            line,
            "# trytlsd: key=mx.example.org relay=mx.example.org since=2026-11-23T10:50:38Z \
             until=2026-12-23T10:50:38Z why=3 stuck in 24h: wrong version number"
        );
    }

    #[test]
    fn another_tag_stands_before_the_key() {
        for remedy in Remedy::ALL {
            let address = Key::Address("fd00:1ab::41".parse().unwrap());
            let entry = Managed { remedy, key: address, ..entry("cl1.ptr.test", "x") };
            let line = print(&entry);
            let tag = if remedy == Remedy::TryTls { "" } else { remedy.prefix() };
            let head =
                format!("# trytlsd: key={tag}ipv6:fd00:1ab:0:0:0:0:0:41 relay=cl1.ptr.test ");
            assert!(line.starts_with(&head), "{line}");
            assert_eq!(parse(line.as_bytes()), Some(entry));
        }
    }

    #[test]
    fn foreign_text_stays_in_its_line() {
        let hostile = entry("a b\nTry_TLS:\tNO", "x\r\n\u{202e}\u{1b}[2J\\ why=\u{e4}\0");
        let line = print(&hostile);
        assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line}");
        assert_eq!(parse(line.as_bytes()), Some(hostile));
    }

    #[test]
    fn a_long_reason_is_cut() {
        let long = entry(&"r".repeat(255), &"\u{1f4a9}".repeat(500));
        let line = print(&long);
        assert!(line.len() <= MAX_LINE && line.ends_with("..."), "{line}");
        let back = parse(line.as_bytes()).unwrap();
        assert_eq!(back.relay, long.relay);
        assert_eq!(print(&back), line);
    }

    #[test]
    fn other_comments_are_not_ours() {
        for line in ["# trytlsd", "# trytlsd: key=a b relay=x since=y until=- why=", "", "#x"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(relay in ".{0,40}", why in "(?s).{0,60}", ends in any::<bool>()) {
            let mut entry = entry(&relay, &why);
            if !ends {
                entry.until = None;
            }
            let line = print(&entry);
            prop_assert!(line.len() <= MAX_LINE);
            let back = parse(line.as_bytes()).unwrap();
            prop_assert_eq!(print(&back), line.clone());
            if !line.contains("...") {
                prop_assert_eq!(back, entry);
            }
        }
    }
}
