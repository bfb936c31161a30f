//! How a cluster is, as one of its nodes sees it.

use std::net::SocketAddr;

use cresset_core::node::Amiss;
use cresset_core::resilience::Resilience;
use serde::{Deserialize, Serialize};

/// How the cluster is, as one of its nodes sees it. Numbers that only the leader knows are absent elsewhere.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster's identity, as the shared account database holds it.
    pub cluster_id: String,
    /// The name of the node that answers.
    pub node: String,
    /// Whether clustering is on, as the node that answers last read it.
    pub clustering: bool,
    /// Whether the node that answers serves its own clients by itself, whatever the cluster does.
    pub alone: bool,
    /// Whether the node that answers serves: in the cluster it needs a lease for that.
    pub serving: bool,
    /// The connections of clients to the node that answers; absent if it is a witness.
    #[serde(default)]
    pub connections: Option<Connections>,
    /// Why clients cannot log in at the node that answers; absent if they can.
    #[serde(default)]
    pub unready: Option<String>,
    /// The name of the leader, if this node knows one.
    pub leader: Option<String>,
    /// The name of the oldest active member.
    pub senior: Option<String>,
    /// The term of Raft.
    pub term: u64,
    /// The last entry that this node has applied.
    pub applied_index: u64,
    /// Sessions in the whole cluster; of this node if it is by itself.
    pub sessions: u64,
    /// The version of the agreed state, which all members follow.
    #[serde(default)]
    pub version: u32,
    /// The times on which fencing rests, as the node that answers follows them.
    #[serde(default)]
    pub times: Option<TimesStatus>,
    /// Members, the senior first.
    pub members: Vec<MemberStatus>,
    /// How many voters may go at once without stopping the cluster; absent if it stands still already.
    pub can_lose: Option<u32>,
    /// The same in a sentence, with what helps.
    pub advice: String,
}

/// For how many clients a node has places.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Connections {
    /// Those that are there.
    pub now: usize,
    /// How many there may be: beyond it a client is refused.
    pub max: usize,
    /// How many the configuration allows.
    pub configured: usize,
    /// How many file descriptors the process may have.
    pub descriptors: usize,
}

/// The times on which fencing rests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimesStatus {
    /// Between two signs of life.
    pub heartbeat_ms: u64,
    /// How long a member serves without proof that a quorum counts it in.
    pub lease_ms: u64,
    /// By how many percent two clocks may differ in speed.
    pub drift_percent: u32,
    /// The silence after which a member is expelled.
    pub expel_after_ms: u64,
    /// Whether the members have agreed on them. Else they are those of the file of the node that answers.
    pub agreed: bool,
    /// What they become, if they are being changed.
    pub becoming: Option<String>,
    /// What the file of the node that answers says of them otherwise, without effect.
    pub without_effect: Option<String>,
}

/// How one member is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: u64,
    /// `server` or `witness`.
    pub role: String,
    /// Whether it takes part.
    pub state: MemberState,
    /// Whether its vote counts. A member that has just joined votes a moment later.
    pub voter: bool,
    /// Whether it leads.
    pub leader: bool,
    /// Its place in the order of joining, from 1.
    pub seniority: u32,
    /// Which of its lives.
    pub incarnation: u64,
    /// Where other members reach it.
    pub address: SocketAddr,
    /// Where clients reach it.
    pub client_addresses: Vec<SocketAddr>,
    /// Whether the node that answers has a link to a process that is this member. True for itself.
    pub reachable: bool,
    /// Sessions on it.
    pub sessions: u64,
    /// The last entry that it said to have applied, if it said so to this node.
    pub applied_index: Option<u64>,
    /// What is left of its lease, if this node knows.
    pub lease_remaining_ms: Option<u64>,
    /// The version of its program, if this node had a link to it.
    #[serde(default)]
    pub program: Option<String>,
}

/// Whether a member takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberState {
    /// It has asked to join.
    Joining,
    /// It takes part.
    Active,
    /// It takes part, and its clients are sent to others.
    Draining,
    /// It left, or was expelled.
    Gone,
}

impl MemberState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberState::Joining => "joining",
            MemberState::Active => "active",
            MemberState::Draining => "draining",
            MemberState::Gone => "gone",
        }
    }
}

impl ClusterStatus {
    /// Counts the voters among the members and fills in [`can_lose`](Self::can_lose) and [`advice`](Self::advice).
    ///
    /// A voter counts as present if it is this node, or a process that answers as that member.
    #[must_use]
    pub fn with_advice(mut self) -> Self {
        let voters = self.members.iter().filter(|member| member.voter);
        let present = voters.clone().filter(|voter| voter.reachable);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let resilience = Resilience { voters: count(voters.clone().count()), present: count(present.count()) };
        self.can_lose = resilience.can_lose();
        self.advice = resilience.advice();
        self
    }

    /// Adds why waiting does not help. Where nothing is known of the cluster, that is all there is to say.
    #[must_use]
    pub fn with_amiss(mut self, amiss: Option<Amiss>) -> Self {
        self.advice = match amiss {
            None => self.advice,
            Some(amiss) if self.members.is_empty() => amiss.to_string(),
            Some(amiss) => format!("{}; {amiss}", self.advice),
        };
        self
    }
}
