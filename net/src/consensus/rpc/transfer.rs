//! A snapshot on its way, in parts: sending them, and putting them together.
//!
//! The receiver says how much it has, so that a lost part costs one part. It keeps one snapshot at a time, no more of
//! it than has arrived, and gives it to openraft only if the checksum of the whole is right.

use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{RPCError, StreamingError};
use openraft::network::RPCTypes;
use openraft::raft::SnapshotResponse;

use super::CHUNK_BYTES_MAX;
use super::client::{PeerClient, unfitting};
use super::message::{Answer, Chunk, Question};
use crate::consensus::apply::RaftSnapshot;
use crate::consensus::types::{SnapshotMeta, TypeConfig, Vote};

/// Sends a snapshot, part by part, each within the deadline.
pub(super) async fn send(
    client: &PeerClient,
    vote: Vote,
    snapshot: RaftSnapshot,
    deadline: Duration,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    let RaftSnapshot { meta, snapshot: all } = snapshot;
    let checksum = crc32fast::hash(&all);
    let mut offset = 0;
    // A receiver that starts over gets everything again, but not for ever.
    let parts_max = 2 * (all.len() / CHUNK_BYTES_MAX + 2);
    for _ in 0..parts_max {
        let end = all.len().min(offset + CHUNK_BYTES_MAX);
        let part = Chunk {
            vote,
            meta: meta.clone(),
            total: all.len() as u64,
            checksum,
            offset: offset as u64,
            bytes: all.slice(offset..end),
        };
        let answer =
            client.ask(RPCTypes::InstallSnapshot, &Question::Chunk(part), deadline).await.map_err(streaming)?;
        if let Answer::Installed(response) = answer {
            return Ok(response);
        }
        let Answer::Have(have) = answer else { return Err(streaming(unfitting())) };
        offset = usize::try_from(have).ok().filter(|&have| have <= all.len()).ok_or_else(|| streaming(unfitting()))?;
    }
    Err(streaming(unfitting()))
}

fn streaming(error: RPCError<TypeConfig>) -> StreamingError<TypeConfig> {
    match error {
        RPCError::Timeout(error) => error.into(),
        RPCError::Unreachable(error) => error.into(),
        RPCError::Network(error) => error.into(),
        RPCError::RemoteError(error) => match error.source {},
    }
}

/// A snapshot that is being put together.
#[derive(Debug)]
pub(super) struct Assembly {
    vote: Vote,
    meta: SnapshotMeta,
    total: u64,
    checksum: u32,
    bytes: Vec<u8>,
}

/// What became of a part.
#[derive(Debug)]
pub(super) enum Received {
    /// This much is there.
    Have(u64),
    /// All of it is.
    Whole(Vote, RaftSnapshot),
    /// All of it is there, and wrong.
    Damaged,
}

impl Assembly {
    /// Takes a part, which begins another snapshot if it is not of the one that is being put together.
    pub(super) fn receive(current: &mut Option<Assembly>, part: Chunk) -> Received {
        let assembly = match current {
            Some(assembly) if assembly.is_of(&part) => assembly,
            Some(_) | None => current.insert(Assembly {
                vote: part.vote,
                meta: part.meta.clone(),
                total: part.total,
                checksum: part.checksum,
                bytes: Vec::new(),
            }),
        };
        if part.offset == assembly.bytes.len() as u64 {
            assembly.bytes.extend_from_slice(&part.bytes);
        }
        if (assembly.bytes.len() as u64) < assembly.total {
            return Received::Have(assembly.bytes.len() as u64);
        }
        let Some(whole) = current.take() else { return Received::Damaged };
        if crc32fast::hash(&whole.bytes) != whole.checksum {
            return Received::Damaged;
        }
        Received::Whole(whole.vote, RaftSnapshot { meta: whole.meta, snapshot: Bytes::from(whole.bytes) })
    }

    fn is_of(&self, part: &Chunk) -> bool {
        self.vote == part.vote && self.meta == part.meta && self.total == part.total && self.checksum == part.checksum
    }
}
