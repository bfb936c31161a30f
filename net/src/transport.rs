//! Where byte streams between machines come from: the seam between the links and the network.
//!
//! [`TokioTransport`] is the real side; the simulated side lives with the simulator. The seam is a value that is
//! handed in, not a feature of the build, so that a program never gets the wrong network by accident.
//!
//! It says nothing of security, names or retries: those belong to `links`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(target_os = "linux")]
use nix::sys::socket::setsockopt;
#[cfg(target_os = "linux")]
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that may wait to be accepted. Beyond it the system drops or refuses new ones, and the dialler tries
/// again.
const BACKLOG: u32 = 1024;

/// After how long without a sign the system asks the other side whether it is there. Later than sessions ask their clients
/// unless operators say otherwise: what they ask is sent again if it is lost, and with [`UNACKNOWLEDGED_TIME_MAX`] one
/// question of the system's that is lost is the end.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(300);

/// How long the system waits for an answer.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);

/// How long the other side may leave what it was sent without a sign that it has come. Beyond it the connection is over:
/// without it the system goes on sending for a quarter of an hour. As long as a client may leave unread what it was sent.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIME_MAX: Duration = Duration::from_secs(30);

/// For how long the system keeps a connection on which nothing has come, where it is to hear something first. The
/// shortest time that there is.
#[cfg(target_os = "linux")]
const HEARD_FIRST_SECONDS: i32 = 1;

#[cfg(target_os = "linux")]
sockopt_impl!(
    /// `TCP_DEFER_ACCEPT` (tcp(7)): a connection is accepted when data comes on it, or after so many seconds. A system that
    /// answers with SYN cookies, because as many connections are kept as may wait, accepts at once.
    DeferAccept,
    Both,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    i32
);

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

    /// From here on this connection ends by itself if the other side is gone without a word. Not for members of a cluster,
    /// who look after each other, and for whom the end of a connection is evidence of a crash.
    fn look_after(&self, _stream: &Self::Stream) {}

    /// From here on a connection is accepted with the first bytes of the other side, or a second after it was made. For
    /// ports on which the other side speaks first. Where the system cannot do it, or has more connections to keep than may
    /// wait, they are accepted at once.
    fn hear_first(&self, _listener: &Self::Listener) {}

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

    fn look_after(&self, stream: &TcpStream) {
        if let Err(error) = look_after(stream) {
            // It is over already, and whoever reads from it is told so.
            tracing::trace!(%error, "a connection that cannot be looked after");
        }
    }

    fn hear_first(&self, listener: &TcpListener) {
        #[cfg(target_os = "linux")]
        if let Err(error) = setsockopt(listener, DeferAccept, &HEARD_FIRST_SECONDS) {
            tracing::debug!(%error, "connections are accepted before the other side has said anything");
        }
        #[cfg(not(target_os = "linux"))]
        let _ = listener; // there is nothing to be asked for
    }

    fn local_address(&self, listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }
}

fn look_after(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIME_MAX))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use nix::sys::socket::getsockopt;

    use super::*;

    /// O16.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_system_is_asked_to_hear_the_other_side_first() {
        let listener = TokioTransport.bind(([127, 0, 0, 1], 0).into()).await.expect("a port is free");

        TokioTransport.hear_first(&listener);

        assert_eq!(getsockopt(&listener, DeferAccept), Ok(HEARD_FIRST_SECONDS));
    }

    /// T12.
    #[tokio::test]
    async fn a_connection_ends_by_itself_when_the_other_side_is_gone() {
        let mut listener = TokioTransport.bind(([127, 0, 0, 1], 0).into()).await.expect("a port is free");
        let address = TokioTransport.local_address(&listener).expect("it has an address");
        let connecting = TokioTransport.connect(address);
        let (_dialled, accepted) = tokio::join!(connecting, TokioTransport.accept(&mut listener));
        let (stream, _) = accepted.expect("it dials");

        TokioTransport.look_after(&stream);

        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().expect("it is told"));
        assert_eq!(socket.tcp_keepalive_time().expect("it is told"), KEEPALIVE_AFTER);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().expect("it is told"), Some(UNACKNOWLEDGED_TIME_MAX));
    }
}
