//! sendmail's lookup rules: which lines of the access file speak for a relay, and which of them wins.
//!
//! For a host sendmail looks up `tag:` plus the name it connected to, then the name's parents down to the top-level
//! domain, then the address, then the address less its last octets or groups, then (for most tags) the bare tag. The
//! first hit wins, whatever it says. A name in brackets loses its *last* label instead of its first, inside the
//! brackets: `[smart.example.org]` is also found as `[smart.example]` and `[smart]`. The order was measured on
//! sendmail 8.17.1 (`testdata/lookup_order.tsv`), its effect on mail too (`testdata/try_tls_effect.tsv`).
//!
//! With `FEATURE(access_db)`'s option `lookupdotdomain` sendmail also finds `tag:.example.org`, for what is below that
//! name: see [`lookup_dotted`]. Not modelled: its option `skip`, and `UseCompressedIPv6Addresses`. All of them are off
//! unless an admin asks for them.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::key::Key;
use crate::remedy::Tagged;
use crate::text::{Kind, records};
use crate::value::{Meaning, meaning};

/// What sendmail finds for a host, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The line of the access file it stands in, from 1.
    pub line_no: usize,
    /// The key with its tag, folded to lower case.
    pub key: &'a [u8],
    /// The value, to the last byte.
    pub value: &'a [u8],
    /// The whole line, without its line end. Foreign text: escape it before it is shown.
    pub raw: &'a [u8],
    /// Which step of the search found it.
    pub step: Step,
}

impl Hit<'_> {
    /// For a hit of [`Tag::TryTls`]: whether sendmail does not try TLS.
    pub fn turns_tls_off(&self) -> bool {
        meaning(self.value) == Meaning::Off
    }
}

/// The step of the search that found an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The very name, or the very recipient.
    Name,
    /// A parent of the name; a user at any domain, or the recipient's domain or one of its parents.
    Parent,
    /// The very address.
    Address,
    /// The first octets or groups of the address.
    Prefix,
    /// The bare tag: it speaks for every host.
    Bare,
}

/// A tag whose entries are looked up by the host's name and address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// `Try_TLS:`, whether to use STARTTLS with a server.
    TryTls,
    /// `TLS_Srv:`, what is demanded of TLS with a server.
    TlsSrv,
    /// `TLS_Clt_features:`, options of TLS with a server. Has no bare tag.
    TlsCltFeatures,
    /// `Srv_Features:`, what is offered to a client; name and address are then the client's.
    SrvFeatures,
    /// `TLS_Clt:`, what is demanded of TLS with a client; name and address are the client's.
    TlsClt,
}

impl Tag {
    /// As the map holds it: folded, with the colon.
    fn prefix(self) -> &'static str {
        match self {
            Self::TryTls => "try_tls:",
            Self::TlsSrv => "tls_srv:",
            Self::TlsCltFeatures => "tls_clt_features:",
            Self::SrvFeatures => "srv_features:",
            Self::TlsClt => "tls_clt:",
        }
    }
}

/// As the map holds the tag whose entries are looked up by recipient.
const TLS_RCPT: &str = "tls_rcpt:";

/// The entries of an access file whose tags matter to TLS. Of two lines with one key the first counts (makemap keeps
/// it, and ends with 65).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    by_key: HashMap<Box<[u8]>, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    line_no: usize,
    value: Box<[u8]>,
    raw: Box<[u8]>,
}

impl Entries {
    /// Reads the access file's text. Bad lines are passed over, as makemap does.
    pub fn parse(text: &[u8]) -> Self {
        Self::parse_where(text, |_| true)
    }

