//! How the cluster of a seed comes about and is run, besides what breaks in it: in pieces, with a witness, with clustering
//! switched off for a while, with a database that is away, with one program after the other.
//!
//! The invariant is that of `draw`: processes are started anew for an upgrade only where nobody else loses his memory.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::draw::REPAIRED_IN;
use super::{BEGINS, Fault, Plan, Target};

/// Of a hundred seeds, how many have each of these.
const PERCENT: u32 = 15;

/// How long a node may be missing at the beginning, in milliseconds: everything is made up for when users begin.
const PIECES_MAX: u64 = 1_600;

/// How long a node takes to stop and start again.
const RESTART: Duration = Duration::from_millis(600);

/// Time between two nodes of an upgrade.
const UPGRADE_PACE: Duration = Duration::from_millis(4800);

impl Plan {
    /// The same plan, with how operators run it.
    pub(super) fn with_operation(mut self) -> Plan {
        let mut random = self.seed.generator("operation", 0);
        let mut is_drawn = || random.random_ratio(PERCENT, 100);
        let (witness, pieces, switch, outage, upgrade) = (is_drawn(), is_drawn(), is_drawn(), is_drawn(), is_drawn());
        if witness && self.nodes > 2 {
            self = self.with_a_witness();
        }
        if pieces {
            self = self.begun_in_pieces(&mut random);
        }
        if outage {
            let (at, lasts) = self.draw_time(&mut random, 8_000);
            self = self.with(at, lasts, Fault::StoreFails);
        }
        if switch {
            let (at, lasts) = self.draw_time(&mut random, 12_000);
            self = self.with(at, lasts, Fault::SwitchedOff);
        } else if upgrade && self.nodes > 2 {
            self = self.with_an_upgrade(&mut random);
        }
        self
    }

    /// The last node is a witness; who would begin there begins at the first one.
    fn with_a_witness(mut self) -> Plan {
        self.witnesses = 1;
        let servers = self.servers();
        self.users.iter_mut().filter(|user| user.node >= servers).for_each(|user| user.node = 0);
        self
    }

    /// Some nodes start later than others, are killed at once, or hear nobody at first.
    fn begun_in_pieces(mut self, random: &mut StdRng) -> Plan {
        for node in (0..self.nodes).map(Target::Node) {
            let at = milliseconds(random.random_range(0..400));
            let lasts = milliseconds(random.random_range(1..PIECES_MAX));
            let (at, fault) = match random.random_range(0..100) {
                0..25 => (Duration::ZERO, Fault::Crash { node }),
                25..40 => (at, Fault::Crash { node }),
                40..55 => (at, Fault::PowerLoss { node }),
                55..65 => (at, Fault::Pause { node }),
                65..75 => (Duration::ZERO, Fault::Isolate { node }),
                75..85 => (Duration::ZERO, Fault::SlowDisk { node, delay: lasts / 10 }),
                _ => continue,
            };
            self = self.with(at, lasts, fault);
        }
        match random.random_range(0..100) {
            0..15 => self.with(milliseconds(random.random_range(0..50)), milliseconds(1_500), Fault::StoreFails),
            15..30 => self.with(milliseconds(random.random_range(0..50)), milliseconds(1_500), Fault::StoreStalls),
            _ => self,
        }
    }

    /// One node after the other gets the next program, in place of everything that makes nodes forget; one of them may go
    /// back to the first program for a while.
    fn with_an_upgrade(mut self, random: &mut StdRng) -> Plan {
        self.episodes.retain(|episode| !episode.fault.loses_memory() || episode.ends() + REPAIRED_IN < BEGINS);
        let mut at = BEGINS + milliseconds(random.random_range(0..2_000));
        for node in (0..self.nodes).map(Target::Node) {
            if at + RESTART < self.heals_at {
                self = self.with(at, RESTART, Fault::Upgrade { node });
            }
            at += UPGRADE_PACE;
        }
        if at + UPGRADE_PACE < self.heals_at && random.random_bool(0.5) {
            let node = Target::Node(random.random_range(0..self.nodes));
            self = self.with(at, milliseconds(random.random_range(500..4_000)), Fault::OldProgram { node });
        }
        self
    }

    fn draw_time(&self, random: &mut StdRng, lasts_max: u64) -> (Duration, Duration) {
        let lasts = milliseconds(random.random_range(300..lasts_max));
        let latest = (self.heals_at - BEGINS).saturating_sub(lasts).max(milliseconds(1));
        let latest = u64::try_from(latest.as_millis()).unwrap_or(1);
        (BEGINS + milliseconds(random.random_range(0..latest)), lasts)
    }
}

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::draw::FIRST_OPERATED_SEED as FIRST_SEED;
    use super::*;

    #[test]
    fn the_first_seeds_mean_what_they_meant() {
        for seed in 0..FIRST_SEED {
            let plan = Plan::draw(seed);
            assert!(plan.witnesses == 0 && plan.episodes.iter().all(|episode| episode.at >= BEGINS), "{plan}");
        }
    }

    #[test]
    fn every_way_to_run_a_cluster_is_drawn_by_some_seed() {
        let plans: Vec<Plan> = (FIRST_SEED..FIRST_SEED + 300).map(Plan::draw).collect();
        let names: BTreeSet<String> =
            plans.iter().flat_map(|plan| &plan.episodes).map(|episode| episode.fault.name()).collect();

        for name in ["switched-off", "store-fails", "upgrade", "old-program"] {
            assert!(names.contains(name), "{name}");
        }
        assert!(plans.iter().any(|plan| plan.witnesses == 1));
        assert!(plans.iter().any(|plan| plan.episodes.iter().any(|episode| episode.at < BEGINS)));
        assert!(plans.iter().all(|plan| plan.flaws().is_empty()));
    }
}
