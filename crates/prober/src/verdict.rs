//! The verdicts, and which of OpenSSL's reasons leads to which.
//!
//! OpenSSL's words changed between its versions, its numbers have not (sslerr.h of 1.1.1 and 3.x). A reason of 1000 and
//! more is an alert that the other side sent (RFC 8446, section 6.2): it is what *they* had against it, while a smaller
//! one is what OpenSSL here had against them.
//!
//! One alert says little: 40, handshake_failure, comes for want of a common cipher, a signature algorithm, a key exchange
//! group, and, up to TLS 1.2, for want of a client certificate. The last is told apart by when it comes: after the
//! server's own certificate. The others are told apart by what works if asked differently, see the ladder.

use serde::Serialize;

/// What is wrong with a peer's STARTTLS, or that nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// TLS was agreed upon, and an EHLO answered over it.
    Good,
    /// STARTTLS is not offered.
    NoStarttls,
    /// STARTTLS, or the EHLO after the handshake, was answered with anything but a yes.
    Refused,
    /// The connection was closed or reset from STARTTLS on.
    ClosedOrReset,
    /// What came in the place of TLS is not TLS, or broken TLS.
    NotTls,
    /// Nothing came in time from STARTTLS on.
    Timeout,
    /// No version of TLS in common.
    NoVersion,
    /// No cipher (or key exchange group) in common.
    NoCipher,
    /// A key that is too short to be taken.
    WeakKey,
    /// No signature algorithm in common, or a wrong signature.
    Signature,
    /// The other side wants a client certificate, or another than it was shown.
    ClientCert,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Good,
        Self::NoStarttls,
        Self::Refused,
        Self::ClosedOrReset,
        Self::NotTls,
        Self::Timeout,
        Self::NoVersion,
        Self::NoCipher,
        Self::WeakKey,
        Self::Signature,
        Self::ClientCert,
    ];

    /// As in JSON: `no-starttls`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NoStarttls => "no-starttls",
            Self::Refused => "refused",
            Self::ClosedOrReset => "closed-or-reset",
            Self::NotTls => "not-tls",
            Self::Timeout => "timeout",
            Self::NoVersion => "no-version",
            Self::NoCipher => "no-cipher",
            Self::WeakKey => "weak-key",
            Self::Signature => "signature",
            Self::ClientCert => "client-cert",
        }
    }
}

/// What stops nobody, but should be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Note {
    /// A certificate is out of date.
    Expired,
    /// A certificate is not valid yet.
    NotYetValid,
    /// The certificate was issued by itself.
    SelfSigned,
    /// The certificate is for other names.
    OtherName,
    /// The certificate's key, or the digest in a signature of its chain, is weaker than OpenSSL here would take if
    /// certificates were checked.
    WeakCertificate,
    /// Bytes in clear came with the answer to STARTTLS, before the handshake: they were thrown away. A bug of theirs, or
    /// somebody on the way who injects answers.
    Injected,
}

impl Note {
    /// As in JSON: `self-signed`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::SelfSigned => "self-signed",
            Self::OtherName => "other-name",
            Self::WeakCertificate => "weak-certificate",
            Self::Injected => "injected",
        }
    }
}

/// From here on a reason is an alert that was received (`SSL_AD_REASON_OFFSET`).
const ALERTS: i32 = 1000;

/// `ERR_LIB_RSA`, `ERR_LIB_DH`, `ERR_LIB_SSL` of err.h.
const LIB_RSA: i32 = 4;
const LIB_DH: i32 = 5;
const LIB_SSL: i32 = 20;

/// An error of OpenSSL's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// Which part of OpenSSL it comes from.
    pub(crate) library: i32,
    /// Its number there.
    pub(crate) code: i32,
    /// OpenSSL's words, printable.
    pub(crate) text: String,
}

/// What had been agreed upon when it broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// Whether the server's certificate had come.
    pub(crate) certificate: bool,
    /// Whether the version was TLS 1.1 or older.
    pub(crate) old_version: bool,
}

impl Reason {
    /// The alert that the other side sent, if this is one.
    pub(crate) fn alert(&self) -> Option<i32> {
        (self.library == LIB_SSL && self.code >= ALERTS).then(|| self.code - ALERTS)
    }

    /// What it means. Anything that is not known is TLS which OpenSSL cannot follow.
    pub(crate) fn verdict(&self, before: Before) -> Verdict {
        if let Some(alert) = self.alert() {
            return of_alert(alert, before);
        }
        match self.library {
            LIB_SSL => of_own(self.code, before),
            LIB_RSA => Verdict::Signature,
            LIB_DH => Verdict::WeakKey,
            _ => Verdict::NotTls,
        }
    }
}

