//! No ghosts: a node that has seen a life end routes to none of its sessions; and five seconds after a crash no node
//! that serves routes to a session of the process that has gone (P6; architecture, section 3).

use std::collections::BTreeSet;
use std::time::Duration;

use cresset_core::ids::RouteId;

use super::found;
use super::nodes::Nodes;
use super::windows::{Window, windows};
use crate::history::{DirectoryFact, Event, LifeStage, Record};
use crate::plan::{Level, Plan};
use crate::report::Violation;

/// After a crash, as long as nothing else breaks.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// At the level of cores proposals are lost on purpose; they are made again every half second.
const LOST_PROPOSALS: Duration = Duration::from_secs(2);

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
    let mut violations = Vec::new();
    for record in history {
        while let Some(first) = gone.first().filter(|first| first.due < record.at) {
            violations.extend(haunted(&nodes, first).map(|text| found("no_ghosts", record, text)));
            gone.remove(0);
        }
        nodes.follow(record);
        match &record.event {
            Event::Directory { node, fact: DirectoryFact::Life { member, stage: LifeStage::Ended, .. } } => {
                let Some(state) = nodes.get(node) else { continue };
                if let Some((jid, (route, _))) = state.routes.iter().find(|(_, (_, holder))| holder == member) {
                    let text = format!("{node} has seen the life of {member} end, and routes {jid} to its {route}");
                    violations.push(found("no_ghosts", record, text));
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

    fn ended(node: &str, member: u64) -> Record {
        directory(node, DirectoryFact::Life { member, incarnation: 1, stage: LifeStage::Ended, index: 9 })
    }

    #[test]
    fn sessions_that_go_with_their_life_are_no_ghosts_and_those_that_stay_are() {
        let before = [added("n2", "a", 5, 1)];

        assert_eq!(check(&Plan::calm(1), &[before[0].clone(), removed("n2", "a", 5), ended("n2", 1)]), []);
        assert_eq!(check(&Plan::calm(1), &[before[0].clone(), ended("n2", 1)]).len(), 1);
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
