//! The agreed state as bytes, and back.
//!
//! ```text
//! "CRST" │ version u32 │ CRC-32 of the rest u32 │ wire form of everything
//! ```
//!
//! The version is the one that the members agree on, and says how the rest is to be read: from
//! [`TIMES_SINCE_VERSION`](super::TIMES_SINCE_VERSION) on the agreed times stand at its end.
//!
//! Each part is a machine that is driven in steps, because a million routes take seconds, and whoever owns the state has
//! to answer others meanwhile:
//!
//! ```text
//! state ──freeze──▶ Frozen ──SnapshotWriter──▶ bytes ──SnapshotReader──▶ state ──┐
//!                                         the present one ──freeze──▶ Frozen ────┴─Change──▶ events, Installation
//! ```
//!
//! What is read back is believed only if the checksum holds, nothing is left over, and the digest that was written with
//! it is the digest of what was read. How the bytes are cut into chunks for a link, and kept on disk, is the business
//! of whoever carries them.

mod change;
mod frozen;
mod read;
mod write;

pub use change::{Change, Installation};
pub use frozen::Frozen;
pub use read::SnapshotReader;
pub use write::SnapshotWriter;

use crate::cluster::{ClusterState, VersionRange};
use crate::wire::WireError;

const MAGIC: &[u8; 4] = b"CRST";
const HEADER_BYTES: usize = 12;

/// Bytes of the largest snapshot that is read: some five million sessions.
pub const SNAPSHOT_BYTES_MAX: usize = 1 << 30;

/// Why bytes are not a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// They do not begin like one.
    #[error("not a snapshot of a cluster's state")]
    NotASnapshot,
    /// It was written by a program of another version.
    #[error("a snapshot of version {found}; this program reads versions {} to {}", understood.min, understood.max)]
    Version {
        /// Of the snapshot.
        found: u32,
        /// Those of the program.
        understood: VersionRange,
    },
    /// A bit of it has changed since it was written.
    #[error("damaged: its checksum is {found:08x} and should be {expected:08x}")]
    Damaged {
        /// What was written with it.
        expected: u32,
        /// What its bytes have.
        found: u32,
    },
    /// It says something that cannot be.
    #[error("malformed: {0}")]
    Malformed(#[from] WireError),
    /// No member may follow such times.
    #[error("agreed times with which two members could serve one user: {}", reasons.join("; "))]
    UnsafeTimes {
        /// A sentence each.
        reasons: Vec<String>,
    },
    /// What was read is not what was written.
    #[error("its content has digest {found:016x} and should have {expected:016x}")]
    Digest {
        /// What was written with it.
        expected: u64,
        /// What was read.
        found: u64,
    },
}

impl ClusterState {
    /// The whole state as bytes, in one go: for a state of few routes, or where nobody waits.
    pub fn encode_snapshot(&self) -> Vec<u8> {
        let mut writer = SnapshotWriter::new(self.freeze(None, usize::MAX));
        loop {
            if let Some(bytes) = writer.step(usize::MAX) {
                return bytes;
            }
        }
    }

    /// The state that `bytes` hold, for a program that follows these versions: [`STATE_VERSIONS`](super::STATE_VERSIONS).
    /// In one go, as [`encode_snapshot`](ClusterState::encode_snapshot).
    ///
    /// # Errors
    /// If they are not exactly what [`SnapshotWriter`] wrote, or of another version.
    pub fn decode_snapshot(bytes: &[u8], understood: VersionRange) -> Result<ClusterState, SnapshotError> {
        let mut reader = SnapshotReader::new(bytes, understood)?;
        loop {
            if let Some(state) = reader.step(usize::MAX)? {
                return Ok(state);
            }
        }
    }
}
