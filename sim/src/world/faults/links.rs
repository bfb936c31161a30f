//! Links between nodes: cut in every shape, clogged, lossy, slow, reset, half open, or as if their node were dead.

use std::ops::Range;

use rand::RngExt;
use rand::seq::SliceRandom;

use super::steps::Action;
use super::*;
use crate::plan::Way;

impl Breaker {
    pub(super) fn begin_with_links(&mut self, number: usize, time: Range<Duration>, fault: &Fault, met: &[usize]) {
        let first = met.first().copied();
        let switchboard = self.world.switchboard.clone();
        #[allow(clippy::wildcard_enum_match_arm, reason = "all others cut something")]
        match fault {
            Fault::Loss { percent } => {
                switchboard.begin_losses(*percent);
                self.undo_later(number, Undo::EndLosses(*percent));
            }
            Fault::Slow { worst } => {
                switchboard.begin_slowness(*worst);
                self.undo_later(number, Undo::EndSlowness(*worst));
            }
            Fault::Reset { times, .. } => {
                if let Some(node) = first {
                    self.repeat(number, time, *times, || Action::Reset(node));
                }
            }
            Fault::HalfOpen { .. } => {
                if let [node, other] = met {
                    let forsaken = switchboard.forget(*node, *other);
                    self.undo_later(number, Undo::Disabuse(forsaken));
                }
            }
            Fault::Shunned { .. } => {
                if let [node, other] = met {
                    switchboard.shun(*node, *other);
                    self.undo_later(number, Undo::StopShunning(*node, *other));
                }
            }
            Fault::FalseCrash { .. } => {
                if let Some(node) = first {
                    switchboard.play_dead(node);
                    self.undo_later(number, Undo::StopPlayingDead(node));
                }
            }
            Fault::Swizzle { .. } => self.swizzle(number, time, met),
            _ => {
                let ways = ways_that_are_cut(fault, met, self.processes.len());
                self.hold(Some(number), ways);
            }
        }
    }

    /// Lets something happen several times, the first time at once.
    pub(super) fn repeat(&mut self, number: usize, time: Range<Duration>, times: u32, action: impl Fn() -> Action) {
        let lasts = time.end - time.start;
        for turn in 0..times.max(1) {
            self.steps.add(time.start + lasts * turn / times.max(1), Some(number), action());
        }
    }

    /// All links of each node clog, one after the other, and are freed one after the other in another order.
    fn swizzle(&mut self, number: usize, time: Range<Duration>, met: &[usize]) {
        let mut random = self.world.seed.generator("swizzle", number as u64);
        let lasts = time.end - time.start;
        let mut order = met.to_vec();
        for way in [0.0, 0.5] {
            order.shuffle(&mut random);
            for node in &order {
                let ways = both_ways(|from, to| from == *node || to == *node, self.processes.len());
                let at = time.start + lasts.mul_f64(random.random_range(way..way + 0.5));
                let action = if way == 0.0 { Action::Hold(ways) } else { Action::Release(ways) };
                self.steps.add(at, Some(number), action);
            }
        }
    }

    pub(super) fn hold(&mut self, episode: Option<usize>, ways: Ways) {
        if let Some(under_way) = episode.and_then(|number| self.under_way.get_mut(&number)) {
            self.world.switchboard.hold(&ways);
            under_way.held.push(ways);
        }
    }

    pub(super) fn release(&mut self, episode: Option<usize>, ways: &Ways) {
        if let Some(under_way) = episode.and_then(|number| self.under_way.get_mut(&number))
            && let Some(at) = under_way.held.iter().position(|held| held == ways)
        {
            under_way.held.remove(at);
            self.world.switchboard.release(ways);
        }
    }
}

/// From whom to whom nothing passes.
#[allow(clippy::wildcard_enum_match_arm, reason = "all others cut nothing")]
fn ways_that_are_cut(fault: &Fault, met: &[usize], nodes: usize) -> Ways {
    let first = met.first().copied();
    match fault {
        Fault::Isolate { .. } => both_ways(|from, to| Some(from) == first || Some(to) == first, nodes),
        Fault::OneWay { way, .. } => both_ways(
            |from, to| match way {
                Way::Out => Some(from) == first,
                Way::In => Some(to) == first,
            },
            nodes,
        ),
        Fault::Split { .. } => both_ways(|from, to| met.contains(&from) != met.contains(&to), nodes),
        Fault::Ring => {
            both_ways(|from, to| !matches!((from + nodes - to) % nodes, n if n == 1 || n == nodes - 1), nodes)
        }
        Fault::Bridge { .. } => {
            let Some(bridge) = first else { return Ways::new() };
            // The others in their order, from the one behind the bridge on: the first half, and the second.
            let half = |node: usize| (node + nodes - bridge) % nodes > nodes / 2;
            both_ways(|from, to| from != bridge && to != bridge && half(from) != half(to), nodes)
        }
        Fault::Clog { .. } => both_ways(|from, to| met.len() == 2 && met.contains(&from) && met.contains(&to), nodes),
        _ => Ways::new(),
    }
}

fn both_ways(is_cut: impl Fn(usize, usize) -> bool, nodes: usize) -> Ways {
    let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
    pairs.filter(|(from, to)| from != to && is_cut(*from, *to)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(fault: Fault, met: &[usize], nodes: usize) -> Vec<(usize, usize)> {
        ways_that_are_cut(&fault, met, nodes).into_iter().collect()
    }

    #[test]
    fn each_shape_cuts_what_it_says() {
        let node = Target::Node(0);

        assert_eq!(cut(Fault::Isolate { node }, &[0], 3), [(0, 1), (0, 2), (1, 0), (2, 0)]);
        assert_eq!(cut(Fault::OneWay { node, way: Way::Out }, &[0], 3), [(0, 1), (0, 2)]);
        assert_eq!(cut(Fault::OneWay { node, way: Way::In }, &[0], 3), [(1, 0), (2, 0)]);
        assert_eq!(cut(Fault::Split { nodes: vec![] }, &[0, 1], 3), [(0, 2), (1, 2), (2, 0), (2, 1)]);
        assert_eq!(cut(Fault::Clog { nodes: [node, node] }, &[0, 2], 3), [(0, 2), (2, 0)]);
        assert_eq!(cut(Fault::Ring, &[], 3), []);
        assert_eq!(cut(Fault::Ring, &[], 4), [(0, 2), (1, 3), (2, 0), (3, 1)]);
        assert_eq!(cut(Fault::Bridge { node }, &[0], 3), [(1, 2), (2, 1)]);
        let halves = cut(Fault::Bridge { node }, &[0], 5);
        assert_eq!(halves, [(1, 3), (1, 4), (2, 3), (2, 4), (3, 1), (3, 2), (4, 1), (4, 2)]);
    }
}
