//! What one conversation showed, and the verdict on it. No I/O here.

use serde::Serialize;

use crate::certificate::Certificate;
use crate::verdict::{Before, Note, Reason, Verdict};

/// The code with which a server ends the conversation (RFC 5321, section 3.8).
const SHUTS_DOWN: u16 = 421;

/// The steps of the conversation, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The TCP connection.
    Connect,
    /// The greeting.
    Banner,
    /// EHLO in clear.
    Ehlo,
    /// The answer to STARTTLS.
    Starttls,
    /// The TLS handshake.
    Handshake,
    /// EHLO over TLS: with TLS 1.3 an alert comes only now, as the client is through with the handshake before the server
    /// is.
    EhloOverTls,
    /// All of it.
    End,
}

impl Stage {
    /// In words, as in "it broke at …".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Connect => "the connection",
            Self::Banner => "the greeting",
            Self::Ehlo => "EHLO",
            Self::Starttls => "STARTTLS",
            Self::Handshake => "the TLS handshake",
            Self::EhloOverTls => "EHLO over TLS",
            Self::End => "the end",
        }
    }
}

/// What was agreed upon in a handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Agreed {
    /// `TLSv1.3`, in OpenSSL's words.
    pub version: &'static str,
    /// `TLS_AES_256_GCM_SHA384`, in OpenSSL's words.
    pub cipher: &'static str,
    /// The cipher's strength in bits.
    pub bits: i32,
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With an EHLO answered over TLS.
    Well,
    /// EHLO did not offer STARTTLS.
    NotOffered,
    /// With an answer that is no yes: as one line, and its code.
    Reply(String, u16),
    /// With what is no SMTP reply, printable.
    NotSmtp(String),
    /// With a reply that had no end.
    Endless,
    /// Nothing came in time.
    Timeout,
    /// The other side closed the connection.
    Closed,
    /// It was reset.
    Reset,
    /// Another error of the network's.
    Network(String),
    /// An error of TLS.
    Tls(Reason),
}

/// What one conversation showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at: Stage,
    pub(crate) ended: Ended,
    pub(crate) greeting: Option<String>,
    pub(crate) offered: Vec<String>,
    pub(crate) notes: Vec<Note>,
    pub(crate) agreed: Option<Agreed>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) before: Before,
}

impl Seen {
    pub(crate) fn nothing() -> Self {
        Self {
            at: Stage::Connect,
            ended: Ended::Timeout,
            greeting: None,
            offered: Vec::new(),
            notes: Vec::new(),
            agreed: None,
            certificate: None,
            before: Before::default(),
        }
    }

    /// The verdict; none if the conversation did not come as far as STARTTLS, and nothing can be said of it.
    ///
    /// A server that refuses EHLO for good is told HELO by sendmail, and then mail goes in clear: it offers no STARTTLS.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        if self.at < Stage::Starttls {
            return match self.ended {
                Ended::NotOffered => Some(Verdict::NoStarttls),
                Ended::Reply(_, 500..) if self.at == Stage::Ehlo => Some(Verdict::NoStarttls),
                _ => None,
            };
        }
        Some(match &self.ended {
            Ended::Well => Verdict::Good,
            Ended::NotOffered => Verdict::NoStarttls,
            Ended::Reply(..) | Ended::NotSmtp(_) | Ended::Endless => Verdict::Refused,
            Ended::Timeout => Verdict::Timeout,
            Ended::Closed | Ended::Reset | Ended::Network(_) => Verdict::ClosedOrReset,
            Ended::Tls(reason) => reason.verdict(self.before),
        })
    }

    /// Whether sendmail sends in clear by itself: STARTTLS is not offered, or the answer to it is a no. (Measured on 8.17,
    /// and tested: an answer of another kind is an error of the protocol, 421 ends the conversation, and what is no reply is
    /// skipped while it waits for one. Then mail is deferred.)
    pub(crate) fn is_clear_already(&self) -> bool {
        match (self.verdict(), &self.ended) {
            (Some(Verdict::NoStarttls), _) => true,
            (_, Ended::Reply(_, code)) => {
                self.at == Stage::Starttls && (400..600).contains(code) && *code != SHUTS_DOWN
            }
            _ => false,
        }
    }

    /// What was seen, in words.
    pub(crate) fn words(&self) -> String {
        match &self.ended {
            Ended::Well => "an EHLO was answered over TLS".to_owned(),
            Ended::NotOffered => "STARTTLS is not among what EHLO offers".to_owned(),
            Ended::Reply(reply, _) => format!("the answer was: {reply}"),
            Ended::NotSmtp(text) => format!("the answer was no SMTP reply: {text}"),
            Ended::Endless => "the answer had no end".to_owned(),
            Ended::Timeout => "nothing came in time".to_owned(),
            Ended::Closed => "the other side closed the connection".to_owned(),
            Ended::Reset => "the other side reset the connection".to_owned(),
            Ended::Network(error) => error.clone(),
            Ended::Tls(reason) => match reason.alert() {
                Some(alert) => format!("the other side sent TLS alert {alert}: {}", reason.text),
                None => format!("OpenSSL here: {}", reason.text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(at: Stage, ended: Ended) -> Option<Verdict> {
        Seen { at, ended, ..Seen::nothing() }.verdict()
    }

    #[test]
    fn nothing_is_said_of_what_was_not_reached() {
        for at in [Stage::Connect, Stage::Banner, Stage::Ehlo] {
            for ended in [
                Ended::Timeout,
                Ended::Closed,
                Ended::Reset,
                Ended::Endless,
                Ended::NotSmtp("SSH-2.0".to_owned()),
                Ended::Network("no route".to_owned()),
                Ended::Reply("421 busy".to_owned(), 421),
            ] {
                assert_eq!(verdict(at, ended.clone()), None, "{at:?} {ended:?}");
            }
        }
        assert_eq!(verdict(Stage::Banner, Ended::Reply("554 no".to_owned(), 554)), None);
    }

    #[test]
    fn from_starttls_on_there_is_a_verdict() {
        let reply = |code| Ended::Reply(String::new(), code);
        let rows = [
            (Stage::Ehlo, Ended::NotOffered, Verdict::NoStarttls),
            (Stage::Ehlo, reply(502), Verdict::NoStarttls),
            (Stage::Starttls, reply(454), Verdict::Refused),
            (Stage::Starttls, reply(502), Verdict::Refused),
            (Stage::Starttls, Ended::Endless, Verdict::Refused),
            (Stage::Starttls, Ended::Timeout, Verdict::Timeout),
            (Stage::Starttls, Ended::Closed, Verdict::ClosedOrReset),
            (Stage::Handshake, Ended::Reset, Verdict::ClosedOrReset),
            (Stage::EhloOverTls, Ended::Closed, Verdict::ClosedOrReset),
            (Stage::EhloOverTls, reply(454), Verdict::Refused),
            (Stage::End, Ended::Well, Verdict::Good),
        ];
        for (at, ended, expect) in rows {
            assert_eq!(verdict(at, ended.clone()), Some(expect), "{at:?} {ended:?}");
        }
    }
}
