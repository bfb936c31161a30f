//! Streams over the simulated network. What passes is part of the trace, and what a node tells its clients is part of
//! the history.
//!
//! A cut must be made by holding what is under way, as TCP does by sending again, and never by dropping it: the
//! simulated network would answer a dropped request to connect with a refusal, which is the evidence of a crash.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cresset_net::transport::Transport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

use super::tap::{Resumable, Tap};
use crate::history::History;
use crate::trace::{Detail, Trace};

/// Where nodes listen for each other.
pub const PEER_PORT: u16 = 5701;

/// Where nodes listen for clients.
pub const CLIENT_PORT: u16 = 5222;

/// The network as one host sees it.
#[derive(Clone, Debug)]
pub struct SimulatedTransport {
    host: Arc<str>,
    history: History,
    resumable: Resumable,
}

/// One connection, watched.
pub struct Stream {
    inner: TcpStream,
    host: Arc<str>,
    trace: Trace,
    local: SocketAddr,
    remote: SocketAddr,
    /// Listens to what a node tells a client.
    tap: Option<Tap>,
}

impl SimulatedTransport {
    /// The network as the host of this name sees it.
    pub fn new(host: &str, history: History) -> Self {
        SimulatedTransport { host: host.into(), history, resumable: Resumable::default() }
    }

    fn watch(&self, inner: TcpStream, tap: Option<Tap>) -> io::Result<Stream> {
        let (local, remote) = (inner.local_addr()?, inner.peer_addr()?);
        Ok(Stream { inner, host: self.host.clone(), trace: self.history.trace().clone(), local, remote, tap })
    }

    fn note(&self, what: &str, address: SocketAddr) {
        self.history.trace().note(Detail::Packets, &self.host, format_args!("{what} {address}"));
    }
}

impl Transport for SimulatedTransport {
    type Stream = Stream;
    type Listener = TcpListener;

    async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                self.note("connected to", address);
                self.watch(stream, None)
            }
            Err(error) => {
                self.note(&format!("{} by", error.kind()), address);
                Err(error)
            }
        }
    }

    async fn bind(&self, address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(address).await
    }

    async fn accept(&self, listener: &mut TcpListener) -> io::Result<(Stream, SocketAddr)> {
        let (stream, address) = listener.accept().await?;
        self.note("accepted", address);
        let is_client = listener.local_addr()?.port() == CLIENT_PORT;
        let tap = is_client.then(|| Tap::new(self.host.clone(), address, self.history.clone(), self.resumable.clone()));
        Ok((self.watch(stream, tap)?, address))
    }

    fn local_address(&self, listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }
}

impl Stream {
    fn note(&self, arrow: &str, bytes: &[u8]) {
        let (local, remote) = (self.local.port(), self.remote);
        let what = format_args!("{local} {arrow} {remote}: {} bytes", bytes.len());
        self.trace.note_bytes(Detail::Packets, &self.host, what, bytes);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = std::task::ready!(Pin::new(&mut self.inner).poll_read(context, buffer));
        self.note("◀", &buffer.filled()[before..]);
        Poll::Ready(result)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = std::task::ready!(Pin::new(&mut self.inner).poll_write(context, bytes));
        if let Ok(count) = result {
            self.note("▶", &bytes[..count]);
            if let Some(tap) = &mut self.tap {
                tap.wrote(&bytes[..count]);
            }
        }
        Poll::Ready(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