    /// The entries of a map that has no text, as lines that makemap would make it from; none has a number (it is 0). A key
    /// that comes twice counts once.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut by_key = HashMap::new();
        for (key, value) in pairs {
            if matters(key) {
                let raw = [key, b"\t", value].concat().into();
                let entry = Entry { line_no: 0, value: value.into(), raw };
                by_key.entry(key.to_ascii_lowercase().into()).or_insert(entry);
            }
        }
        Self { by_key }
    }

    /// Reads those lines whose number is wanted.
    pub(crate) fn parse_where(text: &[u8], wanted: impl Fn(usize) -> bool) -> Self {
        let mut by_key = HashMap::new();
        for record in records(text) {
            let Kind::Entry { key, value } = record.kind else { continue };
            if !matters(key) || !wanted(record.line_no) {
                continue;
            }
            by_key.entry(key.to_ascii_lowercase().into()).or_insert_with(|| Entry {
                line_no: record.line_no,
                value: value.into(),
                raw: record.raw.into(),
            });
        }
        Self { by_key }
    }

    /// These entries, and those of a map that is asked after this one (a `sequence`), where this one has none of that key.
    /// Line numbers stay those of their own file.
    #[must_use]
    pub fn before(mut self, other: Self) -> Self {
        for (key, entry) in other.by_key {
            self.by_key.entry(key).or_insert(entry);
        }
        self
    }

    /// The entry `Try_TLS:<key>`, if the file has one; no parents, no prefixes.
    pub fn try_tls(&self, key: &Key) -> Option<Hit<'_>> {
        self.exact(&Tagged::try_tls(key.clone()))
    }

    /// The entry with this tag and key, if the file has one; no parents, no prefixes.
    pub fn exact(&self, entry: &Tagged) -> Option<Hit<'_>> {
        let step = if matches!(entry.key, Key::Address(_)) { Step::Address } else { Step::Name };
        self.get(&entry.folded(), step)
    }

    /// The keys of the entries `Try_TLS:<key>`, in no order; those that are no keys of ours (prefixes, the bare tag) are
    /// left out.
    pub fn try_tls_keys(&self) -> impl Iterator<Item = Key> {
        let prefix = Tag::TryTls.prefix().as_bytes();
        let keys = self.by_key.keys().filter_map(move |key| key.strip_prefix(prefix));
        keys.filter_map(|key| std::str::from_utf8(key).ok()?.parse().ok())
    }

    /// Whether a line under `Try_TLS:`, `TLS_Srv:` or `TLS_Clt_features:` speaks of a host below the name (lower case).
    pub fn any_below(&self, name: &str) -> bool {
        let below = format!(".{name}");
        let tags = [Tag::TryTls, Tag::TlsSrv, Tag::TlsCltFeatures];
        self.by_key.keys().filter_map(|key| std::str::from_utf8(key).ok()).any(|key| {
            let rest = tags.iter().find_map(|tag| key.strip_prefix(tag.prefix()));
            rest.is_some_and(|rest| rest.trim_matches(['[', ']']).ends_with(&below))
        })
    }

    /// Whether a line under the tag is for an address, or the first octets or groups of one.
    pub fn any_by_address(&self, tag: Tag) -> bool {
        let is = |rest: &[u8]| {
            rest.starts_with(b"ipv6:") || rest.first().is_some_and(u8::is_ascii_digit)
        };
        self.by_key.keys().any(|key| key.strip_prefix(tag.prefix().as_bytes()).is_some_and(is))
    }

    /// The first line under `TLS_Rcpt:`, if there is one.
    pub fn any_tls_rcpt(&self) -> Option<Hit<'_>> {
        self.first_line(|_| true)
    }

    /// The first line under `TLS_Rcpt:` whose key, without the tag, fits.
    fn first_line(&self, fits: impl Fn(&[u8]) -> bool) -> Option<Hit<'_>> {
        let of_tag = |key: &[u8]| key.strip_prefix(TLS_RCPT.as_bytes()).is_some_and(&fits);
        let (key, entry) = self
            .by_key
            .iter()
            .filter(|(key, entry)| of_tag(key) && meaning(&entry.value) != Meaning::Miss)
            .min_by(|(a, x), (b, y)| (x.line_no, a).cmp(&(y.line_no, b)))?;
        let Entry { line_no, value, raw } = entry;
        Some(Hit { line_no: *line_no, key, value, raw, step: Step::Name })
    }

    /// Whether there is an entry with this key: tag and all, folded to lower case.
    pub fn contains(&self, folded: &[u8]) -> bool {
        self.by_key.contains_key(folded)
    }

    fn get(&self, folded: &str, step: Step) -> Option<Hit<'_>> {
        let (key, entry) = self.by_key.get_key_value(folded.as_bytes())?;
        let Entry { line_no, value, raw } = entry;
        Some(Hit { line_no: *line_no, key, value, raw, step })
    }
}