/// The alerts of RFC 8446, section 6, and of RFC 5246, section 7.2.
fn of_alert(alert: i32, before: Before) -> Verdict {
    match alert {
        40 if before.certificate => Verdict::ClientCert,
        40 | 71 => Verdict::NoCipher,
        // no_certificate, bad, unsupported, revoked, expired, unknown, unknown_ca, access_denied, certificate_required
        41..=46 | 48 | 49 | 116 => Verdict::ClientCert,
        51 => Verdict::Signature,
        70 | 86 => Verdict::NoVersion,
        // close_notify, internal_error, user_canceled: it gave up for reasons of its own.
        0 | 80 | 90 => Verdict::ClosedOrReset,
        // missing_extension, unsupported_extension, unrecognized_name and what is about the name asked for
        109..=115 | 120 => Verdict::Refused,
        _ => Verdict::NotTls,
    }
}

/// The reasons of sslerr.h.
fn of_own(code: i32, before: Before) -> Verdict {
    match code {
        // Signed with MD5 and SHA-1 together, as all did up to TLS 1.1: it is the version that is too old.
        333 if before.old_version => Verdict::NoVersion,
        // unsupported_protocol, wrong_ssl_version, unknown_protocol, unknown_ssl_version, unsupported_ssl_version,
        // version_too_high, version_too_low, no_protocols_available, inappropriate_fallback; and
        // unsafe_legacy_renegotiation_disabled, which is TLS from before RFC 5746 (2010)
        166 | 191 | 252 | 254 | 258 | 259 | 266 | 338 | 373 | 396 => Verdict::NoVersion,
        // no_suitable_key_share, bad_key_share, no_ciphers_available, no_cipher_match, no_shared_cipher,
        // unknown_cipher_returned, wrong_cipher_returned, no_suitable_groups, unsupported_elliptic_curve, wrong_curve,
        // no_shared_groups
        101 | 108 | 181 | 185 | 193 | 248 | 261 | 295 | 315 | 378 | 410 => Verdict::NoCipher,
        // bad_dh_value, dh_key_too_small, ca_key_too_small, ee_key_too_small
        102 | 394 | 397 | 399 => Verdict::WeakKey,
        // no_suitable_signature_algorithm, bad_signature, digest_check_failed, signature_for_non_signing_certificate,
        // wrong_signature_length, wrong_signature_size, no_suitable_digest_algorithm,
        // legacy_sigalg_disallowed_or_unsupported, signature_algorithms_error, unknown_digest, wrong_signature_type,
        // ca_md_too_weak
        118 | 123 | 149 | 220 | 264 | 265 | 297 | 333 | 360 | 368 | 370 | 398 => Verdict::Signature,
        // unexpected_eof_while_reading
        294 => Verdict::ClosedOrReset,
        _ => Verdict::NotTls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(library: i32, code: i32, before: Before) -> Verdict {
        Reason { library, code, text: String::new() }.verdict(before)
    }

    #[test]
    fn by_the_numbers() {
        let fresh = Before::default();
        let certificate = Before { certificate: true, ..fresh };
        let old = Before { certificate: true, old_version: true };
        let rows = [
            (20, 267, fresh, Verdict::NotTls),
            (20, 156, fresh, Verdict::NotTls),
            (20, 294, fresh, Verdict::ClosedOrReset),
            (20, 333, certificate, Verdict::Signature),
            (20, 333, old, Verdict::NoVersion),
            (20, 370, certificate, Verdict::Signature),
            (20, 258, fresh, Verdict::NoVersion),
            (20, 338, fresh, Verdict::NoVersion),
            (20, 394, certificate, Verdict::WeakKey),
            (20, 1040, fresh, Verdict::NoCipher),
            (20, 1040, certificate, Verdict::ClientCert),
            (20, 1045, certificate, Verdict::ClientCert),
            (20, 1048, certificate, Verdict::ClientCert),
            (20, 1116, certificate, Verdict::ClientCert),
            (20, 1070, fresh, Verdict::NoVersion),
            (20, 1071, fresh, Verdict::NoCipher),
            (20, 1080, fresh, Verdict::ClosedOrReset),
            (20, 1112, fresh, Verdict::Refused),
            (20, 1010, fresh, Verdict::NotTls),
            (4, 112, certificate, Verdict::Signature),
            (5, 126, certificate, Verdict::WeakKey),
            // An alert is one of the SSL library's alone.
            (13, 1040, fresh, Verdict::NotTls),
        ];
        for (library, code, before, expect) in rows {
            assert_eq!(verdict(library, code, before), expect, "{library} {code} {before:?}");
        }
    }

    #[test]
    fn no_number_means_good() {
        for code in -1..1300 {
            for library in [LIB_RSA, LIB_DH, LIB_SSL, 6] {
                assert_ne!(verdict(library, code, Before::default()), Verdict::Good);
            }
        }
    }
}
