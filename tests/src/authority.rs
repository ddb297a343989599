//! An authority of the test's own, whom nobody knows who is not told, and the certificates of servers by it.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};

use crate::certificate::{Validity, certificate, p256};

const NAME: &str = "the test's authority";

/// Who signs.
#[derive(Debug)]
pub(crate) struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

/// A server's certificate and its key, as PEM.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// Where OpenSSL does not work.
    pub(crate) fn new() -> Result<Self> {
        let make = || -> Result<Self, ErrorStack> {
            let key = p256()?;
            let signs = BasicConstraints::new().critical().ca().build()?;
            let certificate = certificate(NAME, &key, Validity::Lasting, NAME, &key, Some(signs))?;
            Ok(Self { key, certificate })
        };
        make().context("make an authority")
    }

    /// Its own certificate, which is to be trusted, as PEM.
    pub(crate) fn pem(&self) -> Result<Vec<u8>> {
        Ok(self.certificate.to_pem()?)
    }

    /// A certificate for a server of this name and address.
    pub(crate) fn issue(&self, name: &str, address: Ipv4Addr) -> Result<Issued> {
        let key = p256()?;
        // What is given goes into the extension alone: no context of its issuer is needed.
        let names = SubjectAlternativeName::new()
            .dns(name)
            .ip(&address.to_string())
            .build(&X509::builder()?.x509v3_context(None, None))?;
        let made = certificate(name, &key, Validity::Lasting, NAME, &self.key, Some(names))?;
        Ok(Issued { certificate: made.to_pem()?, key: key.private_key_to_pem_pkcs8()? })
    }
}
