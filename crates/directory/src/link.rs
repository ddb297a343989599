//! The way to the directory: connected when it is needed, again after it was lost, to the next server if one fails.
//!
//! A connection that lay idle may be dead without a sign of it. What fails on such a one is tried once more over a fresh
//! one; that is sound since every operation here may be made twice. Where another server than the first is used, the first
//! is tried again every ten minutes.
//!
//! Nothing is waited for here but answers: whoever calls is told how long to leave it (`Error::again`).

use std::time::Duration;

use openssl::rand::rand_bytes;
use tokio::time::Instant;

use crate::connect::{Connection, connect};
use crate::error::{Error, Kind, Trouble};
use crate::session::Session;
use crate::settings::Settings;

/// How long another server than the first is used before the first is tried again.
const FIRST_AGAIN: Duration = Duration::from_secs(600);

/// The pause after a first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The way to the directory.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) settings: Settings,
    live: Option<Live>,
    /// Failures in a row.
    failures: u32,
    /// Connections so far.
    connections: u64,
}

#[derive(Debug)]
struct Live {
    connection: Connection,
    /// Which of the servers it is.
    at: usize,
    /// When it was made, or the first server was last tried in its place.
    since: Instant,
}

impl Link {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, live: None, failures: 0, connections: 0 }
    }

    /// Does it, with what of time the settings allow a call.
    pub(crate) async fn run<T>(
        &mut self,
        operation: impl AsyncFnMut(&mut Session<'_>, &Settings) -> Result<T, Trouble>,
    ) -> Result<T, Error> {
        let longest = self.settings.longest();
        let outcome = match tokio::time::timeout(longest, self.attempt(operation)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Trouble::new(Kind::Timeout, "cannot finish", "it takes too long")),
        };
        match outcome {
            Ok(answer) => {
                self.failures = 0;
                Ok(answer)
            }
            Err(trouble) => {
                let server = self.server();
                if trouble.kind.ends_connection() {
                    self.live = None;
                }
                self.failures = self.failures.saturating_add(1);
                let again = trouble.kind.passes().then(|| pause(self.failures, chance()));
                Err(Error::new(&trouble, &server, again))
            }
        }
    }

    async fn attempt<T>(
        &mut self,
        mut operation: impl AsyncFnMut(&mut Session<'_>, &Settings) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let reused = self.live.is_some();
        self.connect().await?;
        match self.once(&mut operation).await {
            Err(trouble) if reused && trouble.kind == Kind::Unreachable => {
                self.live = None;
                self.connect().await?;
                self.once(&mut operation).await
            }
            outcome => outcome,
        }
    }

    async fn once<T>(
        &mut self,
        operation: &mut impl AsyncFnMut(&mut Session<'_>, &Settings) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let Self { settings, live, connections: number, .. } = self;
        let Some(live) = live else {
            return Err(Trouble::new(Kind::Unreachable, "cannot connect", "no connection"));
        };
        let (connection, timeout) = (&mut live.connection, settings.timeout);
        operation(&mut Session { connection, number: *number, timeout }, settings).await
    }

    /// Sees to it that there is a connection, to the first server that can be had.
    async fn connect(&mut self) -> Result<(), Trouble> {
        let wanted = match &mut self.live {
            None => self.settings.servers.len(),
            Some(live) if live.at == 0 || live.since.elapsed() < FIRST_AGAIN => return Ok(()),
            Some(live) => {
                live.since = Instant::now();
                live.at
            }
        };
        let mut first: Option<Trouble> = None;
        for at in 0..wanted {
            match self.connect_to(at).await {
                Ok(connection) => {
                    self.connections += 1;
                    self.live = Some(Live { connection, at, since: Instant::now() });
                    return Ok(());
                }
                Err(trouble) => first = Some(first.unwrap_or(trouble)),
            }
        }
        match first.filter(|_| self.live.is_none()) {
            Some(trouble) => Err(trouble),
            None => Ok(()),
        }
    }

    async fn connect_to(&self, at: usize) -> Result<Connection, Trouble> {
        let Some(server) = self.settings.servers.get(at) else {
            return Err(Trouble::new(Kind::Mistake, "cannot connect", "no server is named"));
        };
        let connecting = connect(server, &self.settings);
        match tokio::time::timeout(self.settings.timeout, connecting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Trouble::new(Kind::Timeout, "cannot connect", "no answer in time")),
        }
    }

    /// Who an error is about: the server that is used, or all of them.
    fn server(&self) -> String {
        let name = |at: usize| self.settings.servers.get(at).map(ToString::to_string);
        match &self.live {
            Some(live) => name(live.at).unwrap_or_default(),
            None => {
                let all = self.settings.servers.iter().map(ToString::to_string);
                all.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// How long to leave it after so many failures in a row: twice as long each time, between a half and the whole of it.
fn pause(failures: u32, chance: u8) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let half = whole.min(LONGEST_PAUSE) / 2;
    half + half * u32::from(chance) / 255
}

fn chance() -> u8 {
    let mut byte = [0];
    // Without chance all MTAs wait alike, which is no reason to fail.
    drop(rand_bytes(&mut byte));
    let [byte] = byte;
    byte
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::thread;

    use super::*;
    use crate::server::Server;
    use crate::settings::Bind;

    /// Takes one connection, and binds whoever it is.
    fn serve(socket: PathBuf) {
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00").unwrap();
            while stream.read(&mut request).is_ok_and(|read| read > 0) {}
        });
    }

    #[tokio::test]
    async fn the_first_server_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        let mut link = Link::new(Settings {
            servers: vec![Server::Local(first.clone()), Server::Local(second.clone())],
            base: "dc=example".into(),
            bind: Bind::External,
            ca: None,
            cluster: "mx".into(),
            host: "mta1".into(),
            map: "access".into(),
            votes: "trytlsd".into(),
            vote_ttl: Duration::from_secs(3600),
            timeout: Duration::from_secs(10),
        });
        serve(second);
        let later = async || {
            tokio::time::pause();
            tokio::time::advance(FIRST_AGAIN).await;
            tokio::time::resume();
        };
        let at = |link: &Link| link.live.as_ref().map(|live| live.at);
        link.connect().await.unwrap();
        assert_eq!(at(&link), Some(1));
        // Still gone: the second is good enough for another while.
        later().await;
        link.connect().await.unwrap();
        assert_eq!(at(&link), Some(1));
        serve(first);
        link.connect().await.unwrap();
        assert_eq!((at(&link), link.connections), (Some(1), 1));
        later().await;
        link.connect().await.unwrap();
        assert_eq!((at(&link), link.connections), (Some(0), 2));
    }

    #[test]
    fn pauses() {
        let check = |failures, chance, millis| {
            assert_eq!(pause(failures, chance), Duration::from_millis(millis), "{failures}");
        };
        check(1, 0, 500);
        check(1, 255, 1000);
        check(4, 255, 8000);
        check(100, 0, 150_000);
        check(u32::MAX, 255, 300_000);
    }
}
