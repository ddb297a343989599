//! A connection to one server, from the socket to the bind.
//!
//! TLS is ours, by the OpenSSL that everything here uses, and so is StartTLS: ldap3 then talks over a pair of sockets to
//! the module `pump`, and sees nothing that was not checked.
//!
//! **What an attacker on the way could try.** Strip StartTLS: a server that does not begin TLS is left at once. Say
//! something between StartTLS and TLS, to have it taken for what came under TLS: exactly one message is read before.
//! Another certificate: it has to name the host and be signed by those in the CA file, where one is given by nobody else.

use std::fmt::Display;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::pin::Pin;

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, StdStream};
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslConnector, SslMethod, SslVersion};
use openssl::x509::X509VerifyResult;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509CheckFlags;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_openssl::SslStream;

use crate::error::{Kind, Trouble};
use crate::pump::{Ended, pump, read_one};
use crate::server::{Server, Tls};
use crate::settings::{Bind, Settings, password};
use crate::wire;

const DOING: &str = "cannot connect";

/// An open connection, bound; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) ldap: Ldap,
    pub(crate) ended: Ended,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Connects and binds.
pub(crate) async fn connect(server: &Server, settings: &Settings) -> Result<Connection, Trouble> {
    let mut connection = match server {
        Server::Local(path) => over(UnixStream::connect(path).await.map_err(unreachable)?).await?,
        Server::Remote { host, port, tls } => {
            let tcp = TcpStream::connect((&**host, *port)).await;
            let mut tcp = tcp.map_err(unreachable)?;
            tcp.set_nodelay(true).map_err(unreachable)?;
            if *tls == Tls::Start {
                start_tls(&mut tcp).await?;
            }
            over(secure(tcp, host, settings.ca.as_deref()).await?).await?
        }
    };
    bind(&mut connection, &settings.bind).await?;
    Ok(connection)
}

/// ldap3 over a stream.
async fn over<S>(far: S) -> Result<Connection, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (near, ours) = StdUnixStream::pair().map_err(unreachable)?;
    ours.set_nonblocking(true).map_err(unreachable)?;
    let ours = UnixStream::from_std(ours).map_err(unreachable)?;
    let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(near));
    let (driver, ldap) =
        LdapConnAsync::with_settings(settings, "ldapi:///").await.map_err(unreachable)?;
    let ended = Ended::default();
    let pump = tokio::spawn(pump(far, ours, ended.clone()));
    // What ends it shows at the next operation.
    let driver = tokio::spawn(async { drop(driver.drive().await) });
    Ok(Connection { ldap, ended, tasks: [pump, driver] })
}

async fn bind(connection: &mut Connection, bind: &Bind) -> Result<(), Trouble> {
    const BINDING: &str = "cannot bind";
    let ldap = &mut connection.ldap;
    let result = match bind {
        Bind::External => ldap.sasl_external_bind().await,
        Bind::Simple { dn, password_file } => {
            let password = password(password_file)
                .map_err(|why| Trouble::new(Kind::Credentials, BINDING, &why))?;
            ldap.simple_bind(dn, &password).await
        }
    };
    match result {
        Ok(result) if result.rc == 0 => Ok(()),
        Ok(r) => Err(Trouble::result(BINDING, false, r.rc, &r.text, &r.refs)),
        Err(error) => {
            let why = connection.ended.why().unwrap_or_else(|| error.to_string().into());
            Err(Trouble::new(Kind::Unreachable, BINDING, &why))
        }
    }
}

/// Has the server begin TLS.
async fn start_tls(tcp: &mut TcpStream) -> Result<(), Trouble> {
    let untrusted = |why: &str| Trouble::new(Kind::Untrusted, "cannot begin TLS", why);
    tcp.write_all(wire::START_TLS).await.map_err(unreachable)?;
    let answer = read_one(tcp).await.map_err(garbled)?;
    match wire::start_tls(&answer) {
        Ok((0, _)) => Ok(()),
        Ok((code, text)) => Err(untrusted(&format!("it offers none (LDAP result {code}: {text})"))),
        Err(wire::Malformed(what)) => {
            Err(untrusted(&format!("what it answers is no proper LDAP: {what}")))
        }
    }
}

/// TLS with the host, or none.
async fn secure(
    tcp: TcpStream,
    host: &str,
    ca: Option<&Path>,
) -> Result<SslStream<TcpStream>, Trouble> {
    let untrusted = |why: String| Trouble::new(Kind::Untrusted, DOING, &why);
    let ssl = ssl(host, ca).map_err(|error| match ca {
        Some(ca) => untrusted(format!("the ca file {}: {error}", ca.display())),
        None => untrusted(format!("OpenSSL: {error}")),
    })?;
    let mut stream =
        SslStream::new(ssl, tcp).map_err(|error| untrusted(format!("OpenSSL: {error}")))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => Err(match stream.ssl().verify_result() {
            X509VerifyResult::OK => untrusted(format!("TLS: {error}")),
            wrong => untrusted(format!("its certificate: {}", wrong.error_string())),
        }),
    }
}

fn ssl(host: &str, ca: Option<&Path>) -> Result<Ssl, ErrorStack> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    if let Some(ca) = ca {
        // Not besides whom the system believes, but instead.
        builder.set_cert_store(X509StoreBuilder::new()?.build());
        builder.set_ca_file(ca)?;
    }
    let mut ssl = builder.build().configure()?.into_ssl(host)?;
    ssl.param_mut().set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
    Ok(ssl)
}

fn unreachable(error: impl Display) -> Trouble {
    Trouble::new(Kind::Unreachable, DOING, &error.to_string())
}

fn garbled(error: io::Error) -> Trouble {
    let kind = match error.kind() {
        io::ErrorKind::InvalidData => Kind::Garbled,
        _ => Kind::Unreachable,
    };
    Trouble::new(kind, DOING, &error.to_string())
}
