//! A web server that does as it is told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslStream};

/// How it treats whoever connects.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Reads the request, sends the bytes, and goes on so.
    Talk(Vec<u8>, Then),
    /// Sends the bytes in place of a handshake, and closes.
    Plain(Vec<u8>),
    /// Hears nothing and says nothing.
    Deaf,
}

/// What comes after the response.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    /// The end, as TLS wants it.
    End,
    /// The end of the connection, without a word.
    Cut,
    /// These bytes, for ever.
    Repeat(Vec<u8>),
    /// These bytes, for ever, and each time a pause.
    Trickle(Vec<u8>),
    /// Silence.
    Silence,
}

/// The running server. Ends when it is dropped.
pub(crate) struct HttpsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    acceptor: SslAcceptor,
    manner: Mutex<Manner>,
    requests: Mutex<Vec<String>>,
    /// How often somebody connected.
    calls: Mutex<usize>,
    stop: AtomicBool,
}

impl HttpsServer {
    /// A server at an address; port 0 is a free one.
    pub(crate) fn start(at: &str, acceptor: SslAcceptor, manner: Manner) -> Self {
        let listener = TcpListener::bind(at).expect("port");
        let address = listener.local_addr().expect("address");
        let shared = Arc::new(Shared {
            acceptor,
            manner: Mutex::new(manner),
            requests: Mutex::default(),
            calls: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || serve(&listener, &shared)
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes its mind.
    pub(crate) fn set(&self, manner: Manner) {
        *self.shared.manner.lock().expect("lock") = manner;
    }

    /// The requests that were read, as they were sent.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().expect("lock").clone()
    }

    /// How often somebody connected.
    pub(crate) fn calls(&self) -> usize {
        *self.shared.calls.lock().expect("lock")
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes the thread
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Each connection on a thread of its own, which ends when the client leaves.
fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        *shared.calls.lock().expect("lock") += 1;
        let shared = Arc::clone(shared);
        thread::spawn(move || talk(stream, &shared));
    }
}

fn talk(mut tcp: TcpStream, shared: &Shared) -> Option<()> {
    tcp.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    tcp.set_write_timeout(Some(Duration::from_secs(60))).ok()?;
    let manner = shared.manner.lock().expect("lock").clone();
    let (response, then) = match manner {
        Manner::Talk(response, then) => (response, then),
        Manner::Plain(bytes) => {
            tcp.write_all(&bytes).ok()?;
            tcp.shutdown(Shutdown::Write).ok()?;
            return wait(&mut tcp);
        }
        Manner::Deaf => return wait(&mut tcp),
    };
    let mut stream = shared.acceptor.accept(tcp).ok()?;
    let request = read(&mut stream)?;
    shared.requests.lock().expect("lock").push(request);
    stream.write_all(&response).ok()?;
    match then {
        Then::End => drop(stream.shutdown()),
        Then::Cut => stream.get_ref().shutdown(Shutdown::Write).ok()?,
        Then::Repeat(bytes) => while stream.write_all(&bytes).is_ok() {},
        Then::Trickle(bytes) => {
            while stream.write_all(&bytes).is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        }
        Then::Silence => {}
    }
    wait(stream.get_mut())
}

/// The request, to its empty line.
fn read(stream: &mut SslStream<TcpStream>) -> Option<String> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && request.len() < 4096 {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    String::from_utf8(request).ok()
}

/// Until the client leaves.
fn wait(stream: &mut TcpStream) -> Option<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).ok()? > 0 {}
    Some(())
}
