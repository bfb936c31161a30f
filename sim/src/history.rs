//! What was seen from outside of the nodes, with the time at which it was: what the invariants are checked against.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::trace::{self, Detail, Trace};

/// Something that happened, and when in simulated time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Time since the world began.
    pub at: Duration,
    /// What happened.
    pub event: Event,
}

/// The n-th connection of a user.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Connection {
    /// The user.
    pub user: String,
    /// Counts from 1.
    pub number: u32,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A client was told its JID.
    LoggedIn {
        /// On which connection.
        connection: Connection,
        /// By which node.
        node: String,
    },
    /// A connection of a client ended, or did not come about.
    Disconnected {
        /// Which.
        connection: Connection,
        /// To which node.
        node: String,
        /// Why.
        reason: String,
    },
    /// A client wrote a message to its socket.
    Sent {
        /// On which connection.
        connection: Connection,
        /// Through which node.
        node: String,
        /// To whom.
        to: String,
        /// The message.
        id: String,
    },
    /// The node acknowledged a message to the client that sent it (XEP-0198).
    Acknowledged {
        /// On which connection.
        connection: Connection,
        /// The message.
        id: String,
    },
    /// A message came back as an error.
    Bounced {
        /// To which connection.
        connection: Connection,
        /// The message.
        id: String,
    },
    /// A client got a message.
    Received {
        /// On which connection.
        connection: Connection,
        /// From which node.
        node: String,
        /// The message.
        id: String,
    },
    /// A node told a client that it holds this full JID.
    Holds {
        /// The node.
        node: String,
        /// The client's address.
        client: SocketAddr,
        /// The JID.
        jid: String,
    },
    /// A node wrote a stanza to a client that holds this full JID.
    Delivers {
        /// The node.
        node: String,
        /// The client's address.
        client: SocketAddr,
        /// The JID.
        jid: String,
        /// The stanza, if it has an id.
        id: String,
    },
    /// A node wrote something that the product's own parser refuses.
    UnreadableOutput {
        /// The node.
        node: String,
        /// What the parser said.
        text: String,
    },
    /// How a node sees the cluster has changed.
    Sees {
        /// The node.
        node: String,
        /// What it sees.
        view: ClusterView,
    },
    /// A node started.
    Started {
        /// Which.
        node: String,
    },
    /// A node ended without being asked to.
    Failed {
        /// Which.
        node: String,
        /// Why.
        reason: String,
    },
    /// A process was killed.
    Crashed {
        /// Which node.
        node: String,
    },
    /// These nodes were cut off from all others; clients still reach them.
    CutOff {
        /// Which.
        node: String,
    },
    /// From here on nothing is broken any more.
    Healed,
}

/// How one node sees the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClusterView {
    /// Whether it holds a lease.
    pub serving: bool,
    /// Who leads.
    pub leader: Option<String>,
    /// In which term.
    pub term: u64,
    /// Who takes part and is reached.
    pub active: Vec<String>,
    /// Sessions in the whole cluster.
    pub sessions: u64,
}

/// The history of one run. Clones are the same history.
#[derive(Clone, Debug)]
pub struct History {
    records: Arc<Mutex<Vec<Record>>>,
    trace: Trace,
}

impl History {
    /// An empty history, whose events are part of this trace.
    pub fn new(trace: Trace) -> Self {
        History { records: Arc::default(), trace }
    }

    /// The trace.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Adds what happens at one place now.
    pub fn add(&self, place: &str, event: Event) {
        self.trace.note(Detail::Events, place, format_args!("{event}"));
        self.lock().push(Record { at: trace::now(), event });
    }

    /// Everything so far, in order.
    pub fn records(&self) -> Vec<Record> {
        self.lock().clone()
    }

    /// How the node sees the cluster according to its last word since it started; absent if it does not run.
    pub fn view_of(&self, node: &str) -> Option<ClusterView> {
        let records = self.lock();
        for record in records.iter().rev() {
            if let Event::Sees { node: of, view } = &record.event
                && of == node
            {
                return Some(view.clone());
            }
            if let Event::Crashed { node: of } | Event::Failed { node: of, .. } = &record.event
                && of == node
            {
                return None;
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.user, self.number)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::LoggedIn { connection, node } => write!(f, "{connection} logged in at {node}"),
            Event::Disconnected { connection, node, reason } => write!(f, "{connection} is off {node}: {reason}"),
            Event::Sent { connection, node, to, id } => write!(f, "{connection} sent {id} to {to} through {node}"),
            Event::Acknowledged { connection, id } => write!(f, "{connection} was acknowledged {id}"),
            Event::Bounced { connection, id } => write!(f, "{connection} got {id} back"),
            Event::Received { connection, node, id } => write!(f, "{connection} received {id} from {node}"),
            Event::Holds { node, client, jid } => write!(f, "{node} told {client} that it is {jid}"),
            Event::Delivers { node, client, jid, id } => write!(f, "{node} wrote '{id}' to {jid} at {client}"),
            Event::UnreadableOutput { node, text } => write!(f, "{node} wrote what nobody may: {text}"),
            Event::Sees { node, view } => write!(f, "{node} sees {view}"),
            Event::Started { node } => write!(f, "{node} started"),
            Event::Failed { node, reason } => write!(f, "{node} ended by itself: {reason}"),
            Event::Crashed { node } => write!(f, "{node} CRASHED"),
            Event::CutOff { node } => write!(f, "{node} CUT OFF"),
            Event::Healed => f.write_str("HEALED"),
        }
    }
}

impl fmt::Display for ClusterView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serving = if self.serving { "serving" } else { "not serving" };
        let leader = self.leader.as_deref().unwrap_or("nobody");
        let active = self.active.join(" ");
        write!(f, "{serving}, {leader} leads term {}, active: {active}; sessions: {}", self.term, self.sessions)
    }
}
