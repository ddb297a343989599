//! Every row of the diagnosis list, against a real OpenSSL peer that fails exactly so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use access::key::Key;
use prober::{
    Ask, Diagnosis, HostName, Note, Remedy, Settings, Stage, Target, Timeouts, Verdict, probe,
};
use sendmail::cf::ClientTls;
use tests::certificate::{Likeness, Validity, client};
use tests::peers::{Channel, Lone, Mode, Step, What};

/// Long enough for any machine where something must come.
const LONG: Duration = Duration::from_secs(60);

/// How long a silent peer is waited for.
const SHORT: Duration = Duration::from_secs(1);

fn settings() -> Settings {
    let own_name = HostName::parse("own.host.example");
    Settings { own_name, timeouts: Timeouts::each(LONG), ..Settings::default() }
}

fn target(peer: &Lone) -> Target {
    let host = HostName::parse("lone.mx.test");
    Target { host, address: peer.address().ip(), port: peer.address().port() }
}

fn run(peer: &Lone, settings: &Settings) -> Diagnosis {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(probe(&target(peer), settings))
}

fn diagnose(mode: Mode, settings: &Settings) -> Diagnosis {
    run(&Lone::start(mode).unwrap(), settings)
}

/// Nothing foreign may reach a terminal.
fn assert_printable(diagnosis: &Diagnosis) {
    let text = format!("{diagnosis:?}");
    assert!(text.bytes().all(|b| matches!(b, b' '..=b'~')), "{text}");
}

#[test]
fn every_verdict() {
    let reply = |reply: &str| Mode::Reply(reply.to_owned());
    use Stage::{Ehlo, EhloOverTls, End, Handshake, Starttls};
    let rows = [
        (Mode::Tls, Verdict::Good, End, None),
        (Mode::Noisy, Verdict::Good, End, None),
        (Mode::Plain, Verdict::NoStarttls, Ehlo, None),
        (reply("454 4.7.0 TLS not available"), Verdict::Refused, Starttls, None),
        (reply("502 5.5.1 no"), Verdict::Refused, Starttls, None),
        (reply("250 2.0.0 what"), Verdict::Refused, Starttls, None),
        (reply("ready when you are"), Verdict::Refused, Starttls, None),
        (Mode::Endless(Step::StartTls), Verdict::Refused, Starttls, None),
        (Mode::CloseAt(Step::StartTls), Verdict::ClosedOrReset, Starttls, None),
        (Mode::Close, Verdict::ClosedOrReset, Handshake, None),
        (Mode::Reset, Verdict::ClosedOrReset, Handshake, None),
        (Mode::Tls13Intolerant, Verdict::ClosedOrReset, Handshake, Some(Ask::Tls12)),
        (Mode::DropAfterHandshake, Verdict::ClosedOrReset, EhloOverTls, None),
        (Mode::Garbage, Verdict::NotTls, Handshake, None),
        (Mode::PlainError, Verdict::NotTls, Handshake, None),
        (Mode::Tls10, Verdict::NoVersion, Handshake, Some(Ask::OldVersions)),
        (Mode::NoCipher, Verdict::NoCipher, Handshake, None),
        (Mode::WeakDh, Verdict::WeakKey, Handshake, Some(Ask::Level1)),
        (Mode::Sha1, Verdict::Signature, Handshake, Some(Ask::Level0)),
        (Mode::WantsCertificate, Verdict::ClientCert, Handshake, None),
        (Mode::TrustsNobody, Verdict::ClientCert, Handshake, None),
    ];
    for (mode, verdict, at, ask) in rows {
        let diagnosis = diagnose(mode.clone(), &settings());
        let found = (diagnosis.verdict, diagnosis.at, diagnosis.works_if.as_ref().map(|w| w.ask));
        assert_eq!(found, (Some(verdict), at, ask), "{mode:?}: {diagnosis:#?}");
        assert_eq!(diagnosis.is_broken(), verdict != Verdict::Good);
        assert_eq!(diagnosis.agreed.is_some(), matches!(at, End | EhloOverTls), "{mode:?}");
        assert_printable(&diagnosis);
    }
}

/// After a no to STARTTLS sendmail goes on in clear; after an answer that is neither that nor a yes, mail is deferred. (The
/// same answers are given to sendmail in `tests/tests/probe_bed.rs`.)
#[test]
fn which_refusals_let_mail_flow_in_clear() {
    let rows = [
        ("454 4.7.0 TLS not available", true),
        ("502 5.5.1 what?", true),
        ("421 4.3.2 shutting down", false),
        ("250 2.0.0 what?", false),
        ("334 what?", false),
        ("ready when you are", false),
    ];
    for (reply, clear) in rows {
        let diagnosis = diagnose(Mode::Reply(reply.to_owned()), &settings());
        assert_eq!(diagnosis.verdict, Some(Verdict::Refused), "{reply}");
        assert_eq!(diagnosis.is_clear_already(), clear, "{reply}");
        let remedy = diagnosis.remedy(&Key::name("mx.example").unwrap());
        assert_eq!(matches!(remedy, Remedy::TryTls(_)), !clear, "{reply}: {remedy:?}");
    }
    assert!(!diagnose(Mode::Endless(Step::StartTls), &settings()).is_clear_already());
}

