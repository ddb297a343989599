//! The policy itself: the text of `/.well-known/mta-sts.txt` (RFC 8461, section 3.2).
//!
//! Read by the grammar, for a text that is almost a policy may be half of one: a `max_age` that was cut off, a page that
//! says "not found". Where this is more lenient than the RFC: lines without anything are passed over (many policies end
//! with some), and the version need not come first. The names under `mx:` must be valid, and are not kept: which host
//! may be spoken to is for the mailer to judge, here it only matters whether it may be in clear.

use maillog::relay::is_plain_name;
use policy::fact::StsMode;

use super::record::is_name;

/// A year, in seconds: the longest that a policy may ask to be kept.
const MAX_AGE: u32 = 31_557_600;

/// What is of use in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Its mode.
    pub(crate) mode: StsMode,
    /// How long it holds from when it was fetched: 0 to 31,557,600 s.
    pub(crate) max_age: u32,
}

/// Reads a policy; otherwise says what is wrong with it.
pub(crate) fn parse(text: &[u8]) -> Result<Policy, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no UTF-8")?;
    let (mut version, mut mode, mut max_age, mut hosts) = (None, None, None, 0_usize);
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line).trim_end_matches([' ', '\t']);
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':').ok_or("a line of it is no field")?;
        let value = value.trim_start_matches([' ', '\t']);
        if !is_name(name.as_bytes()) || value.is_empty() || value.contains(|c: char| c.is_control())
        {
            return Err("a line of it is no field");
        }
        match name {
            "version" => version = version.or(Some(value)),
            "mode" => mode = mode.or(Some(value)),
            "max_age" => max_age = max_age.or(Some(value)),
            "mx" if is_pattern(value) => hosts += 1,
            "mx" => return Err("an mx of it is no name"),
            _ => {}
        }
    }
    if version != Some("STSv1") {
        return Err("its version is not STSv1");
    }
    let mode = match mode {
        Some("enforce") => StsMode::Enforce,
        Some("testing") => StsMode::Testing,
        Some("none") => StsMode::None,
        _ => return Err("it has no valid mode"),
    };
    let max_age = max_age.and_then(seconds).ok_or("it has no valid max_age")?;
    if hosts == 0 && mode != StsMode::None {
        return Err("it names no mx");
    }
    Ok(Policy { mode, max_age })
}

/// One to ten digits, at most [`MAX_AGE`].
fn seconds(value: &str) -> Option<u32> {
    let digits = value.len() <= 10 && value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|&seconds| digits && seconds <= MAX_AGE)
}

