//! An authority that nobody knows, and a server's certificate by it, as files.

use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};

use crate::lab::write_file;

/// Who signs.
pub(crate) struct Authority {
    /// Its own certificate, PEM.
    pub(crate) file: PathBuf,
}

impl Authority {
    /// Writes `ca.pem`, and `server.pem` with `server.key` for 127.0.0.1 and `localhost`.
    pub(crate) fn new(folder: &Path) -> Self {
        let key = key();
        let mut builder = builder("An authority", &key);
        builder.set_issuer_name(&name("An authority")).expect("issuer");
        let ca = BasicConstraints::new().critical().ca().build().expect("constraints");
        builder.append_extension(ca).expect("constraints");
        builder.sign(&key, MessageDigest::sha256()).expect("signature");
        let ca = builder.build();
        let file = folder.join("ca.pem");
        write_file(&file, &pem(&ca));
        server(folder, &ca, &key);
        Self { file }
    }
}

fn server(folder: &Path, ca: &X509, signer: &PKey<Private>) {
    let key = key();
    let mut builder = builder("server", &key);
    builder.set_issuer_name(ca.subject_name()).expect("issuer");
    let context = builder.x509v3_context(Some(ca), None);
    let names = SubjectAlternativeName::new().ip("127.0.0.1").dns("localhost").build(&context);
    builder.append_extension(names.expect("names")).expect("names");
    builder.sign(signer, MessageDigest::sha256()).expect("signature");
    write_file(&folder.join("server.pem"), &pem(&builder.build()));
    let key = key.private_key_to_pem_pkcs8().expect("PEM");
    write_file(&folder.join("server.key"), &String::from_utf8(key).expect("PEM"));
}

fn pem(certificate: &X509) -> String {
    String::from_utf8(certificate.to_pem().expect("PEM")).expect("PEM")
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
fn builder(common: &str, key: &PKey<Private>) -> X509Builder {
    let mut serial = BigNum::new().expect("number");
    serial.rand(64, MsbOption::MAYBE_ZERO, false).expect("number");
    let mut builder = X509::builder().expect("certificate");
    builder.set_version(2).expect("version");
    builder.set_serial_number(&serial.to_asn1_integer().expect("number")).expect("serial");
    builder.set_subject_name(&name(common)).expect("subject");
    builder.set_not_before(&Asn1Time::from_unix(0).expect("time")).expect("time");
    builder.set_not_after(&Asn1Time::days_from_now(2).expect("time")).expect("time");
    builder.set_pubkey(key).expect("key");
    builder
}
