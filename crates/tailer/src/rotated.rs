//! The age of a rotated log by its name, so that a scan reads lines in the order in which they were written.
//!
//! Understood is what logrotate and newsyslog make of `mail.log`, with or without a suffix of compression:
//! `mail.log.3` (the higher the older), `mail.log-20261123`, `mail.log-20261123-14`, `mail.log-20261123143000`,
//! `mail.log.2026-11-23` (dates), `mail.log` (the newest). Where a folder holds both kinds, numbers are taken for
//! older: `dateext` is what people switch on later.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How old a file of a family is. Sorts oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Age {
    /// By number, the highest first.
    Number(std::cmp::Reverse<u32>),
    /// By date: its digits, at least eight.
    Date(Vec<u8>),
    /// Not rotated.
    Newest,
}

/// The log that a file is a rotation of, and its age.
pub(crate) fn family(path: &Path) -> (PathBuf, Age) {
    let Some(name) = path.file_name() else {
        return (path.to_owned(), Age::Newest);
    };
    let plain = unpacked(name).unwrap_or(name.as_bytes());
    match rotation(plain) {
        Some((base, age)) => (path.with_file_name(OsStr::from_bytes(base)), age),
        None => (path.with_file_name(OsStr::from_bytes(plain)), Age::Newest),
    }
}

/// The name without a suffix of compression, if it has one.
pub(crate) fn unpacked(name: &OsStr) -> Option<&[u8]> {
    let packed = [&b".gz"[..], b".xz", b".zst", b".bz2"];
    packed.iter().find_map(|end| name.as_bytes().strip_suffix(*end))
}

/// Takes the suffix of a rotation off a name.
fn rotation(name: &[u8]) -> Option<(&[u8], Age)> {
    let is_suffix = |b: &u8| b.is_ascii_digit() || *b == b'-';
    let at = name.iter().rposition(|b| !is_suffix(b)).map_or(0, |last| last + 1);
    // The separator is a dot before the digits, or the first dash among them.
    let (base, suffix) = match name.get(at) {
        Some(b'-') => (name.get(..at)?, name.get(at + 1..)?),
        _ if at > 1 && name.get(at - 1) == Some(&b'.') => (name.get(..at - 1)?, name.get(at..)?),
        _ => return None,
    };
    if base.is_empty() || !suffix.first()?.is_ascii_digit() {
        return None;
    }
    let digits: Vec<u8> = suffix.iter().copied().filter(u8::is_ascii_digit).collect();
    if digits.len() >= 8 {
        return Some((base, Age::Date(digits)));
    }
    // A number has at most seven digits here, so it fits.
    let number = std::str::from_utf8(suffix).ok()?.parse().ok()?;
    Some((base, Age::Number(std::cmp::Reverse(number))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_family_sort_oldest_first() {
        fn check(expect: &[&str]) {
            let mut names: Vec<&str> = expect.iter().rev().copied().collect();
            names.sort_by_key(|name| family(Path::new(name)));
            assert_eq!(names, expect);
        }
        check(&["mail.log.10.gz", "mail.log.2.gz", "mail.log.1", "mail.log"]);
        check(&["maillog-20251228.gz", "maillog-20260104", "maillog"]);
        check(&["maillog-2025-12-28", "maillog.2026-01-04", "maillog"]);
        check(&["maillog-20260104-09.gz", "maillog-20260104-10", "maillog"]);
        check(&["mail.log.2", "mail.log-20260104", "mail.log"]);
        check(&["/a/mail.log.1", "/a/mail.log", "/b/mail.log.1", "/b/mail.log"]);
    }

    #[test]
    fn families() {
        fn check(name: &str, base: &str, age: Age) {
            assert_eq!(family(Path::new(name)), (PathBuf::from(base), age), "{name}");
        }
        let number = |n| Age::Number(std::cmp::Reverse(n));
        check("mail.log.0", "mail.log", number(0));
        check("mail.log.gz", "mail.log", Age::Newest);
        check("mail.log", "mail.log", Age::Newest);
        check("mail-2", "mail", number(2));
        check("mail2", "mail2", Age::Newest);
        check("mail-", "mail-", Age::Newest);
        check(".1", ".1", Age::Newest);
        check("1", "1", Age::Newest);
        check("mail.log.1-2", "mail.log.1-2", Age::Newest);
        check("mail.log--1", "mail.log--1", Age::Newest);
        check("..", "..", Age::Newest);
        check("mail.log.20261123", "mail.log", Age::Date(b"20261123".to_vec()));
        check("mail.log-1791234567.gz", "mail.log", Age::Date(b"1791234567".to_vec()));
    }
}
