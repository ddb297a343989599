//! SMTP peers, good and broken, as threads whose sockets lie in the bed's network.
//!
//! Each listens on port 25 of its own address. A peer can be broken and mended again while sendmail
//! talks to it ([`crate::bed::Bed::set_peer`]), and reports what happens, so that a test can wait for "delivered in
//! clear at peer X" rather than believe a log.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::certificate::Likeness;
use crate::namespace::Namespace;
use crate::session;

/// What a peer does when it is asked to start TLS (RFC 3207).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// TLS 1.2 or 1.3, a self-signed certificate: a good peer.
    Tls,
    /// STARTTLS is not offered at all.
    Plain,
    /// Bytes that are no TLS after "220 ready": "wrong version number" at sendmail.
    Garbage,
    /// An SMTP error in clear text where TLS should begin.
    PlainError,
    /// Closes after "220 ready".
    Close,
    /// Resets the connection after "220 ready".
    Reset,
    /// Says nothing after "220 ready" until the other side gives up.
    Hang,
    /// TLS 1.0 and nothing else.
    Tls10,
    /// No cipher in common with any client.
    NoCipher,
    /// TLS 1.2 with whoever shows a certificate that is in date; others get an alert. (With TLS 1.3 sendmail would take
    /// the handshake for done before the alert comes.)
    WantsCertificate,
    /// TLS 1.2 with whoever shows a certificate that it can verify, and it trusts nobody.
    TrustsNobody,
    /// TLS 1.2 with DHE alone, over 1024 bits: "dh key too small".
    WeakDh,
    /// TLS 1.2 and a certificate with an RSA key of 1024 bits.
    WeakRsa,
    /// TLS 1.2, and signs with SHA-1 alone.
    Sha1,
    /// Closes when a client says that it knows TLS 1.3; good up to 1.2.
    Tls13Intolerant,
    /// As [`Mode::Tls`], with this certificate.
    Shows(Likeness),
    /// Hangs up right after a good handshake.
    DropAfterHandshake,
    /// Says nothing from this step on, and keeps the connection.
    HangAt(Step),
    /// Closes the connection at this step.
    CloseAt(Step),
    /// Answers this step, in clear, with lines that have no end.
    Endless(Step),
    /// A good peer whose greeting and EHLO are full of NUL bytes and escape sequences.
    Noisy,
    /// A good peer that says more in clear with its answer to STARTTLS, as somebody on the way would.
    Injects,
    /// Answers STARTTLS with this line instead of 220, as "454 4.7.0 TLS not available".
    Reply(String),
    /// Greets with this line, as "421 4.3.2 busy", and hangs up.
    Greeting(String),
    /// As [`Mode::Garbage`], and offers sixty things before STARTTLS.
    OffersLate,
    /// Nobody listens: connection refused.
    Refused,
}

/// A step of the conversation, where the peer is to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The greeting.
    Banner,
    /// The answer to EHLO in clear.
    Ehlo,
    /// The answer to STARTTLS.
    StartTls,
    /// The answer to EHLO over TLS.
    EhloOverTls,
}

/// The PTR record of a peer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ptr {
    /// `X.ptr.test`, whose address leads back: confirmed, and not the MX name.
    Own,
    /// `X.mx.test`, the name that sendmail connects to: confirmed.
    Mx,
    /// `X.ptr.test`, which has no address.
    Unconfirmed,
    /// No record.
    None,
}

/// A peer as the test wants it. Mail to `user@NAME.rcpt.test` goes to its MX `NAME.mx.test`.
#[derive(Debug, Clone)]
pub struct Peer {
    name: String,
    address: IpAddr,
    ptr: Ptr,
    mode: Mode,
}

impl Peer {
    /// A peer at an address of 127.0.0.0/8 or fd00::/8; its PTR is [`Ptr::Own`].
    ///
    /// # Panics
    /// When `address` is none: a mistake in the test.
    #[must_use]
    pub fn new(name: &str, address: &str, mode: Mode) -> Self {
        let Ok(address) = address.parse() else { panic!("{address:?} is no address") };
        Self { name: name.to_owned(), address, ptr: Ptr::Own, mode }
    }

    /// With this PTR record.
    #[must_use]
    pub fn ptr(self, ptr: Ptr) -> Self {
        Self { ptr, ..self }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn pointer(&self) -> Ptr {
        self.ptr
    }
}

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// In clear text.
    Clear,
    /// Over TLS.
    Tls,
}

/// Something that happened at a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A connection came in.
    Connected,
    /// The client said STARTTLS.
    StartTls,
    /// A handshake succeeded, with this version of TLS.
    Handshake(&'static str),
    /// The client said this line, in clear or over TLS. Told of a [`Lone`] peer only.
    Line(Channel, String),
    /// The name of a server that the client asked for in its hello (SNI). Told of a [`Lone`] peer only.
    ServerName(String),
    /// A message was accepted.
    Message {
        /// In clear or over TLS.
        over: Channel,
        /// The envelope's recipients.
        recipients: Vec<String>,
    },
}

/// What the peers have reported, oldest first: the peer's name and what happened.
type Reports = Arc<Mutex<Vec<(String, What)>>>;

/// The peers of one bed. Their threads end when this is dropped.
#[derive(Debug)]
pub struct Peers {
    running: Mutex<Vec<Running>>,
    reports: Reports,
}

