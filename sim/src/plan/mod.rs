//! What is to happen in a run: how many nodes and users, on what network, and what breaks when.
//!
//! ```text
//! 0 ────── begins ── episodes … ── heals_at ──── silent_from ──── ends_at
//!          users talk  (safety) ─────▶│ (liveness) ──▶│ what is under way arrives
//! ```
//!
//! A plan is drawn from a seed or written down as a scenario; the same plan is the same run. It says everything by
//! itself: nothing else is drawn that decides what happens, only how (which bit, which microsecond), from sub-seeds.

mod check;
mod draw;
mod draw_cores;
mod draw_operation;
mod draw_orders;
mod fault;

use std::fmt;
use std::time::Duration;

use cresset_core::cluster::STATE_VERSIONS;
use serde::{Deserialize, Serialize};

use crate::parts::Drift;
use crate::seeds::Seed;

pub use draw::FIRST_OPERATED_SEED;
pub use draw_cores::SWITCHED_FROM;
pub use fault::{Episode, Fault, NoTarget, Stored, Target, Way};

/// When users may count on the cluster to be up.
pub const BEGINS: Duration = Duration::from_secs(6);

/// How long everything is whole before users fall silent: converging takes five seconds at most, the rest is for
/// clients that have to lose their patience.
const WHOLE_FOR: Duration = Duration::from_secs(15);

/// How long the cluster takes to converge after a heal (P6), and clients to notice what they have lost.
const SETTLES_WITHIN: Duration = Duration::from_secs(12);

/// How long what was said last may take to arrive.
const SETTLES_IN: Duration = Duration::from_secs(10);

/// The plan of one run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// From which everything random is derived.
    pub seed: Seed,
    /// What is simulated.
    pub level: Level,
    /// How many nodes.
    pub nodes: usize,
    /// How many of them, the last ones, are witnesses: they vote and have no clients.
    #[serde(default, skip_serializing_if = "is_none")]
    pub witnesses: usize,
    /// Whom each node is told of.
    #[serde(default, skip_serializing_if = "Lists::are_whole")]
    pub lists: Lists,
    /// How long a packet takes at least and at most.
    #[serde(rename = "latency_ms", with = "milliseconds::pair")]
    pub latency: (Duration, Duration),
    /// Entries after which a node takes a snapshot.
    pub snapshot_entries: u64,
    /// When everything is made whole.
    #[serde(rename = "heals_at_ms", with = "milliseconds")]
    pub heals_at: Duration,
    /// When the users fall silent.
    #[serde(rename = "silent_from_ms", with = "milliseconds")]
    pub silent_from: Duration,
    /// When the world ends.
    #[serde(rename = "ends_at_ms", with = "milliseconds")]
    pub ends_at: Duration,
    /// How much faster the clocks of the nodes are than time, in their order; a missing one is exact.
    #[serde(default)]
    pub drifts_ppm: Vec<Drift>,
    /// How late the tasks of a node are.
    #[serde(default, skip_serializing_if = "Turns::are_prompt")]
    pub turns: Turns,
    /// Who talks.
    #[serde(default)]
    pub users: Vec<UserPlan>,
    /// What breaks, in the order in which it begins.
    #[serde(default)]
    pub episodes: Vec<Episode>,
}

/// What is simulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The machines of `cresset-core` on a queue of events, with a model of Raft.
    Cores,
    /// Whole nodes of `cresset-net` on a simulated network.
    #[default]
    Nodes,
}

/// Whom each node is told of before it starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lists {
    /// Of all.
    #[default]
    All,
    /// Of the one before it; the first of nobody.
    OneBefore,
}

/// How late the tasks of a node are: as on a machine with more of them than processors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turns {
    /// Of a hundred turns, how many are late.
    pub percent: u32,
    /// How late one is at most.
    #[serde(rename = "worst_ms", with = "milliseconds")]
    pub worst: Duration,
}

