//! Plans of which the seed decides everything.
//!
//! Every seed switches on a few families of faults and leaves the others out (a *swarm*: "Swarm Testing", Groce et al.,
//! 2012), because faults hide each other: a cluster whose leader is always dead never fills a disk.
//!
//! The invariant: what is promised is never too much to ask. At no moment have more members lost their memory or their
//! disk than may fail, after each such loss the cluster has time to make up for it, and disks are lost or damaged in one
//! member of three at most, or in two of five, apart.
//!
//! What operators do is drawn apart from that and added to it (`draw_operation`, `draw_orders`), so that what a seed breaks
//! besides does not depend on it.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{BEGINS, Episode, Fault, Plan, Stored, Target, Turns, Way};
use crate::parts::Drift;
use crate::seeds::Seed;

/// In the plans of seeds below it nobody operates the cluster: some of them have found bugs before anybody did
/// (`tests/seeds.txt`), and are to go on meaning the same.
pub const FIRST_OPERATED_SEED: u64 = 1000;

/// In the plans of seeds below it nobody changes the times on which fencing rests: several of them are told of in
/// `sim/FOUND.md`.
pub(super) const FIRST_RETIMED_SEED: u64 = 10_000_000;

/// In the plans of seeds below it each task takes its turn at once.
pub(super) const FIRST_LATE_SEED: u64 = 1_000_000;

/// How late a turn is at most.
const LATE_MAX_MS: u64 = 20;

/// Of a hundred seeds, how many switch a family on.
const FAMILY_PERCENT: u32 = 35;

/// How long the cluster is left alone by losses of memory after one.
pub(super) const REPAIRED_IN: Duration = Duration::from_secs(4);

/// How long it is left alone by losses of disks after one: a new member has to learn everything and be made a voter.
pub(super) const REPLACED_IN: Duration = Duration::from_secs(12);

/// Clocks differ from each other by at most the configured drift of five percent.
const DRIFT_PPM_MAX: i32 = 24_000;

/// What belongs together is on or off together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    Crashes,
    Power,
    Pauses,
    Stops,
    Cuts,
    Clogs,
    Packets,
    Resets,
    FalseCrashes,
    SlowDisks,
    FullDisks,
    BrokenDisks,
    LostDisks,
    WallClocks,
    Clients,
    Stores,
}

impl Family {
    const ALL: [Family; 16] = [
        Family::Crashes,
        Family::Power,
        Family::Pauses,
        Family::Stops,
        Family::Cuts,
        Family::Clogs,
        Family::Packets,
        Family::Resets,
        Family::FalseCrashes,
        Family::SlowDisks,
        Family::FullDisks,
        Family::BrokenDisks,
        Family::LostDisks,
        Family::WallClocks,
        Family::Clients,
        Family::Stores,
    ];
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Plan {
        let mut random = Seed(seed).generator("plan", 0);
        let nodes = draw_nodes(&mut random);
        let slowest = Duration::from_millis(random.random_range(1..=20));
        let is_skewed = random.random_bool(0.8);
        let mut drift = || if is_skewed { random.random_range(-DRIFT_PPM_MAX..=DRIFT_PPM_MAX) } else { 0 };
        let mut plan = Plan {
            nodes,
            latency: (Duration::from_millis(1), slowest),
            drifts_ppm: (0..nodes).map(|_| Drift(drift())).collect(),
            ..Plan::calm(seed)
        };
        plan.snapshot_entries = if random.random_bool(0.5) { random.random_range(20..=200) } else { 10_000 };
        draw_users(&mut plan, &mut random);
        let lasts = Duration::from_millis(random.random_range(25_000..=33_000));
        let heals_at = BEGINS + lasts;
        plan.episodes = Drawing::new(&plan, heals_at, random).episodes();
        let plan = Plan { turns: draw_turns(seed), ..plan.healing_at(heals_at) };
        if seed < FIRST_OPERATED_SEED { plan } else { plan.with_operation_or_orders() }
    }
}

