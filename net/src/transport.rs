//! Where byte streams between machines come from: the seam between the links and the network.
//!
//! [`TokioTransport`] is the real side; the simulated side lives with the simulator. The seam is a value that is
//! handed in, not a feature of the build, so that a program never gets the wrong network by accident.
//!
//! It says nothing of security, names or retries: those belong to `links`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that may wait to be accepted. Beyond it the system drops or refuses new ones, and the dialler tries
/// again.
const BACKLOG: u32 = 1024;

/// A network: makes connections and listens for them.
pub trait Transport: Clone + Send + Sync + 'static {
    /// One connection. Closing it, also by dropping it, is seen by the other side.
    type Stream: AsyncRead + AsyncWrite + Migrate + Unpin + Send + 'static;
    /// A port that is listened on.
    type Listener: Send + 'static;

    /// Connects to a listener. A refusal by the port is [`io::ErrorKind::ConnectionRefused`] and nothing else is. It
    /// may wait for as long as the system does; the caller has its own deadline.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Listens on an address; port 0 asks for a free one.
    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// The next connection, with the address it comes from. Dropping the future loses no connection.
    fn accept(
        &self,
        listener: &mut Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// The address that a listener got.
    ///
    /// # Errors
    /// Those of the system.
    fn local_address(&self, listener: &Self::Listener) -> io::Result<SocketAddr>;
}

/// A connection that can be served by other threads than those that accepted it.
pub trait Migrate: Sized {
    /// Registers the connection with the threads of the caller, which are woken for it from here on. What was read stays
    /// read. A connection that nothing has to be registered for stays as it is.
    ///
    /// # Errors
    ///
    /// Those of the system; the connection is closed then.
    fn migrate(self) -> io::Result<Self> {
        Ok(self)
    }
}

impl Migrate for TcpStream {
    fn migrate(self) -> io::Result<Self> {
        TcpStream::from_std(self.into_std()?)
    }
}

/// TCP as tokio has it, without Nagle's delay.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTransport;

impl Transport for TokioTransport {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn bind(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A node that starts again must get its port although connections of its last process are in TIME_WAIT.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    }

    async fn accept(&self, listener: &mut TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, address))
    }

    fn local_address(&self, listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }
}
