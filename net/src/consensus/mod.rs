//! Agreement: openraft with a log of our own on disk, the links as its network, and the control task as its state.
//!
//! ```text
//!               propose, take_over, …                 Committed, TakeSnapshot, …
//! control task ──────────────────────▶ Consensus            ──────────────▶ control task
//!                                        │ openraft
//!                    LogStore, SnapshotStore │ Peers, Server
//!                          ▼ Disk            ▼ PeerCalls (links)
//! ```
//!
//! Invariants: nothing that was committed is lost while a majority of disks is there; the outcome of a proposal is
//! learned from the log and from nowhere else; every order here returns at once, so that the control task, for which
//! openraft waits, never waits for openraft.
//!
//! What is proposed and when, who should vote, and when a leader counts as dead is decided in `cresset_core::node`.

pub mod apply;
pub(crate) mod kept;
pub mod log;
mod membership;
mod propose;
pub mod rpc;
mod settings;
pub mod snapshots;
mod status;
pub mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cresset_core::cluster::{Command, VersionRange};
use cresset_core::ids::{MemberId, Term};
use cresset_core::node::RaftStatus;
use openraft::EmptyNode;
use openraft::raft::TransferLeaderRequest;
use openraft_rt::WatchReceiver;
use tokio::sync::{mpsc, watch};

use self::apply::{StateMachine, ToControl};
use self::log::{Health, LogError, LogStore};
use self::propose::Batch;
use self::rpc::{Acknowledged, PeerCalls, Peers, Server, UnderWay};
use self::snapshots::{SnapshotStore, SnapshotsError};
use self::types::TypeConfig;
use crate::disk::{Disk, DiskError};
use crate::runtime;

pub use settings::{ConsensusSettings, SNAPSHOT_ENTRIES};
pub use status::Ended;

/// Whether a file of a data directory is Raft's: of its log, or a snapshot.
pub(crate) fn keeps(file: &str) -> bool {
    log::keeps(file) || snapshots::keeps(file)
}

#[cfg(test)]
pub(crate) use {decoders::decoders, examples::examples};

/// Openraft with our types.
pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;

/// Orders to propose that wait for openraft. Beyond it they are refused; who proposes does it again.
const PROPOSALS_MAX: usize = 256;

/// How long Raft may take to answer what it was asked before it ends: a sync of the disk. A full disk answers nothing.
const ANSWERS_TIME_MAX: Duration = Duration::from_millis(200);

/// Why consensus cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The snapshots cannot be used.
    #[error(transparent)]
    Snapshots(#[from] SnapshotsError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The settings contradict each other.
    #[error("the timing of Raft: {0}")]
    Settings(#[from] openraft::ConfigError),
    /// The log and the snapshots do not make a state.
    #[error("{0}")]
    Raft(String),
}

/// Why a proposal was not taken. Whoever makes proposals makes them again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProposeError {
    /// Too many wait.
    #[error("too many proposals wait")]
    Busy,
    /// This node's disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// Consensus has ended.
    #[error("consensus has ended")]
    Ended,
}

/// One member's part in the agreement. Clones are the same.
#[derive(Clone)]
pub struct Consensus {
    member: MemberId,
    raft: Raft,
    log: LogStore,
    proposals: mpsc::Sender<Batch>,
    status: watch::Receiver<RaftStatus>,
    ended: watch::Receiver<Option<Ended>>,
    changes_membership: Arc<AtomicBool>,
    under_way: UnderWay,
    versions: VersionRange,
}

impl Consensus {
    /// Starts from what is on the disk. `control` is already answered by the control task: it gets the newest snapshot
    /// and what is known to be committed before this returns.
    ///
    /// # Errors
    ///
    /// If the disk says that this member must not take part; see [`LogError`].
    pub async fn start(
        settings: ConsensusSettings,
        disk: Arc<dyn Disk>,
        calls: Arc<dyn PeerCalls>,
        control: mpsc::Sender<ToControl>,
    ) -> Result<Consensus, StartError> {
        let config = settings.to_openraft()?;
        let snapshots = Arc::new(SnapshotStore::open(disk.clone()).await?);
        let log = LogStore::open(disk, settings.member, snapshots.newest()).await?;
        log.keep_after(snapshots.older());
        let machine = StateMachine::new(control, snapshots, log.clone());
        let append_deadline = settings.append_deadline();
        let acknowledged = Acknowledged::default();
        let peers = Peers { me: settings.member, calls, log: log.clone(), append_deadline, acknowledged };
        let raft = Raft::new(settings.member.0, config, peers, log.clone(), machine)
            .await
            .map_err(|error| StartError::Raft(error.to_string()))?;

        let (status_sender, status) = watch::channel(status::current(&raft, &log));
        let (ended_sender, ended) = watch::channel(None);
        let (proposals, queue) = mpsc::channel(PROPOSALS_MAX);
        runtime::spawn(status::publish(raft.clone(), log.clone(), status_sender, ended_sender));
        runtime::spawn(status::step_down_when_full(raft.clone(), log.clone()));
        let (changes_membership, under_way) = (Arc::default(), UnderWay::new());
        runtime::spawn(propose::propose(raft.clone(), under_way.clone(), queue));
        let ConsensusSettings { member, versions, .. } = settings;
        Ok(Consensus { member, raft, log, proposals, status, ended, changes_membership, under_way, versions })
    }

