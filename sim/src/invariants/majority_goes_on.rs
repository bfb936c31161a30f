//! Who can lose a member goes on without one: where one node is down or cut off and nothing else breaks, all others serve
//! from five seconds after it (P6). A witness counts: two nodes and a witness lose any of the three.

use std::collections::BTreeMap;
use std::time::Duration;

use super::windows::{Window, windows};
use crate::history::{ClusterView, Event, Record};
use crate::plan::{Fault, Level, Plan};
use crate::report::Violation;

/// Until the others have expelled the one that is lost, whatever it was.
const GOES_ON_WITHIN: Duration = Duration::from_secs(5);

/// How long everything must have been whole before, for all members to be there.
const WHOLE_BEFORE: Duration = Duration::from_secs(6);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    if plan.nodes < 3 || plan.level == Level::Cores {
        return Vec::new();
    }
    let windows = windows(plan, history);
    let mut violations = Vec::new();
    for lost in windows.iter().filter(|window| is_loss(window)) {
        let (from, to) = (lost.from + GOES_ON_WITHIN, lost.to);
        let begins = lost.from.saturating_sub(WHOLE_BEFORE);
        let touching = windows.iter().filter(|other| !other.is_of_clients() && other.touches(begins, to));
        if from >= to || lost.from < WHOLE_BEFORE || touching.count() != 1 {
            continue;
        }
        violations.extend(stopped(plan, history, lost, from).map(|(at, text)| Violation {
            invariant: "majority_goes_on",
            at: Some(at),
            text,
        }));
    }
    violations
}

fn is_loss(window: &Window<'_>) -> bool {
    let is_loss = matches!(
        window.fault,
        Fault::Crash { .. }
            | Fault::PowerLoss { .. }
            | Fault::Pause { .. }
            | Fault::Isolate { .. }
            | Fault::LoseDisk { .. }
    );
    is_loss && window.nodes.len() == 1
}

/// The first of the others that does not serve in that time.
fn stopped(plan: &Plan, history: &[Record], lost: &Window<'_>, from: Duration) -> Option<(Duration, String)> {
    let others: Vec<String> = plan.node_names().into_iter().filter(|node| !lost.met(node)).collect();
    let mut views: BTreeMap<&str, &ClusterView> = BTreeMap::new();
    let mut is_checked = false;
    let stops = |node: &str, view: Option<&&ClusterView>| {
        let seen = view.map_or("silent".to_owned(), ToString::to_string);
        view.is_none_or(|view| !view.serving)
            .then(|| format!("{node} does not go on without {}: it is {seen}", lost.nodes.join(", ")))
    };
    for record in history.iter().take_while(|record| record.at <= lost.to) {
        if record.at > from && !is_checked {
            is_checked = true;
            let first = others.iter().find_map(|node| stops(node, views.get(node.as_str())));
            if let Some(text) = first {
                return Some((from, text));
            }
        }
        let Event::Sees { node, view } = &record.event else { continue };
        views.insert(node, view);
        if record.at > from
            && record.at < lost.to
            && others.contains(node)
            && let Some(text) = stops(node, Some(&view))
        {
            return Some((record.at, text));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;
    use crate::plan::{BEGINS, Target};

    fn run(serving: bool) -> Vec<Violation> {
        let begins = BEGINS + Duration::from_secs(2);
        let crash = Fault::Crash { node: Target::Node(2) };
        let plan = Plan::calm(1).with(begins, Duration::from_secs(10), crash);
        let sees = |milliseconds, node: &str, serving| {
            let view = ClusterView { serving, ..ClusterView::default() };
            at(milliseconds, Event::Sees { node: node.to_owned(), view })
        };
        let history = [
            sees(1_000, "n1", true),
            sees(1_000, "n2", true),
            at(8_000, Event::Began { episode: 0, nodes: vec!["n3".to_owned()] }),
            sees(9_000, "n2", false),
            sees(12_000, "n2", serving),
            at(18_000, Event::Ended { episode: 0 }),
        ];
        check(&plan, &history)
    }

    #[test]
    fn who_serves_again_within_five_seconds_goes_on() {
        assert_eq!(run(true), []);
    }

    #[test]
    fn who_stops_because_one_is_gone_is_caught() {
        let caught = run(false);

        assert!(caught[0].text.contains("n2 does not go on without n3: it is not serving"), "{caught:?}");
    }
}
