//! The TLS side of a peer: a self-signed certificate made at start, and what the peer agrees to; and the certificate that
//! the bed's own sendmail shows.
//!
//! sendmail does not verify a peer's certificate unless told to, so a self-signed one is "good". The peers that want one
//! of sendmail take it so as well.

use anyhow::{Context as _, Result};
use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::dh::Dh;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509Extension, X509Name, X509NameBuilder};

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
    /// TLS 1.2, and a certificate of the client's by an authority that it knows; it knows none.
    TrustsNobody,
    /// TLS 1.2, DHE over 1024 bits.
    WeakDh,
    /// TLS 1.2, an RSA key of 1024 bits.
    WeakRsa,
    /// TLS 1.2, signatures with SHA-1.
    Sha1,
    /// As `Modern`, with another certificate.
    Shows(Likeness),
}

/// What a peer's certificate is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// By an authority that nobody knows, in date, for the peer's own name.
    Fine,
    /// The same, out of date.
    Expired,
    /// The same, not valid before tomorrow.
    NotYetValid,
    /// In date, for the peer's own name, by itself.
    SelfSigned,
    /// As `Fine`, for other names.
    OtherName,
    /// In date, by itself, and what should be the list of its names cannot be read.
    Unreadable,
}

/// Whether a certificate is in date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From now on, for two days.
    Current,
    /// It was, in 2001.
    Expired,
    /// It will be, tomorrow.
    Future,
    /// From 2001 on, for ten years from now: also for one whose clock is set ahead.
    Lasting,
}

/// An acceptor with a certificate of its own, P-256 since that is made in no time; `name` is the peer's, before `.mx.test`.
pub(crate) fn acceptor(ability: Ability, name: &str) -> Result<SslAcceptor> {
    let (key, certificate) = identity(ability, name).context("make a peer's certificate")?;
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    match ability {
        Ability::Modern | Ability::Shows(_) => {}
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
        Ability::TrustsNobody => {
            builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
            builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        }
        Ability::WeakDh => {
            builder.set_cipher_list("DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")?;
            builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
            builder.set_tmp_dh(&*Dh::get_1024_160()?)?;
        }
        Ability::WeakRsa => {
            builder.set_cipher_list("ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")?;
            builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
        }
        Ability::Sha1 => {
            builder.set_cipher_list("ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")?;
            builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
            builder.set_sigalgs_list("RSA+SHA1")?;
        }
    }
    builder.set_private_key(&key)?;
    builder.set_certificate(&certificate)?;
    Ok(builder.build())
}

/// The key and the certificate of a peer. An acceptor that takes a weak key is one at security level 0.
fn identity(ability: Ability, name: &str) -> Result<(PKey<Private>, X509), ErrorStack> {
    let key = match ability {
        Ability::WeakRsa => PKey::from_rsa(Rsa::generate(1024)?)?,
        Ability::WeakDh | Ability::Sha1 => PKey::from_rsa(Rsa::generate(2048)?)?,
        _ => p256()?,
    };
    let name = format!("{name}.mx.test");
    let certificate = match ability {
        Ability::Shows(Likeness::Fine) => issued(&name, &key, Validity::Current)?,
        Ability::Shows(Likeness::Expired) => issued(&name, &key, Validity::Expired)?,
        Ability::Shows(Likeness::NotYetValid) => issued(&name, &key, Validity::Future)?,
        Ability::Shows(Likeness::SelfSigned) => signed(&name, &key, Validity::Current)?,
        Ability::Shows(Likeness::OtherName) => issued("other.test", &key, Validity::Current)?,
        Ability::Shows(Likeness::Unreadable) => unreadable(&name, &key)?,
        _ => signed("peer.mx.test", &key, Validity::Current)?,
    };
    Ok((key, certificate))
}

pub(crate) fn p256() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)
}

/// A certificate for the private key in `pem`, as PEM.
///
/// # Errors
/// Where `pem` is no private key.
pub(crate) fn for_key(pem: &str, name: &str, validity: Validity) -> Result<Vec<u8>> {
    let key = PKey::private_key_from_pem(pem.as_bytes()).context("read a private key")?;
    Ok(signed(name, &key, validity)?.to_pem()?)
}

/// A new key and a certificate for it, for a client, both as PEM.
///
/// # Errors
/// Where OpenSSL does not work.
pub fn client(name: &str, validity: Validity) -> Result<(Vec<u8>, Vec<u8>)> {
    let key = p256()?;
    let certificate = signed(name, &key, validity)?;
    Ok((key.private_key_to_pem_pkcs8()?, certificate.to_pem()?))
}

/// By itself.
fn signed(name: &str, key: &PKey<Private>, validity: Validity) -> Result<X509, ErrorStack> {
    certificate(name, key, validity, name, key, None)
}

/// By itself, with three bytes that are no list where its names should be.
fn unreadable(name: &str, key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let no_list = Asn1OctetString::new_from_bytes(b"\xff\xff\xff")?;
    let names = Asn1Object::from_str("2.5.29.17")?;
    let names = X509Extension::new_from_der(&names, false, &no_list)?;
    certificate(name, key, Validity::Current, name, key, Some(names))
}

/// By an authority that is made for it and forgotten.
fn issued(name: &str, key: &PKey<Private>, validity: Validity) -> Result<X509, ErrorStack> {
    certificate(name, key, validity, "an authority", &*p256()?, None)
}

/// With these names, or others of its extensions in their place; its own name unless told.
pub(crate) fn certificate(
    name: &str,
    key: &PKeyRef<Private>,
    validity: Validity,
    issuer: &str,
    issuer_key: &PKeyRef<Private>,
    names: Option<X509Extension>,
) -> Result<X509, ErrorStack> {
    let common_name = |name: &str| -> Result<X509Name, ErrorStack> {
        let mut builder = X509NameBuilder::new()?;
        builder.append_entry_by_text("CN", name)?;
        Ok(builder.build())
    };
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*BigNum::from_u32(1)?.to_asn1_integer()?)?;
    builder.set_subject_name(&*common_name(name)?)?;
    builder.set_issuer_name(&*common_name(issuer)?)?;
    builder.set_pubkey(key)?;
    let days = Asn1Time::days_from_now;
    let (from, until) = match validity {
        Validity::Current => (days(0)?, days(2)?),
        Validity::Future => (days(1)?, days(2)?),
        Validity::Expired => {
            (Asn1Time::from_str("20010101000000Z")?, Asn1Time::from_str("20020101000000Z")?)
        }
        Validity::Lasting => (Asn1Time::from_str("20010101000000Z")?, days(3650)?),
    };
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    let own = || SubjectAlternativeName::new().dns(name).build(&builder.x509v3_context(None, None));
    let names = names.map_or_else(own, Ok)?;
    builder.append_extension(names)?;
    builder.sign(issuer_key, MessageDigest::sha256())?;
    Ok(builder.build())
}
