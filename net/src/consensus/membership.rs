//! Making Raft's membership what the agreed state says: who is new listens first, votes when it has caught up, and who
//! is in neither set goes last.

use std::collections::BTreeSet;
use std::time::Duration;

use cresset_core::ids::MemberId;
use openraft::{ChangeMembers, EmptyNode};
use openraft_rt::WatchReceiver;

use super::types::TypeConfig;
use super::{Raft, propose, status};

/// How long a new voter may take to catch up before the change is given up; it will be ordered again.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(10);

/// How far behind a new voter may be. The rest is sent while the change itself is.
const CATCH_UP_ENTRIES: u64 = 256;

/// Why the membership is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum MembershipError {
    #[error("{0} has not caught up")]
    Behind(MemberId),
    #[error("this node does not lead any more")]
    NotLeading,
    #[error(transparent)]
    Raft(#[from] openraft::errors::RaftError<TypeConfig, openraft::errors::ClientWriteError<TypeConfig>>),
}

/// Changes the membership, step by step. Steps that are done already are left out.
pub(super) async fn change(
    raft: &Raft,
    voters: &BTreeSet<MemberId>,
    learners: &BTreeSet<MemberId>,
) -> Result<(), MembershipError> {
    propose::until_first_commit(raft).await;
    let wanted: BTreeSet<u64> = voters.iter().map(|member| member.0).collect();
    for member in voters.iter().chain(learners) {
        if !nodes(raft).contains(&member.0) {
            raft.add_learner(member.0, EmptyNode {}, false).await?;
        }
    }
    let present = voter_sets(raft);
    if present != [wanted.clone()] {
        // Of those who vote already one may be dead, and stay so.
        for member in voters.iter().filter(|member| !present.iter().any(|set| set.contains(&member.0))) {
            catch_up(raft, *member).await?;
        }
        // Who votes no more listens, until he is taken out below.
        raft.change_membership(wanted, true).await?;
    }
    let gone: BTreeSet<u64> = nodes(raft)
        .into_iter()
        .filter(|&id| !voters.contains(&MemberId(id)) && !learners.contains(&MemberId(id)))
        .collect();
    if !gone.is_empty() {
        raft.change_membership(ChangeMembers::RemoveNodes(gone), false).await?;
    }
    Ok(())
}

fn nodes(raft: &Raft) -> BTreeSet<u64> {
    let metrics = raft.server_metrics();
    let metrics = metrics.borrow_watched();
    metrics.membership_config.membership().nodes().map(|(id, _)| *id).collect()
}

fn voter_sets(raft: &Raft) -> Vec<BTreeSet<u64>> {
    raft.server_metrics().borrow_watched().membership_config.membership().get_joint_config().clone()
}

/// Waits until a member has nearly everything: a voter without the log would hold up every commit.
async fn catch_up(raft: &Raft, member: MemberId) -> Result<(), MembershipError> {
    let mut metrics = raft.metrics();
    let deadline = tokio::time::Instant::now() + CATCH_UP_TIME_MAX;
    loop {
        let (is_me, is_leading, end) = {
            let now = metrics.borrow_and_update();
            (now.id == member.0, now.replication.is_some(), now.last_log_index.unwrap_or(0))
        };
        if is_me {
            return Ok(());
        }
        if !is_leading {
            return Err(MembershipError::NotLeading);
        }
        if status::matched(raft, member).is_some_and(|matched| matched.0 + CATCH_UP_ENTRIES >= end) {
            return Ok(());
        }
        match tokio::time::timeout_at(deadline, metrics.changed()).await {
            Err(_) => return Err(MembershipError::Behind(member)),
            Ok(Err(_)) => return Err(MembershipError::NotLeading),
            Ok(Ok(())) => {}
        }
    }
}
