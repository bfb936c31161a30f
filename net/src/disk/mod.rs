//! A directory of files that outlive the process: the seam under the Raft log, the snapshots and the node's identity.
//!
//! ```text
//! consensus/log ───────┐                       ┌── DirectoryDisk: one thread, real files
//! consensus/snapshots ─┼──▶ Disk (append, …) ──┼── MemoryDisk: for tests; loses what was not synced
//! identity ────────────┘                       └── the simulator's, with faults
//! ```
//!
//! The invariant: operations take effect in the order in which they were *called*, not awaited, and one that has
//! succeeded is durable. What a crash may leave of an append that has not succeeded is a prefix of it, or a part in
//! which whole 512-byte sectors are zero, never other bytes; of a [`Disk::write`], the old content or the new.
//!
//! The trait needs no threads, knows no logs, and never retries: what an error means is for the caller to decide.

mod directory;
mod memory;

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use directory::{DirectoryDisk, make_private};
pub use memory::MemoryDisk;

/// Bytes of the longest file name.
pub const FILE_NAME_BYTES_MAX: usize = 64;

/// What can go wrong on a disk.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DiskError {
    /// There is no room, or no quota. Nothing durable was changed; the same operation may succeed later.
    #[error("{operation} of {file}: no space left")]
    Full {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        file: String,
    },
    /// There is no such file.
    #[error("{operation} of {file}: no such file")]
    Missing {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        file: String,
    },
    /// Anything else. After a failed sync nobody knows what is on the disk, so it must not be tried again
    /// (<https://wiki.postgresql.org/wiki/Fsync_Errors>): the process ends.
    #[error("{operation} of {file}: {reason}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        file: String,
        /// What the system said.
        reason: String,
    },
}

/// A file as a listing shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FileEntry {
    /// Its name, without a directory.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A directory of files. File names are 1 to [`FILE_NAME_BYTES_MAX`] lower-case letters, digits, `-` and `.`, and begin
/// with a letter.
pub trait Disk: Send + Sync + 'static {
    /// All files, ordered by name.
    fn list(&self) -> BoxFuture<'static, Result<Vec<FileEntry>, DiskError>>;

    /// Up to `len` bytes of a file from `offset`; fewer only where the file ends.
    fn read(&self, file: &str, offset: u64, len: u64) -> BoxFuture<'static, Result<Vec<u8>, DiskError>>;

    /// Writes bytes at `offset`, which is where the caller knows the file to end, and makes them durable. What lies
    /// beyond `offset`, left behind by an append that failed, is cut off first. The file is made if it does not exist
    /// and `offset` is 0.
    fn append_sync(&self, file: &str, offset: u64, bytes: Bytes) -> BoxFuture<'static, Result<(), DiskError>>;

    /// Cuts a file to a length, durably.
    fn truncate(&self, file: &str, bytes: u64) -> BoxFuture<'static, Result<(), DiskError>>;

    /// Puts a file with this content in the place of the one of that name, if there is one, durably and at once.
    fn write(&self, file: &str, content: Bytes) -> BoxFuture<'static, Result<(), DiskError>>;

    /// Removes a file, durably. One that is not there is removed already.
    fn remove(&self, file: &str) -> BoxFuture<'static, Result<(), DiskError>>;
}

/// Whether a name is one that every file system takes as it is.
pub fn is_file_name(name: &str) -> bool {
    name.len() <= FILE_NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.')
}

impl From<DiskError> for std::io::Error {
    fn from(error: DiskError) -> Self {
        let kind = match &error {
            DiskError::Full { .. } => std::io::ErrorKind::StorageFull,
            DiskError::Missing { .. } => std::io::ErrorKind::NotFound,
            DiskError::Failed { .. } => std::io::ErrorKind::Other,
        };
        std::io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests;
