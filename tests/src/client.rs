//! A mail server that delivers to the bed's sendmail, from an address of its own.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::bed::Bed;

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
pub struct Client {
    stream: TcpStream,
    /// What sendmail offers.
    offer: String,
}

impl Client {
    /// Connects from the address, which a peer of the bed has, and says EHLO.
    ///
    /// # Errors
    /// If sendmail does not answer, or not as it should.
    pub fn connect(bed: &Bed, from: &str) -> Result<Self> {
        let from: IpAddr = from.parse()?;
        let stream = bed.namespace().inside(|| open(from))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut client = Self { stream, offer: String::new() };
        client.reply('2')?;
        client.offer = client.ask("EHLO client.example.test", '2')?;
        Ok(client)
    }

    /// Whether sendmail offers STARTTLS.
    #[must_use]
    pub fn is_offered_starttls(&self) -> bool {
        self.offer.contains("STARTTLS")
    }

    /// Begins STARTTLS and breaks it.
    ///
    /// # Errors
    /// If sendmail does not go along.
    pub fn break_starttls(mut self, instead: Instead) -> Result<()> {
        self.ask("STARTTLS", '2')?;
        let bytes = match instead {
            Instead::Garbage => "this is no TLS at all\r\n",
            Instead::Http => "GET / HTTP/1.0\r\n\r\n",
        };
        self.stream.write_all(bytes.as_bytes())?;
        // sendmail answers with an alert, or hangs up.
        let _ended = self.stream.read(&mut [0; 100]);
        Ok(())
    }

    /// Hands over one message in clear; gives its queue id.
    ///
    /// # Errors
    /// If sendmail does not take it.
    pub fn deliver(mut self, to: &str) -> Result<String> {
        self.ask("MAIL FROM:<sender@lab.example.test>", '2')?;
        self.ask(&format!("RCPT TO:<{to}>"), '2')?;
        self.ask("DATA", '3')?;
        let said = self.ask("Subject: a test\r\n\r\nhello\r\n.", '2')?;
        self.ask("QUIT", '2')?;
        let id = said.split_whitespace().nth(2);
        Ok(id.with_context(|| format!("no queue id in {said:?}"))?.to_owned())
    }

    fn ask(&mut self, line: &str, class: char) -> Result<String> {
        self.stream.write_all(format!("{line}\r\n").as_bytes())?;
        self.reply(class).with_context(|| format!("after {line:?}"))
    }

    /// A whole reply whose code begins with `class`; gives its text.
    fn reply(&mut self, class: char) -> Result<String> {
        let mut reply = String::new();
        loop {
            let mut bytes = [0; 1024];
            let count = self.stream.read(&mut bytes).context("read sendmail's reply")?;
            ensure!(count > 0, "sendmail hung up after {reply:?}");
            reply.push_str(&String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()));
            // The last line of a reply has a blank after its code.
            let last = reply.trim_end().rsplit('\n').next().unwrap_or_default();
            if reply.ends_with('\n') && last.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        ensure!(reply.starts_with(class), "sendmail said {:?}", reply.trim_end());
        Ok(reply)
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
