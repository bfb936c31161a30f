//! Meshes that talk to each other, over loopback and over pipes whose time is tokio's paused clock.

// A test waits for one event and lets all others pass, whatever they are.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod bytes_on_the_wire;
mod data_lane;
mod decoders;
mod examples;
mod hostile;
mod talking;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cresset_core::cluster::VersionRange;
use cresset_core::config::Timing;
use cresset_core::config::alike::Alike;
use cresset_core::ids::{BootId, Incarnation, Life, LogIndex, MemberId};
use cresset_core::routing::{Missed, Parcel, Redecide, Refused, StanzaName};
use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::runtime::{self, Workers};
use crate::transport::{Migrate, TokioTransport, Transport};
pub(crate) use decoders::decoders;
pub(crate) use examples::examples;

/// How long a test waits for what must come. Far beyond what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node of a test: a mesh and what it reports.
struct Node {
    mesh: Mesh<Sessions>,
    events: mpsc::Receiver<LinkEvent>,
    /// Events that nobody has waited for yet.
    passed: Vec<LinkEvent>,
    sessions: mpsc::UnboundedReceiver<Told>,
}

impl Node {
    async fn start(member: u64) -> Node {
        Node::start_as(TokioTransport, identity(member), noise()).await
    }

    async fn start_as<T: Transport>(transport: T, identity: Identity, security: LinkSecurity) -> Node {
        let (tell, sessions) = mpsc::unbounded_channel();
        let services =
            Services { raft: Arc::new(Answers), data: Arc::new(Sessions { tell }), workers: Workers::here() };
        let (mesh, events) = Mesh::start(transport, identity.address, identity, security, services).await.unwrap();
        Node { mesh, events, passed: Vec::new(), sessions }
    }

    fn address(&self) -> SocketAddr {
        self.mesh.identity().address
    }

    fn peer(&self) -> Peer {
        Peer { member: self.mesh.identity().member, boot: self.mesh.identity().boot }
    }

    fn dial(&self, others: &[&Node]) {
        self.mesh.set_peers(others.iter().map(|other| other.address()).collect());
    }

    /// The first event of which `pick` makes something. The others may be waited for later.
    async fn wait<R>(&mut self, mut pick: impl FnMut(LinkEvent) -> Option<R>) -> R {
        if let Some((at, found)) =
            self.passed.iter().enumerate().find_map(|(at, event)| Some((at, pick(event.clone())?)))
        {
            self.passed.remove(at);
            return found;
        }
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the mesh runs");
                if let Some(found) = pick(event.clone()) {
                    return found;
                }
                self.passed.push(event);
            }
        };
        timeout(PATIENCE, search).await.expect("what must come comes")
    }

    async fn wait_up(&mut self, lane: Lane, direction: Direction) -> LinkUp {
        self.wait(|event| match event {
            LinkEvent::Up(up) if up.lane == lane && up.direction == direction => Some(up),
            _ => None,
        })
        .await
    }

    async fn wait_closed(&mut self, lane: Lane, direction: Direction) -> LinkFault {
        self.wait(|event| match event {
            LinkEvent::Closed { lane: at, direction: by, fault, .. } if (at, by) == (lane, direction) => Some(fault),
            _ => None,
        })
        .await
    }

    async fn wait_refusal(&mut self) -> (Direction, HelloRefusal) {
        self.wait(|event| match event {
            LinkEvent::HelloRefused { direction, refusal, .. } => Some((direction, refusal)),
            _ => None,
        })
        .await
    }

    async fn wait_control(&mut self) -> (Peer, Bytes) {
        self.wait(|event| match event {
            LinkEvent::Control { peer, message, .. } => Some((peer, message)),
            _ => None,
        })
        .await
    }

    async fn told(&mut self) -> Told {
        timeout(PATIENCE, self.sessions.recv()).await.expect("what must come comes").expect("the mesh runs")
    }
}

/// What the lanes say to the sessions of a test.
#[derive(Debug, PartialEq)]
enum Told {
    Delivered(Parcel),
    Nudged,
    Inherited(Parcel),
    Handled(u64),
    Redecide(Redecide<u64>),
    Refused(Refused<u64>),
    Passed(u64),
}

/// Takes every parcel except those for the route of index 404.
struct Sessions {
    tell: mpsc::UnboundedSender<Told>,
}

impl Sessions {
    fn tell(&self, told: Told) {
        // A test that does not listen to its sessions has dropped the other end.
        let _unheard = self.tell.send(told);
    }
}

impl DataService for Sessions {
    type Origin = u64;
    type Pass = u64;

    fn deliver(&self, parcel: Parcel) -> Result<(), Box<Missed>> {
        if parcel.route.index == LogIndex(404) {
            return Err(Box::new(Missed { parcel, index: LogIndex(500) }));
        }
        self.tell(Told::Delivered(parcel));
        Ok(())
    }

    fn nudge(&self, _route: cresset_core::ids::RouteId) {
        self.tell(Told::Nudged);
    }

