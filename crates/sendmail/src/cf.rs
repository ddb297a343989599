//! `sendmail.cf`: the few lines of it that concern us.
//!
//! The access map is the one that the cf calls `access`: that is the name which the stock `try_tls` rules look up. Its
//! K line tells class and path. What is taken from a line, and what is not, was measured on sendmail 8.17.1.9 (`-bt`
//! with `-d37.8`):
//!
//! * A line that begins with a blank or tab continues the one before it, also a comment. `#` in the middle of a line
//!   begins a comment, unless `$` or `\` stands before it.
//! * Map names, classes and option names are compared without regard to case; the last definition wins.
//! * Quotes mean nothing in a K line; `/etc/mail/access` and `/etc/mail/access.db` are the same map.
//! * The members of a `sequence` must have been defined before it.
//! * `O ` takes exactly one blank; a name may be cut as long as it stays unique. `OTLSFallbacktoClear` is *not* this
//!   option: sendmail reads it as the old one-letter option `T` (and complains).
//! * A truth value is true if it is empty or begins with `t` or `y`.
//!
//! A broken K line of the access map is an error that names the line; any other line that we cannot read is none of our
//! business and is passed over. The file is the administrator's, but it is read as foreign text all the same: it must
//! be a regular file, and of bounded size.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub use client_tls::ClientTls;
pub use queue_return::QUEUE_RETURN;

/// Larger files are refused; a stock cf has 60 KB.
const MAX_BYTES: u64 = 8 << 20;

/// Maps beneath one `sequence`, at most (sendmail itself takes 12 in one).
const MAX_MEMBERS: usize = 64;

/// The longest version of a cf that is kept, in bytes.
const VERSION_MAX: usize = 100;

/// What a `sendmail.cf` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cf {
    /// The K line of the map `access`; none if the cf has none, and then no entry has an effect.
    pub access: Option<MapLine>,
    /// `O TLSFallbacktoClear`: sendmail (8.16.1 and later) goes on in clear by itself after a failed handshake.
    pub tls_fallback_to_clear: bool,
    /// `O DANE`: sendmail (8.16.1 and later, if built with it) requires TLS where the DNS says so (RFC 7672).
    pub dane: bool,
    /// `O LogLevel`; none where the file does not set it, and then it is 9.
    pub log_level: Option<u8>,
    /// `DZ`: the version of the cf, which names the sendmail it was made with: `8.17.1.9/Debian-2+deb12u2`. Printable
    /// ASCII, at most 100 bytes; none if the file has none, or something else.
    pub version: Option<String>,
    /// Whether it has the ruleset `tls_clt_features`, which comes with ``FEATURE(`tls_session_features')``: then
    /// `TLS_Clt_features:` entries are looked up.
    pub tls_clt_features: bool,
    /// How sendmail sets TLS up when it is the client.
    pub client_tls: ClientTls,
    /// `O Timeout.queuereturn`: how long a message may wait before it bounces, in seconds; none if the file does not say,
    /// and then it is [`QUEUE_RETURN`].
    pub queue_return: Option<u32>,
    /// `O TrustedUser`: who owns the maps that makemap makes as root. A name or a number.
    pub trusted_user: Option<String>,
    /// `O RunAsUser`: as whom sendmail goes on once it has its sockets, if not as root. A name or a number.
    pub run_as_user: Option<String>,
    /// `Dj`: the host's own name, where it stands in the file as plain text (else sendmail finds it at run time).
    pub host_name: Option<String>,
    /// `Cw`: further names of the host, where they are plain text.
    pub own_names: Vec<String>,
    /// `Fw`: files with further names of the host, one a line.
    pub own_name_files: Vec<PathBuf>,
}

