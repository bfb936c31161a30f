//! Plans for worlds of machines alone, of which the seed decides everything: small and large, short and long, and in each
//! only some of all the things that can go wrong (Groce et al., "Swarm Testing", 2012).

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::{BEGINS, Fault, Level, Plan, Target, UserPlan, Way};
use crate::parts::Drift;
use crate::seeds::Seed;

/// What can go wrong, in families that are switched on or off together.
const FAMILIES: usize = 8;

/// Seeds from here on may switch clustering off for a while.
pub const SWITCHED_FROM: u64 = 40_000_000;

impl Plan {
    /// The plan of a seed for [`crate::cores`].
    pub fn draw_cores(seed: u64) -> Plan {
        let mut random = Seed(seed).generator("plan of cores", 0);
        let nodes = match random.random_range(0..20) {
            0 => 4,
            1..=5 => 5,
            6 => 7,
            _ => 3,
        };
        let users = random.random_range(1..=3) * 2;
        let pace = Duration::from_millis(random.random_range(80..1500));
        let slowest = Duration::from_millis(random.random_range(1..=20));
        let mut plan = Plan {
            level: Level::Cores,
            nodes,
            latency: (Duration::from_millis(random.random_range(0..=1)), slowest),
            snapshot_entries: if random.random_bool(0.3) { random.random_range(4..60) } else { 10_000 },
            drifts_ppm: (0..nodes).map(|_| Drift(random.random_range(-24_000..=24_000))).collect(),
            ..Plan::calm(seed)
        };
        plan.users = (0..users).map(|number| draw_user(&mut random, number, nodes, pace)).collect();
        let enabled: Vec<usize> = (0..FAMILIES).filter(|_| random.random_bool(0.35)).collect();
        let enabled = if enabled.is_empty() { vec![random.random_range(0..FAMILIES)] } else { enabled };
        let mut at = BEGINS;
        for _ in 0..random.random_range(1..=4) {
            at += Duration::from_millis(random.random_range(0..3000));
            let lasts = Duration::from_millis(random.random_range(50..7000));
            let family = enabled[random.random_range(0..enabled.len())];
            let mut fault = draw_fault(&mut random, family, nodes, users);
            // Two disks that are lost before the members have made up for the first are more than is promised.
            if let Fault::LoseDisk { node } = fault
                && plan.episodes.iter().any(|episode| matches!(episode.fault, Fault::LoseDisk { .. }))
            {
                fault = Fault::Crash { node };
            }
            debug_assert!(fault.is_of_cores(), "{fault:?} means nothing to machines alone");
            plan = plan.with(at, lasts, fault);
            // Mostly one thing after the other, so that a quorum remains.
            if random.random_bool(0.7) {
                at += lasts;
            }
        }
        if seed >= SWITCHED_FROM {
            plan = plan.with_a_switch();
        }
        let whole = plan.episodes.iter().map(super::Episode::ends).max().unwrap_or(BEGINS);
        let plan = plan.healing_at(whole + Duration::from_millis(200));
        // What is silent is soon noticed, and clients do not have to wait for a server that thinks of its files.
        // Nodes see within 2.5 s that clustering is on again, and look into the store once more 21 s after they have joined.
        let (seen_within, looks_within) = if plan.sets_properties() { (4, 17) } else { (0, 9) };
        let silent_from = plan.heals_at + Duration::from_secs(seen_within + 7);
        Plan { silent_from, ends_at: silent_from + Duration::from_secs(looks_within), ..plan }
    }

    /// In one plan of four clustering is off for a while.
    fn with_a_switch(self) -> Plan {
        let mut random = self.seed.generator("switch of cores", 0);
        if !random.random_ratio(1, 4) {
            return self;
        }
        let at = BEGINS + Duration::from_millis(random.random_range(0..6000));
        // Long enough for every node to see it.
        let lasts = Duration::from_millis(random.random_range(3000..9000));
        self.with(at, lasts, Fault::SwitchedOff)
    }
}

fn draw_user(random: &mut StdRng, number: usize, nodes: usize, pace: Duration) -> UserPlan {
    let leaves = random.random_bool(0.3);
    UserPlan {
        peer: number ^ 1,
        node: random.random_range(0..nodes),
        pace,
        resumes: false,
        leaves,
        watches: false,
        shares: false,
    }
}

fn draw_target(random: &mut StdRng, nodes: usize) -> Target {
    match random.random_range(0..3) {
        0 => Target::Leader,
        1 => Target::Follower,
        _ => Target::Node(random.random_range(0..nodes)),
    }
}

fn draw_fault(random: &mut StdRng, family: usize, nodes: usize, users: usize) -> Fault {
    let node = draw_target(random, nodes);
    let other = Target::Node(random.random_range(0..nodes));
    let user = random.random_range(0..users);
    let times = random.random_range(1..6);
    match (family, random.random_range(0..4)) {
        (0, _) => Fault::Crash { node },
        (1, 0) => Fault::Stop { node },
        (1, 1) => Fault::LoseDisk { node },
        (1, 2) => Fault::RestartStorm { node, every: Duration::from_millis(random.random_range(200..2000)) },
        (1, _) => Fault::PowerLoss { node },
        (2, _) => Fault::Pause { node },
        (3, 0) => Fault::OneWay { node, way: if random.random_bool(0.5) { Way::Out } else { Way::In } },
        (3, _) => Fault::Isolate { node },
        (4, 0) => Fault::Ring,
        (4, 1) => Fault::Bridge { node },
        (4, 2) => Fault::Clog { nodes: [node, other] },
        (4, _) => Fault::Split { nodes: vec![node, other] },
        (5, 0 | 1) => Fault::HalfOpen { nodes: [node, other] },
        // Not drawn: a living node that looks dead. False evidence is believed without waiting, so for as long as a lease
        // P1 and P5 do not hold for that node (`liveness`).
        (5, 2) => Fault::Swizzle { nodes: vec![node, other] },
        (5, _) => Fault::Reset { node, times },
        (6, 0 | 1) => Fault::Loss { percent: random.random_range(1..=30) },
        (6, _) => Fault::Slow { worst: Duration::from_millis(random.random_range(20..=150)) },
        (_, 0) => Fault::Storm { node, times },
        (_, 1) => Fault::Flapping { user },
        (_, _) => Fault::Rival { user },
    }
}
