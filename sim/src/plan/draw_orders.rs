//! What operators order in the plan of a seed, besides what breaks in it.
//!
//! The invariant is that of `draw`: a member is removed only where nobody else loses his memory, because without its vote
//! fewer may fail, and only one whose disk may be lost.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::draw::{FIRST_RETIMED_SEED, REPAIRED_IN, REPLACED_IN};
use super::{BEGINS, Episode, Fault, Plan, Target};

/// Of a hundred seeds that operators do nothing else in, how many have orders: three of ten seeds.
const ORDERS_PERCENT: u32 = 68;

/// Orders in one plan.
const ORDERS_MAX: usize = 4;

/// Of a hundred seeds that have orders and lose no disk, how many change the times on which fencing rests.
const RETIMED_PERCENT: u32 = 60;

/// How long the cluster has to agree on other times before the order is given up.
const RETIMED_WITHIN: Duration = Duration::from_secs(12);

/// How long before everything is made whole the last order is given.
const LAST_BEFORE_HEAL: Duration = Duration::from_secs(3);

impl Plan {
    /// The same plan, either with how operators run it, or with what they order.
    pub(super) fn with_operation_or_orders(self) -> Plan {
        let run = self.clone().with_operation();
        if run == self { self.with_orders() } else { run }
    }

    fn with_orders(mut self) -> Plan {
        let mut random = self.seed.generator("orders", 0);
        if self.nodes < 2 || !random.random_ratio(ORDERS_PERCENT, 100) {
            return self;
        }
        for _ in 0..random.random_range(1..=ORDERS_MAX) {
            let latest = (self.heals_at - BEGINS - LAST_BEFORE_HEAL).as_millis();
            let at = BEGINS + milliseconds(&mut random, 0, u64::try_from(latest).unwrap_or_default());
            let node = draw_target(&mut random, self.nodes);
            let (lasts, fault) = match random.random_range(0..100) {
                0..45 => (milliseconds(&mut random, 2_000, 12_000), Some(Fault::Drain { node })),
                45..75 => (milliseconds(&mut random, 500, 4_000), Some(Fault::TransferLeader { to: node })),
                75..85 => (milliseconds(&mut random, 300, 3_000), Some(Fault::RemoveBlindly { node })),
                _ => {
                    let lasts = milliseconds(&mut random, 6_000, 14_000);
                    (lasts, self.draw_removal(&mut random, at, lasts))
                }
            };
            if let Some(fault) = fault {
                self = self.clone().with(at, lasts.min(self.heals_at - at), fault);
            }
        }
        if self.seed.0 >= FIRST_RETIMED_SEED { self.with_other_times() } else { self }
    }

    /// The times on which fencing rests are changed once or twice, to longer or shorter ones; not where a disk is lost,
    /// because a new member whose file still has the old ones is refused.
    fn with_other_times(mut self) -> Plan {
        let mut random = self.seed.generator("times", 0);
        let loses_disk = self.episodes.iter().any(|episode| episode.fault.loses_disk());
        if loses_disk || !random.random_ratio(RETIMED_PERCENT, 100) {
            return self;
        }
        for _ in 0..random.random_range(1..=2) {
            let latest = (self.heals_at - BEGINS - LAST_BEFORE_HEAL).as_millis();
            let at = BEGINS + milliseconds(&mut random, 0, u64::try_from(latest).unwrap_or_default());
            let lease = milliseconds(&mut random, 2_000, 5_500);
            let expel_after = lease.mul_f64(1.1) + milliseconds(&mut random, 500, 1_500);
            let change = Fault::ChangeTimes { lease, expel_after };
            let lasts = RETIMED_WITHIN.min(self.heals_at - at);
            self = self.with(at, lasts, change);
        }
        self
    }

    /// Somebody who may be removed then, if anybody may.
    fn draw_removal(&self, random: &mut StdRng, at: Duration, lasts: Duration) -> Option<Fault> {
        let (earliest, latest) = (at.saturating_sub(REPLACED_IN), at + lasts + REPLACED_IN);
        let is_near = |episode: &&Episode| episode.at <= latest && earliest <= episode.ends() + REPAIRED_IN;
        if self.nodes < 3 || self.episodes.iter().filter(is_near).any(|episode| episode.fault.loses_memory()) {
            return None;
        }
        let losses = self.episodes.iter().filter(|episode| episode.fault.loses_disk());
        let mut losers: Vec<Target> = losses.flat_map(|episode| episode.fault.targets()).collect();
        losers.sort_unstable_by_key(Target::to_string);
        losers.dedup();
        if losers.len() >= (self.nodes - 1) / 2 {
            return losers.choose(random).map(|node| Fault::Remove { node: *node });
        }
        Some(Fault::Remove { node: Target::Node(random.random_range(0..self.nodes)) })
    }
}

fn draw_target(random: &mut StdRng, nodes: usize) -> Target {
    match random.random_range(0..3) {
        0 => Target::Leader,
        _ => Target::Node(random.random_range(0..nodes)),
    }
}

fn milliseconds(random: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(random.random_range(least..=most.max(least)))
}

#[cfg(test)]
mod tests {
    use super::super::draw::FIRST_OPERATED_SEED as FIRST_SEED;
    use super::*;

    #[test]
    fn the_seeds_that_were_there_before_orders_have_none() {
        let has_orders = |seed: &u64| Plan::draw(*seed).episodes.iter().any(|episode| episode.fault.is_order());

        assert_eq!((0..FIRST_SEED).filter(has_orders).count(), 0);
        assert!((FIRST_SEED..FIRST_SEED + 300).filter(has_orders).count() > 60);
    }

    #[test]
    fn times_are_changed_by_some_of_the_later_seeds_and_by_none_of_those_that_are_told_of() {
        let is_retimed = |seed: &u64| {
            Plan::draw(*seed).episodes.iter().any(|episode| matches!(episode.fault, Fault::ChangeTimes { .. }))
        };

        assert_eq!((FIRST_SEED..FIRST_SEED + 300).filter(is_retimed).count(), 0);
        let first = FIRST_RETIMED_SEED;
        assert!((first..first + 300).filter(is_retimed).count() > 15);
        for plan in (first..first + 300).map(Plan::draw) {
            let is_retimed = plan.episodes.iter().any(|episode| matches!(episode.fault, Fault::ChangeTimes { .. }));
            assert!(!is_retimed || !plan.episodes.iter().any(|episode| episode.fault.loses_disk()), "{plan}");
            assert!(plan.flaws().is_empty(), "{plan}");
        }
    }

    #[test]
    fn nobody_else_loses_his_memory_while_a_member_is_removed() {
        for plan in (FIRST_SEED..FIRST_SEED + 1_000).map(Plan::draw) {
            for (number, removal) in plan.episodes.iter().enumerate() {
                if !matches!(removal.fault, Fault::Remove { .. }) {
                    continue;
                }
                let others = plan.episodes.iter().enumerate().filter(|(other, _)| *other != number);
                let mut losses = others.filter(|(_, episode)| episode.fault.loses_memory());
                assert!(losses.all(|(_, loss)| loss.at > removal.ends() || loss.ends() < removal.at), "{plan}");
            }
        }
    }
}
