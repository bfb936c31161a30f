//! How a segment of the log looks on disk, and how what a crash left is told from damage.
//!
//! ```text
//! segment: frame frame frame …
//! frame:   magic 4 │ length of the records 4 │ CRC-32 of these eight 4 │ record record …    one append, one sync
//! record:  length 4 │ CRC-32 4 │ wire form of a Record                                      (integers little endian)
//! ```
//!
//! The first byte of a record is its format: for an entry that of the version that brought its command, for all else the
//! oldest. One of a later version is not damage: nothing is cut off, and the log is left to the program that wrote it.
//!
//! A frame is written only after the one before it is durable. So what a crash may leave is one frame at the end, of
//! which a prefix is there, or in which whole sectors are zero; that is a *torn tail* and cut off. A bad frame before a
//! good one, or one that is complete and wrong, is *damage*: something that was promised is gone, and who has forgotten
//! his votes must not vote.

use bytes::Bytes;
use cresset_core::ids::MemberId;
use cresset_core::wire::{self, WireError};
use cresset_core::{planted, sometimes};
use serde::{Deserialize, Serialize};

use super::super::types::{Entry, LogId, Vote, entry_format, entry_format_max};
use super::RECORD_BYTES_MAX;

/// Begins a frame. `0xff` is in no UTF-8 text, so nothing that a client sends looks like it.
const MAGIC: [u8; 4] = [0xff, b'C', b'R', 0xfe];
const FRAME_HEADER_BYTES: usize = 12;
const RECORD_HEADER_BYTES: usize = 8;
/// What disks write in one piece.
const SECTOR_BYTES: usize = 512;

/// The format of segments. A segment of another one is refused.
pub(super) const FORMAT_VERSION: u32 = 1;

/// One thing that the log remembers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) enum Record {
    /// The first of a segment: what was known when it began, so that older segments can go.
    Segment(SegmentHead),
    /// An entry behind the last one.
    Entry(Entry),
    /// A vote that counts from here on.
    Vote(Vote),
    /// The log ends here; what followed conflicted with the leader.
    TruncatedAfter(Option<LogId>),
    /// Everything up to here is in a snapshot.
    Purged(LogId),
    /// Everything up to here was committed.
    Committed(Option<LogId>),
}

impl Record {
    fn format(&self) -> u8 {
        match self {
            Record::Entry(entry) => entry_format(entry),
            Record::Segment(_)
            | Record::Vote(_)
            | Record::TruncatedAfter(_)
            | Record::Purged(_)
            | Record::Committed(_) => wire::FORMAT_MIN,
        }
    }
}

/// What was known when a segment began.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct SegmentHead {
    /// [`FORMAT_VERSION`].
    pub(super) version: u32,
    /// Whose log it is.
    pub(super) member: MemberId,
    /// Counts the segments from 1.
    pub(super) number: u64,
    /// The vote.
    pub(super) vote: Option<Vote>,
    /// The end of what is in a snapshot.
    pub(super) purged: Option<LogId>,
    /// The entry before the first one of this segment.
    pub(super) last: Option<LogId>,
    /// The end of what is known to be committed.
    pub(super) committed: Option<LogId>,
}

/// Where a record lies in its file, header included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

/// A frame that is being filled.
#[derive(Debug)]
pub(super) struct FrameBuilder {
    bytes: Vec<u8>,
}

impl FrameBuilder {
    pub(super) fn new() -> Self {
        FrameBuilder { bytes: vec![0; FRAME_HEADER_BYTES] }
    }

