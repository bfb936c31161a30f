//! Openraft's state machine, which has no state: what is committed goes to the control task, which owns it.
//!
//! ```text
//! openraft ──apply──▶ StateMachine ──Committed──▶ control task (node::Node, ClusterState)
//!                         │        ──Freeze──────▶      │
//!                         ▼        ◀─routes, in parts───┘
//!                   SnapshotStore
//! ```
//!
//! The invariant: entries reach the control task in their order, each exactly once between two snapshots, and the
//! position that goes with a snapshot is the position of the state in it, because nothing is handed over between asking
//! for it and getting it. After a start the state is rebuilt: the snapshot first, then the log.
//!
//! The control task has no time for a million routes: encoding, decoding and comparing are done here, between two
//! answers of it, and what it has to do itself comes in parts. All of it goes in steps here as well, so that whatever
//! else runs on this thread has its turn.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::cluster::{
    Change, ClusterState, Event, Frozen, Installation, SnapshotError, SnapshotReader, SnapshotWriter, VersionRange,
};
use cresset_core::ids::LogIndex;
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

/// Routes that are read, written, compared or shown in one step: some ten milliseconds. A simulated node takes few, so
/// that there are steps at all.
pub const ROUTES_PER_STEP: usize = if cfg!(cresset_simulated) { 4 } else { 4096 };