/// In one plan of three nobody is late.
fn draw_turns(seed: u64) -> Turns {
    let mut random = Seed(seed).generator("turns", 0);
    if seed < FIRST_LATE_SEED || random.random_ratio(1, 3) {
        return Turns::default();
    }
    let percent = *[1, 5, 20, 50].choose(&mut random).expect("there are some");
    Turns { percent, worst: Duration::from_millis(random.random_range(1..=LATE_MAX_MS)) }
}

fn draw_nodes(random: &mut StdRng) -> usize {
    match random.random_range(0..100) {
        0..64 => 3,
        64..88 => 5,
        88..92 => 1,
        92..96 => 2,
        _ => 4,
    }
}

fn draw_users(plan: &mut Plan, random: &mut StdRng) {
    let (count, pace) = (random.random_range(2..=10), random.random_range(50..=1000));
    *plan = plan.clone().with_users(count, Duration::from_millis(pace));
    let mut few = || random.random_range(0..=2);
    let (resuming, leaving, watching) = (few(), few(), few());
    for (number, user) in plan.users.iter_mut().enumerate() {
        // Everybody, somebody or nobody does.
        user.resumes = random.random_ratio(resuming, 2);
        user.leaves = random.random_ratio(leaving, 4);
        user.watches = random.random_ratio(watching, 4);
        if random.random_bool(0.15) {
            // Himself, anybody, or somebody who does not exist.
            user.peer = random.random_range(0..=count);
        } else if user.peer >= count {
            user.peer = number.saturating_sub(1);
        }
    }
}

/// Episodes that are being drawn.
struct Drawing {
    random: StdRng,
    nodes: usize,
    users: usize,
    heals_at: Duration,
    /// Until when nobody may lose his memory again, with whom it happened last.
    memories: Vec<(Duration, Target)>,
    /// Until when nobody may lose his disk again.
    disk_free_from: Duration,
    /// Who has lost a disk, or may have.
    disks_lost: Vec<usize>,
}

impl Drawing {
    fn new(plan: &Plan, heals_at: Duration, random: StdRng) -> Self {
        let (nodes, users) = (plan.nodes, plan.users.len());
        Drawing { random, nodes, users, heals_at, memories: vec![], disk_free_from: BEGINS, disks_lost: vec![] }
    }

    /// How many may fail at once.
    fn failures_max(&self) -> usize {
        (self.nodes - 1) / 2
    }

    fn episodes(mut self) -> Vec<Episode> {
        let mut families: Vec<Family> =
            Family::ALL.into_iter().filter(|_| self.random.random_ratio(FAMILY_PERCENT, 100)).collect();
        if families.is_empty() {
            families.extend(Family::ALL.choose(&mut self.random));
        }
        // From one in ten seconds to one a second.
        let pause = self.random.random_range(1_000..=10_000);
        let mut episodes = Vec::new();
        let mut at = BEGINS;
        loop {
            at += Duration::from_millis(self.random.random_range(0..=pause));
            if at + Duration::from_secs(1) > self.heals_at {
                return episodes;
            }
            let family = families[self.random.random_range(0..families.len())];
            let lasts = self.draw_length(family).min(self.heals_at - at);
            if let Some(fault) = self.draw_fault(family, at, lasts) {
                episodes.push(Episode { at, lasts, fault });
            }
        }
    }

    /// Short ones are the most, and some outlast every patience.
    fn draw_length(&mut self, family: Family) -> Duration {
        let milliseconds = match self.random.random_range(0..10) {
            0..4 => self.random.random_range(50..=1_500),
            4..8 => self.random.random_range(1_500..=6_000),
            _ => self.random.random_range(6_000..=15_000),
        };
        // Who has to stop, or to be replaced, needs some time for it.
        let least = if matches!(family, Family::Stops | Family::LostDisks | Family::BrokenDisks) { 1_000 } else { 0 };
        Duration::from_millis(milliseconds.max(least))
    }

