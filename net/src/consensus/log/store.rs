//! The log as openraft uses it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cresset_core::ids::{LogIndex, MemberId, Term};
use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use tokio::sync::{mpsc, oneshot, watch};

use super::writer::{Job, QUEUE_JOBS_MAX, Writer};
use super::{Health, LogError, LogReader, Shared, SharedState, replay};
use crate::consensus::types::{Entry, LogId, TypeConfig, Vote, term_of};
use crate::disk::Disk;
use crate::runtime;

/// The log of one member. Clones are the same log.
#[derive(Clone)]
pub struct LogStore {
    shared: SharedState,
    disk: Arc<dyn Disk>,
    jobs: mpsc::Sender<Job>,
    health: watch::Receiver<Health>,
}

impl LogStore {
    /// Opens the log of a member, or begins it. `snapshot` is the end of the newest snapshot that can be read.
    ///
    /// # Errors
    ///
    /// If the directory is not one with which this member may vote; see [`LogError`].
    pub async fn open(disk: Arc<dyn Disk>, member: MemberId, snapshot: Option<LogId>) -> Result<LogStore, LogError> {
        let replayed = replay::replay(&*disk, member, snapshot).await?;
        let voted = replayed.window.vote.as_ref().map_or(0, |vote| term_of(vote).0);
        let (health_sender, health) = watch::channel(Health::Good);
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS_MAX);
        let writer = Writer::new(disk.clone(), member, &replayed, health_sender);
        let shared = Arc::new(Shared {
            window: replayed.window.into(),
            voted_term: AtomicU64::new(voted),
            needed_after: AtomicU64::new(0),
        });
        runtime::spawn(writer.run(queue, shared.clone()));
        Ok(LogStore { shared, disk, jobs, health })
    }

    /// The greatest term in which this member has voted, or may be about to: raised before a vote is written or
    /// answered, so that whoever reads a term here that is not greater than his own knows that no later one was granted.
    pub fn voted_term(&self) -> Term {
        Term(self.shared.voted_term.load(Ordering::SeqCst))
    }

    /// The last entry, durable or not.
    pub fn last(&self) -> Option<LogId> {
        self.shared.window().last()
    }

    /// How the disk is.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Keeps entries behind `index` on disk, whatever is purged, because the older snapshot needs them. `None` if no
    /// older snapshot does.
    pub fn keep_after(&self, index: Option<LogIndex>) {
        self.shared.needed_after.store(index.map_or(u64::MAX, |index| index.0), Ordering::SeqCst);
    }

    /// Ends the writer. What is not durable by then is reported as failed, also what waits for room on the disk.
    pub async fn close(&self) {
        // If nobody takes it, it has ended already.
        let _ = self.jobs.send(Job::Close).await;
    }

    /// Waits until nothing is written any more, because the log was closed or has failed.
    pub async fn closed(&self) {
        self.jobs.closed().await;
    }

    async fn order(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).await.map_err(|_| closed())
    }
}

/// What everybody is told who asks something of a log that was closed or has failed.
pub(super) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the log is closed")
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        Ok(self.shared.window().log_state())
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader::new(self.shared.clone(), self.disk.clone())
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.shared.voted_term.fetch_max(term_of(vote).0, Ordering::SeqCst);
        let (done, flushed) = oneshot::channel();
        self.order(Job::Vote { vote: *vote, done }).await?;
        flushed.await.map_err(|_| closed())??;
        self.shared.window().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.shared.window().committed = committed;
        self.order(Job::Committed(committed)).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared.window().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        {
            let mut window = self.shared.window();
            for entry in &entries {
                window.push(entry.clone());
            }
        }
        self.order(Job::Append { entries, done: callback }).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.shared.window().truncate_after(last.as_ref());
        self.order(Job::TruncateAfter(last)).await
    }

    async fn purge(&mut self, purged: LogId) -> io::Result<()> {
        self.shared.window().purge(purged);
        self.order(Job::Purge(purged)).await
    }
}
