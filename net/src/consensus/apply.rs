//! Openraft's state machine, which has no state: what is committed goes to the control task, which owns it.
//!
//! ```text
//! openraft ──apply──▶ StateMachine ──Committed──▶ control task (node::Node, ClusterState)
//!                         │        ──TakeSnapshot─▶     │
//!                         ▼        ◀───────bytes────────┘
//!                   SnapshotStore
//! ```
//!
//! The invariant: entries reach the control task in their order, each exactly once between two snapshots, and the
//! position that goes with a snapshot is the position of the state in it, because nothing is handed over between asking
//! for it and getting it. After a start the state is rebuilt: the snapshot first, then the log.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::cluster::SnapshotError;
use cresset_core::node;
use futures_util::{Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::{mpsc, oneshot};

use super::log::LogStore;
use super::snapshots::{Origin, SnapshotStore, StoredSnapshot};
use super::types::{
    Entry, LeaderTerm, LogId, SnapshotMeta, StoredMembership, TypeConfig, content_sum, entry_index, entry_term,
};
use crate::disk::DiskError;
use crate::witness::{self, Fact};

/// Entries that are handed over at a time.
const ENTRIES_MAX: usize = 256;

/// How long a full disk is left alone before a snapshot is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// What the control task is told, and answers when it has done it. It must be running before consensus starts.
#[derive(Debug)]
pub enum ToControl {
    /// These entries are committed.
    Committed {
        /// In the order of the log, without gaps.
        entries: Vec<node::Entry>,
        /// They are applied.
        reply: oneshot::Sender<()>,
    },
    /// The state is wanted as bytes, as it is now.
    TakeSnapshot {
        /// The bytes.
        reply: oneshot::Sender<Vec<u8>>,
    },
    /// The state becomes this one.
    InstallSnapshot {
        /// As `TakeSnapshot` gave them, here or on another member.
        bytes: Bytes,
        /// It is, or the bytes are none.
        reply: oneshot::Sender<Result<(), SnapshotError>>,
    },
}

/// The state machine of one member.
pub struct StateMachine {
    control: mpsc::Sender<ToControl>,
    snapshots: Arc<SnapshotStore>,
    log: LogStore,
    applied: Option<LogId>,
    membership: StoredMembership,
}

/// A snapshot as openraft hands it about.
pub(super) type RaftSnapshot = Snapshot<LeaderTerm, u64, openraft::EmptyNode, Bytes>;

impl StateMachine {
    /// A state machine that begins before the first entry.
    pub fn new(control: mpsc::Sender<ToControl>, snapshots: Arc<SnapshotStore>, log: LogStore) -> Self {
        StateMachine { control, snapshots, log, applied: None, membership: StoredMembership::default() }
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> ToControl) -> io::Result<T> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the control task has ended");
        let (reply, answer) = oneshot::channel();
        self.control.send(question(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    /// Notes what Raft itself needs of an entry; the rest is for the control task. The entry at 0, by which a cluster is
    /// founded, is Raft's alone: for everybody else 0 is before the first entry.
    fn note(&mut self, entry: Entry) -> Option<node::Entry> {
        let id = entry.log_id();
        witness::tell(|| Fact::Applied { term: entry_term(&id), index: entry_index(&id), sum: content_sum(&entry) });
        self.applied = Some(id);
        let command = match entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(proposal) => Some(proposal.0),
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(id), membership);
                None
            }
        };
        (id.index > 0).then(|| node::Entry { index: entry_index(&id), command })
    }

    async fn keep(&self, snapshot: &StoredSnapshot, origin: Origin) -> io::Result<()> {
        keep(&self.snapshots, &self.log, snapshot, origin).await
    }
}

/// Keeps a snapshot, and the part of the log that goes with the one before it. Waits for room if the disk is full: to
/// openraft any error is the end.
async fn keep(snapshots: &SnapshotStore, log: &LogStore, snapshot: &StoredSnapshot, origin: Origin) -> io::Result<()> {
    loop {
        match snapshots.save(snapshot, origin).await {
            Ok(()) => break,
            Err(error @ DiskError::Full { .. }) => tracing::error!(%error, "a snapshot waits for room"),
            Err(error @ (DiskError::Missing { .. } | DiskError::Failed { .. })) => return Err(error.into()),
        }
        tokio::select! {
            biased;
            () = log.closed() => return Err(io::Error::new(io::ErrorKind::StorageFull, "no room for a snapshot")),
            () = tokio::time::sleep(FULL_PAUSE) => {}
        }
    }
    log.keep_after(match origin {
        Origin::Taken => Some(snapshots.older().unwrap_or_default()),
        Origin::Installed => None,
    });
    Ok(())
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut chunks = entries.ready_chunks(ENTRIES_MAX);
        while let Some(chunk) = chunks.next().await {
            let mut responders = Vec::new();
            let mut committed = Vec::with_capacity(chunk.len());
            for item in chunk {
                let (entry, responder) = item?;
                committed.extend(self.note(entry));
                responders.extend(responder);
            }
            if !committed.is_empty() {
                self.ask(|reply| ToControl::Committed { entries: committed, reply }).await?;
            }
            for responder in responders {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let bytes = self.ask(|reply| ToControl::TakeSnapshot { reply }).await;
        let meta = SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        SnapshotBuilder {
            snapshot: bytes
                .map(|bytes| StoredSnapshot { meta, bytes: bytes.into() })
                .map_err(|error| error.to_string()),
            snapshots: self.snapshots.clone(),
            log: self.log.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, bytes: Bytes) -> io::Result<()> {
        let snapshot = StoredSnapshot { meta: meta.clone(), bytes: bytes.clone() };
        if let Some(last) = &meta.last_log_id {
            witness::tell(|| Fact::Installed { term: entry_term(last), index: entry_index(last) });
        }
        self.ask(|reply| ToControl::InstallSnapshot { bytes, reply }).await?.map_err(io::Error::other)?;
        // At the start it is one of those that are kept.
        if self.snapshots.newest() != meta.last_log_id {
            self.keep(&snapshot, Origin::Installed).await?;
        }
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<RaftSnapshot>> {
        let stored = self.snapshots.load().await?;
        Ok(stored.map(|stored| RaftSnapshot { meta: stored.meta, snapshot: stored.bytes }))
    }
}

/// A snapshot that was taken and is not on disk yet.
pub struct SnapshotBuilder {
    snapshot: Result<StoredSnapshot, String>,
    snapshots: Arc<SnapshotStore>,
    log: LogStore,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<RaftSnapshot> {
        let snapshot = self.snapshot.clone().map_err(io::Error::other)?;
        keep(&self.snapshots, &self.log, &snapshot, Origin::Taken).await?;
        Ok(RaftSnapshot { meta: snapshot.meta, snapshot: snapshot.bytes })
    }
}
