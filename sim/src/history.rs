//! What was seen from outside of the nodes, with the time at which it was: what the invariants are checked against.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cresset_core::ids::RouteId;
use cresset_core::node::Order;

use crate::trace::{self, Detail, Trace};

/// Something that happened, and when in simulated time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Time since the world began.
    pub at: Duration,
    /// What happened.
    pub event: Event,
}

/// The n-th connection of a client.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Connection {
    /// The client: the user's name, with [`RIVAL`] or [`WATCH`] behind it if it is another one than his first.
    pub user: String,
    /// Counts from 1.
    pub number: u32,
}

/// Why a connection ended of which its client takes no leave.
pub const WITHOUT_A_WORD: &str = "gone without a word";

/// Why one ended of which its client took its leave.
pub const LEFT: &str = "left";

/// Why one ended that its client did not need any more.
pub const UNWANTED: &str = "not wanted any more";

/// Ends the name of a client that has the full JID of a user's first one.
pub const RIVAL: char = '\'';

/// Ends the name of a user's second client, which has a resource of its own.
pub const WATCH: char = '+';

/// What is known of both counters of a session (XEP-0198) when it is resumed, modulo 2^32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Counters {
    /// Stanzas that the client has written in this session.
    pub sent: u32,
    /// Those of them that were acknowledged before.
    pub acknowledged: u32,
    /// Those of them that the node says it has handled.
    pub answered: u32,
    /// Stanzas that the client says it has handled.
    pub told: u32,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// A client was told its JID: a session begins.
    LoggedIn {
        /// On which connection.
        connection: Connection,
        /// By which node.
        node: String,
        /// The full JID.
        jid: String,
    },
    /// A client was refused a JID.
    BindRefused {
        /// On which connection.
        connection: Connection,
        /// By which node.
        node: String,
        /// The condition.
        condition: String,
    },
    /// A client's session may be resumed.
    Resumable {
        /// On which connection.
        connection: Connection,
        /// For how long without one.
        max: Duration,
    },
    /// A client asks for a login; it ends in [`Event::LoggedIn`], [`Event::Resumed`] or [`Event::Disconnected`].
    Dialled {
        /// On which connection.
        connection: Connection,
        /// Which node.
        node: String,
    },
    /// A client goes on with the session that it had on an earlier connection (XEP-0198).
    Resumed {
        /// On which connection.
        connection: Connection,
        /// At which node.
        node: String,
        /// The connection on which the session was before.
        before: Connection,
        /// What both sides have counted.
        counters: Counters,
    },
    /// A client may not go on with the session that it had.
    ResumptionRefused {
        /// On which connection.
        connection: Connection,
        /// By which node.
        node: String,
        /// The connection on which the session was.
        before: Connection,
        /// The condition.
        condition: String,
    },
    /// A client ends its session for good.
    LoggedOut {
        /// On which connection.
        connection: Connection,
        /// At which node.
        node: String,
    },
    /// The node of a client that has logged out ends the stream as well: it has dealt with all that came before.
    Farewell {
        /// On which connection.
        connection: Connection,
        /// From which node.
        node: String,
    },
    /// A client is told whether somebody else's session is available.
    Presence {
        /// On which connection.
        connection: Connection,
        /// Whose, a full JID.
        of: String,
        /// Whether it is available.
        available: bool,
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
        /// To whom, a JID.
        to: String,
        /// The message.
        id: String,
    },
    /// A client wrote a message once more, because the node said at resumption that it does not have it.
    SentAgain {
        /// On which connection.
        connection: Connection,
        /// The message.
        id: String,
    },
    /// A client wrote a request that has to be answered.
    Asked {
        /// On which connection.
        connection: Connection,
        /// Through which node.
        node: String,
        /// Whom, a JID.
        to: String,
        /// The request.
        id: String,
    },
    /// The node acknowledged a request to the client that asked it (XEP-0198).
    AcknowledgedAsking {
        /// On which connection.
        connection: Connection,
        /// The request.
        id: String,
    },
    /// A client got a request, and writes the answer.
    WasAsked {
        /// On which connection.
        connection: Connection,
        /// The request.
        id: String,
    },
    /// A client was answered.
    Answered {
        /// On which connection.
        connection: Connection,
        /// The request.
        id: String,
        /// The condition, if the answer is an error.
        error: Option<String>,
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
    /// A process of a node starts: what is seen of the node from here on is of this boot.
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
    /// A process was killed, or the power of its machine went.
    Crashed {
        /// Which node.
        node: String,
    },
    /// A process was stopped in good order.
    Stopped {
        /// Which node.
        node: String,
    },
    /// A process stands still.
    Paused {
        /// Which node.
        node: String,
    },
    /// A process that stood still goes on.
    Continued {
        /// Which node.
        node: String,
    },
    /// A node has lost what was on its disk, or a part of it that it may not have been told it had.
    DiskLost {
        /// Which node.
        node: String,
    },
    /// An operator asks a node for something.
    Ordered {
        /// The order, unique in this run.
        number: u64,
        /// The node that is asked.
        node: String,
        /// What for.
        order: Order,
    },
    /// The node that was asked answers.
    OrderAnswered {
        /// Which order.
        number: u64,
        /// The node.
        node: String,
        /// Why it was not carried out, if it was not.
        refusal: Option<String>,
    },
    /// An episode of the plan begins.
    Began {
        /// Which, from 0.
        episode: usize,
        /// The nodes that it meets, where it meets some in particular.
        nodes: Vec<String>,
    },
    /// An episode of the plan ends.
    Ended {
        /// Which, from 0.
        episode: usize,
    },
    /// From here on nothing is broken any more.
    Healed,
    /// What a node's disk now holds for sure, or what its Raft does.
    Raft {
        /// The node.
        node: String,
        /// What.
        fact: RaftFact,
    },
    /// What a node's directory of sessions does.
    Directory {
        /// The node.
        node: String,
        /// What.
        fact: DirectoryFact,
    },
}

