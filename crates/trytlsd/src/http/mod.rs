//! A tiny web server with limits: one answer a connection, only GET and HEAD, no body is read.
//!
//! **Bounds.** 32 connections at a time (the next waits in the kernel's queue), 5 seconds for the request's head, 15 for
//! all of it, 16 KiB of head. What is slower or larger is cut off.
//!
//! **What an attacker could try.** A page elsewhere could have the postmaster's browser ask a name of its own that leads
//! to 127.0.0.1 (DNS rebinding), and read the answer: so a request must name the loopback interface as its host. Each
//! answer says that nothing in it may run or be fetched from elsewhere, that no other page may frame it, and that it is
//! not to be kept.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::debug;

/// Connections at a time.
const CONNECTIONS: usize = 32;

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);

/// How long a connection may last.
const WHOLE: Duration = Duration::from_secs(15);

/// The largest head, in bytes.
const HEAD_MAX: usize = 16 << 10;

/// How long nothing is accepted after that has failed: there are no file descriptors, say.
const PAUSE: Duration = Duration::from_millis(200);

/// Nothing runs, nothing comes from elsewhere; only the stylesheet of this very server.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Its type, as in `Content-Type`.
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

impl Answer {
    /// A text that says what is wrong.
    pub(crate) fn refusal(status: StatusCode, why: impl Into<String>) -> Self {
        let mut body = why.into();
        body.push('\n');
        Self { status, kind: "text/plain; charset=utf-8", body }
    }
}

/// Serves what `accept` gives until the thread ends. `answer` is given the path and the query of a request that keeps all
/// rules.
pub(crate) async fn serve<S, A>(
    accept: impl Fn() -> A,
    answer: impl Fn(&str, Option<&str>) -> Answer + 'static,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Future<Output = io::Result<S>>,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let answer = std::rc::Rc::new(answer);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match accept().await {
            Ok(stream) => stream,
            Err(error) => {
                debug!("a connection to the page was lost: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let answer = std::rc::Rc::clone(&answer);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let response = respond(&request, &*answer);
                async move { Ok::<_, Infallible>(response) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(HEAD_MAX)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            match timeout(WHOLE, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!("a request to the page has failed: {error}"),
                Err(_) => debug!("a request to the page took too long"),
            }
            drop(place);
        });
    }
}

fn respond(
    request: &Request<Incoming>,
    answer: &dyn Fn(&str, Option<&str>) -> Answer,
) -> Response<Full<Bytes>> {
    let began = Instant::now();
    let uri = request.uri();
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let allowed = [Method::GET, Method::HEAD].contains(request.method());
    let answer = if !host.is_some_and(is_loopback) {
        let why = "This page answers only when it is asked for as localhost, 127.0.0.1 or [::1].";
        Answer::refusal(StatusCode::FORBIDDEN, why)
    } else if !allowed {
        let why = "This page is read-only: GET and HEAD.";
        Answer::refusal(StatusCode::METHOD_NOT_ALLOWED, why)
    } else {
        answer(uri.path(), uri.query())
    };
    let not_allowed = answer.status == StatusCode::METHOD_NOT_ALLOWED;
    // Of a HEAD hyper sends the length alone.
    let took = format!("answer;dur={:.1}", began.elapsed().as_secs_f64() * 1000.0);
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    if not_allowed {
        set(header::ALLOW, "GET, HEAD");
    }
    set(header::CONTENT_TYPE, answer.kind);
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    // W3C Server Timing: a browser's developer tools show it.
    if let Ok(took) = HeaderValue::from_str(&took) {
        headers.insert("server-timing", took);
    }
    response
}

/// Whether the host that a request names is the loopback interface, with a port or without.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, "")) => name,
            Some((name, port)) if is_port(port) => name,
            _ => return false,
        },
        None => match host.find(':') {
            Some(colon) => {
                let (name, port) = host.split_at(colon);
                if !is_port(port) {
                    return false;
                }
                name
            }
            None => host,
        },
    };
    let address: Option<IpAddr> = name.parse().ok();
    name.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_interface_is_a_host() {
        let check = |host: &str, expect: bool| assert_eq!(is_loopback(host), expect, "{host}");
        check("localhost", true);
        check("LOCALHOST:9180", true);
        check("127.0.0.1:9180", true);
        check("[::1]:9180", true);
        check("[::1]", true);
        check("evil.example", false);
        check("evil.example:9180", false);
        check("127.0.0.1.evil.example", false);
        check("localhost:9180.evil.example", false);
        check("localhost:", false);
        check("[::1]evil", false);
        check("192.0.2.1", false);
        check("", false);
    }
}
