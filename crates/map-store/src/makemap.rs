//! makemap, and what its end means.
//!
//! It takes the text on standard input and goes on past a bad line or a duplicate key: 65 (`EX_DATAERR`) means that
//! there was one, not that it failed, and an admin's old duplicate gives 65 for ever. Nor is the status a proof of
//! success: an error while writing sets 74, and a duplicate after that sets 65 again (read in its source). So both 0
//! and 65 pass here, anything else is a failure, and the map is read back in any case. 66: no sendmail.cf; 73: cannot
//! open, not allowed, another type of map, `-o` on a map that is not there. All measured on sendmail 8.17.1.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::ExitStatus;

use access::lookup::Entries;
use access::remedy::Remedy;
use access::text::{Kind, records};
use sendmail::child::{self, Child, Output};

use crate::Error;
use crate::settings::{Settings, with_db};

/// The status with which makemap tells of bad lines and duplicates.
const DATAERR: i32 = 65;

/// Bytes of a text for which makemap gets a larger cache than its 1 MiB: a hash map of a million entries then takes
/// 1.5 s instead of 6.9 s, and makemap 75 MB of memory.
const LARGE: usize = 8 * 1024 * 1024;

/// The larger cache, in bytes.
const CACHE: &str = "134217728";

/// Characters of a child's standard error that are shown.
const MAX_SAID: usize = 600;

/// How makemap ended, not in failure.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) what: String,
    pub(crate) status: ExitStatus,
    pub(crate) said: String,
}

/// A key as the map holds it, and the value that it is to have: none if it is not to be there.
pub(crate) type Expect = Vec<(String, Option<Vec<u8>>)>;

/// Builds the map (named without `.db`) from the text.
pub(crate) fn build(settings: &Settings, text: &[u8], map: &Path) -> Result<Ended, Error> {
    let options: &[&str] = if text.len() > LARGE { &["-c", CACHE] } else { &[] };
    run(settings, "makemap", options, text, map)
}

/// Adds the lines to the map in place.
pub(crate) fn append(settings: &Settings, lines: &[u8], map: &Path) -> Result<Ended, Error> {
    run(settings, "makemap -o", &["-o"], lines, map)
}

fn run(
    settings: &Settings,
    what: &str,
    options: &[&str],
    stdin: &[u8],
    map: &Path,
) -> Result<Ended, Error> {
    let output = start(settings, options, stdin, map, 0)?;
    let said = said(&output.stderr);
    match output.status.code() {
        Some(0 | DATAERR) => Ok(Ended { what: what.to_owned(), status: output.status, said }),
        _ => Err(Error::Failed { what: what.to_owned(), status: output.status, said }),
    }
}

/// The map's entries, one `key<TAB>value` a line, keys folded. `None` if makemap cannot read the map.
pub(crate) fn dump(settings: &Settings, map: &Path) -> Result<Option<Vec<u8>>, Error> {
    // The file holds every entry, so what is written cannot be longer.
    let size = with_db(map).metadata().map_or(0, |metadata| metadata.len());
    let cap = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(64 * 1024);
    let output = start(settings, &["-u"], b"", map, cap)?;
    Ok(output.status.success().then_some(output.stdout))
}

fn start(
    settings: &Settings,
    options: &[&str],
    stdin: &[u8],
    map: &Path,
    stdout_cap: usize,
) -> Result<Output, Error> {
    let cf = settings.cf.as_deref().unwrap_or(Path::new("/dev/null"));
    let mut args: Vec<&OsStr> = vec![OsStr::new("-C"), cf.as_os_str()];
    args.extend(options.iter().map(OsStr::new));
    args.extend([OsStr::new(settings.class.name()), map.as_os_str()]);
    let program = &settings.makemap;
    let child = Child { program, args: &args, stdin, timeout: settings.timeout, stdout_cap };
    Ok(child::run(&child)?)
}

/// What a child wrote to standard error: one line, printable, not too long.
pub(crate) fn said(stderr: &[u8]) -> String {
    let lines = stderr.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    let shown: Vec<_> = lines.map(|line| line.escape_ascii().to_string()).collect();
    let shown = shown.join("; ");
    match shown.char_indices().nth(MAX_SAID) {
        Some((at, _)) => format!("{}...", shown.get(..at).unwrap_or_default()),
        None => shown,
    }
}

