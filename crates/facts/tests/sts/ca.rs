//! An authority for the tests, and certificates of all sorts by it.

use std::io::Write;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod, SslVersion};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};

const DAY: i64 = 86_400;

/// Someone who signs certificates.
pub(crate) struct Authority {
    key: PKey<Private>,
    certificate: X509,
    file: tempfile::NamedTempFile,
}

/// What a server's certificate is to be like.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// Its DNS names.
    pub(crate) names: Vec<&'static str>,
    /// Its address, if it has one.
    pub(crate) address: Option<&'static str>,
    /// Its common name.
    pub(crate) common: &'static str,
    /// From when and until when it is valid, in days from now.
    pub(crate) days: [i64; 2],
    /// Signed by itself.
    pub(crate) own: bool,
    /// The server speaks nothing newer than TLS 1.1.
    pub(crate) old: bool,
}

impl Wish {
    /// A certificate that is as it should be.
    pub(crate) fn of(names: &[&'static str]) -> Self {
        let names = names.to_vec();
        Self { names, address: None, common: "x", days: [-1, 1], own: false, old: false }
    }
}

impl Authority {
    /// One that nobody knows.
    pub(crate) fn new() -> Self {
        let key = key();
        let mut builder = builder("An authority", &key, [-1, 1]);
        builder.set_issuer_name(&name("An authority")).expect("issuer");
        let ca = BasicConstraints::new().critical().ca().build().expect("constraints");
        builder.append_extension(ca).expect("constraints");
        builder.sign(&key, MessageDigest::sha256()).expect("signature");
        let certificate = builder.build();
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(&certificate.to_pem().expect("PEM")).expect("written");
        Self { key, certificate, file }
    }

    /// Its certificate, PEM.
    pub(crate) fn file(&self) -> &Path {
        self.file.path()
    }

    /// A server's side of TLS, with a certificate of this authority.
    pub(crate) fn acceptor(&self, wish: &Wish) -> SslAcceptor {
        let key = key();
        let mut builder = builder(wish.common, &key, wish.days);
        let mut names = SubjectAlternativeName::new();
        for name in &wish.names {
            names.dns(name);
        }
        if let Some(address) = wish.address {
            names.ip(address);
        }
        if !wish.names.is_empty() || wish.address.is_some() {
            let context = builder.x509v3_context(Some(&self.certificate), None);
            let names = names.build(&context).expect("names");
            builder.append_extension(names).expect("names");
        }
        if wish.own {
            builder.set_issuer_name(&name(wish.common)).expect("issuer");
            builder.sign(&key, MessageDigest::sha256()).expect("signature");
        } else {
            builder.set_issuer_name(self.certificate.subject_name()).expect("issuer");
            builder.sign(&self.key, MessageDigest::sha256()).expect("signature");
        }
        let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls_server()).expect("TLS");
        acceptor.set_private_key(&key).expect("key");
        acceptor.set_certificate(&builder.build()).expect("certificate");
        if wish.old {
            acceptor.set_cipher_list("ALL:@SECLEVEL=0").expect("ciphers");
            acceptor.set_max_proto_version(Some(SslVersion::TLS1_1)).expect("version");
        }
        acceptor.build()
    }
}

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("curve");
    PKey::from_ec_key(EcKey::generate(&group).expect("key")).expect("key")
}

fn name(common: &str) -> X509Name {
    let mut name = X509Name::builder().expect("name");
    name.append_entry_by_nid(Nid::COMMONNAME, common).expect("name");
    name.build()
}

/// A certificate that lacks its issuer, its names and the signature.
fn builder(common: &str, key: &PKey<Private>, days: [i64; 2]) -> X509Builder {
    let mut serial = BigNum::new().expect("number");
    serial.rand(64, openssl::bn::MsbOption::MAYBE_ZERO, false).expect("number");
    let [from, until] = days.map(|days| {
        let now = Asn1Time::days_from_now(0).expect("now");
        let epoch = Asn1Time::from_unix(0).expect("epoch");
        let passed = epoch.diff(&now).expect("time");
        let now = i64::from(passed.days) * DAY + i64::from(passed.secs);
        Asn1Time::from_unix(now + days * DAY).expect("time")
    });
    let mut builder = X509::builder().expect("certificate");
    builder.set_version(2).expect("version");
    builder.set_serial_number(&serial.to_asn1_integer().expect("number")).expect("serial");
    builder.set_subject_name(&name(common)).expect("subject");
    builder.set_not_before(&from).expect("time");
    builder.set_not_after(&until).expect("time");
    builder.set_pubkey(key).expect("key");
    builder
}
