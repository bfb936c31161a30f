//! What the log on one node's disk says for sure, append by append. The node's own reader decodes the bytes.

use std::collections::BTreeMap;

use cresset_net::consensus::log::inspect::{Ballot, Position, Remembered, inspect, is_segment};
use cresset_net::consensus::snapshots::end_of_file;
use cresset_net::run::BINDING;

use super::super::{DiskEvent, DiskObserver};
use crate::history::{EntryId, Event, History, RaftFact, Voters};

/// Adds what becomes durable on a node's disk to the history.
pub fn disk_observer(node: &str, history: &History) -> DiskObserver {
    let (node, history, mut log) = (node.to_owned(), history.clone(), DurableLog::default());
    Box::new(move |event| {
        let facts = match event {
            // Without its binding the directory is nobody's, and nothing that it held counts.
            DiskEvent::Lost | DiskEvent::Removed { file: BINDING } => {
                log = DurableLog::default();
                history.add("world", Event::DiskLost { node: node.clone() });
                return;
            }
            // What a crash leaves of an append is in the log if it is a whole frame, as it is for the node's reader.
            DiskEvent::Appended { file, offset, bytes } if is_segment(file) => log.appended(file, *offset, bytes),
            DiskEvent::Written { file, content } if is_segment(file) => log.appended(file, 0, content),
            DiskEvent::Truncated { file, bytes } if is_segment(file) => log.cut(file, *bytes),
            DiskEvent::Written { file, .. } => {
                snapshot(file).map(|entry| RaftFact::Kept { entry }).into_iter().collect()
            }
            DiskEvent::Removed { file } => {
                snapshot(file).map(|entry| RaftFact::Dropped { entry }).into_iter().collect()
            }
            // A sound node does not start with what is damaged.
            DiskEvent::Appended { .. } | DiskEvent::Truncated { .. } | DiskEvent::Damaged { .. } => return,
        };
        for fact in facts {
            history.add(&node, Event::Raft { node: node.clone(), fact });
        }
    })
}

/// The durable log of one node.
#[derive(Debug, Default)]
struct DurableLog {
    segments: BTreeMap<String, Vec<u8>>,
    member: Option<u64>,
    vote: Option<Ballot>,
    purged: Option<Position>,
    committed: Option<Position>,
}

impl DurableLog {
    /// These bytes are in a segment, and nothing behind them.
    fn appended(&mut self, segment: &str, offset: u64, bytes: &[u8]) -> Vec<RaftFact> {
        let content = self.segments.entry(segment.to_owned()).or_default();
        content.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
        content.extend_from_slice(bytes);
        self.says(bytes)
    }

    /// A segment was cut to this length. A sound node cuts only what is no frame.
    fn cut(&mut self, segment: &str, bytes: u64) -> Vec<RaftFact> {
        let Some(content) = self.segments.get_mut(segment) else { return Vec::new() };
        let before = inspect(content).remembered;
        content.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        let kept = inspect(content).remembered.len();
        let lost = before.into_iter().skip(kept).filter_map(|remembered| match remembered {
            Remembered::Entry { id, .. } => Some(id.1),
            Remembered::Segment { .. }
            | Remembered::Vote(_)
            | Remembered::TruncatedAfter(_)
            | Remembered::Purged(_)
            | Remembered::Committed(_) => None,
        });
        lost.min().map(|first| RaftFact::TruncatedAfter { index: first.checked_sub(1) }).into_iter().collect()
    }

    /// Frames were added to the log.
    fn says(&mut self, frames: &[u8]) -> Vec<RaftFact> {
        let mut facts = Vec::new();
        for remembered in inspect(frames).remembered {
            self.remember(remembered, &mut facts);
        }
        facts
    }

    fn remember(&mut self, remembered: Remembered, facts: &mut Vec<RaftFact>) {
        match remembered {
            // What a segment begins with is known already, if it is not the first.
            Remembered::Segment { member, vote, purged, committed } => {
                if self.member.replace(member) != Some(member) {
                    facts.push(RaftFact::Is { member });
                }
                self.vote(vote, facts);
                self.purged(purged, facts);
                self.committed(committed, facts);
            }
            Remembered::Entry { id, sum, voters } => push_entry(facts, entry(id), sum, voters),
            Remembered::Vote(vote) => self.vote(Some(vote), facts),
            Remembered::TruncatedAfter(index) => facts.push(RaftFact::TruncatedAfter { index }),
            Remembered::Purged(purged) => self.purged(Some(purged), facts),
            Remembered::Committed(committed) => self.committed(Some(committed), facts),
        }
    }

    fn vote(&mut self, vote: Option<Ballot>, facts: &mut Vec<RaftFact>) {
        if let Some((term, leader, is_elected)) = vote.filter(|_| vote != self.vote) {
            self.vote = vote;
            facts.push(RaftFact::Voted { term, leader, is_elected });
        }
    }

    fn purged(&mut self, purged: Option<Position>, facts: &mut Vec<RaftFact>) {
        if let Some(last) = purged.filter(|_| purged != self.purged) {
            self.purged = purged;
            facts.push(RaftFact::PurgedUpTo { entry: entry(last) });
        }
    }

    fn committed(&mut self, committed: Option<Position>, facts: &mut Vec<RaftFact>) {
        if let Some(last) = committed.filter(|_| committed != self.committed) {
            self.committed = committed;
            facts.push(RaftFact::Committed { entry: entry(last) });
        }
    }
}

/// Adds an entry to those that were just added.
fn push_entry(facts: &mut Vec<RaftFact>, id: EntryId, sum: u32, voters: Option<Voters>) {
    match facts.last_mut() {
        Some(RaftFact::Appended { entries }) => entries.push((id, sum)),
        _ => facts.push(RaftFact::Appended { entries: vec![(id, sum)] }),
    }
    if let Some(voters) = voters {
        facts.push(RaftFact::Configured { entry: id, voters });
    }
}

/// With which entry the snapshot in that file ends, if it is one's name.
fn snapshot(file: &str) -> Option<EntryId> {
    end_of_file(file).map(|(term, index)| EntryId { term: term.0, index: index.0 })
}

fn entry((term, index): Position) -> EntryId {
    EntryId { term, index }
}
