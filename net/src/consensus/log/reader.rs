//! Reading entries: from memory where they are there, from disk otherwise.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use openraft::OptionalSend;
use openraft::storage::RaftLogReader;

use super::frame::{self, Record};
use super::window::{Found, Place};
use super::{READ_BYTES_MAX, SharedState, segment_name};
use crate::consensus::types::{Entry, LogId, TypeConfig, Vote};
use crate::disk::{Disk, DiskError};

/// Reads the log. Openraft has one for each follower.
#[derive(Clone)]
pub struct LogReader {
    shared: SharedState,
    disk: Arc<dyn Disk>,
}

impl LogReader {
    pub(super) fn new(shared: SharedState, disk: Arc<dyn Disk>) -> Self {
        LogReader { shared, disk }
    }

    async fn read(&self, range: Range<u64>) -> io::Result<Vec<Entry>> {
        let found = self.shared.window().find(range);
        let mut entries = Vec::with_capacity(found.len());
        let mut at = 0;
        while at < found.len() {
            match &found[at] {
                Found::Entry(entry) => {
                    entries.push(entry.clone());
                    at += 1;
                }
                Found::OnDisk(..) => {
                    let run = run_on_disk(&found[at..]);
                    at += run.len();
                    entries.append(&mut self.read_run(&run).await?);
                }
            }
        }
        Ok(entries)
    }

    /// Reads entries that lie near each other in one segment.
    async fn read_run(&self, run: &[(LogId, Place)]) -> io::Result<Vec<Entry>> {
        let (Some((first_id, first)), Some((_, last))) = (run.first(), run.last()) else { return Ok(Vec::new()) };
        let begin = first.span.offset;
        let len = last.span.offset + u64::from(last.span.bytes) - begin;
        let file = segment_name(first.segment);
        let bytes = match self.disk.read(&file, begin, len).await {
            Err(DiskError::Missing { .. })
                if self.shared.window().log_state().last_purged_log_id >= Some(*first_id) =>
            {
                // Purged between looking it up and reading it; by now it is not in the log.
                return Ok(Vec::new());
            }
            other => other?,
        };
        run.iter().map(|(id, place)| entry_in(&bytes, begin, id, place, &file)).collect()
    }
}

/// The entries on disk that one read can get: as long as they are in one segment, and not too much.
fn run_on_disk(found: &[Found]) -> Vec<(LogId, Place)> {
    let mut run: Vec<(LogId, Place)> = Vec::new();
    for found in found {
        let Found::OnDisk(id, place) = found else { break };
        let fits = run.first().is_none_or(|(_, first)| {
            first.segment == place.segment
                && place.span.offset >= first.span.offset
                && place.span.offset + u64::from(place.span.bytes) - first.span.offset <= READ_BYTES_MAX as u64
        });
        if !fits {
            break;
        }
        run.push((*id, *place));
    }
    run
}

fn entry_in(bytes: &[u8], begin: u64, id: &LogId, place: &Place, file: &str) -> io::Result<Entry> {
    let wrong = |reason: String| {
        io::Error::other(format!("the log is damaged: {file}, offset {}: {reason}", place.span.offset))
    };
    let from = (place.span.offset - begin) as usize;
    let record =
        bytes.get(from..from + place.span.bytes as usize).ok_or_else(|| wrong("the file ends early".into()))?;
    match frame::read_record(record).map_err(|reason| wrong(reason.to_string()))?.1 {
        Record::Entry(entry) if entry.log_id == *id => Ok(entry),
        Record::Entry(other) => Err(wrong(format!("{id} should be here, and there is {}", other.log_id))),
        Record::Segment(_) | Record::Vote(_) | Record::TruncatedAfter(_) | Record::Purged(_) | Record::Committed(_) => {
            Err(wrong(format!("{id} should be here, and there is no entry")))
        }
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start..end).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let count = self.shared.window().count_within(start, end, READ_BYTES_MAX);
        self.read(start..start + count).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.window().vote)
    }
}
