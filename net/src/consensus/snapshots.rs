//! Snapshots on disk: the newest, and the one before it in case the newest is damaged.
//!
//! ```text
//! "CRSP" │ CRC-32 of the rest 4 │ length of the meta 4 │ wire form of the meta │ the state as core encodes it
//! ```
//!
//! The format of the file is that of the meta; the state says its version itself.
//!
//! The invariant: a snapshot that was taken or installed can be read after a crash, or another one that the log
//! continues. The one before the newest is kept together with the log behind it. What the state is does not matter here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cresset_core::cluster::SNAPSHOT_BYTES_MAX;
use cresset_core::ids::LogIndex;
use cresset_core::wire::{self, WireError};
use cresset_core::{planted, sometimes};

use crate::consensus::log::FORGET_IT;
use crate::consensus::types::{LogId, SnapshotMeta, entry_index, entry_term};
use crate::disk::{Disk, DiskError};

const MAGIC: &[u8; 4] = b"CRSP";
const HEADER_BYTES: usize = 12;

/// Bytes of the description of a snapshot: a membership of `MEMBERS_MAX` members fits many times.
const META_BYTES_MAX: usize = 64 * 1024;

/// A snapshot with its bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredSnapshot {
    /// Up to where it goes, and who voted then.
    pub meta: SnapshotMeta,
    /// The state.
    pub bytes: Bytes,
}

/// Why the snapshots of a directory cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotsError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A program of a later version has written one. It is not taken for a damaged one, which the next one removes.
    #[error(
        "{file} has format {found}, and this program reads format {understood}; run the program that wrote it, or {FORGET_IT}"
    )]
    Later {
        /// The file.
        file: String,
        /// What it found.
        found: u8,
        /// What this program reads.
        understood: u8,
    },
}

/// Why bytes are not the file of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
enum NoSnapshot {
    /// They are damaged.
    #[error("{0}")]
    Damaged(String),
    /// They are of a later format.
    #[error("of format {0}, which is a later one")]
    Later(u8),
}

impl From<&str> for NoSnapshot {
    fn from(reason: &str) -> NoSnapshot {
        NoSnapshot::Damaged(reason.to_owned())
    }
}

/// Whether the snapshot before a new one is of use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// This node took the new one: its log continues the one before.
    Taken,
    /// The leader sent the new one: the log of this node does not reach it.
    Installed,
}

/// The snapshots of one node.
pub struct SnapshotStore {
    kept: Mutex<Kept>,
    disk: Arc<dyn Disk>,
}

/// The ends of the snapshots that can be read, oldest first; at most two.
type Kept = Vec<LogId>;

impl SnapshotStore {
    /// Finds the snapshots that can be read. One that is damaged is reported and not used.
    ///
    /// # Errors
    ///
    /// If the disk fails, or a snapshot is of a later format. Nothing has been changed then.
    pub async fn open(disk: Arc<dyn Disk>) -> Result<SnapshotStore, SnapshotsError> {
        let mut kept = Vec::new();
        for file in disk.list().await?.iter().rev().filter(|file| keeps(&file.name)) {
            match read_snapshot(&*disk, &file.name).await? {
                Ok(StoredSnapshot { meta: SnapshotMeta { last_log_id: Some(end), .. }, .. }) => kept.insert(0, end),
                Ok(_) => tracing::error!(file = file.name, "a snapshot of nothing is not used"),
                Err(NoSnapshot::Later(found)) => {
                    let (file, understood) = (file.name.clone(), wire::FORMAT_MIN);
                    return Err(SnapshotsError::Later { file, found, understood });
                }
                Err(NoSnapshot::Damaged(reason)) => {
                    sometimes!("a_damaged_snapshot_is_not_used");
                    tracing::error!(file = file.name, reason, "a damaged snapshot is not used");
                }
            }
            if kept.len() == 2 {
                break;
            }
        }
        Ok(SnapshotStore { kept: Mutex::new(kept), disk })
    }

    /// The end of the newest snapshot.
    pub fn newest(&self) -> Option<LogId> {
        self.kept().last().copied()
    }

    /// Behind which entry the log must be kept for the older snapshot; absent if there is none.
    pub fn older(&self) -> Option<LogIndex> {
        let kept = self.kept();
        kept.first().filter(|_| kept.len() == 2).map(entry_index)
    }

    /// Reads the newest snapshot.
    ///
    /// # Errors
    ///
    /// If the disk fails, or the snapshot was damaged since it was found.
    pub async fn load(&self) -> Result<Option<StoredSnapshot>, DiskError> {
        let Some(newest) = self.newest() else { return Ok(None) };
        let file = file_name(&newest);
        let read = read_snapshot(&*self.disk, &file).await?;
        read.map(Some).map_err(|reason| DiskError::Failed { operation: "read", file, reason: reason.to_string() })
    }

