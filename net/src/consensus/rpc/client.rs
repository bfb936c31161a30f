//! The asking side: one client for each member that openraft talks to.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cresset_core::ids::MemberId;
use cresset_core::{planted, sometimes};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, OptionalSend};

use super::check::{self, Unacceptable};
use super::message::{Answer, Question};
use super::{CALL_BYTES_MAX, CallError, PeerCalls, transfer};
use crate::consensus::apply::RaftSnapshot;
use crate::consensus::log::{FORGET_IT, LogStore};
use crate::consensus::types::{LogId, TypeConfig, Vote};

type Refusal = RPCError<TypeConfig>;

/// Makes the clients.
#[derive(Clone)]
pub(in crate::consensus) struct Peers {
    pub(in crate::consensus) me: MemberId,
    pub(in crate::consensus) calls: Arc<dyn PeerCalls>,
    pub(in crate::consensus) log: LogStore,
    /// How long the answer to entries may take. Openraft would allow a heartbeat, but a disk may take longer to sync,
    /// and asking again makes it no faster.
    pub(in crate::consensus) append_deadline: Duration,
    pub(in crate::consensus) acknowledged: Acknowledged,
}

/// Up to where each member has what this one sent it as a leader of a term. Who has less later has lost it, and what it
/// says of its log proves nothing any more: openraft, which counts on it, is not told.
#[derive(Clone, Default)]
pub(in crate::consensus) struct Acknowledged(Arc<Mutex<BTreeMap<MemberId, Has>>>);

/// What one member acknowledged.
struct Has {
    vote: Vote,
    index: u64,
    is_told_lost: bool,
}

impl Acknowledged {
    fn by(&self, member: MemberId, vote: &Vote) -> Option<u64> {
        self.members().get(&member).filter(|has| has.vote == *vote).map(|has| has.index)
    }

    fn up_to(&self, member: MemberId, vote: &Vote, last: Option<LogId>) {
        let Some(last) = last else { return };
        let mut members = self.members();
        let has = members.entry(member).or_insert(Has { vote: *vote, index: 0, is_told_lost: false });
        if has.vote != *vote {
            *has = Has { vote: *vote, index: 0, is_told_lost: false };
        }
        has.index = has.index.max(last.index);
    }

    /// The member has less: whether that is news.
    fn is_lost(&self, member: MemberId) -> bool {
        self.members().get_mut(&member).is_some_and(|has| !std::mem::replace(&mut has.is_told_lost, true))
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<MemberId, Has>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = PeerClient;

    async fn new_client(&mut self, target: u64, _: &EmptyNode) -> PeerClient {
        PeerClient { peers: self.clone(), target: MemberId(target) }
    }
}

/// Asks one member.
pub(in crate::consensus) struct PeerClient {
    peers: Peers,
    target: MemberId,
}

impl PeerClient {
    pub(super) async fn ask(&self, kind: RPCTypes, question: &Question, deadline: Duration) -> Result<Answer, Refusal> {
        self.ask_encoded(kind, question.encode(), deadline).await
    }

    async fn ask_encoded(&self, kind: RPCTypes, question: Bytes, deadline: Duration) -> Result<Answer, Refusal> {
        let called = self.peers.calls.call(self.target, question, deadline).await;
        let answer = match called {
            Ok(bytes) => Answer::decode(&bytes).map_err(|error| NetworkError::new(&error))?,
            Err(error @ CallError::NoLink) => return Err(Unreachable::new(&error).into()),
            Err(error @ CallError::Lost(_)) => return Err(NetworkError::new(&error).into()),
            Err(CallError::TimedOut) => return Err(self.timeout(kind, deadline).into()),
        };
        check::answer(&answer, self.peers.log.voted_term()).map_err(|error| NetworkError::new(&error))?;
        match answer {
            Answer::Refused(reason) => {
                tracing::warn!(member = %self.target, reason, "a member refuses what Raft says");
                // It would refuse it again: leave it alone for a while.
                Err(Unreachable::from_string(reason).into())
            }
            Answer::Stopped => Err(Unreachable::from_string("its Raft has ended").into()),
            Answer::Append(_)
            | Answer::Vote(_)
            | Answer::TransferLeader(_)
            | Answer::Have(_)
            | Answer::Installed(_) => Ok(answer),
        }
    }

