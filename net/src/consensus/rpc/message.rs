//! What is asked and answered, and its wire form.

use bytes::Bytes;
use cresset_core::wire::{self, WireError};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use super::CALL_BYTES_MAX;
use crate::consensus::types::{SnapshotMeta, TypeConfig, Vote, entry_format, entry_format_max};

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

impl Question {
    /// That of the latest entry that it carries.
    fn format(&self) -> u8 {
        match self {
            Question::Append(append) => append.entries.iter().map(entry_format).max().unwrap_or(wire::FORMAT_MIN),
            Question::Vote(_) | Question::PreVote(_) | Question::TransferLeader(_) | Question::Chunk(_) => {
                wire::FORMAT_MIN
            }
        }
    }

    /// Its bytes. They say of which version the entries are, so that a member that does not follow it refuses them by
    /// name.
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = vec![self.format()];
        wire::append(self, &mut bytes);
        bytes.into()
    }

    /// The question that the bytes hold.
    ///
    /// # Errors
    ///
    /// If they are none, or one with entries of a later version.
    pub(super) fn decode(bytes: &[u8]) -> Result<Question, WireError> {
        wire::decode_up_to(bytes, CALL_BYTES_MAX, entry_format_max())
    }
}

impl Answer {
    /// Its bytes.
    pub(super) fn encode(&self) -> Bytes {
        wire::encode(self).into()
    }

    /// The answer that the bytes hold.
    ///
    /// # Errors
    ///
    /// If they are none.
    pub(super) fn decode(bytes: &[u8]) -> Result<Answer, WireError> {
        wire::decode(bytes, CALL_BYTES_MAX)
    }
}
