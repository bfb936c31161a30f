//! What a data directory keeps of the agreement, for whoever looks while no node runs there.

use std::sync::Arc;

use cresset_core::cluster::{ClusterState, STATE_VERSIONS};
use cresset_core::ids::MemberId;
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::storage::{RaftLogReader, RaftLogStorage};

use super::StartError;
use super::log::LogStore;
use super::snapshots::SnapshotStore;
use super::types::{Entry, entry_index};
use crate::disk::Disk;

/// The agreed state as the directory of this member has it, with what may not have been agreed on in the end.
///
/// # Errors
///
/// If the directory cannot be used.
pub(crate) async fn state(disk: Arc<dyn Disk>, member: MemberId) -> Result<ClusterState, StartError> {
    let unreadable = |error: &dyn std::fmt::Display| StartError::Raft(error.to_string());
    let snapshots = SnapshotStore::open(disk.clone()).await?;
    let mut log = LogStore::open(disk, member, snapshots.newest()).await?;
    let mut state = match snapshots.load().await? {
        Some(snapshot) => {
            ClusterState::decode_snapshot(&snapshot.bytes, STATE_VERSIONS).map_err(|error| unreadable(&error))?
        }
        None => ClusterState::new(),
    };
    let mut reader = log.get_log_reader().await;
    let next = state.applied().next().0;
    let entries: Vec<Entry> = reader.try_get_log_entries(next..).await.map_err(|error| unreadable(&error))?;
    for entry in entries {
        let index = entry_index(&entry.log_id());
        match &entry.payload {
            EntryPayload::Normal(proposal) => drop(state.apply(index, &proposal.0)),
            EntryPayload::Blank | EntryPayload::Membership(_) => state.skip(index),
        }
    }
    log.close().await;
    Ok(state)
}
