//! Every `sometimes!("…")` of the workspace, and which of them a swarm has to visit.
//!
//! A fault that never met the code it was meant for proves nothing. So a swarm counts visits to the places that matter,
//! by what the visiting node was at that moment, and fails if one of these was never reached. `tests/architecture`
//! compares this list with the code, both ways; a name stands there once.

use std::collections::BTreeMap;

use cresset_core::probe::Part;
use serde::{Deserialize, Serialize};

use crate::plan::Level;

/// A place in the code that simulations should visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// The room in which it is, like `core/routing` or `net/links`.
    pub room: &'static str,
    /// Its name.
    pub name: &'static str,
    /// At which levels a swarm has to visit it.
    pub required: &'static [Level],
    /// By each of whom; empty if it does not matter what the visitor is.
    pub parts: &'static [Part],
}

#[allow(dead_code, reason = "the words in which the list is written")]
mod words {
    use super::{Level, Part};

    pub(super) const BOTH: &[Level] = &[Level::Cores, Level::Nodes];
    pub(super) const CORES: &[Level] = &[Level::Cores];
    pub(super) const NODES: &[Level] = &[Level::Nodes];
    /// Counted and printed, but too rare to be required of every swarm.
    pub(super) const RARE: &[Level] = &[];

    pub(super) const ANYONE: &[Part] = &[];
    pub(super) const LEADER: &[Part] = &[Part::Leader];
    pub(super) const FOLLOWER: &[Part] = &[Part::Follower];
    pub(super) const OUTSIDE: &[Part] = &[Part::Outside];
    pub(super) const LEADER_AND_FOLLOWER: &[Part] = &[Part::Leader, Part::Follower];
    pub(super) const MEMBERS: &[Part] = &[Part::Leader, Part::Follower, Part::Learner];
}

#[allow(unused_imports, reason = "the words in which the list is written")]
use words::*;

/// Every probe: its room, its name, where it is required and of whom. One line each, in the order of rooms and names.
#[rustfmt::skip]
pub const PROBES: &[Probe] = &[
];

#[allow(dead_code, reason = "the word in which the list is written")]
const fn probe(room: &'static str, name: &'static str, required: &'static [Level], parts: &'static [Part]) -> Probe {
    Probe { room, name, required, parts }
}

/// The parts of a node, in the order in which visits are counted.
pub const PARTS: [Part; 4] = [Part::Outside, Part::Leader, Part::Follower, Part::Learner];

/// How often each place was visited, by each of [`PARTS`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Visits(BTreeMap<String, [u64; 4]>);

impl Visits {
    /// Counts visits.
    pub fn add(&mut self, name: &str, part: Part, times: u64) {
        let counts = self.0.entry(name.to_owned()).or_default();
        for (known, count) in PARTS.iter().zip(counts) {
            if *known == part {
                *count += times;
            }
        }
    }

    /// Counts those of another run.
    pub fn merge(&mut self, others: Visits) {
        for (name, more) in others.0 {
            let counts = self.0.entry(name).or_default();
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
    }

    /// How often this part was there.
    pub fn by(&self, name: &str, part: Part) -> u64 {
        let counts = self.0.get(name).copied().unwrap_or_default();
        PARTS.iter().zip(counts).filter(|(known, _)| **known == part).map(|(_, count)| count).sum()
    }

    /// How often anybody was there.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |counts| counts.iter().sum())
    }

    /// Probes that nobody visited at all.
    pub fn never<'a>(&self, probes: &'a [Probe]) -> Vec<&'a Probe> {
        probes.iter().filter(|probe| self.of(probe.name) == 0).collect()
    }

    /// Visits that are required at this level and did not happen, each in words.
    pub fn missing(&self, probes: &[Probe], level: Level) -> Vec<String> {
        let mut missing = Vec::new();
        for probe in probes.iter().filter(|probe| probe.required.contains(&level)) {
            let Probe { room, name, parts, .. } = probe;
            if self.of(name) == 0 {
                missing.push(format!("{name} ({room})"));
                continue;
            }
            let absent = parts.iter().filter(|part| self.by(name, **part) == 0);
            missing.extend(absent.map(|part| format!("{name} ({room}) by a {}", word(*part))));
        }
        missing
    }
}

/// What a node is, in a word.
pub fn word(part: Part) -> &'static str {
    match part {
        Part::Outside => "node outside",
        Part::Leader => "leader",
        Part::Follower => "follower",
        Part::Learner => "learner",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &[Probe] = &[
        probe("core/node", "a", BOTH, LEADER_AND_FOLLOWER),
        probe("core/node", "b", NODES, ANYONE),
        probe("core/node", "c", RARE, ANYONE),
    ];

    #[test]
    fn what_is_required_and_was_not_visited_is_named_with_the_part() {
        let mut visits = Visits::default();
        visits.add("a", Part::Leader, 3);

        assert_eq!(visits.missing(SOME, Level::Nodes), ["a (core/node) by a follower", "b (core/node)"]);
        assert_eq!(visits.missing(SOME, Level::Cores), ["a (core/node) by a follower"]);
        assert_eq!(visits.never(SOME).iter().map(|probe| probe.name).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn visits_of_several_runs_add_up() {
        let (mut sum, mut one) = (Visits::default(), Visits::default());
        one.add("a", Part::Leader, 1);
        one.add("a", Part::Learner, 1);

        sum.merge(one.clone());
        sum.merge(one);

        assert_eq!((sum.of("a"), sum.by("a", Part::Learner), sum.by("a", Part::Follower)), (4, 2, 0));
    }

    #[test]
    fn the_list_is_in_the_order_of_rooms_and_names() {
        let keys: Vec<_> = PROBES.iter().map(|probe| (probe.room, probe.name)).collect();

        assert!(keys.is_sorted(), "{keys:?}");
    }
}
