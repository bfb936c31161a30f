//! The indexes of a log have no gaps and its terms do not fall; what is purged does not come back (Raft, section 5.3:
//! entries are appended; openraft calls it the order of keys).

use super::super::found;
use super::disks::Disks;
use crate::history::{EntryId, Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut disks = Disks::default();
    let mut violations = Vec::new();
    for record in history {
        if let Event::Raft { node, fact } = &record.event {
            let disk = disks.of(node);
            let purged = disk.and_then(|disk| disk.purged);
            let stored = disk.and_then(|disk| disk.entries.last_key_value());
            let mut last = stored.map(|(index, (term, _))| EntryId { term: *term, index: *index }).max(purged);
            match fact {
                RaftFact::Appended { entries } => {
                    for (entry, _) in entries {
                        if last.is_some_and(|last| entry.index > last.index + 1 || entry.term < last.term) {
                            let text = format!("{node} has {entry} behind {last:?}");
                            violations.push(found("log_order", record, text));
                        }
                        last = Some(*entry);
                    }
                }
                RaftFact::PurgedUpTo { entry } if purged.is_some_and(|purged| purged.index > entry.index) => {
                    let text = format!("{node} has purged up to {entry} after {purged:?}");
                    violations.push(found("log_order", record, text));
                }
                _ => {}
            }
        }
        disks.follow(&record.event);
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appended, entry, raft, truncated_after};
    use super::*;

    #[test]
    fn a_log_that_is_cut_and_goes_on_in_a_later_term_is_in_order() {
        let history = [
            appended("n1", 1, 1, &[5, 6, 7]),
            truncated_after("n1", 1),
            appended("n1", 2, 2, &[8]),
            raft("n1", RaftFact::PurgedUpTo { entry: entry(3, 9) }),
            appended("n1", 3, 10, &[9]),
        ];

        assert_eq!(check(&history), []);
    }

    #[test]
    fn a_gap_and_a_falling_term_are_caught() {
        assert_eq!(check(&[appended("n1", 1, 1, &[5]), appended("n1", 1, 3, &[6])]).len(), 1);
        assert_eq!(check(&[appended("n1", 2, 1, &[5]), appended("n1", 1, 2, &[6])]).len(), 1);
    }
}
