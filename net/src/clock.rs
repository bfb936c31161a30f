//! What time it is: the seam through which a node learns it, so that a simulation can skew it.
//!
//! [`Uptime`] is what decisions are made by: it is tokio's clock (which a simulation pauses) plus the time in which the
//! machine was suspended, because a lease runs out while a laptop sleeps as well. [`UnixMillis`] is for people.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cresset_core::time::{UnixMillis, Uptime};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// What time it is on one node.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Time since the node started, counting time in which the machine was suspended. Never goes back.
    fn now(&self) -> Uptime;

    /// Wall-clock time, which may jump. For people only.
    fn wall(&self) -> UnixMillis;
}

/// The clock of the machine.
#[derive(Clone, Debug)]
pub struct SystemClock {
    started: Instant,
    suspended_before: Duration,
    /// The longest suspension, in milliseconds, that was ever read. The two clocks are read one after the other, so
    /// their difference trembles by less than a microsecond; what was counted once stays counted.
    suspended_ms: Arc<AtomicU64>,
}

impl SystemClock {
    /// A clock on which it is [`Uptime::ZERO`].
    pub fn start() -> Self {
        SystemClock {
            started: Instant::now(),
            suspended_before: suspended_since_boot(),
            suspended_ms: Arc::new(AtomicU64::new(0)),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Uptime {
        let awake = self.started.elapsed();
        let suspended = suspended_since_boot().saturating_sub(self.suspended_before);
        let suspended_ms = u64::try_from(suspended.as_millis()).unwrap_or(u64::MAX);
        let counted_ms = self.suspended_ms.load(Ordering::Relaxed);
        if suspended_ms > counted_ms {
            self.suspended_ms.fetch_max(suspended_ms, Ordering::Relaxed);
        }
        Uptime::new(awake + Duration::from_millis(suspended_ms.max(counted_ms)))
    }

    fn wall(&self) -> UnixMillis {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// How long the machine has been suspended since it booted: `CLOCK_BOOTTIME` counts it, `CLOCK_MONOTONIC` does not
/// (clock_gettime(2)).
fn suspended_since_boot() -> Duration {
    let awake = clock_gettime(ClockId::Monotonic);
    let all = clock_gettime(ClockId::Boottime);
    let nanoseconds = |time: rustix::time::Timespec| i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    let difference = (nanoseconds(all) - nanoseconds(awake)).max(0);
    Duration::from_nanos(u64::try_from(difference).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back() {
        let clock = SystemClock::start();

        let mut last = clock.now();
        for _ in 0..100_000 {
            let now = clock.now();
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
    }
}