    /// Adds a record and says where in the frame it lies.
    pub(super) fn push(&mut self, record: &Record) -> Span {
        let header = self.bytes.len();
        self.bytes.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        let body = self.bytes.len();
        self.bytes.push(record.format());
        wire::append(record, &mut self.bytes);
        let bytes = u32::try_from(self.bytes.len() - body).expect("an entry is bounded far below 4 GiB");
        let checksum = crc32fast::hash(&self.bytes[body..]);
        self.bytes[header..header + 4].copy_from_slice(&bytes.to_le_bytes());
        self.bytes[header + 4..body].copy_from_slice(&checksum.to_le_bytes());
        Span { offset: header as u64, bytes: bytes + RECORD_HEADER_BYTES as u32 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == FRAME_HEADER_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn finish(mut self) -> Bytes {
        let records = u32::try_from(self.bytes.len() - FRAME_HEADER_BYTES).expect("a frame is bounded below 4 GiB");
        self.bytes[..4].copy_from_slice(&MAGIC);
        self.bytes[4..8].copy_from_slice(&records.to_le_bytes());
        let checksum = crc32fast::hash(&self.bytes[..8]);
        self.bytes[8..FRAME_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        self.bytes.into()
    }
}

/// What a segment holds, read from its start.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The records of all good frames, each with its place.
    pub(super) records: Vec<(Span, Record)>,
    /// Where the last good frame ends.
    pub(super) end: u64,
    /// What comes after it.
    pub(super) rest: Rest,
}

/// What follows the good frames of a segment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Rest {
    /// Nothing.
    #[default]
    Nothing,
    /// What a crash left of the last append.
    Torn,
    /// Something that should be good and is not.
    Damaged {
        /// Where in the file.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A record that a program of a later version wrote.
    Later {
        /// Where in the file.
        offset: u64,
        /// Its format.
        found: u8,
    },
}

/// Why a frame is no good.
enum Flaw {
    /// The file ends, or is zero, where it should go on: this can be what a crash left.
    Incomplete,
    /// It is all there, and wrong.
    Wrong { offset: usize, reason: String },
    /// It is all there, and has a record of a later version.
    Later { offset: usize, found: u8 },
}

/// Why bytes do not begin with a record.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NoRecord {
    /// It is wrong.
    #[error("{0}")]
    Wrong(String),
    /// It is of a later version: this format.
    #[error("a record of format {found}, and this program reads up to format {}", entry_format_max())]
    Later { found: u8 },
}

impl From<&str> for NoRecord {
    fn from(reason: &str) -> NoRecord {
        NoRecord::Wrong(reason.to_owned())
    }
}

/// Reads a segment.
pub(super) fn scan(file: &[u8]) -> Scan {
    let mut found = Scan::default();
    let mut at = 0;
    while at < file.len() {
        match read_frame(file, at, &mut found.records) {
            Ok(end) => at = end,
            Err(flaw) => {
                found.rest = judge(file, at, flaw);
                break;
            }
        }
    }
    found.end = at as u64;
    found
}

/// Reads the record with which `bytes` begin, and says how long it is.
pub(super) fn read_record(bytes: &[u8]) -> Result<(u32, Record), NoRecord> {
    let header = bytes.get(..RECORD_HEADER_BYTES).ok_or("a record goes beyond its frame")?;
    let end = RECORD_HEADER_BYTES + number(header) as usize;
    let content = bytes.get(RECORD_HEADER_BYTES..end).ok_or("a record goes beyond its frame")?;
    let (expected, actual) = (number(&header[4..]), crc32fast::hash(content));
    if expected != actual && !planted!(ChecksumIgnored) {
        sometimes!("a_damaged_record_is_found");
        let reason = format!("the checksum of a record is {actual:08x} and should be {expected:08x}");
        return Err(NoRecord::Wrong(reason));
    }
    match wire::decode_up_to(content, RECORD_BYTES_MAX, entry_format_max()) {
        Ok(record) => Ok((end as u32, record)),
        Err(WireError::Format { found, expected }) if found > expected => Err(NoRecord::Later { found }),
        Err(error) => Err(NoRecord::Wrong(error.to_string())),
    }
}

fn judge(file: &[u8], at: usize, flaw: Flaw) -> Rest {
    match flaw {
        Flaw::Wrong { offset, reason } => Rest::Damaged { offset: offset as u64, reason },
        Flaw::Later { offset, found } => Rest::Later { offset: offset as u64, found },
        Flaw::Incomplete => match good_frame_after(file, at) {
            Some(later) => Rest::Damaged { offset: at as u64, reason: format!("a good frame follows at {later}") },
            None => Rest::Torn,
        },
    }
}

fn good_frame_after(file: &[u8], at: usize) -> Option<usize> {
    (at + 1..file.len()).find(|&later| {
        file[later..].starts_with(&MAGIC)
            && matches!(read_frame(file, later, &mut vec![]), Ok(_) | Err(Flaw::Later { .. }))
    })
}

/// Reads the frame at `at`, adds its records, and says where it ends. Adds nothing if there is a flaw in it.
fn read_frame(file: &[u8], at: usize, records: &mut Vec<(Span, Record)>) -> Result<usize, Flaw> {
    let header = file.get(at..at + FRAME_HEADER_BYTES).ok_or(Flaw::Incomplete)?;
    if header[..4] != MAGIC || crc32fast::hash(&header[..8]) != number(&header[8..]) {
        return Err(if has_an_unwritten_sector(file, at, at + FRAME_HEADER_BYTES) {
            Flaw::Incomplete
        } else {
            Flaw::Wrong { offset: at, reason: "the header of the frame is wrong".into() }
        });
    }
    let first = at + FRAME_HEADER_BYTES;
    let end = first + number(&header[4..]) as usize;
    if end > file.len() {
        return Err(Flaw::Incomplete);
    }
    let before = records.len();
    let mut next = first;
    while next < end {
        match read_record(&file[next..end]) {
            Ok((bytes, record)) => {
                records.push((Span { offset: next as u64, bytes }, record));
                next += bytes as usize;
            }
            Err(NoRecord::Later { found }) => {
                records.truncate(before);
                return Err(Flaw::Later { offset: next, found });
            }
            Err(NoRecord::Wrong(reason)) => {
                records.truncate(before);
                return Err(if has_an_unwritten_sector(file, at, end) {
                    Flaw::Incomplete
                } else {
                    Flaw::Wrong { offset: next, reason }
                });
            }
        }
    }
    Ok(end)
}

/// Bytes that are there and wrong can be what a crash left only if a sector of them was never written.
fn has_an_unwritten_sector(file: &[u8], from: usize, to: usize) -> bool {
    let mut at = from;
    while at < to {
        let sector_end = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(file.len());
        if file[at..sector_end].iter().all(|&byte| byte == 0) {
            return true;
        }
        at = sector_end;
    }
    false
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
