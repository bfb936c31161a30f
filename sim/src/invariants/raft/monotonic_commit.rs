//! What a disk says to be committed never falls, and is on that disk or in a snapshot (Raft, section 5.3; Vanlightly's
//! MonotonicCommitIndex).

use std::collections::BTreeMap;

use super::super::found;
use super::disks::Disks;
use crate::history::{EntryId, Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut disks = Disks::default();
    let mut last: BTreeMap<&str, EntryId> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        disks.follow(&record.event);
        match &record.event {
            Event::DiskLost { node } => {
                last.remove(node.as_str());
            }
            Event::Raft { node, fact: RaftFact::Committed { entry } } => {
                if let Some(before) = last.insert(node, *entry)
                    && (before.index > entry.index || before.term > entry.term)
                {
                    let text = format!("{node} knew {before} to be committed, and then {entry}");
                    violations.push(found("monotonic_commit", record, text));
                }
                if disks.of(node).is_some_and(|disk| !disk.holds(*entry)) {
                    let text = format!("{node} knows {entry} to be committed and does not have it");
                    violations.push(found("monotonic_commit", record, text));
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appended, entry, raft};
    use super::*;

    fn committed(term: u64, index: u64) -> Record {
        raft("n1", RaftFact::Committed { entry: entry(term, index) })
    }

    #[test]
    fn what_is_committed_may_grow() {
        assert_eq!(check(&[appended("n1", 1, 1, &[5, 6]), committed(1, 1), committed(1, 2)]), []);
    }

    #[test]
    fn falling_back_and_committing_what_is_not_there_are_caught() {
        assert_eq!(check(&[appended("n1", 1, 1, &[5, 6]), committed(1, 2), committed(1, 1)]).len(), 1);
        assert_eq!(check(&[appended("n1", 1, 1, &[5, 6]), committed(1, 3)]).len(), 1);
    }
}
