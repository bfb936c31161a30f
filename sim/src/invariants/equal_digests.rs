//! Whoever has applied the log up to the same entry has the same agreed state (architecture, section 3: `apply` reads
//! nothing but the log).

use std::collections::BTreeMap;

use super::found;
use crate::history::{Event, RaftFact, Record};
use crate::report::Violation;

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut states: BTreeMap<u64, (u64, &str)> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        let Event::Raft { node, fact: RaftFact::State { index, digest } } = &record.event else { continue };
        let (first, other) = *states.entry(*index).or_insert((*digest, node));
        if first != *digest {
            let text = format!("after entry {index} {other} has state {first:016x}, and {node} {digest:016x}");
            violations.push(found("equal_digests", record, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;

    fn state(node: &str, index: u64, digest: u64) -> Record {
        at(0, Event::Raft { node: node.to_owned(), fact: RaftFact::State { index, digest } })
    }

    #[test]
    fn equal_states_are_right_and_different_ones_are_caught() {
        assert_eq!(check(&[state("n1", 1, 7), state("n2", 1, 7), state("n2", 2, 8)]), []);
        assert_eq!(check(&[state("n1", 1, 7), state("n2", 1, 8)]).len(), 1);
    }
}
