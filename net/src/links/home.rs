//! The sending side of the data lane to one life of another member: a task that owns the outbox.
//!
//! ```text
//! sessions ──ToLane──▶ queue ─▶ Outbox ─▶ wire        connections come and go, the outbox stays
//!    ▲                            │  ▲
//!    └── handled, redecide, ──────┘  └── answers, confirmations, how far this node has applied
//!        passed
//! ```
//!
//! The queue is not read while the outbox is full, so its senders wait, and with them their clients' sockets: what waits
//! in it is bounded (see [`queue`](super::queue)). Answers and confirmations, which make room, are always read.

use std::sync::Arc;

use cresset_core::ids::{BootId, Incarnation, LogIndex, Sequence};
use cresset_core::node::Peer;
use cresset_core::routing::{DataAnswer, Outbox, OutboxOrder};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use super::data::{DataService, ToLane};
use super::event::LinkFault;
use super::frame::FrameKind;
use super::link::Attached;
use super::queue::{Inlet, Outlet, queue};
use super::shared::{End, EndTeller};
use super::wire::Reading;
use crate::runtime;
use crate::witness::{self, Fact};

/// Requests that are taken before bytes are moved again.
const BATCH_MAX: usize = 512;

/// Confirmations that wait for the lane, which takes them before anything else. Beyond it their senders wait a moment.
const CONFIRMED_MAX: usize = 1024;

type Request<D> = ToLane<<D as DataService>::Origin, <D as DataService>::Pass>;

/// The lane to one life of another member, as sessions use it.
pub struct DataLane<D: DataService> {
    peer: Peer,
    queue: Inlet<D::Origin, D::Pass>,
}

impl<D: DataService> Clone for DataLane<D> {
    fn clone(&self) -> Self {
        DataLane { peer: self.peer, queue: self.queue.clone() }
    }
}

impl<D: DataService> DataLane<D> {
    /// Whose life it is.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether it takes nothing any more: the life is over, and all that was on it is done with.
    pub fn is_closed(&self) -> bool {
        self.queue.is_over()
    }

    /// Hands something to the lane; waits as long as the lane is full.
    ///
    /// # Errors
    ///
    /// The life is over, and all that was on the lane has been decided again; what was to be sent comes back, to be decided
    /// again.
    pub async fn send(&self, request: ToLane<D::Origin, D::Pass>) -> Result<(), ToLane<D::Origin, D::Pass>> {
        self.queue.send(request).await
    }

    /// As [`send`](Self::send) for those who cannot wait.
    ///
    /// # Errors
    ///
    /// The life is over as above, or [`send`](Self::send) would have to wait.
    #[allow(clippy::result_large_err, clippy::type_complexity, reason = "what is not taken comes back as it was")]
    pub fn try_send(
        &self,
        request: ToLane<D::Origin, D::Pass>,
    ) -> Result<(), TrySendError<ToLane<D::Origin, D::Pass>>> {
        self.queue.try_send(request)
    }
}

/// Where a lane is reached from within the mesh.
pub(super) struct LaneInlets<D: DataService> {
    pub(super) lane: DataLane<D>,
    /// The life.
    pub(super) incarnation: Incarnation,
    pub(super) confirmed: mpsc::Sender<Sequence>,
    connections: mpsc::Sender<Attached>,
    pub(super) end: EndTeller,
}

impl<D: DataService> LaneInlets<D> {
    /// Where connections to this process are wanted.
    pub(super) fn connections_of(&self, peer: Peer) -> Option<mpsc::Sender<Attached>> {
        (self.lane.peer == peer).then(|| self.connections.clone())
    }
}

/// The task of a lane.
pub(super) struct Home<D: DataService> {
    peer: Peer,
    service: Arc<D>,
    outbox: Outbox<D::Origin, D::Pass>,
    attached: Option<Attached>,
    queue: Outlet<D::Origin, D::Pass>,
    confirmed: mpsc::Receiver<Sequence>,
    connections: mpsc::Receiver<Attached>,
    applied: watch::Receiver<LogIndex>,
    end: oneshot::Receiver<End>,
}

impl<D: DataService> Home<D> {
    /// A lane from the life `home` to a process, and where it is reached.
    pub(super) fn new(
        home: BootId,
        peer: Peer,
        incarnation: Incarnation,
        service: Arc<D>,
        applied: watch::Receiver<LogIndex>,
    ) -> (Home<D>, LaneInlets<D>) {
        let (to_queue, queue) = queue();
        let (to_confirmed, confirmed) = mpsc::channel(CONFIRMED_MAX);
        let (to_connections, connections) = mpsc::channel(1);
        let (to_end, end) = EndTeller::new();
        let outbox = Outbox::new(home, peer.boot);
        let lane = DataLane { peer, queue: to_queue };
        let home = Home { peer, service, outbox, attached: None, queue, confirmed, connections, applied, end };
        let inlets =
            LaneInlets { lane, incarnation, confirmed: to_confirmed, connections: to_connections, end: to_end };
        (home, inlets)
    }

