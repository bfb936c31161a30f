//! The Raft log on disk: entries and votes, in segments, with one writer.
//!
//! ```text
//! openraft ──append, vote──▶ LogStore ──queue──▶ writer ──one frame, one sync──▶ Disk
//!              │ (readable at once)                 │
//!              ▼                                    └──▶ flushed callbacks, in order
//!           Window ◀──read── LogReader (older entries from Disk)
//! ```
//!
//! Invariants: what was reported as flushed is on disk, in the order in which it was given; a vote is never forgotten
//! ([`LogError`] names every way in which a directory may say that it was, and the node then refuses to start);
//! [`LogStore::voted_term`] is raised before a vote is written or answered.
//!
//! A full disk stops nothing for good: the writer keeps what it has and tries again, the node says so ([`Health`]) and
//! gives leadership away. A failed sync ends it. This room does not know what an entry means.

mod frame;
#[cfg(cresset_simulated)]
pub mod inspect;
mod reader;
mod replay;
mod store;
mod window;
mod writer;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cresset_core::ids::MemberId;

use crate::disk::{DiskError, FileEntry};

pub use reader::LogReader;
pub use store::LogStore;

use window::Window;

/// Bytes of the largest entry: twice what core puts into a batch (`BATCH_BYTES_MAX`), less than what one message of the
/// links carries. What is larger is not proposed.
pub const ENTRY_BYTES_MAX: usize = 960 * 1024;

/// Bytes of the largest record. More than any message that could bring one.
const RECORD_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Bytes after which a segment is followed by another one. Purging removes whole segments.
pub const SEGMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Bytes of entries that are kept in memory although they are on disk. A follower that is further behind is sent
/// entries from disk.
pub const CACHE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of entries that replication reads, and sends, at a time; one entry may be larger.
pub const READ_BYTES_MAX: usize = 512 * 1024;

/// What an operator does about a data directory that cannot be used. The accounts may be in it.
pub(crate) const FORGET_IT: &str =
    "remove the files 'log*', 'snapshot*', 'stamp' and 'member' from it, and the node joins as a new member";

/// Why a log cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something that was durable has changed. The member must not vote with it.
    #[error("the log is damaged: {file}, offset {offset}: {reason}; {FORGET_IT}")]
    Damaged {
        /// The file.
        file: String,
        /// The first byte that cannot be trusted.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// Something that must be there is not.
    #[error("the log is incomplete: {0}; {FORGET_IT}")]
    Incomplete(String),
    /// The directory belongs to another member.
    #[error("{file} belongs to member {found}, and this is member {expected}; {FORGET_IT}")]
    Foreign {
        /// The file.
        file: String,
        /// Whose directory this should be.
        expected: MemberId,
        /// Whose it is.
        found: MemberId,
    },
    /// The segments were written by a program of another version.
    #[error(
        "{file} has format {found}, and this program writes format {expected}; run the program that wrote it, or \
         {FORGET_IT}"
    )]
    Version {
        /// The file.
        file: String,
        /// What this program writes.
        expected: u32,
        /// What it found.
        found: u32,
    },
    /// A program of a later version has agreed on something of that version.
    #[error(
        "{file}, offset {offset}: an entry of version {found}, and this program reads versions up to {understood}; run \
         the program that wrote it, or {FORGET_IT}"
    )]
    Later {
        /// The file.
        file: String,
        /// The first byte of the record.
        offset: u64,
        /// The version that brought the entry.
        found: u32,
        /// The latest one that this program follows.
        understood: u32,
    },
}

/// How the disk under the log is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Health {
    /// Everything is written.
    #[default]
    Good,
    /// There is no room: nothing is written until there is.
    Full,
    /// Something was lost, or may be: the process must end.
    Failed(String),
}

/// What the store, its readers and its writer share.
#[derive(Debug, Default)]
struct Shared {
    window: Mutex<Window>,
    /// The greatest term in which this member has voted, or is about to.
    voted_term: AtomicU64,
    /// Entries behind this index must stay on disk, because the older of two snapshots needs them. `u64::MAX` if no
    /// snapshot does.
    needed_after: AtomicU64,
}

impl Shared {
    /// Held for memory accesses only, never across an await.
    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a segment.
fn segment_name(number: u64) -> String {
    format!("log-{number:016}")
}

/// The number of a segment, if the name is one's.
fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-").filter(|digits| digits.len() == 16)?;
    digits.parse().ok()
}

/// Says that there was a log, so that its absence is noticed.
const MARKER: &str = "log.begun";

/// Whether there is, or was, a log among these files.
pub(crate) fn has_begun(files: &[FileEntry]) -> bool {
    files.iter().any(|file| keeps(&file.name))
}

/// Whether a file is one of a log.
pub(super) fn keeps(file: &str) -> bool {
    file == MARKER || segment_number(file).is_some()
}

type SharedState = Arc<Shared>;

#[cfg(test)]
pub(super) mod tests;