    /// Keeps a snapshot, and of the older ones only the one that is of use beside it. One that goes less far than what
    /// is kept changes nothing.
    ///
    /// # Errors
    ///
    /// If the disk fails; then the older snapshots are still there.
    pub async fn save(&self, snapshot: &StoredSnapshot, origin: Origin) -> Result<(), DiskError> {
        let Some(end) = snapshot.meta.last_log_id else { return Ok(()) };
        let mut kept = self.kept().clone();
        if kept.last().is_some_and(|newest| newest.index > end.index) {
            return Ok(());
        }
        let name = file_name(&end);
        sometimes!(origin == Origin::Taken, "a_snapshot_is_taken");
        sometimes!(origin == Origin::Installed, "a_snapshot_of_the_leader_is_kept");
        if !planted!(PurgedWithoutSnapshot) {
            self.disk.write(&name, encode(snapshot)).await?;
        }
        kept.retain(|older| older.index < end.index && origin == Origin::Taken);
        kept.push(end);
        kept.drain(..kept.len().saturating_sub(2));
        let names: Vec<String> = kept.iter().map(file_name).collect();
        *self.kept() = kept;
        if let Err(error) = self.remove_others(&names).await {
            // They are in nobody's way, and are tried again after the next one.
            tracing::warn!(%error, "an old snapshot cannot be removed");
        }
        Ok(())
    }

