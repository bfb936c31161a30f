//! Accepts connections and shakes hands with a bounded number of strangers at a time.
//!
//! ```text
//! accept ─▶ seat ─▶ prove: knows the join secret ─▶ greet: says who it is ─▶ link
//! ```
//!
//! If all seats are taken, those who have proven nothing have to go first ([`Attendance`]).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::admission::{Host, Network};
use cresset_core::links::{NotEntered, Slot};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::data::DataService;
use super::dial::{HANDSHAKE_TIME_MAX, TELL_EVERY};
use super::event::{HelloRefusal, LinkEvent, LinkFault};
use super::handshake::{self, Proven};
use super::hello::{Hello, reason_number};
use super::identity::{Direction, Lane};
use super::link::{self, Link, Outlet};
use super::registry::Inlet;
use super::shared::{Registration, Shared};
use super::wire::BoxedStream;
use crate::attendance::{Attendance, after};
use crate::transport::Transport;

/// Handshakes at a time. Beyond it one is given up for the next.
const HANDSHAKES_MAX: usize = 64;

/// The pause after an accept that failed, which it does when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `stop`; then the port is free.
pub(super) async fn run<T: Transport, D: DataService>(
    shared: Arc<Shared<D>>,
    transport: T,
    mut listener: T::Listener,
    mut stop: oneshot::Receiver<()>,
) {
    let mut handshakes: Attendance<Network, Result<Step<D>, (SocketAddr, HelloRefusal)>> =
        Attendance::new(HANDSHAKES_MAX);
    transport.hear_first(&listener);
    let mut complaints = Complaints::default();
    let mut pause = Duration::ZERO;
    loop {
        let wait = pause.max(handshakes.next_after());
        tokio::select! {
            biased;
            _ = &mut stop => return,
            Some((number, step)) = handshakes.next() => match step {
                Ok(Step::Proven(proven, stranger)) => {
                    handshakes.goes_on(number, greet(shared.clone(), proven, stranger));
                }
                Ok(Step::Greeted(link)) => {
                    handshakes.leaves(number);
                    begin(&shared, *link);
                }
                Err((address, refusal)) => {
                    handshakes.leaves(number);
                    complaints.tell(&shared, address, refusal);
                }
            },
            accepted = after(wait, transport.accept(&mut listener)) => match accepted {
                Ok((stream, address)) => {
                    pause = Duration::ZERO;
                    let stranger = Stranger { address, deadline: Instant::now() + HANDSHAKE_TIME_MAX };
                    let proving = prove(shared.clone(), Box::new(stream), stranger);
                    handshakes.begin(Host::of(address.ip()).network(), |_| proving);
                }
                Err(error) => {
                    tracing::debug!(%error, "accepting a peer failed");
                    pause = ACCEPT_PAUSE;
                }
            }
        }
    }
}

/// Runs a link on the threads of its lane.
fn begin<D: DataService>(shared: &Arc<Shared<D>>, mut link: Link<D>) {
    let (lane, task) = (link.registration.slot.lane, shared.clone());
    shared.spawn(lane, async move {
        if lane == Lane::Data {
            match link.acquainted.wire.migrate() {
                Ok(wire) => link.acquainted.wire = wire,
                Err(error) => return tracing::debug!(%error, "a data lane was lost before it was up"),
            }
        }
        link::run(&task, link).await;
    });
}

/// A stranger with whom hands are shaken.
#[derive(Clone, Copy)]
struct Stranger {
    address: SocketAddr,
    deadline: Instant,
}

/// How far a handshake is.
enum Step<D: DataService> {
    Proven(Box<Proven>, Stranger),
    Greeted(Box<Link<D>>),
}

async fn prove<D: DataService>(
    shared: Arc<Shared<D>>,
    stream: BoxedStream,
    stranger: Stranger,
) -> Result<Step<D>, (SocketAddr, HelloRefusal)> {
    let proving = timeout_at(stranger.deadline, handshake::prove(stream, &shared.security));
    let proven = proving.await.unwrap_or(Err(HelloRefusal::Unfinished));
    proven.map(|proven| Step::Proven(Box::new(proven), stranger)).map_err(|refusal| (stranger.address, refusal))
}

async fn greet<D: DataService>(
    shared: Arc<Shared<D>>,
    proven: Box<Proven>,
    stranger: Stranger,
) -> Result<Step<D>, (SocketAddr, HelloRefusal)> {
    let judge = |hello: &Hello| admit(&shared, hello, stranger.address);
    let identity = shared.identity_now();
    let greeting = timeout_at(stranger.deadline, handshake::greet(*proven, &identity, judge));
    match greeting.await.unwrap_or(Err(HelloRefusal::Unfinished)) {
        Ok((acquainted, registration)) => {
            Ok(Step::Greeted(Box::new(Link { acquainted, registration, outlet: Outlet::None })))
        }
        Err(refusal) => Err((stranger.address, refusal)),
    }
}

fn admit<D: DataService>(
    shared: &Arc<Shared<D>>,
    hello: &Hello,
    address: SocketAddr,
) -> Result<Registration<D>, HelloRefusal> {
    let peer = hello.peer();
    let slot = Slot { member: peer.member, lane: hello.lane, direction: Direction::Accepted };
    shared.enter(slot, peer.boot, address, Inlet::None).map_err(|why| match why {
        NotEntered::Refused(refusal) => refusal.into(),
        NotEntered::Alias | NotEntered::Unwanted => unreachable!("only links that are dialled have aliases"),
    })
}

/// Tells of refusals, once a minute for each kind: strangers must not be able to fill a log.
#[derive(Default)]
struct Complaints {
    told: BTreeMap<u8, Instant>,
}

impl Complaints {
    fn tell<D: DataService>(&mut self, shared: &Shared<D>, address: SocketAddr, refusal: HelloRefusal) {
        // A process that looks for itself, one that is early, one that has left and is about to end, one that ends in the
        // middle of a handshake, and an operator's command that asks are in order.
        let is_in_order = matches!(
            refusal,
            HelloRefusal::SelfConnection
                | HelloRefusal::NotCurrent
                | HelloRefusal::Superseded
                | HelloRefusal::OnlyAsked
                | HelloRefusal::BrokenOff(LinkFault::Ended | LinkFault::Reset)
        );
        if is_in_order {
            tracing::debug!(%address, %refusal, "a connection that led to no link");
            return;
        }
        let now = Instant::now();
        let kind = reason_number(&refusal);
        if self.told.get(&kind).is_some_and(|told| now.duration_since(*told) < TELL_EVERY) {
            tracing::trace!(%address, %refusal, "refused a connection");
            return;
        }
        self.told.insert(kind, now);
        tracing::warn!(%address, %refusal, "refused a connection; more of the kind are not logged for a minute");
        // Accepting must not wait for the control plane, and this is for people, who have the log.
        if shared.events.try_send(LinkEvent::HelloRefused { address, direction: Direction::Accepted, refusal }).is_err()
        {
            tracing::trace!("the control plane has no room for it");
        }
    }
}