#[derive(Debug)]
struct Running {
    name: String,
    address: IpAddr,
    mode: Arc<Mutex<Mode>>,
    /// `None` while the peer refuses connections.
    listener: Option<TcpListener>,
}

impl Peers {
    /// Start them inside `namespace`.
    ///
    /// # Errors
    /// Where an address cannot be listened on.
    pub(crate) fn start(namespace: &Namespace, peers: &[Peer]) -> Result<Self> {
        let reports = Reports::default();
        let mut running = Vec::new();
        for peer in peers {
            let mode = Arc::new(Mutex::new(Mode::Refused));
            let (name, address) = (peer.name.clone(), peer.address);
            let mut new = Running { name, address, mode, listener: None };
            new.set(namespace, peer.mode.clone(), &reports)?;
            running.push(new);
        }
        Ok(Self { running: Mutex::new(running), reports })
    }

    /// Break or mend a peer: connections that come in from now on find it in `mode`.
    pub(crate) fn set(&self, namespace: &Namespace, name: &str, mode: Mode) -> Result<()> {
        let mut running = lock(&self.running);
        let Some(peer) = running.iter_mut().find(|peer| peer.name == name) else {
            bail!("there is no peer {name:?}");
        };
        peer.set(namespace, mode, &self.reports)
    }

    /// What has happened at the peer `name` so far, oldest first.
    #[must_use]
    pub fn reports(&self, name: &str) -> Vec<What> {
        let reports = lock(&self.reports);
        reports.iter().filter(|(peer, _)| peer == name).map(|(_, what)| what.clone()).collect()
    }

    /// How many messages the peer `name` has accepted over `channel` so far.
    #[must_use]
    pub fn accepted(&self, name: &str, channel: Channel) -> usize {
        self.reports(name)
            .iter()
            .filter(|what| matches!(what, What::Message { over, .. } if *over == channel))
            .count()
    }
}

impl Running {
    fn set(&mut self, namespace: &Namespace, mode: Mode, reports: &Reports) -> Result<()> {
        if mode == Mode::Refused {
            self.stop();
        } else if self.listener.is_none() {
            *lock(&self.mode) = mode.clone();
            self.listener = Some(self.listen(namespace, reports)?);
        }
        *lock(&self.mode) = mode;
        Ok(())
    }

    fn listen(&self, namespace: &Namespace, reports: &Reports) -> Result<TcpListener> {
        namespace.inside(|| {
            let listener = TcpListener::bind((self.address, 25))
                .with_context(|| format!("listen on port 25 of {}", self.address))?;
            let accepting = listener.try_clone().context("clone a listener")?;
            let (name, mode, reports) =
                (self.name.clone(), Arc::clone(&self.mode), Arc::clone(reports));
            thread::spawn(move || accept(&accepting, &name, &mode, &reports));
            Ok(listener)
        })
    }

    /// Shutting a listener down wakes the thread that waits in accept(2) on it.
    fn stop(&mut self) {
        if let Some(listener) = self.listener.take() {
            rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, name: &str, mode: &Arc<Mutex<Mode>>, reports: &Reports) {
    while let Ok((stream, _)) = listener.accept() {
        let (name, mode, reports) = (name.to_owned(), lock(mode).clone(), Arc::clone(reports));
        thread::spawn(move || converse(&name, &mode, stream, &reports));
    }
}

/// A peer outside a bed, on a port of its own of 127.0.0.1; its name is `lone.mx.test`. Its thread ends when it is dropped.
#[derive(Debug)]
pub struct Lone {
    listener: TcpListener,
    address: SocketAddr,
    reports: Reports,
}

impl Lone {
    /// Start it.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start(mode: Mode) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
        let address = listener.local_addr()?;
        let accepting = listener.try_clone().context("clone a listener")?;
        let reports = Reports::default();
        let mut peer = Self { listener, address, reports };
        if mode == Mode::Refused {
            peer.stop();
        } else {
            let reports = Arc::clone(&peer.reports);
            thread::spawn(move || {
                while let Ok((stream, _)) = accepting.accept() {
                    let (mode, reports) = (mode.clone(), Arc::clone(&reports));
                    thread::spawn(move || {
                        let report = |what| lock(&reports).push((LONE.to_owned(), what));
                        drop(session::serve(LONE, &mode, stream, &report));
                    });
                }
            });
        }
        Ok(peer)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened at it so far, oldest first.
    #[must_use]
    pub fn reports(&self) -> Vec<What> {
        lock(&self.reports).iter().map(|(_, what)| what.clone()).collect()
    }

    fn stop(&mut self) {
        rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).ok();
    }
}

impl Drop for Lone {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The name of a [`Lone`] peer, before `.mx.test`.
const LONE: &str = "lone";

fn converse(name: &str, mode: &Mode, stream: TcpStream, reports: &Reports) {
    let report = |what: What| {
        if !matches!(what, What::Line(..) | What::ServerName(_)) {
            lock(reports).push((name.to_owned(), what));
        }
    };
    // A client that goes away in mid-conversation is what half of these tests are about.
    drop(session::serve(name, mode, stream, &report));
}

/// A poisoned lock only means that another thread of the test failed: what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
