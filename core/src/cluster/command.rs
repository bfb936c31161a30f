//! What the members agree on, one entry of the log at a time.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::cluster::{RoutePresence, TIMES_SINCE_VERSION};
use crate::fencing::Times;
use crate::ids::{BootId, Life, LogIndex, MemberId, RouteId, Sequence, SessionId};
use crate::jid::FullJid;

/// One entry of the replicated log. Applying it is total: a command that cannot be followed is answered with a
/// rejection, which is an outcome like any other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// A process begins a life of a member.
    Join(Join),
    /// A life has applied its own `Join` and serves from now on: a bind is answered only when it knows it too.
    Activate(Life),
    /// A life ends by its own will.
    Leave(Life),
    /// The members end a life: it was silent for too long, or its crash was seen.
    Expel {
        /// The life that ends. If the member has begun another one since, nothing happens.
        life: Life,
        /// Why.
        reason: ExpelReason,
    },
    /// Binds and changes of presence of one member.
    Batch(Batch),
    /// The operator says that a member whose life is over does not come back: it is not counted as a voter any more.
    Forget(Life),
    /// The operator says that this member is to have no clients.
    Drain(Life),
    /// The operator says that this member may have clients again.
    Undrain(Life),
    /// The times on which fencing rests are to become others: see [`AgreedTimes`](crate::cluster::AgreedTimes). Of
    /// [`TIMES_SINCE_VERSION`], like the one below.
    ChangeTimes {
        /// The entry that put those in force that are to become others; 0 if none are.
        after: LogIndex,
        /// What they are to become.
        to: Times,
    },
    /// Every active member has applied the `ChangeTimes` at that index: what it says is in force.
    TimesInForce {
        /// The index.
        since: LogIndex,
    },
}

impl Command {
    /// The version of the agreed state that brought it. Before the members agree on that version nobody proposes it, and
    /// it would change nothing. So every member can read what is in its log.
    pub fn since(&self) -> u32 {
        match self {
            Command::Join(_)
            | Command::Activate(_)
            | Command::Leave(_)
            | Command::Expel { .. }
            | Command::Batch(_)
            | Command::Forget(_)
            | Command::Drain(_)
            | Command::Undrain(_) => 1,
            Command::ChangeTimes { .. } | Command::TimesInForce { .. } => TIMES_SINCE_VERSION,
        }
    }
}

/// A process begins a life of a member; an earlier life of the same member ends in the same step, as does the life of
/// another member of the same name, whose disk is lost.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Join {
    /// The member.
    pub member: MemberId,
    /// Tells this process from the one before it. A join that was proposed twice by one process begins one life.
    pub boot: BootId,
    /// The name that people know it by. Unique among the members that are not gone.
    pub name: String,
    /// Where other members reach it.
    pub peer_address: SocketAddr,
    /// Where clients reach it; the first is what `see-other-host` names.
    pub client_addresses: Vec<SocketAddr>,
    /// What it may become.
    pub role: Role,
    /// The versions of the agreed state that it understands.
    pub versions: VersionRange,
}

/// What a member may become.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Role {
    /// Serves clients; votes if the cluster has use for its vote.
    Server,
    /// Votes and serves no clients.
    Witness,
}

/// The versions of the agreed state and of the links that a program understands, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VersionRange {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl VersionRange {
    /// Whether a version is one of them.
    pub fn includes(self, version: u32) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

/// Why a life was ended by the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ExpelReason {
    /// Nothing was heard of it for longer than a lease can last.
    Silent,
    /// Its sockets closed and its port refuses, as a quorum saw.
    Crashed,
    /// It is heard of, but does not apply what was agreed.
    Stuck,
    /// A new process of the same member, or another member of the same name, has taken its place.
    Replaced,
    /// It hears the leader, but not another member, and one of the two had to stop.
    Separated,
}

/// Operations of one member's sessions, agreed on together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// Who proposes; an ended life is refused.
    pub life: Life,
    /// Counts the batches of that life from 1. One that was committed twice changes nothing the second time.
    pub sequence: Sequence,
    /// In the order in which they take effect.
    pub operations: Vec<Operation>,
}

/// What one session asks of the agreed state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// Gives a full JID to a session.
    Bind {
        /// The JID.
        jid: FullJid,
        /// Who is to hold it.
        session: SessionId,
        /// What happens if somebody holds it.
        conflict: ConflictPolicy,
    },
    /// Takes a holding back. One that is not held any more is left alone, as is a later one of the same JID.
    Unbind {
        /// Which holding.
        route: RouteId,
    },
    /// Changes what routing knows of a session's presence.
    Announce {
        /// Which holding.
        route: RouteId,
        /// Its presence from now on.
        presence: RoutePresence,
    },
}

/// What a bind does if the JID is held already (RFC 6120 section 7.7.2.2). It is one byte of each entry, so that a later
/// version of the log can say something else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum ConflictPolicy {
    /// The new session gets it; the old one is closed with `<conflict/>`.
    #[default]
    Replace,
}
