//! The data lanes of one node: the outbox for each life of another member, and the inbox for what comes from it, driven
//! as the tasks of the links drive them.

use std::collections::VecDeque;

use bytes::Bytes;
use cresset_core::ids::{Incarnation, LogIndex, MemberId, RouteId, Sequence};
use cresset_core::node::{ControlMessage, Peer};
use cresset_core::routing::{
    DataAnswer, DataFrame, Home, Inbox, Orphan, Outbox, OutboxOrder, Parcel, Received, StanzaName, Turn,
};
use cresset_core::stanza::Stanza;
use cresset_core::wire::LinkFormat;
use rand::RngExt;

use super::errands::{PassId, Ticket};
use super::host::Process;
use super::mesh::Fault;
use super::network::{ConnectionId, Side, Wire};
use super::{Part, World};

/// What the links tell the control task.
#[derive(Debug)]
pub(super) enum Inlet {
    Up(Peer),
    Closed { peer: Peer, is_evidence: bool },
    Refused(MemberId),
    Control((Peer, ControlMessage)),
    Over,
}

/// The lane to one life of another member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LaneKey {
    /// Lanes of an earlier life of this node end later than it.
    pub(super) mesh: u32,
    pub(super) member: MemberId,
    pub(super) incarnation: Incarnation,
}

/// The same, from the other side.
pub(super) type InboxKey = LaneKey;

/// What a session asks of a lane.
#[derive(Debug)]
pub(super) enum ToLane {
    Parcel {
        origin: Option<Ticket>,
        route: RouteId,
        stanza: Stanza,
        attempts: u8,
        name: Option<StanzaName>,
        turn: Turn,
    },
    Nudge {
        route: RouteId,
    },
    Pass {
        route: RouteId,
        pass: PassId,
    },
}

/// The sending side.
#[derive(Debug)]
pub(super) struct Lane {
    peer: Peer,
    outbox: Outbox<Ticket, PassId>,
    connection: Option<ConnectionId>,
    queue: VecDeque<ToLane>,
    confirmed: VecDeque<Sequence>,
    applied: LogIndex,
    is_over: bool,
    is_due: bool,
}

/// The receiving side.
#[derive(Debug)]
pub(super) struct Inboxed {
    peer: Peer,
    inbox: Inbox,
    connection: Option<ConnectionId>,
    is_over: bool,
    /// It is known how far its home had come.
    is_told: bool,
    is_due: bool,
}

impl Lane {
    /// How many parcels are not settled.
    pub(super) fn unsettled(&self) -> usize {
        self.outbox.len() + self.queue.len()
    }
}

/// How two processes write to each other: one in three is of a program that knows the first format only.
fn format_between(one: Peer, other: Peer) -> LinkFormat {
    let is_older = [one, other].iter().any(|peer| peer.boot.0.is_multiple_of(3));
    if is_older { LinkFormat::First } else { LinkFormat::Third }
}

impl Process {
    pub(super) fn open_lane(&mut self, key: LaneKey, peer: Peer) {
        let mut outbox = Outbox::new(self.mesh.peer.boot, peer.boot);
        outbox.applied(self.mesh.applied);
        let lane = Lane {
            peer,
            outbox,
            connection: None,
            queue: VecDeque::new(),
            confirmed: VecDeque::new(),
            applied: self.mesh.applied,
            is_over: false,
            is_due: false,
        };
        let inbox = Inbox::new(key.member, key.incarnation, peer.boot, self.mesh.peer.boot);
        let inbox = Inboxed { peer, inbox, connection: None, is_over: false, is_told: false, is_due: false };
        self.lanes.insert(key, lane);
        self.inboxes.insert(key, inbox);
    }

    /// The lane to the present life of a member.
    pub(super) fn lane_to(&self, member: MemberId) -> Option<LaneKey> {
        let (_, incarnation) = self.mesh.current.get(&member).filter(|_| self.router.is_connected)?;
        Some(LaneKey { mesh: self.mesh.id, member, incarnation: *incarnation })
    }

