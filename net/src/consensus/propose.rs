//! Giving proposals to openraft, in their order.
//!
//! Openraft drops what it is given before a quorum has answered the new leader, although it leads already. So the first
//! proposals of a term wait here for the first commit of the term, some milliseconds after an election; otherwise the
//! members that died with the last leader would be expelled half a second later.

use std::sync::Arc;
use std::time::Duration;

use cresset_core::cluster::Command;
use cresset_core::ids::Term;
use openraft::metrics::RaftMetrics;
use openraft_rt::WatchReceiver;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Raft;
use super::log::ENTRY_BYTES_MAX;
use super::rpc::UnderWay;
use super::types::{Proposal, TypeConfig, entry_term, term_of};

/// How long a leader may be without a first commit before what is proposed is dropped. Who proposes does it again about
/// then.
const FIRST_COMMIT_TIME_MAX: Duration = Duration::from_millis(500);

/// Commands that are proposed together.
#[derive(Debug)]
pub(super) struct Batch {
    /// In order.
    pub(super) commands: Vec<Command>,
    /// Only in this term, if it matters.
    pub(super) term: Option<Term>,
}

/// Gives proposals to openraft until it is to end. What this node does not lead is dropped.
pub(super) async fn propose(raft: Raft, under_way: UnderWay, mut queue: mpsc::Receiver<Batch>) {
    while let Some(Batch { commands, term }) = queue.recv().await {
        until_first_commit(&raft).await;
        let Some(_asking) = under_way.begin() else { return };
        for proposal in commands.into_iter().map(|command| Proposal(Arc::new(command))) {
            if proposal.bytes_max() > ENTRY_BYTES_MAX {
                // Nobody could be sent it.
                tracing::error!(%proposal, "a proposal is too large and is dropped");
                continue;
            }
            let write = raft.write(proposal);
            let write = match term {
                Some(term) => write.with_leader(term.0),
                None => write,
            };
            if write.await.is_err() {
                return;
            }
        }
    }
}

/// Waits while this node leads and has committed nothing yet, but not long.
pub(super) async fn until_first_commit(raft: &Raft) {
    let mut metrics = raft.metrics();
    let deadline = Instant::now() + FIRST_COMMIT_TIME_MAX;
    while is_new_leader(&metrics.borrow_and_update()) {
        if !matches!(timeout_at(deadline, metrics.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Whether this node leads and nothing of its term is committed yet.
fn is_new_leader(metrics: &RaftMetrics<TypeConfig>) -> bool {
    let committed = metrics.cluster_committed.map(|id| entry_term(&id));
    metrics.current_leader == Some(metrics.id) && committed != Some(term_of(&metrics.vote))
}