/// A position in the log with its term.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryId {
    /// Of the leader that made the entry.
    pub term: u64,
    /// The position.
    pub index: u64,
}

/// Who votes: one set, or two during a change. Members by their ids.
pub type Voters = Vec<BTreeSet<u64>>;

/// What is seen of Raft on one node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RaftFact {
    /// What is on this node's disk is this member's.
    Is {
        /// The member.
        member: u64,
    },
    /// This member founds the cluster.
    Founds {
        /// The member.
        member: u64,
    },
    /// A vote is on the disk: whose leadership this node accepts in this term, and whether that one is elected.
    Voted {
        /// The term.
        term: u64,
        /// The member that was voted for.
        leader: u64,
        /// Whether it is known to be elected.
        is_elected: bool,
    },
    /// Entries are on the disk, with the sum of what each says.
    Appended {
        /// In order, without gaps.
        entries: Vec<(EntryId, u32)>,
    },
    /// One of the entries that were [`RaftFact::Appended`] just before says who votes from it on.
    Configured {
        /// Which.
        entry: EntryId,
        /// Who votes.
        voters: Voters,
    },
    /// It is on the disk that everything up to this entry was committed.
    Committed {
        /// The last that was.
        entry: EntryId,
    },
    /// Entries after this index are not on the disk any more.
    TruncatedAfter {
        /// The last that stays; absent if none does.
        index: Option<u64>,
    },
    /// Entries up to this index are not on the disk any more; a snapshot is.
    PurgedUpTo {
        /// The last that went.
        entry: EntryId,
    },
    /// A snapshot that ends with this entry is on the disk.
    Kept {
        /// Its last entry.
        entry: EntryId,
    },
    /// That snapshot is not on the disk any more.
    Dropped {
        /// Its last entry.
        entry: EntryId,
    },
    /// This node leads. Told again whenever something else about Raft changes meanwhile.
    Leads {
        /// The term.
        term: u64,
    },
    /// An entry is applied.
    Applied {
        /// Which.
        entry: EntryId,
        /// The sum of what it says, as in [`RaftFact::Appended`].
        sum: u32,
    },
    /// A snapshot took the place of all that was applied.
    Installed {
        /// Its last entry.
        entry: EntryId,
    },
    /// The agreed state as of this index. Not told after every entry, but after every snapshot.
    State {
        /// The index of the last entry in it.
        index: u64,
        /// Its digest.
        digest: u64,
    },
}

