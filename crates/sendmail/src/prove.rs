//! sendmail itself is asked whether it would try TLS with a relay.
//!
//! `sendmail -C CF -bt` reads rules and map as a delivery would, and runs the ruleset `try_tls` for a name and an
//! address that are set with `.D{server_name}` and `.D{server_addr}`; many relays in one run (measured on sendmail
//! 8.17.1.9: 2000 in 0.3 s). There, too, an entry that matches makes it return
//! `$# error $@ 5 . 7 . 1 $: "550 do not try TLS with …`; no entry gives `OK`, an entry that says something else gives
//! `< YES > < >`, no `FEATURE(access_db)` gives the name back. A map that cannot be opened gives
//! `$# error $@ 4 . 3 . 0`: that proves nothing about the entry, and a user other than sendmail's own gets it on a
//! healthy host. The address must be `IPv6:` and uncompressed; with an empty address only the name is looked up.
//!
//! A client of ours is asked about with `.D{client_name}`, `.D{client_addr}` and the ruleset `srv_features`, which returns
//! `$# S` where an entry says that STARTTLS is not offered (words apart by blanks, the first letter of each counts), and
//! `OK` where there is none. The name is the confirmed one of its PTR record, else its address in brackets.
//!
//! Whether it falls back for a relay is asked in another way: see [`fallback`].
//!
//! No answer is no failure: on a host without a qualified name sendmail sleeps 60 s before it says a word, and it may
//! not be there at all. Then the caller reads the keys back from the map.
//!
//! Names come from the network. [`Target::new`] lets through only what is a host name or an address literal by its
//! letters, so that nothing of them is a command, a macro or a second line. Answers are matched to their questions by
//! the name that sendmail repeats, not by their order alone.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use crate::child::{self, Child};

pub mod fallback;

/// The time for one run, unless the caller knows better.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a text of sendmail's is kept, in characters.
const SAID_CAP: usize = 200;

/// The sendmail that is asked.
#[derive(Clone, Copy, Debug)]
pub struct Mta<'a> {
    /// The program: a path, or a name looked up in `PATH`.
    pub program: &'a Path,
    /// The configuration: the `sendmail.cf` of the running daemon.
    pub cf: &'a Path,
    /// The time for one run, however many relays it asks about; [`TIMEOUT`] is enough for hundreds.
    pub timeout: Duration,
}

/// A relay, or a client, as sendmail knows it when it decides about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    side: Side,
    name: String,
    address: Option<IpAddr>,
}

/// Which side of a connection the other end is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// sendmail connects to it.
    Relay,
    /// It connects to sendmail.
    Client,
}

impl Side {
    /// What its macros begin with, and the ruleset that decides.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Relay => ("server", "try_tls"),
            Self::Client => ("client", "srv_features"),
        }
    }
}

/// What sendmail said about one relay or client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It does not try TLS with the relay, or offers none to the client: an entry matches.
    Matches,
    /// It tries TLS, or offers it.
    DoesNotMatch {
        /// What it returned, printable; with what it complained about meanwhile, at most 410 characters.
        said: String,
    },
    /// It did not answer, or could not look into the map.
    NoAnswer {
        /// Why, printable.
        why: String,
    },
}

impl Target {
    /// A relay by the text of `relay=` in the ruleset line (`mx.example.org`, `[smart.example.org]`, `[192.0.2.1]`,
    /// `[ipv6:2001:db8::1]`), with the address that sendmail connected to. Without an address only an entry for the
    /// name can match. `None` if the text is neither a plain host name nor such a thing in brackets.
    pub fn new(name: &str, address: Option<IpAddr>) -> Option<Self> {
        let inner = name.strip_prefix('[').map_or(Some(name), |text| text.strip_suffix(']'))?;
        let plain = |b: u8| {
            b.is_ascii_alphanumeric() || b"._-".contains(&b) || (b == b':' && inner != name)
        };
        let fits = name.len() <= 255
            && inner.bytes().all(plain)
            && inner.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        fits.then(|| Self { side: Side::Relay, name: name.to_ascii_lowercase(), address })
    }

    /// A client by its address, and the name of its PTR record if sendmail has confirmed that. `None` if the name is no
    /// plain host name.
    pub fn client(name: Option<&str>, address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        let target = match name {
            Some(name) if name.starts_with('[') => return None,
            Some(name) => Self::new(name, Some(address))?,
            None => {
                let bare = Self { side: Side::Client, name: String::new(), address: Some(address) };
                Self::new(&format!("[{}]", bare.addr()), Some(address))?
            }
        };
        Some(Self { side: Side::Client, ..target })
    }

    /// The value of `${server_addr}` or `${client_addr}`.
    fn addr(&self) -> String {
        match self.address {
            None => String::new(),
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) => {
                let groups = address.segments().map(|group| format!("{group:x}"));
                format!("IPv6:{}", groups.join(":"))
            }
        }
    }

    /// How much sendmail may print about it: each level of the name gives two lines with the name in them.
    fn room(&self) -> usize {
        let levels = self.name.split(['.', ':']).count();
        4096 + 2 * levels * (2 * self.name.len() + 100)
    }
}

/// Asks about all targets in one run. Returns as many proofs, in the same order. Blocks for up to [`Mta::timeout`].
pub fn prove(mta: &Mta<'_>, targets: &[Target]) -> Vec<Proof> {
    if targets.is_empty() {
        return Vec::new();
    }
    let questions: String = targets
        .iter()
        .map(|target| {
            let (name, address) = (&target.name, target.addr());
            let (side, ruleset) = target.side.words();
            format!(".D{{{side}_name}}{name}\n.D{{{side}_addr}}{address}\n{ruleset} {name}\n")
        })
        .collect();
    let room = targets.iter().map(Target::room).sum::<usize>();
    match run(mta, &questions, room) {
        Ok((transcript, end)) => read(&transcript, targets, &end),
        Err(why) => vec![Proof::NoAnswer { why }; targets.len()],
    }
}

