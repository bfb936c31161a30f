//! Leader completeness: what is committed in a term is in the log of the leaders of all later terms (Raft, figure 3 and
//! section 5.4).
//!
//! Committed is what somebody has applied. The log of a leader is looked at when the first entry of its term is on its
//! disk: what it had in memory when it was elected is on the disk before that entry is.

use std::collections::{BTreeMap, BTreeSet};

use super::super::found;
use super::disks::Disks;
use crate::history::{EntryId, Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut disks = Disks::default();
    let mut applied: BTreeMap<u64, EntryId> = BTreeMap::new();
    let mut leads: BTreeSet<(&str, u64)> = BTreeSet::new();
    let mut checked = BTreeSet::new();
    let mut violations = Vec::new();
    for record in history {
        disks.follow(&record.event);
        let Event::Raft { node, fact } = &record.event else { continue };
        let first = match fact {
            RaftFact::Applied { entry, .. } => {
                applied.insert(entry.index, *entry);
                continue;
            }
            RaftFact::Leads { term } => {
                leads.insert((node, *term));
                continue;
            }
            RaftFact::Voted { term, leader, is_elected: true } => {
                if disks.of(node).is_some_and(|disk| disk.member == Some(*leader)) {
                    leads.insert((node, *term));
                }
                continue;
            }
            RaftFact::Appended { entries } => entries.iter().find(|(entry, _)| leads.contains(&(node, entry.term))),
            _ => continue,
        };
        let Some((first, _)) = first.filter(|(first, _)| checked.insert((node, first.term))) else { continue };
        let Some(disk) = disks.of(node) else { continue };
        let missing = applied.values().find(|entry| entry.term < first.term && !disk.holds(**entry));
        if let Some(missing) = missing {
            let text = format!("{node} leads term {} without {missing}, which was applied", first.term);
            violations.push(found("leader_completeness", record, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appended, applied, leads};
    use super::*;

    #[test]
    fn a_leader_that_has_everything_is_right_and_one_that_lacks_an_entry_is_caught() {
        let before = [appended("n1", 1, 1, &[5, 6]), applied("n1", 1, 1, 5), applied("n1", 1, 2, 6), leads("n2", 2)];
        let complete = [appended("n2", 1, 1, &[5, 6]), appended("n2", 2, 3, &[7])];
        let lacking = [appended("n2", 1, 1, &[5]), appended("n2", 2, 2, &[7])];

        assert_eq!(check(&[before.as_slice(), &complete].concat()), []);
        assert_eq!(check(&[before.as_slice(), &lacking].concat()).len(), 1);
    }
}