/// What is seen of the directory of sessions on one node. A holding is known by its number, the [`RouteId`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum DirectoryFact {
    /// A session of this node asks for a full JID.
    BindAsked {
        /// The session, unique among those of this node and boot.
        session: u64,
        /// The JID.
        jid: String,
    },
    /// It was answered. The holding is absent if it was refused.
    BindAnswered {
        /// The session.
        session: u64,
        /// The holding.
        route: Option<RouteId>,
    },
    /// A session of this node gives its holding back.
    UnbindAsked {
        /// The holding.
        route: RouteId,
    },
    /// This node now routes the JID to that holding.
    Added {
        /// The JID.
        jid: String,
        /// The holding.
        route: RouteId,
        /// The member that holds it.
        member: u64,
        /// The index of the entry by which it came, or how far the node had come when that was seen.
        index: u64,
    },
    /// This node does not route to that holding any more.
    Removed {
        /// The JID.
        jid: String,
        /// The holding.
        route: RouteId,
        /// The index of the entry by which it went, or how far the node had come when that was seen.
        index: u64,
    },
    /// A look-up in the memory of a node that may serve at that moment.
    LookedUp {
        /// The JID.
        jid: String,
        /// Who holds it.
        route: Option<RouteId>,
        /// How far the view is announced to be.
        index: u64,
    },
    /// A member's life began, was activated or ended.
    Life {
        /// The member.
        member: u64,
        /// Its incarnation.
        incarnation: u64,
        /// What happened to it.
        stage: LifeStage,
        /// The index of the entry, or how far the node had come when that was seen.
        index: u64,
    },
    /// That life ended because the others took its process for crashed.
    TakenForCrashed {
        /// The member.
        member: u64,
        /// Its incarnation.
        incarnation: u64,
    },
    /// Whether the node serves its clients by itself from here on, and of what it routes by nothing is told.
    Alone {
        /// Or by the cluster, as at first.
        is_alone: bool,
    },
    /// What this node has handed to other members and must not forget yet.
    UnderWay {
        /// How many parcels, rounded up to a power of two.
        parcels: u64,
    },
    /// More waits for a session than may wait for one, and it goes on.
    Overfull {
        /// The session, unique among those of this node and boot.
        session: u64,
    },
    /// How this node treats its clients from now on.
    Service(Service),
    /// The node holds another lease than before.
    Lease {
        /// How long, by its own clock. Absent if it holds none.
        left: Option<Duration>,
    },
}

/// How far a life has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LifeStage {
    /// It began.
    Joined,
    /// It serves.
    Activated,
    /// It is over.
    Ended,
}

/// How a node treats its clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Service {
    /// They are served.
    Serve,
    /// They wait.
    Pause,
    /// They are sent away.
    Close,
}

/// How one node sees the cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ClusterView {
    /// Whether it serves its clients: by a lease, or by itself.
    pub serving: bool,
    /// Whether it does so by itself.
    pub alone: bool,
    /// The version of the agreed state.
    pub version: u32,
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
    is_quick: bool,
}

impl History {
    /// An empty history, whose events are part of this trace.
    pub fn new(trace: Trace) -> Self {
        History { records: Arc::default(), trace, is_quick: false }
    }

    /// A history of a run that is repeated very often: its events are part of the trace as they are, not as words.
    pub fn quick(trace: Trace) -> Self {
        History { is_quick: true, ..History::new(trace) }
    }

    /// The trace.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Adds what happens at one place now.
    pub fn add(&self, place: &str, event: Event) {
        if self.is_quick {
            self.trace.note_quickly(Detail::Events, place, &event);
        } else {
            self.trace.note(Detail::Events, place, format_args!("{event}"));
        }
        self.lock().push(Record { at: trace::now(), event });
    }

