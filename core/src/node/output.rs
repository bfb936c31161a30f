//! The orders that a node gives.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::cluster::{Command, Event};
use crate::ids::{MemberId, RouteId, SessionId, Term};
use crate::node::{BindRefusal, ControlMessage, OrderId, Refusal};

/// An order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// What the rest of the cluster is told, whoever serves the sessions.
    Cluster(ClusterOrder),
    /// The agreed state changed: the read view, the lanes and the sessions follow before the next output is carried out.
    Event(Event),
    /// Answers a session of this node.
    Answer {
        /// Which.
        session: SessionId,
        /// With what.
        answer: Answer,
    },
    /// How clients are treated from now on.
    Service(Service),
    /// Sends some clients away, not those that were sent away a moment ago.
    SendAway {
        /// How many.
        sessions: usize,
        /// Where they may go.
        see_other_host: SocketAddr,
    },
    /// This life is over although the process lives: its clients are sent away, its links cut, another life begins.
    LifeOver {
        /// Where its clients may go.
        see_other_host: Option<SocketAddr>,
    },
    /// This life has left the cluster as it was asked to.
    Left,
    /// The members follow a version of the agreed state that this program does not: it cannot go on.
    Outgrown {
        /// That version.
        version: u32,
    },
}

/// An order that concerns Raft, the other members and operators, and no session of this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClusterOrder {
    /// Appends these commands to the log. Only ordered while this node leads; if it does not any more, nothing happens.
    Propose(Vec<Command>),
    /// Proposes what this node has decided as the leader of a term, and drops it if it does not lead in that very term when
    /// it is appended: who led in between may have granted what is taken away here.
    ProposeInTerm {
        /// The term.
        term: Term,
        /// In order.
        commands: Vec<Command>,
    },
    /// Says this on the control link to that member, if there is one. What cannot be sent is lost: it will be said again.
    Send {
        /// To whom.
        to: MemberId,
        /// What.
        message: ControlMessage,
    },
    /// Dials this address besides those of the members and those that were found: the leader is there.
    Dial(SocketAddr),
    /// Answers an operator.
    Ordered {
        /// To which order.
        id: OrderId,
        /// Whether it was carried out.
        outcome: Result<(), Refusal>,
    },
    /// The leader is dead: has Raft elect `target` at once.
    TakeOver {
        /// The leader that is dead.
        dead: MemberId,
        /// Who is to lead.
        target: MemberId,
    },
    /// Makes Raft's membership this one. Ordered again until [`RaftStatus`](crate::node::RaftStatus) shows it.
    Membership {
        /// Who votes.
        voters: BTreeSet<MemberId>,
        /// Who follows without a vote.
        learners: BTreeSet<MemberId>,
    },
    /// Hands the leadership over before leaving.
    TransferLeadership {
        /// To whom.
        to: MemberId,
    },
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Every active member routes to the session.
    Bound {
        /// By this route.
        route: RouteId,
    },
    /// The bind has not taken effect.
    Refused(BindRefusal),
    /// Every active member knows the presence.
    Announced {
        /// As it was asked.
        revision: u64,
    },
}

/// How clients are treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// The node holds a lease: everything goes on.
    Serve,
    /// The lease has ended: nothing is read, delivered, acknowledged or bound; it may come back.
    Pause,
    /// The lease did not come back: clients are sent away and none is let in.
    Close,
}
