//! Any bytes as what journalctl prints: the lines that are believed are those of a plain reading of the whole, wherever the
//! pipe cuts it. None holds a second line.
//!
//! The last byte says where it is cut, and belongs to the text as well: whatever journalctl printed is a case.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tailer::MAX_LINE;
use tailer::journal::{Believed, Source};

const RUN_AS: u32 = 111;
const NAMES: [&[u8]; 5] = [b"sendmail", b"sm-mta", b"sm-que", b"sm-msp", b"sm-msp-queue"];
const READ: [&[u8]; 10] = [
    b"__CURSOR",
    b"__REALTIME_TIMESTAMP",
    b"_SOURCE_REALTIME_TIMESTAMP",
    b"_TRANSPORT",
    b"_UID",
    b"_EXE",
    b"_PID",
    b"_HOSTNAME",
    b"SYSLOG_IDENTIFIER",
    b"MESSAGE",
];

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

fuzz_target!(|printed: &[u8]| {
    let Some(cut) = printed.last().filter(|_| printed.len() <= MAX_LINE) else { return };
    let source = Source { program: "".into(), folder: None, believed: Believed::new(Some(RUN_AS)) };
    let whole = source.believed_of([printed]);
    assert!(source.believed_of(printed.chunks(usize::from(*cut) + 1)) == whole, "cut by {cut}");

    let entries = plain(printed);
    let (count, lines) = whole;
    assert_eq!(count, entries.len());
    let mut lines = lines.split_inclusive(|&byte| byte == b'\n');
    for entry in entries.iter().filter(|entry| is_sendmails(entry)) {
        let message = one(entry, b"MESSAGE").filter(|message| !message.contains(&b'\n'));
        let (Some(message), true) = (message, has_stamp_and_process(entry)) else { continue };
        let line = lines.next().expect("a line for each entry that is believed");
        let head = line.strip_suffix(b"\n").and_then(|line| line.strip_suffix(message));
        assert!(head.is_some_and(|head| head.ends_with(b"]: ")), "{}", line.escape_ascii());
    }
    assert_eq!(lines.next(), None);
});

/// The entries that end; of each the fields that are read.
fn plain(mut rest: &[u8]) -> Vec<Fields<'_>> {
    let (mut entries, mut fields) = (Vec::new(), Fields::new());
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            let entry = std::mem::take(&mut fields);
            entries.extend((!entry.is_empty()).then_some(entry));
            continue;
        }
        let (name, value) = match line.iter().position(|&byte| byte == b'=') {
            Some(equals) => (&line[..equals], &line[equals + 1..]),
            None => {
                let Some((length, after)) = rest.split_first_chunk() else { break };
                let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
                // What has no end yet is of no entry yet.
                if after.len() <= length {
                    break;
                }
                rest = &after[length + 1..];
                (line, &after[..length])
            }
        };
        if READ.contains(&name) {
            fields.push((name, value));
        }
    }
    entries
}

/// The value of a field that stands there once.
fn one<'a>(entry: &Fields<'a>, wanted: &[u8]) -> Option<&'a [u8]> {
    let mut values = entry.iter().filter(|(name, _)| *name == wanted);
    let value = values.next().map(|(_, value)| *value);
    value.filter(|_| values.next().is_none())
}

fn number(entry: &Fields<'_>, wanted: &[u8]) -> Option<i64> {
    let digits = one(entry, wanted).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_sendmails(entry: &Fields<'_>) -> bool {
    let twice = READ.iter().any(|name| entry.iter().filter(|(known, _)| known == name).count() > 1);
    let by = one(entry, b"_EXE").map(|exe| exe.rsplit(|&byte| byte == b'/').next().unwrap_or(exe));
    let name = one(entry, b"SYSLOG_IDENTIFIER");
    let user = number(entry, b"_UID");
    !twice
        && one(entry, b"_TRANSPORT") == Some(b"syslog")
        && (user == Some(0) || user == Some(i64::from(RUN_AS)))
        && by.map_or(name.is_some_and(|name| NAMES.contains(&name)), |by| {
            by.starts_with(b"sendmail")
        })
}

fn has_stamp_and_process(entry: &Fields<'_>) -> bool {
    let micros =
        number(entry, b"_SOURCE_REALTIME_TIMESTAMP").or(number(entry, b"__REALTIME_TIMESTAMP"));
    micros.is_some_and(|micros| jiff::Timestamp::from_microsecond(micros).is_ok())
        && number(entry, b"_PID").is_some_and(|pid| u32::try_from(pid).is_ok())
}
