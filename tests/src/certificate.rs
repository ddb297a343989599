//! The TLS side of a peer: a self-signed certificate made at start, and what the peer agrees to; and the certificate that
//! the bed's own sendmail shows.
//!
//! sendmail does not verify a peer's certificate unless told to, so a self-signed one is "good". The peers that want one
//! of sendmail take it so as well.

use anyhow::{Context as _, Result};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::{X509, X509NameBuilder};

/// `X509_V_ERR_CERT_HAS_EXPIRED` of x509_vfy.h.
const HAS_EXPIRED: i32 = 10;

/// What a peer's TLS is able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ability {
    /// TLS 1.2 and 1.3 with today's ciphers.
    Modern,
    /// TLS 1.0 and nothing else: "legacy sigalg disallowed or unsupported" at sendmail.
    Tls10,
    /// Ciphers of which no client has one (pre-shared keys): "sslv3 alert handshake failure".
    NoCommonCipher,
    /// TLS 1.2, and a certificate of the client's that is in date, whoever signed it: "sslv3 alert certificate expired"
    /// at a sendmail whose is not.
    WantsCertificate,
}

/// Whether a certificate is in date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From now on, for two days.
    Current,
    /// It was, in 2001.
    Expired,
}

/// An acceptor with a certificate of its own, P-256 since that is made in no time.
pub(crate) fn acceptor(ability: Ability) -> Result<SslAcceptor> {
    let (key, certificate) = self_signed().context("make a peer's certificate")?;
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    match ability {
        Ability::Modern => {}
        Ability::Tls10 => {
            builder.set_cipher_list("ALL:@SECLEVEL=0")?;
            builder.set_min_proto_version(Some(SslVersion::TLS1))?;
            builder.set_max_proto_version(Some(SslVersion::TLS1))?;
            builder.clear_options(openssl::ssl::SslOptions::NO_TLSV1);
        }
        Ability::NoCommonCipher => {
            builder
                .set_cipher_list("PSK-AES128-CBC-SHA:ECDHE-PSK-AES128-CBC-SHA256:@SECLEVEL=0")?;
            builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
        }
        Ability::WantsCertificate => {
            builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
            let wanted = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
            builder.set_verify_callback(wanted, |verified, store| {
                verified || store.error().as_raw() != HAS_EXPIRED
            });
        }
    }
    builder.set_private_key(&key)?;
    builder.set_certificate(&certificate)?;
    Ok(builder.build())
}

fn self_signed() -> Result<(PKey<Private>, X509), ErrorStack> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&curve)?)?;
    let certificate = signed("peer.mx.test", &key, Validity::Current)?;
    Ok((key, certificate))
}

/// A certificate for the private key in `pem`, as PEM.
///
/// # Errors
/// Where `pem` is no private key.
pub(crate) fn for_key(pem: &str, name: &str, validity: Validity) -> Result<Vec<u8>> {
    let key = PKey::private_key_from_pem(pem.as_bytes()).context("read a private key")?;
    Ok(signed(name, &key, validity)?.to_pem()?)
}

fn signed(name: &str, key: &PKey<Private>, validity: Validity) -> Result<X509, ErrorStack> {
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_text("CN", name)?;
    let subject = subject.build();
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*BigNum::from_u32(1)?.to_asn1_integer()?)?;
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(&subject)?;
    builder.set_pubkey(key)?;
    let (from, until) = match validity {
        Validity::Current => (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(2)?),
        Validity::Expired => {
            (Asn1Time::from_str("20010101000000Z")?, Asn1Time::from_str("20020101000000Z")?)
        }
    };
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}
