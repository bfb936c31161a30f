//! The times on which fencing rests, and the inequality that they must satisfy.
//!
//! A member serves while it holds a lease, counted from when it asked; the others expel it only after a silence. If
//! the member's clock is slow and theirs is fast, its lease must still have ended first:
//!
//! ```text
//! lease × (1 + drift)  <  expel after × (1 − drift)
//! ```

use std::time::Duration;

/// The times of a cluster. All members should have the same ones; each must satisfy the inequality.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Between two signs of life.
    pub heartbeat: Duration,
    /// The shortest time without a leader after which a member stands for election.
    pub election_min: Duration,
    /// The longest such time.
    pub election_max: Duration,
    /// How long a member serves without proof that a quorum counts it in.
    pub lease: Duration,
    /// By how many percent two clocks may differ in speed.
    pub drift_percent: u32,
    /// The silence after which a member is expelled.
    pub expel_after: Duration,
}

/// Heartbeats that may be lost before a lease ends. With fewer, one lost packet would stop a node from serving.
const HEARTBEATS_PER_LEASE_MIN: u32 = 3;

/// Heartbeats that may be lost before an election. The election must not follow from one late packet.
const HEARTBEATS_PER_ELECTION_MIN: u32 = 3;

impl Default for Timing {
    /// A hung member is expelled within 5 s (promise P6), and a leader that falls silent is followed before the leases
    /// that it granted end: nobody votes for another within the longest election time-out, so the next leader is there
    /// after at most twice that time, 2.5 s, and no node has to stop for it.
    fn default() -> Self {
        let lease = Duration::from_secs(3);
        let heartbeat = Duration::from_millis(250);
        Timing {
            heartbeat,
            election_min: Duration::from_millis(750),
            election_max: Duration::from_millis(1250),
            lease,
            drift_percent: 5,
            expel_after: Timing::expel_after_for(lease, heartbeat, 5),
        }
    }
}

impl Timing {
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
        if self.election_min < self.heartbeat * HEARTBEATS_PER_ELECTION_MIN {
            faults.push(format!(
                "the election time-out (from {} ms) must be at least {HEARTBEATS_PER_ELECTION_MIN} heartbeats \
                 ({beat} ms each)",
                self.election_min.as_millis()
            ));
        }
        if self.election_max <= self.election_min {
            faults.push(format!(
                "the longest election time-out ({} ms) must be greater than the shortest ({} ms)",
                self.election_max.as_millis(),
                self.election_min.as_millis()
            ));
        }
        if !self.is_fencing_safe() {
            let least = Timing::expel_after_for(self.lease, self.heartbeat, self.drift_percent);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_expel_a_hung_member_within_five_seconds() {
        let timing = Timing::default();

        assert_eq!(timing.expel_after, Duration::from_secs(4));
        assert!(timing.faults().is_empty());
        assert!(timing.expel_after + timing.heartbeat * 2 <= Duration::from_secs(5));
    }

    /// 3150 ms is where a lease of 3 s ends on a clock that is 5 % slow; a fast clock counts 3150 / 0.95 = 3315.8 ms.
    #[test]
    fn the_inequality_is_exact_at_its_edge() {
        let at = |millis| Timing { expel_after: Duration::from_millis(millis), ..Timing::default() };

        assert!(!at(3315).is_fencing_safe());
        assert!(at(3316).is_fencing_safe());
    }

    #[test]
    fn whatever_the_lease_the_derived_silence_is_safe() {
        for (lease, heartbeat, drift_percent) in [(1, 1, 0), (3, 1, 20), (10_000, 250, 50), (86_400_000, 10, 99)] {
            let (lease, heartbeat) = (Duration::from_millis(lease), Duration::from_millis(heartbeat));
            let expel_after = Timing::expel_after_for(lease, heartbeat, drift_percent);
            let timing = Timing { lease, heartbeat, drift_percent, expel_after, ..Timing::default() };
            assert!(timing.is_fencing_safe(), "{timing:?}");
        }
    }

    #[test]
    fn a_lease_shorter_than_a_heartbeat_is_said_to_be_one() {
        let timing = Timing { lease: Duration::from_millis(100), ..Timing::default() };

        let faults = timing.faults();

        assert!(faults[0].contains("the lease (100 ms) is shorter than the heartbeat (250 ms)"), "{faults:?}");
    }
}
