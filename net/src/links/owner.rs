//! The receiving side of the data lane of one life of another member: a task that owns the inbox.
//!
//! ```text
//! wire ─▶ Inbox ─▶ deliver ─▶ sessions        connections come and go, the inbox stays
//!   ▲       │ ▲                  │
//!   └───────┘ └── settle, return ┘
//!    answers
//! ```
//!
//! It waits for no session. After the end of the home's life it stays until no session holds anything of it.

use std::pin::pin;
use std::sync::Arc;

use cresset_core::ids::{BootId, Incarnation, MemberId, Sequence};
use cresset_core::limits::ANSWERS_GATHER_MAX;
use cresset_core::node::Peer;
use cresset_core::routing::{AnswersDue, DataFrame, Home, Inbox, Missed, Orphan, Parcel, Received};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::data::DataService;
use super::event::LinkFault;
use super::frame::FrameKind;
use super::link::Attached;
use super::shared::{End, EndTeller, Shared};
use super::wire::Reading;

/// Fates of parcels that wait for the inbox. Beyond it the sessions that report them wait a moment.
const FATES_MAX: usize = 4096;

/// Fates that are taken before bytes are moved again.
const BATCH_MAX: usize = 1024;

/// What became of a parcel.
#[derive(Debug)]
pub(super) enum Fate {
    Settled(Sequence),
    Returned(Sequence, Box<Missed>),
}

/// Where an inbox is reached from within the mesh.
pub(super) struct InboxInlets {
    pub(super) fates: mpsc::Sender<Fate>,
    pub(super) connections: mpsc::Sender<Attached>,
    pub(super) end: EndTeller,
}

impl<D: DataService> Shared<D> {
    /// Where connections from this process are wanted.
    pub(super) fn inbox_connections(&self, peer: Peer) -> Option<mpsc::Sender<Attached>> {
        let lanes = self.lanes.pin();
        let incarnation = lanes.get(&peer.member).filter(|lane| lane.lane.peer() == peer)?.incarnation;
        let inboxes = self.inboxes.pin();
        inboxes.get(&(peer.member, incarnation)).map(|inbox| inbox.connections.clone())
    }
}

/// The task of an inbox.
pub(super) struct Owner<D: DataService> {
    member: MemberId,
    boot: BootId,
    incarnation: Incarnation,
    shared: Arc<Shared<D>>,
    inbox: Inbox,
    attached: Option<Attached>,
    /// Whether answers wait for others.
    gathers: bool,
    fates: mpsc::Receiver<Fate>,
    connections: mpsc::Receiver<Attached>,
    end: oneshot::Receiver<End>,
}

impl<D: DataService> Owner<D> {
    /// An inbox for what a process sends, and where it is reached.
    pub(super) fn new(peer: Peer, incarnation: Incarnation, shared: Arc<Shared<D>>) -> (Owner<D>, InboxInlets) {
        let (to_fates, fates) = mpsc::channel(FATES_MAX);
        let (to_connections, connections) = mpsc::channel(1);
        let (to_end, end) = EndTeller::new();
        let inbox = Inbox::new(peer.member, incarnation, peer.boot, shared.identity.boot);
        let Peer { member, boot } = peer;
        let (attached, gathers) = (None, false);
        let owner = Owner { member, boot, incarnation, shared, inbox, attached, gathers, fates, connections, end };
        let inlets = InboxInlets { fates: to_fates, connections: to_connections, end: to_end };
        (owner, inlets)
    }

    /// Runs until the life of the home is over and nothing is held of it, or until the mesh stops.
    pub(super) async fn run(mut self) {
        let end = self.serve_home().await;
        if let Some(attached) = self.attached.take() {
            attached.end(LinkFault::Superseded);
        }
        if end == End::LifeOver {
            self.shared.arrivals().ended(self.boot, self.inbox.received());
            for Orphan { parcel, name } in self.inbox.home_gone() {
                self.shared.data.inherit(parcel, Some(name));
            }
            while !self.inbox.is_idle()
                && let Some(fate) = self.fates.recv().await
            {
                self.take(fate);
            }
        }
        self.shared.inboxes.pin().remove(&(self.member, self.incarnation));
        // Who reports a fate from here on learns that nobody keeps the parcel but him.
        self.fates.close();
        while let Some(fate) = self.fates.recv().await {
            self.take(fate);
        }
    }

