//! The term of a node never falls: not the one on its disk as long as the disk is there, nor the one that its Raft acts in
//! as long as the process runs, nor the one that its control task has heard of, which may be late (Raft, section 5.1 and
//! figure 2; Vanlightly's MonotonicTerm).

use std::collections::BTreeMap;

use super::super::found;
use crate::history::{Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut on_disk: BTreeMap<&str, u64> = BTreeMap::new();
    let mut in_use: BTreeMap<&str, u64> = BTreeMap::new();
    let mut heard: BTreeMap<&str, u64> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        let (last, node, term) = match &record.event {
            Event::DiskLost { node } => {
                on_disk.remove(node.as_str());
                continue;
            }
            Event::Started { node } => {
                in_use.remove(node.as_str());
                heard.remove(node.as_str());
                continue;
            }
            Event::Raft { node, fact: RaftFact::Voted { term, .. } } => (&mut on_disk, node, *term),
            Event::Raft { node, fact: RaftFact::Leads { term } } => (&mut in_use, node, *term),
            Event::Sees { node, view } => (&mut heard, node, view.term),
            _ => continue,
        };
        if let Some(before) = last.insert(node, term)
            && before > term
        {
            let text = format!("{node} was in term {before} and is in term {term}");
            violations.push(found("monotonic_term", record, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{disk_lost, leads, started, voted};
    use super::*;

    #[test]
    fn a_term_may_rise_and_a_new_disk_begins_anew() {
        let history =
            [voted("n1", 1, 1, true), leads("n1", 1), voted("n1", 3, 2, false), started("n1"), leads("n1", 1)];

        assert_eq!(check(&history), []);
        assert_eq!(check(&[voted("n1", 3, 1, true), disk_lost("n1"), voted("n1", 1, 1, true)]), []);
    }

    #[test]
    fn a_term_that_falls_is_caught() {
        assert_eq!(check(&[voted("n1", 3, 1, true), started("n1"), voted("n1", 2, 1, true)]).len(), 1);
        assert_eq!(check(&[leads("n1", 3), leads("n1", 2)]).len(), 1);
    }
}