/// What is shown of an EHLO is bounded; STARTTLS counts wherever it stands.
#[test]
fn starttls_may_be_offered_late() {
    let diagnosis = diagnose(Mode::OffersLate, &settings());
    assert_eq!((diagnosis.verdict, diagnosis.at), (Some(Verdict::NotTls), Stage::Handshake));
    assert_eq!(diagnosis.offered.len(), 50);
}

#[test]
fn silence_at_each_step() {
    let replies = Timeouts { reply: SHORT, ..Timeouts::each(LONG) };
    let handshake = Timeouts { handshake: SHORT, ..Timeouts::each(LONG) };
    let rows = [
        (Mode::HangAt(Step::Banner), replies, None, Stage::Banner),
        (Mode::HangAt(Step::Ehlo), replies, None, Stage::Ehlo),
        (Mode::HangAt(Step::StartTls), replies, Some(Verdict::Timeout), Stage::Starttls),
        (Mode::Hang, handshake, Some(Verdict::Timeout), Stage::Handshake),
        (Mode::HangAt(Step::EhloOverTls), replies, Some(Verdict::Timeout), Stage::EhloOverTls),
    ];
    for (mode, timeouts, verdict, at) in rows {
        let diagnosis = diagnose(mode.clone(), &Settings { timeouts, ..settings() });
        assert_eq!((diagnosis.verdict, diagnosis.at), (verdict, at), "{mode:?}: {diagnosis:#?}");
        assert_eq!(diagnosis.reason, "nothing came in time");
    }
}

#[test]
fn what_was_not_reached_has_no_verdict() {
    let rows = [
        (Mode::Refused, Stage::Connect, "Connection refused"),
        (Mode::Greeting("421 4.3.2 busy".into()), Stage::Banner, "the answer was: 421 4.3.2 busy"),
        (Mode::Greeting("554 go away".into()), Stage::Banner, "the answer was: 554 go away"),
        (Mode::Greeting("SSH-2.0-x\x1b".into()), Stage::Banner, "no SMTP reply: SSH-2.0-x\\x1b"),
        (Mode::CloseAt(Step::Banner), Stage::Banner, "the other side closed the connection"),
        (Mode::CloseAt(Step::Ehlo), Stage::Ehlo, "the other side closed the connection"),
        (Mode::Endless(Step::Banner), Stage::Banner, "the answer had no end"),
        (Mode::Endless(Step::Ehlo), Stage::Ehlo, "the answer had no end"),
    ];
    for (mode, at, reason) in rows {
        let diagnosis = diagnose(mode.clone(), &settings());
        assert_eq!((diagnosis.verdict, diagnosis.at), (None, at), "{mode:?}: {diagnosis:#?}");
        assert!(diagnosis.reason.contains(reason), "{mode:?}: {diagnosis:#?}");
        assert_eq!(diagnosis.remedy(&Key::name("mx.example").unwrap()), Remedy::Unknown);
        assert!(!diagnosis.is_broken());
        assert_printable(&diagnosis);
    }
}

