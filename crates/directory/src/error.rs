//! What can go wrong with a directory, and what is to be done about it.
//!
//! The words of the server are foreign text: they are shown with all but printable ASCII escaped, and cut.

use std::fmt;
use std::time::Duration;

use access::comment::escape;

/// Characters of what the server says, at most.
const MAX_WORDS: usize = 300;

/// The directory did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of thing went wrong.
    pub kind: Kind,
    /// When it makes sense to try again, counted from now: later after each failure in a row, and not for all MTAs at the
    /// same time. None: somebody has to change something first.
    pub again: Option<Duration>,
    words: Box<str>,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No connection, or it was lost.
    Unreachable,
    /// The server could not be shown to be the one that is meant, or offers no TLS.
    Untrusted,
    /// It did not answer in time.
    Timeout,
    /// It answered what is no LDAP, or not what was asked.
    Garbled,
    /// It does not take our name and password; or they cannot be read.
    Credentials,
    /// It knows us, and does not let us.
    NoRights,
    /// It takes no changes, but names a server that does.
    Elsewhere,
    /// It has no time for us now.
    Busy,
    /// It refuses, and may not later: no room, read-only, a limit of its administrator's.
    Refuses,
    /// It does not show all that there is.
    TooMany,
    /// It does not know sendmail's schema.
    Schema,
    /// What our entries stand under is not there, or we are not shown it.
    NoContainer,
    /// Our settings, or our own mistake.
    Mistake,
}

impl Kind {
    /// Whether it may go by itself.
    pub(crate) fn passes(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::Timeout | Self::Garbled | Self::Busy | Self::Refuses
        )
    }

    /// Whether the connection is of no use any more.
    pub(crate) fn ends_connection(self) -> bool {
        matches!(self, Self::Unreachable | Self::Timeout | Self::Garbled | Self::Untrusted)
    }

    /// What to do.
    fn advice(self) -> &'static str {
        match self {
            Self::Unreachable | Self::Timeout | Self::Busy => "",
            Self::Garbled => "; is it an LDAP server?",
            Self::Untrusted => {
                "; its certificate has to name this host and be signed by who is in the ca file"
            }
            Self::Credentials => "; see to the bind DN and the password file",
            Self::NoRights => "; its access rules have to allow it to the bind DN",
            Self::Elsewhere => "; name the server that takes changes, referrals are not followed",
            Self::Refuses => "; see its log: no room, read-only or a limit",
            Self::TooMany => {
                "; its limits have to let the bind DN read all in pages (slapd: limits … size.prtotal=unlimited)"
            }
            Self::Schema => "; it has to load sendmail.schema",
            Self::NoContainer => "; it has to be there and be readable to the bind DN",
            Self::Mistake => "",
        }
    }
}

impl Error {
    pub(crate) fn new(trouble: &Trouble, server: &str, again: Option<Duration>) -> Self {
        let Trouble { kind, doing, why, .. } = trouble;
        let advice = kind.advice();
        Self { kind: *kind, again, words: format!("{server}: {doing}: {why}{advice}").into() }
    }

    pub(crate) fn mistake(words: impl Into<Box<str>>) -> Self {
        Self { kind: Kind::Mistake, again: None, words: words.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Error {}

/// What went wrong with one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    /// The server's result, if it gave one.
    pub(crate) code: Option<Code>,
    doing: &'static str,
    why: Box<str>,
}

/// What the server said of an operation (RFC 4511, appendix A), as far as it matters which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    NoSuchAttribute,
    NoSuchObject,
    AlreadyExists,
    AssertionFailed,
    UnknownControl,
    Other,
}

impl Trouble {
    pub(crate) fn new(kind: Kind, doing: &'static str, why: &str) -> Self {
        Self { kind, code: None, doing, why: plain(why).into() }
    }

    /// The server's result, which is not success. What limits mean depends on whether we wanted to read.
    pub(crate) fn result(
        doing: &'static str,
        reads: bool,
        code: u32,
        text: &str,
        referrals: &[String],
    ) -> Self {
        let (kind, what) = match code {
            3 | 4 | 11 if reads => (Kind::TooMany, "a limit of the server's is reached"),
            7 | 8 | 13 | 48 | 49 => (Kind::Credentials, "not with these credentials"),
            10 => (Kind::Elsewhere, "this server takes no changes"),
            50 => (Kind::NoRights, "it is not allowed"),
            51 | 52 => (Kind::Busy, "the server is busy or unavailable"),
            17 | 18 | 21 | 34 | 64 | 65 => (Kind::Schema, "the server does not know such rows"),
            32 => (Kind::NoContainer, "there is no such object"),
            1 | 3 | 4 | 11 | 53 | 80 => (Kind::Refuses, "the server refuses"),
            _ => (Kind::Mistake, "the server does not understand"),
        };
        let mut why = format!("{what} (LDAP result {code}");
        if !text.is_empty() {
            why += &format!(": {}", plain(text));
        }
        why.push(')');
        if let Some(first) = referrals.first() {
            why += &format!(", it names {}", plain(first));
        }
        let code = match code {
            12 => Code::UnknownControl,
            16 => Code::NoSuchAttribute,
            32 => Code::NoSuchObject,
            68 => Code::AlreadyExists,
            122 => Code::AssertionFailed,
            _ => Code::Other,
        };
        Self { kind, code: Some(code), doing, why: why.into() }
    }

    /// The same of another kind, with what the object is that is not there.
    pub(crate) fn about(self, dn: &str) -> Self {
        Self { why: format!("{}: {}", self.why, plain(dn)).into(), ..self }
    }
}

/// Printable ASCII, not too much.
pub(crate) fn plain(text: &str) -> String {
    escape(text, MAX_WORDS, |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_text_is_harmless() {
        let text = format!("x\n\u{1b}[2J\u{202e}{}", "y".repeat(1000));
        let trouble = Trouble::result("cannot add", false, 80, &text, std::slice::from_ref(&text));
        let words = Error::new(&trouble, "ldaps://a.example", None).to_string();
        assert!(words.is_ascii() && !words.bytes().any(|b| b.is_ascii_control()), "{words}");
        assert!(words.starts_with(
            "ldaps://a.example: cannot add: the server refuses (LDAP result 80: x\\u{a}"
        ));
        assert!(words.len() < 900, "{words}");
    }

    #[test]
    fn limits_mean_another_thing_to_a_reader() {
        let kind = |reads, code| Trouble::result("", reads, code, "", &[]).kind;
        assert_eq!(kind(true, 4), Kind::TooMany);
        assert_eq!(kind(true, 11), Kind::TooMany);
        assert_eq!(kind(false, 11), Kind::Refuses);
        assert_eq!(kind(false, 9999), Kind::Mistake);
    }
}
