//! What `probe` found, as JSON and as text.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use access::key::Key;
use prober::{Agreed, Certificate, Diagnosis, Note, Remedy, Settings, Target, Verdict};
use serde::Serialize;

use crate::output::{Safe, Style};
use crate::place::{Host, Place};

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Probed {
    /// The host or the address that was asked for.
    target: String,
    port: u16,
    /// Of the first address that is broken, else good if one is; none if none was reached.
    verdict: Option<Verdict>,
    /// Of all addresses.
    notes: BTreeSet<Note>,
    /// The name given in EHLO; none if it was the address of our end.
    own_name: Option<String>,
    /// Why no address is known.
    pub(crate) unreached: Option<String>,
    /// In what the probe may differ from this host's sendmail.
    pub(crate) differs: Vec<String>,
    addresses: Vec<Address>,
}

/// What was found at one address.
#[derive(Debug, Serialize)]
pub(crate) struct Address {
    address: IpAddr,
    #[serde(flatten)]
    diagnosis: Diagnosis,
    remedy: Remedy,
    #[serde(skip)]
    shown: String,
}

impl Address {
    pub(crate) fn new(target: Target, diagnosis: Diagnosis) -> Self {
        let remedy = diagnosis.remedy(&Key::Address(target.address));
        Self { address: target.address, shown: target.to_string(), diagnosis, remedy }
    }
}

impl Probed {
    /// The report on these addresses.
    pub(crate) fn new(place: &Place, settings: &Settings, addresses: Vec<Address>) -> Self {
        let diagnoses = || addresses.iter().map(|address| &address.diagnosis);
        let broken = diagnoses().find(|diagnosis| diagnosis.is_broken());
        let reached = broken.or_else(|| diagnoses().find(|d| d.verdict.is_some()));
        Self {
            target: match &place.host {
                Host::Name(name) => name.to_string(),
                Host::Address(address) => address.to_string(),
            },
            port: place.port,
            verdict: reached.and_then(|diagnosis| diagnosis.verdict),
            notes: diagnoses().flat_map(|diagnosis| diagnosis.notes.iter().copied()).collect(),
            own_name: settings.own_name.as_ref().map(ToString::to_string),
            unreached: None,
            differs: Vec::new(),
            addresses,
        }
    }

    pub(crate) fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    pub(crate) fn text(&self, style: Style) -> String {
        let mut out = String::new();
        for address in &self.addresses {
            address.write(&mut out, style);
        }
        for differs in &self.differs {
            row(&mut out, "not as sendmail", &Safe(differs).to_string());
        }
        out
    }
}

fn row(out: &mut String, what: &str, text: &str) {
    let _infallible = writeln!(out, "  {what:<15} {text}");
}

impl Address {
    fn write(&self, out: &mut String, style: Style) {
        let diagnosis = &self.diagnosis;
        let verdict = match diagnosis.verdict {
            Some(Verdict::Good) => style.green("good"),
            Some(verdict) => style.yellow(verdict.word()),
            None => style.yellow("not reached"),
        };
        let _infallible = writeln!(out, "{}: {verdict}", style.bold(&self.shown));
        let mut row = |what: &str, text: &str| row(out, what, text);
        if let Some(verdict) = diagnosis.verdict {
            row("that is", meaning(verdict));
        }
        if diagnosis.verdict != Some(Verdict::Good) {
            let reason = Safe(&diagnosis.reason);
            row("broke at", &format!("{}: {reason}", diagnosis.at.words()));
        }
        if let Some(greeting) = &diagnosis.greeting {
            row("greeting", &Safe(greeting).to_string());
        }
        if !diagnosis.offered.is_empty() {
            row("EHLO offers", &Safe(&diagnosis.offered.join(", ")).to_string());
        }
        if let Some(agreed) = &diagnosis.agreed {
            row("agreed upon", &session(agreed));
        }
        if let Some(certificate) = &diagnosis.certificate {
            show(certificate, &mut row);
        }
        for note in &diagnosis.notes {
            row("note", remark(*note));
        }
        if let Some(works) = &diagnosis.works_if {
            row("it works", &format!("{}: {}", works.ask.words(), session(&works.agreed)));
        }
        if let Some(theirs) = theirs(diagnosis) {
            row("for them to do", theirs);
        }
        for line in ours(&self.remedy) {
            row("here", &line);
        }
        for differs in &diagnosis.differs {
            row("not as sendmail", &Safe(differs).to_string());
        }
    }
}

