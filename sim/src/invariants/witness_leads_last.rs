//! A witness leads only while no server can: from six seconds after everything is whole no node is led by one.
//!
//! Nodes tell how they see the cluster when that changes, so what a node has seen last counts until it says more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::history::{Event, Record};
use crate::plan::Plan;
use crate::report::Violation;

/// After a heal: as long as the cluster may take to be whole (P6), and to hand leadership over then.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(6);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let names = plan.node_names();
    let witnesses: BTreeSet<&str> = names.iter().skip(plan.nodes - plan.witnesses).map(String::as_str).collect();
    let due = plan.heals_at + HANDED_OVER_WITHIN;
    if witnesses.is_empty() || plan.ends_at <= due {
        return Vec::new();
    }
    // The witness that leads as each node saw last, and whether it was too late for that.
    let mut led: BTreeMap<&str, &str> = BTreeMap::new();
    let mut violations = BTreeMap::new();
    let mut tell = |node: &str, leader: &str, at| {
        let text = format!("{node} is led by the witness {leader} although every server is there");
        let violation = Violation { invariant: "witness_leads_last", at: Some(at), text };
        violations.entry(node.to_owned()).or_insert(violation);
    };
    let mut is_due = false;
    for record in history {
        if record.at > due && !is_due {
            is_due = true;
            led.iter().for_each(|(node, leader)| tell(node, leader, due));
        }
        match &record.event {
            Event::Sees { node, view } => match view.leader.as_deref().filter(|leader| witnesses.contains(leader)) {
                Some(leader) if is_due => tell(node, leader, record.at),
                Some(leader) => {
                    led.insert(node, leader);
                }
                None => {
                    led.remove(node.as_str());
                }
            },
            Event::Started { node }
            | Event::Crashed { node }
            | Event::Stopped { node }
            | Event::Failed { node, .. } => {
                led.remove(node.as_str());
            }
            _ => {}
        }
    }
    violations.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;
    use crate::history::ClusterView;

    fn led_by(milliseconds: u64, leader: &str) -> Record {
        let view = ClusterView { leader: Some(leader.to_owned()), ..ClusterView::default() };
        at(milliseconds, Event::Sees { node: "n1".to_owned(), view })
    }

    /// Something that says nothing of leaders.
    fn later(milliseconds: u64) -> Record {
        at(milliseconds, Event::Started { node: "n9".to_owned() })
    }

    /// Two servers and a witness, whole again after 20 s.
    fn plan() -> Plan {
        Plan { witnesses: 1, ..Plan::calm(1) }.healing_at(Duration::from_secs(20))
    }

    #[test]
    fn a_witness_may_lead_while_something_is_broken() {
        assert_eq!(
            check(&plan(), &[led_by(15_000, "n3"), led_by(25_900, "n3"), led_by(26_000, "n1"), later(27_000)]),
            []
        );
    }

    #[test]
    fn a_witness_that_is_elected_when_all_is_whole_is_caught_once() {
        assert_eq!(check(&plan(), &[led_by(26_100, "n3"), led_by(26_200, "n3")]).len(), 1);
    }

    /// Nothing changes any more, so nothing is told of it.
    #[test]
    fn a_witness_that_goes_on_leading_is_caught() {
        assert_eq!(check(&plan(), &[led_by(15_000, "n3"), later(27_000)]).len(), 1);
    }

    #[test]
    fn a_node_that_does_not_run_is_led_by_nobody() {
        let crashed = at(16_000, Event::Crashed { node: "n1".to_owned() });

        assert_eq!(check(&plan(), &[led_by(15_000, "n3"), crashed, later(27_000)]), []);
    }
}
