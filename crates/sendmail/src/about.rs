//! What kind of sendmail a program is: `sendmail -C CF -d0.1 -bt` prints its version and what it was compiled with.
//!
//! Programs of other mail servers have the same name (Postfix, Exim, nullmailer); they refuse these arguments, or say
//! something else. A sendmail whose host has no qualified name sleeps 60 s first, as in the module `prove`.

use std::ffi::OsStr;

use crate::child::{self, Child};
use crate::prove::{Mta, printable};

/// The most that is printed: a page of names.
const ANSWER_MAX: usize = 64 * 1024;

/// What a sendmail says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// `8.17.1.9`: digits and dots.
    pub version: String,
    /// Whether it was compiled with STARTTLS.
    pub starttls: bool,
}

/// Asks it. Blocks for up to [`Mta::timeout`].
///
/// # Errors
/// Why there is no answer, printable: it could not be started, did not end in time, or is no sendmail.
pub fn ask(mta: &Mta<'_>) -> Result<About, String> {
    let args = [OsStr::new("-C"), mta.cf.as_os_str(), OsStr::new("-d0.1"), OsStr::new("-bt")];
    let output = child::run(&Child {
        program: mta.program,
        args: &args,
        stdin: b"",
        timeout: mta.timeout,
        stdout_cap: ANSWER_MAX,
    });
    let output = output.map_err(|error| error.to_string())?;
    understand(&output.stdout).ok_or_else(|| {
        let said = [&*output.stdout, b"\n", &*output.stderr].concat();
        let first = said.split(|&b| b == b'\n').find(|line| !line.is_empty());
        let first = first.map_or_else(|| output.status.to_string(), printable);
        format!("it did not say \"Version 8\" as sendmail does, but: {first}")
    })
}

/// Reads `Version 8.17.1.9`, and the words that follow ` Compiled with:` up to an empty line.
fn understand(said: &[u8]) -> Option<About> {
    let mut lines = said.split(|&b| b == b'\n');
    let version = lines.find_map(|line| line.strip_prefix(b"Version "))?;
    let plain = |b: &u8| b.is_ascii_digit() || *b == b'.';
    let version: Vec<u8> = version.iter().copied().take_while(plain).take(40).collect();
    let version = String::from_utf8(version).ok().filter(|version| version.starts_with("8."))?;
    let mut words = lines
        .take_while(|line| !line.trim_ascii().is_empty())
        .flat_map(|line| line.split(u8::is_ascii_whitespace));
    Some(About { version, starttls: words.any(|word| word == b"STARTTLS") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says() {
        let check = |said: &str, expect: Option<(&str, bool)>| {
            let about = understand(said.as_bytes());
            let about = about.as_ref().map(|about| (about.version.as_str(), about.starttls));
            assert_eq!(about, expect, "{said}");
        };
        // Of sendmail 8.17.1.9, as Debian 12 has it.
        check(
            "Version 8.17.1.9\n Compiled with: DNSMAP IPV6_FULL LDAPMAP\n\t\tSOCKETMAP STARTTLS\n\n=== SYSTEM\n",
            Some(("8.17.1.9", true)),
        );
        check("Version 8.12.11\n Compiled with: DNSMAP\n\nSTARTTLS\n", Some(("8.12.11", false)));
        check("Version 8.18.1.\u{1b}[31m\n\n", Some(("8.18.1.", false)));
        check("Exim version 4.96 #2\n", None);
        check("Version 4.96\n", None);
        check("", None);
    }
}
