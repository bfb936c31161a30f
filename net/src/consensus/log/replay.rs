//! Reading the log at the start: all segments in order, with every check that tells a crash from damage.

use std::collections::VecDeque;

use bytes::Bytes;
use cresset_core::cluster::STATE_VERSIONS;
use cresset_core::ids::MemberId;
use cresset_core::{planted, sometimes};
use openraft::entry::RaftEntry;

use super::frame::{self, FORMAT_VERSION, Record, Rest, SegmentHead, Span};
use super::window::{Place, Window};
use super::{LogError, MARKER, segment_name, segment_number};
use crate::consensus::types::{Entry, LogId, Vote};
use crate::disk::{Disk, DiskError, FileEntry};

/// What was found.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) window: Window,
    pub(super) segments: VecDeque<SegmentSummary>,
    /// Where the last segment ends.
    pub(super) end: u64,
}

/// What the writer has to know of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SegmentSummary {
    pub(super) number: u64,
    /// The greatest index that it has an entry for.
    pub(super) index_max: Option<u64>,
}

/// Reads the log of a member, and begins one if there is none. `snapshot` is the end of the snapshot that can be read.
pub(super) async fn replay(disk: &dyn Disk, member: MemberId, snapshot: Option<LogId>) -> Result<Replayed, LogError> {
    let files = disk.list().await?;
    let has_marker = files.iter().any(|file| file.name == MARKER);
    let segments: Vec<FileEntry> = files.into_iter().filter(|file| segment_number(&file.name).is_some()).collect();

    if segments.is_empty() && (has_marker || snapshot.is_some()) && !planted!(MissingVoteAccepted) {
        sometimes!("a_log_without_votes_is_refused");
        return Err(LogError::Incomplete("its segments are gone, and with them the votes of this member".into()));
    }
    let mut replay = Replay::new(member);
    for (position, file) in segments.iter().enumerate() {
        let content = disk.read(&file.name, 0, file.bytes).await?;
        if content.len() as u64 != file.bytes {
            // A disk that keeps something back is not to be taken for a log that ends early, and cut.
            sometimes!("a_disk_reads_less_than_there_is");
            let reason = format!("{} of {} bytes were read", content.len(), file.bytes);
            return Err(DiskError::Failed { operation: "read", file: file.name.clone(), reason }.into());
        }
        let is_last = position + 1 == segments.len();
        let scan = frame::scan(&content);
        // Before anything is cut off: whether this program may is said there.
        if let Some((_, Record::Segment(head))) = scan.records.first() {
            replay.understands(&file.name, head)?;
        }
        match scan.rest {
            Rest::Nothing => {}
            Rest::Torn if !is_last => return Err(damaged(&file.name, scan.end, "it ends early and another follows")),
            Rest::Torn if scan.end == 0 => {
                // The crash came while the segment began; nothing of it was promised.
                disk.remove(&file.name).await?;
                break;
            }
            Rest::Torn => {
                tracing::warn!(file = file.name, at = scan.end, bytes = content.len(), "cutting off a torn tail");
                sometimes!("a_torn_tail_is_cut_off");
                if planted!(TornTailKept) {
                    replay.segment(&file.name, scan.records)?;
                    replay.end = content.len() as u64;
                    continue;
                }
                disk.truncate(&file.name, scan.end).await?;
            }
            Rest::Damaged { offset, reason } => return Err(damaged(&file.name, offset, &reason)),
            Rest::Later { offset, found } => {
                let (found, understood) = (u32::from(found), STATE_VERSIONS.max);
                return Err(LogError::Later { file: file.name.clone(), offset, found, understood });
            }
        }
        if scan.end == 0 && !is_last {
            return Err(damaged(&file.name, 0, "it is empty and another follows"));
        }
        if scan.end > 0 {
            replay.segment(&file.name, scan.records)?;
            replay.end = scan.end;
        }
    }
    if replay.segments.is_empty() {
        if (has_marker || snapshot.is_some()) && !planted!(MissingVoteAccepted) {
            return Err(LogError::Incomplete("its segments are empty, and the votes of this member are gone".into()));
        }
        replay.begin(disk).await?;
    }
    if !has_marker {
        disk.write(MARKER, Bytes::from_static(b"1")).await?;
    }
    replay.finish(snapshot)
}

fn damaged(file: &str, offset: u64, reason: &str) -> LogError {
    LogError::Damaged { file: file.to_owned(), offset, reason: reason.to_owned() }
}

/// The log as the records so far say.
struct Replay {
    member: MemberId,
    segments: VecDeque<SegmentSummary>,
    end: u64,
    vote: Option<Vote>,
    purged: Option<LogId>,
    committed: Option<LogId>,
    /// What came before the first entry that is there.
    before: Option<LogId>,
    entries: VecDeque<(Entry, Place)>,
}

impl Replay {
    fn new(member: MemberId) -> Self {
        Replay {
            member,
            segments: VecDeque::new(),
            end: 0,
            vote: None,
            purged: None,
            committed: None,
            before: None,
            entries: VecDeque::new(),
        }
    }