/// A K line: how sendmail opens a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapLine {
    /// The line's number, from 1.
    pub line: usize,
    /// The class in lower case: `hash`, `btree`, `text`, `sequence`, `ldap`, `socket` and others.
    pub class: String,
    /// The flags before the path, as written: `-o`, `-T<TMPF>`. Empty for a class that has no path.
    pub flags: Vec<String>,
    /// The path as written, maybe with `.db`; none for a class that is no file (`ldap`, `socket`, `sequence`).
    pub path: Option<PathBuf>,
    /// The maps of a `sequence`, in the order in which they are asked; empty for any other class.
    pub members: Vec<MapLine>,
}

/// Why a cf could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is no regular file.
    #[error("{} is no regular file", .path.display())]
    NotAFile {
        /// What was to be the file.
        path: PathBuf,
    },
    /// It is larger than any sendmail.cf.
    #[error("{} is larger than 8 MiB: this is no sendmail.cf", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The K line of the access map, or of a map within its sequence, is broken.
    #[error("{}, line {line}: K line of the map {name}: {why}", .path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The map's name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Cf {
    /// The first part of the access map that is in a directory.
    pub fn access_in_ldap(&self) -> Option<&MapLine> {
        self.access.as_ref()?.leaves().into_iter().find(|line| line.class == "ldap")
    }

    /// Reads the file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.to_path_buf(), source };
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::NotAFile { path: path.to_path_buf() });
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Error::TooLarge { path: path.to_path_buf() });
        }
        Self::parse(path, &bytes)
    }

    /// Reads the file's text; `path` is only used in errors.
    ///
    /// # Errors
    /// [`Error::Map`] if the access map's K line is broken.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let mut cf = Self::default();
        let mut maps = Maps::new();
        for (number, line) in folded(bytes) {
            let line = without_comment(&line);
            match line.split_first() {
                Some((b'K', rest)) => define(&mut maps, number, rest),
                Some((b'O', rest)) => cf.option(rest),
                Some((b'D', rest)) => {
                    if let Some(value) = of_macro(rest, b'j') {
                        cf.host_name = plain_words(value).next();
                    } else if let Some(value) = of_macro(rest, b'Z') {
                        cf.version = plain_words(value).next().filter(|v| v.len() <= VERSION_MAX);
                    }
                }
                Some((b'S', rest)) => {
                    let (name, _) = split_while(rest.trim_ascii_start(), |b| {
                        b.is_ascii_alphanumeric() || *b == b'_'
                    });
                    cf.tls_clt_features |= name.eq_ignore_ascii_case(b"tls_clt_features");
                }
                Some((b'C', rest)) => {
                    cf.own_names.extend(of_macro(rest, b'w').into_iter().flat_map(plain_words));
                }
                Some((b'F', rest)) => {
                    let value = of_macro(rest, b'w').unwrap_or_default();
                    let mut words = words(value).skip_while(|word| *word == b"-o");
                    cf.own_name_files.extend(words.next().and_then(absolute));
                }
                _ => {}
            }
        }
        cf.access = maps.remove("access").transpose().map_err(|broken| Error::Map {
            path: path.to_path_buf(),
            line: broken.line,
            name: broken.name,
            why: broken.why,
        })?;
        Ok(cf)
    }

    /// Whether sendmail can be told to go on in clear with one host after a broken handshake
    /// (`TLS_Clt_features:<key> flags=C`). A version that the file does not tell is no hindrance: rules without their program
    /// are not made.
    ///
    /// # Errors
    /// Why it cannot, and what to do, in words.
    pub fn falls_back_per_host(&self) -> Result<(), String> {
        if let Some(version) = self.version.as_deref().filter(|version| is_before_8_16(version)) {
            return Err(format!(
                "it is made for sendmail {version}, and only 8.16 and later fall back for one host"
            ));
        }
        if !self.tls_clt_features {
            return Err(
                "it has no rules for TLS_Clt_features:; put FEATURE(`tls_session_features')dnl into the mc file, before its MAILER lines, and build sendmail.cf anew"
                    .to_owned(),
            );
        }
        match self.access {
            Some(_) => Ok(()),
            None => Err("it has no access map (FEATURE(`access_db') is missing)".to_owned()),
        }
    }

    /// An option's line, without its `O`.
    fn option(&mut self, rest: &[u8]) {
        let Some(rest) = rest.strip_prefix(b" ") else { return };
        let split = rest.iter().position(|&b| b == b'=');
        let (name, value) = rest.split_at(split.unwrap_or(rest.len()));
        let name = trim_end_blanks(name);
        let value = value.strip_prefix(b"=").unwrap_or_default().trim_ascii();
        if is_option(name, "TLSFallbacktoClear", "TLSF") {
            self.tls_fallback_to_clear = is_true(value);
        } else if is_option(name, "DANE", "DAN") {
            self.dane = is_true(value) || value.eq_ignore_ascii_case(b"always");
        } else if is_option(name, "LogLevel", "Lo") {
            // As atoi(3) reads it: digits, and whatever follows is passed over.
            let digits = value.iter().take_while(|b| b.is_ascii_digit());
            self.log_level =
                Some(digits.fold(0u8, |n, b| n.saturating_mul(10).saturating_add(b - b'0')));
        } else if is_option(name, "TrustedUser", "Tru") {
            self.trusted_user = plain_words(value).next();
        } else if name.eq_ignore_ascii_case(b"Timeout.queuereturn") {
            self.queue_return = queue_return::seconds(value);
        } else if is_option(name, "RunAsUser", "Ru") {
            // `user`, `user:group` or `user.group`.
            let user = value.split(|byte| matches!(byte, b':' | b'.')).next().unwrap_or_default();
            self.run_as_user = plain_words(user).next();
        } else {
            self.client_tls.option(name, value);
        }
    }
}