impl Turns {
    /// Whether each task takes its turn at once.
    pub fn are_prompt(&self) -> bool {
        self.percent == 0
    }
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Lists {
    fn are_whole(&self) -> bool {
        *self == Lists::All
    }

    /// Whether a node is told of another one, by their numbers from 0.
    pub fn tell(self, node: usize, of: usize) -> bool {
        match self {
            Lists::All => true,
            Lists::OneBefore => of == node || of + 1 == node,
        }
    }
}

/// One user, whose name is `u` and his number, from 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPlan {
    /// To whom he talks, by number from 0. May be himself, or somebody who does not exist: then the server says so.
    #[serde(with = "names::user")]
    pub peer: usize,
    /// At which node he begins, by number from 0.
    #[serde(with = "names::node")]
    pub node: usize,
    /// How often he says something.
    #[serde(rename = "pace_ms", with = "milliseconds")]
    pub pace: Duration,
    /// Whether he resumes his session (XEP-0198) when a connection breaks, or logs in anew.
    pub resumes: bool,
    /// Whether he ends his session now and then, and comes back.
    pub leaves: bool,
    /// Whether he has a second client, which takes no messages and sees who is there.
    #[serde(default)]
    pub watches: bool,
    /// Whether that client takes messages all the same, as the first one does.
    #[serde(default)]
    pub shares: bool,
}

impl Plan {
    /// Three nodes and four users, between whom nothing breaks.
    pub fn calm(seed: u64) -> Plan {
        let whole = Plan {
            seed: Seed(seed),
            level: Level::Nodes,
            nodes: 3,
            witnesses: 0,
            lists: Lists::All,
            latency: (Duration::from_millis(1), Duration::from_millis(5)),
            snapshot_entries: 10_000,
            heals_at: BEGINS,
            silent_from: BEGINS,
            ends_at: BEGINS,
            drifts_ppm: Vec::new(),
            turns: Turns::default(),
            users: Vec::new(),
            episodes: Vec::new(),
        };
        whole.with_users(4, Duration::from_millis(400)).healing_at(BEGINS)
    }

    /// The same plan with that many users, who talk in pairs, each beginning at another node than the one before.
    #[must_use]
    pub fn with_users(mut self, count: usize, pace: Duration) -> Plan {
        let user = |number: usize| UserPlan {
            peer: number ^ 1,
            node: number % self.servers(),
            pace,
            resumes: false,
            leaves: false,
            watches: false,
            shares: false,
        };
        self.users = (0..count).map(user).collect();
        self
    }

    /// The same plan in which something breaks as well.
    #[must_use]
    pub fn with(mut self, at: Duration, lasts: Duration, fault: Fault) -> Plan {
        self.episodes.push(Episode { at, lasts, fault });
        self.episodes.sort_by_key(|episode| episode.at);
        self
    }

    /// The same plan, made whole at that time.
    #[must_use]
    pub fn healing_at(mut self, heals_at: Duration) -> Plan {
        self.heals_at = heals_at;
        self.silent_from = heals_at + WHOLE_FOR;
        self.ends_at = self.silent_from + SETTLES_IN;
        self
    }

    /// From when on the cluster has converged (P6), and clients have noticed what they have lost: an operation takes no
    /// longer than a moment.
    pub fn settled_at(&self) -> Duration {
        self.heals_at + SETTLES_WITHIN
    }

    /// Whether operators change anything for all nodes while they run.
    pub fn sets_properties(&self) -> bool {
        self.episodes.iter().any(|episode| episode.fault == Fault::SwitchedOff)
    }

    /// The latest version of the agreed state that the program follows with which every node begins: the newest one, or
    /// where nodes are upgraded one of those before it, by the seed.
    pub fn first_program(&self) -> u32 {
        let is_upgrade = |fault: &Fault| matches!(fault, Fault::Upgrade { .. } | Fault::OldProgram { .. });
        let is_upgraded = self.episodes.iter().any(|episode| is_upgrade(&episode.fault));
        if !is_upgraded {
            return STATE_VERSIONS.max;
        }
        let older = u64::from(STATE_VERSIONS.max - STATE_VERSIONS.min);
        let later = self.seed.0.wrapping_sub(1) % older;
        STATE_VERSIONS.min + u32::try_from(later).expect("there are few versions")
    }