/// Routes whose pointers are copied in one step, which costs a tenth of that.
pub const FROZEN_PER_STEP: usize = if cfg!(cresset_simulated) { 8 } else { 65_536 };

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
    /// The state is wanted as it is: [`ClusterState::freeze`].
    Freeze {
        /// What was given so far.
        so_far: Option<Box<Frozen>>,
        /// How many routes more.
        routes_max: usize,
        /// With so many routes more.
        reply: oneshot::Sender<Frozen>,
    },
    /// A snapshot is about to be installed. From here on until it is, nothing is committed.
    Prepare {
        /// The versions of snapshots that this node follows.
        reply: oneshot::Sender<VersionRange>,
    },
    /// What becomes of some routes by it.
    RoutesAhead {
        /// The position of the snapshot.
        applied: LogIndex,
        /// In order.
        events: Vec<Event>,
        /// They are shown.
        reply: oneshot::Sender<()>,
    },
    /// The state becomes this one.
    Install {
        /// The state.
        installation: Box<Installation>,
        /// It is; the one before it, to be dropped.
        reply: oneshot::Sender<Option<Box<ClusterState>>>,
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

    /// The state as it is.
    async fn freeze(&self) -> io::Result<Frozen> {
        let mut so_far = None;
        loop {
            let frozen = self.ask(|reply| ToControl::Freeze { so_far, routes_max: FROZEN_PER_STEP, reply }).await?;
            if frozen.is_complete() {
                return Ok(frozen);
            }
            so_far = Some(Box::new(frozen));
        }
    }

    /// Puts the state that these bytes hold in the place of the present one.
    async fn install(&self, bytes: &Bytes) -> io::Result<()> {
        let understood = self.ask(|reply| ToControl::Prepare { reply }).await?;
        let state = read(bytes, understood).await.map_err(io::Error::other)?;
        let applied = state.applied();
        let mut change = Change::new(self.freeze().await?, state);
        while let Some(events) = change.step(ROUTES_PER_STEP) {
            if events.is_empty() {
                tokio::task::yield_now().await;
            } else {
                self.ask(|reply| ToControl::RoutesAhead { applied, events, reply }).await?;
            }
        }
        let installation = Box::new(change.into_installation());
        let replaced = self.ask(|reply| ToControl::Install { installation, reply }).await?;
        if let Some(mut replaced) = replaced {
            while replaced.shed(ROUTES_PER_STEP) {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn keep(&self, snapshot: &StoredSnapshot, origin: Origin) -> io::Result<()> {
        keep(&self.snapshots, &self.log, snapshot, origin).await
    }
}

/// The state that these bytes hold.
async fn read(bytes: &Bytes, understood: VersionRange) -> Result<ClusterState, SnapshotError> {
    let mut reader = SnapshotReader::new(bytes, understood)?;
    loop {
        if let Some(state) = reader.step(ROUTES_PER_STEP)? {
            return Ok(state);
        }
        tokio::task::yield_now().await;
    }
}

/// The bytes of a state.
async fn write(frozen: Frozen) -> Bytes {
    let mut writer = SnapshotWriter::new(frozen);
    loop {
        if let Some(bytes) = writer.step(ROUTES_PER_STEP) {
            return bytes.into();
        }
        tokio::task::yield_now().await;
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
        let frozen = Some(self.freeze().await);
        let meta = SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        SnapshotBuilder { meta, frozen, snapshots: self.snapshots.clone(), log: self.log.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, bytes: Bytes) -> io::Result<()> {
        let snapshot = StoredSnapshot { meta: meta.clone(), bytes: bytes.clone() };
        if let Some(last) = &meta.last_log_id {
            witness::tell(|| Fact::Installed { term: entry_term(last), index: entry_index(last) });
        }
        self.install(&bytes).await?;
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

/// A state that was frozen and is not on disk yet.
pub struct SnapshotBuilder {
    meta: SnapshotMeta,
    /// Until it is built.
    frozen: Option<io::Result<Frozen>>,
    snapshots: Arc<SnapshotStore>,
    log: LogStore,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<RaftSnapshot> {
        let built = || io::Error::new(io::ErrorKind::NotFound, "the snapshot was built before");
        let frozen = self.frozen.take().ok_or_else(built)??;
        let snapshot = StoredSnapshot { meta: self.meta.clone(), bytes: write(frozen).await };
        keep(&self.snapshots, &self.log, &snapshot, Origin::Taken).await?;
        Ok(RaftSnapshot { meta: snapshot.meta, snapshot: snapshot.bytes })
    }
}

#[cfg(test)]
mod tests {
    use cresset_core::cluster::{Command, STATE_VERSIONS};
    use cresset_core::ids::{Incarnation, Life, MemberId};

    use super::*;
    use crate::consensus::testing::{binds, join, run};
    use crate::disk::MemoryDisk;
    use crate::runtime;

    /// R4.6. While it works at one part of a snapshot it does not beat, and is expelled if that takes long.
    #[test]
    fn the_control_task_has_a_snapshot_of_many_routes_in_bounded_parts() {
        run(async {
            let routes = 2 * FROZEN_PER_STEP + 1;
            let (control, parts) = control_task(ClusterState::new());
            let disk = Arc::new(MemoryDisk::new());
            let snapshots = Arc::new(SnapshotStore::open(disk.clone()).await.expect("an empty disk"));
            let log = LogStore::open(disk, MemberId(1), None).await.expect("an empty disk");
            let machine = StateMachine::new(control, snapshots, log);

            machine.install(&with_routes(routes).encode_snapshot().into()).await.expect("a snapshot");
            let bytes = write(machine.freeze().await.expect("the control task is there")).await;
            drop(machine);

            let (state, shown, frozen) = parts.await.expect("it ends with who asks it");
            assert_eq!((state.sessions(), shown.iter().sum::<usize>()), (routes, routes));
            assert!(shown.iter().all(|part| *part <= ROUTES_PER_STEP), "{shown:?}");
            // Of the empty state before, and of the one that was installed.
            assert_eq!(frozen, [0, FROZEN_PER_STEP, FROZEN_PER_STEP, 1]);
            assert_eq!(bytes, state.encode_snapshot());
        });
    }

    /// R4.6. What cannot be read is refused before anything is shown.
    #[test]
    fn a_damaged_snapshot_changes_nothing() {
        run(async {
            let (control, parts) = control_task(ClusterState::new());
            let disk = Arc::new(MemoryDisk::new());
            let snapshots = Arc::new(SnapshotStore::open(disk.clone()).await.expect("an empty disk"));
            let log = LogStore::open(disk, MemberId(1), None).await.expect("an empty disk");
            let machine = StateMachine::new(control, snapshots, log);
            let mut bytes = with_routes(10).encode_snapshot();
            *bytes.last_mut().expect("it has a digest") ^= 1;

            let refused = machine.install(&bytes.into()).await.expect_err("it is damaged");
            drop(machine);

            assert!(refused.to_string().starts_with("damaged: "), "{refused}");
            let (state, shown, _) = parts.await.expect("it ends with who asks it");
            assert_eq!((state.sessions(), shown.len()), (0, 0));
        });
    }

    /// What a control task has in the end, and the sizes of the parts that it had to do.
    type Parts = (ClusterState, Vec<usize>, Vec<usize>);

    fn control_task(mut state: ClusterState) -> (mpsc::Sender<ToControl>, tokio::task::JoinHandle<Parts>) {
        let (control, mut inbox) = mpsc::channel(1);
        let task = runtime::spawn(async move {
            let (mut shown, mut frozen) = (Vec::new(), Vec::new());
            while let Some(asked) = inbox.recv().await {
                match asked {
                    ToControl::Committed { .. } => unreachable!("nothing is committed here"),
                    ToControl::Freeze { so_far, routes_max, reply } => {
                        let before = so_far.as_ref().map_or(0, |frozen| frozen.routes());
                        let more = state.freeze(so_far.map(|frozen| *frozen), routes_max);
                        frozen.push(more.routes() - before);
                        reply.send(more).expect("it is waited for");
                    }
                    ToControl::Prepare { reply } => reply.send(STATE_VERSIONS).expect("it is waited for"),
                    ToControl::RoutesAhead { events, reply, .. } => {
                        shown.push(events.len());
                        reply.send(()).expect("it is waited for");
                    }
                    ToControl::Install { installation, reply } => {
                        let (old, _) = installation.install(&mut state);
                        reply.send(Some(Box::new(old))).expect("it is waited for");
                    }
                }
            }
            (state, shown, frozen)
        });
        (control, task)
    }

    /// A member with so many sessions.
    fn with_routes(routes: usize) -> ClusterState {
        let mut state = ClusterState::new();
        state.apply(LogIndex(1), &join(1, 1));
        let life = Life { member: MemberId(1), incarnation: Incarnation(1) };
        state.apply(LogIndex(2), &Command::Activate(life));
        let routes = u64::try_from(routes).expect("a number of routes");
        state.apply(LogIndex(3), &binds(MemberId(1), Incarnation(1), 1, routes));
        state
    }
}
