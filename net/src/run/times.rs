//! Whether the times on which fencing rests are others than those with which this directory's member ran last.
//!
//! ```text
//! file "times" ──▶ as configured ──▶ go on
//!                  others ──▶ wait until their leases have ended ──▶ write what is configured ──▶ go on
//! ```
//!
//! Nodes whose times differ are not linked, so a cluster changes them when so many have the later ones that they are a
//! quorum. A member that is left may still serve by a lease of the former times, which the later ones are not made for.
//! But at least one of that quorum had answered for that lease before it was stopped: as each of them waits for as long
//! as the former times make a member wait for a lease, it has ended when they begin.

use bytes::Bytes;
use cresset_core::config::alike::Times;
use cresset_core::wire;
use tokio::time::sleep;

use crate::control::founding::{self, FoundingError};
use crate::disk::Disk;

const FILE: &str = "times";

/// Waits until no lease of former times runs, and notes the present ones.
///
/// # Errors
///
/// If the disk fails.
pub(super) async fn settle(disk: &dyn Disk, times: Times) -> Result<(), FoundingError> {
    let former: Option<Times> = founding::read(disk, FILE).await?;
    if former == Some(times) {
        return Ok(());
    }
    if let Some(former) = former {
        let wait = times.wait_after(former);
        tracing::info!(
            milliseconds = wait.as_millis(),
            "the times on which fencing rests were changed: the node waits until leases of the former ones have ended"
        );
        sleep(wait).await;
    }
    Ok(disk.write(FILE, Bytes::from(wire::encode(&times))).await?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cresset_core::config::Timing;
    use tokio::time::Instant;

    use super::*;
    use crate::disk::MemoryDisk;

    /// T10. Otherwise two changed nodes could expel the third one before a lease of its own times has ended.
    #[tokio::test(start_paused = true)]
    async fn a_node_whose_times_were_changed_waits_once_for_leases_of_the_former_ones() {
        let disk = MemoryDisk::new();
        let long = Timing { lease: Duration::from_secs(12), expel_after: Duration::from_secs(15), ..Timing::default() };
        let took = async |timing: &Timing| {
            let begun = Instant::now();
            settle(&disk, Times::of(timing)).await.expect("the disk is sound");
            begun.elapsed()
        };

        assert_eq!(took(&long).await, Duration::ZERO, "it has never run");
        assert_eq!(took(&long).await, Duration::ZERO);
        assert_eq!(took(&Timing::default()).await, Duration::from_secs(15));
        assert_eq!(took(&Timing::default()).await, Duration::ZERO);
    }

    /// What is noted before the wait is over would be believed by the next start.
    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_interrupted_begins_again() {
        let disk = MemoryDisk::new();
        let long = Timing { lease: Duration::from_secs(12), expel_after: Duration::from_secs(15), ..Timing::default() };
        settle(&disk, Times::of(&long)).await.expect("the disk is sound");
        let interrupted = settle(&disk, Times::of(&Timing::default()));
        drop(tokio::time::timeout(Duration::from_secs(10), interrupted).await);

        let begun = Instant::now();
        settle(&disk, Times::of(&Timing::default())).await.expect("the disk is sound");

        assert_eq!(begun.elapsed(), Duration::from_secs(15));
    }
}
