//! The answering side.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::cluster::{SnapshotError, SnapshotReader, VersionRange};
use cresset_core::ids::MemberId;
use openraft::errors::{Fatal, RaftError};
use openraft::raft::SnapshotResponse;
use openraft_rt::WatchReceiver;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::check;
use super::message::{Answer, Chunk, Question};
use super::transfer::{Assembly, Received};
use crate::consensus::Raft;
use crate::consensus::log::LogStore;
use crate::consensus::types::TypeConfig;

/// Answers what other members ask. Clones are the same.
#[derive(Clone)]
pub struct Server {
    raft: Raft,
    log: LogStore,
    /// The versions of snapshots that this node follows.
    versions: VersionRange,
    /// At most one snapshot at a time is put together; its bytes are bounded by `SNAPSHOT_BYTES_MAX`.
    assembly: Arc<Mutex<Option<Assembly>>>,
    under_way: UnderWay,
}

/// What Raft is asked, by other members and by this one: it ends when it has answered. What it leaves unanswered it would
/// call an error in its log, and what it is asked later as well. Clones are the same.
#[derive(Clone)]
pub(in crate::consensus) struct UnderWay(Arc<Semaphore>);

/// Questions at a time. The links bring far fewer.
const UNDER_WAY_MAX: u32 = 1 << 20;

impl UnderWay {
    pub(in crate::consensus) fn new() -> Self {
        UnderWay(Arc::new(Semaphore::new(UNDER_WAY_MAX as usize)))
    }

    /// Somebody is about to ask Raft something, until what this returns is dropped. Nothing if Raft is to end.
    pub(in crate::consensus) fn begin(&self) -> Option<SemaphorePermit<'_>> {
        self.0.try_acquire().ok()
    }

    /// Takes no more questions, and waits until Raft has answered those that it took, or `patience` is over.
    pub(in crate::consensus) async fn end(&self, patience: Duration) {
        let answered = timeout(patience, self.0.acquire_many(UNDER_WAY_MAX)).await.is_ok();
        self.0.close();
        if !answered {
            tracing::debug!("Raft ends before it has answered everybody");
        }
    }
}

impl Server {
    pub(in crate::consensus) fn new(raft: Raft, log: LogStore, versions: VersionRange, under_way: UnderWay) -> Self {
        Server { raft, log, versions, assembly: Arc::default(), under_way }
    }

    /// Answers one question of a member, who was authenticated as `from`. Whatever the bytes are, there is an answer.
    /// It may take as long as a sync of the disk.
    pub async fn serve(&self, from: MemberId, question: &[u8]) -> Bytes {
        let answer = match Question::decode(question) {
            Err(error) => Answer::Refused(error.to_string()),
            Ok(question) => match check::question(&question, from, self.log.voted_term()) {
                Err(error) => Answer::Refused(error.to_string()),
                Ok(()) => match self.under_way.begin() {
                    Some(_answering) => self.answer(question).await.unwrap_or(Answer::Stopped),
                    None => Answer::Stopped,
                },
            },
        };
        if let Answer::Refused(reason) = &answer {
            tracing::debug!(member = %from, reason, "refused what a member said for Raft");
        }
        answer.encode()
    }

    async fn answer(&self, question: Question) -> Result<Answer, RaftError<TypeConfig>> {
        Ok(match question {
            Question::Append(request) => Answer::Append(self.raft.append_entries(request).await?),
            Question::Vote(request) => Answer::Vote(self.raft.vote(request).await?),
            Question::PreVote(request) => Answer::Vote(self.raft.pre_vote(request).await?),
            Question::TransferLeader(request) => {
                Answer::TransferLeader(self.raft.handle_transfer_leader(request).await.map_err(fatal)?)
            }
            Question::Chunk(part) => self.chunk(part).await?,
        })
    }

    async fn chunk(&self, part: Chunk) -> Result<Answer, RaftError<TypeConfig>> {
        let known = self.raft.server_metrics().borrow_watched().vote;
        if !matches!(known.partial_cmp(&part.vote), Some(Ordering::Less | Ordering::Equal)) {
            return Ok(Answer::Installed(SnapshotResponse::new(known)));
        }
        // Before all of it has come, if its first part is long enough to say it.
        if part.offset == 0
            && let Some(refused) = self.refuse_later(&part.bytes)
        {
            return Ok(refused);
        }
        // Held while the snapshot is installed: a second sender waits, and finds another vote then.
        let mut assembly = self.assembly.lock().await;
        Ok(match Assembly::receive(&mut assembly, part) {
            Received::Have(bytes) => Answer::Have(bytes),
            Received::Damaged => Answer::Refused("the snapshot was damaged on the way".into()),
            Received::Whole(vote, snapshot) => {
                if let Some(refused) = self.refuse_later(&snapshot.snapshot) {
                    return Ok(refused);
                }
                let response = self.raft.install_full_snapshot(vote, snapshot).await.map_err(fatal)?;
                Answer::Installed(response)
            }
        })
    }

    /// A snapshot of a later version would end Raft, and with it the process, in the middle of its installation.
    fn refuse_later(&self, snapshot: &[u8]) -> Option<Answer> {
        match SnapshotReader::new(snapshot, self.versions) {
            Err(error @ SnapshotError::Version { .. }) => Some(Answer::Refused(error.to_string())),
            Ok(_) | Err(_) => None,
        }
    }
}

fn fatal(error: Fatal<TypeConfig>) -> RaftError<TypeConfig> {
    RaftError::Fatal(error)
}
