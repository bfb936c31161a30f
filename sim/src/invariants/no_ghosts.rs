//! No ghosts: a node that has seen a life end routes to none of its sessions; and five seconds after a crash no node
//! that serves routes to a session of the process that has gone (P6; architecture, section 3).
//!
//! A node that installs a snapshot tells of routes before it tells of lives, so the first is asked when it says how far it
//! has come. A route lies behind the entry by which its life began: that tells it from those of the life before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cresset_core::ids::RouteId;

use super::found;
use super::nodes::Nodes;
use super::windows::{Window, windows};
use crate::history::{DirectoryFact, Event, LifeStage, RaftFact, Record};
use crate::plan::{Level, Plan};
use crate::report::Violation;

/// After a crash, as long as nothing else breaks.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// At the level of cores proposals are lost on purpose; they are made again every half second.
const LOST_PROPOSALS: Duration = Duration::from_secs(2);

/// What one node has seen of the lives of members.
#[derive(Default)]
struct Lives<'a> {
    /// The life that each member has, by the entry with which it began.
    present: BTreeMap<u64, u64>,
    /// Members whose lives have ended since the node said how far it had come.
    ended: Vec<(u64, &'a Record)>,
}

/// A process that is gone, and what it held.
struct Gone<'a> {
    node: &'a str,
    due: Duration,
    held: BTreeSet<RouteId>,
}

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let windows = windows(plan, history);
    let within = GONE_WITHIN + if plan.level == Level::Cores { LOST_PROPOSALS } else { Duration::ZERO };
    let mut nodes = Nodes::of(plan);
    let mut gone: Vec<Gone<'_>> = Vec::new();
    let mut lives: BTreeMap<&str, Lives<'_>> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        while let Some(first) = gone.first().filter(|first| first.due < record.at) {
            violations.extend(haunted(&nodes, first).map(|text| found("no_ghosts", record, text)));
            gone.remove(0);
        }
        nodes.follow(record);
        match &record.event {
            Event::Started { node } => drop(lives.remove(node.as_str())),
            Event::Directory { node, fact: DirectoryFact::Life { member, incarnation, stage, .. } } => {
                let lives = lives.entry(node).or_default();
                match stage {
                    LifeStage::Joined => drop(lives.present.insert(*member, *incarnation)),
                    LifeStage::Activated => {}
                    LifeStage::Ended => {
                        lives.present.remove(member);
                        lives.ended.push((*member, record));
                    }
                }
            }
            Event::Raft { node, fact: RaftFact::State { .. } } => {
                let (Some(state), Some(lives)) = (nodes.get(node), lives.get_mut(node.as_str())) else { continue };
                for (member, record) in std::mem::take(&mut lives.ended) {
                    let begun = lives.present.get(&member).copied().unwrap_or(u64::MAX);
                    let is_ghost = |route: &RouteId, holder: &u64| *holder == member && route.index.0 < begun;
                    if let Some((jid, (route, _))) =
                        state.routes.iter().find(|(_, (route, holder))| is_ghost(route, holder))
                    {
                        let text = format!("{node} has seen the life of {member} end, and routes {jid} to its {route}");
                        violations.push(found("no_ghosts", record, text));
                    }
                }
            }
            Event::Crashed { node } if is_quiet(&windows, record.at) => {
                let member = nodes.get(node).and_then(|node| node.member);
                let routes = nodes.iter().flat_map(|(_, state)| state.routes.values());
                let held = routes.filter(|(_, holder)| Some(*holder) == member).map(|(route, _)| *route).collect();
                gone.push(Gone { node, due: record.at + within, held });
            }
            _ => {}
        }
    }
    violations
}

fn haunted<'a>(nodes: &'a Nodes<'_>, gone: &'a Gone<'_>) -> impl Iterator<Item = String> {
    let serving = nodes.iter().filter(|(_, state)| state.serves());
    serving.filter_map(|(name, state)| {
        let (jid, (route, _)) = state.routes.iter().find(|(_, (route, _))| gone.held.contains(route))?;
        Some(format!("{name} routes {jid} to {route} at {}, which crashed long ago", gone.node))
    })
}

/// Whether nothing but the crash itself is going on, and was not a moment ago.
fn is_quiet(windows: &[Window<'_>], at: Duration) -> bool {
    let from = at.saturating_sub(GONE_WITHIN);
    let others = windows.iter().filter(|window| !window.is_of_clients() && window.touches(from, at + GONE_WITHIN));
    others.count() <= 1
}

#[cfg(test)]
mod tests {
    use super::super::testing::{added, at, directory, is, removed, serves};
    use super::*;

    fn life(stage: LifeStage, incarnation: u64) -> Record {
        directory("n2", DirectoryFact::Life { member: 1, incarnation, stage, index: 9 })
    }

    fn applied(index: u64) -> Record {
        at(0, Event::Raft { node: "n2".to_owned(), fact: RaftFact::State { index, digest: 0 } })
    }

    #[test]
    fn sessions_that_go_with_their_life_are_no_ghosts_and_those_that_stay_are() {
        let before = [life(LifeStage::Joined, 1), added("n2", "a", 5, 1)];
        let after = [life(LifeStage::Ended, 1), applied(9)];

        let good = [before.as_slice(), &[removed("n2", "a", 5)], &after].concat();
        let bad = [before.as_slice(), &after].concat();

        assert_eq!(check(&Plan::calm(1), &good), []);
        assert_eq!(check(&Plan::calm(1), &bad).len(), 1);
    }

    /// A snapshot tells of the end of a life and of the next one at once.
    #[test]
    fn sessions_of_the_next_life_are_no_ghosts_of_the_one_before() {
        let lives = [life(LifeStage::Ended, 1), life(LifeStage::Joined, 7), applied(9)];
        let with = |index| [[life(LifeStage::Joined, 1), added("n2", "a", index, 1)].as_slice(), &lives].concat();

        assert_eq!(check(&Plan::calm(1), &with(8)), []);
        assert_eq!(check(&Plan::calm(1), &with(5)).len(), 1);
    }

    #[test]
    fn five_seconds_after_a_crash_nobody_routes_there() {
        let before = [serves("n2").as_slice(), &[is("n1", 1), added("n2", "a", 5, 1)]].concat();
        let crashed = at(1000, Event::Crashed { node: "n1".to_owned() });
        let later = at(7000, Event::Healed);

        let good = [before.as_slice(), &[crashed.clone(), removed("n2", "a", 5), later.clone()]].concat();
        let bad = [before.as_slice(), &[crashed, later]].concat();

        assert_eq!(check(&Plan::calm(1), &good), []);
        assert_eq!(check(&Plan::calm(1), &bad).len(), 1);
    }
}