    async fn remove_others(&self, names: &[String]) -> Result<(), DiskError> {
        for file in self.disk.list().await? {
            if keeps(&file.name) && !names.contains(&file.name) {
                self.disk.remove(&file.name).await?;
            }
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a file is a snapshot.
pub(super) fn keeps(file: &str) -> bool {
    file.starts_with("snapshot-")
}

/// Names sort as their ends do.
fn file_name(end: &LogId) -> String {
    format!("snapshot-{:020}-{:020}", entry_index(end).0, entry_term(end).0)
}

/// With which entry the snapshot in a file of that name ends, for a simulation that looks at a disk from outside.
#[cfg(cresset_simulated)]
pub fn end_of_file(name: &str) -> Option<(cresset_core::ids::Term, LogIndex)> {
    let (index, term) = name.strip_prefix("snapshot-")?.split_once('-')?;
    Some((cresset_core::ids::Term(term.parse().ok()?), LogIndex(index.parse().ok()?)))
}

fn encode(snapshot: &StoredSnapshot) -> Bytes {
    let meta = wire::encode(&snapshot.meta);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + meta.len() + snapshot.bytes.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&u32::try_from(meta.len()).expect("a membership is small").to_le_bytes());
    bytes.extend_from_slice(&meta);
    bytes.extend_from_slice(&snapshot.bytes);
    let checksum = crc32fast::hash(&bytes[8..]);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes.into()
}

/// Reads a snapshot. The inner error says what is wrong with it.
async fn read_snapshot(disk: &dyn Disk, file: &str) -> Result<Result<StoredSnapshot, NoSnapshot>, DiskError> {
    let bytes = disk.read(file, 0, (SNAPSHOT_BYTES_MAX + META_BYTES_MAX) as u64).await?;
    Ok(decode(bytes.into()))
}

fn decode(bytes: Bytes) -> Result<StoredSnapshot, NoSnapshot> {
    if bytes.len() < HEADER_BYTES || bytes[..4] != MAGIC[..] {
        return Err("it does not begin like a snapshot".into());
    }
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (expected, actual) = (number(4), crc32fast::hash(&bytes[8..]));
    if expected != actual {
        let reason = format!("its checksum is {actual:08x} and should be {expected:08x}");
        return Err(NoSnapshot::Damaged(reason));
    }
    let state = HEADER_BYTES + number(8) as usize;
    let meta = bytes.get(HEADER_BYTES..state).ok_or("its meta goes beyond its end")?;
    let meta = wire::decode(meta, META_BYTES_MAX).map_err(|error| {
        if let WireError::Format { found, expected } = error
            && found > expected
        {
            return NoSnapshot::Later(found);
        }
        NoSnapshot::Damaged(error.to_string())
    })?;
    Ok(StoredSnapshot { meta, bytes: bytes.slice(state..) })
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::consensus::types::{Membership, StoredMembership, log_id};
    use crate::disk::MemoryDisk;
    use crate::formats::Example;
    use crate::hostile_bytes::Decoder;

    /// For the attack on all decoders.
    pub(in crate::consensus) fn decoder(state: Vec<u8>) -> Decoder {
        let whole = StoredSnapshot { bytes: state.into(), ..snapshot(10) };
        Decoder {
            name: "file of a snapshot",
            sound: vec![encode(&snapshot(20)).to_vec(), encode(&whole).to_vec()],
            seal: |bytes| {
                if let Some((header, content)) = bytes.split_at_mut_checked(8) {
                    header[4..].copy_from_slice(&crc32fast::hash(content).to_le_bytes());
                }
            },
            decode: |bytes| decode(Bytes::copy_from_slice(bytes)).is_ok(),
        }
    }

    /// For the examples of formats, with this state.
    pub(in crate::consensus) fn example(state: Vec<u8>) -> Example {
        let membership = Membership::new_with_defaults(vec![BTreeSet::from([1, 2])], [3]);
        let last_membership = StoredMembership::new(Some(log_id(3, 7)), membership);
        let meta = SnapshotMeta { last_log_id: Some(log_id(300, 70_000)), last_membership };
        let stored = StoredSnapshot { meta, bytes: state.into() };
        Example::new("snapshot-file.1", encode(&stored).to_vec(), move |bytes| {
            decode(Bytes::copy_from_slice(bytes)).as_ref() == Ok(&stored)
        })
    }

    fn snapshot(index: u64) -> StoredSnapshot {
        let meta = SnapshotMeta { last_log_id: Some(log_id(3, index)), last_membership: StoredMembership::default() };
        StoredSnapshot { meta, bytes: vec![index as u8; 100].into() }
    }

    async fn saved(disk: &MemoryDisk, origin: Origin) -> SnapshotStore {
        let store = SnapshotStore::open(Arc::new(disk.clone())).await.expect("the disk is good");
        for index in [10, 20, 30] {
            store.save(&snapshot(index), origin).await.expect("there is room");
        }
        store
    }

    #[tokio::test]
    async fn the_newest_two_are_kept() {
        let disk = MemoryDisk::new();
        saved(&disk, Origin::Taken).await;

        let store = SnapshotStore::open(Arc::new(disk.reopened())).await.expect("the disk is good");

        assert_eq!(store.load().await, Ok(Some(snapshot(30))));
        assert_eq!(store.older(), Some(LogIndex(20)));
        assert_eq!(disk.names().len(), 2);
    }

    #[tokio::test]
    async fn a_snapshot_from_the_leader_stands_alone() {
        let disk = MemoryDisk::new();
        let store = saved(&disk, Origin::Installed).await;

        assert_eq!((store.newest(), store.older()), (Some(log_id(3, 30)), None));
        assert_eq!(disk.names().len(), 1);
    }

    #[tokio::test]
    async fn an_older_snapshot_that_comes_late_changes_nothing() {
        let store = saved(&MemoryDisk::new(), Origin::Taken).await;

        store.save(&snapshot(25), Origin::Taken).await.expect("nothing is written");

        assert_eq!(store.load().await, Ok(Some(snapshot(30))));
    }

    #[tokio::test]
    async fn every_flipped_bit_is_noticed() {
        let disk = MemoryDisk::new();
        saved(&disk, Origin::Taken).await;
        let name = disk.names().pop().expect("there are two");
        let length = disk.content(&name).expect("it is there").len();

        for at in 0..length {
            disk.tamper(&name, |content| content[at] ^= 0x10);
            let store = SnapshotStore::open(Arc::new(disk.clone())).await.expect("the disk is good");
            assert_eq!(store.newest(), Some(log_id(3, 20)), "changed at {at}");
            disk.tamper(&name, |content| content[at] ^= 0x10);
        }
    }

    /// H10: it is not taken for a damaged one, which would be removed with the next.
    #[tokio::test]
    async fn a_snapshot_file_of_a_later_format_is_refused_by_name_and_left_alone() {
        let disk = MemoryDisk::new();
        saved(&disk, Origin::Taken).await;
        let name = disk.names().pop().expect("there are two");
        disk.tamper(&name, |content| {
            content[HEADER_BYTES] = 9;
            let checksum = crc32fast::hash(&content[8..]);
            content[4..8].copy_from_slice(&checksum.to_le_bytes());
        });
        let before = disk.content(&name);

        let refused = SnapshotStore::open(Arc::new(disk.clone())).await.err().expect("it is later");

        assert_eq!(refused, SnapshotsError::Later { file: name.clone(), found: 9, understood: 1 });
        assert!(refused.to_string().contains("has format 9, and this program reads format 1"), "{refused}");
        assert_eq!((disk.content(&name), disk.names().len()), (before, 2));
    }

    /// H6: a snapshot that does not fit leaves those that are there.
    #[tokio::test]
    async fn a_full_disk_costs_no_snapshot() {
        let disk = MemoryDisk::new();
        let store = saved(&disk, Origin::Taken).await;
        disk.set_full(true);

        assert!(matches!(store.save(&snapshot(40), Origin::Taken).await, Err(DiskError::Full { .. })));

        assert_eq!(store.load().await, Ok(Some(snapshot(30))));
    }
}
