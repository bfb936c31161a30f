//! Accepts connections and shakes hands with a bounded number of strangers at a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::data::DataService;
use super::dial::{HANDSHAKE_TIME_MAX, TELL_EVERY};
use super::event::{HelloRefusal, LinkEvent};
use super::handshake;
use super::hello::{Hello, reason_number};
use super::identity::{Direction, Lane};
use super::link::{self, Link, Outlet};
use super::registry::{Candidate, Inlet, NotEntered, Slot};
use super::shared::{Registration, Shared};
use super::wire::BoxedStream;
use crate::transport::Transport;

/// Handshakes at a time. Beyond it the oldest is given up: a peer needs milliseconds for one, so it is a stranger who
/// holds it.
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
    let mut handshakes = FuturesUnordered::new();
    let mut begun: BTreeMap<u64, oneshot::Sender<()>> = BTreeMap::new();
    let mut count = 0;
    let mut complaints = Complaints::default();
    loop {
        tokio::select! {
            biased;
            _ = &mut stop => return,
            Some((number, address, shaken)) = handshakes.next() => {
                begun.remove(&number);
                match shaken {
                    Ok(link) => begin(&shared, link),
                    Err(refusal) => complaints.tell(&shared, address, refusal),
                }
            }
            accepted = transport.accept(&mut listener) => match accepted {
                Ok((stream, address)) => {
                    if begun.len() >= HANDSHAKES_MAX {
                        // Dropping its sender ends the handshake.
                        begun.pop_first();
                    }
                    count += 1;
                    let (keep, given_up) = oneshot::channel();
                    begun.insert(count, keep);
                    let shaking = shake(shared.clone(), Box::new(stream), address, given_up);
                    let number = count;
                    handshakes.push(async move { (number, address, shaking.await) });
                }
                Err(error) => {
                    tracing::debug!(%error, "accepting a peer failed");
                    sleep(ACCEPT_PAUSE).await;
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

async fn shake<D: DataService>(
    shared: Arc<Shared<D>>,
    stream: BoxedStream,
    address: SocketAddr,
    mut given_up: oneshot::Receiver<()>,
) -> Result<Link<D>, HelloRefusal> {
    let judge = |hello: &Hello| admit(&shared, hello, address);
    let identity = shared.identity_now();
    let greeting = handshake::accept(stream, &shared.security, &identity, judge);
    let greeted = tokio::select! {
        biased;
        _ = &mut given_up => return Err(HelloRefusal::Unfinished),
        greeted = timeout(HANDSHAKE_TIME_MAX, greeting) => greeted,
    };
    let (acquainted, registration) = greeted.unwrap_or(Err(HelloRefusal::Unfinished))?;
    Ok(Link { acquainted, registration, outlet: Outlet::None })
}

fn admit<D: DataService>(
    shared: &Arc<Shared<D>>,
    hello: &Hello,
    address: SocketAddr,
) -> Result<Registration<D>, HelloRefusal> {
    let peer = hello.peer();
    let slot = Slot { member: peer.member, lane: hello.lane, direction: Direction::Accepted };
    shared.enter(Candidate { slot, boot: peer.boot, address, inlet: Inlet::None }).map_err(|why| match why {
        NotEntered::Refused(refusal) => refusal,
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
        // A process that looks for itself, one that is early, one that has left and is about to end, and an operator's
        // command that asks are in order.
        let is_in_order = matches!(
            refusal,
            HelloRefusal::SelfConnection
                | HelloRefusal::NotCurrent
                | HelloRefusal::Superseded
                | HelloRefusal::OnlyAsked
        );
        if is_in_order {
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
