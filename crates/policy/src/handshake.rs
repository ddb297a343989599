//! What sendmail said of a handshake that worked: its version, and whether the peer's certificate was verified.
//!
//! One is kept for each of very many relays, so the words, of which there are few, are kept as two bytes. A word that
//! is not in the tables (of a sendmail to come) is kept as "other".

/// `version=`, as OpenSSL names them.
const VERSIONS: [&str; 6] = ["other", "TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1", "TLSv1/SSLv3"];

/// `verify=` of a finished handshake (op.me, `${verify}`).
const VERIFIES: [&str; 8] = ["other", "OK", "FAIL", "NO", "NOT", "TRUSTED", "TEMP", "DANE_FAIL"];

/// A handshake that worked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    version: u8,
    verify: u8,
}

impl Handshake {
    /// By the words of the log line.
    pub fn of(version: &str, verify: &str) -> Self {
        Self { version: place(&VERSIONS, version), verify: place(&VERIFIES, verify) }
    }

    /// `TLSv1.3`, `TLSv1.2` …, or `other`.
    pub fn version(self) -> &'static str {
        VERSIONS.get(usize::from(self.version)).copied().unwrap_or("other")
    }

    /// `OK`, `FAIL`, `NO` …, or `other`.
    pub fn verify(self) -> &'static str {
        VERIFIES.get(usize::from(self.verify)).copied().unwrap_or("other")
    }
}

fn place(words: &[&str], word: &str) -> u8 {
    let at = words.iter().position(|known| *known == word).unwrap_or(0);
    u8::try_from(at).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_come_back() {
        let check = |version: &str, verify: &str, expect: (&str, &str)| {
            let handshake = Handshake::of(version, verify);
            assert_eq!((handshake.version(), handshake.verify()), expect);
        };
        check("TLSv1.3", "FAIL", ("TLSv1.3", "FAIL"));
        check("TLSv1/SSLv3", "DANE_FAIL", ("TLSv1/SSLv3", "DANE_FAIL"));
        check("TLSv9", "", ("other", "other"));
    }
}
