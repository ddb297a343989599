//! The TLS side of a peer: a self-signed certificate made at start, and what the peer agrees to.
//!
//! sendmail does not verify a peer's certificate unless told to, so a self-signed one is "good".

use anyhow::{Context as _, Result};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod, SslVersion};
use openssl::x509::{X509, X509NameBuilder};

/// What a peer's TLS is able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ability {
    /// TLS 1.2 and 1.3 with today's ciphers.
    Modern,
    /// TLS 1.0 and nothing else: "legacy sigalg disallowed or unsupported" at sendmail.
    Tls10,
    /// Ciphers of which no client has one (pre-shared keys): "sslv3 alert handshake failure".
    NoCommonCipher,
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
    }
    builder.set_private_key(&key)?;
    builder.set_certificate(&certificate)?;
    Ok(builder.build())
}

fn self_signed() -> Result<(PKey<Private>, X509), openssl::error::ErrorStack> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&curve)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", "peer.mx.test")?;
    let name = name.build();
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*BigNum::from_u32(1)?.to_asn1_integer()?)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(&key)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(2)?)?;
    builder.sign(&key, MessageDigest::sha256())?;
    Ok((key, builder.build()))
}
