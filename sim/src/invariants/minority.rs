//! Who is cut off from a majority neither binds nor delivers after the longest time that a lease can last: the lease by
//! the slowest clock, and a moment (P7).
//!
//! Whether the cut-off nodes believe to hold a lease does not matter here: when they were cut off is known from outside.

use std::time::Duration;

use cresset_core::config::Timing;

use super::found;
use super::nodes::Nodes;
use super::windows::{Window, windows};
use crate::history::{DirectoryFact, Event, Record};
use crate::plan::{BEGINS, Fault, Plan};
use crate::report::Violation;

/// Packets that were under way with the last grant.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// By how many percent a clock may be slow.
const DRIFT_PERCENT: u32 = 5;

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let windows = windows(plan, history);
    let cuts: Vec<(Vec<String>, Duration, Duration)> =
        windows.iter().filter_map(|cut| fenced(plan, &windows, cut)).collect();
    if cuts.is_empty() {
        return Vec::new();
    }
    let mut nodes = Nodes::of(plan);
    let mut violations = Vec::new();
    for record in history {
        nodes.follow(record);
        let node = match &record.event {
            Event::Directory { node, fact: DirectoryFact::BindAnswered { route: Some(_), .. } }
            | Event::Holds { node, .. }
            | Event::Delivers { node, .. } => node,
            _ => continue,
        };
        let is_in = |(nodes, from, to): &&(Vec<String>, Duration, Duration)| {
            record.at > *from && record.at < *to && nodes.contains(node)
        };
        // Who is by itself needs no majority.
        let is_alone = nodes.get(node).is_some_and(|node| node.is_alone);
        if !is_alone && cuts.iter().any(|cut| is_in(&cut)) {
            violations.push(found("minority", record, format!("{} without a majority", record.event)));
        }
    }
    violations
}

/// Who is fenced by a fault, from when, to when.
fn fenced<'a>(plan: &Plan, all: &[Window<'a>], cut: &Window<'a>) -> Option<(Vec<String>, Duration, Duration)> {
    // Before all have joined, the one that has founded the cluster is its majority.
    if cut.from < BEGINS {
        return None;
    }
    let minority: Vec<String> = match cut.fault {
        Fault::Isolate { .. } | Fault::OneWay { .. } if plan.nodes > 1 => cut.nodes.to_vec(),
        Fault::Split { .. } if is_minority(plan, cut.nodes.len()) => cut.nodes.to_vec(),
        Fault::Split { .. } if is_minority(plan, plan.nodes - cut.nodes.len()) => {
            plan.node_names().into_iter().filter(|node| !cut.met(node)).collect()
        }
        _ => return None,
    };
    // Fewer are a majority where members have been removed.
    if all.iter().any(|other| matches!(other.fault, Fault::Remove { .. } | Fault::RemoveBlindly { .. })) {
        return None;
    }
    // The end of another fault may have mended what this one cut.
    let other_ends = all.iter().map(|other| other.to).filter(|to| *to > cut.from).min();
    let to = other_ends.map_or(cut.to, |to| to.min(cut.to));
    Some((minority, cut.from + fenced_after(plan) + plan.latency.1, to))
}

/// The longest lease of the plan on the slowest clock.
fn fenced_after(plan: &Plan) -> Duration {
    let lease = |fault: &Fault| if let Fault::ChangeTimes { lease, .. } = fault { Some(*lease) } else { None };
    let changed = plan.episodes.iter().filter_map(|episode| lease(&episode.fault)).max();
    let lease = changed.unwrap_or_default().max(Timing::default().lease);
    lease * (100 + DRIFT_PERCENT) / 100 + UNDER_WAY
}

/// Whether so many nodes are no majority of those that vote, whichever they are: an odd number, at most five.
fn is_minority(plan: &Plan, nodes: usize) -> bool {
    let voters = match plan.nodes {
        0..=2 => plan.nodes,
        3 | 4 => 3,
        _ => 5,
    };
    nodes <= voters / 2
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, delivers};
    use super::*;
    use crate::plan::Target;

    fn cut_off(nodes: &[&str]) -> [Record; 2] {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        [at(10_000, Event::Began { episode: 0, nodes }), at(20_000, Event::Ended { episode: 0 })]
    }

    fn plan(fault: Fault) -> Plan {
        Plan::calm(1).with(Duration::from_secs(10), Duration::from_secs(10), fault)
    }

    #[test]
    fn who_is_cut_off_delivers_until_the_lease_ends_and_again_when_it_is_back() {
        let plan = plan(Fault::Isolate { node: Target::Node(0) });
        let [began, ended] = cut_off(&["n1"]);

        let good =
            [began.clone(), delivers(12_000, "n1"), delivers(15_000, "n2"), ended.clone(), delivers(21_000, "n1")];

        assert_eq!(check(&plan, &good), []);
        assert_eq!(check(&plan, &[began, delivers(13_500, "n1"), ended]).len(), 1);
    }

    #[test]
    fn the_smaller_side_of_a_split_is_the_one_that_is_not_named_if_most_are() {
        let plan = plan(Fault::Split { nodes: vec![Target::Node(0), Target::Node(1)] });
        let [began, ended] = cut_off(&["n1", "n2"]);

        assert_eq!(check(&plan, &[began, delivers(14_000, "n1"), delivers(14_000, "n3"), ended]).len(), 1);
    }
}
