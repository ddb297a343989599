//! The TLS context, set up as sendmail sets its own up (tls.c, readcf.c of 8.17), and the ways to ask differently.
//!
//! A bare `SslContext`, as an `SslConnector` has ciphers and versions of its own choice, and would succeed or fail where
//! sendmail does not. What nobody sets comes from OpenSSL and its openssl.cnf, which both read. No server name is sent:
//! sendmail sends one only for DANE.
//!
//! What cannot be set up as sendmail has it, say a key that only root may read, is left out and told: the probe then
//! differs from sendmail in this.

use std::path::Path;

use openssl::error::ErrorStack;
use openssl::ssl::{
    SslContext, SslContextBuilder, SslFiletype, SslMethod, SslOptions, SslSessionCacheMode,
    SslVersion,
};
use sendmail::cf::ClientTls;
use serde::Serialize;

/// What is asked of the peer in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// The same as sendmail asks.
    AsSendmail,
    /// TLS 1.2 at most.
    Tls12,
    /// OpenSSL's security level 1: keys of 1024 bits, for one.
    Level1,
    /// Security level 0: anything that sendmail's own list of ciphers has; SHA-1 signatures, for one.
    Level0,
    /// Level 0, and every cipher that OpenSSL has.
    AllCiphers,
    /// The same, from TLS 1.0 on, and with peers that know no secure renegotiation (RFC 5746).
    OldVersions,
    /// No certificate of ours is shown.
    NoCertificate,
}

impl Ask {
    /// In words: what a postmaster would have to change, on either side.
    pub const fn words(self) -> &'static str {
        match self {
            Self::AsSendmail => "as sendmail asks",
            Self::Tls12 => "with TLS 1.2 at most",
            Self::Level1 => "at OpenSSL's security level 1",
            Self::Level0 => "at OpenSSL's security level 0",
            Self::AllCiphers => "with all ciphers at OpenSSL's security level 0",
            Self::OldVersions => "from TLS 1.0 on, with all ciphers at OpenSSL's security level 0",
            Self::NoCertificate => "without a client certificate",
        }
    }
}

/// The options that sendmail begins with (`SSL_OP_TLSEXT_PADDING` is taken out: readcf.c says why).
fn defaults() -> SslOptions {
    (SslOptions::ALL | SslOptions::NO_SSLV2 | SslOptions::NO_TICKET) - TLSEXT_PADDING
}

/// Of ssl.h; the openssl crate has no names for them.
const LEGACY_SERVER_CONNECT: SslOptions = SslOptions::from_bits_retain(1 << 2);
const TLSEXT_PADDING: SslOptions = SslOptions::from_bits_retain(1 << 4);

/// The names that `ClientSSLOptions` may hold and that matter to a client.
const OPTIONS: &[(&str, SslOptions)] = &[
    ("SSL_OP_ALL", SslOptions::ALL),
    ("SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION", SslOptions::ALLOW_UNSAFE_LEGACY_RENEGOTIATION),
    ("SSL_OP_CIPHER_SERVER_PREFERENCE", SslOptions::CIPHER_SERVER_PREFERENCE),
    ("SSL_OP_CRYPTOPRO_TLSEXT_BUG", SslOptions::from_bits_retain(1 << 31)),
    ("SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS", SslOptions::DONT_INSERT_EMPTY_FRAGMENTS),
    ("SSL_OP_LEGACY_SERVER_CONNECT", LEGACY_SERVER_CONNECT),
    ("SSL_OP_NO_COMPRESSION", SslOptions::NO_COMPRESSION),
    ("SSL_OP_NO_SSLv2", SslOptions::NO_SSLV2),
    ("SSL_OP_NO_SSLv3", SslOptions::NO_SSLV3),
    ("SSL_OP_NO_TICKET", SslOptions::NO_TICKET),
    ("SSL_OP_NO_TLSv1", SslOptions::NO_TLSV1),
    ("SSL_OP_NO_TLSv1_1", SslOptions::NO_TLSV1_1),
    ("SSL_OP_NO_TLSv1_2", SslOptions::NO_TLSV1_2),
    ("SSL_OP_NO_TLSv1_3", SslOptions::NO_TLSV1_3),
    ("SSL_OP_SINGLE_DH_USE", SslOptions::SINGLE_DH_USE),
    ("SSL_OP_TLSEXT_PADDING", TLSEXT_PADDING),
];

/// A context, and in what it differs from sendmail's.
pub(crate) struct Made {
    pub(crate) context: SslContext,
    pub(crate) differs: Vec<String>,
}