/// Runs sendmail with the questions; `room`: how much it may print about them. What it printed, and how it ended.
fn run(mta: &Mta<'_>, questions: &str, room: usize) -> Result<(Vec<u8>, String), String> {
    let args = [OsStr::new("-C"), mta.cf.as_os_str(), OsStr::new("-bt")];
    let run = child::run(&Child {
        program: mta.program,
        args: &args,
        stdin: questions.as_bytes(),
        timeout: mta.timeout,
        stdout_cap: 64 * 1024 + room,
    });
    match run {
        Ok(output) => {
            let stderr = output.stderr.split(|&b| b == b'\n').find(|line| !line.is_empty());
            let end = stderr.map_or_else(|| output.status.to_string(), printable);
            Ok((output.stdout, end))
        }
        Err(error) => Err(match &error {
            child::Error::Timeout { .. } => {
                format!("{error} (it waits 60 s on a host whose own name is not qualified)")
            }
            _ => error.to_string(),
        }),
    }
}

/// Reads a transcript. `end` says how the run ended, for those that got no answer.
fn read(transcript: &[u8], targets: &[Target], end: &str) -> Vec<Proof> {
    let mut proofs: Vec<Option<Proof>> = vec![None; targets.len()];
    let mut asked: Option<usize> = None; // the target whose answer is being printed
    let mut next = 0;
    let mut remark: Option<String> = None;
    for line in transcript.split(|&b| b == b'\n') {
        let line = without_prompt(line);
        match trace(line) {
            Some((ruleset @ (b"try_tls" | b"srv_features"), b"input:", text)) => {
                let name = squeezed(text);
                let is_it = |target: &Target| {
                    let (_, its) = target.side.words();
                    its.as_bytes() == ruleset && target.name.as_bytes().eq_ignore_ascii_case(&name)
                };
                let rest = targets.get(next..).unwrap_or_default();
                asked = rest.iter().position(is_it).map(|skipped| next + skipped);
                next = asked.map_or(next, |index| index + 1);
                remark = None;
            }
            Some((b"try_tls" | b"srv_features", b"returns:", text)) => {
                let Some(index) = asked.take() else { continue };
                if let (Some(target), Some(proof)) = (targets.get(index), proofs.get_mut(index)) {
                    *proof = Some(judge(target.side, text, remark.take()));
                }
            }
            Some(_) => {}
            None if is_banner(line) => {}
            None => remark = remark.or_else(|| Some(printable(line))),
        }
    }
    let why = remark.unwrap_or_else(|| format!("no answer to be found in its output; {end}"));
    proofs
        .into_iter()
        .map(|proof| proof.unwrap_or_else(|| Proof::NoAnswer { why: why.clone() }))
        .collect()
}

/// What a returned text means; the remark is what sendmail complained about on the way.
fn judge(side: Side, text: &[u8], remark: Option<String>) -> Proof {
    let tokens = squeezed(text);
    let matches = match side {
        Side::Relay => tokens.starts_with(b"$#error$@5.7.1$:"),
        Side::Client => offers_no_starttls(text),
    };
    if matches {
        return Proof::Matches;
    }
    let mut said = printable(text);
    if let Some(remark) = remark {
        said = format!("{said} ({remark})");
    }
    if tokens.starts_with(b"$#error$@4.") || tokens.eq_ignore_ascii_case(b"$#temp") {
        return Proof::NoAnswer { why: said };
    }
    Proof::DoesNotMatch { said }
}

/// Whether the features that `srv_features` returns take STARTTLS out of the offer: a word that begins with a capital S.
fn offers_no_starttls(text: &[u8]) -> bool {
    let Some(features) = text.trim_ascii().strip_prefix(b"$#") else { return false };
    features.split(u8::is_ascii_whitespace).any(|word| word.first() == Some(&b'S'))
}

/// A line that shows a ruleset's call or return: its name, `input:` or `returns:`, and the tokens.
fn trace(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let name_end = line.iter().position(|&b| b == b' ')?;
    let (name, rest) = line.split_at(name_end);
    let rest = rest.trim_ascii_start();
    let verb: &[u8] = if rest.starts_with(b"input: ") { b"input:" } else { b"returns:" };
    let text = rest.strip_prefix(verb)?;
    Some((name, verb, text))
}

/// What `-bt` prints at its start, between commands and after a failed ruleset.
pub(crate) fn is_banner(line: &[u8]) -> bool {
    let known: [&[u8]; 4] =
        [b"ADDRESS TEST MODE", b"Enter <ruleset>", b"WARNING: local host name", b"== Ruleset"];
    line.trim_ascii().is_empty() || known.iter().any(|start| line.starts_with(start))
}

/// The line without the prompts before it: commands that print nothing leave theirs on the next line.
fn without_prompt(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_prefix(b"> ") {
        line = rest;
    }
    line
}

/// The tokens joined again, as they were before sendmail took them apart.
fn squeezed(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect()
}

/// The text with everything but printable ASCII escaped, at most [`SAID_CAP`] characters.
pub(crate) fn printable(text: &[u8]) -> String {
    let text = text.trim_ascii();
    text.escape_ascii().map(char::from).take(SAID_CAP).collect::<String>().replace("\\\"", "\"")
}

#[cfg(test)]
mod tests;
