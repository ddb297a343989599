//! The command's side of the socket.
//!
//! Whether a daemon answers is found out by asking it. That none does is no error: each command then says so, and does
//! what it can with the ledger.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use config::Config;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::wire::{Asked, LEDGER, Refusal, Replied};
use crate::chronicle::Shown;
use crate::output::{Style, complain};
use crate::request::Wish;
use crate::{FAILED, MISUSED};

/// How long an answer may take: an explanation asks DNS, a request waits for the heart.
const PATIENCE: Duration = Duration::from_secs(120);

/// The longest answer, in bytes.
const MOST_ANSWER: usize = 64 << 20;

/// What came of a question.
pub(crate) enum Reached {
    /// The daemon's answer.
    Answer(Bytes),
    /// The daemon says no.
    Refused(Refused),
    /// No daemon answers; why.
    Nobody(Cow<'static, str>),
}

/// The daemon's no.
pub(crate) struct Refused {
    status: StatusCode,
    refusal: Refusal,
}

/// How an answer is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Text,
    Coloured,
}

impl Form {
    const ALL: [(Self, &str); 3] =
        [(Self::Json, "json"), (Self::Text, "text"), (Self::Coloured, "coloured")];

    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(form, _)| form)
    }

    /// For people, as standard output takes it.
    pub(crate) fn of_stdout() -> Self {
        if Style::of_stdout().is_coloured() { Self::Coloured } else { Self::Text }
    }

    /// Shown so.
    pub(crate) fn of(
        self,
        json: impl FnOnce() -> serde_json::Result<String>,
        text: impl FnOnce(Style) -> String,
    ) -> serde_json::Result<String> {
        match self {
            Self::Json => json(),
            Self::Text => Ok(text(Style::plain())),
            Self::Coloured => Ok(text(Style::coloured())),
        }
    }

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(form, _)| *form == self).map_or("json", |(_, name)| name)
    }
}

impl Refused {
    /// Says it; the exit status.
    pub(crate) fn tell(&self) -> anyhow::Result<u8> {
        complain(self.words());
        Ok(if self.status == StatusCode::BAD_REQUEST { MISUSED } else { FAILED })
    }

    fn words(&self) -> String {
        let Refusal { error, hint } = &self.refusal;
        if hint.is_empty() { error.to_string() } else { format!("{error}; {hint}") }
    }
}

/// The question for all that is known of a relay.
pub(crate) fn about_relay(typed: &str, form: Form, ask_network: bool) -> String {
    let relay = utf8_percent_encode(typed, NON_ALPHANUMERIC);
    format!("/v1/relays/{relay}?as={}&dns={}", form.name(), u8::from(ask_network))
}

/// The question for all that is known of a client.
pub(crate) fn about_client(address: IpAddr, form: Form) -> String {
    format!("/v1/clients/{address}?as={}", form.name())
}

/// The question for what happened since then.
pub(crate) fn about_report(since: Timestamp, shown: Shown) -> String {
    let since = since.as_second();
    match shown {
        Shown::Page => format!("/v1/report?since={since}&as=page"),
        Shown::Text(form, width) => {
            let width = width.map_or(String::new(), |width| format!("&width={width}"));
            format!("/v1/report?since={since}&as={}{width}", form.name())
        }
    }
}

/// Asks for what is known.
///
/// # Errors
/// If the daemon answers in no way that is understood, or not in time.
pub(crate) fn get(config: &Config, question: &str) -> anyhow::Result<Reached> {
    ask(config, Method::GET, question, Bytes::new())
}

/// The same, for an answer in JSON that is to be read here.
///
/// # Errors
/// As [`get`].
pub(crate) fn get_json<T: DeserializeOwned>(
    config: &Config,
    question: &str,
) -> anyhow::Result<Result<T, Reached>> {
    match get(config, question)? {
        Reached::Answer(body) => understood(&body).map(Ok),
        other => Ok(Err(other)),
    }
}

