//! Committed on a quorum: when an entry is applied for the first time, it is on the disks of a majority of those who vote,
//! of each set of them during a change (Raft, sections 5.3 and 6).
//!
//! Who votes is what the last such entry up to this one says, or a later one: an entry can be committed together with
//! the change that follows it. And once an entry that says two sets is on the disks of both, the leader may count by the
//! second set alone before any disk has the entry that says so: whoever leads next needs a majority of that set as well.

use std::collections::{BTreeMap, BTreeSet};

use super::super::found;
use super::disks::Disks;
use crate::history::{EntryId, Event, RaftFact, Record, Voters};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut disks = Disks::default();
    let mut configured: BTreeMap<u64, (EntryId, &Voters)> = BTreeMap::new();
    let mut applied = BTreeSet::new();
    let mut violations = Vec::new();
    for record in history {
        disks.follow(&record.event);
        let Event::Raft { node, fact } = &record.event else { continue };
        match fact {
            RaftFact::Configured { entry, voters } => {
                configured.insert(entry.index, (*entry, voters));
            }
            RaftFact::Applied { entry, .. } if applied.insert(entry.index) => {
                let present = configured.range(..=entry.index).next_back().map_or(0, |(index, _)| *index);
                let mut sets = configured.range(present..).map(|(_, said)| *said).peekable();
                let is_committed = |(by, sets): (EntryId, &Voters)| {
                    let second = sets.get(1).filter(|_| disks.quorum(sets, |disk| disk.holds(by)));
                    disks.quorum(sets, |disk| disk.holds(*entry))
                        || second.is_some_and(|set| disks.quorum(&vec![set.clone()], |disk| disk.holds(*entry)))
                };
                if sets.peek().is_some() && !sets.any(is_committed) {
                    let on: Vec<_> =
                        disks.iter().filter(|(_, disk)| disk.holds(*entry)).map(|(node, _)| *node).collect();
                    let text = format!("{node} applied {entry}, which is on the disks of {on:?} only");
                    violations.push(found("committed_on_quorum", record, text));
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appended, applied, configured, disk_lost, is};
    use super::*;

    fn three() -> Vec<Record> {
        let mut history = vec![is("n1", 1), is("n2", 2), is("n3", 3)];
        history.extend([appended("n1", 0, 0, &[1]), configured("n1", 0, 0, &[&[1, 2, 3]]), appended("n1", 1, 1, &[5])]);
        history
    }

    #[test]
    fn an_entry_on_two_of_three_disks_may_be_applied() {
        assert_eq!(check(&[three(), vec![appended("n2", 1, 1, &[5]), applied("n1", 1, 1, 5)]].concat()), []);
    }

    #[test]
    fn an_entry_on_one_disk_is_caught_and_a_new_member_is_not_the_one_whose_disk_was_lost() {
        assert_eq!(check(&[three(), vec![applied("n1", 1, 1, 5)]].concat()).len(), 1);
        let said = vec![appended("n2", 1, 1, &[5]), disk_lost("n2"), is("n2", 9), applied("n1", 1, 1, 5)];
        assert_eq!(check(&[three(), said].concat()), []);
        let new = vec![disk_lost("n2"), is("n2", 9), appended("n2", 1, 1, &[5]), applied("n1", 1, 1, 5)];
        assert_eq!(check(&[three(), new].concat()).len(), 1);
    }
}
