//! The times on which fencing rests, and what must be true between them.
//!
//! A member serves while it holds a lease, counted from when it asked; the others expel it only after a silence. If
//! the member's clock is slow and theirs is fast, its lease must still have ended first:
//!
//! ```text
//! lease × (1 + drift)  <  expel after × (1 − drift)
//! ```
//!
//! That must hold between the lease of each member and the patience of each other one, so all members have the same
//! times. How they are agreed on and changed is told in [`crate::cluster::AgreedTimes`].

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Heartbeats that may be lost before a lease ends. With fewer, one lost packet would stop a node from serving.
const HEARTBEATS_PER_LEASE_MIN: u32 = 3;

/// The longest time that a file or an operator may set: a day. Nobody waits longer for anything.
pub const TIME_MAX: Duration = Duration::from_secs(86_400);

/// By how many percent clocks may be said to differ at most. No clock is as bad as that.
pub const DRIFT_PERCENT_MAX: u32 = 50;

/// The times on which fencing rests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Times {
    /// Between two signs of life.
    pub heartbeat: Duration,
    /// How long a member serves without proof that a quorum counts it in.
    pub lease: Duration,
    /// By how many percent two clocks may differ in speed.
    pub drift_percent: u32,
    /// The silence after which a member is expelled.
    pub expel_after: Duration,
}

impl Times {
    /// The shortest silence that satisfies the inequality with two heartbeats to spare, in whole heartbeats.
    pub fn expel_after_for(lease: Duration, heartbeat: Duration, drift_percent: u32) -> Duration {
        let drift = u128::from(drift_percent.min(99));
        let bound = lease.as_millis() * (100 + drift) / (100 - drift) + 1;
        let heartbeat_ms = heartbeat.as_millis().max(1);
        let beats = bound.div_ceil(heartbeat_ms) + 2;
        Duration::from_millis(u64::try_from(beats * heartbeat_ms).unwrap_or(u64::MAX))
    }

    /// Whether the lease of a member with a slow clock has ended before a member with a fast one expels it.
    pub fn is_fencing_safe(&self) -> bool {
        let drift = u128::from(self.drift_percent);
        let lease = self.lease.as_nanos() * (100 + drift);
        let silence = self.expel_after.as_nanos() * 100_u128.saturating_sub(drift);
        lease < silence
    }

    /// What a member follows that must get along with members of either times: a lease no longer and a patience no
    /// shorter than theirs. Each inequality that holds for one of the two holds for the outcome and that one, in both
    /// directions.
    #[must_use]
    pub fn cautious(self, other: Times) -> Times {
        Times {
            heartbeat: self.heartbeat.min(other.heartbeat),
            lease: self.lease.min(other.lease),
            drift_percent: self.drift_percent.max(other.drift_percent),
            expel_after: self.expel_after.max(other.expel_after),
        }
    }