/// What is known, in JSON that is read here: what the daemon says; where none answers, that is said, and `look` tells what the
/// ledger says. The exit status where the daemon refuses.
///
/// # Errors
/// As [`get`], and those of `look`.
pub(crate) fn known<T: DeserializeOwned>(
    config: &Config,
    question: &str,
    look: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<Result<T, u8>> {
    match get(config, question)? {
        Reached::Answer(body) => understood(&body).map(Ok),
        Reached::Refused(refused) => refused.tell().map(Err),
        Reached::Nobody(why) => {
            complain(format!("{why}; this is what the ledger says"));
            look().map(Ok)
        }
    }
}

/// Asks for something to be done. The outer result is none where no daemon can be asked.
///
/// # Errors
/// As [`get`], and if the daemon refuses to take the request at all.
pub(crate) fn put(config: &Config, wish: &Wish) -> anyhow::Result<Option<Replied>> {
    let asked = Asked { wish: wish.clone(), login: login() };
    let body = Bytes::from(serde_json::to_vec(&asked)?);
    match ask(config, Method::POST, "/v1/requests", body)? {
        Reached::Answer(body) => understood(&body).map(Some),
        Reached::Refused(refused) => Err(anyhow!(refused.words())),
        Reached::Nobody(_) => Ok(None),
    }
}

fn understood<T: DeserializeOwned>(body: &[u8]) -> anyhow::Result<T> {
    let read = serde_json::from_slice(body);
    read.context("the daemon's answer is not understood; is it of another version?")
}

fn ask(config: &Config, method: Method, question: &str, body: Bytes) -> anyhow::Result<Reached> {
    let Some(path) = config.control.socket.0.as_ref().map(|path| path.0.as_path()) else {
        return Ok(Reached::Nobody("the config names no control socket".into()));
    };
    let has_body = !body.is_empty();
    let asks_only = method == Method::GET;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = question.parse().context("a question for the daemon")?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(LEDGER, HeaderValue::from_bytes(&identity(config))?);
    if has_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shown = path.display();
    runtime.block_on(async {
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Reached::Nobody(nobody(path, &error))),
        };
        match tokio::time::timeout(PATIENCE, exchange(stream, request)).await {
            // It has ended: what is known the ledger says. What was asked for may stand there.
            Ok(Err(error)) if asks_only && is_cut_off(&error) => {
                Ok(Reached::Nobody("the daemon ended before it answered".into()))
            }
            Ok(answered) => answered.map_err(|error| anyhow!("the daemon at {shown}: {error:#}")),
            Err(_) => Err(anyhow!("the daemon at {shown} does not answer")),
        }
    })
}

/// Why nobody can be asked.
fn nobody(path: &Path, error: &io::Error) -> Cow<'static, str> {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => "no daemon runs".into(),
        ErrorKind::PermissionDenied => {
            let shown = path.display();
            format!(
                "no right to the daemon's control socket {shown} (root has it; see [control] group)"
            )
            .into()
        }
        _ => format!("no daemon answers at {}: {error}", path.display()).into(),
    }
}

/// Whether the other side went away in the middle.
fn is_cut_off(error: &anyhow::Error) -> bool {
    let by_http = |cause: &hyper::Error| {
        cause.is_incomplete_message() || cause.is_canceled() || cause.is_closed()
    };
    let by_kernel = |cause: &io::Error| {
        matches!(cause.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
    };
    error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(by_http) || cause.downcast_ref().is_some_and(by_kernel)
    })
}

async fn exchange(stream: UnixStream, request: Request<Full<Bytes>>) -> anyhow::Result<Reached> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async { read(sender.send_request(request).await?).await };
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        done = &mut exchange => return done,
        // If it failed, the exchange knows why; if it ended, the answer may still be on its way to it.
        _ = connection => {}
    }
    exchange.await
}

async fn read(response: Response<Incoming>) -> anyhow::Result<Reached> {
    let status = response.status();
    let body = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow!(error))?.to_bytes();
    if status == StatusCode::OK {
        return Ok(Reached::Answer(body));
    }
    let refusal = serde_json::from_slice(&body).unwrap_or(Refusal {
        error: format!("it answered with HTTP status {}", status.as_u16()).into(),
        hint: "".into(),
    });
    if status == StatusCode::CONFLICT {
        let error = "the daemon that answers has another ledger than this config's";
        return Ok(Reached::Nobody(error.into()));
    }
    Ok(Reached::Refused(Refused { status, refusal }))
}

/// By what a ledger is told from others: its true path.
pub(super) fn identity(config: &Config) -> Vec<u8> {
    let path = &config.ledger.path.0.0;
    let path = path.canonicalize().unwrap_or_else(|_| path.clone());
    path.as_os_str().as_bytes().to_vec()
}

/// The login name as the environment has it.
pub(crate) fn login() -> Option<String> {
    ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok())
}

/// Who asks, for the record: the login name as he says, and the user that the kernel knows.
pub(crate) fn who(login: Option<&str>, uid: u32) -> String {
    match login {
        Some(name) => format!("{} (uid {uid})", name.chars().take(100).collect::<String>()),
        None => format!("uid {uid}"),
    }
}
