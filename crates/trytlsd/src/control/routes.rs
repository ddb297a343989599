//! What each path answers, and to whom.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use ledger::Inbox;
use maillog::relay::parse_address;
use percent_encoding::percent_decode_str;
use policy::state::State;
use serde::Serialize;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::client::Form;
use super::wire::{self, Asked, Refusal, Replied};
use super::{Vitals, client};
use crate::chronicle::{self, Shown};
use crate::clock;
use crate::events::{self, Search};
use crate::explain;
use crate::fleet::Fleet;
use crate::list;
use crate::request::Outcome;
use crate::status;
use crate::subject::{self, Subject};

/// How long the heart's answer to a request is awaited.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often it is looked for news while they are awaited.
const NEWS_EVERY: Duration = Duration::from_millis(300);

/// How long the body of a request may take.
const BODY: Duration = Duration::from_secs(5);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) uid: u32,
    /// Whether he may ask for something to be done.
    pub(super) may_ask: bool,
}

/// Where questions are answered.
pub(super) struct Desk {
    pub(super) config: watch::Receiver<Arc<Config>>,
    pub(super) vitals: Arc<Vitals>,
    /// Wakes the heart.
    pub(super) nudge: Arc<Notify>,
    pub(super) readers: Arc<Semaphore>,
}

/// An answer that is none.
struct No(StatusCode, Refusal);

impl No {
    fn new(
        status: StatusCode,
        error: impl Into<Cow<'static, str>>,
        hint: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(status, Refusal { error: error.into(), hint: hint.into() })
    }
}

