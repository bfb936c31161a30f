//! The part of the log that is not purged, as memory knows it: where each entry lies on disk, and the newest of them in
//! full.
//!
//! Entries are readable from the moment at which they are taken, before they are durable (openraft replicates them
//! meanwhile). An entry that is on disk may be forgotten here and is read from there; one that is not must stay. So
//! memory is bounded by [`CACHE_BYTES_MAX`] and what the writer has in hand.

use std::collections::VecDeque;
use std::ops::Range;

use openraft::entry::RaftEntry;
use openraft::storage::LogState;

use super::CACHE_BYTES_MAX;
use super::frame::Span;
use crate::consensus::types::{Entry, LogId, Payload, TypeConfig, Vote};

/// What an entry takes on the wire without its content; a configuration of many members takes a little more.
const HEAD_BYTES: usize = 64;

/// Where an entry lies on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) span: Span,
}

/// What is known of one entry.
#[derive(Debug)]
struct Slot {
    id: LogId,
    entry: Option<Entry>,
    place: Option<Place>,
}

impl Slot {
    /// The length of the entry's wire form, or a greater one as long as nobody has written it.
    fn bytes(&self) -> usize {
        let content = || match self.entry.as_ref().map(|entry| &entry.payload) {
            Some(Payload::Normal(proposal)) => proposal.bytes_max(),
            Some(Payload::Blank | Payload::Membership(_)) | None => 0,
        };
        HEAD_BYTES + self.place.map_or_else(content, |place| place.span.bytes as usize)
    }
}

/// An entry as a reader finds it.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// Here it is.
    Entry(Entry),
    /// It has to be read from disk.
    OnDisk(LogId, Place),
}

/// Everything about the log that readers ask for.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    purged: Option<LogId>,
    slots: VecDeque<Slot>,
    /// Entries up to this index are not kept in full, or are not on disk yet.
    forgotten: u64,
    cached_bytes: usize,
}

impl Window {
    /// The state as openraft asks for it.
    pub(super) fn log_state(&self) -> LogState<TypeConfig> {
        LogState { last_purged_log_id: self.purged, last_log_id: self.last() }
    }

    /// The last entry, or the last that was purged.
    pub(super) fn last(&self) -> Option<LogId> {
        self.slots.back().map(|slot| slot.id).or(self.purged)
    }

    /// The index of the next entry.
    pub(super) fn next_index(&self) -> u64 {
        self.last().map_or(0, |last| last.index + 1)
    }

    /// Takes an entry behind the last one.
    ///
    /// # Panics
    ///
    /// If it does not follow the last one: openraft promises that there are no holes.
    pub(super) fn push(&mut self, entry: Entry) {
        let id = entry.log_id();
        assert!(id.index == self.next_index() || self.is_untouched(), "entry {id} does not follow {:?}", self.last());
        self.slots.push_back(Slot { id, entry: Some(entry), place: None });
    }

    /// Takes an entry that was found on disk at the start.
    pub(super) fn push_stored(&mut self, entry: Entry, place: Place) {
        let id = entry.log_id();
        self.cached_bytes += place.span.bytes as usize;
        self.slots.push_back(Slot { id, entry: Some(entry), place: Some(place) });
        self.forget();
    }

    /// An entry lies on disk. Nothing happens if another one has taken its position meanwhile.
    pub(super) fn placed(&mut self, id: &LogId, place: Place) {
        if let Some(slot) = self.slot(id.index)
            && slot.id == *id
            && slot.place.is_none()
        {
            slot.place = Some(place);
            self.cached_bytes += place.span.bytes as usize;
        }
        self.forget();
    }

    /// Ends the log behind `last`.
    pub(super) fn truncate_after(&mut self, last: Option<&LogId>) {
        let end = last.map_or(0, |id| id.index + 1);
        while self.slots.back().is_some_and(|slot| slot.id.index >= end) {
            if let Some(slot) = self.slots.pop_back() {
                self.drop_from_cache(&slot);
            }
        }
        self.forgotten = self.forgotten.min(self.next_index());
    }

    /// Begins the log behind `purged`, which may lie beyond its end.
    pub(super) fn purge(&mut self, purged: LogId) {
        if self.purged.is_some_and(|before| before.index >= purged.index) {
            return;
        }
        while self.slots.front().is_some_and(|slot| slot.id.index <= purged.index) {
            if let Some(slot) = self.slots.pop_front() {
                self.drop_from_cache(&slot);
            }
        }
        self.purged = Some(purged);
    }

    /// The entries of a range that are there.
    pub(super) fn find(&self, range: Range<u64>) -> Vec<Found> {
        let Some(first) = self.slots.front().map(|slot| slot.id.index) else { return Vec::new() };
        let end = range.end.min(first + self.slots.len() as u64);
        let start = range.start.max(first);
        if start >= end {
            return Vec::new();
        }
        self.slots
            .range((start - first) as usize..(end - first) as usize)
            .map(|slot| match (&slot.entry, slot.place) {
                (Some(entry), _) => Found::Entry(entry.clone()),
                (None, Some(place)) => Found::OnDisk(slot.id, place),
                (None, None) => unreachable!("an entry that is not on disk is kept"),
            })
            .collect()
    }

    /// How many entries from `start` on have together no more than `bytes` on disk; at least one.
    pub(super) fn count_within(&self, start: u64, end: u64, bytes: usize) -> u64 {
        let Some(first) = self.slots.front().map(|slot| slot.id.index) else { return end - start };
        let mut sum = 0;
        for index in start..end {
            let slot = index.checked_sub(first).and_then(|position| self.slots.get(position as usize));
            sum += slot.map_or(0, Slot::bytes);
            if sum > bytes {
                return (index - start).max(1);
            }
        }
        end - start
    }

    fn slot(&mut self, index: u64) -> Option<&mut Slot> {
        let first = self.slots.front()?.id.index;
        self.slots.get_mut(usize::try_from(index.checked_sub(first)?).ok()?)
    }

    /// Whether nothing was ever there, so that any entry may be the first.
    fn is_untouched(&self) -> bool {
        self.slots.is_empty() && self.purged.is_none()
    }

    fn drop_from_cache(&mut self, slot: &Slot) {
        if let (Some(_), Some(place)) = (&slot.entry, slot.place) {
            self.cached_bytes -= place.span.bytes as usize;
        }
    }

    /// Forgets the oldest entries that are on disk until the rest fits.
    fn forget(&mut self) {
        let Some(first) = self.slots.front().map(|slot| slot.id.index) else { return };
        self.forgotten = self.forgotten.max(first);
        while self.cached_bytes > CACHE_BYTES_MAX {
            let Some(slot) = self.slots.get_mut((self.forgotten - first) as usize) else { return };
            let Some(place) = slot.place else { return };
            if slot.entry.take().is_some() {
                self.cached_bytes -= place.span.bytes as usize;
            }
            self.forgotten += 1;
        }
    }
}