impl MapLine {
    /// The map and, if it is a `sequence`, the maps within it, in the order in which sendmail asks them.
    pub fn leaves(&self) -> Vec<&Self> {
        if self.class == "sequence" {
            return self.members.iter().flat_map(Self::leaves).collect();
        }
        vec![self]
    }

    /// The file that makemap writes for a path of class `hash` or `btree`: with `.db` at its end, once.
    pub fn db(path: &Path) -> PathBuf {
        let bytes = path.as_os_str().as_bytes();
        if bytes.ends_with(b".db") {
            return path.to_path_buf();
        }
        PathBuf::from(OsStr::from_bytes(&[bytes, b".db"].concat()))
    }
}

/// The maps by their names in lower case.
type Maps = HashMap<String, Result<MapLine, Broken>>;

/// A K line that sendmail would refuse.
#[derive(Clone, Debug)]
struct Broken {
    line: usize,
    name: String,
    why: String,
}

/// Reads a K line (without its `K`) and puts it to the maps.
fn define(maps: &mut Maps, line: usize, rest: &[u8]) {
    let rest = rest.trim_ascii();
    let named = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    let (name, rest) = split_while(rest, named);
    let (class, arguments) = split_while(rest.trim_ascii_start(), u8::is_ascii_alphanumeric);
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let class = String::from_utf8_lossy(class).to_ascii_lowercase();
    let mut map = MapLine { line, class, flags: Vec::new(), path: None, members: Vec::new() };
    let read = match &*map.class {
        "" => Err("no map class".to_owned()),
        "sequence" => sequence(&mut map, arguments, maps),
        "hash" | "btree" | "dbm" | "cdb" | "implicit" | "text" => file(&mut map, arguments),
        _ => Ok(()),
    };
    let entry = match read {
        Ok(()) => Ok(map),
        Err(why) => Err(Broken { line, name: name.clone(), why }),
    };
    maps.insert(name, entry);
}

