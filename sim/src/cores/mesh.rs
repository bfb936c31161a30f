//! The links of one node: dialled, refused and closed as its mesh does it. Which links there may be is decided in core.

use std::collections::BTreeMap;
use std::time::Duration;

use cresset_core::ids::{Incarnation, LogIndex, MemberId};
use cresset_core::links::{Candidate, CloseReason, Closed, LinkId, LinkTable, NotEntered, Refusal, Slot};
use cresset_core::node::Peer;
use cresset_core::routing::Arrivals;
use rand::RngExt;

use super::lanes::{Inlet, LaneKey};
use super::network::{Connection, ConnectionId, Dial, End, Lane, Packet, Place, Refused, Side, Wire};
use super::{Part, What, World};

/// How long an attempt to connect and a handshake may take, the pauses between attempts, and how long a link lives that
/// was a good one: as the nodes have it.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
const STEADY: Duration = Duration::from_secs(1);

/// A link on which nothing is heard for so long is closed; it is noticed within another beat.
const SILENCE_MAX: Duration = Duration::from_secs(2);
const SILENCE_BEAT: Duration = Duration::from_millis(500);

/// The links of one life of a node.
#[derive(Debug)]
pub(super) struct Mesh {
    pub(super) id: u32,
    pub(super) peer: Peer,
    /// A machine has one address: its number.
    table: LinkTable<ConnectionId, usize>,
    /// The current process of each other member, and its life.
    pub(super) current: BTreeMap<MemberId, (Peer, Incarnation)>,
    /// What this life has by another name.
    pub(super) arrivals: Arrivals,
    /// Counts the names that this life gave.
    pub(super) last_name: u64,
    /// How far this node has shown the log of the cluster since the links of this life are.
    pub(super) applied: LogIndex,
    dials: BTreeMap<(usize, Lane), Dialling>,
}

#[derive(Debug, Default)]
struct Dialling {
    attempt: u32,
    pause: Duration,
    /// An attempt is under way.
    is_out: bool,
    /// It waits for a life to be known.
    waits: bool,
    is_up: bool,
}

/// Why a link ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Ended,
    Reset,
    Silent,
    Replaced,
    Superseded,
    Stopped,
    TimedOut,
}

impl Fault {
    fn is_evidence(self) -> bool {
        match self {
            Fault::Ended | Fault::Reset => true,
            Fault::Silent | Fault::Replaced | Fault::Superseded | Fault::Stopped | Fault::TimedOut => false,
        }
    }
}

impl Mesh {
    pub(super) fn new(id: u32, peer: Peer, hosts: usize) -> Mesh {
        let mut table = LinkTable::default();
        // Its own machine may be among them; it is not dialled.
        table.want(0..hosts);
        Mesh {
            id,
            peer,
            table,
            current: BTreeMap::new(),
            arrivals: Arrivals::new(peer.boot),
            last_name: 0,
            applied: LogIndex(0),
            dials: BTreeMap::new(),
        }
    }

    pub(super) fn link(&self, member: MemberId, lane: Lane, side: Side) -> Option<ConnectionId> {
        self.table.link(slot(member, lane, side)).map(|(_, id)| *id)
    }

    /// Enters this side of a connection with a process on a machine.
    fn enter(
        &mut self,
        lane: Lane,
        side: Side,
        peer: Peer,
        host: usize,
        id: ConnectionId,
    ) -> Result<LinkId, NotEntered> {
        let slot = slot(peer.member, lane, side);
        self.table.enter(Candidate { slot, boot: peer.boot, address: host, kept: id })
    }
}

fn slot(member: MemberId, lane: Lane, side: Side) -> Slot {
    Slot { member, lane, direction: side.direction() }
}

impl From<CloseReason> for Fault {
    fn from(reason: CloseReason) -> Fault {
        match reason {
            CloseReason::Replaced => Fault::Replaced,
            CloseReason::Superseded => Fault::Superseded,
            CloseReason::Stopped => Fault::Stopped,
        }
    }
}

impl World {
    // ---- dialling ---------------------------------------------------------------------------------------------------

    /// Begins to dial all other machines.
    pub(super) fn dial_all(&mut self, host: usize) {
        for to in (0..self.hosts.len()).filter(|to| *to != host) {
            for lane in Lane::ALL {
                self.dial(host, to, lane);
            }
        }
    }

