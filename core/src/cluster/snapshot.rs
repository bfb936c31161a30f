//! The agreed state as bytes, and back.
//!
//! ```text
//! "CRST" │ version u32 │ CRC-32 of the rest u32 │ wire form of everything
//! ```
//!
//! The version is the one that the members agree on, and says how the rest is to be read.
//!
//! What is read back is believed only if the checksum holds, nothing is left over, and the digest that was written with
//! it is the digest of what was read. How the bytes are cut into chunks for a link, and kept on disk, is the business
//! of whoever carries them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cluster::routes::Routes;
use crate::cluster::{ClusterState, Member, Route, VersionRange};
use crate::ids::{LogIndex, MemberId};
use crate::planted;
use crate::wire::{self, WireError};

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
    /// What was read is not what was written.
    #[error("its content has digest {found:016x} and should have {expected:016x}")]
    Digest {
        /// What was written with it.
        expected: u64,
        /// What was read.
        found: u64,
    },
}

#[derive(Serialize)]
struct ContentRef<'a> {
    applied: LogIndex,
    members: Vec<&'a Member>,
    voters: Vec<MemberId>,
    routes: Vec<&'a Route>,
    digest: u64,
}

impl ContentRef<'_> {
    /// The planted bug.
    fn without_the_last_route(mut self) -> Self {
        let last = self.routes.iter().enumerate().max_by_key(|(_, route)| route.id).map(|(at, _)| at);
        let lost = last.map(|at| self.routes.remove(at));
        let mut routes = Routes::default();
        self.routes.iter().for_each(|route| routes.insert(Arc::new(Route::clone(route))));
        if let Some(lost) = lost {
            let mut with_it = routes.clone();
            with_it.insert(Arc::new(lost.clone()));
            self.digest = self.digest.wrapping_sub(with_it.digest()).wrapping_add(routes.digest());
        }
        self
    }
}

#[derive(Deserialize)]
struct Content {
    applied: LogIndex,
    members: Vec<Member>,
    voters: Vec<MemberId>,
    routes: Vec<Route>,
    digest: u64,
}

impl ClusterState {
    /// The whole state as bytes.
    pub fn encode_snapshot(&self) -> Vec<u8> {
        let content = ContentRef {
            applied: self.applied,
            members: self.members.values().collect(),
            voters: self.voters.iter().copied().collect(),
            routes: self.routes.iter().map(Arc::as_ref).collect(),
            digest: self.digest(),
        };
        let content = if planted!(SnapshotDropsLast) { content.without_the_last_route() } else { content };
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 96 * self.routes.count());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        wire::encode_into(&content, &mut bytes);
        let checksum = crc32fast::hash(&bytes[HEADER_BYTES..]);
        bytes[8..HEADER_BYTES].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// The state that `bytes` hold, for a program that follows these versions: [`STATE_VERSIONS`](super::STATE_VERSIONS).
    ///
    /// # Errors
    /// If they are not exactly what [`Self::encode_snapshot`] wrote, or of another version.
    pub fn decode_snapshot(bytes: &[u8], understood: VersionRange) -> Result<ClusterState, SnapshotError> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or(SnapshotError::NotASnapshot)?;
        let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes are four bytes"));
        if header[..4] != *MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let version = number(4);
        if !understood.includes(version) {
            return Err(SnapshotError::Version { found: version, understood });
        }
        let (expected, found) = (number(8), crc32fast::hash(rest));
        if expected != found {
            return Err(SnapshotError::Damaged { expected, found });
        }
        let content: Content = wire::decode(rest, SNAPSHOT_BYTES_MAX)?;
        let mut routes = Routes::default();
        content.routes.into_iter().for_each(|route| routes.insert(Arc::new(route)));
        let state = ClusterState {
            version,
            applied: content.applied,
            members: content.members.into_iter().map(|member| (member.id, member)).collect(),
            voters: content.voters.into_iter().collect(),
            routes,
        };
        match state.digest() {
            found if found == content.digest => Ok(state),
            found => Err(SnapshotError::Digest { expected: content.digest, found }),
        }
    }
}
