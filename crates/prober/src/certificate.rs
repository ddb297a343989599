//! The certificate that a server showed: what an admin wants to read of it, and what is wrong with it.
//!
//! It is not checked, as sendmail does not check it unless told to. OpenSSL goes through the chain all the same and tells
//! of each fault, and goes on; the faults become notes. The certificate is foreign: its texts are cut and made printable.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::Id;
use openssl::ssl::{SslRef, SslVerifyMode};
use openssl::x509::{X509NameEntryRef, X509NameRef, X509Ref, X509VerifyResult};
use serde::Serialize;

use crate::printable::printable;
use crate::target::HostName;
use crate::verdict::Note;

/// Names of a certificate that are kept.
const MAX_NAMES: usize = 10;

/// Parts of a subject or issuer that are kept.
const MAX_PARTS: usize = 8;

/// The longest text of one name or part, in bytes.
const MAX_TEXT: usize = 100;

/// Faults that are kept of one chain.
const MAX_FAULTS: usize = 32;

/// A certificate in short. All texts are printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// `CN=mx.example.org, O=Example`.
    pub subject: String,
    /// The same of who issued it.
    pub issuer: String,
    /// The DNS names that it is for, at most ten.
    pub names: Vec<String>,
    /// Since when it is valid; none if it tells no time that we can read.
    pub not_before: Option<Timestamp>,
    /// Until when.
    pub not_after: Option<Timestamp>,
    /// `RSA 2048`: kind of the key and its length in bits.
    pub key: String,
    /// The signature's algorithm: `sha256WithRSAEncryption`.
    pub signature: String,
    /// SHA-256 over the whole, in hexadecimal.
    pub fingerprint: String,
}

impl Certificate {
    pub(crate) fn of(certificate: &X509Ref) -> Self {
        let names = certificate.subject_alt_names().map_or(Vec::new(), |names| {
            let dns = names.iter().filter_map(|name| name.dnsname());
            dns.take(MAX_NAMES).map(|name| printable(name.as_bytes(), MAX_TEXT)).collect()
        });
        let key = certificate.public_key().map_or("unknown".to_owned(), |key| {
            let kind = match key.id() {
                Id::RSA => "RSA",
                Id::RSA_PSS => "RSA-PSS",
                Id::EC => "EC",
                Id::ED25519 => "Ed25519",
                Id::ED448 => "Ed448",
                Id::DSA => "DSA",
                _ => "other",
            };
            format!("{kind} {}", key.bits())
        });
        let digest = certificate.digest(MessageDigest::sha256());
        let algorithm = certificate.signature_algorithm().object();
        Self {
            subject: text(certificate.subject_name()),
            issuer: text(certificate.issuer_name()),
            names,
            not_before: moment(certificate.not_before()),
            not_after: moment(certificate.not_after()),
            key,
            signature: printable(algorithm.to_string().as_bytes(), MAX_TEXT),
            fingerprint: digest.map_or(String::new(), |digest| {
                digest.iter().map(|byte| format!("{byte:02x}")).collect()
            }),
        }
    }
}

/// Whether the certificate was issued by itself. (OpenSSL's own word for it, fault 18, does not come where the key is too
/// weak.)
pub(crate) fn is_self_signed(certificate: &X509Ref) -> bool {
    let by_name = certificate.issued(certificate) == X509VerifyResult::OK;
    by_name && certificate.public_key().and_then(|key| certificate.verify(&key)).unwrap_or(false)
}

fn text(name: &X509NameRef) -> String {
    let part = |entry: &X509NameEntryRef| {
        let nid: Nid = entry.object().nid();
        let value = printable(entry.data().as_slice(), MAX_TEXT);
        format!("{}={value}", nid.short_name().unwrap_or("?"))
    };
    name.entries().take(MAX_PARTS).map(part).collect::<Vec<_>>().join(", ")
}

fn moment(time: &Asn1TimeRef) -> Option<Timestamp> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    Timestamp::from_second(i64::from(since.days) * 86_400 + i64::from(since.secs)).ok()
}

/// The faults that OpenSSL finds in the chain of one handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Vec<i32>>>);

impl Faults {
    /// Has the handshake of this session collect them, without failing on any. With a host, its name is one that the
    /// certificate should be for.
    pub(crate) fn watch(
        &self,
        ssl: &mut SslRef,
        host: Option<&HostName>,
    ) -> Result<(), ErrorStack> {
        if let Some(host) = host {
            ssl.param_mut().set_host(host.as_str())?;
        }
        let faults = Arc::clone(&self.0);
        ssl.set_verify_callback(SslVerifyMode::NONE, move |good, chain| {
            let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
            if !good && faults.len() < MAX_FAULTS {
                faults.push(chain.error().as_raw());
            }
            true
        });
        Ok(())
    }

    /// What they are to us. The numbers are those of x509_vfy.h.
    pub(crate) fn notes(&self) -> Vec<Note> {
        let faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let note = |fault: &i32| match fault {
            9 => Some(Note::NotYetValid),
            10 => Some(Note::Expired),
            62 => Some(Note::OtherName),
            66..=68 => Some(Note::WeakCertificate),
            _ => None,
        };
        faults.iter().filter_map(note).collect()
    }
}