    /// Founds a cluster of this member alone. Nothing happens if it belongs to one. It is on disk some time after this
    /// answers: see [`has_begun`](Consensus::has_begun).
    ///
    /// # Errors
    ///
    /// If Raft has ended.
    pub async fn bootstrap(&self) -> Result<(), StartError> {
        let failed = |error: String| Err(StartError::Raft(error));
        match self.raft.is_initialized().await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return failed(error.to_string()),
        }
        let founders = BTreeMap::from([(self.member.0, EmptyNode {})]);
        self.raft.initialize(founders).await.or_else(|error| failed(error.to_string()))
    }

    /// Waits until the log of this member has something that all members are bound by: that it founded the cluster, or what
    /// it has heard since. Answers whether that came before consensus was over.
    pub async fn has_begun(&self) -> bool {
        let mut metrics = self.raft.metrics();
        loop {
            if metrics.borrow_and_update().last_applied.is_some() {
                return true;
            }
            if metrics.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Proposes commands, in this order. If this node does not lead, nothing happens. Whether they take effect is
    /// learned from the log.
    ///
    /// # Errors
    ///
    /// If they were certainly not proposed.
    pub fn propose(&self, commands: Vec<Command>) -> Result<(), ProposeError> {
        self.enqueue(Batch { commands, term: None })
    }

    /// Proposes as [`propose`](Consensus::propose) does, and only if this node leads in that term when Raft takes it.
    ///
    /// # Errors
    ///
    /// If they were certainly not proposed.
    pub fn propose_in(&self, term: Term, commands: Vec<Command>) -> Result<(), ProposeError> {
        self.enqueue(Batch { commands, term: Some(term) })
    }

    fn enqueue(&self, batch: Batch) -> Result<(), ProposeError> {
        if self.ended.borrow().is_some() {
            return Err(ProposeError::Ended);
        }
        if *self.log.health().borrow() == Health::Full {
            return Err(ProposeError::DiskFull);
        }
        self.proposals.try_send(batch).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ProposeError::Busy,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Ended,
        })
    }

    /// What Raft says of itself at this moment.
    pub fn status(&self) -> RaftStatus {
        status::current(&self.raft, &self.log)
    }

    /// Changes whenever the term, the leader or the membership does.
    pub fn watch_status(&self) -> watch::Receiver<RaftStatus> {
        self.status.clone()
    }

    /// The term of this member's last vote: raised before the vote is written or answered.
    pub fn voted_term(&self) -> Term {
        self.log.voted_term()
    }

    /// Waits until consensus is over, and says why.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let over = ended.wait_for(Option::is_some).await;
        over.ok().and_then(|end| end.clone()).unwrap_or(Ended::Shutdown)
    }

    /// Makes Raft's membership this one, if this node leads. Takes as long as new members take to catch up; while a
    /// change is under way another order does nothing, so it is to be given again until the status shows it.
    pub fn set_membership(&self, voters: BTreeSet<MemberId>, learners: BTreeSet<MemberId>) {
        if voters.is_empty() || self.changes_membership.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        runtime::spawn(async move {
            // It may take long, and is not waited for.
            if this.under_way.begin().is_none() {
                return;
            }
            if let Err(error) = membership::change(&this.raft, &voters, &learners).await {
                tracing::debug!(%error, "the membership of Raft is not what it should be yet");
            }
            this.changes_membership.store(false, Ordering::Release);
        });
    }

    /// Hands leadership to a member, if this node leads.
    pub fn transfer_leadership(&self, to: MemberId) {
        let (raft, under_way) = (self.raft.clone(), self.under_way.clone());
        runtime::spawn(async move {
            let Some(_asking) = under_way.begin() else { return };
            // If Raft has ended, nobody leads here.
            let _ = raft.trigger().transfer_leader(to.0).await;
        });
    }

    /// Has `target` elected at once, because the leader is dead beyond doubt. Every survivor that knows it says so with
    /// the same target: the others then vote although they heard the dead leader a moment ago. Nothing happens if
    /// another leader is known by now. Safe if the leader lives: it is unseated as by any election.
    pub fn take_over(&self, dead: MemberId, target: MemberId) {
        let Some((vote, leader)) = status::established_leader(&self.raft) else { return };
        if leader != dead || dead == self.member {
            return;
        }
        let request = TransferLeaderRequest::new(vote, target.0, self.log.last());
        let (raft, under_way) = (self.raft.clone(), self.under_way.clone());
        runtime::spawn(async move {
            let Some(_asking) = under_way.begin() else { return };
            match raft.handle_transfer_leader(request).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "did not follow a dead leader"),
                Err(error) => tracing::debug!(%error, "did not follow a dead leader"),
            }
        });
    }

    /// Answers what other members ask.
    pub fn server(&self) -> Server {
        Server::new(self.raft.clone(), self.log.clone(), self.versions, self.under_way.clone())
    }

    /// Hands leadership over, if this member leads and somebody else can who `is_there`, and waits until it is taken.
    pub async fn hand_over(&self, patience: Duration, is_there: impl Fn(MemberId) -> bool) {
        if let Some(successor) = status::successor(&self.raft).filter(|successor| is_there(*successor))
            && self.raft.trigger().transfer_leader(successor.0).await.is_ok()
        {
            let mut status = self.status.clone();
            let followed = status.wait_for(|now| now.leader.is_some_and(|leader| leader != self.member));
            if tokio::time::timeout(patience, followed).await.is_err() {
                tracing::info!(%successor, "leadership was not taken over in time");
            }
        }
    }

    /// Ends this member's part. Nobody may ask Raft for anything from here on.
    pub async fn shutdown(&self) {
        self.under_way.end(ANSWERS_TIME_MAX).await;
        // A full disk must not keep Raft from ending.
        self.log.close().await;
        if self.raft.shutdown().await.is_err() {
            tracing::warn!("Raft did not end in good order");
        }
    }
}

#[cfg(test)]
mod decoders;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