    /// The next attempt, after the pause that is due.
    fn dial(&mut self, host: usize, to: usize, lane: Lane) {
        let now = self.now;
        let Some(process) = &mut self.hosts[host].process else { return };
        let dialling = process.mesh.dials.entry((to, lane)).or_default();
        if dialling.is_out || dialling.is_up {
            return;
        }
        dialling.is_out = true;
        dialling.waits = false;
        dialling.attempt += 1;
        let pause = dialling.pause.mul_f64(process.random.random_range(0.75..1.25));
        dialling.pause = (dialling.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        let (attempt, mesh) = (dialling.attempt, process.mesh.id);
        self.wake(host, now.after(pause), Part::Dial { mesh, to, lane, attempt });
    }

    /// An attempt begins.
    pub(super) fn attempt(&mut self, host: usize, mesh: u32, to: usize, lane: Lane, attempt: u32) {
        let now = self.now;
        let Some(process) = self.hosts[host].process.as_mut().filter(|process| process.mesh.id == mesh) else { return };
        let wanted = lane != Lane::Data || process.mesh.table.wants_data_of(to);
        let Some(dialling) = process.mesh.dials.get_mut(&(to, lane)).filter(|d| d.attempt == attempt) else { return };
        if !wanted {
            dialling.is_out = false;
            dialling.waits = true;
            return;
        }
        let dial = Dial { from: Place { host, process: process.id, mesh }, to, lane, attempt };
        if self.paths.is_cut(host, to) || self.paths.is_cut(to, host) {
            // A connection is not made across a cut; what was lost on the way is tried anew by the next attempt.
            self.wake(host, now.after(CONNECT_TIME_MAX), Part::DialTimeout { dial });
            return;
        }
        let time = if self.hosts[to].pauses > 0 { HANDSHAKE_TIME_MAX } else { CONNECT_TIME_MAX };
        self.wake(host, now.after(time), Part::DialTimeout { dial });
        let at = now.after(self.paths.draw_latency());
        self.push(at, What::Packet(Packet::Hello { dial, to }));
    }

    /// The answer did not come in time.
    pub(super) fn attempt_failed(&mut self, dial: Dial) {
        if self.forget_attempt(dial) {
            self.dial(dial.from.host, dial.to, dial.lane);
        }
    }

    /// Whether the attempt was still under way.
    fn forget_attempt(&mut self, dial: Dial) -> bool {
        let Some(process) = self.process_at(dial.from) else { return false };
        let Some(dialling) = process.mesh.dials.get_mut(&(dial.to, dial.lane)) else { return false };
        if dialling.attempt != dial.attempt || !dialling.is_out {
            return false;
        }
        dialling.is_out = false;
        true
    }

    /// A process wants to connect to this machine.
    pub(super) fn hello(&mut self, dial: Dial, to: usize) {
        let now = self.now;
        if !self.hosts[to].has_power || self.paths.is_cut(dial.from.host, to) {
            return;
        }
        let dialler = self.process_at(dial.from).map(|process| process.mesh.peer);
        let shuns = |pair: &[usize; 2]| pair.contains(&to) && pair.contains(&dial.from.host);
        let refuses = self.hosts[to].refusals > 0 || self.shunned.iter().any(shuns);
        let id = self.connections.len();
        let answer = match (&mut self.hosts[to].process, dialler) {
            (None, _) => Err(Refused::Port),
            (Some(_), _) if refuses => Err(Refused::Port),
            (Some(process), _) if process.is_between_lives => Err(Refused::Port),
            (Some(_), None) => return,
            (Some(process), Some(peer)) => {
                match process.mesh.enter(dial.lane, Side::Acceptor, peer, dial.from.host, id) {
                    Ok(link) => {
                        let place = Place { host: to, process: process.id, mesh: process.mesh.id };
                        let own = process.mesh.peer;
                        let dialler = End::new(dial.from, peer.member, peer.boot, None);
                        let acceptor = End::new(place, own.member, own.boot, Some(link));
                        Ok(Connection::new(dial.lane, dialler, acceptor, now))
                    }
                    Err(NotEntered::Refused(refusal)) => Err(Refused::Link(refusal)),
                    Err(NotEntered::Alias | NotEntered::Unwanted) => {
                        unreachable!("only links that are dialled have aliases")
                    }
                }
            }
        };
        // Nothing that is said on the connection arrives before the answer.
        let (at, answer) = match answer {
            Ok(mut connection) => {
                let at = self.paths.arrival(now, connection.end_mut(Side::Dialler));
                self.connections.push(connection);
                (at, Ok(id))
            }
            Err(refused) => (now.after(self.paths.draw_latency()), Err(refused)),
        };
        self.push(at, What::Packet(Packet::HelloAnswer { dial, answer }));
        if let Ok(id) = answer {
            self.up(id, Side::Acceptor);
        }
    }

    /// A process that wanted to connect is answered.
    pub(super) fn hello_answered(&mut self, dial: Dial, answer: Result<ConnectionId, Refused>) {
        let host = dial.from.host;
        if self.paths.is_cut(dial.to, host) {
            return;
        }
        if !self.forget_attempt(dial) {
            if let Ok(id) = answer {
                self.say_last(id, Side::Dialler, Wire::Reset);
            }
            return;
        }
        match answer {
            Ok(id) => self.let_in(dial, id),
            Err(refused) => {
                let Some(process) = &mut self.hosts[host].process else { return };
                let found = process.mesh.table.found_at(dial.to);
                if dial.lane == Lane::Control {
                    match (refused, found) {
                        (Refused::Port, Some(member)) => process.inlets.links.push_back(Inlet::Refused(member)),
                        (Refused::Link(Refusal::Superseded), _) => process.inlets.links.push_back(Inlet::Over),
                        (Refused::Port | Refused::Link(Refusal::NotCurrent | Refusal::TooManyLinks), _) => {}
                    }
                }
                self.dial(host, dial.to, dial.lane);
                self.control_soon(host);
            }
        }
    }

    /// The dialling side enters a connection to which the other side has agreed.
    fn let_in(&mut self, dial: Dial, id: ConnectionId) {
        let host = dial.from.host;
        let acceptor = self.connections[id].end(Side::Acceptor);
        let peer = Peer { member: acceptor.member, boot: acceptor.boot };
        if self.connections[id].is_cut_off {
            return self.dial(host, dial.to, dial.lane);
        }
        let Some(process) = &mut self.hosts[host].process else { return };
        let Ok(link) = process.mesh.enter(dial.lane, Side::Dialler, peer, dial.to, id) else {
            self.say_last(id, Side::Dialler, Wire::Ended);
            return self.dial(host, dial.to, dial.lane);
        };
        if let Some(dialling) = process.mesh.dials.get_mut(&(dial.to, dial.lane)) {
            dialling.is_up = true;
        }
        let end = self.connections[id].end_mut(Side::Dialler);
        end.link = Some(link);
        end.is_open = true;
        self.connections[id].begun = self.now;
        self.up(id, Side::Dialler);
    }

    /// One side of a connection is up.
    fn up(&mut self, id: ConnectionId, side: Side) {
        let connection = &self.connections[id];
        let (lane, place) = (connection.lane, connection.end(side).place);
        let theirs = connection.end(side.other());
        let (peer, other) = (Peer { member: theirs.member, boot: theirs.boot }, theirs.place.host);
        self.listen_for_silence(id, side, self.paths.is_cut(other, place.host));
        self.close_what_must_go(place.host);
        match (lane, side) {
            (Lane::Control, Side::Dialler) => {
                let Some(process) = self.process_at(place) else { return };
                process.inlets.links.push_back(Inlet::Up(peer));
                self.data_may_be_wanted(place.host);
                self.control_soon(place.host);
            }
            (Lane::Raft, Side::Dialler) => {
                let now = self.now;
                let Some(process) = self.process_at(place) else { return };
                process.raft.link_made(now, peer.member);
                self.carry_out_raft(place.host);
            }
            (Lane::Data, side) => self.attach(place.host, peer, id, side),
            (Lane::Control | Lane::Raft, Side::Acceptor) => {}
        }
    }

    /// Something has changed for which a data lane may wait.
    fn data_may_be_wanted(&mut self, host: usize) {
        let Some(process) = &self.hosts[host].process else { return };
        let waiting: Vec<usize> = process
            .mesh
            .dials
            .iter()
            .filter(|((to, lane), dialling)| {
                *lane == Lane::Data && dialling.waits && process.mesh.table.wants_data_of(*to)
            })
            .map(|((to, _), _)| *to)
            .collect();
        waiting.into_iter().for_each(|to| {
            if let Some(process) = &mut self.hosts[host].process
                && let Some(dialling) = process.mesh.dials.get_mut(&(to, Lane::Data))
            {
                dialling.pause = Duration::ZERO;
            }
            self.dial(host, to, Lane::Data);
        });
    }

    // ---- which process of a member counts ---------------------------------------------------------------------------

    /// Declares which process of another member is current and which life it leads.
    pub(super) fn set_current(&mut self, host: usize, peer: Peer, incarnation: Incarnation) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let mesh = &mut process.mesh;
        if peer.member == mesh.peer.member || mesh.current.get(&peer.member) == Some(&(peer, incarnation)) {
            return;
        }
        mesh.table.set_current(peer.member, peer.boot);
        self.close_what_must_go(host);
        self.end_life(host, peer.member);
        let Some(process) = &mut self.hosts[host].process else { return };
        process.mesh.current.insert(peer.member, (peer, incarnation));
        let key = LaneKey { mesh: process.mesh.id, member: peer.member, incarnation };
        process.open_lane(key, peer);
        self.data_may_be_wanted(host);
    }