/// Flags and path of a map that is a file.
fn file(map: &mut MapLine, arguments: &[u8]) -> Result<(), String> {
    for word in words(arguments) {
        if word.starts_with(b"-") {
            map.flags.push(String::from_utf8_lossy(word).into_owned());
            continue;
        }
        if word.contains(&b'$') {
            return Err("its path holds a macro".to_owned());
        }
        map.path = Some(PathBuf::from(OsStr::from_bytes(word)));
        return Ok(());
    }
    Err(format!("no file name for class {}", map.class))
}

/// The members of a sequence: names with anything between them.
fn sequence(map: &mut MapLine, arguments: &[u8], maps: &Maps) -> Result<(), String> {
    let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    for name in arguments.split(|&b| !named(b)).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        match maps.get(&name) {
            Some(Ok(member)) => map.members.push(member.clone()),
            Some(Err(broken)) => {
                return Err(format!("its member {name}, line {}: {}", broken.line, broken.why));
            }
            None => return Err(format!("its member {name} is not defined before it")),
        }
        if map.leaves().len() > MAX_MEMBERS {
            return Err(format!("more than {MAX_MEMBERS} maps in it"));
        }
    }
    Ok(())
}

/// The lines with their continuations, each with the number of its first line.
fn folded(bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|&b| b == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match lines.last_mut() {
            Some((_, last)) if matches!(line.first(), Some(b' ' | b'\t')) => {
                last.push(b'\n');
                last.extend_from_slice(line);
            }
            _ => lines.push((number, line.to_vec())),
        }
    }
    lines
}

/// The line without its comments. `$#` and `\#` begin none; the latter becomes `#`.
fn without_comment(line: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(line.len());
    if line.first() == Some(&b'#') {
        return kept;
    }
    let mut comment = false;
    for &byte in line {
        comment &= byte != b'\n';
        match (byte, kept.last()) {
            _ if comment => {}
            (b'#', Some(b'\\')) => {
                kept.pop();
                kept.push(b'#');
            }
            (b'#', last) if last.is_some_and(|&b| b != b'$') => comment = true,
            _ => kept.push(byte),
        }
    }
    kept
}

/// Whether a version, as `8.15.2/Debian-8`, is one before 8.16. What cannot be read is not.
fn is_before_8_16(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (8, 16))
}

/// Whether a name is the option's, whole or cut, but not shorter than `least`.
fn is_option(name: &[u8], option: &str, least: &str) -> bool {
    name.len() >= least.len()
        && option.as_bytes().get(..name.len()).is_some_and(|cut| cut.eq_ignore_ascii_case(name))
}

/// Whether the value of an option is a true one.
fn is_true(value: &[u8]) -> bool {
    value.first().is_none_or(|b| b"tTyY".contains(b))
}

/// What follows the macro or class `name` (`j` or `{j}`) in a D, C or F line.
fn of_macro(rest: &[u8], name: u8) -> Option<&[u8]> {
    rest.strip_prefix(&[name]).or_else(|| rest.strip_prefix(&[b'{', name, b'}']))
}

/// The words of a text.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The words that hold no macro and nothing but printable ASCII.
fn plain_words(text: &[u8]) -> impl Iterator<Item = String> {
    words(text)
        .filter(|word| word.iter().all(|b| b.is_ascii_graphic() && *b != b'$'))
        .map(|word| String::from_utf8_lossy(word).into_owned())
}

/// An absolute path without a macro.
fn absolute(word: &[u8]) -> Option<PathBuf> {
    (word.starts_with(b"/") && !word.contains(&b'$'))
        .then(|| PathBuf::from(OsStr::from_bytes(word)))
}

/// The text without the blanks (no tabs) at its end.
fn trim_end_blanks(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_suffix(b" ") {
        text = rest;
    }
    text
}

/// The longest start whose bytes all fit, and the rest.
fn split_while(text: &[u8], fits: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|b| !fits(b)).unwrap_or(text.len()))
}

mod client_tls;
mod queue_return;
#[cfg(test)]
mod tests;
