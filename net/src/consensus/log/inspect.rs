//! What the bytes of a log say, for a simulation that looks at a disk from outside.

use std::collections::BTreeSet;

use openraft::EntryPayload;
use openraft::entry::RaftEntry;

use super::frame::{self, Record, Rest};
use crate::consensus::types::{Entry, LogId, Vote, candidate_of, content_sum, entry_index, entry_term, term_of};

/// A term and an index.
pub type Position = (u64, u64);

/// A vote: its term, for whom, and whether that one is elected.
pub type Ballot = (u64, u64, bool);

/// One thing that a log remembers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remembered {
    /// A segment begins, with what was known then.
    Segment {
        /// Whose log it is.
        member: u64,
        /// The vote.
        vote: Option<Ballot>,
        /// The end of what is in a snapshot.
        purged: Option<Position>,
        /// The end of what is committed.
        committed: Option<Position>,
    },
    /// An entry.
    Entry {
        /// Which.
        id: Position,
        /// The sum of what it says.
        sum: u32,
        /// Who votes from here on, if it says that.
        voters: Option<Vec<BTreeSet<u64>>>,
    },
    /// A vote.
    Vote(Ballot),
    /// Nothing after this index is there any more; absent if nothing is at all.
    TruncatedAfter(Option<u64>),
    /// Everything up to here is in a snapshot.
    Purged(Position),
    /// Everything up to here is committed.
    Committed(Position),
}

/// What some bytes of a log say: a segment, or the frames that were appended to one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inspected {
    /// In order.
    pub remembered: Vec<Remembered>,
    /// Something that should be good is not.
    pub is_damaged: bool,
}

/// Reads bytes that begin with a frame, as a start does.
pub fn inspect(bytes: &[u8]) -> Inspected {
    let scan = frame::scan(bytes);
    let remembered = scan.records.into_iter().filter_map(|(_, record)| remembered(record)).collect();
    Inspected { remembered, is_damaged: matches!(scan.rest, Rest::Damaged { .. }) }
}

/// Whether a file is a segment of a log.
pub fn is_segment(file: &str) -> bool {
    super::segment_number(file).is_some()
}

fn remembered(record: Record) -> Option<Remembered> {
    Some(match record {
        Record::Segment(head) => Remembered::Segment {
            member: head.member.0,
            vote: head.vote.as_ref().map(ballot),
            purged: head.purged.as_ref().map(position),
            committed: head.committed.as_ref().map(position),
        },
        Record::Entry(entry) => {
            Remembered::Entry { id: position(&entry.log_id()), sum: content_sum(&entry), voters: voters(&entry) }
        }
        Record::Vote(vote) => Remembered::Vote(ballot(&vote)),
        Record::TruncatedAfter(last) => Remembered::TruncatedAfter(last.map(|id| id.index)),
        Record::Purged(purged) => Remembered::Purged(position(&purged)),
        Record::Committed(committed) => Remembered::Committed(position(&committed?)),
    })
}

fn voters(entry: &Entry) -> Option<Vec<BTreeSet<u64>>> {
    match &entry.payload {
        EntryPayload::Membership(membership) => Some(membership.get_joint_config().clone()),
        EntryPayload::Blank | EntryPayload::Normal(_) => None,
    }
}

fn position(id: &LogId) -> Position {
    (entry_term(id).0, entry_index(id).0)
}

fn ballot(vote: &Vote) -> Ballot {
    (term_of(vote).0, candidate_of(vote).0, vote.is_committed())
}