    /// Runs until the life is over and everything that was sent to it is decided again, or until the mesh stops.
    pub(super) async fn run(mut self) {
        let applied = *self.applied.borrow_and_update();
        self.outbox.applied(applied);
        loop {
            self.take_waiting();
            if let Err(fault) = self.read_answers() {
                self.detach(fault);
            }
            self.carry_out();
            witness::tell(|| Fact::UnderWay { to: self.peer.member, parcels: self.outbox.len() });
            tokio::select! {
                biased;
                end = &mut self.end => match end {
                    Ok(End::LifeOver | End::OwnLifeOver) => return self.life_over().await,
                    // The sessions that wait for what is under way end with the node.
                    Ok(End::MeshStopped) | Err(_) => return runtime::abandon(self),
                },
                turned = Attached::turn(&mut self.attached, Reading::On) => {
                    if let Err(fault) = turned {
                        self.detach(fault);
                    }
                }
                Some(number) = self.confirmed.recv() => self.outbox.confirm(number),
                Ok(()) = self.applied.changed() => {
                    let index = *self.applied.borrow_and_update();
                    self.outbox.applied(index);
                }
                Some(attached) = self.connections.recv() => self.attach(attached),
                Some(request) = self.queue.take(), if !self.outbox.is_full() => self.take(request),
            }
        }
    }

    /// Takes what waits without waiting for more, so that busy sockets starve no session and the other way round.
    fn take_waiting(&mut self) {
        for _ in 0..CONFIRMED_MAX {
            let Ok(number) = self.confirmed.try_recv() else { break };
            self.outbox.confirm(number);
        }
        for _ in 0..BATCH_MAX {
            if self.outbox.is_full() {
                break;
            }
            let Some(request) = self.queue.try_take() else { break };
            self.take(request);
        }
    }

    fn take(&mut self, request: Request<D>) {
        match request {
            ToLane::Parcel { origin, route, stanza, attempts, name, turn } => {
                self.outbox.send(origin, route, stanza, attempts, name, turn);
            }
            ToLane::Nudge { route } => self.outbox.nudge(route),
            ToLane::Pass { route, pass } => self.outbox.pass(route, pass),
        }
    }

    fn read_answers(&mut self) -> Result<(), LinkFault> {
        let Some(Attached { wire, .. }) = &mut self.attached else { return Ok(()) };
        let format = wire.format();
        while let Some(frame) = wire.next_frame()? {
            if frame.kind != FrameKind::Data {
                continue;
            }
            let answer = DataAnswer::decode(frame.payload, format)
                .map_err(|error| LinkFault::of_payload(error, "an answer of the data lane"))?;
            match answer {
                Some(answer) => self.outbox.handle_answer(answer),
                None => tracing::debug!(member = %self.peer.member, "skipped an answer of an unknown kind"),
            }
        }
        Ok(())
    }

    /// Carries out orders, in order, until the connection has no more room or there are none.
    fn carry_out(&mut self) {
        while self.attached.as_ref().is_none_or(|attached| attached.wire.has_room())
            && let Some(order) = self.outbox.poll_order()
        {
            match order {
                OutboxOrder::Transmit(frame) => {
                    // Without a connection it is sent again when there is one.
                    if let Some(attached) = &mut self.attached {
                        attached.wire.push(FrameKind::Data, &[&frame]);
                    }
                }
                OutboxOrder::Handled(origin) => self.service.handled(origin),
                OutboxOrder::Redecide(again) => self.service.redecide(self.peer, again),
                OutboxOrder::Refused(refused) => self.service.refused(refused),
                OutboxOrder::Passed(pass) => self.service.passed(pass),
            }
        }
    }

    fn attach(&mut self, attached: Attached) {
        self.detach(LinkFault::Replaced);
        self.outbox.link_up(attached.wire.format());
        self.attached = Some(attached);
    }

    /// Gives the connection up. What was still to be written to it is dropped, because the next one begins with what
    /// the owner says it has.
    fn detach(&mut self, fault: LinkFault) {
        if let Some(attached) = self.attached.take() {
            attached.end(fault);
            self.outbox.link_down();
            self.carry_out();
        }
    }

    /// Everything is decided again: first what was sent, then what waits to be. Senders are refused after that, when the
    /// queue is dropped.
    async fn life_over(&mut self) {
        witness::tell(|| Fact::UnderWay { to: self.peer.member, parcels: 0 });
        self.detach(LinkFault::Superseded);
        self.outbox.peer_gone();
        self.carry_out();
        self.queue.close();
        while let Some(request) = self.queue.take().await {
            self.take(request);
            self.carry_out();
        }
    }
}

/// A lane without links to a life, what ends that life, and the task of the lane.
#[cfg(all(test, feature = "interleavings"))]
pub(crate) fn alone<D: DataService>(service: Arc<D>) -> (DataLane<D>, impl FnOnce(), impl Future<Output = ()>) {
    let peer = Peer { member: cresset_core::ids::MemberId(2), boot: BootId(2) };
    let applied = watch::Sender::new(LogIndex(0));
    let (home, inlets) = Home::new(BootId(1), peer, Incarnation(2), service, applied.subscribe());
    let lane = inlets.lane.clone();
    let run = async move {
        let _told_to_the_end = applied;
        home.run().await;
    };
    (lane, move || inlets.end.tell(End::LifeOver), run)
}
