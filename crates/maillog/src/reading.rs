//! How one line is read, field by field, and why it counts or not: for `trytlsd match`.
//!
//! The parsers are those of the finder, so the two agree. What depends on other lines (the cause of an attempt, its
//! outcome) is said in words. The text of a field is foreign and is handed on as it is: who prints it escapes it.

use std::borrow::Cow;

use crate::client::{self, CLIENT, Named};
use crate::cursor::text;
use crate::delivery::{self, Delivery, Outcome};
use crate::event::{Cause, CauseKind, Client, Fault};
use crate::flaw::Flaw;
use crate::lines::client_error;
use crate::prefix::{self, Prefix};
use crate::relay::{Form, Relay, ends_of_cut};
use crate::reply::of_groupwise;
use crate::ruleset::{self, TLS_SERVER, TRY_TLS};
use crate::server;
use crate::shape::Shape;

/// What a line says, by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// Which of sendmail's lines it is.
    pub shape: Shape,
    /// Its fields in their order, as far as it could be read.
    pub fields: Vec<Field<'a>>,
    /// What it is good for.
    pub verdict: Verdict,
    /// Why, in plain words.
    pub why: Cow<'static, str>,
}

/// A field of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name: as in the line, or what stands at its place (`time`, `host`, `program`, `pid`, `queue id`).
    pub name: &'static str,
    /// Its text, verbatim; foreign.
    pub text: Cow<'a, str>,
    /// What is to be known about it.
    pub note: Option<&'static str>,
}

/// What a line is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts towards an entry: one attempt.
    Counts,
    /// It tells something, but is no attempt that counts.
    Tells,
    /// It is passed over.
    Ignored,
}

/// Reads one line; its line end may be there or not.
pub fn read(line: &[u8]) -> Reading<'_> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (prefix, message) = match prefix::split(line) {
        Ok(split) => split,
        Err(flaw) => return Reading::ignored(Shape::Other, Vec::new(), flaw.to_string()),
    };
    let shape = Shape::of(message);
    let mut fields = prefix_fields(&prefix);
    let read = match shape {
        Shape::TlsServer => tls_server(message, &prefix, &mut fields),
        Shape::TryTls => try_tls(message, &mut fields),
        Shape::ClientError => client_error(message).map(|cause| error(cause, &prefix, &mut fields)),
        Shape::ClientNamed => named(message, &mut fields),
        Shape::ServerError => server::error(message).map(|(client, cause)| {
            fields.push(field("reason", cause.reason));
            client_fields(client, &mut fields);
            tells("a client's handshake with us broke: the receiving side, no mail of ours is stuck for it")
        }),
        Shape::ServerSuccess => server::success(message).map(|client| {
            client_fields(client, &mut fields);
            tells("a client's handshake with us succeeded")
        }),
        Shape::From => server::delivered(message).map(|client| {
            client_fields(client, &mut fields);
            tells("a client handed a message over: it is a mail server, and its mail gets through")
        }),
        Shape::Delivery => delivery(message, &prefix, &mut fields),
        Shape::Other => Ok((Verdict::Ignored, other(message))),
    };
    match read {
        Ok((verdict, why)) => Reading { shape, fields, verdict, why },
        Err(flaw) => Reading::ignored(shape, fields, flaw.to_string()),
    }
}

type Judgement = (Verdict, Cow<'static, str>);

impl<'a> Reading<'a> {
    fn ignored(shape: Shape, fields: Vec<Field<'a>>, why: String) -> Self {
        Self { shape, fields, verdict: Verdict::Ignored, why: why.into() }
    }
}

fn tells(why: &'static str) -> Judgement {
    (Verdict::Tells, why.into())
}

fn field<'a>(name: &'static str, text: impl Into<Cow<'a, str>>) -> Field<'a> {
    Field { name, text: text.into(), note: None }
}

fn prefix_fields<'a>(prefix: &Prefix<'a>) -> Vec<Field<'a>> {
    vec![
        field("time", prefix.stamp.to_string()),
        field("host", text(prefix.host)),
        field("program", text(prefix.program)),
        field("pid", prefix.pid.to_string()),
    ]
}

