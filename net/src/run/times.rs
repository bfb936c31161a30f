//! What a data directory knows of the times on which fencing rests.
//!
//! ```text
//! start: file "agreed-times" ──▶ there: the file of the configuration does not count
//!                                absent: file "times" ──▶ as configured ──▶ go on
//!                                                         others ──▶ wait until their leases have ended ──▶ go on
//! later: the members agree on times ──▶ both files
//! ```
//!
//! Once the members have agreed, each follows what is in the log, and no safety rests on these files: they say only that
//! this member has heard of agreed times, so that it is linked whatever its configuration says.
//!
//! Until then, members whose programs know of no agreed times follow their files, and nodes whose times differ are not
//! linked. Such a cluster changes them when so many have the later ones that they are a quorum. A member that is left may
//! still serve by a lease of the former times, which the later ones are not made for. But at least one of that quorum had
//! answered for that lease before it was stopped: as each of them waits for as long as the former times make a member wait
//! for a lease, it has ended when they begin. The same wait covers a directory that was emptied, which belongs to another
//! member or another cluster from then on.

use std::sync::Arc;

use bytes::Bytes;
use cresset_core::fencing::Times;
use cresset_core::wire;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::control::founding::{self, FoundingError};
use crate::control::stamp::AGREED_TIMES;
use crate::disk::{Disk, DiskError};

/// The times that this directory's member followed last.
const FILE: &str = "times";

/// What is to be noted of agreed times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Noted {
    /// What the members want.
    pub(crate) wanted: Times,
    /// What this one follows, which is more cautious in the middle of a change.
    pub(crate) followed: Times,
}

/// The times on which the members have agreed, as far as this directory's has heard. Else waits until no lease of former
/// times runs, and notes the present ones.
///
/// # Errors
///
/// If the disk fails.
pub(super) async fn settle(disk: &dyn Disk, times: Times) -> Result<Option<Times>, FoundingError> {
    if let Some(agreed) = founding::read(disk, AGREED_TIMES).await? {
        name_differing(times, agreed);
        return Ok(Some(agreed));
    }
    let former: Option<Times> = founding::read(disk, FILE).await?;
    if former == Some(times) {
        return Ok(None);
    }
    if let Some(former) = former {
        let wait = former.expel_after;
        tracing::info!(
            milliseconds = wait.as_millis(),
            "the times on which fencing rests were changed: the node waits until leases of the former ones have ended"
        );
        sleep(wait).await;
    }
    disk.write(FILE, Bytes::from(wire::encode(&times))).await?;
    Ok(None)
}

/// A file that says others than what was agreed on has been forgotten, or misunderstood.
fn name_differing(by_file: Times, agreed: Times) {
    if by_file != agreed {
        tracing::warn!(
            file = by_file.where_not(agreed),
            agreed = agreed.where_not(by_file),
            "the times in the file are without effect, because the members have agreed on others: correct <cluster> in the \
             file, or change the times of all with 'cresset cluster times'"
        );
    }
}

/// Notes agreed times as they become others, as long as anybody tells of them.
pub(super) async fn note(disk: Arc<dyn Disk>, mut agreed: watch::Receiver<Option<Noted>>) {
    while agreed.changed().await.is_ok() {
        let noted = *agreed.borrow_and_update();
        let Some(noted) = noted else { continue };
        if let Err(error) = write(&*disk, noted).await {
            tracing::warn!(%error, "the agreed times are not noted: the node may be refused if its file says others");
        }
    }
}

async fn write(disk: &dyn Disk, noted: Noted) -> Result<(), DiskError> {
    // In this order: whoever knows of agreed times knows what it followed.
    disk.write(FILE, Bytes::from(wire::encode(&noted.followed))).await?;
    disk.write(AGREED_TIMES, Bytes::from(wire::encode(&noted.wanted))).await
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use cresset_core::config::Timing;
    use tokio::time::Instant;

    use super::*;
    use crate::control::stamp;
    use crate::disk::MemoryDisk;
    use crate::formats::Example;

    /// For the examples of formats.
    pub(in crate::run) fn example() -> Example {
        let [heartbeat, lease, expel_after] = [250, 3000, 4000].map(Duration::from_millis);
        let times = Times { heartbeat, lease, drift_percent: 5, expel_after };
        Example::new("times.1", wire::encode(&times), move |bytes| wire::decode(bytes, 4096).as_ref() == Ok(&times))
    }

    fn long() -> Times {
        let [lease, expel_after] = [12, 15].map(Duration::from_secs);
        Times { lease, expel_after, ..usual() }
    }

    fn usual() -> Times {
        Timing::default().times()
    }

    async fn settled(disk: &MemoryDisk, times: Times) -> (Option<Times>, Duration) {
        let begun = Instant::now();
        let agreed = settle(disk, times).await.expect("the disk is sound");
        (agreed, begun.elapsed())
    }

    /// T10. Otherwise two changed nodes could expel the third one before a lease of its own times has ended.
    #[tokio::test(start_paused = true)]
    async fn a_node_whose_times_were_changed_waits_once_for_leases_of_the_former_ones() {
        let disk = MemoryDisk::new();

        assert_eq!(settled(&disk, long()).await, (None, Duration::ZERO), "it has never run");
        assert_eq!(settled(&disk, long()).await, (None, Duration::ZERO));
        assert_eq!(settled(&disk, usual()).await, (None, Duration::from_secs(15)));
        assert_eq!(settled(&disk, usual()).await, (None, Duration::ZERO));
    }

    /// What is noted before the wait is over would be believed by the next start.
    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_interrupted_begins_again() {
        let disk = MemoryDisk::new();
        settled(&disk, long()).await;
        let interrupted = settle(&disk, usual());
        drop(tokio::time::timeout(Duration::from_secs(10), interrupted).await);

        assert_eq!(settled(&disk, usual()).await, (None, Duration::from_secs(15)));
    }

    /// T10. Its file says what was before an operator's order, or what somebody has written since.
    #[tokio::test(start_paused = true)]
    async fn a_member_that_has_heard_of_agreed_times_starts_at_once_with_any_file() {
        let disk = MemoryDisk::new();
        settled(&disk, usual()).await;
        let (tell, told) = watch::channel(None);
        let noting = tokio::spawn(note(Arc::new(disk.clone()), told));
        tell.send_replace(Some(Noted { wanted: long(), followed: usual().cautious(long()) }));
        drop(tell);
        noting.await.expect("it ends when nobody tells any more");

        assert_eq!(settled(&disk, usual()).await, (Some(long()), Duration::ZERO));

        stamp::empty(&disk).await.expect("the disk is sound");
        assert_eq!(settled(&disk, usual()).await, (None, Duration::from_secs(15)), "leases may run");
    }
}