impl From<anyhow::Error> for No {
    fn from(error: anyhow::Error) -> Self {
        let words = format!("{error:#}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, words, "see the daemon's log")
    }
}

impl From<serde_json::Error> for No {
    fn from(error: serde_json::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<ledger::Error> for No {
    fn from(error: ledger::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

/// A body, and what it is.
type Body = (&'static str, String);

impl Desk {
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<Full<Bytes>> {
        let answered = self.route(request, peer).await;
        let (status, (kind, body)) = match answered {
            Ok(body) => (StatusCode::OK, body),
            Err(No(status, refusal)) => (status, json(&refusal).unwrap_or((JSON, String::new()))),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn route(&self, request: Request<Incoming>, peer: Peer) -> Result<Body, No> {
        let config = Arc::clone(&self.config.borrow());
        if let Some(meant) = request.headers().get(wire::LEDGER)
            && meant.as_bytes() != client::identity(&config)
        {
            let error = "this daemon has another ledger than the one that is meant";
            return Err(No::new(StatusCode::CONFLICT, error, "name the config that it runs with"));
        }
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let parts: Vec<&str> = path.strip_prefix("/v1/").unwrap_or_default().split('/').collect();
        match (request.method(), parts.as_slice()) {
            (&Method::GET, ["status"]) => self.status(config).await,
            (&Method::GET, ["entries"]) => self.entries(config).await,
            (&Method::GET, [kind @ ("relays" | "clients"), whom]) => {
                self.explain(config, kind, whom, &query, peer).await
            }
            (&Method::GET, ["events"]) => self.events(config, &query).await,
            (&Method::GET, ["fleet"]) => {
                let look = move || Ok(Fleet::look(&config)?);
                Ok(json(&self.read(look).await?)?)
            }
            (&Method::GET, ["report"]) => self.report(config, &query).await,
            (&Method::POST, ["requests"]) if !peer.may_ask => Err(No::new(
                StatusCode::FORBIDDEN,
                "only root and the daemon's own user may ask for that",
                "run it with sudo",
            )),
            (&Method::POST, ["requests"]) => self.request(config, request, peer).await,
            (
                _,
                ["status" | "entries" | "events" | "report" | "fleet" | "requests"]
                | ["relays" | "clients", _],
            ) => Err(No::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path has another method",
                "GET, but POST for /v1/requests",
            )),
            _ => Err(No::new(
                StatusCode::NOT_FOUND,
                "there is no such path",
                "/v1/status, /v1/entries, /v1/relays/RELAY, /v1/clients/ADDRESS, /v1/events, /v1/report, /v1/fleet, /v1/requests",
            )),
        }
    }

    async fn status(&self, config: Arc<Config>) -> Result<Body, No> {
        let vitals = Arc::clone(&self.vitals);
        let status = self.read(move || status::look(&config, Some(&vitals))).await?;
        Ok(json(&status)?)
    }

    async fn entries(&self, config: Arc<Config>) -> Result<Body, No> {
        Ok(json(&self.read(move || list::look(&config)).await?)?)
    }

    async fn explain(
        &self,
        config: Arc<Config>,
        kind: &str,
        whom: &str,
        query: &str,
        peer: Peer,
    ) -> Result<Body, No> {
        let typed = percent_decode_str(whom).decode_utf8_lossy().into_owned();
        let mut form = Form::Json;
        let mut ask_network = false;
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*key, &*value) {
                ("as", name) => form = Form::of_name(name).ok_or_else(|| bad("as"))?,
                // Others must not have the daemon ask about what they like.
                ("dns", "1") => ask_network = peer.may_ask,
                ("dns", "0") => {}
                (key, _) => return Err(bad(key)),
            }
        }
        let client = parse_address(&typed).filter(|_| kind == "clients");
        if client.is_none() && (kind == "clients" || !explain::is_name(&typed)) {
            let error = "no log could name such a one";
            let hint = "/v1/relays/mx.example.org, /v1/clients/192.0.2.50";
            return Err(No::new(StatusCode::BAD_REQUEST, error, hint));
        }
        let subject = move |state: &State| match client {
            Some(address) => Ok(Subject::Client(address.to_canonical())),
            None => subject::relay(state, &typed).map(Subject::Relay),
        };
        let shown = self.read(move || explain::look(&config, subject, ask_network, form)).await?;
        let nobody = |_| No::new(StatusCode::BAD_REQUEST, "nobody is meant by that", "");
        Ok((if form == Form::Json { JSON } else { TEXT }, shown.map_err(nobody)?))
    }

    /// With `wait`, answers as soon as there is something.
    async fn events(&self, config: Arc<Config>, query: &str) -> Result<Body, No> {
        let search = Search::of_query(query).map_err(|key| bad(&key))?;
        let until = Instant::now() + Duration::from_secs(search.wait.min(wire::LONGEST_WAIT));
        loop {
            let (config, wanted) = (Arc::clone(&config), search.clone());
            let found = self.read(move || events::look(&config, &wanted)).await?;
            if !found.events.is_empty() || Instant::now() >= until {
                return Ok(json(&found)?);
            }
            sleep(NEWS_EVERY).await;
        }
    }

    async fn report(&self, config: Arc<Config>, query: &str) -> Result<Body, No> {
        let mut since = Timestamp::MIN;
        let (mut form, mut width, mut page) = (Form::Json, None, false);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*key, &*value) {
                ("since", second) => {
                    let second = second.parse().ok().and_then(|s| Timestamp::from_second(s).ok());
                    since = second.ok_or_else(|| bad("since"))?;
                }
                ("as", "page") => page = true,
                ("as", name) => form = Form::of_name(name).ok_or_else(|| bad("as"))?,
                ("width", columns) => width = Some(columns.parse().map_err(|_| bad("width"))?),
                (key, _) => return Err(bad(key)),
            }
        }
        let shown = if page { Shown::Page } else { Shown::Text(form, width) };
        let kind = match shown {
            Shown::Page => HTML,
            Shown::Text(Form::Json, _) => JSON,
            Shown::Text(..) => TEXT,
        };
        Ok((kind, self.read(move || chronicle::look(&config, since, shown)).await?))
    }

    /// Puts the request into the ledger, wakes the heart, and awaits its answer.
    async fn request(
        &self,
        config: Arc<Config>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Result<Body, No> {
        let body = Limited::new(request.into_body(), wire::MOST_BODY).collect();
        let body = match timeout(BODY, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => {
                return Err(No::new(StatusCode::BAD_REQUEST, error.to_string(), "at most 16 KiB"));
            }
            Err(_) => return Err(No::new(StatusCode::REQUEST_TIMEOUT, "the body is too slow", "")),
        };
        let Asked { wish, login } = serde_json::from_slice(&body).map_err(|error| {
            No::new(
                StatusCode::BAD_REQUEST,
                error.to_string(),
                "are command and daemon of one version?",
            )
        })?;
        let who = client::who(login.as_deref(), peer.uid);
        let path = config.ledger.path.0.0.clone();
        let put = move || {
            let mut inbox = Inbox::open(&path)?;
            let id = inbox.add(&who, &wish.to_text(), clock::now())?;
            anyhow::Ok((inbox, id))
        };
        let (mut inbox, id) = self.read(put).await?;
        self.nudge.notify_one();
        let deadline = Instant::now() + PATIENCE;
        let mut outcome = None;
        while outcome.is_none() && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
            let look = move || {
                let found = inbox.request(id)?;
                anyhow::Ok((inbox, found))
            };
            let (back, found) = self.read(look).await?;
            inbox = back;
            let settled = found.and_then(|request| request.settled);
            outcome = settled.map(|settled| Outcome::of_text(&settled.outcome));
        }
        Ok(json(&Replied { request: id, outcome })?)
    }

    /// Does what blocks on a thread of its own, so many at a time.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, No> {
        let _turn = self.readers.acquire().await.map_err(anyhow::Error::from)?;
        let done = tokio::task::spawn_blocking(work).await.map_err(anyhow::Error::from)?;
        Ok(done?)
    }
}

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

fn json(value: &impl Serialize) -> serde_json::Result<Body> {
    Ok((JSON, serde_json::to_string(value)? + "\n"))
}

fn bad(key: &str) -> No {
    let error = format!("the query's {key:?} is unknown, or its value is");
    No::new(StatusCode::BAD_REQUEST, error, "see the manual: The control socket")
}