/// Which keys are not in the map as expected.
pub(crate) fn wrong(dump: &[u8], expect: &Expect) -> Vec<String> {
    let wanted: HashSet<&[u8]> = expect.iter().map(|(key, _)| key.as_bytes()).collect();
    let mut found: HashMap<&[u8], &[u8]> = HashMap::new();
    for line in dump.split(|&b| b == b'\n') {
        let mut halves = line.splitn(2, |&b| b == b'\t');
        let (Some(key), Some(value)) = (halves.next(), halves.next()) else { continue };
        if wanted.contains(key) {
            found.insert(key, value);
        }
    }
    let is_wrong = |(key, want): &&(String, Option<Vec<u8>>)| {
        want.as_deref() != found.get(key.as_bytes()).copied()
    };
    expect.iter().filter(is_wrong).map(|(key, _)| key.clone()).collect()
}

/// Whether the map has an entry that the text has not, under a tag that we write.
pub(crate) fn has_stray(dump: &[u8], text: &[u8]) -> bool {
    let entries = Entries::parse(text);
    let tags = Remedy::ALL.map(|remedy| remedy.prefix().to_ascii_lowercase());
    let may_be_ours = |line: &&[u8]| tags.iter().any(|tag| line.starts_with(tag.as_bytes()));
    let lines = dump.split(|&b| b == b'\n').filter(may_be_ours);
    let mut keys = lines.map(|line| line.split(|&b| b == b'\t').next().unwrap_or_default());
    keys.any(|key| !entries.contains(key))
}

/// How many different keys makemap takes from the text. Counted by hash: a million keys are 16 MB, not 100.
pub(crate) fn count_keys(text: &[u8]) -> usize {
    let hashes = records(text).filter_map(|record| match record.kind {
        Kind::Entry { key, .. } => {
            let mut hasher = DefaultHasher::new();
            key.to_ascii_lowercase().hash(&mut hasher);
            Some(hasher.finish())
        }
        _ => None,
    });
    hashes.collect::<HashSet<_>>().len()
}

/// Whether the map says what the text it was built from says: all of its keys, and each of ours to the byte.
pub(crate) fn check(ended: &Ended, dump: &[u8], text: &[u8], expect: &Expect) -> Result<(), Error> {
    let (what, status, said) = (ended.what.clone(), ended.status, ended.said.clone());
    let keys = wrong(dump, expect);
    if !keys.is_empty() {
        return Err(Error::KeysWrong { what, status, keys, said });
    }
    let (expected, found) = (count_keys(text), dump.iter().filter(|&&b| b == b'\n').count());
    if expected != found {
        return Err(Error::CountWrong { what, status, expected, found, said });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_to_the_byte() {
        let dump = b"try_tls:a\tNO\ntry_tls:b\tNO \ntry_tls:c\tYES\tx\n";
        let check = |key: &str, want: Option<&str>, ok: bool| {
            let expect = vec![(key.to_owned(), want.map(|w| w.as_bytes().to_vec()))];
            assert_eq!(wrong(dump, &expect).is_empty(), ok, "{key} {want:?}");
        };
        check("try_tls:a", Some("NO"), true);
        check("try_tls:a", Some("YES"), false);
        check("try_tls:a", None, false);
        check("try_tls:b", Some("NO"), false);
        check("try_tls:c", Some("YES\tx"), true);
        check("try_tls:d", None, true);
        check("try_tls:d", Some("NO"), false);
    }

    #[test]
    fn strays() {
        let dump = b"connect:1\tx\ntry_tls:a\tNO\ntry_tls:b\tYES\n";
        assert!(!has_stray(dump, b"Try_TLS:B NO\ntry_tls:a NO\n"));
        assert!(has_stray(dump, b"Try_TLS:a NO\n"));
        assert!(has_stray(b"srv_features:a\tS\n", b"Try_TLS:a NO\n"));
        assert!(!has_stray(b"srv_features:a\tS\n", b"Srv_Features:A S\n"));
        assert!(!has_stray(b"", b"Try_TLS:a NO\n"));
    }

    #[test]
    fn keys_are_counted_once() {
        assert_eq!(count_keys(b"a b\nA c\n#x\n\n d e\nf\ng h"), 2);
    }

    #[test]
    fn what_a_child_says_is_shown_in_one_line() {
        assert_eq!(said(b"a\n\x1b[2Jb\n\n"), "a; \\x1b[2Jb");
        assert_eq!(said(&[b'x'; 5000]).len(), MAX_SAID + 3);
    }
}