    fn inherit(&self, parcel: Parcel, _: Option<StanzaName>) {
        self.tell(Told::Inherited(parcel));
    }

    fn handled(&self, origin: u64) {
        self.tell(Told::Handled(origin));
    }

    fn redecide(&self, _peer: Peer, again: Redecide<u64>) {
        self.tell(Told::Redecide(again));
    }

    fn refused(&self, refused: Refused<u64>) {
        self.tell(Told::Refused(refused));
    }

    fn passed(&self, pass: u64) {
        self.tell(Told::Passed(pass));
    }
}

/// Sends requests back, except those that say `never`.
struct Answers;

impl RaftService for Answers {
    fn handle(&self, _peer: Peer, request: Bytes) -> BoxFuture<'static, Bytes> {
        async move {
            if request == "never" {
                std::future::pending::<()>().await;
            }
            request
        }
        .boxed()
    }
}

fn identity(member: u64) -> Identity {
    Identity {
        cluster: "chat.example".into(),
        member: MemberId(member),
        boot: BootId(1000 + member),
        name: format!("node-{member}"),
        address: ([127, 0, 0, 1], 0).into(),
        versions: VersionRange { min: 1, max: 3 },
        machine: "here".into(),
        program: format!("0.{member}.0"),
        alike: Some(alike()),
    }
}

fn alike() -> Alike {
    Alike {
        domain: "chat.example".into(),
        name: "cresset".into(),
        former_name: String::new(),
        times: Timing::default().times(),
        times_are_agreed: false,
        crash_evidence: true,
    }
}

/// The key is slow to derive on purpose, so all tests share one.
fn noise() -> LinkSecurity {
    static SECRET: OnceLock<JoinSecret> = OnceLock::new();
    LinkSecurity::Noise(SECRET.get_or_init(|| JoinSecret::derive(b"correct horse battery staple")).clone())
}

/// Declares both current on both sides.
fn acquaint(one: &Node, other: &Node) {
    one.mesh.set_current(other.peer(), life_of(other).incarnation);
    other.mesh.set_current(one.peer(), life_of(one).incarnation);
}

/// The life that a node leads, once it is acquainted.
fn life_of(node: &Node) -> Life {
    let Peer { member, boot } = node.peer();
    Life { member, incarnation: Incarnation(boot.0) }
}

fn block_on_one_thread<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(runtime::scope(1, test));
}

fn block_on_two_threads<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(runtime::scope(1, test));
}

/// On pipes, with a clock that jumps when nothing else is left to do.
fn block_on_paused<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(runtime::scope(1, test));
}

/// A network in memory that can be frozen: then no byte moves and no connection ends, which is what a cut cable looks
/// like.
#[derive(Clone, Default)]
struct Pipes {
    listeners: Arc<Mutex<Vec<(SocketAddr, Accepting)>>>,
    frozen: Arc<AtomicBool>,
}

type Accepting = mpsc::UnboundedSender<(Pipe, SocketAddr)>;

struct PipeListener {
    address: SocketAddr,
    accepted: mpsc::UnboundedReceiver<(Pipe, SocketAddr)>,
    pipes: Pipes,
}

impl Drop for PipeListener {
    fn drop(&mut self) {
        self.pipes.listeners.lock().unwrap().retain(|(address, _)| *address != self.address);
    }
}

struct Pipe {
    stream: DuplexStream,
    frozen: Arc<AtomicBool>,
}

impl Migrate for Pipe {}

impl Transport for Pipes {
    type Stream = Pipe;
    type Listener = PipeListener;

    async fn connect(&self, address: SocketAddr) -> io::Result<Pipe> {
        if self.frozen.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let listeners = self.listeners.lock().unwrap();
        let (_, accepting) = listeners.iter().find(|(at, _)| *at == address).ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = tokio::io::duplex(64 * 1024);
        accepting.send((self.pipe(far), address)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(self.pipe(near))
    }

    async fn bind(&self, mut address: SocketAddr) -> io::Result<PipeListener> {
        let mut listeners = self.listeners.lock().unwrap();
        if address.port() == 0 {
            address.set_port(1 + u16::try_from(listeners.len()).unwrap());
        }
        let (accepting, accepted) = mpsc::unbounded_channel();
        listeners.push((address, accepting));
        Ok(PipeListener { address, accepted, pipes: self.clone() })
    }

    async fn accept(&self, listener: &mut PipeListener) -> io::Result<(Pipe, SocketAddr)> {
        Ok(listener.accepted.recv().await.expect("the listener is in the table while it lives"))
    }

    fn local_address(&self, listener: &PipeListener) -> io::Result<SocketAddr> {
        Ok(listener.address)
    }
}

impl Pipes {
    fn pipe(&self, stream: DuplexStream) -> Pipe {
        Pipe { stream, frozen: self.frozen.clone() }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.frozen.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, room)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.frozen.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// No address at all, for nodes that lost all their peers.
fn nobody() -> BTreeSet<SocketAddr> {
    BTreeSet::new()
}
