//! A client's stream: reads elements, writes them, and breaks when it is told to.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use cresset_core::xml::{Element, StreamEvent, StreamReader, XmlLimits, ns};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;

use super::life::Parting;
use super::session::WrongCount;

/// Why a stream is no good any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The connection failed.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The connection was closed.
    #[error("closed")]
    Closed,
    /// The server ended the stream, and the session with it.
    #[error("the stream was ended")]
    Ended,
    /// The server said why.
    #[error("stream error {0}")]
    Stream(String),
    /// The server refused something.
    #[error("refused: {0}")]
    Refused(String),
    /// The server sent what cannot be read.
    #[error("unreadable: {0}")]
    Unreadable(String),
    /// The server counts otherwise.
    #[error("counted wrong: {0}")]
    Count(#[from] WrongCount),
    /// The server does not answer.
    #[error("no answer")]
    Silent,
    /// There was no login for too long.
    #[error("no login in time")]
    NoLogin,
    /// Another connection has the session.
    #[error("lost the race")]
    Lost,
    /// The client's own connection broke, as it was told to.
    #[error("cut")]
    Cut,
}

impl Parting for Broken {
    fn is_own_doing(&self) -> bool {
        matches!(self, Broken::Cut)
    }

    fn ends_session(&self) -> bool {
        matches!(self, Broken::Ended | Broken::Count(_))
    }
}

impl Broken {
    /// Whether the server has said that there is another one to go to.
    pub(super) fn is_sent_on(&self) -> bool {
        matches!(self, Broken::Stream(condition) if condition == "see-other-host")
    }
}

/// When a stream breaks by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fuse {
    /// When so many more elements are written.
    Elements(u32),
    /// When so many more bytes are written, which may be within an element.
    Bytes(usize),
}

/// A stream to a node.
pub(super) struct ClientStream {
    inner: TcpStream,
    reader: StreamReader,
    fuse: Option<Fuse>,
    /// What was read and is not wanted yet.
    kept: VecDeque<Element>,
}

impl ClientStream {
    pub(super) async fn connect(address: SocketAddr, fuse: Option<Fuse>) -> Result<Self, Broken> {
        let inner = TcpStream::connect(address).await?;
        let reader = StreamReader::new(XmlLimits::AUTHENTICATED);
        Ok(ClientStream { inner, reader, fuse, kept: VecDeque::new() })
    }

    /// From now on the stream breaks like that, or not by itself. A fuse that burns already is left to burn.
    pub(super) fn set_fuse(&mut self, fuse: Option<Fuse>) {
        self.fuse = fuse.map(|fuse| self.fuse.unwrap_or(fuse));
    }

    /// Opens the stream, or opens it anew, and waits for the features.
    pub(super) async fn open(&mut self, domain: &str) -> Result<(), Broken> {
        let header =
            format!("<stream:stream to='{domain}' version='1.0' xmlns='{}' xmlns:stream='{}'>", ns::CLIENT, ns::STREAM);
        self.write(header.as_bytes()).await?;
        let features = self.next().await?;
        if features.is("features", ns::STREAM) { Ok(()) } else { Err(refused(&features)) }
    }

    /// What comes next is a new stream.
    pub(super) fn restart(&mut self) {
        self.reader.restart();
    }

    pub(super) async fn send(&mut self, element: &Element) -> Result<(), Broken> {
        let mut bytes = Vec::new();
        element.write(&mut bytes);
        self.write(&bytes).await
    }

    /// Says that nothing more will be said.
    pub(super) async fn end(&mut self) -> Result<(), Broken> {
        self.write(b"</stream:stream>").await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        match &mut self.fuse {
            None => Ok(self.inner.write_all(bytes).await?),
            Some(Fuse::Bytes(left)) if bytes.len() < *left => {
                *left -= bytes.len();
                Ok(self.inner.write_all(bytes).await?)
            }
            Some(Fuse::Bytes(left)) => {
                let left = std::mem::take(left);
                self.inner.write_all(&bytes[..left]).await?;
                Err(Broken::Cut)
            }
            Some(Fuse::Elements(left)) => {
                *left = left.saturating_sub(1);
                let is_last = *left == 0;
                self.inner.write_all(bytes).await?;
                if is_last { Err(Broken::Cut) } else { Ok(()) }
            }
        }
    }

    /// The next element. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Element, Broken> {
        match self.kept.pop_front() {
            Some(element) => Ok(element),
            None => self.read().await,
        }
    }

    /// Waits for the next element and keeps it for whoever asks for one later.
    pub(super) async fn keep_next(&mut self) -> Result<(), Broken> {
        let element = self.read().await?;
        self.kept.push_back(element);
        Ok(())
    }

    async fn read(&mut self) -> Result<Element, Broken> {
        loop {
            match self.reader.poll().map_err(|error| Broken::Unreadable(error.to_string()))? {
                Some(StreamEvent::Element(element)) if element.is("error", ns::STREAM) => {
                    let condition = element.children().next().map(|child| child.name().to_owned());
                    return Err(Broken::Stream(condition.unwrap_or_default()));
                }
                Some(StreamEvent::Element(element)) => return Ok(element),
                Some(StreamEvent::Open(_)) => {}
                Some(StreamEvent::Close) => return Err(Broken::Ended),
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

/// The server refused something with these words.
pub(super) fn refused(answer: &Element) -> Broken {
    Broken::Refused(answer.to_string())
}