    fn draw_fault(&mut self, family: Family, at: Duration, lasts: Duration) -> Option<Fault> {
        let node = self.draw_target();
        let draw = self.random.random_range(0..100);
        Some(match family {
            Family::Crashes | Family::Power | Family::Stops => {
                let node = self.lose_memory(at, lasts)?;
                match (family, draw) {
                    (Family::Power, _) => Fault::PowerLoss { node },
                    (Family::Stops, _) => Fault::Stop { node },
                    (_, 0..75) => Fault::Crash { node },
                    _ => Fault::RestartStorm {
                        node,
                        every: Duration::from_millis(self.random.random_range(100..=3_000)),
                    },
                }
            }
            Family::Pauses => Fault::Pause { node },
            Family::Cuts => self.draw_cut(node),
            Family::Clogs => match draw {
                0..60 => Fault::Clog { nodes: self.draw_pair()? },
                _ => Fault::Swizzle { nodes: self.draw_some() },
            },
            Family::Packets => match draw {
                0..50 => Fault::Loss { percent: self.random.random_range(1..=30) },
                _ => Fault::Slow { worst: Duration::from_millis(self.random.random_range(20..=400)) },
            },
            Family::Resets => match draw {
                0..60 => Fault::Reset { node, times: self.random.random_range(1..=5) },
                _ => Fault::HalfOpen { nodes: self.draw_pair()? },
            },
            Family::FalseCrashes => match draw {
                0..60 => Fault::FalseCrash { node },
                _ => Fault::Shunned { nodes: self.draw_pair()? },
            },
            Family::SlowDisks => {
                Fault::SlowDisk { node, delay: Duration::from_millis(self.random.random_range(5..=300)) }
            }
            Family::FullDisks => Fault::DiskFull { node },
            Family::BrokenDisks | Family::LostDisks => self.draw_loss(family, at, lasts)?,
            Family::WallClocks => match draw {
                0..70 => Fault::WallClockStep { node, seconds: self.random.random_range(-100_000..=100_000) },
                _ => Fault::WallClockFreeze { node },
            },
            Family::Clients => self.draw_client(node)?,
            Family::Stores => Fault::StoreStalls,
        })
    }

    fn draw_target(&mut self) -> Target {
        match self.random.random_range(0..3) {
            0 => Target::Leader,
            1 if self.nodes > 1 => Target::Follower,
            _ => Target::Node(self.random.random_range(0..self.nodes)),
        }
    }

    fn draw_pair(&mut self) -> Option<[Target; 2]> {
        match (self.nodes, self.random.random_range(0..3)) {
            (1, _) => None,
            (_, 0) => Some([Target::Leader, Target::Follower]),
            (_, 1) => Some([Target::Follower, Target::Leader]),
            (nodes, _) => {
                let first = self.random.random_range(0..nodes);
                let second = (first + self.random.random_range(1..nodes)) % nodes;
                Some([Target::Node(first), Target::Node(second)])
            }
        }
    }

    /// One of the nodes at least, and not all of them, unless there is one only.
    fn draw_some(&mut self) -> Vec<Target> {
        let count = self.random.random_range(1..self.nodes.max(2));
        let all: Vec<usize> = (0..self.nodes).collect();
        let mut some: Vec<usize> = all.sample(&mut self.random, count).copied().collect();
        some.sort_unstable();
        some.into_iter().map(Target::Node).collect()
    }

    fn draw_cut(&mut self, node: Target) -> Fault {
        match self.random.random_range(0..100) {
            0..35 => Fault::Isolate { node },
            35..65 => Fault::OneWay { node, way: if self.random.random_bool(0.5) { Way::In } else { Way::Out } },
            65..80 => Fault::Split { nodes: self.draw_some() },
            80..90 if self.nodes > 3 => Fault::Ring,
            _ => Fault::Bridge { node },
        }
    }

    fn draw_client(&mut self, node: Target) -> Option<Fault> {
        let user = self.random.random_range(0..self.users);
        Some(match self.random.random_range(0..5) {
            0 => Fault::Rival { user },
            1 => Fault::Storm { node, times: self.random.random_range(1..=4) },
            2 => Fault::Flapping { user },
            3 => Fault::ResumptionRace { user },
            _ => Fault::SlowReader { user },
        })
    }