#[test]
fn notes_stop_nobody() {
    use Likeness::{Expired, Fine, NotYetValid, OtherName, SelfSigned};
    let rows: [(Mode, &[Note]); 8] = [
        (Mode::Shows(Fine), &[]),
        (Mode::Shows(Expired), &[Note::Expired]),
        (Mode::Shows(NotYetValid), &[Note::NotYetValid]),
        (Mode::Shows(SelfSigned), &[Note::SelfSigned]),
        (Mode::Shows(OtherName), &[Note::OtherName]),
        (Mode::Tls, &[Note::SelfSigned, Note::OtherName]),
        (Mode::WeakRsa, &[Note::SelfSigned, Note::OtherName, Note::WeakCertificate]),
        (Mode::Injects, &[Note::SelfSigned, Note::OtherName, Note::Injected]),
    ];
    for (mode, notes) in rows {
        let diagnosis = diagnose(mode.clone(), &settings());
        assert_eq!(diagnosis.verdict, Some(Verdict::Good), "{mode:?}: {diagnosis:#?}");
        assert_eq!(diagnosis.notes, notes, "{mode:?}: {diagnosis:#?}");
    }
    // OpenSSL's complaint about it is none about the conversation, here or in the next one of the same thread.
    let diagnosis = diagnose(Mode::Shows(Likeness::Unreadable), &settings());
    assert_eq!(diagnosis.verdict, Some(Verdict::Good), "{diagnosis:#?}");
    // Without a name there is none to compare with.
    let peer = Lone::start(Mode::Shows(OtherName)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let nameless = Target { host: None, ..target(&peer) };
    assert_eq!(runtime.block_on(probe(&nameless, &settings())).notes, []);
}

#[test]
fn the_certificate_in_short() {
    let certificate = diagnose(Mode::Shows(Likeness::Expired), &settings()).certificate.unwrap();
    assert_eq!(certificate.subject, "CN=lone.mx.test");
    assert_eq!(certificate.issuer, "CN=an authority");
    assert_eq!(certificate.names, ["lone.mx.test"]);
    assert_eq!(certificate.not_before.unwrap().to_string(), "2001-01-01T00:00:00Z");
    assert_eq!(certificate.not_after.unwrap().to_string(), "2002-01-01T00:00:00Z");
    assert_eq!(certificate.key, "EC 256");
    assert_eq!(certificate.signature, "ecdsa-with-SHA256");
    assert_eq!(certificate.fingerprint.len(), 64);
    // Also where it broke after the certificate had come.
    let weak = diagnose(Mode::WeakDh, &settings()).certificate.unwrap();
    assert_eq!(weak.key, "RSA 2048");
}

#[test]
fn it_says_who_it_is_and_sends_no_mail() {
    let said = |mode: Mode, settings: &Settings| {
        let peer = Lone::start(mode).unwrap();
        run(&peer, settings);
        // The last line may still be on its way to the peer's thread.
        tests::wait::until(LONG, "QUIT", || {
            let reports = peer.reports();
            let quit = |what: &What| matches!(what, What::Line(_, line) if line == "QUIT");
            reports.iter().any(quit).then_some(reports)
        })
        .unwrap()
    };
    let clear = |line: &str| What::Line(Channel::Clear, line.to_owned());
    let tls = |line: &str| What::Line(Channel::Tls, line.to_owned());
    let noop =
        concat!("NOOP trytlsd ", env!("CARGO_PKG_VERSION"), " only looks whether STARTTLS works");
    let expect = [
        What::Connected,
        clear("EHLO own.host.example"),
        clear("STARTTLS"),
        What::StartTls,
        What::Handshake("TLSv1.3"),
        tls("EHLO own.host.example"),
        tls(noop),
        tls("QUIT"),
    ];
    // No What::ServerName among them: as sendmail, it asks for no name.
    assert_eq!(said(Mode::Tls, &settings()), expect);
    let expect = [
        What::Connected,
        clear("EHLO [127.0.0.1]"),
        clear("STARTTLS"),
        What::StartTls,
        clear(noop),
        clear("QUIT"),
    ];
    let nameless = Settings { own_name: None, ..settings() };
    assert_eq!(said(Mode::Reply("454 no".to_owned()), &nameless), expect);
}

/// Settings with a client certificate of this validity, which lies in `folder`.
fn certified(folder: &Path, validity: Validity) -> Settings {
    let (key, certificate) = client("own.host.example", validity).unwrap();
    let put = |name: &str, pem: &[u8]| {
        let path = folder.join(name);
        std::fs::File::create(&path).unwrap().write_all(pem).unwrap();
        Some(path)
    };
    let tls = ClientTls {
        certificate: put("c.pem", &certificate),
        key: put("k.pem", &key),
        ..ClientTls::default()
    };
    Settings { tls, ..settings() }
}

#[test]
fn the_client_certificate_of_the_cf_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        (Validity::Current, Mode::WantsCertificate, Verdict::Good),
        (Validity::Expired, Mode::WantsCertificate, Verdict::ClientCert),
        (Validity::Current, Mode::TrustsNobody, Verdict::ClientCert),
    ];
    for (validity, mode, verdict) in rows {
        let diagnosis = diagnose(mode.clone(), &certified(folder.path(), validity));
        assert_eq!(diagnosis.verdict, Some(verdict), "{mode:?}: {diagnosis:#?}");
        assert_eq!(diagnosis.works_if, None, "they want one");
        assert!(diagnosis.differs.is_empty(), "{diagnosis:#?}");
    }
}

#[test]
fn the_ciphers_of_the_cf_are_asked_for() {
    let with = |ciphers: &str, options: &str| {
        let (ciphers, options) = (Some(ciphers.to_owned()), Some(options.to_owned()));
        Settings { tls: ClientTls { ciphers, options, ..ClientTls::default() }, ..settings() }
    };
    // A cf that is lenient: what is weak for others is good for this sendmail.
    let diagnosis = diagnose(Mode::WeakDh, &with("DEFAULT:@SECLEVEL=1", ""));
    assert_eq!(diagnosis.verdict, Some(Verdict::Good), "{diagnosis:#?}");
    let diagnosis = diagnose(Mode::Tls10, &with("ALL:@SECLEVEL=0", ""));
    assert_eq!(diagnosis.agreed.map(|agreed| agreed.version), Some("TLSv1"));
    // And one that is too strict.
    let none = with("DEFAULT", "+SSL_OP_NO_TLSv1_2 +SSL_OP_NO_TLSv1_3");
    let diagnosis = diagnose(Mode::Tls, &none);
    assert_eq!(diagnosis.verdict, Some(Verdict::NoVersion), "{diagnosis:#?}");
    let diagnosis = diagnose(Mode::Tls, &with("DEFAULT", "SSL_OP_NO_TLSv1_3"));
    assert_eq!(diagnosis.agreed.map(|agreed| agreed.version), Some("TLSv1.2"));
}
