//! The status page and the metrics: what the ledger says, to be read in a browser on this host.
//!
//! It has a thread of its own, and reads the ledger as the commands do, so that it never delays the heart; the heart does
//! not know that it is there. A ledger that cannot be read is an answer too. Nothing can be changed here.
//!
//! **What fails.** A port that is taken, or may not be had: said once, and the daemon goes on without a page.
//!
//! **What an attacker could try.** See [`crate::http`]. Names of relays and replies are foreign text; see [`crate::html`].
//! Whoever has a login on this host can read the page, and with it who is written to.

mod main;
mod metrics;
mod path;
mod relay;

use std::net::SocketAddr;
use std::thread;

use config::Config;
use hyper::StatusCode;
use jiff::Timestamp;
use ledger::View;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tracing::{info, warn};

use crate::clock;
use crate::html::STYLE;
use crate::http::{self, Answer};
use crate::output::Safe;
use crate::overview::Overview;

/// The page, if the config names an address.
pub(crate) struct Page;

impl Page {
    /// Starts the page's thread if the config names an address. The thread ends with the process.
    pub(crate) fn start(config: &Config) {
        let Some(listen) = &config.status.listen.0 else { return };
        let (address, config) = (listen.0, config.clone());
        let started = thread::Builder::new().name("page".to_owned()).spawn(move || {
            if let Err(error) = run(address, config) {
                let error = error.to_string();
                warn!("the page cannot be served at {address} ([status] listen): {}", Safe(&error));
            }
        });
        if let Err(error) = started {
            warn!("the page has no thread: {error}");
        }
    }
}

fn run(address: SocketAddr, config: Config) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(address).await?;
        info!("the page is at http://{}/", listener.local_addr()?);
        let accept = || async { listener.accept().await.map(|(stream, _)| stream) };
        http::serve(accept, move |path, query| answer(&config, path, query, clock::now())).await;
        Ok(())
    })
}

/// What is answered to a path.
fn answer(config: &Config, path: &str, _query: Option<&str>, now: Timestamp) -> Answer {
    let html = "text/html; charset=utf-8";
    let found = |kind, body| Answer { status: StatusCode::OK, kind, body };
    let overview = |show: &dyn Fn(&Overview) -> Answer| match Overview::take(config, now) {
        Ok(overview) => show(&overview),
        Err(error) => {
            let why = Safe(&error.to_string()).to_string();
            Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, why)
        }
    };
    let missing = || Answer::refusal(StatusCode::NOT_FOUND, "There is no such page.");
    match path {
        "/" => overview(&|overview| found(html, main::page(overview).into_string())),
        "/metrics" => overview(&|overview| found(metrics::KIND, metrics::text(overview))),
        "/overview.json" => overview(&|overview| match serde_json::to_string(overview) {
            Ok(json) => found("application/json", json),
            Err(error) => Answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }),
        // A browser asks for it unasked; an error would stand in its console.
        "/favicon.ico" => {
            Answer { status: StatusCode::NO_CONTENT, kind: html, body: String::new() }
        }
        "/style.css" => found("text/css; charset=utf-8", STYLE.to_owned()),
        _ => match path.strip_prefix("/relay/").and_then(path::decoded) {
            Some(relay) => overview(&|overview| {
                // Read beside the rest, so they may be of a moment later.
                let view = View::open(&config.ledger.path.0.0);
                let log = view.and_then(|view| view.lines(&relay)).unwrap_or_default();
                match relay::page(overview, &relay, &log) {
                    Some(page) => found(html, page.into_string()),
                    None => missing(),
                }
            }),
            None => missing(),
        },
    }
}
