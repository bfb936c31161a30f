//! P6: within five seconds after everything is whole again, every node serves, all of them see the same leader and each
//! other, and they stay so to the end; and every user is logged in when the world ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::history::{ClusterView, Event, Record};
use crate::plan::Plan;
use crate::report::Violation;

/// After a heal.
const CONVERGES_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let violation = |at, text| Violation { invariant: "convergence", at: Some(at), text };
    let mut violations = Vec::new();
    let due = plan.heals_at + CONVERGES_WITHIN;
    let mut views: BTreeMap<&str, Option<&ClusterView>> = BTreeMap::new();
    let mut is_checked = false;
    for record in history {
        if record.at > due && !is_checked {
            is_checked = true;
            violations.extend(pending(plan, &views).map(|text| violation(due, text)));
        }
        match &record.event {
            Event::Sees { node, view } => {
                views.insert(node, Some(view));
                if record.at > due
                    && let Some(text) = fault(plan, node, view)
                {
                    violations.push(violation(record.at, text));
                }
            }
            Event::Started { node } | Event::Crashed { node } | Event::Failed { node, .. } => {
                views.insert(node, None);
            }
            _ => {}
        }
    }
    violations.extend(pending(plan, &views).map(|text| violation(plan.ends_at, text)));
    violations.extend(absent(plan, history).map(|text| violation(plan.ends_at, text)));
    violations
}

/// What keeps the cluster from being one, in a sentence.
fn pending(plan: &Plan, views: &BTreeMap<&str, Option<&ClusterView>>) -> Option<String> {
    for node in plan.node_names() {
        match views.get(node.as_str()).copied().flatten() {
            None => return Some(format!("{node} does not run")),
            Some(view) => {
                if let Some(text) = fault(plan, &node, view) {
                    return Some(text);
                }
            }
        }
    }
    let leaders: BTreeSet<_> = views.values().flatten().map(|view| (&view.leader, view.term)).collect();
    (leaders.len() > 1).then(|| format!("the nodes see different leaders: {leaders:?}"))
}

fn fault(plan: &Plan, node: &str, view: &ClusterView) -> Option<String> {
    let is_whole = view.serving && !view.alone && view.leader.is_some() && view.active == plan.node_names();
    (!is_whole).then(|| format!("{node} is {view}"))
}

/// Users that are not logged in at the end.
fn absent(plan: &Plan, history: &[Record]) -> Option<String> {
    let users: BTreeSet<String> = plan.user_names().into_iter().collect();
    let mut absent = users.clone();
    for record in history {
        match &record.event {
            Event::LoggedIn { connection, .. } | Event::Resumed { connection, .. } => {
                absent.remove(&connection.user);
            }
            Event::Disconnected { connection, .. } if users.contains(&connection.user) => {
                absent.insert(connection.user.clone());
            }
            _ => {}
        }
    }
    (!absent.is_empty()).then(|| format!("not logged in at the end: {absent:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;

    fn sees(milliseconds: u64, node: &str, leader: &str) -> Record {
        let active = vec!["n1".to_owned(), "n2".to_owned(), "n3".to_owned()];
        let view =
            ClusterView { serving: true, leader: Some(leader.to_owned()), term: 1, active, ..ClusterView::default() };
        at(milliseconds, Event::Sees { node: node.to_owned(), view })
    }

    fn quiet() -> Plan {
        Plan { users: Vec::new(), ..Plan::calm(1) }
    }

    #[test]
    fn a_cluster_that_is_one_has_converged() {
        assert_eq!(check(&quiet(), &[sees(1, "n1", "n2"), sees(2, "n2", "n2"), sees(3, "n3", "n2")]), []);
    }

    #[test]
    fn two_leaders_and_a_missing_node_are_caught() {
        let two = check(&quiet(), &[sees(1, "n1", "n1"), sees(2, "n2", "n2"), sees(3, "n3", "n2")]);
        let missing = check(&quiet(), &[sees(1, "n1", "n1"), sees(2, "n2", "n1")]);

        assert!(two[0].text.contains("different leaders"), "{two:?}");
        assert!(missing[0].text.contains("n3 does not run"), "{missing:?}");
    }
}
