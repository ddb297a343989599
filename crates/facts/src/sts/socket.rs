//! A TCP connection under TLS whose end, unless TLS announced it, is an error.
//!
//! Whoever is on the way can end a connection, though he cannot read it: a response whose length is not given would then
//! be half of what it was, and a policy's `max_age: 31557600` be 3. TLS ends with a message of its own (close_notify)
//! against that. OpenSSL 3 takes a missing one for an error, but asks its BIO whether the connection is at its end, and
//! the BIO of the openssl crate (0.10.82) does not know: a cut stream then looks like one that has ended well. After
//! close_notify OpenSSL reads no more, so an end that is seen here is one that came too early.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The connection.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) TcpStream);

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
        Poll::Ready(match before > 0 && buf.remaining() == before {
            true => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "cut off")),
            false => Ok(()),
        })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
