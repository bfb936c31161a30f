//! Who belongs to the cluster, life by life.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::cluster::{ExpelReason, Join, Life, Role, VersionRange};
use crate::ids::{BootId, Incarnation, LogIndex, MemberId, Sequence};

/// A member as all nodes see it at one index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Its id, which is also its id in Raft.
    pub id: MemberId,
    /// Its present or last life.
    pub incarnation: Incarnation,
    /// The process of that life.
    pub boot: BootId,
    /// The name that people know it by.
    pub name: String,
    /// Where other members reach it.
    pub peer_address: SocketAddr,
    /// Where clients reach it.
    pub client_addresses: Vec<SocketAddr>,
    /// What it may become.
    pub role: Role,
    /// The versions that its program understands.
    pub versions: VersionRange,
    /// How far its life has come.
    pub state: MemberState,
    /// The number of its last batch that took effect.
    pub last_batch: Sequence,
}

/// How far a life has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MemberState {
    /// It has joined and catches up; it serves nobody.
    Joining,
    /// It serves. No bind is answered before it knows it.
    Active,
    /// Its life is over. The member is remembered as long as it is counted as a voter.
    Gone {
        /// The entry that ended it.
        at: LogIndex,
        /// Why, if the others ended it; absent if it left by itself.
        expelled: Option<ExpelReason>,
    },
    /// As if active, but its clients are sent to the others.
    Draining,
}

impl Member {
    pub(super) fn joined(index: LogIndex, join: &Join) -> Member {
        Member {
            id: join.member,
            incarnation: Incarnation(index.0),
            boot: join.boot,
            name: join.name.clone(),
            peer_address: join.peer_address,
            client_addresses: join.client_addresses.clone(),
            role: join.role,
            versions: join.versions,
            state: MemberState::Joining,
            last_batch: Sequence(0),
        }
    }

    /// The member's present or last life.
    pub fn life(&self) -> Life {
        Life { member: self.id, incarnation: self.incarnation }
    }

    /// Whether its life goes on, serving or not yet.
    pub fn is_alive(&self) -> bool {
        match self.state {
            MemberState::Joining | MemberState::Active | MemberState::Draining => true,
            MemberState::Gone { .. } => false,
        }
    }

    /// Whether it serves, drained or not.
    pub fn is_active(&self) -> bool {
        match self.state {
            MemberState::Active | MemberState::Draining => true,
            MemberState::Joining | MemberState::Gone { .. } => false,
        }
    }

    /// Whether its clients are sent to the others.
    pub fn is_draining(&self) -> bool {
        self.state == MemberState::Draining
    }
}