    fn key_of(&self, peer: Peer) -> Option<LaneKey> {
        let (current, incarnation) = self.mesh.current.get(&peer.member)?;
        (*current == peer).then_some(LaneKey { mesh: self.mesh.id, member: peer.member, incarnation: *incarnation })
    }
}

impl World {
    // ---- connections come and go ------------------------------------------------------------------------------------

    /// A connection is lent to the outbox or the inbox of the peer.
    pub(super) fn attach(&mut self, host: usize, peer: Peer, id: ConnectionId, side: Side) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(key) = process.key_of(peer) else { return self.close(id, side, Fault::Superseded) };
        match side {
            Side::Dialler => {
                let Some(lane) = process.lanes.get_mut(&key) else { return };
                let before = lane.connection.replace(id);
                if before.is_some() {
                    lane.outbox.link_down();
                }
                lane.outbox.link_up(format_between(process.mesh.peer, peer));
                self.lane_soon(host, key);
            }
            Side::Acceptor => {
                let Some(inbox) = process.inboxes.get_mut(&key) else { return };
                let before = inbox.connection.replace(id);
                if before.is_some() {
                    inbox.inbox.link_down();
                }
                inbox.inbox.link_up();
                self.inbox_soon(host, key);
            }
        }
    }

    /// The connection is gone.
    pub(super) fn detach(&mut self, host: usize, peer: Peer, id: ConnectionId, side: Side) {
        let Some(process) = &mut self.hosts[host].process else { return };
        match side {
            Side::Dialler => {
                let of = |(_, lane): &(&LaneKey, &mut Lane)| lane.peer == peer && lane.connection == Some(id);
                if let Some((_, lane)) = process.lanes.iter_mut().find(of) {
                    lane.connection = None;
                    lane.outbox.link_down();
                }
            }
            Side::Acceptor => {
                let of = |(_, inbox): &(&LaneKey, &mut Inboxed)| inbox.peer == peer && inbox.connection == Some(id);
                if let Some((_, inbox)) = process.inboxes.iter_mut().find(of) {
                    inbox.connection = None;
                    inbox.inbox.link_down();
                }
            }
        }
    }

    // ---- the sending side -------------------------------------------------------------------------------------------

    /// Leaves something for the lane; gives it back if its life is over.
    pub(super) fn to_lane(&mut self, host: usize, key: LaneKey, request: ToLane) -> Result<(), ToLane> {
        let Some(process) = &mut self.hosts[host].process else { return Err(request) };
        match process.lanes.get_mut(&key) {
            Some(lane) => {
                lane.queue.push_back(request);
                self.lane_soon(host, key);
                Ok(())
            }
            None => Err(request),
        }
    }

    /// What was returned by that peer is decided and in other hands.
    pub(super) fn confirm(&mut self, host: usize, peer: Peer, number: Sequence) {
        let Some(process) = self.hosts[host].process.as_mut().filter(|process| process.router.is_connected) else {
            return;
        };
        if let Some(key) = process.key_of(peer)
            && let Some(lane) = process.lanes.get_mut(&key)
        {
            lane.confirmed.push_back(number);
            self.lane_soon(host, key);
        }
    }

    /// The read view shows the state at this index.
    pub(super) fn lanes_applied(&mut self, host: usize, index: LogIndex) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.mesh.applied = process.mesh.applied.max(index);
        let mesh = process.mesh.id;
        let mut due = Vec::new();
        for (key, lane) in &mut process.lanes {
            if key.mesh == mesh && lane.applied < index {
                lane.applied = index;
                if !lane.outbox.is_empty() {
                    due.push(*key);
                }
            }
        }
        due.into_iter().for_each(|key| self.lane_soon(host, key));
    }

    /// The life of a member is over, as far as this mesh is concerned.
    pub(super) fn end_life(&mut self, host: usize, member: MemberId) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some((_, incarnation)) = process.mesh.current.remove(&member) else { return };
        let key = LaneKey { mesh: process.mesh.id, member, incarnation };
        if let Some(lane) = process.lanes.get_mut(&key) {
            lane.is_over = true;
            self.lane_soon(host, key);
        }
        let Some(process) = &mut self.hosts[host].process else { return };
        if let Some(inbox) = process.inboxes.get_mut(&key) {
            inbox.is_over = true;
            self.inbox_soon(host, key);
        }
    }

    fn lane_soon(&mut self, host: usize, key: LaneKey) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(lane) = process.lanes.get_mut(&key) else { return };
        if !std::mem::replace(&mut lane.is_due, true) {
            self.turn_soon(host, Part::Lane(key));
        }
    }

    /// The task of a lane.
    pub(super) fn lane_turn(&mut self, host: usize, key: LaneKey) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(lane) = process.lanes.get_mut(&key) else { return };
        lane.is_due = false;
        lane.confirmed.drain(..).for_each(|number| lane.outbox.confirm(number));
        if lane.is_over {
            lane.outbox.link_down();
            lane.outbox.peer_gone();
        } else {
            lane.outbox.applied(lane.applied);
        }
        for request in lane.queue.drain(..) {
            match request {
                ToLane::Parcel { origin, route, stanza, attempts, name, turn } => {
                    lane.outbox.send(origin, route, stanza, attempts, name, turn);
                }
                ToLane::Nudge { route } => lane.outbox.nudge(route),
                ToLane::Pass { route, pass } => lane.outbox.pass(route, pass),
            }
        }
        let (is_over, peer) = (lane.is_over, lane.peer);
        self.carry_out_lane(host, key);
        if is_over
            && let Some(process) = &mut self.hosts[host].process
            && let Some(lane) = process.lanes.remove(&key)
        {
            if let Some(id) = lane.connection {
                self.close(id, Side::Dialler, Fault::Superseded);
            }
            debug_assert_eq!(lane.peer, peer, "a lane is of one life");
        }
    }

    fn carry_out_lane(&mut self, host: usize, key: LaneKey) {
        loop {
            let Some(process) = &mut self.hosts[host].process else { return };
            let Some(lane) = process.lanes.get_mut(&key) else { return };
            let Some(order) = lane.outbox.poll_order() else { return };
            let (connection, peer) = (lane.connection, lane.peer);
            match order {
                OutboxOrder::Transmit(frame) => {
                    if let Some(id) = connection {
                        self.say(id, Side::Dialler, Wire::Frame(frame));
                    }
                }
                OutboxOrder::Handled(ticket) => self.ticket_done(host, ticket),
                OutboxOrder::Redecide(again) => self.decide_again(host, peer, again),
                OutboxOrder::Refused(refused) => self.refused(host, refused),
                OutboxOrder::Passed(pass) => self.passed(host, pass),
            }
        }
    }

    /// The owner answered.
    pub(super) fn data_answer(&mut self, host: usize, peer: Peer, id: ConnectionId, answer: DataAnswer) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(key) = process.key_of(peer) else { return };
        let Some(lane) = process.lanes.get_mut(&key).filter(|lane| lane.connection == Some(id)) else { return };
        lane.outbox.handle_answer(answer);
        self.lane_soon(host, key);
    }

    // ---- the receiving side -----------------------------------------------------------------------------------------

    /// The home sent a frame.
    pub(super) fn frame(&mut self, host: usize, peer: Peer, id: ConnectionId, frame: &Bytes) {
        // The two ends agreed on the one in which it is written.
        let format = LinkFormat::ALL.into_iter().find(|format| frame.first() == Some(&format.number()));
        let frame = format.and_then(|format| DataFrame::decode(frame, format).ok().flatten());
        let frame = frame.expect("an outbox encoded it");
        let doubles = self.chaos.doubles_parcels;
        let Some(process) = &mut self.hosts[host].process else { return };
        if process.random.random_bool(doubles) && matches!(frame, DataFrame::Parcel { .. } | DataFrame::Nudge { .. }) {
            self.take_frame(host, peer, id, frame.clone());
        }
        self.take_frame(host, peer, id, frame);
    }

    fn take_frame(&mut self, host: usize, peer: Peer, id: ConnectionId, frame: DataFrame) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(key) = process.key_of(peer) else { return };
        let Some(inbox) = process.inboxes.get_mut(&key).filter(|inbox| inbox.connection == Some(id)) else { return };
        match inbox.inbox.handle_frame(frame, &mut process.mesh.arrivals) {
            Received::Deliver(parcel) => self.deliver(host, parcel),
            Received::Nudge(route) => self.nudge(host, route),
            Received::Unknown(_) => unreachable!("all programs know the same kinds of recipients"),
            Received::Nothing => {}
            Received::Gap => {
                self.gaps += 1;
                self.close(id, Side::Acceptor, Fault::Stopped);
            }
        }
        self.inbox_soon(host, key);
    }

    /// A parcel of another member is done with.
    pub(super) fn settle(&mut self, host: usize, home: Home) {
        let Some(process) = &mut self.hosts[host].process else { return };
        if let Home::Member { member, incarnation, number } = home {
            let key = InboxKey { mesh: process.mesh.id, member, incarnation };
            if let Some(inbox) = process.inboxes.get_mut(&key) {
                inbox.inbox.settle(number);
                self.inbox_soon(host, key);
            }
        }
    }

    /// A parcel of another member could not be delivered.
    pub(super) fn give_back(&mut self, host: usize, parcel: Parcel, index: LogIndex) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Home::Member { member, incarnation, number } = parcel.home else {
            return self.inherit(host, parcel, None);
        };
        let key = InboxKey { mesh: process.mesh.id, member, incarnation };
        match process.inboxes.get_mut(&key) {
            Some(inbox) => {
                let inherited = inbox.inbox.give_back(number, index, parcel, &mut process.mesh.arrivals);
                self.inbox_soon(host, key);
                if let Some(Orphan { parcel, name }) = inherited {
                    self.inherit(host, parcel, Some(name));
                }
            }
            None => self.inherit(host, parcel, None),
        }
    }

    fn inbox_soon(&mut self, host: usize, key: InboxKey) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(inbox) = process.inboxes.get_mut(&key) else { return };
        if !std::mem::replace(&mut inbox.is_due, true) {
            self.turn_soon(host, Part::Inbox(key));
        }
    }

    /// The task of an inbox.
    pub(super) fn inbox_turn(&mut self, host: usize, key: InboxKey) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(inbox) = process.inboxes.get_mut(&key) else { return };
        inbox.is_due = false;
        if inbox.is_over {
            let connection = inbox.connection.take();
            if key.mesh != process.mesh.id {
                // The life at this end is over: those who had sent it decide.
                process.inboxes.remove(&key);
                return connection.into_iter().for_each(|id| self.close(id, Side::Acceptor, Fault::Superseded));
            }
            if !std::mem::replace(&mut inbox.is_told, true) {
                process.mesh.arrivals.ended(inbox.peer.boot, inbox.inbox.received());
            }
            let inherited = inbox.inbox.home_gone();
            let is_idle = inbox.inbox.is_idle();
            inherited.into_iter().for_each(|Orphan { parcel, name }| self.inherit(host, parcel, Some(name)));
            if let Some(id) = connection {
                self.close(id, Side::Acceptor, Fault::Superseded);
            }
            if is_idle && let Some(process) = &mut self.hosts[host].process {
                process.inboxes.remove(&key);
            }
            return;
        }
        let Some(id) = inbox.connection else { return };
        let answers: Vec<_> = std::iter::from_fn(|| inbox.inbox.poll_answer()).collect();
        answers.into_iter().for_each(|answer| self.say(id, Side::Acceptor, Wire::DataAnswer(answer)));
    }
}
