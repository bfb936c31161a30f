//! The links of this node, each with its queue and the means to close it.
//!
//! Which links there may be, and which ones have to go, is decided by [`LinkTable`]; here its verdicts reach the tasks of
//! the links. No sockets, no tasks, no waiting.

use std::net::SocketAddr;

use bytes::Bytes;
use cresset_core::ids::{BootId, MemberId};
use cresset_core::links::{Candidate, CloseReason, Direction, Lane, LinkId, LinkTable, NotEntered, Refusal, Slot};
use cresset_core::node::Peer;
use cresset_core::wire::LinkFormat;
use tokio::sync::{mpsc, oneshot};

use super::event::{HelloRefusal, LinkFault};
use super::raft::Call;

/// Where those who want to send find the queue of a link.
#[derive(Debug)]
pub(super) enum Inlet {
    /// Nobody sends by this table.
    None,
    /// Of messages in this format.
    Control(LinkFormat, mpsc::Sender<Bytes>),
    Raft(mpsc::Sender<Call>),
}

/// What is kept for a link.
#[derive(Debug)]
struct Kept {
    inlet: Inlet,
    close: oneshot::Sender<LinkFault>,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Registry(LinkTable<Kept, SocketAddr>);

impl Registry {
    /// Enters a link to or from an address. One that it replaces is closed. The receiver says when and why this one is
    /// to be closed.
    pub(super) fn enter(
        &mut self,
        slot: Slot,
        boot: BootId,
        address: SocketAddr,
        inlet: Inlet,
    ) -> Result<(LinkId, oneshot::Receiver<LinkFault>), NotEntered> {
        let (close, closed) = oneshot::channel();
        let link = self.0.enter(Candidate { slot, boot, address, kept: Kept { inlet, close } })?;
        self.tell_closed();
        Ok((link, closed))
    }

    /// A link is over.
    pub(super) fn leave(&mut self, slot: Slot, link: LinkId) {
        drop(self.0.leave(slot, link));
    }

    /// Closes one link, if it is still there.
    pub(super) fn close(&mut self, slot: Slot, link: LinkId, fault: LinkFault) {
        if let Some(kept) = self.0.leave(slot, link) {
            kept.close(fault);
        }
    }

    /// Closes every link.
    pub(super) fn close_all(&mut self) {
        self.0.close_all();
        self.tell_closed();
    }

    /// From here on these addresses are dialled; links to others are closed. Those that were not dialled before are
    /// returned.
    pub(super) fn want(&mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
        let added = self.0.want(addresses);
        self.tell_closed();
        added
    }

    /// Who was last found at an address that is dialled.
    pub(super) fn found_at(&self, address: SocketAddr) -> Option<MemberId> {
        self.0.found_at(address)
    }

    /// Whether the data lane to an address is to be dialled.
    pub(super) fn wants_data_of(&self, address: SocketAddr) -> bool {
        self.0.wants_data_of(address)
    }

    /// Declares which process of a member is current. The one before it is over.
    pub(super) fn set_current(&mut self, peer: Peer) {
        self.0.set_current(peer.member, peer.boot);
        self.tell_closed();
    }

    /// Declares that a process is over.
    pub(super) fn ban(&mut self, peer: Peer) {
        self.0.ban(peer.member, peer.boot);
        self.tell_closed();
    }

    /// The queue of the control link to a member, and how its messages are written.
    pub(super) fn control_to(&self, member: MemberId) -> Option<(LinkFormat, &mpsc::Sender<Bytes>)> {
        let slot = Slot { member, lane: Lane::Control, direction: Direction::Dialled };
        match &self.0.link(slot)?.1.inlet {
            Inlet::Control(format, queue) => Some((*format, queue)),
            Inlet::Raft(_) | Inlet::None => None,
        }
    }

    /// The queue of the Raft link to a member.
    pub(super) fn raft_to(&self, member: MemberId) -> Option<(Slot, LinkId, mpsc::Sender<Call>)> {
        let slot = Slot { member, lane: Lane::Raft, direction: Direction::Dialled };
        let (link, kept) = self.0.link(slot)?;
        match &kept.inlet {
            Inlet::Raft(queue) => Some((slot, link, queue.clone())),
            Inlet::Control(..) | Inlet::None => None,
        }
    }

    fn tell_closed(&mut self) {
        while let Some(closed) = self.0.poll_closed() {
            closed.kept.close(closed.reason.into());
        }
    }
}

impl Kept {
    fn close(self, fault: LinkFault) {
        // The link may be ending by itself at this moment; then it needs no telling.
        let _ended = self.close.send(fault);
    }
}

impl From<CloseReason> for LinkFault {
    fn from(reason: CloseReason) -> LinkFault {
        match reason {
            CloseReason::Replaced => LinkFault::Replaced,
            CloseReason::Superseded => LinkFault::Superseded,
            CloseReason::Stopped => LinkFault::Stopped,
        }
    }
}

impl From<Refusal> for HelloRefusal {
    fn from(refusal: Refusal) -> HelloRefusal {
        match refusal {
            Refusal::Superseded => HelloRefusal::Superseded,
            Refusal::NotCurrent => HelloRefusal::NotCurrent,
            Refusal::TooManyLinks => HelloRefusal::TooManyLinks,
        }
    }
}
