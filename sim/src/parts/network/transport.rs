//! Connecting and accepting over the simulated network.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cresset_net::transport::{Migrate, Transport};
use turmoil::net::{TcpListener, TcpStream};

use super::stream::Stream;
use super::switchboard::Switchboard;
use crate::history::History;
use crate::parts::tap::{Resumable, Tap};
use crate::trace::Detail;

/// Where nodes listen for each other.
pub const PEER_PORT: u16 = 5701;

/// Where nodes listen for clients.
pub const CLIENT_PORT: u16 = 5222;

/// The network as one host sees it.
#[derive(Clone, Debug)]
pub struct SimulatedTransport {
    host: Arc<str>,
    address: IpAddr,
    switchboard: Switchboard,
    history: History,
    resumable: Resumable,
}

impl SimulatedTransport {
    /// The network as the host of this name and address sees it.
    pub fn new(host: &str, address: IpAddr, switchboard: Switchboard, history: History) -> Self {
        SimulatedTransport { host: host.into(), address, switchboard, history, resumable: Resumable::default() }
    }

    fn watch(&self, inner: TcpStream, tap: Option<Tap>) -> io::Result<Stream> {
        Stream::new(inner, self.host.clone(), self.switchboard.clone(), self.history.trace().clone(), tap)
    }

    fn note(&self, what: &str, address: SocketAddr) {
        self.history.trace().note(Detail::Packets, &self.host, format_args!("{what} {address}"));
    }

    /// Asks for a connection. The request and its answer, which may be a refusal, each pass when their way is open.
    async fn ask(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let (here, there) = (self.address, address.ip());
        let late = self.switchboard.connect_lateness(here, there);
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        self.switchboard.reach(here, there).await;
        let asked = if self.switchboard.is_refused(here, there) {
            Err(io::ErrorKind::ConnectionRefused.into())
        } else {
            TcpStream::connect(address).await
        };
        self.switchboard.answer(there, here).await;
        asked
    }
}

impl Migrate for Stream {}

impl Transport for SimulatedTransport {
    type Stream = Stream;
    type Listener = TcpListener;

    async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        match self.ask(address).await {
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
