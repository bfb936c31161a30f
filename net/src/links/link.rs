//! One link, from the end of its handshake to its last event.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use cresset_core::node::Peer;
use cresset_core::wire::LinkFormat;
use tokio::sync::{mpsc, oneshot};

use super::control;
use super::data::DataService;
use super::event::{LinkEvent, LinkFault, LinkUp};
use super::handshake::Acquainted;
use super::identity::{Direction, Lane};
use super::raft::{self, Call};
use super::registry::Inlet;
use super::shared::{Registration, Shared};
use super::wire::{Reading, Wire};

/// The receiving end of a link's queue.
pub(super) enum Outlet {
    None,
    Control(mpsc::Receiver<Bytes>),
    Raft(mpsc::Receiver<Call>),
}

/// The queue of a link, of what is written in this format.
pub(super) fn queue(lane: Lane, direction: Direction, format: LinkFormat) -> (Inlet, Outlet) {
    match (direction, lane) {
        (Direction::Dialled, Lane::Control) => {
            let (inlet, outlet) = mpsc::channel(control::QUEUE_MESSAGES_MAX);
            (Inlet::Control(format, inlet), Outlet::Control(outlet))
        }
        (Direction::Dialled, Lane::Raft) => {
            let (inlet, outlet) = mpsc::channel(raft::QUEUE_CALLS_MAX);
            (Inlet::Raft(inlet), Outlet::Raft(outlet))
        }
        (Direction::Dialled, Lane::Data) | (Direction::Accepted, Lane::Control | Lane::Raft | Lane::Data) => {
            (Inlet::None, Outlet::None)
        }
    }
}

/// A link that is about to be up.
pub(super) struct Link<D: DataService> {
    pub(super) acquainted: Acquainted,
    pub(super) registration: Registration<D>,
    pub(super) outlet: Outlet,
}

/// A connection of the data lane while an outbox or an inbox uses it.
pub(super) struct Attached {
    pub(super) wire: Wire,
    closed: oneshot::Receiver<LinkFault>,
    ended: oneshot::Sender<LinkFault>,
}

impl Attached {
    /// Moves bytes of the connection, if there is one; else waits for ever.
    pub(super) async fn turn(attached: &mut Option<Attached>, reading: Reading) -> Result<(), LinkFault> {
        let Some(Attached { wire, closed, .. }) = attached else { return std::future::pending().await };
        tokio::select! {
            biased;
            fault = closed => Err(fault.unwrap_or(LinkFault::Stopped)),
            turned = wire.turn(reading) => turned,
        }
    }

    /// Gives the connection up.
    pub(super) fn end(self, fault: LinkFault) {
        if self.ended.send(fault).is_err() {
            tracing::trace!("a link whose task is gone");
        }
    }
}

/// Runs a link, telling its beginning and its end.
pub(super) async fn run<D: DataService>(shared: &Arc<Shared<D>>, link: Link<D>) {
    let Link { acquainted: Acquainted { wire, theirs, version }, mut registration, outlet } = link;
    let (peer, lane, direction, id) = (theirs.peer(), theirs.lane, registration.slot.direction, registration.link);
    let closed = registration.take_closed();
    let address: SocketAddr = theirs.identity.address;
    let (name, program) = (theirs.identity.name, theirs.identity.program);
    tracing::debug!(link = id.0, member = %peer.member, boot = %peer.boot, ?lane, ?direction, version, "link up");
    shared.report(LinkEvent::Up(LinkUp { link: id, peer, name, address, lane, direction, version, program })).await;

    let ended = match (lane, direction, outlet) {
        (Lane::Control, _, Outlet::Control(queue)) => control::send(wire, queue, closed).await,
        (Lane::Raft, _, Outlet::Raft(queue)) => raft::send(wire, queue, closed).await,
        (Lane::Control, _, _) => control::receive(wire, peer, shared.events.clone(), closed).await,
        (Lane::Raft, _, _) => raft::serve(wire, peer, shared.raft.clone(), closed).await,
        (Lane::Data, _, _) => Err(attach(shared, wire, closed, peer, direction).await),
    };
    let Err(fault) = ended;

    drop(registration);
    tracing::debug!(link = id.0, member = %peer.member, boot = %peer.boot, ?lane, ?direction, %fault, "link closed");
    shared.report(LinkEvent::Closed { link: id, peer, lane, direction, fault }).await;
}

/// Lends a connection to the outbox or inbox of the peer and waits until it is given up.
async fn attach<D: DataService>(
    shared: &Arc<Shared<D>>,
    wire: Wire,
    closed: oneshot::Receiver<LinkFault>,
    peer: Peer,
    direction: Direction,
) -> LinkFault {
    let (ended, end) = oneshot::channel();
    let attached = Attached { wire, closed, ended };
    let connections = match direction {
        Direction::Dialled => shared.lanes.pin().get(&peer.member).and_then(|lane| lane.connections_of(peer)),
        Direction::Accepted => shared.inbox_connections(peer),
    };
    match connections {
        Some(connections) if connections.send(attached).await.is_ok() => end.await.unwrap_or(LinkFault::Superseded),
        Some(_) | None => LinkFault::Superseded,
    }
}