    /// Everything so far, in order, which is then forgotten.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.lock())
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
            if let Event::Crashed { node: of } | Event::Stopped { node: of } | Event::Failed { node: of, .. } =
                &record.event
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

impl Connection {
    /// The name of the user whose client it is.
    pub fn account(&self) -> &str {
        self.user.trim_end_matches([RIVAL, WATCH])
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.term, self.index)
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { sent, acknowledged, answered, told } = self;
        write!(f, "sent {sent}, of which acknowledged {acknowledged}, then {answered}; has handled {told}")
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
            Event::LoggedIn { connection, node, jid } => write!(f, "{connection} logged in at {node} as {jid}"),
            Event::BindRefused { connection, node, condition } => {
                write!(f, "{connection} got no JID from {node}: {condition}")
            }
            Event::Resumable { connection, max } => {
                write!(f, "{connection} may be resumed within {:.3} s", max.as_secs_f64())
            }
            Event::Disconnected { connection, node, reason } => write!(f, "{connection} is off {node}: {reason}"),
            Event::Sent { connection, node, to, id } => write!(f, "{connection} sent {id} to {to} through {node}"),
            Event::SentAgain { connection, id } => write!(f, "{connection} sent {id} again"),
            Event::Asked { connection, node, to, id } => write!(f, "{connection} asked {id} of {to} through {node}"),
            Event::AcknowledgedAsking { connection, id } => write!(f, "{connection} was acknowledged its asking {id}"),
            Event::WasAsked { connection, id } => write!(f, "{connection} was asked {id}"),
            Event::Answered { connection, id, error: None } => write!(f, "{connection} was answered {id}"),
            Event::Answered { connection, id, error: Some(condition) } => {
                write!(f, "{connection} was answered {id}: {condition}")
            }
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
            Event::Dialled { connection, node } => write!(f, "{connection} asks {node} for a login"),
            Event::Resumed { connection, node, before, counters } => {
                write!(f, "{connection} goes on as {before} at {node}, {counters}")
            }
            Event::ResumptionRefused { connection, node, before, condition } => {
                write!(f, "{connection} may not go on as {before} at {node}: {condition}")
            }
            Event::LoggedOut { connection, node } => write!(f, "{connection} logged out of {node}"),
            Event::Farewell { connection, node } => write!(f, "{connection} was let go by {node}"),
            Event::Presence { connection, of, available } => {
                write!(f, "{connection} was told that {of} is {}", if *available { "available" } else { "unavailable" })
            }
            Event::Stopped { node } => write!(f, "{node} STOPPED"),
            Event::Paused { node } => write!(f, "{node} PAUSED"),
            Event::Continued { node } => write!(f, "{node} goes on"),
            Event::DiskLost { node } => write!(f, "{node} LOST ITS DISK"),
            Event::Ordered { number, node, order } => write!(f, "{node} is given order {number}: {order:?}"),
            Event::OrderAnswered { number, node, refusal: None } => {
                write!(f, "{node} says that order {number} is done")
            }
            Event::OrderAnswered { number, node, refusal: Some(reason) } => {
                write!(f, "{node} refuses order {number}: {reason}")
            }
            Event::Began { episode, nodes } => write!(f, "episode {episode} BEGINS {}", nodes.join(" ")),
            Event::Ended { episode } => write!(f, "episode {episode} ends"),
            Event::Healed => f.write_str("HEALED"),
            Event::Raft { node, fact } => write!(f, "{node} raft {fact:?}"),
            Event::Directory { node, fact } => write!(f, "{node} directory {fact:?}"),
        }
    }
}

impl fmt::Display for ClusterView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serving = match (self.serving, self.alone) {
            (true, false) => "serving",
            (true, true) => "serving by itself",
            (false, _) => "not serving",
        };
        let leader = self.leader.as_deref().unwrap_or("nobody");
        let active = self.active.join(" ");
        write!(f, "{serving}, {leader} leads term {}, active: {active}; sessions: {}", self.term, self.sessions)
    }
}
