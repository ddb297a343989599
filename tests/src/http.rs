//! One request of HTTP/1.1, as bytes: so that a test sees what was sent, and may send what no client would.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its header lines, in small letters.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Response {
    /// The value of a header, in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(": ").map(|(n, _)| n == name).unwrap_or_default();
        self.head.lines().find(|line| of(line)).and_then(|line| line.split_once(": ")).map(|l| l.1)
    }
}

/// GET, as a browser on this host asks.
pub fn get(address: SocketAddr, path: &str) -> Result<Response> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

/// What is answered to these bytes, up to the end of the connection.
pub fn ask(address: SocketAddr, request: &str) -> Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).context("the answer is no UTF-8")?;
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no head: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Response {
        status: status.with_context(|| format!("no status: {head:?}"))?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}