    /// Everything that is wrong between these times, a sentence for each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let beat = self.heartbeat.as_millis();
        if self.lease < self.heartbeat {
            faults.push(format!(
                "the lease ({} ms) is shorter than the heartbeat ({beat} ms): no member could ever serve; \
                 expected at least {HEARTBEATS_PER_LEASE_MIN} heartbeats",
                self.lease.as_millis()
            ));
        } else if self.lease < self.heartbeat * HEARTBEATS_PER_LEASE_MIN {
            faults.push(format!(
                "the lease ({} ms) must be at least {HEARTBEATS_PER_LEASE_MIN} heartbeats ({beat} ms each)",
                self.lease.as_millis()
            ));
        }
        if !self.is_fencing_safe() {
            let least = Times::expel_after_for(self.lease, self.heartbeat, self.drift_percent);
            faults.push(format!(
                "a member is expelled after {} ms of silence, but its lease of {} ms may still run then if clocks \
                 differ by {} %: two nodes could serve one user; expected at least {} ms",
                self.expel_after.as_millis(),
                self.lease.as_millis(),
                self.drift_percent,
                least.as_millis()
            ));
        }
        faults
    }

    /// What keeps these times from being set, a sentence for each: what is wrong between them, and what is out of bounds.
    pub fn refusals(&self) -> Vec<String> {
        let mut refusals = Vec::new();
        let Times { heartbeat, lease, drift_percent, expel_after } = *self;
        for (name, time) in [("heartbeat", heartbeat), ("lease", lease), ("expel-after", expel_after)] {
            if time < Duration::from_millis(1) || time > TIME_MAX {
                refusals.push(format!("{name}: expected from 1 to {} ms", TIME_MAX.as_millis()));
            }
        }
        if drift_percent > DRIFT_PERCENT_MAX {
            refusals.push(format!("drift: expected from 0 to {DRIFT_PERCENT_MAX} %"));
        }
        // Between values that are out of bounds there is nothing to be said.
        if refusals.is_empty() { self.faults() } else { refusals }
    }

    /// Those that are not as `others`, in the words of the file; empty if all are.
    pub fn where_not(self, others: Times) -> String {
        let milliseconds = |name, ours: Duration, theirs: Duration| {
            (ours != theirs).then(|| format!("{name} {} ms", ours.as_millis()))
        };
        let differing = [
            milliseconds("heartbeat", self.heartbeat, others.heartbeat),
            milliseconds("lease", self.lease, others.lease),
            (self.drift_percent != others.drift_percent).then(|| format!("drift {} %", self.drift_percent)),
            milliseconds("expel-after", self.expel_after, others.expel_after),
        ];
        differing.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "heartbeat {} ms, lease {} ms, drift {} %, expel-after {} ms",
            self.heartbeat.as_millis(),
            self.lease.as_millis(),
            self.drift_percent,
            self.expel_after.as_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(heartbeat: u64, lease: u64, drift_percent: u32, expel_after: u64) -> Times {
        let [heartbeat, lease, expel_after] = [heartbeat, lease, expel_after].map(Duration::from_millis);
        Times { heartbeat, lease, drift_percent, expel_after }
    }

    /// 3150 ms is where a lease of 3 s ends on a clock that is 5 % slow; a fast clock counts 3150 / 0.95 = 3315.8 ms.
    #[test]
    fn the_inequality_is_exact_at_its_edge() {
        assert!(!times(250, 3000, 5, 3315).is_fencing_safe());
        assert!(times(250, 3000, 5, 3316).is_fencing_safe());
    }

    #[test]
    fn whatever_the_lease_the_derived_silence_is_safe() {
        for (lease, heartbeat, drift) in [(1, 1, 0), (3, 1, 20), (10_000, 250, 50), (86_400_000, 10, 99)] {
            let [long, short] = [lease, heartbeat].map(Duration::from_millis);
            let expel_after = Times::expel_after_for(long, short, drift);
            let times = Times { expel_after, ..times(heartbeat, lease, drift, 0) };
            assert!(times.is_fencing_safe(), "{times}");
        }
    }

    #[test]
    fn a_lease_shorter_than_a_heartbeat_is_said_to_be_one() {
        let faults = times(250, 100, 5, 4000).faults();

        assert!(faults[0].contains("the lease (100 ms) is shorter than the heartbeat (250 ms)"), "{faults:?}");
    }

    /// T10. A member that follows the cautious ones is safe among members of the former times and among those of the
    /// later ones, whoever of the two is to be expelled.
    #[test]
    fn the_cautious_times_are_safe_with_either() {
        let all = [
            times(250, 3000, 5, 4000),
            times(250, 12_000, 5, 15_000),
            times(100, 1000, 20, 2000),
            times(1000, 3000, 0, 3001),
        ];
        let is_safe = |lease: Times, patience: Times| {
            let drift_percent = lease.drift_percent.min(patience.drift_percent);
            Times { lease: lease.lease, expel_after: patience.expel_after, drift_percent, ..lease }.is_fencing_safe()
        };
        for (former, later) in all.into_iter().flat_map(|former| all.map(|later| (former, later))) {
            let cautious = former.cautious(later);
            assert_eq!(cautious.faults(), [""; 0], "{former} and {later}");
            for times in [former, later] {
                assert!(times.is_fencing_safe() && is_safe(times, cautious) && is_safe(cautious, times));
            }
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_the_bounds() {
        assert_eq!(times(250, 3000, 5, 4000).refusals(), [""; 0]);
        assert_eq!(
            times(0, 3000, 5, 86_400_001).refusals(),
            ["heartbeat", "expel-after"].map(|name| { format!("{name}: expected from 1 to 86400000 ms") })
        );
        assert_eq!(times(250, 3000, 51, 90_000).refusals(), ["drift: expected from 0 to 50 %"]);
    }
}
