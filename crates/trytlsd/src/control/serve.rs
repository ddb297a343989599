//! The door's keeper: takes connections within bounds, and has each answered.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::door::Door;
use super::routes::{Desk, Peer};
use super::{Vitals, wire};

/// Connections at a time: of those who may ask for something to be done, and of others.
const CONNECTIONS: [usize; 2] = [32, 32];

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);

/// How long a connection may take in all; an answer over DNS or an awaited one fits in.
const IN_ALL: Duration = Duration::from_secs(120);

/// The longest head of a request, in bytes.
const MOST_HEAD: usize = 16 << 10;

/// How long to wait where no connection can be taken: this process has too many files open.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers of the ledger that are read at a time.
const READERS: usize = 4;

/// What the thread works with.
pub(super) struct Server {
    pub(super) config: watch::Receiver<Arc<Config>>,
    pub(super) vitals: Arc<Vitals>,
    /// Wakes the heart.
    pub(super) nudge: Arc<Notify>,
    pub(super) end: Arc<Notify>,
}

impl Server {
    /// Answers until the end.
    ///
    /// # Errors
    /// If the socket cannot be opened.
    pub(super) async fn serve(self, path: &Path) -> io::Result<()> {
        let Self { config, vitals, nudge, end } = self;
        let group = config.borrow().control.group.to_string();
        let door = Door::open(path, &group).await?;
        info!(socket = %path.display(), "commands are answered");
        let own = rustix::process::geteuid().as_raw();
        let readers = Arc::new(Semaphore::new(READERS));
        let desk = Arc::new(Desk { config, vitals, nudge, readers });
        let turns = CONNECTIONS.map(|count| Arc::new(Semaphore::new(count)));
        loop {
            let stream = tokio::select! {
                taken = door.listener.accept() => match taken {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        debug!("cannot take a connection: {error}");
                        sleep(PAUSE).await;
                        continue;
                    }
                },
                () = end.notified() => return Ok(()),
            };
            let Ok(credentials) = stream.peer_cred() else { continue };
            let uid = credentials.uid();
            let peer = Peer { uid, may_ask: uid == 0 || uid == own };
            let [masters, others] = &turns;
            let turn = Arc::clone(if peer.may_ask { masters } else { others });
            match turn.try_acquire_owned() {
                Ok(turn) => drop(tokio::spawn(answer(stream, peer, Arc::clone(&desk), turn))),
                Err(_) => turn_away(&stream),
            }
        }
    }
}

/// One connection, with one request.
async fn answer(stream: UnixStream, peer: Peer, desk: Arc<Desk>, _turn: OwnedSemaphorePermit) {
    let service = service_fn(|request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move { Ok::<Response<Full<Bytes>>, Infallible>(desk.answer(request, peer).await) }
    });
    let mut server = http1::Builder::new();
    server
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MOST_HEAD);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    match timeout(IN_ALL, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(uid = peer.uid, "a connection ended: {error}"),
        Err(_) => debug!(uid = peer.uid, "a connection took too long"),
    }
}

/// Too many are there. Whoever does not read this is not waited for.
fn turn_away(stream: &UnixStream) {
    let refusal = wire::Refusal {
        error: "too many connections".into(),
        hint: "try again in some seconds".into(),
    };
    let body = serde_json::to_string(&refusal).unwrap_or_default();
    let head = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    drop(stream.try_write(text.as_bytes()));
}
