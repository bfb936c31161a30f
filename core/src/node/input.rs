//! The facts that a node takes.

use std::sync::Arc;

use crate::cluster::{Command, Event, Installation, RoutePresence};
use crate::ids::{BootId, LogIndex, MemberId, RouteId, SessionId, Term};
use crate::jid::FullJid;
use crate::liveness::{LogEnd, VoterSets};
use crate::node::{ControlMessage, Order, OrderId};

/// A fact.
#[derive(Debug)]
pub enum Input {
    /// The next entries of the log are committed.
    Committed(Vec<Entry>),
    /// A snapshot is about to be installed, and this is what becomes of some routes by it: told before, because all of
    /// them at once would take too long.
    RoutesAhead(Vec<Event>),
    /// A snapshot takes the place of everything up to its index.
    Installed(Box<Installation>),
    /// What Raft says of itself has changed.
    Raft(RaftStatus),
    /// A peer said something on its control link.
    Control {
        /// Who.
        from: Peer,
        /// What.
        message: ControlMessage,
        /// The term of this node's last vote, read after the message arrived.
        voted: Term,
    },
    /// There is a control link to this process, in both directions.
    LinkUp(Peer),
    /// The control link was closed by the other end or reset.
    LinkClosed(Peer),
    /// The control link was given up by this side, mostly because nothing came by it: that says nothing of the process.
    LinkSilent(Peer),
    /// Another link with this process was closed by the other end or reset.
    LaneClosed(Peer),
    /// The port of a process whose link closed refuses connections. A time-out is no refusal.
    PortRefused(Peer),
    /// A peer refuses the links of this process, because it knows that the life that it leads is over.
    Over,
    /// A session of this node asks for something.
    Request(Request),
    /// An operator asks for something.
    Order {
        /// Comes back with the answer.
        id: OrderId,
        /// What.
        order: Order,
    },
    /// The node that stands [aside](crate::node::Node::aside) is asked to join.
    Enter,
    /// The node is asked to leave the cluster in good order.
    Leave,
    /// It is later than [`Node::poll_timeout`](crate::node::Node::poll_timeout) said.
    Timeout,
}

/// One committed entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its position.
    pub index: LogIndex,
    /// What it says; absent for Raft's own entries.
    pub command: Option<Arc<Command>>,
}

/// One process of a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Peer {
    /// The member.
    pub member: MemberId,
    /// Which process of it.
    pub boot: BootId,
}

/// What Raft says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RaftStatus {
    /// The current term.
    pub term: Term,
    /// The term of the last vote that was cast, this moment's or an earlier one.
    pub voted: Term,
    /// Who leads this term, as far as this node knows.
    pub leader: Option<MemberId>,
    /// Who votes: one set, or two while Raft moves from one to the other.
    pub voter_sets: VoterSets,
    /// Who follows without a vote.
    pub learners: std::collections::BTreeSet<MemberId>,
    /// Where this node's log ends.
    pub log_end: LogEnd,
}

/// What a session asks of the control plane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// A full JID. Answer: bound or refused.
    Bind {
        /// Who asks.
        session: SessionId,
        /// For what.
        jid: FullJid,
    },
    /// A presence for its route. Answer: announced.
    Announce {
        /// Who asks.
        session: SessionId,
        /// Its route.
        route: RouteId,
        /// The presence.
        presence: RoutePresence,
        /// Comes back with the answer.
        revision: u64,
    },
    /// The end of its route. No answer.
    Unbind {
        /// The route.
        route: RouteId,
    },
}

/// Why a bind was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindRefusal {
    /// The account has as many sessions as it can have.
    TooManySessions,
    /// This node does not serve: it has no lease, or its life is over, or too many wait already.
    NotServing,
}
