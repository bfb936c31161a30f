//! A node's clock: the simulated time, faster or slower.
//!
//! Timers of tokio run by the simulated time itself. So a node whose clock is slow wakes early, looks at its clock and
//! waits on, as with a real timer that is not exact; one whose clock is fast wakes late by its own clock. The wall clock
//! is apart from that: it can be set, and nothing that a node decides may depend on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cresset_core::time::{UnixMillis, Uptime};
use cresset_net::clock::Clock;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::trace;

/// What the wall clock of every world says at its beginning: 2026-01-01.
const EPOCH_MILLISECONDS: u64 = 1_767_225_600_000;

/// How much faster than the simulated time a clock is, in parts per million; negative if it is slower.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Drift(pub i32);

/// The wall clock of a machine, which people and daemons set. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct WallClock {
    setting: Arc<Mutex<Setting>>,
}

#[derive(Debug, Default)]
struct Setting {
    /// By how much it is ahead.
    seconds: i64,
    /// Since when it stands still, for each who has stopped it.
    frozen: Vec<Duration>,
}

impl WallClock {
    /// Lets it jump, into the past if negative.
    pub fn step(&self, seconds: i64) {
        self.setting().seconds += seconds;
    }

    /// Lets it stand still until [`WallClock::thaw`] is called as often as this.
    pub fn freeze(&self) {
        self.setting().frozen.push(trace::now());
    }

    /// Takes one [`WallClock::freeze`] back. It shows the true time again when nobody has stopped it any more.
    pub fn thaw(&self) {
        self.setting().frozen.pop();
    }

    fn now(&self) -> UnixMillis {
        let setting = self.setting();
        let elapsed = setting.frozen.first().copied().unwrap_or_else(trace::now);
        let milliseconds = EPOCH_MILLISECONDS + u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        UnixMillis(milliseconds.saturating_add_signed(setting.seconds.saturating_mul(1000)))
    }

    fn setting(&self) -> MutexGuard<'_, Setting> {
        self.setting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock of one boot of one node.
#[derive(Clone, Debug)]
pub struct SkewedClock {
    started: Instant,
    drift: Drift,
    wall: WallClock,
}

impl SkewedClock {
    /// A clock on which it is [`Uptime::ZERO`]. To be called within the host.
    pub fn start(drift: Drift, wall: WallClock) -> Self {
        SkewedClock { started: Instant::now(), drift, wall }
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Uptime {
        let elapsed = self.started.elapsed().as_nanos();
        let rate = u128::from(1_000_000_u32.saturating_add_signed(self.drift.0));
        Uptime::new(Duration::from_nanos(u64::try_from(elapsed * rate / 1_000_000).unwrap_or(u64::MAX)))
    }

    fn wall(&self) -> UnixMillis {
        self.wall.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_was_set_and_stopped_is_right_again_afterwards() {
        let clock = WallClock::default();
        let before = clock.now();

        clock.step(-90);
        assert_eq!(clock.now(), UnixMillis(before.0 - 90_000));
        clock.freeze();
        clock.step(90);
        clock.thaw();

        assert_eq!(clock.now(), before);
    }
}
