//! The host's own names: those under which sendmail takes itself for the destination, `$j` and the class `w`.
//!
//! Best told by sendmail itself ([`ask`]): `-bt` prints `$j` for the line `$j`, and the members of the class for `$=w`,
//! one a line, in no order (measured on 8.17.1.9). It finds some of them at run time, from the system's host name and
//! from the addresses of its interfaces. Where it does not answer, the cf and the system's host name tell most of it
//! ([`of_cf`]).
//!
//! Addresses are left out, bare or in brackets, and so is a name in brackets: sendmail puts in for each interface what
//! the resolver told, which may be anything. So is what has more than 255 bytes or is no host name by its letters.
//!
//! **What fails.** A host whose name is not qualified lets sendmail sleep 60 s before it says a word: the deadline ends
//! that. A transcript that is not as expected, to the last prompt, is an error and no shorter list. A file of names that
//! cannot be read is told, and the others count.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::Path;

use crate::cf::Cf;
use crate::child::{self, Child};
use crate::prove::{Mta, is_banner, printable};

/// Larger files of names are not read. Bytes.
const FILE_MAX: u64 = 1 << 20;

/// As much of sendmail's answer is read. Bytes.
const ANSWER_MAX: usize = 1 << 20;

/// The longest name, in bytes.
const NAME_MAX: usize = 255;

/// The host's own names, in lower case, without a final dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// `$j`, if sendmail itself has told it.
    j: Option<String>,
    names: BTreeSet<String>,
}

impl Own {
    /// Whether it is a name of this host. Case, a final dot and brackets around it do not matter.
    pub fn contains(&self, name: &str) -> bool {
        let inner = name.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        plain(inner.unwrap_or(name)).is_some_and(|name| self.names.contains(&name))
    }

    /// `$j`, if sendmail itself has told it.
    pub fn j(&self) -> Option<&str> {
        self.j.as_deref()
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

impl<'a> FromIterator<&'a str> for Own {
    /// Those of the texts that are plain host names.
    fn from_iter<T: IntoIterator<Item = &'a str>>(texts: T) -> Self {
        Self { j: None, names: texts.into_iter().filter_map(plain).collect() }
    }
}

/// The names that the cf tells, with the system's host name (`host`: the nodename, also its part before the first dot,
/// as sendmail has it) and the files that the cf names. The second part says which files could not be read and why; all
/// else is there without them.
pub fn of_cf(cf: &Cf, host: &str) -> (Own, Vec<String>) {
    let short = host.split('.').next();
    let said = cf.host_name.iter().chain(&cf.own_names).map(String::as_str);
    let mut own: Own = said.chain([host]).chain(short).collect();
    let mut troubles = Vec::new();
    for path in &cf.own_name_files {
        match read(path) {
            Ok(text) => own.names.extend(listed(&text)),
            Err(error) => troubles.push(format!("cannot read {}: {error}", path.display())),
        }
    }
    (own, troubles)
}

/// Asks sendmail. Blocks for up to [`Mta::timeout`].
///
/// # Errors
/// Why there is no answer, printable: it could not be started, did not end in time, or said something else.
pub fn ask(mta: &Mta<'_>) -> Result<Own, String> {
    let args = [OsStr::new("-C"), mta.cf.as_os_str(), OsStr::new("-bt")];
    let output = child::run(&Child {
        program: mta.program,
        args: &args,
        stdin: b"$j\n$=w\n",
        timeout: mta.timeout,
        stdout_cap: ANSWER_MAX,
    });
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = output.stderr.split(|&b| b == b'\n').find(|line| !line.is_empty());
        return Err(said.map_or_else(|| output.status.to_string(), printable));
    }
    understand(&output.stdout)
}

/// Reads a transcript: a banner, a prompt with `$j`, a prompt with the class, a last prompt.
fn understand(transcript: &[u8]) -> Result<Own, String> {
    let mut lines = transcript.split(|&b| b == b'\n').skip_while(|line| is_banner(line));
    let unexpected = |line: Option<&[u8]>| match line {
        Some(line) => format!("sendmail -bt said something unexpected: {}", printable(line)),
        None => "sendmail -bt ended before it had answered".to_owned(),
    };
    let first = lines.next();
    let j = first.and_then(|line| line.strip_prefix(b"> ")).and_then(text).and_then(plain);
    let j = j.filter(|name| name != "undefined").ok_or_else(|| unexpected(first))?;
    let mut own = Own { j: Some(j.clone()), names: BTreeSet::from([j]) };
    let second = lines.next();
    let member = second.and_then(|line| line.strip_prefix(b"> "));
    let member = member.filter(|member| !member.starts_with(b">") && !member.is_empty());
    own.names.extend(member.ok_or_else(|| unexpected(second)).map(text)?.and_then(plain));
    loop {
        match lines.next() {
            Some(b"> ") => break,
            Some(line) if !line.starts_with(b"> ") => own.names.extend(text(line).and_then(plain)),
            other => return Err(unexpected(other)),
        }
    }
    match lines.find(|line| !line.is_empty()) {
        Some(line) => Err(unexpected(Some(line))),
        None => Ok(own),
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A file of names. It may be a pipe by mistake, and must not be waited for.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// The names in a file: one a line, `#` begins a comment.
fn listed(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes
        .split(|&b| b == b'\n')
        .filter_map(|line| line.split(|&b| b == b'#').next())
        .filter_map(|line| plain(text(line)?.trim_ascii()))
}

/// A host name as it is compared; none for an address and for what is no host name by its letters.
fn plain(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let fits = (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(letter)
        && !name.starts_with(['.', '-'])
        && name.parse::<IpAddr>().is_err();
    fits.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