fn relay_field<'a>(relay: &Relay<'a>) -> Field<'a> {
    let note = match relay.form() {
        Form::Odd => Some("neither a plain host name nor an address: never a key"),
        Form::Bracketed(_) => Some("in brackets: a smart host whose MX is not looked up"),
        Form::Name(_) | Form::Address(_) => None,
    };
    Field { name: "relay", text: relay.as_str().to_owned().into(), note }
}

fn tls_server<'a>(
    message: &'a [u8],
    prefix: &Prefix<'_>,
    fields: &mut Vec<Field<'a>>,
) -> Result<Judgement, Flaw> {
    let line = ruleset::tls_server(message)?;
    fields.push(field("arg1", line.arg1));
    fields.push(relay_field(&line.relay));
    fields.push(field("reject", format!("{} {}", line.code, text(line.words))));
    let class_4 = line.code < 500;
    Ok(match line.fault() {
        Some(Fault::Software) if class_4 => (
            Verdict::Counts,
            format!(
                "STARTTLS with the relay broke: one attempt, and all of the line is written by sendmail itself. Mail is \
                 stuck for it if the next delivery line of process {} on this host is Deferred, for whatever relay or \
                 reason",
                prefix.pid
            )
            .into(),
        ),
        Some(Fault::Software) => {
            tells("a reply of class 5 comes from a requirement of the admin's (PERM+): counted apart")
        }
        Some(Fault::Protocol) => {
            tells("arg1=PROTOCOL: the answer to STARTTLS was no reply to it. A broken peer, counted apart")
        }
        Some(Fault::Config) => tells("arg1=CONFIG: our own host could not start TLS, not a broken peer"),
        None => (
            Verdict::Ignored,
            format!("arg1={}: a TLS_Srv requirement that was not met, not a broken peer", line.arg1).into(),
        ),
    })
}

fn try_tls<'a>(message: &'a [u8], fields: &mut Vec<Field<'a>>) -> Result<Judgement, Flaw> {
    let line = ruleset::try_tls(message)?;
    fields.push(field("arg1", text(line.arg1)));
    fields.push(relay_field(&line.relay));
    fields.push(field("reject", format!("{} {}", line.code, text(line.words))));
    let Some(used) = line.used() else {
        return Ok((Verdict::Ignored, "the map could not be read; no entry was found".into()));
    };
    if let Some(address) = used.address {
        fields.push(field("address", address.to_string()));
    }
    Ok(tells(
        "looks like a rejection and is none: an entry of the access map turned TLS off for this relay",
    ))
}

fn error<'a>(cause: Cause<'a>, prefix: &Prefix<'_>, fields: &mut Vec<Field<'a>>) -> Judgement {
    let kind = match cause.kind {
        CauseKind::Handshake => "TLS itself",
        CauseKind::Network => "the network (a reset, a close or a timeout), which is weak evidence",
    };
    fields.push(field("reason", cause.reason));
    let why = format!(
        "tells why the next ruleset=tls_server line of process {} on this host failed: {kind}. It names no relay, so it is \
         no attempt by itself",
        prefix.pid
    );
    (Verdict::Tells, why.into())
}

