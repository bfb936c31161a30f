//! A witness leads only while no server can: from five seconds after everything is whole no node is led by one.

use std::collections::BTreeSet;
use std::time::Duration;

use super::found;
use crate::history::{Event, Record};
use crate::plan::Plan;
use crate::report::Violation;

/// After a heal: as long as the cluster may take to be whole (P6), and to hand leadership over then.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(6);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let names = plan.node_names();
    let witnesses: BTreeSet<&str> = names.iter().skip(plan.nodes - plan.witnesses).map(String::as_str).collect();
    let late = history.iter().filter(|record| record.at > plan.heals_at + HANDED_OVER_WITHIN);
    let mut told = BTreeSet::new();
    late.filter_map(|record| {
        let Event::Sees { node, view } = &record.event else { return None };
        let leader = view.leader.as_deref().filter(|leader| witnesses.contains(leader))?;
        let text = || format!("{node} is led by the witness {leader} although every server is there");
        told.insert(node).then(|| found("witness_leads_last", record, text()))
    })
    .collect()
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

    /// Two servers and a witness, whole again after 20 s.
    fn plan() -> Plan {
        Plan { witnesses: 1, ..Plan::calm(1) }.healing_at(Duration::from_secs(20))
    }

    #[test]
    fn a_witness_may_lead_while_something_is_broken() {
        assert_eq!(check(&plan(), &[led_by(15_000, "n3"), led_by(25_900, "n3"), led_by(26_100, "n1")]), []);
    }

    #[test]
    fn a_witness_that_goes_on_leading_is_caught_once() {
        assert_eq!(check(&plan(), &[led_by(26_100, "n3"), led_by(26_200, "n3")]).len(), 1);
    }
}
