//! The times of a node's file: those on which fencing rests ([`Times`]), and Raft's own, on which no safety rests.

use std::time::Duration;

use crate::fencing::Times;

/// The times of a node's file.
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
            expel_after: Times::expel_after_for(lease, heartbeat, 5),
        }
    }
}

impl Timing {
    /// Those on which fencing rests, which all members must have alike.
    pub fn times(&self) -> Times {
        let Timing { heartbeat, lease, drift_percent, expel_after, .. } = *self;
        Times { heartbeat, lease, drift_percent, expel_after }
    }

    /// Everything that is wrong between these times, a sentence for each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let beat = self.heartbeat.as_millis();
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
        faults.extend(self.times().faults());
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
}
