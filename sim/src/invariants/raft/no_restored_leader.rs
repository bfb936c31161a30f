//! A process leads only terms in which it was elected: one that starts again does not come back as the leader of a term
//! of the process before it. With a log that is synced in the background that process may have given the same position
//! to another entry (the design's notes on determinism; openraft's `enable_leader_restore`).

use std::collections::BTreeMap;

use super::super::found;
use crate::history::{Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut boots: BTreeMap<&str, u32> = BTreeMap::new();
    let mut led: BTreeMap<(&str, u64), u32> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        match &record.event {
            Event::Started { node } => *boots.entry(node).or_default() += 1,
            Event::Raft { node, fact: RaftFact::Leads { term } } => {
                let boot = boots.get(node.as_str()).copied().unwrap_or_default();
                if *led.entry((node, *term)).or_insert(boot) != boot {
                    let text = format!("{node} leads term {term} again after a start");
                    violations.push(found("no_restored_leader", record, text));
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{leads, started};
    use super::*;

    #[test]
    fn a_process_may_lead_a_term_of_its_own_and_not_one_of_the_process_before() {
        assert_eq!(check(&[started("n1"), leads("n1", 1), leads("n1", 1), started("n1"), leads("n1", 2)]), []);
        assert_eq!(check(&[started("n1"), leads("n1", 1), started("n1"), leads("n1", 1)]).len(), 1);
    }
}