fn named<'a>(message: &'a [u8], fields: &mut Vec<Field<'a>>) -> Result<Judgement, Flaw> {
    /// sendmail cuts the relay of these lines after so many bytes.
    const CUT_AFTER: usize = 100;
    let push_relay = |relay: &Relay<'a>, fields: &mut Vec<Field<'a>>| {
        let mut field = relay_field(relay);
        if relay.as_str().len() >= CUT_AFTER {
            field.note = Some("cut after 100 bytes: may not be the whole name");
        }
        fields.push(field);
    };
    Ok(match client::named(message)? {
        Named::Success(success) => {
            push_relay(&success.relay, fields);
            fields.push(field("version", success.version));
            fields.push(field("verify", success.verify));
            tells("a handshake with the relay succeeded: it clears the relay's count")
        }
        Named::DaneWarning(relay) => {
            push_relay(&relay, fields);
            tells(
                "sendmail says that the relay has DANE records: to turn TLS off for it would be wrong",
            )
        }
    })
}

fn client_fields<'a>(client: Client<'a>, fields: &mut Vec<Field<'a>>) {
    if let Some(name) = client.name {
        let note = client.may_be_forged.then_some("may be forged: its PTR record is not confirmed");
        fields.push(Field { name: "relay", text: name, note });
    }
    fields.push(field("address", client.address.to_string()));
}

fn delivery<'a>(
    message: &'a [u8],
    prefix: &Prefix<'_>,
    fields: &mut Vec<Field<'a>>,
) -> Result<Judgement, Flaw> {
    let line = delivery::read(message)?;
    fields.push(field("queue id", text(line.queue_id)));
    let recipients = line.recipients();
    for recipient in recipients.list {
        fields.push(Field { name: "to", text: recipient, note: Some("foreign text") });
    }
    if recipients.more {
        fields.push(field("to", "and more"));
    }
    let note = ends_of_cut(line.relay).map(|_| "cut to 18 + ... + 18 bytes: never a key");
    fields.push(Field { name: "relay", text: text(line.relay), note });
    if let Some(address) = line.address {
        fields.push(field("address", address.to_string()));
    }
    fields.push(field("dsn", text(line.dsn)));
    let (name, note) = if line.has_reply {
        ("reply", "the server's words: only the class of dsn= counts")
    } else {
        ("stat", "only the first word counts, what follows may be the server's")
    };
    fields.push(Field { name, text: text(line.tail), note: Some(note) });
    if of_groupwise(&line).is_some() {
        let why = "the relay itself says that its STARTTLS is broken (GroupWise's words): it counts, as a reply and no \
                   attempt, against the relay of this line";
        return Ok((Verdict::Counts, why.into()));
    }
    Ok((Verdict::Tells, why_of_delivery(&line, prefix).into()))
}

fn why_of_delivery(line: &Delivery<'_>, prefix: &Prefix<'_>) -> String {
    let pid = prefix.pid;
    match line.outcome {
        Outcome::Deferred if line.is_waiting() => format!(
            "a message waits for a relay that was not connected to. By itself it proves nothing; if process {pid} has had \
             a broken STARTTLS since its last delivery line, that attempt is stuck"
        ),
        Outcome::Deferred => format!(
            "a Deferred line alone proves nothing: the remote side can write any text into it. If process {pid} has had a \
             broken STARTTLS since its last delivery line, that attempt is stuck"
        ),
        Outcome::Sent => format!(
            "the message was sent: a broken STARTTLS that process {pid} has had since its last delivery line did not hold \
             it up"
        ),
        Outcome::Other => format!(
            "the message was neither deferred nor sent: a broken STARTTLS that process {pid} has had since its last \
             delivery line is not stuck"
        ),
    }
}

/// Why a line of no known shape is passed over; an imitation is called one.
fn other(message: &[u8]) -> Cow<'static, str> {
    let imitated = [TLS_SERVER, TRY_TLS, CLIENT, "ruleset=tls_server"]
        .iter()
        .find(|literal| memchr::memmem::find(message, literal.as_bytes()).is_some());
    match imitated {
        Some(literal) => format!(
            "`{}` stands inside the message, where the remote side can put it: sendmail writes it only directly after \
             `program[pid]: `",
            literal.trim_end_matches([' ', ','])
        )
        .into(),
        None => Flaw::OtherMessage.to_string().into(),
    }
}
