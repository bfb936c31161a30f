//! What is asked and answered, and its wire form.

use bytes::Bytes;
use cresset_core::wire::{self, WireError};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use super::CALL_BYTES_MAX;
use crate::consensus::types::{SnapshotMeta, TypeConfig, Vote};

/// What one member asks another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Question {
    /// Take these entries, or this sign of life.
    Append(AppendEntriesRequest<TypeConfig>),
    /// Vote for me.
    Vote(VoteRequest<TypeConfig>),
    /// Would you vote for me?
    PreVote(VoteRequest<TypeConfig>),
    /// Somebody else is to lead.
    TransferLeader(TransferLeaderRequest<TypeConfig>),
    /// Take a part of a snapshot.
    Chunk(Chunk),
}

/// A part of a snapshot.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Who leads.
    pub(super) vote: Vote,
    /// Which snapshot.
    pub(super) meta: SnapshotMeta,
    /// Its length.
    pub(super) total: u64,
    /// The CRC-32 of all of it.
    pub(super) checksum: u32,
    /// Where this part begins.
    pub(super) offset: u64,
    /// The part.
    pub(super) bytes: Bytes,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// To [`Question::Append`].
    Append(AppendEntriesResponse<TypeConfig>),
    /// To [`Question::Vote`] and [`Question::PreVote`].
    Vote(VoteResponse<TypeConfig>),
    /// To [`Question::TransferLeader`].
    TransferLeader(TransferLeaderResponse<TypeConfig>),
    /// To [`Question::Chunk`]: this much is there, go on from here.
    Have(u64),
    /// To [`Question::Chunk`]: the snapshot is installed, or this vote is greater than yours.
    Installed(SnapshotResponse<TypeConfig>),
    /// The question was not followed, and why.
    Refused(String),
    /// The member's Raft has ended.
    Stopped,
}

pub(super) fn encode<T: Serialize>(message: &T) -> Bytes {
    wire::encode(message).into()
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    wire::decode(bytes, CALL_BYTES_MAX)
}
