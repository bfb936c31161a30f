//! What can break, and what it needs to know: an [`Episode`] is a fault that begins and ends.
//!
//! Every fault ends by itself, at the latest when the plan heals. So any episode can be taken out of a plan, which
//! remains a plan: that is how failing plans are made small.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{milliseconds, names};

/// A fault, and when it is there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Episode {
    /// When it begins.
    #[serde(rename = "at_ms", with = "milliseconds")]
    pub at: Duration,
    /// How long it lasts. What has no length of its own, like a reset, happens at its beginning, or several times.
    #[serde(rename = "lasts_ms", with = "milliseconds")]
    pub lasts: Duration,
    /// What breaks.
    #[serde(flatten)]
    pub fault: Fault,
}

/// Something that breaks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Fault {
    // Processes.
    /// The process is killed; its machine refuses connections. It starts again with its disk when the episode ends.
    Crash {
        /// Whose.
        node: Target,
    },
    /// The machine is gone without a word: nothing is refused or reset, what was not synced is lost, perhaps in part.
    PowerLoss {
        /// Whose.
        node: Target,
    },
    /// The process stands still (SIGSTOP, a suspended machine) and goes on as if nothing had happened.
    Pause {
        /// Whose.
        node: Target,
    },
    /// The process is killed again and again, `every_ms`.
    RestartStorm {
        /// Whose.
        node: Target,
        /// Time between two kills.
        #[serde(rename = "every-ms", with = "milliseconds")]
        every: Duration,
    },
    /// The process is stopped as an operator stops it, and started again.
    Stop {
        /// Whose.
        node: Target,
    },
    /// The process is killed and comes back with an empty disk, as a new member.
    LoseDisk {
        /// Whose.
        node: Target,
    },
    /// The process is killed and comes back with its disk as it was `age_ms` earlier.
    OldBackup {
        /// Whose.
        node: Target,
        /// How old the backup is.
        #[serde(rename = "age-ms", with = "milliseconds")]
        age: Duration,
    },

    // Links between nodes. Clients reach everybody.
    /// The node is cut off from all others, in both directions.
    Isolate {
        /// Who.
        node: Target,
    },
    /// What the node says does not reach the others, or what they say does not reach it.
    OneWay {
        /// Who.
        node: Target,
        /// Which way is cut.
        way: Way,
    },
    /// These nodes and the rest do not reach each other.
    Split {
        /// Which.
        nodes: Vec<Target>,
    },
    /// Each node reaches only its two neighbours.
    Ring,
    /// Two halves that only this node reaches.
    Bridge {
        /// Which.
        node: Target,
    },
    /// Nothing passes between two nodes for a while, then everything.
    Clog {
        /// Which.
        nodes: [Target; 2],
    },
    /// All links of some nodes clog, and are freed one by one (FoundationDB's swizzle).
    Swizzle {
        /// Which.
        nodes: Vec<Target>,
    },
    /// Packets are lost and sent again, as TCP does it: what follows waits.
    Loss {
        /// Of a hundred packets between nodes, so many are lost.
        percent: u8,
    },
    /// Packets take up to `worst_ms`, a few of them ten times as long.
    Slow {
        /// The usual worst.
        #[serde(rename = "worst-ms", with = "milliseconds")]
        worst: Duration,
    },
    /// Connections with the node are reset, in the middle of whatever passes, `times` times during the episode.
    Reset {
        /// Whose.
        node: Target,
        /// How often.
        times: u32,
    },
    /// One side of each connection between two nodes is gone and the other does not know.
    HalfOpen {
        /// The side that is gone, and the other.
        nodes: [Target; 2],
    },
    /// The links between two nodes are reset and their ports refuse each other, as a firewall does that rejects: to each
    /// it looks as if the other had crashed.
    Shunned {
        /// Which.
        nodes: [Target; 2],
    },
    /// Links of a living node are reset and its port refuses: it looks as if it had crashed.
    FalseCrash {
        /// Whose.
        node: Target,
    },

    // Disks.
    /// There is no room.
    DiskFull {
        /// Whose.
        node: Target,
    },
    /// A sync fails; the process ends itself, and is started again when the episode ends.
    SyncFails {
        /// Whose.
        node: Target,
    },
    /// Every operation takes this much longer.
    SlowDisk {
        /// Whose.
        node: Target,
        /// How much.
        #[serde(rename = "delay-ms", with = "milliseconds")]
        delay: Duration,
    },
    /// The process is killed, a bit in its log or in a snapshot is changed, and it is started. If it refuses, it is
    /// given an empty disk when the episode ends.
    FlippedBit {
        /// Whose.
        node: Target,
        /// In what.
        file: Stored,
    },
    /// The process is killed and finds its vote gone when it starts. Treated as [`Fault::FlippedBit`].
    LostVote {
        /// Whose.
        node: Target,
    },
    /// Reads give less than there is, at a start during the episode.
    ShortReads {
        /// Whose.
        node: Target,
    },

    // Clocks.
    /// The wall clock jumps, and back at the end.
    WallClockStep {
        /// Whose.
        node: Target,
        /// By how much; negative is into the past.
        seconds: i64,
    },
    /// The wall clock stands still.
    WallClockFreeze {
        /// Whose.
        node: Target,
    },

    // Clients.
    /// A second client logs in with the same full JID at another node, and again whenever it is thrown out.
    Rival {
        /// By number, from 0; written from 1, as in `u2`.
        #[serde(with = "names::user")]
        user: usize,
    },
    /// Every client is thrown off the node and comes back at once, `times` times.
    Storm {
        /// Which node.
        node: Target,
        /// How often.
        times: u32,
    },
    /// The client's connection breaks right after it has sent something, again and again.
    Flapping {
        /// By number, from 0; written from 1, as in `u2`.
        #[serde(with = "names::user")]
        user: usize,
    },
    /// The client's connection breaks and it resumes its session on two connections at once.
    ResumptionRace {
        /// By number, from 0; written from 1, as in `u2`.
        #[serde(with = "names::user")]
        user: usize,
    },
    /// The client does not read.
    SlowReader {
        /// By number, from 0; written from 1, as in `u2`.
        #[serde(with = "names::user")]
        user: usize,
    },
    /// The client acknowledges nothing that it is sent, and is available and unavailable in turn.
    NeverAcknowledges {
        /// By number, from 0; written from 1, as in `u2`.
        #[serde(with = "names::user")]
        user: usize,
    },
    /// The account store does not answer.
    StoreStalls,
    /// The account store says at once that it is away.
    StoreFails,

    // Operators.
    /// The process is stopped, and started with a program that follows one version of the agreed state more.
    Upgrade {
        /// Whose.
        node: Target,
    },
    /// The process is killed and runs the program of the beginning until the episode ends.
    OldProgram {
        /// Whose.
        node: Target,
    },
    /// Clustering is switched off, and on again when the episode ends.
    SwitchedOff,

    // Orders of operators, which are given again until they are done or the episode is over.
    /// The node is to have no clients and not to lead. The order is taken back when the episode ends.
    Drain {
        /// Which.
        node: Target,
    },
    /// The node is to lead.
    TransferLeader {
        /// Which.
        to: Target,
    },
    /// The node's machine is lost for good, and its removal is ordered. Another one takes its place when the episode ends,
    /// with an empty disk, as a new member.
    Remove {
        /// Which.
        node: Target,
    },
    /// The times on which fencing rests are to become others, for all.
    ChangeTimes {
        /// How long a member serves without proof.
        #[serde(rename = "lease-ms", with = "milliseconds")]
        lease: Duration,
        /// The silence after which a member is expelled.
        #[serde(rename = "expel-after-ms", with = "milliseconds")]
        expel_after: Duration,
    },
    /// The node's removal is ordered without a look at whether it is up: then it is refused.
    RemoveBlindly {
        /// Which.
        node: Target,
    },
}

