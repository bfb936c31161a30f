//! The one task that writes the log: takes what is waiting, writes it as one frame, syncs once, and tells everybody.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::ids::MemberId;
use cresset_core::{planted, sometimes};
use openraft::entry::RaftEntry;
use openraft::storage::IOFlushed;
use tokio::sync::{mpsc, oneshot, watch};

use super::frame::{FORMAT_VERSION, FrameBuilder, Record, SegmentHead, Span};
use super::replay::{Replayed, SegmentSummary};
use super::store::closed;
use super::window::Place;
use super::{Health, SEGMENT_BYTES_MAX, SharedState, segment_name};
use crate::consensus::types::{Entry, LogId, TypeConfig, Vote};
use crate::disk::{Disk, DiskError};

/// Jobs that wait for the writer. Beyond it openraft waits, and takes no proposals.
pub(super) const QUEUE_JOBS_MAX: usize = 1024;

/// Bytes after which a frame is written although more is waiting. One entry may be larger.
const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How long a full disk is left alone before the next try.
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// What the writer is asked to do.
pub(super) enum Job {
    /// Make entries durable.
    Append { entries: Vec<Entry>, done: IOFlushed<TypeConfig> },
    /// Make a vote durable.
    Vote { vote: Vote, done: oneshot::Sender<io::Result<()>> },
    /// Forget the end of the log.
    TruncateAfter(Option<LogId>),
    /// Forget the beginning of the log.
    Purge(LogId),
    /// Remember, at the next occasion, what is committed.
    Committed(Option<LogId>),
    /// End.
    Close,
}

/// Who waits for a frame.
enum Waiting {
    Append(IOFlushed<TypeConfig>),
    Vote(oneshot::Sender<io::Result<()>>),
}

/// What is written at once.
struct Pending {
    frame: FrameBuilder,
    placed: Vec<(LogId, Span)>,
    waiting: Vec<Waiting>,
    purges: bool,
    closes: bool,
}

/// Why a frame was not written.
enum Stop {
    /// The log was closed while the disk was full.
    Closed,
    /// The disk failed.
    Failed(DiskError),
}

/// The state of the log as the disk has it.
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    member: MemberId,
    health: watch::Sender<Health>,
    segments: VecDeque<SegmentSummary>,
    end: u64,
    vote: Option<Vote>,
    last: Option<LogId>,
    purged: Option<LogId>,
    committed: Option<LogId>,
    /// The committed position changed since the last frame.
    has_news: bool,
}

