//! How Raft runs here. Some of it is not a matter of taste; each such line says why.

use std::sync::Arc;
use std::time::Duration;

use cresset_core::cluster::{STATE_VERSIONS, VersionRange};
use cresset_core::config::Timing;
use cresset_core::ids::MemberId;
use cresset_core::planted;
use openraft::{Config, SnapshotPolicy};

/// Entries after which the state is written down and the log is cut. A snapshot of a hundred thousand sessions is some
/// 20 MB; so it is written for every few MB of log.
pub const SNAPSHOT_ENTRIES: u64 = 10_000;

/// Entries of one message to a follower. Its bytes are bounded apart from that.
const MESSAGE_ENTRIES_MAX: u64 = 256;

/// How long one part of a snapshot may take, the last one with its installation. Openraft takes three quarters of it.
const SNAPSHOT_PART_TIME: Duration = Duration::from_secs(20);

/// What Raft has to know of a node.
#[derive(Clone, Debug)]
pub struct ConsensusSettings {
    /// This member.
    pub member: MemberId,
    /// Heartbeat and election.
    pub timing: Timing,
    /// Entries between two snapshots; [`SNAPSHOT_ENTRIES`] unless a test wants many.
    pub snapshot_entries: u64,
    /// The versions of snapshots that it follows; [`STATE_VERSIONS`] unless a test pretends to be another program.
    pub versions: VersionRange,
}

impl ConsensusSettings {
    /// The settings of a real node.
    pub fn new(member: MemberId, timing: Timing) -> Self {
        ConsensusSettings { member, timing, snapshot_entries: SNAPSHOT_ENTRIES, versions: STATE_VERSIONS }
    }

    /// How long the answer of a follower may take: a slow sync is no failure, an election is due soon after it.
    pub(super) fn append_deadline(&self) -> Duration {
        self.timing.election_min * 3 / 4
    }

    pub(super) fn to_openraft(&self) -> Result<Arc<Config>, openraft::ConfigError> {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let config = Config {
            cluster_name: "cresset".into(),
            heartbeat_interval: milliseconds(self.timing.heartbeat),
            election_timeout_min: milliseconds(self.timing.election_min),
            election_timeout_max: milliseconds(self.timing.election_max),
            install_snapshot_timeout: milliseconds(SNAPSHOT_PART_TIME),
            max_payload_entries: MESSAGE_ENTRIES_MAX,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_entries),
            // A follower that was away for a moment is sent entries, not everything.
            max_in_snapshot_log_to_keep: self.snapshot_entries / 2,
            replication_lag_threshold: self.snapshot_entries / 2,
            // A leader sends entries while its own disk still syncs them. If it crashes then and leads on in the same
            // term, it gives their positions to others, and two members differ for ever (4 of 200 simulated seeds).
            enable_leader_restore: Some(planted!(LeaderRestored)),
            // A member that was cut off would come back with a greater term and unseat a leader that everybody sees.
            enable_pre_vote: Some(true),
            ..Config::default()
        };
        Ok(Arc::new(config.validate()?))
    }
}