    /// Writes the first segment of a log that has none.
    async fn begin(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        let mut builder = frame::FrameBuilder::new();
        builder.push(&Record::Segment(SegmentHead {
            version: FORMAT_VERSION,
            member: self.member,
            number: 1,
            vote: None,
            purged: None,
            last: None,
            committed: None,
        }));
        let first = builder.finish();
        self.end = first.len() as u64;
        self.segments.push_back(SegmentSummary { number: 1, index_max: None });
        Ok(disk.append_sync(&segment_name(1), 0, first).await?)
    }

    fn last(&self) -> Option<LogId> {
        self.entries.back().map(|(entry, _)| entry.log_id()).or(self.before)
    }

    fn segment(&mut self, file: &str, records: Vec<(Span, Record)>) -> Result<(), LogError> {
        let mut records = records.into_iter();
        let number = match records.next() {
            Some((_, Record::Segment(head))) => self.head(file, head)?,
            Some(_) | None => return Err(damaged(file, 0, "it does not begin like a segment")),
        };
        self.segments.push_back(SegmentSummary { number, index_max: None });
        for (span, record) in records {
            self.record(file, Place { segment: number, span }, record)?;
        }
        Ok(())
    }

    /// Whether a segment is written as this program writes them.
    fn understands(&self, file: &str, head: &SegmentHead) -> Result<(), LogError> {
        if head.version != FORMAT_VERSION {
            let (expected, found) = (FORMAT_VERSION, head.version);
            return Err(LogError::Version { file: file.to_owned(), expected, found });
        }
        Ok(())
    }

    fn head(&mut self, file: &str, head: SegmentHead) -> Result<u64, LogError> {
        if head.member != self.member {
            return Err(LogError::Foreign { file: file.to_owned(), expected: self.member, found: head.member });
        }
        if segment_number(file) != Some(head.number) {
            return Err(damaged(file, 0, "it is another segment than its name says"));
        }
        match self.segments.back() {
            None => {
                self.vote = head.vote;
                self.before = head.last;
                self.purged = head.purged;
                self.committed = head.committed;
            }
            Some(previous) if previous.number + 1 != head.number => {
                return Err(LogError::Incomplete(format!("{} is missing", segment_name(previous.number + 1))));
            }
            Some(_) if head.vote != self.vote || head.last != self.last() => {
                return Err(damaged(file, 0, "it does not continue the segment before it"));
            }
            Some(_) => {}
        }
        Ok(head.number)
    }

    fn record(&mut self, file: &str, place: Place, record: Record) -> Result<(), LogError> {
        let wrong = |reason: &str| Err(damaged(file, place.span.offset, reason));
        match record {
            Record::Segment(_) => return wrong("a segment begins within a segment"),
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Committed(committed) => self.committed = committed,
            Record::TruncatedAfter(last) => {
                let end = last.map_or(0, |id| id.index + 1);
                while self.entries.back().is_some_and(|(entry, _)| entry.index() >= end) {
                    self.entries.pop_back();
                }
            }
            Record::Purged(purged) => {
                self.purged = Some(purged);
                if self.last().is_none_or(|last| last.index < purged.index) {
                    // A snapshot from the leader went beyond the log.
                    self.entries.clear();
                    self.before = Some(purged);
                }
            }
            Record::Entry(entry) => {
                let is_next = self.last().is_none_or(|last| last.index + 1 == entry.index());
                if !is_next {
                    return wrong("an entry does not follow the one before it");
                }
                if let Some(segment) = self.segments.back_mut() {
                    segment.index_max = segment.index_max.max(Some(entry.index()));
                }
                self.entries.push_back((entry, place));
            }
        }
        Ok(())
    }

    /// Fits the log to the snapshot that can be read, which may be an older one than the log was purged for.
    fn finish(mut self, snapshot: Option<LogId>) -> Result<Replayed, LogError> {
        if self.vote.is_none() && !planted!(MissingVoteAccepted) && self.last().is_some_and(|last| last.index > 0) {
            return Err(LogError::Incomplete("it has entries and no vote".into()));
        }
        let purged = match (self.purged, snapshot) {
            (Some(purged), Some(snapshot)) if purged.index > snapshot.index => Some(snapshot),
            (Some(purged), Some(_)) => Some(purged),
            (Some(_) | None, None) => None,
            (None, Some(_)) => self.before,
        };
        let begin = purged.map_or(0, |purged| purged.index + 1);
        while self.entries.front().is_some_and(|(entry, _)| entry.index() < begin) {
            self.before = self.entries.pop_front().map(|(entry, _)| entry.log_id());
        }
        let before = self.before.map_or(0, |before| before.index + 1);
        if before > begin {
            let end = snapshot.map_or("there is no snapshot".into(), |id| format!("the snapshot ends at {}", id.index));
            return Err(LogError::Incomplete(format!("it begins at {before}, and {end}")));
        }
        let mut window = Window::default();
        if let Some(purged) = purged {
            window.purge(purged);
        }
        for (entry, place) in self.entries {
            window.push_stored(entry, place);
        }
        window.vote = self.vote;
        window.committed = self.committed.min(window.last());
        Ok(Replayed { window, segments: self.segments, end: self.end })
    }
}