    fn timeout(&self, action: RPCTypes, timeout: Duration) -> Timeout<TypeConfig> {
        Timeout { action, id: self.peers.me.0, target: self.target.0, timeout }
    }
}

/// As many of the entries as one message carries, and the last of them if that is not all.
pub(super) fn fit(mut rpc: AppendEntriesRequest<TypeConfig>) -> (Bytes, Option<LogId>) {
    let mut part = None;
    loop {
        let question = Question::Append(rpc);
        let bytes = question.encode();
        let Question::Append(again) = question else { unreachable!("it was one a line ago") };
        if bytes.len() <= CALL_BYTES_MAX || again.entries.len() <= 1 {
            return (bytes, part);
        }
        rpc = again;
        rpc.entries.truncate(rpc.entries.len() / 2);
        part = rpc.entries.last().map(|entry| entry.log_id);
    }
}

pub(super) fn unfitting() -> Refusal {
    NetworkError::new(&Unacceptable::Answer).into()
}

impl RaftNetworkV2<TypeConfig> for PeerClient {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Refusal> {
        let deadline = option.soft_ttl().max(self.peers.append_deadline);
        let (vote, before) = (rpc.vote, rpc.prev_log_id);
        let last = rpc.entries.last().map(|entry| entry.log_id).or(before);
        let had = self.peers.acknowledged.by(self.target, &vote);
        let (question, part) = fit(rpc);
        let answer = match self.ask_encoded(RPCTypes::AppendEntries, question, deadline).await {
            Err(_) if planted!(CommittedWithoutQuorum) => return Ok(AppendEntriesResponse::Success),
            answer => answer?,
        };
        sometimes!(part.is_some(), "entries_do_not_fit_into_one_message");
        let Answer::Append(response) = answer else { return Err(unfitting()) };
        let response = match (response, part) {
            (AppendEntriesResponse::Success, Some(last)) => AppendEntriesResponse::PartialSuccess(Some(last)),
            (response, _) => response,
        };
        match &response {
            AppendEntriesResponse::Success => self.peers.acknowledged.up_to(self.target, &vote, last),
            AppendEntriesResponse::PartialSuccess(last) => {
                self.peers.acknowledged.up_to(self.target, &vote, *last);
            }
            AppendEntriesResponse::Conflict if before.is_some_and(|id| had >= Some(id.index)) => {
                if self.peers.acknowledged.is_lost(self.target) {
                    tracing::error!(
                        member = %self.target,
                        "a member has lost what it had acknowledged: its data directory is an older copy, or its disk does \
                         not keep what it says; stop it, and {FORGET_IT}"
                    );
                }
                return Err(Unreachable::from_string("it has lost what it had acknowledged").into());
            }
            AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => {}
        }
        Ok(response)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Refusal> {
        let Answer::Vote(response) = self.ask(RPCTypes::Vote, &Question::Vote(rpc), option.soft_ttl()).await? else {
            return Err(unfitting());
        };
        Ok(response)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Refusal> {
        let Answer::Vote(response) = self.ask(RPCTypes::Vote, &Question::PreVote(rpc), option.soft_ttl()).await? else {
            return Err(unfitting());
        };
        Ok(response)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: RaftSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = transfer::send(self, vote, snapshot, option.soft_ttl()) => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Refusal> {
        let deadline = option.soft_ttl();
        let Answer::TransferLeader(response) =
            self.ask(RPCTypes::TransferLeader, &Question::TransferLeader(request), deadline).await?
        else {
            return Err(unfitting());
        };
        Ok(response)
    }
}
