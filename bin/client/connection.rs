//! One socket, what waits to go out, and the framer of what came in.
//!
//! Writing and reading go on at the same time: a caller that queues bytes never blocks on a server that does not
//! read while it still has something to say itself. Invariant: `outgoing` holds bytes not yet taken by the socket,
//! in order, from `written` on.

use super::error::{ClientError, Step};
use super::framing::{Frame, Framer};
use super::node::Node;
use super::stanza::Stanza;
use super::tls;
use rustls::ClientConfig;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Longest opening tag of a stream that is kept.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// The socket.
#[derive(Debug)]
enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Only while the handshake owns the TCP stream; a failed handshake leaves it behind.
    Gone,
}

/// A connection to a server. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    /// What came in.
    pub(crate) incoming: Framer,
    outgoing: Vec<u8>,
    written: usize,
    header: String,
}

impl Connection {
    /// Connects by TCP, to `host:port`.
    ///
    /// # Errors
    /// The name is unknown or nobody listens there.
    pub(crate) async fn open(address: &str) -> Result<Connection, ClientError> {
        let fault = |source| ClientError::Connect { address: address.to_owned(), source };
        let stream = TcpStream::connect(address).await.map_err(fault)?;
        stream.set_nodelay(true).map_err(fault)?;
        Ok(Connection {
            socket: Socket::Plain(stream),
            incoming: Framer::new(),
            outgoing: Vec::new(),
            written: 0,
            header: String::new(),
        })
    }

    /// Encrypts the connection.
    ///
    /// # Errors
    /// The handshake failed, or the server sent plain bytes behind its `<proceed/>` (an injection).
    pub(crate) async fn encrypt(&mut self, settings: &Arc<ClientConfig>, domain: &str) -> Result<(), ClientError> {
        if self.incoming.has_unread() {
            return Err(ClientError::Unexpected(Step::Tls, "bytes before the handshake".to_owned()));
        }
        if let Socket::Plain(stream) = std::mem::replace(&mut self.socket, Socket::Gone) {
            let stream = tls::handshake(settings, domain, stream).await?;
            self.socket = Socket::Tls(Box::new(stream));
        }
        Ok(())
    }

    /// The bytes that wait to go out; what is appended goes out with the next [`Connection::poll_io`].
    pub(crate) fn outgoing(&mut self) -> &mut Vec<u8> {
        if self.written == self.outgoing.len() {
            self.outgoing.clear();
            self.written = 0;
        }
        &mut self.outgoing
    }

    /// How many bytes wait to go out.
    pub(crate) fn outgoing_bytes(&self) -> usize {
        self.outgoing.len() - self.written
    }

    /// Writes what the socket takes, then reads what there is. Ready when bytes came in, or `false` at the end.
    pub(crate) fn poll_io(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, ClientError>> {
        if let Poll::Ready(Err(error)) = self.poll_write(context) {
            // What the server said before it closed tells more than the failed write.
            return match self.poll_read(context) {
                Poll::Ready(Ok(true)) => Poll::Ready(Ok(true)),
                Poll::Ready(_) | Poll::Pending => Poll::Ready(Err(error)),
            };
        }
        self.poll_read(context)
    }

    /// Waits until something came in; `false` at the end. Can be dropped and called again.
    pub(crate) async fn fill(&mut self) -> Result<bool, ClientError> {
        poll_fn(|context| self.poll_io(context)).await
    }

    /// Waits until everything went out. What comes in meanwhile stays in the operating system.
    pub(crate) async fn flush(&mut self) -> Result<(), ClientError> {
        poll_fn(|context| self.poll_write(context)).await
    }

    /// Waits for the next stanza, parsed whole.
    ///
    /// # Errors
    /// The stream ended (a stream error by its condition), or what came is no stanza.
    pub(crate) async fn stanza(&mut self, step: Step) -> Result<Node, ClientError> {
        loop {
            match self.incoming.poll()? {
                Some(Frame::Stanza(bytes)) => {
                    let node = parse(&self.header, bytes, step)?;
                    return if is_stream_error(&node) { Err(stream_error(&node)) } else { Ok(node) };
                }
                Some(Frame::Open(_)) => return Err(ClientError::Unexpected(step, "a second stream".to_owned())),
                Some(Frame::Close) => return Err(ClientError::Closed(step)),
                None => {
                    if !self.fill().await? {
                        return Err(ClientError::Closed(step));
                    }
                }
            }
        }
    }

    /// Hands every stanza that was read to `take`, and says whether the stream is still up.
    ///
    /// # Errors
    /// The stream ended: closed, or by a stream error, whose condition is told.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(Stanza<'_>)) -> Result<(), ClientError> {
        while let Some(frame) = self.incoming.poll()? {
            match frame {
                Frame::Stanza(bytes) => {
                    let stanza = Stanza(bytes);
                    if stanza.name().ends_with(b"error") {
                        let node = parse(&self.header, bytes, Step::Session)?;
                        if is_stream_error(&node) {
                            return Err(stream_error(&node));
                        }
                    }
                    take(stanza);
                }
                Frame::Open(_) => return Err(ClientError::Unexpected(Step::Session, "a second stream".to_owned())),
                Frame::Close => return Err(ClientError::Closed(Step::Session)),
            }
        }
        Ok(())
    }