/// Whether it is a name, or `*.` and one.
fn is_pattern(value: &str) -> bool {
    is_plain_name(value.strip_prefix("*.").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The policy in short, or what is wrong with it.
    fn short(text: &[u8]) -> String {
        match parse(text) {
            Ok(policy) => format!("{:?} {}", policy.mode, policy.max_age),
            Err(why) => why.to_owned(),
        }
    }

    /// The RFC's example, with one line replaced.
    fn with(line: &str, by: &str) -> String {
        let text = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n";
        assert!(text.contains(line), "{line}");
        text.replace(line, by)
    }

    #[test]
    fn valid_ones() {
        fn check(text: &str, expect: &str) {
            assert_eq!(short(text.as_bytes()), expect, "{text:?}");
            assert_eq!(short(text.replace('\n', "\r\n").as_bytes()), expect, "{text:?}");
        }
        check(&with("", ""), "Enforce 604800");
        check(&with("604800\n", "604800"), "Enforce 604800");
        check(&with("enforce", "testing"), "Testing 604800");
        check(&with("enforce", "none"), "None 604800");
        check("version: STSv1\nmode: none\nmax_age: 0", "None 0");
        check(&with("604800", "31557600"), "Enforce 31557600");
        check(&with("604800", "0000604800"), "Enforce 604800");
        check(&with(": ", ":"), "Enforce 604800");
        check(&with(": ", ": \t "), "Enforce 604800");
        check(&with("enforce", "enforce  \t"), "Enforce 604800");
        check(&with("604800\n", "604800\n\n \n"), "Enforce 604800");
        check(&with("version: STSv1\n", "max_age: 1\nversion: STSv1\n"), "Enforce 1");
        check(&with("enforce\n", "enforce\nmode: none\n"), "Enforce 604800");
        check(&with("enforce\n", "enforce\nmode: nonsense\n"), "Enforce 604800");
        check(&with("604800\n", "604800\nmax_age: 1\n"), "Enforce 604800");
        check(&with("STSv1\n", "STSv1\nversion: STSv2\n"), "Enforce 604800");
        check(&with("enforce\n", "enforce\nx-1._: a \u{e4}: b\n"), "Enforce 604800");
        check(&with("enforce\n", "enforce\nMode: none\n"), "Enforce 604800"); // another field
    }

    #[test]
    fn invalid_ones() {
        fn check(text: &str, expect: &str) {
            assert_eq!(short(text.as_bytes()), expect, "{text:?}");
        }
        let field = "a line of it is no field";
        check("", "its version is not STSv1");
        check(&with("STSv1", "STSv2"), "its version is not STSv1");
        check(&with("STSv1", "stsv1"), "its version is not STSv1");
        check(&with("STSv1\n", "STSv2\nversion: STSv1\n"), "its version is not STSv1");
        check(&with("version: STSv1\n", ""), "its version is not STSv1");
        check(&with("enforce", "Enforce"), "it has no valid mode");
        check(&with("enforce", "enforce, none"), "it has no valid mode");
        check(&with("mode: enforce\n", ""), "it has no valid mode");
        check(&with("mode", "Mode"), "it has no valid mode");
        check(&with("604800", "31557601"), "it has no valid max_age");
        check(&with("604800", "00000604800"), "it has no valid max_age"); // eleven digits
        check(&with("604800", "4294967296"), "it has no valid max_age");
        check(&with("604800", "+1"), "it has no valid max_age");
        check(&with("604800", "-1"), "it has no valid max_age");
        check(&with("604800", "1d"), "it has no valid max_age");
        check(&with("max_age: 604800\n", ""), "it has no valid max_age");
        check(&with("604800", ""), field);
        check(&with("mx", "x"), "it names no mx");
        check(&with("mail.example.com", "mail example"), "an mx of it is no name");
        check(&with("*.example.net", "*"), "an mx of it is no name");
        check(&with("*.example.net", "a.*.example.net"), "an mx of it is no name");
        check(&with("*.example.net", "*.*.example.net"), "an mx of it is no name");
        check(&with("*.example.net", "192.0.2.1"), "an mx of it is no name");
        check(&with("*.example.net", "\u{e4}.example"), "an mx of it is no name");
        check(&with("mode: ", "mode "), field);
        check(&with("mode", " mode"), field);
        check(&with("mode:", "mode :"), field);
        check(&with("mode: enforce", "x\0: y\nmode: enforce"), field);
        check(&with("mode: enforce", "x: \u{1b}[0m\nmode: enforce"), field);
        check(&with("mode: enforce", ": x\nmode: enforce"), field);
        check(&with("mode: enforce\n", "mode: enforce\r"), field); // a lone CR ends no line
        check(&with("mode: enforce", &format!("{}: x\nmode: enforce", "x".repeat(33))), field);
        check(&with("version", "\u{feff}version"), field);
        check("<!DOCTYPE html>\n<title>404: Not Found</title>\n", field);
        check("v=STSv1; id=1;", field);
        assert_eq!(short(b"version: STSv1\nmode: none\nmax_age: 1\nx: \xff"), "it is no UTF-8");
    }

    proptest! {
        /// A mode is only ever one that the text says, and the text says how long.
        #[test]
        fn only_what_it_says(lines in proptest::collection::vec(
            "(version|mode|max_age|mx|x):? ?(STSv1|enforce|testing|none|mail\\.test|[0-9]{1,11}|[a-z*.:\\x00-\\x20]{0,9})\r?", 0..9,
        )) {
            let text = lines.join("\n");
            if let Ok(policy) = parse(text.as_bytes()) {
                prop_assert!(policy.max_age <= MAX_AGE);
                let word = format!("{:?}", policy.mode).to_ascii_lowercase();
                let says = |name: &str, value: &str| {
                    let words = |line: &str| line.replacen(':', " ", 1).split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
                    let first = text.split('\n').map(words).find(|words| words.first().is_some_and(|w| w == name));
                    first.is_some_and(|words| words.get(1).is_some_and(|w| w == value))
                };
                prop_assert!(says("version", "STSv1") && says("mode", &word), "{:?}", text);
            }
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _policy = parse(&bytes);
        }
    }
}
