//! The types with which openraft is told what Cresset agrees on.
//!
//! Standard Raft: at most one leader in a term, so that a term names its leader (openraft's other mode lets a later
//! candidate of the same term replace a leader, and the leases of `cresset_core::liveness` count by term). Addresses are
//! no business of Raft: a member is known by its id here, and the links know where it is.

use std::fmt;
use std::sync::Arc;

use cresset_core::cluster::{Command, Operation, STATE_VERSIONS};
use cresset_core::ids::{LogIndex, MemberId, Term};
use cresset_core::wire;
use openraft::RaftTypeConfig;
use openraft::impls::leader_id_std;
use openraft::vote::RaftLeaderId;
use serde::{Deserialize, Serialize};

use crate::runtime::Rt;

openraft::declare_raft_types!(
    /// What Raft is about here.
    pub TypeConfig:
        D = Proposal,
        R = (),
        NodeId = u64,
        Node = openraft::EmptyNode,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = Rt,
);

/// A command on its way through the log. Shared, because the log, the links and the agreed state all read it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proposal(pub Arc<Command>);

impl Proposal {
    /// How many operations it carries; 1 for what is not a batch.
    fn operations(&self) -> usize {
        if let Command::Batch(batch) = &*self.0 { batch.operations.len() } else { 1 }
    }

    /// A length that its wire form does not exceed.
    pub(crate) fn bytes_max(&self) -> usize {
        if let Command::Batch(batch) = &*self.0 {
            BATCH_HEAD_BYTES + batch.operations.iter().map(operation_bytes_max).sum::<usize>()
        } else {
            wire::encode(&self.0).len()
        }
    }
}

/// What a batch takes without its operations, and an operation without its JID: some integers of at most nine bytes.
const BATCH_HEAD_BYTES: usize = 64;

fn operation_bytes_max(operation: &Operation) -> usize {
    match operation {
        Operation::Bind { jid, .. } => BATCH_HEAD_BYTES + jid.as_str().len(),
        Operation::Unbind { .. } | Operation::Announce { .. } => BATCH_HEAD_BYTES,
    }
}

impl fmt::Display for Proposal {
    /// Says how big it is; the content belongs in no log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operations", self.operations())
    }
}

/// The number that a leader gets by which its entries are known: its term.
pub type LeaderTerm = <<TypeConfig as RaftTypeConfig>::LeaderId as RaftLeaderId>::Committed;
/// A position in the log with the term of the leader that filled it.
pub type LogId = openraft::LogId<LeaderTerm>;
/// Whom a member voted for, or whom it knows to lead.
pub type Vote = <TypeConfig as RaftTypeConfig>::Vote;
/// One entry of the log.
pub type Entry = <TypeConfig as RaftTypeConfig>::Entry;
/// The content of an entry.
pub type Payload = <TypeConfig as RaftTypeConfig>::Payload;
/// Who votes and who listens.
pub type Membership = openraft::Membership<u64, openraft::EmptyNode>;
/// Who votes and who listens, with the entry that says so.
pub type StoredMembership = openraft::StoredMembership<LeaderTerm, u64, openraft::EmptyNode>;
/// What is known of a snapshot without reading it.
pub type SnapshotMeta = openraft::SnapshotMeta<LeaderTerm, u64, openraft::EmptyNode>;

/// A position in the log as openraft counts it.
#[cfg(test)]
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderTerm::new(term), index }
}

/// The term of a vote.
pub(crate) fn term_of(vote: &Vote) -> Term {
    Term(vote.leader_id.term)
}

/// The member that a vote is for.
pub(crate) fn candidate_of(vote: &Vote) -> MemberId {
    MemberId(vote.leader_id.voted_for)
}

/// The term in which an entry was made.
pub(crate) fn entry_term(id: &LogId) -> Term {
    Term(*id.leader_id)
}

/// The format of an entry, in the log and on a link: that of the version that brought its command. What Raft itself
/// appends is of the oldest.
pub(crate) fn entry_format(entry: &Entry) -> u8 {
    match &entry.payload {
        Payload::Normal(proposal) => wire::format_of(proposal.0.since()),
        Payload::Blank | Payload::Membership(_) => wire::FORMAT_MIN,
    }
}

/// The latest format of entries that this program reads.
pub(crate) fn entry_format_max() -> u8 {
    wire::format_of(STATE_VERSIONS.max)
}

/// A sum of what an entry says, for who compares the logs of several members.
pub(crate) fn content_sum(entry: &Entry) -> u32 {
    crc32fast::hash(&wire::encode(&entry.payload))
}

/// The position of an entry.
pub(crate) fn entry_index(id: &LogId) -> LogIndex {
    LogIndex(id.index)
}
