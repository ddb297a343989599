//! The keys in which validation begins.
//!
//! A file that cannot be read, that holds no key of the root or that says what hickory does not understand (DS records)
//! proves nothing; that is said, and everything that would rest on it is unknown.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use hickory_resolver::proto::dnssec::TrustAnchors;

use crate::upstream::{Trouble, printable};

/// Nobody's file of root keys is larger.
const MAX_BYTES: u64 = 64 * 1024;

/// The keys of the file; without one the root's own, which hickory brings.
pub(super) fn read(file: Option<&Path>) -> Result<Arc<TrustAnchors>, Trouble> {
    let Some(file) = file else { return Ok(Arc::default()) };
    let keys = contents(file).map_err(|error| error.to_string()).and_then(|text| parse(&text));
    keys.map(Arc::new).map_err(|why| {
        Trouble(printable(&format!("trust anchor {}: {why}", file.display())).into())
    })
}

fn contents(file: &Path) -> io::Result<String> {
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("no regular file"));
    }
    let mut text = String::new();
    File::open(file)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("too large"));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<TrustAnchors, String> {
    // A last line without its end is lost on hickory.
    let keys: TrustAnchors = format!("{text}\n").parse().map_err(|error| format!("{error}"))?;
    if keys.is_empty() { Err("no key of the root".to_owned()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==";

    #[test]
    fn files_of_keys() {
        fn check(text: &str, expect: &str) {
            let found = match parse(text) {
                Ok(keys) => keys.len().to_string(),
                Err(why) => format!("? {why}"),
            };
            assert!(found.starts_with(expect), "{text}: {found}");
        }
        let dnskey = format!(". 172800 IN DNSKEY 257 3 13 {KEY}");
        check(&dnskey, "1");
        check(&format!("; a comment\n\n{dnskey} ;;state=2 [  VALID  ]\n"), "1");
        check(&format!(".\tIN\tDNSKEY\t257 3 13 {KEY} ; {{id = 1}}\n"), "1");
        check("", "? no key of the root");
        check(&format!("example. 60 IN DNSKEY 257 3 13 {KEY}\n"), "? no key of the root");
        check(
            ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n",
            "? ",
        );
        check("<html>", "? ");
        check(". IN DNSKEY 257 3 13 not-base64\n", "? ");
    }

    #[test]
    fn files() {
        assert!(read(None).is_ok_and(|keys| keys.len() == 2));
        let folder = tempfile::tempdir().expect("folder");
        let check = |path: &Path, expect: &str| {
            let why = read(Some(path)).err().map(|Trouble(why)| why);
            assert!(why.as_deref().is_some_and(|why| why.ends_with(expect)), "{why:?}");
        };
        check(folder.path(), ": no regular file");
        check(&folder.path().join("absent"), "(os error 2)");
        let large = folder.path().join("large");
        let file = File::create(&large).expect("create");
        file.set_len(MAX_BYTES + 1).expect("length");
        check(&large, ": too large");
    }
}
