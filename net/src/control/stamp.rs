//! Whether a data directory is the one that its member used last, or a copy that is behind it.
//!
//! ```text
//! process ──every 1 s──▶ file "stamp": the last one, the next one ──then──▶ account store: the next one, if the last is
//!                                    │                                                    there
//! start: is the store's one of them? ┴─ yes ──▶ goes on
//!                                       no, and it changes: another process uses this member's directory ──▶ refused
//!                                       no, and it stands: an older backup ──▶ forgotten; the node is a new member
//! ```
//!
//! A member that comes back with an older log and vote than those by which it has answered the others would be counted
//! for what it does not have any more, and could vote twice. No file says of itself that it is old: so the store that all
//! members share knows the last mark, and a directory that was copied more than a second before its member last ran has
//! none that counts. Of two processes with one member's directory the one that marks it first goes on, and the other
//! ends within the same time.
//!
//! A store that was itself restored from a backup knows older marks than the directories have: that is no reason to
//! forget anything. While the store is away nothing is marked, and what was copied meanwhile passes for the last.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::ids::MemberId;
use cresset_core::sometimes;
use cresset_core::wire;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::founding::{self, FILE as BINDING, FOUNDING_FILE, FoundingError};
use crate::accounts::{ClusterStore, Stamp};
use crate::consensus;
use crate::disk::{Disk, DiskError};

const FILE: &str = "stamp";

/// The file that says on which times the members have agreed, as far as this directory's has heard.
pub(crate) const AGREED_TIMES: &str = "agreed-times";

/// How often a process marks its directory. A copy that is older is recognized; each mark is one small write to the
/// disk and one to the store.
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// Looks at the store, one at the time of each mark, after which a stamp that stands is nobody's.
const LOOKS: u32 = 3;

/// What is in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Marks {
    last: Option<Stamp>,
    next: Stamp,
    /// Whether a process has had a log here: it does not begin another one.
    has_log: bool,
}

impl Marks {
    /// Whether the directory is behind the stamp in the store.
    fn is_behind(&self, there: Stamp) -> bool {
        let store_is_older = self.last.is_some_and(|last| there.number < last.number);
        there != self.next && Some(there) != self.last && !store_is_older
    }
}

/// Marks the directory of a member as its own, at the start. Nothing if it was behind: it is forgotten then, and the
/// node is nobody yet.
pub(super) async fn begin(
    disk: &dyn Disk,
    accounts: &dyn ClusterStore,
    member: MemberId,
    process: u64,
) -> Result<Option<Stamp>, FoundingError> {
    let marks: Option<Marks> = founding::read(disk, FILE).await?;
    let last = accounts.stamp(member).await?;
    if let Some(there) = last.filter(|there| marks.is_none_or(|marks| marks.is_behind(*there))) {
        return forget(disk, accounts, member, there).await;
    }
    let has_log = marks.is_some_and(|marks| marks.has_log);
    if has_log && !consensus::log::has_begun(&disk.list().await?) {
        return Err(FoundingError::LogGone);
    }
    let number = marks.map_or(0, |marks| marks.next.number).max(last.map_or(0, |last| last.number)) + 1;
    let marks = Marks { last, next: Stamp { number, process }, has_log };
    let there = mark(disk, accounts, member, marks).await?;
    if there == marks.next { Ok(Some(there)) } else { Err(FoundingError::InUse) }
}

/// Marks the directory, and tells which stamp is the last one then.
async fn mark(
    disk: &dyn Disk,
    accounts: &dyn ClusterStore,
    member: MemberId,
    marks: Marks,
) -> Result<Stamp, FoundingError> {
    disk.write(FILE, Bytes::from(wire::encode(&marks))).await?;
    Ok(accounts.replace_stamp(member, marks.last, marks.next).await?)
}

/// Forgets what the directory says, unless its member runs elsewhere.
async fn forget(
    disk: &dyn Disk,
    accounts: &dyn ClusterStore,
    member: MemberId,
    seen: Stamp,
) -> Result<Option<Stamp>, FoundingError> {
    tracing::warn!(
        %member,
        "the data directory is an older copy of this member's, which has promised more since: unless the member runs \
         elsewhere, what the directory says of the cluster is forgotten, and the node joins as a new member"
    );
    for _ in 0..LOOKS {
        sleep(RENEW_AFTER).await;
        if accounts.stamp(member).await? != Some(seen) {
            return Err(FoundingError::InUse);
        }
    }
    sometimes!("an_older_copy_of_a_directory_is_forgotten");
    empty(disk).await?;
    Ok(None)
}

/// Removes everything that a directory says of a cluster and of a member.
pub(crate) async fn empty(disk: &dyn Disk) -> Result<(), DiskError> {
    for file in disk.list().await?.into_iter().filter(|file| consensus::keeps(&file.name)) {
        disk.remove(&file.name).await?;
    }
    // What binds the directory goes last, so that a crash on the way leaves it behind as it was.
    for file in [FOUNDING_FILE, AGREED_TIMES, FILE, BINDING] {
        disk.remove(file).await?;
    }
    Ok(())
}

/// Marks the directory again and again as long as the process runs.
pub(crate) struct Stamper {
    pub(crate) member: MemberId,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) accounts: Arc<dyn ClusterStore>,
    /// The last mark, made at the start.
    pub(crate) last: Stamp,
}

impl Stamper {
    /// Runs until the process must end, and says why. To be called as soon as the process has a log: the first mark, made
    /// at once, says so, and from then on the log is missed when it is gone.
    pub(crate) async fn run(self) -> FoundingError {
        let Stamper { member, disk, accounts, mut last } = self;
        let mut next = Stamp { number: last.number + 1, ..last };
        loop {
            let marks = Marks { last: Some(last), next, has_log: true };
            match mark(&*disk, &*accounts, member, marks).await {
                Ok(there) if there == next => {
                    last = next;
                    next.number += 1;
                }
                // The store was restored from a backup.
                Ok(there) if there.number < last.number => last = there,
                Ok(_) => return FoundingError::InUse,
                // That the store is away or the disk full is told by those who need them for more.
                Err(FoundingError::Store(error)) => tracing::debug!(%error, "the directory is not marked"),
                Err(FoundingError::Disk(error @ DiskError::Full { .. })) => {
                    tracing::debug!(%error, "the directory is not marked");
                }
                Err(error) => return error,
            }
            sleep(RENEW_AFTER).await;
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