    /// Somebody who may be without memory from now on, if anybody may.
    fn lose_memory(&mut self, at: Duration, lasts: Duration) -> Option<Target> {
        self.memories.retain(|(until, _)| *until > at);
        let lost: Vec<Target> = self.memories.iter().map(|(_, target)| *target).collect();
        if lost.len() >= self.failures_max() {
            return None;
        }
        // One who is met while another is down must not be the same, or the two would count for one that they are not.
        let node = if lost.is_empty() { self.draw_target() } else { self.draw_other(&lost)? };
        self.memories.push((at + lasts + REPAIRED_IN, node));
        Some(node)
    }

    fn draw_other(&mut self, taken: &[Target]) -> Option<Target> {
        let free: Vec<Target> = (0..self.nodes).map(Target::Node).filter(|node| !taken.contains(node)).collect();
        free.choose(&mut self.random).copied()
    }

    /// Somebody loses his disk, or a part of it, or what he wrote last.
    fn draw_loss(&mut self, family: Family, at: Duration, lasts: Duration) -> Option<Fault> {
        let losers_max = self.failures_max();
        let is_alone = self.memories.iter().all(|(until, _)| *until <= at);
        if at < self.disk_free_from || !is_alone || losers_max == 0 {
            return None;
        }
        let node = if self.disks_lost.len() < losers_max {
            self.random.random_range(0..self.nodes)
        } else {
            *self.disks_lost.choose(&mut self.random)?
        };
        if !self.disks_lost.contains(&node) {
            self.disks_lost.push(node);
        }
        self.disk_free_from = at + lasts + REPLACED_IN;
        let node = Target::Node(node);
        self.memories.push((self.disk_free_from, node));
        Some(match (family, self.random.random_range(0..100)) {
            // A return from an old backup is not drawn: a node does not notice it yet.
            (Family::LostDisks, _) => Fault::LoseDisk { node },
            (_, 0..35) => Fault::SyncFails { node },
            (_, 35..55) => Fault::FlippedBit { node, file: Stored::Log },
            (_, 55..70) => Fault::FlippedBit { node, file: Stored::Snapshot },
            (_, 70..85) => Fault::LostVote { node },
            _ => Fault::ShortReads { node },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_plan_and_another_seed_is_another() {
        assert_eq!(Plan::draw(7), Plan::draw(7));
        assert_ne!(Plan::draw(7).episodes, Plan::draw(8).episodes);
    }

    /// More than that is not promised to be survived.
    #[test]
    fn never_do_more_lose_their_memory_than_may_fail() {
        for seed in 0..2_000 {
            let plan = Plan::draw(seed);
            // A cluster that comes about has nothing to lose yet.
            let losses = plan.episodes.iter().filter(|episode| episode.fault.loses_memory());
            let losses: Vec<&Episode> = losses.filter(|episode| episode.ends() + REPAIRED_IN > BEGINS).collect();
            for loss in &losses {
                let at_once = losses.iter().filter(|other| other.at <= loss.at && loss.at < other.ends() + REPAIRED_IN);
                assert!(at_once.count() <= (plan.nodes - 1) / 2, "{plan}");
            }
        }
    }

    #[test]
    fn every_fault_is_drawn_by_some_seed() {
        let names: std::collections::BTreeSet<String> =
            (0..2_000).flat_map(|seed| Plan::draw(seed).episodes).map(|episode| episode.fault.name()).collect();

        assert!(names.len() >= 32 && !names.contains("old-backup"), "{names:?}");
    }

    #[test]
    fn a_run_takes_a_minute_and_half_of_it_is_bad() {
        for seed in 0..200 {
            let plan = Plan::draw(seed);
            assert!(plan.heals_at >= BEGINS + Duration::from_secs(25));
            assert!((50..=70).contains(&plan.ends_at.as_secs()), "{plan}");
        }
    }
}