/// Whom a fault meets, decided at the moment at which it begins. Written `leader`, `follower` or `n2`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// The n-th node, from 0; written from 1, as its name is.
    Node(usize),
    /// Whoever leads; nobody if nobody does.
    Leader,
    /// Whoever does not lead and is not broken, the first of them.
    Follower,
}

/// Which way is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// What it says is not heard.
    Out,
    /// It does not hear.
    In,
}

/// What is on a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stored {
    /// A segment of the log.
    Log,
    /// A snapshot.
    Snapshot,
}

/// A text that is no target.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' is neither 'leader' nor 'follower' nor a node like 'n2'")]
pub struct NoTarget(String);

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        match text {
            "leader" => Ok(Target::Leader),
            "follower" => Ok(Target::Follower),
            name => {
                let number = name.strip_prefix('n').and_then(|digits| digits.parse::<usize>().ok());
                number.and_then(|number| number.checked_sub(1)).map(Target::Node).ok_or_else(|| NoTarget(text.into()))
            }
        }
    }
}

impl TryFrom<String> for Target {
    type Error = NoTarget;

    fn try_from(text: String) -> Result<Self, NoTarget> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(number) => write!(f, "n{}", number + 1),
            Target::Leader => f.write_str("leader"),
            Target::Follower => f.write_str("follower"),
        }
    }
}

impl Fault {
    /// Whether a process forgets what is not on its disk, or the disk does.
    #[allow(clippy::wildcard_enum_match_arm, reason = "all others do not")]
    pub(super) fn loses_memory(&self) -> bool {
        let loses_memory_only = matches!(
            self,
            Fault::Crash { .. }
                | Fault::PowerLoss { .. }
                | Fault::RestartStorm { .. }
                | Fault::Stop { .. }
                | Fault::Upgrade { .. }
                | Fault::OldProgram { .. }
        );
        loses_memory_only || self.loses_disk()
    }

    /// Whether a disk loses something, or may have to be replaced.
    pub(super) fn loses_disk(&self) -> bool {
        matches!(
            self,
            Fault::LoseDisk { .. }
                | Fault::OldBackup { .. }
                | Fault::SyncFails { .. }
                | Fault::FlippedBit { .. }
                | Fault::LostVote { .. }
                | Fault::ShortReads { .. }
                | Fault::Remove { .. }
        )
    }
}

impl Episode {
    /// When it ends.
    pub fn ends(&self) -> Duration {
        self.at + self.lasts
    }
}

impl fmt::Display for Episode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}–{:.3} s {:?}", self.at.as_secs_f64(), self.ends().as_secs_f64(), self.fault)
    }
}
