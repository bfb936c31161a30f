//! The orders of the control plane of a process.

use std::net::SocketAddr;
use std::time::Duration;

use super::Mode;
use crate::admission::Door;
use crate::cluster::Event;
use crate::ids::{LogIndex, SessionId};
use crate::node::{Answer, ClusterOrder, Service};
use crate::time::Uptime;

/// An order. Each is carried out; none needs a second look at who is in the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClusteringOutput {
    /// The router is told this.
    Router(ToRouter),
    /// The agreed state of the cluster changed: links and the chronicle follow.
    Happened(Event),
    /// The router shows the cluster's log up to this position.
    Shown(LogIndex),
    /// From here on the router follows a node by itself, or the cluster again.
    Alone(bool),
    /// Raft, another member or an operator is told this.
    Cluster(ClusterOrder),
    /// An operator may want to know this.
    Notice(Notice),
    /// This life is over although the process lives: other links are made for the
    /// [next one](super::Clustering::reborn).
    NextLife,
    /// The process is to end.
    End(ProcessEnd),
}

/// What the router is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToRouter {
    /// The lease lasts until then. Comes before everything that follows from it.
    Lease(Option<Uptime>),
    /// The state that it follows changed.
    Event(Event),
    /// All events up to this position of the log that it follows were told.
    Applied(LogIndex),
    /// A session is answered.
    Answer {
        /// Whose answer it is.
        source: Source,
        /// Which.
        session: SessionId,
        /// With what.
        answer: Answer,
    },
    /// How clients are treated from now on.
    Service {
        /// Who says so.
        source: Source,
        /// How.
        service: Service,
    },
    /// What clients find that come from here on.
    Door(Door),
    /// As [`Output::SendAway`](crate::node::Output::SendAway).
    SendAway {
        /// How many.
        sessions: usize,
        /// Where they may go.
        see_other_host: SocketAddr,
    },
    /// The others have ended this life: its clients are sent away.
    LifeOver {
        /// Where they may go.
        see_other_host: Option<SocketAddr>,
    },
    /// This life is about to end, and the sessions are to go on: they settle what they can. Answer:
    /// [`handle_held`](super::Clustering::handle_held).
    Hold,
    /// The sessions go on by another log, which begins after this position.
    MoveOn {
        /// Which.
        begin: LogIndex,
    },
    /// The links of this life lead to the other members.
    Connect,
    /// All routes of the cluster's state as it is now are shown.
    AllRoutes,
    /// The node is not by itself any more: those for whom something was stored meanwhile are told, and all sessions look
    /// into the store once more after that time.
    StoredAlone {
        /// When no node can be by itself any more.
        look_again_after: Duration,
    },
}

/// Who says something to the router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The part in the cluster.
    Cluster,
    /// The part in the cluster while the node leaves it and its sessions stay.
    Leaving,
    /// The part by itself.
    Itself,
}

/// What an operator may want to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Operators have switched clustering on or off, and this node follows.
    Switched(Mode),
    /// The node has not found its cluster, and serves alone as operators allow.
    ServesAlone,
    /// Clustering is on, and the node, which is not in the cluster, stops serving by itself.
    AloneForTooLong,
    /// The others have not agreed in time that this node leaves.
    LeavesUnnoticed,
}

/// Why the process is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessEnd {
    /// It has left as it was asked to.
    Left,
    /// Another member has its name, and has joined since.
    Namesake,
    /// The members follow a version of the agreed state that this program does not.
    Outgrown {
        /// That version.
        version: u32,
    },
}