impl Writer {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        member: MemberId,
        replayed: &Replayed,
        health: watch::Sender<Health>,
    ) -> Self {
        let state = replayed.window.log_state();
        Writer {
            disk,
            member,
            health,
            segments: replayed.segments.clone(),
            end: replayed.end,
            vote: replayed.window.vote,
            last: state.last_log_id,
            purged: state.last_purged_log_id,
            committed: replayed.window.committed,
            has_news: false,
        }
    }

    /// Writes until the log is closed, its store is dropped, or the disk fails.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>, shared: SharedState) {
        // A job that came while the disk was full and could only be looked at.
        let mut ahead = VecDeque::new();
        loop {
            let first = match ahead.pop_front() {
                Some(job) => job,
                None => match queue.recv().await {
                    Some(job) => job,
                    None => return,
                },
            };
            let mut pending = self.gather(first, &mut ahead, &mut queue);
            sometimes!(pending.waiting.len() > 1, "several_writes_share_a_sync");
            if planted!(AcknowledgedBeforeSync) {
                std::mem::take(&mut pending.waiting).into_iter().for_each(|waiting| answer(waiting, Ok(())));
            }
            let written = match self.write(&mut pending, &mut queue, &mut ahead).await {
                Ok(segment) => segment,
                Err(stop) => return self.stop(stop, pending, ahead, queue),
            };
            if let Some(segment) = written {
                let mut window = shared.window();
                for (id, span) in pending.placed {
                    window.placed(&id, Place { segment, span });
                }
            }
            for waiting in pending.waiting {
                answer(waiting, Ok(()));
            }
            if pending.purges
                && let Err(error) = self.remove_segments(shared.needed_after.load(Ordering::SeqCst)).await
            {
                // What was written is safe; the files are tried again at the next purge.
                tracing::warn!(%error, "a segment that is not needed cannot be removed");
            }
            if pending.closes {
                return;
            }
        }
    }

    /// Fills a frame with what is waiting.
    fn gather(&mut self, first: Job, ahead: &mut VecDeque<Job>, queue: &mut mpsc::Receiver<Job>) -> Pending {
        let mut pending = Pending {
            frame: self.begin_frame(),
            placed: Vec::new(),
            waiting: Vec::new(),
            purges: false,
            closes: false,
        };
        self.take(first, &mut pending);
        while pending.frame.len() < FRAME_BYTES_MAX && !pending.closes {
            let Some(job) = ahead.pop_front().or_else(|| queue.try_recv().ok()) else { break };
            self.take(job, &mut pending);
        }
        if self.has_news && !pending.frame.is_empty() {
            pending.frame.push(&Record::Committed(self.committed));
            self.has_news = false;
        }
        pending
    }

    /// A frame for the current segment, or, if that is long enough, the first one of the next.
    fn begin_frame(&mut self) -> FrameBuilder {
        let mut frame = FrameBuilder::new();
        if self.end >= SEGMENT_BYTES_MAX {
            sometimes!("a_segment_begins");
            let number = self.number() + 1;
            self.segments.push_back(SegmentSummary { number, index_max: None });
            self.end = 0;
            frame.push(&Record::Segment(SegmentHead {
                version: FORMAT_VERSION,
                member: self.member,
                number,
                vote: self.vote,
                purged: self.purged,
                last: self.last,
                committed: self.committed,
            }));
        }
        frame
    }

    fn take(&mut self, job: Job, pending: &mut Pending) {
        match job {
            Job::Append { entries, done } => {
                for entry in entries {
                    let id = entry.log_id();
                    let span = pending.frame.push(&Record::Entry(entry));
                    pending.placed.push((id, Span { offset: self.end + span.offset, ..span }));
                    self.last = Some(id);
                    if let Some(segment) = self.segments.back_mut() {
                        segment.index_max = segment.index_max.max(Some(id.index));
                    }
                }
                pending.waiting.push(Waiting::Append(done));
            }
            Job::Vote { vote, done } => {
                if !planted!(VoteNotPersisted) {
                    pending.frame.push(&Record::Vote(vote));
                }
                self.vote = Some(vote);
                pending.waiting.push(Waiting::Vote(done));
            }
            Job::TruncateAfter(last) => {
                sometimes!("the_end_of_a_log_is_cut_off");
                if !planted!(TruncationForgotten) {
                    pending.frame.push(&Record::TruncatedAfter(last));
                }
                self.last = last.or(self.purged);
            }
            Job::Purge(purged) => {
                pending.frame.push(&Record::Purged(purged));
                self.purged = Some(purged);
                if self.last.is_none_or(|last| last.index < purged.index) {
                    self.last = Some(purged);
                }
                pending.purges = true;
            }
            Job::Committed(committed) => {
                self.has_news |= self.committed != committed;
                self.committed = committed;
            }
            Job::Close => pending.closes = true,
        }
    }

    /// Makes a frame durable, however long that takes if the disk is full. Says in which segment it is; absent if there
    /// was nothing to write.
    async fn write(
        &mut self,
        pending: &mut Pending,
        queue: &mut mpsc::Receiver<Job>,
        ahead: &mut VecDeque<Job>,
    ) -> Result<Option<u64>, Stop> {
        let frame = std::mem::replace(&mut pending.frame, FrameBuilder::new());
        if frame.is_empty() {
            return Ok(None);
        }
        let bytes: Bytes = frame.finish();
        let segment = self.number();
        let file = segment_name(segment);
        loop {
            match self.disk.append_sync(&file, self.end, bytes.clone()).await {
                Ok(()) => {
                    self.end += bytes.len() as u64;
                    self.health.send_if_modified(|health| std::mem::take(health) != Health::Good);
                    return Ok(Some(segment));
                }
                Err(DiskError::Full { .. }) if pending.closes => return Err(Stop::Closed),
                Err(error @ DiskError::Full { .. }) => {
                    sometimes!("the_log_waits_for_room");
                    if self.health.send_if_modified(|health| std::mem::replace(health, Health::Full) != Health::Full) {
                        tracing::error!(%error, "nothing can be agreed by this node until there is room");
                    }
                    wait_for_room(queue, ahead).await?;
                }
                Err(error) => return Err(Stop::Failed(error)),
            }
        }
    }

    /// Removes the segments of which nothing is needed any more. The one that is written to stays.
    async fn remove_segments(&mut self, needed_after: u64) -> Result<(), DiskError> {
        let Some(purged) = self.purged else { return Ok(()) };
        let gone_up_to = purged.index.min(needed_after);
        while self.segments.len() > 1
            && self.segments.front().is_some_and(|first| first.index_max.is_none_or(|max| max <= gone_up_to))
        {
            let Some(first) = self.segments.front() else { break };
            self.disk.remove(&segment_name(first.number)).await?;
            self.segments.pop_front();
        }
        Ok(())
    }

    fn number(&self) -> u64 {
        self.segments.back().map_or(1, |segment| segment.number)
    }

    /// Tells everybody who waits, or will, that nothing is durable any more.
    fn stop(self, stop: Stop, pending: Pending, ahead: VecDeque<Job>, mut queue: mpsc::Receiver<Job>) {
        let error = match stop {
            Stop::Closed => closed(),
            Stop::Failed(error) => {
                tracing::error!(%error, "the log cannot be written, this node must end");
                self.health.send_replace(Health::Failed(error.to_string()));
                error.into()
            }
        };
        let again = || io::Error::new(error.kind(), error.to_string());
        for waiting in pending.waiting {
            answer(waiting, Err(again()));
        }
        queue.close();
        let rest = std::iter::from_fn(|| queue.try_recv().ok());
        for job in ahead.into_iter().chain(rest) {
            match job {
                Job::Append { done, .. } => done.io_completed(Err(again())),
                Job::Vote { done, .. } => answer(Waiting::Vote(done), Err(again())),
                Job::TruncateAfter(_) | Job::Purge(_) | Job::Committed(_) | Job::Close => {}
            }
        }
    }
}

/// Waits a while, and looks out for the end. What comes meanwhile is kept in order, up to the length of the queue.
async fn wait_for_room(queue: &mut mpsc::Receiver<Job>, ahead: &mut VecDeque<Job>) -> Result<(), Stop> {
    let pause = tokio::time::sleep(FULL_PAUSE);
    tokio::pin!(pause);
    loop {
        tokio::select! {
            biased;
            () = &mut pause => return Ok(()),
            job = queue.recv(), if ahead.len() < QUEUE_JOBS_MAX => match job {
                Some(Job::Close) | None => return Err(Stop::Closed),
                Some(job) => ahead.push_back(job),
            },
        }
    }
}

fn answer(waiting: Waiting, result: io::Result<()>) {
    match waiting {
        Waiting::Append(done) => done.io_completed(result),
        // Openraft may have ended meanwhile.
        Waiting::Vote(done) => drop(done.send(result)),
    }
}