    /// Runs until the life of the home is over or the mesh stops.
    async fn serve_home(&mut self) -> End {
        // Made here, so that it belongs to the threads that run this.
        let mut gathered = pin!(sleep(ANSWERS_GATHER_MAX));
        loop {
            for _ in 0..BATCH_MAX {
                let Ok(fate) = self.fates.try_recv() else { break };
                self.take(fate);
            }
            if let Err(fault) = self.read_frames() {
                self.detach(fault);
            }
            if self.answer_in_time() {
                gathered.as_mut().reset(Instant::now() + ANSWERS_GATHER_MAX);
            }
            // A home that does not read its answers is not read either.
            let has_room = self.attached.as_ref().is_none_or(|attached| attached.wire.has_room());
            let reading = if has_room { Reading::On } else { Reading::Paused };
            tokio::select! {
                biased;
                end = &mut self.end => return end.unwrap_or(End::MeshStopped),
                turned = Attached::turn(&mut self.attached, reading) => {
                    if let Err(fault) = turned {
                        self.detach(fault);
                    }
                }
                Some(attached) = self.connections.recv() => self.attach(attached),
                Some(fate) = self.fates.recv() => self.take(fate),
                () = gathered.as_mut(), if self.gathers => self.answer(),
            }
        }
    }

    fn take(&mut self, fate: Fate) {
        match fate {
            Fate::Settled(number) => self.inbox.settle(number),
            Fate::Returned(number, missed) => give_back(&mut self.inbox, &self.shared, number, *missed),
        }
    }

    fn read_frames(&mut self) -> Result<(), LinkFault> {
        let Some(Attached { wire, .. }) = &mut self.attached else { return Ok(()) };
        let format = wire.format();
        while let Some(frame) = wire.next_frame()? {
            if frame.kind != FrameKind::Data {
                continue;
            }
            let frame = DataFrame::decode(frame.payload, format)
                .map_err(|error| LinkFault::of_payload(error, "a frame of the data lane"))?;
            let Some(frame) = frame else {
                tracing::debug!(member = %self.member, "skipped a frame of an unknown kind");
                continue;
            };
            let received = self.inbox.handle_frame(frame, &mut self.shared.arrivals());
            match received {
                Received::Deliver(parcel) => deliver(&mut self.inbox, &self.shared, parcel),
                Received::Unknown(parcel) => {
                    tracing::debug!(member = %self.member, "gave back a parcel for an unknown kind of destination");
                    let index = *self.shared.applied.borrow();
                    give_back_missed(&mut self.inbox, &self.shared, Missed { parcel, index });
                }
                Received::Nudge(route) => self.shared.data.nudge(route),
                Received::Nothing => {}
                Received::Gap => return Err(LinkFault::Malformed("a gap between two parcels")),
            }
        }
        Ok(())
    }

    /// Answers, or lets answers wait for others; whether they begin to wait.
    fn answer_in_time(&mut self) -> bool {
        let is_silent = self.attached.as_ref().is_none_or(|attached| attached.wire.is_idle());
        match self.inbox.answers_due() {
            AnswersDue::Never => false,
            AnswersDue::Soon if is_silent => !std::mem::replace(&mut self.gathers, true),
            AnswersDue::Soon | AnswersDue::Now => {
                self.answer();
                false
            }
        }
    }

    fn answer(&mut self) {
        self.gathers = false;
        let Some(Attached { wire, .. }) = &mut self.attached else { return };
        while wire.has_room()
            && let Some(answer) = self.inbox.poll_answer()
        {
            wire.push(FrameKind::Data, &[&answer.encode(wire.format())]);
        }
    }

    fn attach(&mut self, attached: Attached) {
        self.detach(LinkFault::Replaced);
        self.attached = Some(attached);
        self.inbox.link_up();
    }

    fn detach(&mut self, fault: LinkFault) {
        if let Some(attached) = self.attached.take() {
            attached.end(fault);
            self.inbox.link_down();
        }
    }
}

fn deliver<D: DataService>(inbox: &mut Inbox, shared: &Shared<D>, parcel: Parcel) {
    if let Err(missed) = shared.data.deliver(parcel) {
        give_back_missed(inbox, shared, *missed);
    }
}

fn give_back_missed<D: DataService>(inbox: &mut Inbox, shared: &Shared<D>, missed: Missed) {
    if let Home::Member { number, .. } = missed.parcel.home {
        give_back(inbox, shared, number, missed);
    }
}

fn give_back<D: DataService>(inbox: &mut Inbox, shared: &Shared<D>, number: Sequence, missed: Missed) {
    let orphan = inbox.give_back(number, missed.index, missed.parcel, &mut shared.arrivals());
    if let Some(Orphan { parcel, name }) = orphan {
        shared.data.inherit(parcel, Some(name));
    }
}
