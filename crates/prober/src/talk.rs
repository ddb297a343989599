//! One SMTP conversation with STARTTLS (RFC 3207): connect, greeting, EHLO, STARTTLS, handshake, EHLO again, NOOP, QUIT.
//!
//! It never says MAIL. In EHLO it gives this host's own name, exactly as sendmail does, since some servers look at it; and
//! where the conversation goes well or STARTTLS is refused, a NOOP tells the other side's log who this was and why (RFC
//! 5321, section 4.1.1.9: its argument is ignored). Nothing is made of the answers to NOOP and QUIT.
//!
//! The other side is hostile: every step has a deadline, replies are bounded, and what comes in clear between the answer to
//! STARTTLS and the handshake is thrown away and told (RFC 3207, section 4: else it would be taken for something that was
//! said over TLS).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{self, Ssl, SslContext, SslVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use crate::certificate::{Certificate, Faults, is_self_signed};
use crate::printable::printable;
use crate::reply::{Flaw, Reply, SHOWN};
use crate::seen::{Agreed, Ended, Seen, Stage};
use crate::settings::Settings;
use crate::target::Target;
use crate::verdict::{Note, Reason};

/// EHLO keywords that are kept.
const MAX_OFFERED: usize = 50;

/// The longest wait for an answer to NOOP or QUIT: nothing depends on it.
const FAREWELL: Duration = Duration::from_secs(5);

/// OpenSSL 3's own word for a closed connection: its library and number (`SSL_R_UNEXPECTED_EOF_WHILE_READING`).
const UNEXPECTED_EOF: (i32, i32) = (20, 294);

/// Who this was.
const NOOP: &str =
    concat!("NOOP trytlsd ", env!("CARGO_PKG_VERSION"), " only looks whether STARTTLS works\r\n");

/// Holds the conversation to its end, whatever that is.
pub(crate) async fn talk(target: &Target, settings: &Settings, context: &SslContext) -> Seen {
    let mut seen = Seen::nothing();
    match converse(target, settings, context, &mut seen).await {
        Ok(()) => (seen.at, seen.ended) = (Stage::End, Ended::Well),
        Err(ended) => seen.ended = ended,
    }
    seen.notes.sort_unstable();
    seen.notes.dedup();
    seen
}

/// The steps; `seen` is always at the one that is being taken.
async fn converse(
    target: &Target,
    settings: &Settings,
    context: &SslContext,
    seen: &mut Seen,
) -> Result<(), Ended> {
    let limits = settings.timeouts;
    let mut ssl = Ssl::new(context).map_err(tls)?;
    let faults = Faults::default();
    faults.watch(&mut ssl, target.host.as_ref()).map_err(tls)?;

    let connecting = timeout(limits.connect, TcpStream::connect(target.socket()));
    let tcp = connecting.await.map_err(|_| Ended::Timeout)?.map_err(network)?;
    let own = match (&settings.own_name, tcp.local_addr()) {
        (Some(name), _) => name.to_string(),
        (None, Ok(SocketAddr::V6(end))) => format!("[IPv6:{}]", end.ip()),
        (None, Ok(end)) => format!("[{}]", end.ip()),
        (None, Err(error)) => return Err(network(error)),
    };
    let ehlo = format!("EHLO {own}\r\n");
    let mut clear = Link { stream: tcp, unread: Vec::new(), limit: limits.reply };

    seen.at = Stage::Banner;
    let greeting = clear.reply().await?;
    seen.greeting = Some(greeting.text());
    yes(&greeting)?;

    seen.at = Stage::Ehlo;
    let answer = clear.ask(&ehlo).await?;
    yes(&answer)?;
    let is_offered =
        answer.lines.iter().skip(1).any(|line| keyword(line).eq_ignore_ascii_case("STARTTLS"));
    seen.offered = answer.lines.into_iter().skip(1).take(MAX_OFFERED).collect();
    if !is_offered {
        clear.farewell().await;
        return Err(Ended::NotOffered);
    }

    seen.at = Stage::Starttls;
    let answer = clear.ask("STARTTLS\r\n").await?;
    if answer.code != 220 {
        clear.farewell().await;
        return Err(no(&answer));
    }
    if !clear.unread.is_empty() {
        seen.notes.push(Note::Injected);
    }

    seen.at = Stage::Handshake;
    let mut stream = SslStream::new(ssl, clear.stream).map_err(tls)?;
    let shaken = timeout(limits.handshake, Pin::new(&mut stream).connect()).await;
    look(&stream, &faults, seen);
    shaken.map_err(|_| Ended::Timeout)?.map_err(of_ssl)?;
    seen.agreed = agreed(&stream);

    seen.at = Stage::EhloOverTls;
    let mut link = Link { stream, unread: Vec::new(), limit: limits.reply };
    let answer = link.ask(&ehlo).await?;
    let good = yes(&answer);
    link.farewell().await;
    good
}

