//! What a probe comes to: the verdict, what it rests on, what would work, and the remedy that costs least.

use access::key::Key;
use access::remedy::Tagged;
use serde::Serialize;

use crate::certificate::Certificate;
use crate::context::Ask;
use crate::seen::{Agreed, Seen, Stage};
use crate::verdict::{Note, Verdict};

/// The diagnosis of one address. Every text in it is printable ASCII and bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The verdict; none if the address was not reached, or the conversation did not come as far as STARTTLS. Then
    /// nothing is known of its TLS, and `reason` says why.
    pub verdict: Option<Verdict>,
    /// Where it broke; [`Stage::End`] if it did not.
    pub at: Stage,
    /// What was seen there, in words.
    pub reason: String,
    /// What stops nobody: each once, in order.
    pub notes: Vec<Note>,
    /// The greeting.
    pub greeting: Option<String>,
    /// What EHLO offers in clear, at most 50 lines.
    pub offered: Vec<String>,
    /// Version and cipher, if a handshake as sendmail makes it went well.
    pub agreed: Option<Agreed>,
    /// The server's certificate, if one came.
    pub certificate: Option<Certificate>,
    /// What works if asked differently, the mildest that was found.
    pub works_if: Option<WorksIf>,
    /// In what the probe differs from this host's sendmail, since something of its set-up could not be read or used.
    pub differs: Vec<String>,
    #[serde(skip)]
    clear_already: bool,
}

/// A handshake that went well when asked differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorksIf {
    /// How it was asked.
    pub ask: Ask,
    /// What was then agreed upon.
    pub agreed: Agreed,
}

/// What can be done on this side, the one that costs least. The other side's mending is always the better one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what", content = "line")]
pub enum Remedy {
    /// Nothing need be done: TLS works.
    None,
    /// Nothing need be done: sendmail sends in clear by itself, as the other side does not take STARTTLS.
    ClearAlready,
    /// TLS is kept for this relay, weaker than for others: this line in the access map, from sendmail 8.16 on with
    /// `FEATURE(`tls_session_features')`.
    Weaker(String),
    /// A client certificate that the other side takes, or none.
    Certificate,
    /// No TLS with this relay: this line in the access map.
    TryTls(String),
    /// Nothing is known, so nothing can be advised.
    Unknown,
}

impl Diagnosis {
    /// What the first conversation, and those that asked differently, come to.
    pub(crate) fn of(seen: Seen, works_if: Option<WorksIf>, differs: Vec<String>) -> Self {
        let verdict = seen.verdict().map(|verdict| refine(verdict, works_if.as_ref()));
        Self {
            verdict,
            clear_already: seen.is_clear_already(),
            at: seen.at,
            reason: seen.words(),
            notes: seen.notes,
            greeting: seen.greeting,
            offered: seen.offered,
            agreed: seen.agreed,
            certificate: seen.certificate,
            works_if,
            differs,
        }
    }

    /// The diagnosis where OpenSSL itself does not work here.
    pub(crate) fn nothing(reason: String) -> Self {
        let unreached = Self::of(Seen::nothing(), None, Vec::new());
        Self { reason, ..unreached }
    }

    /// Whether the address was reached and its STARTTLS is broken.
    pub fn is_broken(&self) -> bool {
        self.verdict.is_some_and(|verdict| verdict != Verdict::Good)
    }

    /// Whether sendmail sends in clear by itself: STARTTLS is not offered, or the answer to it is a no (4xx or 5xx, but for
    /// 421).
    pub fn is_clear_already(&self) -> bool {
        self.clear_already
    }

    /// The remedy for a relay that the access map would know by the key.
    pub fn remedy(&self, key: &Key) -> Remedy {
        let Some(verdict) = self.verdict else { return Remedy::Unknown };
        match (verdict, &self.works_if) {
            (Verdict::Good, _) => Remedy::None,
            _ if self.is_clear_already() => Remedy::ClearAlready,
            (_, Some(works)) => weaker(works.ask, key),
            (Verdict::ClientCert, None) => Remedy::Certificate,
            (_, None) => Remedy::TryTls(Tagged::try_tls(key.clone()).line()),
        }
    }
}

/// The line that makes sendmail ask like this.
fn weaker(ask: Ask, key: &Key) -> Remedy {
    let options = match ask {
        Ask::AsSendmail => return Remedy::None,
        Ask::NoCertificate => return Remedy::Certificate,
        Ask::Tls12 => "options=SSL_OP_NO_TLSv1_3",
        Ask::Level1 => "cipherlist=DEFAULT:@SECLEVEL=1",
        Ask::Level0 => "cipherlist=DEFAULT:@SECLEVEL=0",
        Ask::AllCiphers | Ask::OldVersions => "cipherlist=ALL:@SECLEVEL=0",
    };
    let tagged = Tagged { remedy: access::remedy::Remedy::TlsCltFeatures, key: key.clone() };
    Remedy::Weaker(format!("{tagged}\t{options}"))
}

