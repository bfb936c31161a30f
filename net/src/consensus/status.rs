//! What Raft says of itself, for the control task and for people.

use std::collections::BTreeSet;

use cresset_core::ids::{LogIndex, MemberId};
use cresset_core::liveness::VoterSets;
use cresset_core::node::RaftStatus;
use openraft_rt::WatchReceiver;
use tokio::sync::watch;

use super::Raft;
use super::log::{Health, LogStore};
use super::types::{StoredMembership, candidate_of, entry_index, entry_term, term_of};
use crate::witness::{self, Fact};

/// Why consensus is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was asked to end.
    Shutdown,
    /// It cannot go on: the process must end.
    Failed(String),
}

/// The status at this moment.
pub(super) fn current(raft: &Raft, log: &LogStore) -> RaftStatus {
    let metrics = raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let (voter_sets, learners) = members(&metrics.membership_config);
    RaftStatus {
        term: term_of(&metrics.vote),
        // Read after the vote, so that it is never behind it.
        voted: log.voted_term(),
        leader: metrics.current_leader.map(MemberId),
        voter_sets,
        learners,
        log_end: log.last().map_or_else(Default::default, |last| (entry_term(&last), entry_index(&last))),
    }
}

fn members(membership: &StoredMembership) -> (VoterSets, BTreeSet<MemberId>) {
    let sets = membership.membership().get_joint_config();
    let sets = sets.iter().map(|set| set.iter().copied().map(MemberId).collect()).collect();
    (sets, membership.membership().learner_ids().map(MemberId).collect())
}

/// Publishes every change of term, leader or membership until Raft ends, and then why.
pub(super) async fn publish(
    raft: Raft,
    log: LogStore,
    status: watch::Sender<RaftStatus>,
    ended: watch::Sender<Option<Ended>>,
) {
    let mut changes = raft.server_metrics();
    loop {
        changes.borrow_and_update();
        let now = current(&raft, &log);
        witness::tell(|| Fact::Raft {
            member: MemberId(raft.server_metrics().borrow_watched().id),
            status: now.clone(),
        });
        status.send_replace(now);
        if changes.changed().await.is_err() {
            break;
        }
    }
    let reason = raft.metrics().borrow_watched().running_state.clone().err();
    let end = match (reason, &*log.health().borrow()) {
        (_, Health::Failed(reason)) => Ended::Failed(reason.clone()),
        (None | Some(openraft::errors::Fatal::Stopped), Health::Good | Health::Full) => Ended::Shutdown,
        (Some(reason), Health::Good | Health::Full) => Ended::Failed(reason.to_string()),
    };
    ended.send_replace(Some(end));
}

/// Gives leadership away when this node's disk is full: what it leads it cannot keep.
pub(super) async fn step_down_when_full(raft: Raft, log: LogStore) {
    let mut health = log.health();
    while health.wait_for(|health| *health == Health::Full).await.is_ok() {
        if let Some(successor) = successor(&raft) {
            tracing::warn!(%successor, "the disk is full, handing leadership over");
            if raft.trigger().transfer_leader(successor.0).await.is_err() {
                return;
            }
        }
        if health.wait_for(|health| *health != Health::Full).await.is_err() {
            return;
        }
    }
}

/// The voter whose log is the longest, if this node leads and there is another voter.
pub(super) fn successor(raft: &Raft) -> Option<MemberId> {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let replication = metrics.replication.as_ref()?;
    let voters: BTreeSet<u64> = metrics.membership_config.membership().voter_ids().collect();
    replication
        .iter()
        .filter(|(id, _)| **id != metrics.id && voters.contains(id))
        .max_by_key(|(id, matched)| (matched.map(|log_id| log_id.index), std::cmp::Reverse(**id)))
        .map(|(id, _)| MemberId(*id))
}

/// Who the current leader is by the vote of this node, if it is established.
pub(super) fn established_leader(raft: &Raft) -> Option<(super::types::Vote, MemberId)> {
    let vote = raft.server_metrics().borrow_watched().vote;
    vote.is_committed().then(|| (vote, candidate_of(&vote)))
}

/// How far a follower's log is known to agree with this leader's.
pub(super) fn matched(raft: &Raft, member: MemberId) -> Option<LogIndex> {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    metrics.replication.as_ref()?.get(&member.0)?.map(|log_id| LogIndex(log_id.index))
}
