//! A node's clock: the simulated time, faster or slower.
//!
//! Timers of tokio run by the simulated time itself. So a node whose clock is slow wakes early, looks at its clock and
//! waits on, as with a real timer that is not exact; one whose clock is fast wakes late by its own clock.

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

/// The clock of one boot of one node.
#[derive(Clone, Debug)]
pub struct SkewedClock {
    started: Instant,
    drift: Drift,
}

impl SkewedClock {
    /// A clock on which it is [`Uptime::ZERO`]. To be called within the host.
    pub fn start(drift: Drift) -> Self {
        SkewedClock { started: Instant::now(), drift }
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Uptime {
        let elapsed = self.started.elapsed().as_nanos();
        let rate = u128::from(1_000_000_u32.saturating_add_signed(self.drift.0));
        Uptime::new(Duration::from_nanos(u64::try_from(elapsed * rate / 1_000_000).unwrap_or(u64::MAX)))
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(EPOCH_MILLISECONDS + u64::try_from(trace::now().as_millis()).unwrap_or(u64::MAX))
    }
}
