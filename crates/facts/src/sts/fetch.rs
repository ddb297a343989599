//! The HTTPS request for a policy (RFC 8461, section 3.3).
//!
//! One GET over HTTP/1.1 to one host, with the certificate checked for its name, and nothing else: no redirect is
//! followed, no proxy asked, no cookie kept, nothing cached. The name must be among the certificate's DNS names (the
//! subject's common name does not count); revocation is not asked about. The authorities are those of the system's
//! OpenSSL, read anew for every fetch, as fetches are rare and authorities change under a running daemon.
//!
//! What a hostile server can do: be slow (one deadline for all of it, DNS included), be endless (64 KiB of body, 16 KiB
//! of header), send another kind of document, end the connection in the middle, so that `max_age: 31557600` becomes
//! `max_age: 3` (a body that does not end as HTTP and TLS say it must is no body). All of these are failures, and what
//! the policy was stays.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use hickory_resolver::net::runtime::RuntimeProvider;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslConnector, SslMethod, SslVersion};
use openssl::x509::X509VerifyResult;
use openssl::x509::verify::X509CheckFlags;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_openssl::SslStream;

use super::reach::is_global;
use super::socket::Socket;
use crate::addresses;
use crate::upstream::{Trouble, Upstream, absolute, printable};

/// Addresses that are tried.
const MAX_ADDRESSES: usize = 2;

/// The longest body, in bytes: the RFC suggests 64 KB.
const MAX_BODY: usize = 64 * 1024;

/// The longest head of a response, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Who is asking.
const AGENT: &str = concat!("trytlsd/", env!("CARGO_PKG_VERSION"));

/// How policies are fetched.
#[derive(Debug)]
pub(crate) struct Fetcher {
    pub(crate) port: u16,
    /// Whether addresses that are not of the public Internet may be connected to.
    pub(crate) private: bool,
    /// Further authorities, PEM.
    pub(crate) ca_file: Option<PathBuf>,
}

impl Fetcher {
    /// The addresses of the host that may be connected to, at most two; one of each family if there are both.
    pub(crate) async fn addresses<P: RuntimeProvider>(
        &self,
        servers: &Upstream<P>,
        host: &str,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, Trouble> {
        let name = absolute(host)?;
        let (v4, v6) = match addresses::look_up(servers, &name, deadline).await {
            (Ok(v4), Ok(v6)) => (v4.data, v6.data),
            (Ok(v4), Err(_)) if !v4.data.is_empty() => (v4.data, Vec::new()),
            (Err(_), Ok(v6)) if !v6.data.is_empty() => (Vec::new(), v6.data),
            (Err(trouble), _) | (_, Err(trouble)) => return Err(trouble),
        };
        let may = |address: &IpAddr| self.private || is_global(*address);
        let v4 = v4.iter().filter_map(addresses::of);
        let v6 = v6.iter().filter_map(addresses::of);
        let (mut v4s, mut v6s) = (v4.clone().filter(may), v6.clone().filter(may));
        let mut found: Vec<IpAddr> = v4s.next().into_iter().chain(v6s.next()).collect();
        found.extend(v4s.chain(v6s));
        found.truncate(MAX_ADDRESSES);
        if !found.is_empty() {
            return Ok(found);
        }
        Err(Trouble(match v4.chain(v6).next() {
            None => "it has no address".into(),
            Some(first) => format!("no address of it is a public one, not {first}").into(),
        }))
    }

    /// The body of the policy, from the first address that gives one. Each address has an equal share of the time.
    pub(crate) async fn get(
        &self,
        host: &str,
        addresses: &[IpAddr],
        deadline: Instant,
    ) -> Result<Bytes, Trouble> {
        let mut troubles = String::new();
        for (turn, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - turn).unwrap_or(1);
            let fetched = tokio::time::timeout(share, self.get_from(host, *address)).await;
            let why = match fetched {
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(why)) => why,
                Err(_) => "timed out".to_owned(),
            };
            let gap = if troubles.is_empty() { "" } else { "; " };
            troubles += &format!("{gap}{address}: {why}");
        }
        Err(Trouble(printable(&troubles).into()))
    }

    async fn get_from(&self, host: &str, address: IpAddr) -> Result<Bytes, String> {
        let (name, ca_file) = (host.to_owned(), self.ca_file.clone());
        // Reads a file with all the authorities.
        let ssl = tokio::task::spawn_blocking(move || ssl(&name, ca_file.as_deref()));
        let ssl = ssl.await.map_err(|error| format!("OpenSSL: {error}"))?;
        let ssl = ssl.map_err(|error| format!("OpenSSL: {error}"))?;
        let tcp = TcpStream::connect(SocketAddr::new(address, self.port)).await;
        let socket = Socket(tcp.map_err(|error| error.to_string())?);
        let mut stream =
            SslStream::new(ssl, socket).map_err(|error| format!("OpenSSL: {error}"))?;
        if let Err(error) = Pin::new(&mut stream).connect().await {
            return Err(match stream.ssl().verify_result() {
                X509VerifyResult::OK => format!("TLS: {error}"),
                wrong => format!("certificate: {}", wrong.error_string()),
            });
        }
        let host = match self.port {
            443 => host.to_owned(),
            port => format!("{host}:{port}"),
        };
        request(stream, &host).await
    }
}

/// A TLS session that will be one with the host of this name, or none.
fn ssl(host: &str, ca_file: Option<&Path>) -> Result<Ssl, ErrorStack> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    if let Some(file) = ca_file {
        builder.set_ca_file(file)?;
    }
    let mut ssl = builder.build().configure()?.into_ssl(host)?;
    let flags = X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT;
    ssl.param_mut().set_hostflags(flags);
    Ok(ssl)
}

/// The request and the response. The connection is closed when this ends or is dropped.
async fn request(stream: SslStream<Socket>, host: &str) -> Result<Bytes, String> {
    let request = Request::get("/.well-known/mta-sts.txt")
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .body(Empty::<Bytes>::new())
        .map_err(http)?;
    let mut client = hyper::client::conn::http1::Builder::new();
    client.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(http)?;
    let exchange = async { body(sender.send_request(request).await.map_err(http)?).await };
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        done = &mut exchange => return done,
        // If it failed, the exchange knows why; if it ended, the response may still be on its way to it.
        _ = connection => {}
    }
    exchange.await
}

/// The body of a response, if it is a policy's.
async fn body(response: Response<Incoming>) -> Result<Bytes, String> {
    if response.status() != StatusCode::OK {
        return Err(format!("HTTP status {}", response.status().as_u16()));
    }
    let mut types = response.headers().get_all(CONTENT_TYPE).iter();
    let plain = types.next().is_some_and(|value| {
        let kind = value.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"text/plain")
    });
    if !plain || types.next().is_some() {
        return Err("HTTP: the content is not text/plain".to_owned());
    }
    match Limited::new(response.into_body(), MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err("HTTP: the body is longer than 64 KiB".to_owned())
        }
        Err(error) => Err(http(error)),
    }
}

fn http(error: impl Display) -> String {
    format!("HTTP: {error}")
}
