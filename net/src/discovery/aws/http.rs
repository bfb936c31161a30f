//! One HTTP request on a connection of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Bytes of an answer. A page of a thousand instances has three million.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long each part may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connection: Duration,
    pub(super) read: Duration,
}

/// Why there is no answer, as a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// It may work a moment later.
    Passing(String),
    /// It will not work until somebody does something.
    Lasting(String),
}

pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    pub(super) name: &'a str,
    pub(super) port: u16,
    pub(super) is_encrypted: bool,
    pub(super) path: &'a str,
    /// `host` among them.
    pub(super) headers: Vec<(&'a str, &'a str)>,
    pub(super) body: String,
}

/// The status and the body of the answer.
pub(super) async fn call(request: Request<'_>, patience: Patience) -> Result<(u16, String), Trouble> {
    let (name, port) = (request.name.to_owned(), request.port);
    let passing = |what: &str| Trouble::Passing(format!("{name}:{port}: {what}"));
    let connecting = timeout(patience.connection, TcpStream::connect((request.name, port)));
    let stream = match connecting.await {
        Ok(stream) => stream.map_err(|error| passing(&error.to_string()))?,
        Err(_) => return Err(passing("cannot be connected to in time")),
    };
    let answered = async {
        if request.is_encrypted {
            let server = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(client().await?).connect(server, stream).await?;
            exchange(stream, request).await
        } else {
            exchange(stream, request).await
        }
    };
    match timeout(patience.read, answered).await {
        Ok(answer) => answer.map_err(|error| passing(&error.to_string())),
        Err(_) => Err(passing("does not answer in time")),
    }
}

/// Trusts whom this machine trusts.
async fn client() -> io::Result<Arc<ClientConfig>> {
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await?;
    let mut roots = RootCertStore::empty();
    let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(io::Error::other(
            "this machine trusts no certificates: on Debian, apt-get install ca-certificates",
        ));
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

async fn exchange<S>(stream: S, request: Request<'_>) -> io::Result<(u16, String)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut built = hyper::Request::builder().method(request.method).uri(request.path);
    for (name, value) in request.headers {
        built = built.header(name, value);
    }
    let built = built.body(Full::new(Bytes::from(request.body))).map_err(io::Error::other)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let answered = async {
        let answer = sender.send_request(built).await.map_err(io::Error::other)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await.map_err(io::Error::other)?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    tokio::select! {
        biased;
        answer = answered => answer,
        // Whatever ends the connection ends the exchange with it, which is asked again then.
        Err(error) = connection => Err(io::Error::other(error)),
    }
}
