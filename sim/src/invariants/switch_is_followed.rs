//! All nodes follow the switch within five seconds: when clustering is off each serves its own clients by itself, when it
//! is on again they serve as one cluster.
//!
//! That is looked at where nothing else breaks: a node that cannot reach the database or the others cannot follow.

use std::collections::BTreeMap;
use std::time::Duration;

use super::windows::{Window, windows};
use crate::history::{ClusterView, Event, Record};
use crate::plan::{Fault, Plan};
use crate::report::Violation;

/// After the switch was thrown.
pub(super) const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);

/// How all nodes are to be from then until then.
struct Owed {
    is_alone: bool,
    from: Duration,
    to: Duration,
}

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let owed = owed(plan, history);
    let mut views: BTreeMap<&str, &ClusterView> = BTreeMap::new();
    let mut violations = Vec::new();
    let mut begun = 0;
    for record in history {
        while let Some(owed) = owed.get(begun).filter(|owed| owed.from < record.at) {
            begun += 1;
            let late = plan.node_names().into_iter().find_map(|node| {
                let view = views.get(node.as_str());
                view.is_none_or(|view| !is_as(plan, view, owed.is_alone)).then(|| {
                    let seen = view.map_or("silent".to_owned(), ToString::to_string);
                    format!("{node} has not followed the switch: it is {seen}")
                })
            });
            violations.extend(late.map(|text| violation(owed.from, text)));
        }
        let Event::Sees { node, view } = &record.event else { continue };
        views.insert(node, view);
        let is_owed = |owed: &&Owed| owed.from < record.at && record.at < owed.to;
        if let Some(owed) = owed.iter().find(is_owed).filter(|owed| !is_as(plan, view, owed.is_alone)) {
            let what = if owed.is_alone { "off" } else { "on" };
            violations.push(violation(record.at, format!("{node} is {view}, and clustering is {what}")));
        }
    }
    violations
}

fn violation(at: Duration, text: String) -> Violation {
    Violation { invariant: "switch_is_followed", at: Some(at), text }
}

fn is_as(plan: &Plan, view: &ClusterView, is_alone: bool) -> bool {
    let is_together = !view.alone && view.active == plan.node_names();
    view.serving && if is_alone { view.alone } else { is_together }
}

/// What is owed, in the order of time.
fn owed(plan: &Plan, history: &[Record]) -> Vec<Owed> {
    let windows = windows(plan, history);
    let mut owed = Vec::new();
    for off in windows.iter().filter(|window| *window.fault == Fault::SwitchedOff) {
        let is_switch = |window: &&Window<'_>| *window.fault == Fault::SwitchedOff;
        let others = || windows.iter().filter(|other| !other.is_of_clients() && !std::ptr::eq(*other, off));
        // What was broken before must be over long enough to be made up for.
        let is_quiet = |from: Duration, to: Duration| {
            !others().any(|other| other.touches(from.saturating_sub(FOLLOWED_WITHIN), to))
        };
        let (alone_from, together_from) = (off.from + FOLLOWED_WITHIN, off.to + FOLLOWED_WITHIN);
        if alone_from < off.to && is_quiet(off.from, off.to) {
            owed.push(Owed { is_alone: true, from: alone_from, to: off.to });
        }
        let next = windows.iter().filter(is_switch).map(|next| next.from).filter(|from| *from > off.from).min();
        let ends = next.unwrap_or(plan.ends_at);
        if together_from < ends && is_quiet(off.from, together_from) {
            let broken_from = others().map(|other| other.from).filter(|from| *from > together_from).min();
            owed.push(Owed { is_alone: false, from: together_from, to: broken_from.map_or(ends, |at| at.min(ends)) });
        }
    }
    owed.sort_by_key(|owed| owed.from);
    owed
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;
    use crate::plan::BEGINS;

    fn plan() -> Plan {
        let off = Duration::from_secs(8);
        Plan { users: Vec::new(), nodes: 1, ..Plan::calm(1) }
            .with(BEGINS, off, Fault::SwitchedOff)
            .healing_at(BEGINS + off)
    }

    fn sees(milliseconds: u64, alone: bool) -> Record {
        let view = ClusterView { serving: true, alone, active: vec!["n1".to_owned()], ..ClusterView::default() };
        at(milliseconds, Event::Sees { node: "n1".to_owned(), view })
    }

    fn run(follows_at: u64, comes_back_at: u64) -> Vec<Violation> {
        let history = [
            sees(1000, false),
            at(6_000, Event::Began { episode: 0, nodes: Vec::new() }),
            sees(follows_at, true),
            at(14_000, Event::Ended { episode: 0 }),
            sees(comes_back_at, false),
            at(30_000, Event::Healed),
        ];
        check(&plan(), &history)
    }

    #[test]
    fn who_follows_within_five_seconds_has_followed() {
        assert_eq!(run(10_900, 18_900), []);
    }

    #[test]
    fn who_follows_late_is_caught() {
        let off = run(11_100, 18_900);
        let on = run(7_000, 19_100);

        assert!(off[0].text.contains("has not followed the switch: it is serving, "), "{off:?}");
        assert!(on[0].text.contains("has not followed the switch: it is serving by itself"), "{on:?}");
    }
}
