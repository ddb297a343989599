//! A mail server that delivers to the bed's sendmail, from an address of its own.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::bed::Bed;
use crate::dialogue::Dialogue;

/// What a client sends where a TLS handshake should begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Something that is no TLS: a broken client.
    Garbage,
    /// A request: a scanner.
    Http,
}

/// A connection to sendmail, past the answer to EHLO.
#[derive(Debug)]
pub struct Client(Dialogue);

impl Client {
    /// Connects from the address, which a peer of the bed has, and says EHLO.
    ///
    /// # Errors
    /// If sendmail does not answer, or not as it should.
    pub fn connect(bed: &Bed, from: &str) -> Result<Self> {
        let from: IpAddr = from.parse()?;
        let stream = bed.namespace().inside(|| open(from))?;
        Dialogue::begin(stream, "client.example.test").map(Self)
    }

    /// Whether sendmail offers STARTTLS.
    #[must_use]
    pub fn is_offered_starttls(&self) -> bool {
        self.0.offer.contains("STARTTLS")
    }

    /// Begins STARTTLS and breaks it.
    ///
    /// # Errors
    /// If sendmail does not go along.
    pub fn break_starttls(mut self, instead: Instead) -> Result<()> {
        self.0.ask("STARTTLS", '2')?;
        let bytes = match instead {
            Instead::Garbage => "this is no TLS at all\r\n",
            Instead::Http => "GET / HTTP/1.0\r\n\r\n",
        };
        self.0.stream.write_all(bytes.as_bytes())?;
        // sendmail answers with an alert, or hangs up.
        let _ended = self.0.stream.read(&mut [0; 100]);
        Ok(())
    }

    /// Hands over one message in clear; gives its queue id.
    ///
    /// # Errors
    /// If sendmail does not take it.
    pub fn deliver(self, to: &str) -> Result<String> {
        self.0.hand_over(&[to])
    }
}

/// Connects to sendmail from the address, which is the host's own.
fn open(from: IpAddr) -> Result<TcpStream> {
    let (family, mta): (_, IpAddr) = match from {
        IpAddr::V4(_) => (AddressFamily::INET, Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(_) => (AddressFamily::INET6, Ipv6Addr::LOCALHOST.into()),
    };
    let socket: OwnedFd = socket(family, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::new(from, 0)).with_context(|| format!("bind {from}"))?;
    connect(&socket, &SocketAddr::new(mta, 25)).context("connect to the bed's sendmail")?;
    Ok(socket.into())
}
