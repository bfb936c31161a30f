//! State machine safety: if a node has applied an entry at an index, no node ever applies another one at that index
//! (Raft, figure 3 and section 5.4.3). It holds over restarts too, which apply the log once more.

use std::collections::BTreeMap;

use super::super::found;
use crate::history::{Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut applied = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        let Event::Raft { node, fact: RaftFact::Applied { entry, sum } } = &record.event else { continue };
        let (first, content, other) = *applied.entry(entry.index).or_insert((*entry, *sum, node));
        if (first, content) != (*entry, *sum) {
            let text = format!("{other} applied {first} ({content:08x}), {node} {entry} ({sum:08x})");
            violations.push(found("state_machine_safety", record, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::applied;
    use super::*;

    #[test]
    fn the_same_entries_again_are_right_and_another_one_is_caught() {
        let same = [applied("n1", 1, 1, 5), applied("n2", 1, 1, 5), applied("n1", 1, 1, 5)];
        let other = [applied("n1", 1, 1, 5), applied("n2", 1, 1, 6)];

        assert_eq!(check(&same), []);
        assert_eq!(check(&other).len(), 1);
    }
}
