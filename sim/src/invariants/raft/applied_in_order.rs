//! Entries are applied in the order of their indexes, each once in the life of a process, and a snapshot only leads
//! forward (Raft, figure 2: `increment lastApplied, apply log[lastApplied]`).

use std::collections::BTreeMap;

use super::super::found;
use crate::history::{EntryId, Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut last: BTreeMap<&str, EntryId> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        match &record.event {
            Event::Started { node } => {
                last.remove(node.as_str());
            }
            Event::Raft { node, fact: RaftFact::Applied { entry, .. } } => {
                let before = last.insert(node, *entry);
                let is_next = before
                    .map_or(entry.index <= 1, |before| entry.index == before.index + 1 && entry.term >= before.term);
                if !is_next {
                    let after = before.map_or("nothing".to_owned(), |before| before.to_string());
                    violations.push(found("applied_in_order", record, format!("{node} applied {entry} after {after}")));
                }
            }
            Event::Raft { node, fact: RaftFact::Installed { entry } } => {
                if let Some(before) = last.insert(node, *entry)
                    && before.index >= entry.index
                {
                    let text = format!("{node} installed a snapshot up to {entry} after {before}");
                    violations.push(found("applied_in_order", record, text));
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{applied, entry, raft, started};
    use super::*;

    #[test]
    fn one_after_the_other_from_the_beginning_or_a_snapshot_is_right() {
        let history = [
            applied("n1", 1, 0, 1),
            applied("n1", 1, 1, 1),
            raft("n1", RaftFact::Installed { entry: entry(1, 5) }),
            applied("n1", 2, 6, 1),
            started("n1"),
            applied("n1", 1, 0, 1),
        ];

        assert_eq!(check(&history), []);
    }

    #[test]
    fn a_gap_a_repetition_and_an_older_snapshot_are_caught() {
        let installed = raft("n1", RaftFact::Installed { entry: entry(1, 0) });

        let history = [applied("n1", 1, 0, 1), applied("n1", 1, 2, 1), applied("n1", 1, 2, 1), installed];

        assert_eq!(check(&history).len(), 3);
    }
}