/// The certificate, in two or three rows.
fn show(certificate: &Certificate, row: &mut impl FnMut(&str, &str)) {
    let Certificate { subject, issuer, key, signature, .. } = certificate;
    row("certificate", &Safe(&format!("{subject}; by {issuer}; {key}, {signature}")).to_string());
    if !certificate.names.is_empty() {
        row("for", &Safe(&certificate.names.join(" ")).to_string());
    }
    if let (Some(from), Some(until)) = (certificate.not_before, certificate.not_after) {
        row("valid", &format!("from {from:.0} until {until:.0}"));
    }
}

/// Version and cipher.
pub(crate) fn session(agreed: &Agreed) -> String {
    format!("{}, {}, {} bits", agreed.version, agreed.cipher, agreed.bits)
}

/// What the verdict means, for both sides.
pub(crate) fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "TLS is agreed upon, and SMTP goes on over it",
        Verdict::NoStarttls => "STARTTLS is not offered",
        Verdict::Refused => "STARTTLS is offered, but the answer to it is no",
        Verdict::ClosedOrReset => "the connection ends where TLS should begin or go on",
        Verdict::NotTls => "what comes in the place of TLS is not TLS, or broken",
        Verdict::Timeout => "nothing comes where an answer should",
        Verdict::NoVersion => "both sides have no version of TLS in common",
        Verdict::NoCipher => "both sides have no cipher in common",
        Verdict::WeakKey => "the server's key is too short to be taken",
        Verdict::Signature => "both sides have no signature algorithm in common",
        Verdict::ClientCert => "the server wants a client certificate, or another one",
    }
}

/// The note in words.
pub(crate) fn remark(note: Note) -> &'static str {
    match note {
        Note::Expired => "a certificate is out of date (this stops nobody)",
        Note::NotYetValid => "a certificate is not valid yet (this stops nobody)",
        Note::SelfSigned => "the certificate is self-signed (this stops nobody)",
        Note::OtherName => "the certificate is for other names (this stops nobody)",
        Note::WeakCertificate => {
            "a key or a digest in the certificates is weak (this stops nobody)"
        }
        Note::Injected => {
            "more came in clear with the answer to STARTTLS: a bug of theirs, or somebody on the way"
        }
    }
}

/// What the other side can do.
pub(crate) fn theirs(diagnosis: &Diagnosis) -> Option<&'static str> {
    Some(match diagnosis.verdict? {
        Verdict::Good | Verdict::NoStarttls => return None,
        Verdict::Refused => "switch TLS on, or no longer offer STARTTLS",
        Verdict::ClosedOrReset | Verdict::NotTls | Verdict::Timeout => {
            "look into the mail server's log, and at firewalls and filters before it, for what happens after STARTTLS; \
             or no longer offer it"
        }
        Verdict::NoVersion => {
            "switch on TLS 1.2 and 1.3, which may need an update of the mail server"
        }
        Verdict::NoCipher => "switch on today's ciphers, such as ECDHE with AES-GCM",
        Verdict::WeakKey => {
            "use Diffie-Hellman parameters and keys of at least 2048 bits, or ECDHE"
        }
        Verdict::Signature => {
            "sign with SHA-256 or better, which may need another key, certificate or an update"
        }
        Verdict::ClientCert => "ask for no client certificate on port 25, or take any",
    })
}

/// What can be done here, in lines; those that stand in the access map are whole.
fn ours(remedy: &Remedy) -> Vec<String> {
    match remedy {
        Remedy::None | Remedy::Unknown => Vec::new(),
        Remedy::ClearAlready => {
            vec!["nothing: sendmail goes on in clear by itself, and mail flows".to_owned()]
        }
        Remedy::Certificate => {
            vec!["a ClientCertFile and ClientKeyFile that they take, in sendmail.cf".to_owned()]
        }
        Remedy::TryTls(line) => vec![format!("no TLS with them: {line}")],
        Remedy::Weaker(line) => vec![
            format!("TLS stays on, but weaker, with {line}"),
            "(sendmail 8.16 and later, with FEATURE(`tls_session_features'))".to_owned(),
        ],
    }
}
