//! What the cf says of TLS with sendmail as the client.
//!
//! Without these options OpenSSL's own defaults hold, with those of its openssl.cnf. `O SSLEngine` is not read: an engine
//! is hardware of the host's, and changes where a key lies, not what is said on the wire.

use std::path::PathBuf;

use super::{absolute, is_option};

/// The options of sendmail's TLS as a client, each as written; none where the cf does not set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// `O CipherList`: OpenSSL's list of ciphers up to TLS 1.2, as `HIGH:!aNULL:@SECLEVEL=1`.
    pub ciphers: Option<String>,
    /// `O CipherSuites`: those of TLS 1.3.
    pub suites: Option<String>,
    /// `O ClientSSLOptions`: names as `SSL_OP_NO_TLSv1`, each with a sign before it or none.
    pub options: Option<String>,
    /// `O CACertFile`: the authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// `O CACertPath`: a folder of authorities, named by their hashes.
    pub ca_path: Option<PathBuf>,
    /// `O ClientCertFile`: the certificate that is shown to a server that asks for one.
    pub certificate: Option<PathBuf>,
    /// `O ClientKeyFile`: its key.
    pub key: Option<PathBuf>,
}

impl ClientTls {
    /// An option of these, or another one.
    pub(super) fn option(&mut self, name: &[u8], value: &[u8]) {
        // An option without a value unsets it; a value that holds a macro is known at run time only.
        let text = || plain(value);
        // Two names may stand there, for keys of two kinds; the first is the usual one.
        let path = || absolute(value.split(|&b| b == b',').next().unwrap_or_default());
        if is_option(name, "CipherList", "CipherL") {
            self.ciphers = text();
        } else if is_option(name, "CipherSuites", "CipherS") {
            self.suites = text();
        } else if is_option(name, "ClientSSLOptions", "ClientS") {
            self.options = text();
        } else if is_option(name, "CACertFile", "CACertF") {
            self.ca_file = path();
        } else if is_option(name, "CACertPath", "CACertP") {
            self.ca_path = path();
        } else if is_option(name, "ClientCertFile", "ClientC") {
            self.certificate = path();
        } else if is_option(name, "ClientKeyFile", "ClientK") {
            self.key = path();
        }
    }
}

/// A text that is not empty, holds no macro and nothing but printable ASCII and blanks.
fn plain(text: &[u8]) -> Option<String> {
    let fits = |b: &u8| (b.is_ascii_graphic() && *b != b'$') || matches!(b, b' ' | b'\t');
    (!text.is_empty() && text.iter().all(fits)).then(|| String::from_utf8_lossy(text).into_owned())
}