/// Makes the context. Reads files, the authorities among them, so it takes some milliseconds.
///
/// # Errors
/// Where OpenSSL itself does not work.
pub(crate) fn make(tls: &ClientTls, ask: Ask) -> Result<Made, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    let mut differs = Vec::new();
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_options(defaults());
    builder.clear_options(TLSEXT_PADDING);
    if let Some(text) = &tls.options {
        differs.extend(apply(&mut builder, text));
    }
    let mut set = |what: &str, done: Result<(), ErrorStack>| {
        if let Err(error) = done {
            differs.push(format!("{what} cannot be used: {}", first(&error)));
        }
    };
    if let Some(list) = &tls.ciphers {
        set("CipherList", builder.set_cipher_list(list));
    }
    if let Some(list) = &tls.suites {
        set("CipherSuites", builder.set_ciphersuites(list));
    }
    if tls.ca_file.is_some() || tls.ca_path.is_some() {
        let done = builder.load_verify_locations(tls.ca_file.as_deref(), tls.ca_path.as_deref());
        set("CACertFile or CACertPath", done);
    }
    if let (Some(certificate), Some(key), true) =
        (&tls.certificate, &tls.key, ask != Ask::NoCertificate)
    {
        set("the client certificate", show(&mut builder, certificate, key));
    }
    differently(&mut builder, ask)?;
    Ok(Made { context: builder.build(), differs })
}

/// Changes what is asked.
fn differently(builder: &mut SslContextBuilder, ask: Ask) -> Result<(), ErrorStack> {
    match ask {
        Ask::AsSendmail | Ask::NoCertificate => {}
        Ask::Tls12 => builder.set_max_proto_version(Some(SslVersion::TLS1_2))?,
        Ask::Level1 | Ask::Level0 | Ask::AllCiphers => {
            if ask == Ask::AllCiphers {
                builder.set_cipher_list("ALL")?;
            }
            builder.set_security_level(u32::from(ask == Ask::Level1));
            // So that what then works is not the work of an older version.
            builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        }
        Ask::OldVersions => {
            builder.set_cipher_list("ALL")?;
            builder.set_security_level(0);
            builder.clear_options(SslOptions::NO_SSL_MASK);
            builder.set_options(LEGACY_SERVER_CONNECT | SslOptions::NO_SSLV3);
            builder.set_min_proto_version(Some(SslVersion::TLS1))?;
            builder.set_max_proto_version(None)?;
        }
    }
    Ok(())
}

/// Applies `ClientSSLOptions`; gives what of it is not known here.
fn apply(builder: &mut SslContextBuilder, text: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    let words = text.split(|c: char| c.is_ascii_whitespace() || c == ',');
    for word in words.filter(|word| !word.is_empty()) {
        let (clear, name) = match word.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, word.strip_prefix('+').unwrap_or(word)),
        };
        let known = OPTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        match known {
            Some((_, bits)) if clear => drop(builder.clear_options(*bits)),
            Some((_, bits)) => drop(builder.set_options(*bits)),
            None => unknown.push(format!("ClientSSLOptions: {name} is not known here")),
        }
    }
    unknown
}

fn show(builder: &mut SslContextBuilder, certificate: &Path, key: &Path) -> Result<(), ErrorStack> {
    // The key first: a certificate without it would be shown and then fail.
    builder.set_private_key_file(key, SslFiletype::PEM)?;
    builder.set_certificate_chain_file(certificate)?;
    builder.check_private_key()
}

/// The first of OpenSSL's reasons, in its words.
fn first(stack: &ErrorStack) -> String {
    let first = stack.errors().first().and_then(|error| error.reason());
    first.unwrap_or("no reason given").to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_options_of_the_cf() {
        let options = |text: &str| {
            let mut builder = SslContext::builder(SslMethod::tls_client()).expect("builder");
            builder.set_options(defaults());
            let unknown = apply(&mut builder, text);
            (builder.options(), unknown)
        };
        let (plain, _) = options("");
        assert!(plain.contains(SslOptions::NO_TICKET));
        let (set, unknown) = options("+SSL_OP_NO_TLSv1, ssl_op_no_tlsv1_3 -SSL_OP_NO_TICKET NONE");
        assert!(set.contains(SslOptions::NO_TLSV1 | SslOptions::NO_TLSV1_3));
        assert!(!set.contains(SslOptions::NO_TICKET));
        assert_eq!(unknown, ["ClientSSLOptions: NONE is not known here"]);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let tls = ClientTls {
            ciphers: Some("NONSENSE".to_owned()),
            ca_file: Some(PathBuf::from("/nowhere/ca.pem")),
            certificate: Some(PathBuf::from("/nowhere/c.pem")),
            key: Some(PathBuf::from("/nowhere/k.pem")),
            ..ClientTls::default()
        };
        let differs = make(&tls, Ask::AsSendmail).expect("made").differs;
        let starts = ["CipherList ", "CACertFile ", "the client certificate "];
        assert_eq!(differs.len(), starts.len(), "{differs:?}");
        for (said, start) in differs.iter().zip(starts) {
            assert!(said.starts_with(start), "{said}");
        }
        assert!(make(&ClientTls::default(), Ask::OldVersions).expect("made").differs.is_empty());
    }
}