/// The alert handshake_failure says "no common cipher" for whatever was not in common; what works then tells which it was.
fn refine(verdict: Verdict, works_if: Option<&WorksIf>) -> Verdict {
    match (verdict, works_if.map(|works| works.ask)) {
        (Verdict::NoCipher, Some(Ask::OldVersions)) => Verdict::NoVersion,
        // The ciphers were the same, only the level was lower: on the client's side it holds back signature algorithms
        // and groups; keys that are too short it notices itself, without an alert.
        (Verdict::NoCipher, Some(Ask::Level1 | Ask::Level0)) => Verdict::Signature,
        _ => verdict,
    }
}

/// How to ask differently, the mildest first, where a handshake broke like this.
pub(crate) fn ladder(seen: &Seen, shows_certificate: bool) -> &'static [Ask] {
    if !matches!(seen.at, Stage::Handshake | Stage::EhloOverTls) {
        return &[];
    }
    match seen.verdict() {
        Some(Verdict::NoVersion) => &[Ask::Tls12, Ask::OldVersions],
        Some(Verdict::NoCipher) => {
            &[Ask::Tls12, Ask::Level1, Ask::Level0, Ask::AllCiphers, Ask::OldVersions]
        }
        Some(Verdict::WeakKey | Verdict::Signature) => {
            &[Ask::Level1, Ask::Level0, Ask::AllCiphers, Ask::OldVersions]
        }
        // Some hang up on a hello of TLS 1.3, or answer it with nonsense.
        Some(Verdict::ClosedOrReset | Verdict::NotTls) => &[Ask::Tls12],
        Some(Verdict::ClientCert) if shows_certificate => &[Ask::NoCertificate],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::Ended;
    use crate::verdict::Reason;

    fn broken(code: i32) -> Seen {
        let reason = Reason { library: 20, code, text: "reason".to_owned() };
        Seen { at: Stage::Handshake, ended: Ended::Tls(reason), ..Seen::nothing() }
    }

    fn works(ask: Ask) -> WorksIf {
        WorksIf { ask, agreed: Agreed { version: "TLSv1", cipher: "X", bits: 128 } }
    }

    fn key() -> Key {
        Key::name("mx.example").expect("key")
    }

    fn diagnosis(code: i32, ask: Option<Ask>) -> Diagnosis {
        Diagnosis::of(broken(code), ask.map(works), Vec::new())
    }

    #[test]
    fn what_works_tells_what_was_missing() {
        let verdict = |code, ask| diagnosis(code, ask).verdict;
        assert_eq!(verdict(1040, None), Some(Verdict::NoCipher));
        assert_eq!(verdict(1040, Some(Ask::AllCiphers)), Some(Verdict::NoCipher));
        assert_eq!(verdict(1040, Some(Ask::Level0)), Some(Verdict::Signature));
        assert_eq!(verdict(1040, Some(Ask::OldVersions)), Some(Verdict::NoVersion));
        assert_eq!(verdict(394, Some(Ask::Level0)), Some(Verdict::WeakKey));
    }

    #[test]
    fn the_remedy_that_costs_least() {
        let remedy = |code, ask| diagnosis(code, ask).remedy(&key());
        let weaker = |line: &str| Remedy::Weaker(format!("TLS_Clt_features:mx.example\t{line}"));
        assert_eq!(remedy(394, Some(Ask::Level1)), weaker("cipherlist=DEFAULT:@SECLEVEL=1"));
        assert_eq!(remedy(267, Some(Ask::Tls12)), weaker("options=SSL_OP_NO_TLSv1_3"));
        assert_eq!(remedy(267, None), Remedy::TryTls("Try_TLS:mx.example\tNO".to_owned()));
        assert_eq!(remedy(1048, None), Remedy::Certificate);
        assert_eq!(remedy(1048, Some(Ask::NoCertificate)), Remedy::Certificate);
        let seen = |at, ended| {
            let seen = Seen { at, ended, ..Seen::nothing() };
            Diagnosis::of(seen, None, Vec::new()).remedy(&key())
        };
        let reply = || Ended::Reply("454 no".to_owned(), 454);
        assert_eq!(seen(Stage::End, Ended::Well), Remedy::None);
        assert_eq!(seen(Stage::Ehlo, Ended::NotOffered), Remedy::ClearAlready);
        assert_eq!(seen(Stage::Starttls, reply()), Remedy::ClearAlready);
        assert!(matches!(seen(Stage::EhloOverTls, reply()), Remedy::TryTls(_)));
        assert_eq!(seen(Stage::Connect, Ended::Timeout), Remedy::Unknown);
    }

    #[test]
    fn nobody_is_asked_again_without_need() {
        let none: &[Ask] = &[];
        let seen = |at, ended| Seen { at, ended, ..Seen::nothing() };
        for (at, ended) in [
            (Stage::End, Ended::Well),
            (Stage::Ehlo, Ended::NotOffered),
            (Stage::Starttls, Ended::Closed),
            (Stage::Handshake, Ended::Timeout),
        ] {
            assert_eq!(ladder(&seen(at, ended), true), none, "{at:?}");
        }
        assert_eq!(ladder(&broken(1048), false), none);
        assert_eq!(ladder(&broken(1048), true), [Ask::NoCertificate]);
    }
}