    /// Whether users ask others as well, to whom they do not talk: some clients acknowledge nothing, and nobody else is to
    /// wait for that.
    pub fn looks_at_strangers(&self) -> bool {
        self.episodes.iter().any(|episode| matches!(episode.fault, Fault::NeverAcknowledges { .. }))
    }

    /// How many nodes have clients: the first ones.
    pub fn servers(&self) -> usize {
        self.nodes - self.witnesses
    }

    /// Names of the nodes, in their order.
    pub fn node_names(&self) -> Vec<String> {
        (1..=self.nodes).map(|number| format!("n{number}")).collect()
    }

    /// Names of the users, in their order.
    pub fn user_names(&self) -> Vec<String> {
        (1..=self.users.len()).map(|number| format!("u{number}")).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, nodes, users) = (self.seed.0, self.nodes, self.users.len());
        write!(f, "seed {seed}: {nodes} nodes, {users} users, packets take {:?}", self.latency)?;
        if !self.turns.are_prompt() {
            write!(f, ", {} % of turns are up to {:?} late", self.turns.percent, self.turns.worst)?;
        }
        for episode in &self.episodes {
            write!(f, "; {episode}")?;
        }
        write!(f, "; whole from {:.3} s, ends at {:.3} s", self.heals_at.as_secs_f64(), self.ends_at.as_secs_f64())
    }
}

/// Times in files are whole milliseconds.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    fn whole(time: Duration) -> u64 {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        whole(*time).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }

    pub(super) mod pair {
        use super::{Deserialize, Deserializer, Duration, Serialize, Serializer, whole};

        pub(in super::super) fn serialize<S: Serializer>(
            times: &(Duration, Duration),
            to: S,
        ) -> Result<S::Ok, S::Error> {
            (whole(times.0), whole(times.1)).serialize(to)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<(Duration, Duration), D::Error> {
            let (least, most) = <(u64, u64)>::deserialize(from)?;
            Ok((Duration::from_millis(least), Duration::from_millis(most)))
        }
    }
}

/// Nodes and users in files are called by name: `n1` is the first node, `u1` the first user.
mod names {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    fn number(text: &str, letter: char) -> Option<usize> {
        text.strip_prefix(letter)?.parse::<usize>().ok()?.checked_sub(1)
    }

    macro_rules! named {
        ($module:ident, $letter:literal, $what:literal) => {
            pub(in crate::plan) mod $module {
                use super::{Deserialize, Deserializer, Error, Serializer, number};

                pub(in crate::plan) fn serialize<S: Serializer>(of: &usize, to: S) -> Result<S::Ok, S::Error> {
                    to.collect_str(&format_args!("{}{}", $letter, of + 1))
                }

                pub(in crate::plan) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
                    let text = String::deserialize(from)?;
                    number(&text, $letter).ok_or_else(|| D::Error::custom(format_args!("'{text}' is no {}", $what)))
                }
            }
        };
    }

    named!(node, 'n', "node like 'n2'");
    named!(user, 'u', "user like 'u2'");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_was_written_down_is_the_same_plan() {
        let fault = Fault::Clog { nodes: [Target::Leader, Target::Node(2)] };
        let plan = Plan::draw(7).with(BEGINS, Duration::from_secs(1), fault).with(
            BEGINS,
            Duration::from_millis(1500),
            Fault::Rival { user: 1 },
        );

        let text = toml::to_string(&plan).expect("a plan can be written");

        assert_eq!(toml::from_str::<Plan>(&text), Ok(plan), "{text}");
    }

    #[test]
    fn what_is_no_plan_is_refused_with_a_sentence() {
        let text = toml::to_string(&Plan::calm(1)).expect("a plan can be written");

        let unknown = toml::from_str::<Plan>(&text.replace("peer = \"u2\"", "peer = \"n2\"")).expect_err("a node");

        assert!(unknown.to_string().contains("'n2' is no user"), "{unknown}");
    }
}