fn matters(key: &[u8]) -> bool {
    let tags = [Tag::TryTls, Tag::TlsSrv, Tag::TlsCltFeatures, Tag::SrvFeatures, Tag::TlsClt];
    tags.iter().map(|tag| tag.prefix()).chain([TLS_RCPT]).any(|tag| {
        key.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag.as_bytes()))
    })
}

/// What sendmail finds for a host: `${server_name}` and `${server_addr}`, or for [`Tag::SrvFeatures`] the client's.
///
/// `server_name` is the relay's text in the ruleset line, in any case: a name, `[name]`, `[192.0.2.1]`,
/// `[ipv6:2001:db8::1]`. Without an address the steps for it are left out; sendmail always has one, so a hit on the
/// bare tag may then not be the one that sendmail would find.
pub fn lookup<'a>(
    entries: &'a Entries,
    tag: Tag,
    server_name: &str,
    server_addr: Option<IpAddr>,
) -> Option<Hit<'a>> {
    let bare = (tag != Tag::TlsCltFeatures).then(|| (Step::Bare, String::new()));
    let keys = host_keys(server_name, server_addr).into_iter().chain(bare);
    first(entries, tag.prefix(), keys)
}

/// What sendmail would find besides with `lookupdotdomain`: an entry for what is below one of the name's parents.
pub fn lookup_dotted<'a>(entries: &'a Entries, tag: Tag, name: &str) -> Option<Hit<'a>> {
    first(entries, tag.prefix(), dotted(&name.to_ascii_lowercase()))
}

/// The keys `.parent` of a name.
fn dotted(name: &str) -> impl Iterator<Item = (Step, String)> {
    name_steps(name).into_iter().skip(1).map(|parent| (Step::Parent, format!(".{parent}")))
}

/// What sendmail finds under `TLS_Rcpt:` for a recipient `user@domain` (without angle brackets): the address, the user
/// at any domain, the domain and its parents, the bare tag. `user+detail` is also looked up as `user+*` and `user`.
pub fn lookup_recipient<'a>(entries: &'a Entries, recipient: &str) -> Option<Hit<'a>> {
    let recipient = recipient.to_ascii_lowercase();
    let (user, domain) = match recipient.rsplit_once('@') {
        Some((user, domain)) => (user, Some(domain)),
        None => (recipient.as_str(), None),
    };
    let user = match user.strip_prefix('"').and_then(|u| u.strip_suffix('"')) {
        Some(inner) => inner,
        None => user,
    };
    let mut users = vec![user.to_owned()];
    if let Some((base, _)) = user.split_once('+').filter(|(base, _)| !base.is_empty()) {
        users.extend([format!("{base}+*"), base.to_owned()]);
    }
    let mut keys = Vec::new();
    if let Some(domain) = domain {
        keys.extend(users.iter().map(|user| (Step::Name, format!("{user}@{domain}"))));
    }
    keys.extend(users.iter().map(|user| (Step::Parent, format!("{user}@"))));
    keys.extend(domain.into_iter().flat_map(name_steps).map(|name| (Step::Parent, name)));
    keys.push((Step::Bare, String::new()));
    first(entries, TLS_RCPT, keys.into_iter())
}

/// What sendmail may find under `TLS_Rcpt:` for some recipient of a domain: an entry for any of its users, for the domain
/// and its parents, for what is below a parent (with `lookupdotdomain`), for a user at any domain, the bare tag. `domain`
/// in lower case; empty for a recipient without one.
pub fn lookup_recipients_of<'a>(entries: &'a Entries, domain: &str) -> Option<Hit<'a>> {
    let users = |at: &str| entries.first_line(|key| key.ends_with(at.as_bytes()));
    let of_domain = (!domain.is_empty()).then(|| users(&format!("@{domain}"))).flatten();
    let names = || name_steps(domain).into_iter().map(|name| (Step::Parent, name));
    of_domain
        .or_else(|| first(entries, TLS_RCPT, names()))
        .or_else(|| first(entries, TLS_RCPT, dotted(domain)))
        .or_else(|| users("@"))
        .or_else(|| first(entries, TLS_RCPT, std::iter::once((Step::Bare, String::new()))))
}