/// What the handshake showed, whether it went well or not.
fn look(stream: &SslStream<TcpStream>, faults: &Faults, seen: &mut Seen) {
    let certificate = stream.ssl().peer_certificate();
    seen.before.certificate = certificate.is_some();
    let version = stream.ssl().version2();
    seen.before.old_version =
        matches!(version, Some(SslVersion::TLS1_1 | SslVersion::TLS1 | SslVersion::SSL3));
    seen.certificate = certificate.as_deref().map(Certificate::of);
    seen.notes.extend(faults.notes());
    if certificate.is_some_and(|certificate| is_self_signed(&certificate)) {
        seen.notes.push(Note::SelfSigned);
    }
    // What OpenSSL had against the certificate while it was read (a list of names that is none) would else be taken for the
    // fault of the next read, of this conversation or of any other on this thread: SSL_get_error(3).
    drop(ErrorStack::get());
}

fn agreed(stream: &SslStream<TcpStream>) -> Option<Agreed> {
    let cipher = stream.ssl().current_cipher()?;
    let bits = cipher.bits().secret;
    Some(Agreed { version: stream.ssl().version_str(), cipher: cipher.name(), bits })
}

/// The first word of an EHLO line.
fn keyword(line: &str) -> &str {
    line.split([' ', '=']).next().unwrap_or_default()
}

fn yes(reply: &Reply) -> Result<(), Ended> {
    if reply.class() == 2 { Ok(()) } else { Err(no(reply)) }
}

fn no(reply: &Reply) -> Ended {
    Ended::Reply(reply.text(), reply.code)
}

/// A connection, in clear or over TLS.
struct Link<S> {
    stream: S,
    /// What was read and is no part of a reply yet.
    unread: Vec<u8>,
    /// For each reply.
    limit: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Says a line and reads the reply to it.
    async fn ask(&mut self, line: &str) -> Result<Reply, Ended> {
        // What was said before it was asked is no answer to it.
        self.unread.clear();
        let exchange = async {
            self.stream.write_all(line.as_bytes()).await.map_err(network)?;
            self.stream.flush().await.map_err(network)?;
            read(&mut self.stream, &mut self.unread).await
        };
        timeout(self.limit, exchange).await.unwrap_or(Err(Ended::Timeout))
    }

    /// Reads a reply.
    async fn reply(&mut self) -> Result<Reply, Ended> {
        let reading = read(&mut self.stream, &mut self.unread);
        timeout(self.limit, reading).await.unwrap_or(Err(Ended::Timeout))
    }

    /// Tells who this was, and ends the conversation as the RFC wants it.
    async fn farewell(&mut self) {
        self.limit = self.limit.min(FAREWELL);
        if self.ask(NOOP).await.is_ok() {
            let _whatever = self.ask("QUIT\r\n").await;
        }
    }
}

/// Reads until a reply is whole; what comes after it stays in `unread`.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, unread: &mut Vec<u8>) -> Result<Reply, Ended> {
    let mut bytes = [0; 2048];
    loop {
        match Reply::read(unread) {
            Ok(Some((reply, taken))) => {
                unread.drain(..taken);
                return Ok(reply);
            }
            Ok(None) => {}
            Err(Flaw::NotSmtp(text)) => return Err(Ended::NotSmtp(text)),
            Err(Flaw::Endless) => return Err(Ended::Endless),
        }
        let count = stream.read(&mut bytes).await.map_err(network)?;
        if count == 0 {
            return Err(Ended::Closed);
        }
        unread.extend_from_slice(bytes.get(..count).unwrap_or_default());
    }
}

/// An error of the connection's, or of TLS beneath it.
fn network(error: io::Error) -> Ended {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ssl::Error>());
    if let Some(stack) = inner.and_then(ssl::Error::ssl_error) {
        return of_stack(stack);
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ended::Reset,
        io::ErrorKind::UnexpectedEof => Ended::Closed,
        io::ErrorKind::TimedOut => Ended::Timeout,
        _ => Ended::Network(printable(error.to_string().as_bytes(), SHOWN)),
    }
}

fn of_ssl(error: ssl::Error) -> Ended {
    match error.ssl_error() {
        Some(stack) => of_stack(stack),
        None => error.into_io_error().map_or(Ended::Closed, network),
    }
}

fn tls(stack: ErrorStack) -> Ended {
    of_stack(&stack)
}

/// What OpenSSL says first; the errors after it follow from it.
fn of_stack(stack: &ErrorStack) -> Ended {
    let Some(error) = stack.errors().first() else { return Ended::Closed };
    if (error.library_code(), error.reason_code()) == UNEXPECTED_EOF {
        return Ended::Closed;
    }
    let text = error.reason().map_or_else(
        || format!("error {} of library {}", error.reason_code(), error.library_code()),
        |reason| printable(reason.as_bytes(), SHOWN),
    );
    Ended::Tls(Reason { library: error.library_code(), code: error.reason_code(), text })
}