    /// Declares that a process is over.
    pub(super) fn ban(&mut self, host: usize, peer: Peer) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.mesh.table.ban(peer.member, peer.boot);
        let is_current = process.mesh.current.get(&peer.member).is_some_and(|(current, _)| *current == peer);
        self.close_what_must_go(host);
        if is_current {
            self.end_life(host, peer.member);
        }
    }

    /// Closes every link of the process, as it does when it ends or begins another life.
    pub(super) fn stop_links(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.mesh.dials.clear();
        process.mesh.table.close_all();
        self.close_what_must_go(host);
    }

    /// Closes the connections that are not in the table of this host's process any more.
    fn close_what_must_go(&mut self, host: usize) {
        let next = |world: &mut World| world.hosts[host].process.as_mut()?.mesh.table.poll_closed();
        while let Some(Closed { slot, kept: id, reason }) = next(self) {
            self.close(id, Side::of(slot.direction), reason.into());
        }
    }

    // ---- the end of a connection ------------------------------------------------------------------------------------

    /// This side closes a connection, and the other one is told so.
    pub(super) fn close(&mut self, id: ConnectionId, side: Side, fault: Fault) {
        if self.connections[id].end(side).is_open {
            self.say_last(id, side, Wire::Ended);
            self.closed(id, side, fault);
        }
    }

    /// The last word of one side, whatever it is.
    pub(super) fn say_last(&mut self, id: ConnectionId, side: Side, wire: Wire) {
        self.say(id, side, wire);
        self.connections[id].end_mut(side).is_open = false;
    }

    /// A connection is over on this side.
    pub(super) fn closed(&mut self, id: ConnectionId, side: Side, fault: Fault) {
        let now = self.now;
        let connection = &mut self.connections[id];
        connection.end_mut(side).is_open = false;
        let (lane, begun) = (connection.lane, connection.begun);
        let (own, theirs) = (connection.end(side), connection.end(side.other()));
        let (place, link) = (own.place, own.link);
        let (peer, other) = (Peer { member: theirs.member, boot: theirs.boot }, theirs.place.host);
        let Some(process) = self.process_at(place) else { return };
        if let Some(link) = link {
            process.mesh.table.leave(slot(peer.member, lane, side), link);
        }
        match (lane, side) {
            (Lane::Control, Side::Dialler) => {
                process.inlets.links.push_back(Inlet::Closed { peer, is_evidence: fault.is_evidence() });
                self.control_soon(place.host);
            }
            (Lane::Raft, Side::Dialler) => process.raft.link_lost(peer.member),
            (Lane::Data, side) => self.detach(place.host, peer, id, side),
            (Lane::Control | Lane::Raft, Side::Acceptor) => {}
        }
        if side == Side::Dialler {
            let Some(process) = self.process_at(place) else { return };
            let Some(dialling) = process.mesh.dials.get_mut(&(other, lane)) else { return };
            dialling.is_up = false;
            if now.since(begun) >= STEADY {
                dialling.pause = Duration::ZERO;
            }
            self.dial(place.host, other, lane);
        }
    }

    /// Whether an end hears the other one has changed.
    fn listen_for_silence(&mut self, id: ConnectionId, side: Side, is_deaf: bool) {
        let end = self.connections[id].end_mut(side);
        if !is_deaf {
            end.deaf_since = None;
            return;
        }
        if end.deaf_since.is_none() && end.is_open {
            end.deaf_since = Some(self.now);
            let place = end.place;
            let Some(process) = self.process_at(place) else { return };
            let late = process.random.random_range(Duration::ZERO..SILENCE_BEAT);
            let at = self.now.after(SILENCE_MAX + late);
            self.wake(place.host, at, Part::Silence { connection: id, side });
        }
    }

    /// Nothing was heard for a while, unless it was.
    pub(super) fn silence(&mut self, id: ConnectionId, side: Side) {
        let end = self.connections[id].end(side);
        if end.is_open && end.deaf_since.is_some_and(|since| self.now.since(since) >= SILENCE_MAX) {
            self.close(id, side, Fault::Silent);
        }
    }

    /// What one machine says reaches another one no longer, or again: each end between them notices.
    pub(super) fn path_changed(&mut self, from: usize, to: usize) {
        let is_mute = self.paths.is_cut(from, to) || self.hosts[from].pauses > 0 || !self.hosts[from].has_power;
        for id in 0..self.connections.len() {
            for side in [Side::Dialler, Side::Acceptor] {
                let connection = &self.connections[id];
                let (own, theirs) = (connection.end(side), connection.end(side.other()));
                if own.is_open && own.place.host == to && theirs.place.host == from {
                    self.listen_for_silence(id, side, is_mute);
                }
            }
        }
    }

    // ---- messages ---------------------------------------------------------------------------------------------------

    /// Says something on a connection.
    pub(super) fn say(&mut self, id: ConnectionId, side: Side, wire: Wire) {
        let to = side.other();
        let connection = &mut self.connections[id];
        let at = self.paths.arrival(self.now, connection.end_mut(to));
        self.push(at, What::Packet(Packet::Said { connection: id, to, wire }));
    }

    /// Something arrives at a machine.
    pub(super) fn packet(&mut self, packet: Packet) {
        match packet {
            Packet::Said { connection, to, wire } => self.arrived(connection, to, wire),
            Packet::Hello { dial, to } => self.hello(dial, to),
            Packet::HelloAnswer { dial, answer } => self.hello_answered(dial, answer),
        }
    }

    /// What is said on a connection has come as far as to the other machine, unless the way is cut.
    fn arrived(&mut self, connection: ConnectionId, to: Side, wire: Wire) {
        let ends = &self.connections[connection];
        let (from, here) = (ends.end(to.other()).place.host, ends.end(to).place.host);
        if self.paths.is_cut(from, here) {
            return self.paths.hold(from, here, Packet::Said { connection, to, wire });
        }
        self.happen(What::Read { connection, to, wire });
    }

    /// The process reads what was said.
    pub(super) fn said(&mut self, id: ConnectionId, side: Side, wire: Wire) {
        let connection = &self.connections[id];
        let (own, theirs) = (connection.end(side), connection.end(side.other()));
        let to = own.place.host;
        if !own.is_open {
            let is_answered = self.hosts[to].has_power && !matches!(wire, Wire::Reset | Wire::Ended);
            if is_answered && theirs.is_open {
                self.say(id, side, Wire::Reset);
            }
            return;
        }
        let peer = Peer { member: theirs.member, boot: theirs.boot };
        match wire {
            Wire::Ended => self.closed(id, side, Fault::Ended),
            Wire::Reset => self.closed(id, side, Fault::Reset),
            Wire::Control(message) => {
                if let Some(process) = &mut self.hosts[to].process {
                    process.inlets.links.push_back(Inlet::Control((peer, message)));
                    self.control_soon(to);
                }
            }
            Wire::Question(question) => {
                let now = self.now;
                let Some(process) = &mut self.hosts[to].process else { return };
                let answer = process.raft.answer(now, peer.member, question);
                self.say(id, side, Wire::Answer(answer));
                self.carry_out_raft(to);
            }
            Wire::Answer(answer) => {
                let now = self.now;
                let Some(process) = &mut self.hosts[to].process else { return };
                process.raft.heard(now, peer.member, answer);
                self.carry_out_raft(to);
            }
            Wire::Frame(frame) => self.frame(to, peer, id, &frame),
            Wire::DataAnswer(answer) => self.data_answer(to, peer, id, answer),
        }
    }

    /// Cuts the way from one machine to another, or takes one cut back.
    pub(super) fn cut(&mut self, from: usize, to: usize) {
        if self.paths.cut(from, to) {
            self.path_changed(from, to);
        }
    }

    /// See [`World::cut`].
    pub(super) fn mend(&mut self, from: usize, to: usize) {
        let Some(held) = self.paths.mend(from, to) else { return };
        self.path_changed(from, to);
        for packet in held {
            // At once, so that nothing that was said later arrives before it.
            self.push(self.now, What::Packet(packet));
        }
    }
}