    /// The opening tag of the server's stream, for parsing a stanza of it.
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// Opens a stream (again, after TLS and SASL) and returns its features.
    ///
    /// # Errors
    /// The server refused, or does not speak XMPP.
    pub(crate) async fn open_stream(&mut self, domain: &str) -> Result<Node, ClientError> {
        self.incoming.restart();
        let out = self.outgoing();
        out.extend_from_slice(b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' ");
        out.extend_from_slice(b"xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='");
        super::escape_into(out, domain);
        out.extend_from_slice(b"'>");
        loop {
            match self.incoming.poll()? {
                Some(Frame::Open(header)) => {
                    let header = std::str::from_utf8(header).ok().filter(|header| header.len() <= HEADER_BYTES_MAX);
                    let header = header.ok_or_else(|| {
                        ClientError::Unexpected(Step::Stream, "an opening tag that is no text".to_owned())
                    })?;
                    self.header = header.to_owned();
                    break;
                }
                Some(Frame::Stanza(_) | Frame::Close) => return Err(ClientError::Closed(Step::Stream)),
                None => {
                    if !self.fill().await? {
                        return Err(ClientError::Closed(Step::Stream));
                    }
                }
            }
        }
        let features = self.stanza(Step::Stream).await?;
        if features.name == "features" {
            return Ok(features);
        }
        Err(ClientError::Unexpected(Step::Stream, features.name))
    }

    /// Closes the stream and waits until the server has closed it too, at most `patience`. Whoever does not answer
    /// is left alone: there is nothing more to lose.
    pub(crate) async fn close(mut self, patience: Duration) {
        self.outgoing().extend_from_slice(b"</stream:stream>");
        let goodbye = async {
            loop {
                match self.incoming.poll() {
                    Ok(Some(Frame::Close)) | Err(_) => return,
                    Ok(Some(_)) => {}
                    Ok(None) => match self.fill().await {
                        Ok(true) => {}
                        Ok(false) | Err(_) => return,
                    },
                }
            }
        };
        // A time-out and a clean end are the same to the caller.
        let _ = tokio::time::timeout(patience, goodbye).await;
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        if self.written == self.outgoing.len() && self.outgoing.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < self.outgoing.len() {
            let rest = &self.outgoing[self.written..];
            let taken = match &mut self.socket {
                Socket::Plain(stream) => Pin::new(stream).poll_write(context, rest),
                Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, rest),
                Socket::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            };
            match taken {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return Poll::Pending,
            }
        }
        if let Socket::Tls(stream) = &mut self.socket {
            match Pin::new(stream.as_mut()).poll_flush(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.outgoing.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, ClientError>> {
        let mut room = ReadBuf::new(self.incoming.spare()?);
        let read = match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(context, &mut room),
            Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, &mut room),
            Socket::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        let count = room.filled().len();
        match read {
            Poll::Ready(Ok(())) => {
                self.incoming.filled(count);
                Poll::Ready(Ok(count > 0))
            }
            // A peer that closes TLS without its farewell is at the end like any other.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(false)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn parse(header: &str, bytes: &[u8], step: Step) -> Result<Node, ClientError> {
    Node::parse(header, bytes).ok_or_else(|| ClientError::Unexpected(step, "XML that is not well formed".to_owned()))
}

fn is_stream_error(node: &Node) -> bool {
    node.is("error", "http://etherx.jabber.org/streams")
}

fn stream_error(node: &Node) -> ClientError {
    ClientError::Stream { condition: node.condition().to_owned(), text: node.condition_text().to_owned() }
}
