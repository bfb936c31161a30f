//! What is to happen in a run: how many nodes and users, on what network, and what breaks when.
//!
//! ```text
//! 0 ────── begins ── faults … ── heals_at ──── silent_from ──── ends_at
//!          users talk ─────────────────────────▶│ what is under way arrives
//! ```
//!
//! A plan is either drawn from a seed or written down by a test; the same plan with the same seed is the same run.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::parts::Drift;
use crate::seeds::Seed;

/// When users may count on the cluster to be up.
pub const BEGINS: Duration = Duration::from_secs(6);

/// How long everything is whole before users fall silent: converging takes five seconds at most, the rest is for
/// clients that have to lose their patience.
const WHOLE_FOR: Duration = Duration::from_secs(15);

/// How long what was said last may take to arrive.
const SETTLES_IN: Duration = Duration::from_secs(10);

/// The plan of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// From which everything random is derived.
    pub seed: Seed,
    /// How many nodes.
    pub nodes: usize,
    /// How many users; they talk in pairs.
    pub users: usize,
    /// How often each says something.
    pub pace: Duration,
    /// How long a packet takes.
    pub latency: RangeInclusive<Duration>,
    /// The clocks of the nodes, in their order.
    pub drifts: Vec<Drift>,
    /// What breaks, in the order of time.
    pub faults: Vec<(Duration, Fault)>,
    /// When everything is made whole.
    pub heals_at: Duration,
    /// When the users fall silent.
    pub silent_from: Duration,
    /// When the world ends.
    pub ends_at: Duration,
}

/// Something that breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The process of a node is killed; its machine refuses connections from then on.
    Crash(Target),
    /// Every node that was killed starts again, with its disk.
    Restart,
    /// A node is cut off from all other nodes. Clients reach it.
    CutOff(Target),
    /// No node is cut off any more.
    Mend,
}

/// Whom a fault meets, decided at the moment of the fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The n-th node, from 0.
    Node(usize),
    /// Whoever leads; nobody if nobody does.
    Leader,
    /// Whoever does not lead and is not broken, the first of them.
    Follower,
}

impl Plan {
    /// Three nodes and four users, between whom nothing breaks.
    pub fn calm(seed: u64) -> Plan {
        let whole = Plan {
            seed: Seed(seed),
            nodes: 3,
            users: 4,
            pace: Duration::from_millis(400),
            latency: Duration::from_millis(1)..=Duration::from_millis(5),
            drifts: vec![Drift::default(); 3],
            faults: Vec::new(),
            heals_at: BEGINS,
            silent_from: BEGINS,
            ends_at: BEGINS,
        };
        whole.healing_at(BEGINS)
    }

    /// The same plan in which something breaks as well.
    #[must_use]
    pub fn with_fault(mut self, at: Duration, fault: Fault) -> Plan {
        self.faults.push((at, fault));
        self.faults.sort_by_key(|(at, _)| *at);
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

    /// A plan of which the seed decides everything.
    pub fn draw(seed: u64) -> Plan {
        let mut random = Seed(seed).generator("plan", 0);
        let nodes = if random.random_bool(0.75) { 3 } else { 5 };
        let slowest = Duration::from_millis(random.random_range(1..=20));
        let mut plan = Plan {
            nodes,
            users: 2 * random.random_range(2..=4),
            pace: Duration::from_millis(random.random_range(50..=800)),
            latency: Duration::from_millis(1)..=slowest,
            // Clocks differ from each other by at most the configured drift of five percent.
            drifts: (0..nodes).map(|_| Drift(random.random_range(-24_000..=24_000))).collect(),
            ..Plan::calm(seed)
        };
        let mut at = BEGINS;
        for _ in 0..random.random_range(1..=3) {
            at += Duration::from_millis(random.random_range(500..8000));
            plan = plan.with_pair(&mut at, &mut random);
        }
        plan.healing_at(at + Duration::from_millis(500))
    }

    /// Something that breaks and is repaired again: never two things at once, so that a quorum remains.
    fn with_pair(self, at: &mut Duration, random: &mut StdRng) -> Plan {
        let target = match random.random_range(0..3) {
            0 => Target::Leader,
            1 => Target::Follower,
            _ => Target::Node(random.random_range(0..self.nodes)),
        };
        let (breaks, repaired) = if random.random_bool(0.5) {
            (Fault::Crash(target), Fault::Restart)
        } else {
            (Fault::CutOff(target), Fault::Mend)
        };
        let begins = *at;
        *at += Duration::from_millis(random.random_range(200..12_000));
        self.with_fault(begins, breaks).with_fault(*at, repaired)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, nodes, users) = (self.seed.0, self.nodes, self.users);
        write!(f, "seed {seed}: {nodes} nodes, {users} users, packets take {:?}", self.latency)?;
        for (at, fault) in &self.faults {
            write!(f, "; {:.3} s {fault:?}", at.as_secs_f64())?;
        }
        write!(f, "; whole from {:.3} s, ends at {:.3} s", self.heals_at.as_secs_f64(), self.ends_at.as_secs_f64())
    }
}
