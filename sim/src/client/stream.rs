//! A client's stream: opens it, logs in, reads elements, writes them.

use std::io;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cresset_core::xml::{Element, StreamEvent, StreamReader, XmlLimits, ns};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;

use super::{ACKNOWLEDGEMENT, BIND, RESOURCE, SASL};
use crate::parts::PASSWORD;

/// Why a stream is no good any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The connection failed.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The server closed it.
    #[error("closed")]
    Closed,
    /// The server said why.
    #[error("stream error {0}")]
    Stream(String),
    /// The server refused something.
    #[error("refused: {0}")]
    Refused(String),
    /// The server sent what cannot be read.
    #[error("unreadable: {0}")]
    Unreadable(String),
    /// The server does not answer.
    #[error("no answer")]
    Silent,
}

/// A stream to a node.
pub(super) struct ClientStream {
    inner: TcpStream,
    reader: StreamReader,
}

impl ClientStream {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, Broken> {
        let inner = TcpStream::connect(address).await?;
        Ok(ClientStream { inner, reader: StreamReader::new(XmlLimits::AUTHENTICATED) })
    }

    /// Authenticates, binds the resource, switches acknowledgement on, and says that the user is available. Gives the
    /// JID.
    pub(super) async fn log_in(&mut self, user: &str, domain: &str) -> Result<String, Broken> {
        self.open(domain).await?;
        let secret = BASE64.encode(format!("\0{user}\0{PASSWORD}"));
        self.send(&Element::new("auth", SASL).with_attribute("mechanism", "PLAIN").with_text(&secret)).await?;
        let answer = self.next().await?;
        if !answer.is("success", SASL) {
            return Err(refused(&answer));
        }
        self.reader.restart();
        self.open(domain).await?;

        let resource = Element::new("resource", BIND).with_text(RESOURCE);
        let bind = Element::new("bind", BIND).with_child(resource);
        let request = Element::new("iq", ns::CLIENT).with_attribute("type", "set").with_attribute("id", "bind");
        self.send(&request.with_child(bind)).await?;
        let answer = self.next().await?;
        if answer.attribute("type") != Some("result") {
            return Err(refused(&answer));
        }
        let jid = answer
            .child("bind", BIND)
            .and_then(|bind| bind.open().child("jid", BIND).map(|jid| jid.open().text().into_owned()));
        let jid = jid.ok_or_else(|| refused(&answer))?;
        self.send(&Element::new("enable", ACKNOWLEDGEMENT)).await?;
        let answer = self.next().await?;
        if !answer.is("enabled", ACKNOWLEDGEMENT) {
            return Err(refused(&answer));
        }
        self.send(&Element::new("presence", ns::CLIENT)).await?;
        Ok(jid)
    }

    /// Opens the stream and waits for the features.
    async fn open(&mut self, domain: &str) -> Result<(), Broken> {
        let header =
            format!("<stream:stream to='{domain}' version='1.0' xmlns='{}' xmlns:stream='{}'>", ns::CLIENT, ns::STREAM);
        self.inner.write_all(header.as_bytes()).await?;
        let features = self.next().await?;
        if features.is("features", ns::STREAM) { Ok(()) } else { Err(refused(&features)) }
    }

    pub(super) async fn send(&mut self, element: &Element) -> Result<(), Broken> {
        let mut bytes = Vec::new();
        element.write(&mut bytes);
        Ok(self.inner.write_all(&bytes).await?)
    }

    /// The next element. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Element, Broken> {
        loop {
            match self.reader.poll().map_err(|error| Broken::Unreadable(error.to_string()))? {
                Some(StreamEvent::Element(element)) if element.is("error", ns::STREAM) => {
                    let condition = element.children().next().map(|child| child.name().to_owned());
                    return Err(Broken::Stream(condition.unwrap_or_default()));
                }
                Some(StreamEvent::Element(element)) => return Ok(element),
                Some(StreamEvent::Open(_)) => {}
                Some(StreamEvent::Close) => return Err(Broken::Closed),
                None => {
                    let mut bytes = [0; 4096];
                    let count = self.inner.read(&mut bytes).await?;
                    if count == 0 {
                        return Err(Broken::Closed);
                    }
                    self.reader.feed(&bytes[..count]);
                }
            }
        }
    }
}

fn refused(answer: &Element) -> Broken {
    let mut text = Vec::new();
    answer.write(&mut text);
    Broken::Refused(String::from_utf8_lossy(&text).into_owned())
}