/// Whether sendmail would come to `Try_TLS:<key>` when it looks up this server, if nothing before it hits.
pub fn would_match(key: &Key, server_name: &str, server_addr: Option<IpAddr>) -> bool {
    let key = key.folded();
    host_keys(server_name, server_addr).iter().any(|(_, text)| *text == key)
}

fn first<'a>(
    entries: &'a Entries,
    tag: &str,
    mut keys: impl Iterator<Item = (Step, String)>,
) -> Option<Hit<'a>> {
    keys.find_map(|(step, key)| {
        entries.get(&format!("{tag}{key}"), step).filter(|hit| meaning(hit.value) != Meaning::Miss)
    })
}

/// The keys of a host without their tag, folded, in sendmail's order, without the bare tag.
fn host_keys(name: &str, address: Option<IpAddr>) -> Vec<(Step, String)> {
    let mut names = name_steps(&name.to_ascii_lowercase()).into_iter();
    let mut addresses =
        address.map(|a| address_steps(Key::Address(a).folded())).unwrap_or_default().into_iter();
    let mut keys = Vec::new();
    keys.extend(names.next().map(|key| (Step::Name, key)));
    keys.extend(names.map(|key| (Step::Parent, key)));
    keys.extend(addresses.next().map(|key| (Step::Address, key)));
    keys.extend(addresses.map(|key| (Step::Prefix, key)));
    keys
}

/// Rule set `D`: the name and what is left of it step by step.
fn name_steps(name: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut next = Some(name.to_owned()).filter(|name| !name.is_empty());
    while let Some(name) = next {
        next = shorter_in_brackets(&name).or_else(|| parent(&name));
        steps.push(name);
    }
    steps
}

/// `[a.b]` without the last label, `[a:b]` and `[a::b]` without the last group. `None` if the name is not in brackets
/// or its last piece is not one token.
fn shorter_in_brackets(name: &str) -> Option<String> {
    // sendmail's OperatorChars as shipped, and the characters that are always tokens of their own.
    const OPERATORS: &str = ".:%@!^/[]+<>,;\"()";
    let inner = name.strip_prefix('[')?.strip_suffix(']')?;
    let (at, operator) = inner.char_indices().rev().find(|&(_, c)| OPERATORS.contains(c))?;
    let (left, tail) = (inner.get(..at)?, inner.get(at + 1..)?);
    let left = match operator {
        '.' => left,
        ':' => left.strip_suffix(':').filter(|l| !l.is_empty()).unwrap_or(left),
        _ => return None,
    };
    (!tail.is_empty() && !left.is_empty()).then(|| format!("[{left}]"))
}

/// What follows the first dot that has something before it.
fn parent(name: &str) -> Option<String> {
    let (at, _) = name.char_indices().skip(1).find(|&(_, c)| c == '.')?;
    name.get(at + 1..).filter(|rest| !rest.is_empty()).map(str::to_owned)
}

