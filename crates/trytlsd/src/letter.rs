//! The letter to the other side's postmaster: what was seen, what it means, and what would mend it, in words that he can
//! use without knowing trytlsd. Foreign text in it is his own server's, and goes through `Safe`.

use std::fmt::Write;
use std::net::SocketAddr;

use jiff::Timestamp;
use prober::{Ask, Diagnosis, Settings, Stage, Target};

use crate::output::Safe;
use crate::probed::{meaning, remark, session, theirs};

/// The letter. The diagnosis is one of something broken.
pub(crate) fn letter(
    target: &Target,
    diagnosis: &Diagnosis,
    settings: &Settings,
    now: Timestamp,
) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        let _infallible = writeln!(out, "{text}");
    };
    let own = settings.own_name.as_ref().map_or("our mail server".to_owned(), ToString::to_string);
    line("Dear postmaster,");
    line("");
    line(&format!("STARTTLS does not work between {own} and your mail server"));
    line(&format!("{target}."));
    if let Some(verdict) = diagnosis.verdict {
        line(&format!("In short: {}.", meaning(verdict)));
    }
    line("");
    line(&format!("What we saw at {now:.0}:"));
    line("");
    if let Some(greeting) = &diagnosis.greeting {
        line(&format!("  Your server's greeting: {}", Safe(greeting)));
    }
    let offers = diagnosis.offered.join(", ");
    let offers = if offers.is_empty() { "nothing".to_owned() } else { Safe(&offers).to_string() };
    line(&format!("  EHLO offers: {offers}"));
    line(&format!("  It breaks at {}: {}", diagnosis.at.words(), Safe(&diagnosis.reason)));
    if let Some(certificate) = &diagnosis.certificate {
        let subject = Safe(&certificate.subject);
        let (key, signature) = (&certificate.key, Safe(&certificate.signature));
        line(&format!("  Your certificate: {subject}; {key}, {signature}"));
        line(&format!("  Its SHA-256 fingerprint: {}", certificate.fingerprint));
    }
    for note in &diagnosis.notes {
        line(&format!("  Besides: {}", remark(*note)));
    }
    if let Some(works) = &diagnosis.works_if {
        line(&format!("  It works {}: {}", works.ask.words(), session(&works.agreed)));
    }
    if let Some(theirs) = theirs(diagnosis) {
        line("");
        line("What would mend it on your side:");
        line("");
        line(&format!("  {theirs}"));
    }
    if diagnosis.at >= Stage::Handshake {
        line("");
        line("You can see it for yourself with OpenSSL, from another host:");
        line("");
        line(&format!("  {}", command(target, None)));
        if let Some(works) = diagnosis.works_if.as_ref().filter(|w| options(w.ask).is_some()) {
            line("");
            line("and what works:");
            line("");
            line(&format!("  {}", command(target, options(works.ask))));
        }
    }
    line("");
    line("No mail was sent in this test.");
    out
}

/// The command that asks as sendmail does, or with options.
fn command(target: &Target, options: Option<&str>) -> String {
    let at = SocketAddr::new(target.address, target.port);
    let options = options.map(|options| format!(" {options}")).unwrap_or_default();
    format!("openssl s_client -starttls smtp -noservername -connect {at}{options}")
}

/// The options of `openssl s_client` that ask differently.
fn options(ask: Ask) -> Option<&'static str> {
    match ask {
        Ask::AsSendmail | Ask::NoCertificate => None,
        Ask::Tls12 => Some("-no_tls1_3"),
        Ask::Level1 => Some("-cipher DEFAULT:@SECLEVEL=1"),
        Ask::Level0 => Some("-cipher DEFAULT:@SECLEVEL=0"),
        Ask::AllCiphers => Some("-cipher ALL:@SECLEVEL=0"),
        Ask::OldVersions => {
            Some("-cipher ALL:@SECLEVEL=0 -min_protocol TLSv1 -legacy_server_connect")
        }
    }
}
