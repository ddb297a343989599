//! What the failures of many relays at once point at: by the words of OpenSSL in `STARTTLS=client, error: … reason=`.
//!
//! The words differ between versions of OpenSSL (`sslv3 alert …` became `ssl/tls alert …`), so only their telling part is
//! looked for. A wrong guess costs a person a wrong first look, and nothing else.

use std::fmt;

use maillog::event::{Attempt, CauseKind, Fault};

/// A likely cause on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspect {
    /// Nothing points anywhere.
    Unclear,
    /// Peers refuse what we show them.
    OwnCertificate,
    /// Our OpenSSL refuses what peers offer, or they have nothing in common with it.
    OpensslPolicy,
    /// Somebody on the way meddles.
    Network,
    /// sendmail could not start TLS.
    OwnTls,
}

impl Suspect {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 5] =
        [Self::Unclear, Self::OwnCertificate, Self::OpensslPolicy, Self::Network, Self::OwnTls];

    /// What an attempt points at.
    pub(crate) fn of(attempt: &Attempt<'_>) -> Self {
        const CERTIFICATE: [&str; 6] = [
            "unknown ca",
            "certificate expired",
            "bad certificate",
            "certificate unknown",
            "certificate revoked",
            "certificate required",
        ];
        const POLICY: [&str; 9] = [
            "too small",
            "too weak",
            "legacy sigalg",
            "unsupported protocol",
            "no protocols available",
            "no ciphers available",
            "protocol version",
            "handshake failure",
            "insufficient security",
        ];
        if attempt.fault == Fault::Config {
            return Self::OwnTls;
        }
        let Some(cause) = &attempt.cause else { return Self::Unclear };
        let has = |words: &[&str]| words.iter().any(|word| cause.reason.contains(word));
        match cause.kind {
            CauseKind::Network => Self::Network,
            CauseKind::Handshake if has(&CERTIFICATE) => Self::OwnCertificate,
            CauseKind::Handshake if has(&POLICY) => Self::OpensslPolicy,
            CauseKind::Handshake if has(&["wrong version number", "http request"]) => Self::Network,
            CauseKind::Handshake => Self::Unclear,
        }
    }
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unclear => {
                "look at what changed on this host (certificate, OpenSSL, firewall, sendmail.cf)"
            }
            Self::OwnCertificate => {
                "likely cause: this host's own certificate, which peers refuse (expired, or its chain incomplete?)"
            }
            Self::OpensslPolicy => {
                "likely cause: this host's OpenSSL policy (MinProtocol, CipherString, crypto-policies, CipherList in sendmail.cf)"
            }
            Self::Network => "likely cause: a firewall or middlebox on the way, or this host's network",
            Self::OwnTls => {
                "likely cause: this host's own TLS set-up (certificate, key, CipherList, or an entry TLS_Clt_features)"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use maillog::event::Cause;
    use maillog::relay::Relay;

    use super::*;

    #[test]
    fn what_the_words_point_at() {
        let check = |fault: Fault, kind: Option<CauseKind>, reason: &'static str, expect| {
            let cause = kind.map(|kind| Cause { kind, reason: reason.into() });
            let relay = Relay::parse(b"mx.example.org").unwrap();
            let attempt = Attempt { relay, fault, code: 454, cause };
            assert_eq!(Suspect::of(&attempt), expect, "{reason}");
        };
        let (tls, network) = (Some(CauseKind::Handshake), Some(CauseKind::Network));
        check(Fault::Config, None, "", Suspect::OwnTls);
        check(Fault::Software, None, "", Suspect::Unclear);
        check(Fault::Software, network, "unknown", Suspect::Network);
        check(Fault::Software, tls, "wrong version number", Suspect::Network);
        check(Fault::Software, tls, "tlsv1 alert unknown ca", Suspect::OwnCertificate);
        check(Fault::Software, tls, "sslv3 alert certificate expired", Suspect::OwnCertificate);
        check(Fault::Software, tls, "dh key too small", Suspect::OpensslPolicy);
        check(
            Fault::Software,
            tls,
            "legacy sigalg disallowed or unsupported",
            Suspect::OpensslPolicy,
        );
        check(Fault::Software, tls, "sslv3 alert handshake failure", Suspect::OpensslPolicy);
        check(Fault::Software, tls, "something else", Suspect::Unclear);
    }

    #[test]
    fn numbers_and_order_agree() {
        for (number, suspect) in Suspect::ALL.into_iter().enumerate() {
            assert_eq!(suspect as usize, number);
        }
    }
}
