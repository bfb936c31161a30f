//! Plans of which the seed decides everything.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::{BEGINS, Fault, Plan, Target};
use crate::parts::Drift;
use crate::seeds::Seed;

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Plan {
        let mut random = Seed(seed).generator("plan", 0);
        let nodes = if random.random_bool(0.75) { 3 } else { 5 };
        let slowest = Duration::from_millis(random.random_range(1..=20));
        let mut plan = Plan {
            nodes,
            latency: (Duration::from_millis(1), slowest),
            // Clocks differ from each other by at most the configured drift of five percent.
            drifts_ppm: (0..nodes).map(|_| Drift(random.random_range(-24_000..=24_000))).collect(),
            ..Plan::calm(seed)
        };
        let (users, pace) = (2 * random.random_range(2..=4), random.random_range(50..=800));
        plan = plan.with_users(users, Duration::from_millis(pace));
        let mut at = BEGINS;
        for _ in 0..random.random_range(1..=3) {
            at += Duration::from_millis(random.random_range(500..8000));
            let lasts = Duration::from_millis(random.random_range(200..12_000));
            let fault = draw_fault(plan.nodes, &mut random);
            plan = plan.with(at, lasts, fault);
            // Never two things at once, so that a quorum remains.
            at += lasts;
        }
        plan.healing_at(at + Duration::from_millis(500))
    }
}

fn draw_fault(nodes: usize, random: &mut StdRng) -> Fault {
    let node = match random.random_range(0..3) {
        0 => Target::Leader,
        1 => Target::Follower,
        _ => Target::Node(random.random_range(0..nodes)),
    };
    if random.random_bool(0.5) { Fault::Crash { node } } else { Fault::Isolate { node } }
}
