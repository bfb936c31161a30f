//! Committed entries are immutable: what was applied, or is known on a disk to be committed, is never cut off or replaced
//! on a disk that has it (follows from leader completeness and log matching; Raft, section 5.4). Purging into a snapshot
//! and the loss of a disk are something else.

use std::collections::BTreeMap;

use super::super::found;
use super::disks::Disks;
use crate::history::{EntryId, Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut disks = Disks::default();
    let mut applied: BTreeMap<u64, EntryId> = BTreeMap::new();
    let mut committed: BTreeMap<&str, u64> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        match &record.event {
            Event::Raft { fact: RaftFact::Applied { entry, .. }, .. } => {
                applied.insert(entry.index, *entry);
            }
            Event::Raft { node, fact: RaftFact::Committed { entry } } => {
                committed.insert(node, entry.index);
            }
            Event::DiskLost { node } => {
                committed.remove(node.as_str());
            }
            Event::Raft { node, fact: RaftFact::TruncatedAfter { index } } => {
                let first = index.map_or(0, |index| index + 1);
                let mut gone = disks.of(node).into_iter().flat_map(|disk| disk.entries.range(first..));
                let is_known = |index: u64, term: u64| {
                    let was_applied = applied.get(&index) == Some(&EntryId { term, index });
                    was_applied || committed.get(node.as_str()).is_some_and(|committed| index <= *committed)
                };
                if let Some((index, (term, _))) = gone.find(|(index, (term, _))| is_known(**index, *term)) {
                    let text = format!("{node} has cut off {term}-{index}, which was committed");
                    violations.push(found("committed_immutable", record, text));
                }
            }
            Event::Raft { node, fact: RaftFact::Appended { entries } } => {
                let disk = disks.of(node);
                for (entry, sum) in entries {
                    let before = disk.and_then(|disk| disk.entries.get(&entry.index));
                    if before.is_some_and(|before| *before != (entry.term, *sum)) {
                        let text = format!("{node} has written {entry} over what was there");
                        violations.push(found("committed_immutable", record, text));
                    }
                }
            }
            _ => {}
        }
        disks.follow(&record.event);
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appended, applied, truncated_after};
    use super::*;

    #[test]
    fn what_nobody_has_applied_may_be_cut_off() {
        let history = [
            appended("n1", 1, 1, &[5, 6]),
            applied("n2", 1, 1, 5),
            truncated_after("n1", 1),
            appended("n1", 2, 2, &[7]),
            applied("n2", 2, 2, 7),
        ];

        assert_eq!(check(&history), []);
    }

    #[test]
    fn cutting_off_and_overwriting_what_was_applied_is_caught() {
        let before = [appended("n1", 1, 1, &[5, 6]), applied("n2", 1, 1, 5), applied("n2", 1, 2, 6)];

        assert_eq!(check(&[before.as_slice(), &[truncated_after("n1", 1)]].concat()).len(), 1);
        assert_eq!(check(&[before.as_slice(), &[appended("n1", 2, 2, &[7])]].concat()).len(), 1);
    }
}