/// Rule set `A`: the address and what is left of it step by step.
fn address_steps(address: String) -> Vec<String> {
    let mut steps = Vec::new();
    let mut next = Some(address);
    while let Some(address) = next {
        next = address.rfind([':', '.']).and_then(|at| address.get(..at)).map(str::to_owned);
        steps.push(address);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.strip_prefix("IPv6:").unwrap_or(text).parse().unwrap()
    }

    fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
        table
            .split_terminator('\n')
            .filter(|l| !l.starts_with('#'))
            .map(|l| l.split('\t').collect())
    }

    #[test]
    fn keys_that_have_an_entry_of_their_own() {
        let text = b"Try_TLS:B.example NO\nTry_TLS:192.0.2.1 YES\nTry_TLS:192.0.2 NO\nTry_TLS: NO\nTo:x y\n\
            try_tls:IPv6:fd00:1ab:0:0:0:0:0:41 NO\nTry_TLS:[s.example] NO\nTry_TLS:\xc0 NO\nTry_TLS:b.example YES\n";
        let mut keys: Vec<_> = Entries::parse(text).try_tls_keys().map(|k| k.to_string()).collect();
        keys.sort();
        assert_eq!(keys, ["192.0.2.1", "IPv6:fd00:1ab:0:0:0:0:0:41", "[s.example]", "b.example"]);
    }

    #[test]
    fn keys_come_in_the_order_that_was_measured() {
        let mut count = 0;
        for row in rows(include_str!("../testdata/lookup_order.tsv")) {
            let [name, addr, expect @ ..] = row.as_slice() else { panic!("{row:?}") };
            let mut keys: Vec<_> =
                host_keys(name, Some(address(addr))).into_iter().map(|(_, key)| key).collect();
            keys.push(String::new());
            let expect: Vec<_> = expect.iter().map(|key| key.to_ascii_lowercase()).collect();
            assert_eq!(keys, expect, "{name} {addr}");
            count += 1;
        }
        assert_eq!(count, 22);
    }

    #[test]
    fn tls_is_off_where_mail_went_in_clear() {
        let mut count = 0;
        for row in rows(include_str!("../testdata/try_tls_effect.tsv")) {
            let [name, addr, effect, lines @ ..] = row.as_slice() else { panic!("{row:?}") };
            let text = lines.join("\n").replace("\\t", "\t").replace("\\r", "\r");
            let text = text.replace("\\x01", "\x01");
            let entries = Entries::parse(text.as_bytes());
            let hit = lookup(&entries, Tag::TryTls, name, Some(address(addr)));
            let off = hit.is_some_and(|hit| hit.turns_tls_off());
            assert_eq!(off, *effect == "off", "{row:?}");
            count += 1;
        }
        assert_eq!(count, 74);
    }

    #[test]
    fn a_hit_shows_where_it_stands() {
        let text = b"# x\nTRY_TLS:Example.ORG  YES\ntry_tls:example.org\tNO\nTLS_Srv:192.0 VERIFY\nTry_TLS: NO\n";
        let entries = Entries::parse(text);
        let hit = lookup(&entries, Tag::TryTls, "mx.example.org", None).unwrap();
        assert_eq!((hit.line_no, hit.step, hit.turns_tls_off()), (2, Step::Parent, false));
        assert_eq!(hit.key, b"try_tls:example.org");
        assert_eq!(hit.raw, b"TRY_TLS:Example.ORG  YES");
        let hit = lookup(&entries, Tag::TlsSrv, "mx.other", Some(address("192.0.2.1"))).unwrap();
        assert_eq!((hit.line_no, hit.step, hit.value), (4, Step::Prefix, &b"VERIFY"[..]));
        let hit = lookup(&entries, Tag::TryTls, "mx.other", None).unwrap();
        assert_eq!((hit.line_no, hit.step), (5, Step::Bare));
        assert_eq!(lookup(&entries, Tag::SrvFeatures, "mx.other", None), None);
        let key = Key::name("example.org").unwrap();
        assert_eq!(entries.try_tls(&key).map(|hit| hit.line_no), Some(2));
        assert_eq!(entries.try_tls(&Key::name("mx.example.org").unwrap()), None);
    }

    #[test]
    fn a_map_without_a_text() {
        let pairs = [("From:x", "y"), ("Try_TLS:A b", "NO"), ("Try_TLS:A.Example", "YES")];
        let entries = Entries::of(pairs.map(|(key, value)| (key.as_bytes(), value.as_bytes())));
        let hit = lookup(&entries, Tag::TryTls, "mx.a.example", None).unwrap();
        assert_eq!((hit.line_no, hit.step, hit.value), (0, Step::Parent, &b"YES"[..]));
        assert_eq!(hit.raw, b"Try_TLS:A.Example\tYES");
        assert!(entries.contains(b"try_tls:a b") && !entries.contains(b"from:x"));
    }

    #[test]
    fn client_features_have_no_bare_tag() {
        let entries =
            Entries::parse(b"TLS_Clt_features: flags=C\nTLS_Clt_features:a.example flags=C\n");
        assert_eq!(lookup(&entries, Tag::TlsCltFeatures, "b.example", None), None);
        assert!(lookup(&entries, Tag::TlsCltFeatures, "x.a.example", None).is_some());
    }

    /// The order was measured on sendmail 8.17.1.
    #[test]
    fn recipients() {
        let check = |line: &str, recipient: &str, expect: Option<Step>| {
            let entries = Entries::parse(line.as_bytes());
            let step = lookup_recipient(&entries, recipient).map(|hit| hit.step);
            assert_eq!(step, expect, "{line} {recipient}");
        };
        check("TLS_Rcpt:u@a.example VERIFY", "U@A.Example", Some(Step::Name));
        check("TLS_Rcpt:u+*@a.example VERIFY", "u+d@a.example", Some(Step::Name));
        check("TLS_Rcpt:u@a.example VERIFY", "u+d@a.example", Some(Step::Name));
        check("TLS_Rcpt:u@ VERIFY", "u+d@a.example", Some(Step::Parent));
        check("TLS_Rcpt:example VERIFY", "u@a.example", Some(Step::Parent));
        check("TLS_Rcpt: VERIFY", "u@a.example", Some(Step::Bare));
        check("TLS_Rcpt: VERIFY", "u", Some(Step::Bare));
        check("TLS_Rcpt:v@a.example VERIFY", "u@a.example", None);
        check("TLS_Rcpt:a.example VERIFY", "u@b.example", None);
        check("Try_TLS:a.example NO", "u@a.example", None);
    }

    /// Whoever the user is.
    #[test]
    fn recipients_of_a_domain() {
        let check = |line: &str, domain: &str, expect: bool| {
            let entries = Entries::parse(line.as_bytes());
            let hit = lookup_recipients_of(&entries, domain);
            assert_eq!(hit.is_some(), expect, "{line} {domain}");
            assert!(hit.is_none() || entries.any_tls_rcpt() == hit || hit.unwrap().line_no == 1);
        };
        check("TLS_Rcpt:u@a.example VERIFY", "a.example", true);
        check("TLS_Rcpt:U@A.example VERIFY", "a.example", true);
        check("TLS_Rcpt:u@b.example VERIFY", "a.example", false);
        check("TLS_Rcpt:u@sub.a.example VERIFY", "a.example", false);
        check("TLS_Rcpt:a.example VERIFY", "sub.a.example", true);
        check("TLS_Rcpt:example ENCR:128", "a.example", true);
        check("TLS_Rcpt:xa.example VERIFY", "a.example", false);
        check("TLS_Rcpt:u@ VERIFY", "a.example", true);
        check("TLS_Rcpt: VERIFY", "a.example", true);
        check("TLS_Rcpt: VERIFY", "", true);
        check("TLS_Rcpt:a.example VERIFY", "", false);
        check("TLS_Srv:a.example VERIFY", "a.example", false);
        assert_eq!(Entries::parse(b"Try_TLS:x NO").any_tls_rcpt(), None);
    }

    #[test]
    fn would_match_asks_the_same_rules() {
        let check = |key: &str, name: &str, addr: &str, expect| {
            let key: Key = key.parse().unwrap();
            assert_eq!(would_match(&key, name, Some(address(addr))), expect, "{key} {name}");
        };
        check("mx.example.org", "MX.example.org", "192.0.2.1", true);
        check("example.org", "mx.example.org", "192.0.2.1", true);
        check("x.example.org", "xx.example.org", "192.0.2.1", false);
        check("ptr.example.net", "mx.example.org", "192.0.2.1", false);
        check("192.0.2.1", "mx.example.org", "192.0.2.1", true);
        check("192.0.2.1", "mx.example.org", "192.0.2.10", false);
        check("IPv6:fd00:1ab:0:0:0:0:0:41", "[ipv6:fd00:1ab::41]", "fd00:1ab::41", true);
        check("[smart.example]", "[smart.example]", "192.0.2.1", true);
        check("smart.example", "[smart.example]", "192.0.2.1", false);
        check("[smart.example]", "smart.example", "192.0.2.1", false);
    }
}
