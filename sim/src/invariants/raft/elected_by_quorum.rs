//! A leader was voted for by a quorum, on disk, before it leads (Raft, section 5.2: "a candidate wins an election if it
//! receives votes from a majority"; figure 2: votes are persisted before an answer).

use std::collections::{BTreeMap, BTreeSet};

use super::super::found;
use super::disks::{Disk, Disks};
use crate::history::{Event, RaftFact, Record, Voters};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut disks = Disks::default();
    // Which members have voted for whom in which term.
    let mut votes: BTreeMap<(u64, u64), BTreeSet<u64>> = BTreeMap::new();
    let mut configured: BTreeMap<u64, &Voters> = BTreeMap::new();
    let mut checked = BTreeSet::new();
    let mut violations = Vec::new();
    for record in history {
        disks.follow(&record.event);
        let Event::Raft { node, fact } = &record.event else { continue };
        let disk = disks.of(node);
        let member = disk.and_then(|disk| disk.member);
        match (fact, member) {
            (RaftFact::Voted { term, leader, .. }, Some(member)) => {
                votes.entry((*term, *leader)).or_default().insert(member);
            }
            (RaftFact::Configured { entry, voters }, _) => {
                configured.insert(entry.index, voters);
            }
            (RaftFact::Leads { term }, Some(leader)) if checked.insert((*term, node)) => {
                let voters = votes.get(&(*term, leader)).cloned().unwrap_or_default();
                // An entry that says who votes counts as soon as it is in the candidate's log, on disk or not yet.
                let present = disk.map_or(0, |disk| in_force(disk, *term));
                let mut sets = configured.range(present..).map(|(_, sets)| *sets).peekable();
                if sets.peek().is_some() && !sets.any(|sets| is_quorum(&voters, sets)) {
                    let text = format!("{node} leads term {term}, for which only {voters:?} have voted on disk");
                    violations.push(found("elected_by_quorum", record, text));
                }
            }
            _ => {}
        }
    }
    violations
}

/// The index of the entry that said, before that term, who votes.
fn in_force(disk: &Disk<'_>, term: u64) -> u64 {
    let earlier = |index: &&u64| disk.entries.get(*index).is_none_or(|entry| entry.0 < term);
    disk.configured.keys().rev().find(earlier).copied().unwrap_or_default()
}

fn is_quorum(voters: &BTreeSet<u64>, sets: &Voters) -> bool {
    sets.iter().all(|set| set.intersection(voters).count() * 2 > set.len())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appended, configured, is, leads, voted};
    use super::*;

    #[test]
    fn two_of_three_make_a_leader_and_one_does_not() {
        let before = [
            is("n1", 1),
            is("n2", 2),
            appended("n1", 1, 0, &[7]),
            configured("n1", 1, 0, &[&[1, 2, 3]]),
            voted("n1", 2, 1, false),
        ];
        let elected = [voted("n2", 2, 1, false), leads("n1", 2)];

        assert_eq!(check(&[before.as_slice(), &elected].concat()), []);
        assert_eq!(check(&[before.as_slice(), &[leads("n1", 2)]].concat()).len(), 1);
    }

    #[test]
    fn during_a_change_both_sets_have_to_agree() {
        let before = [
            is("n1", 1),
            is("n2", 2),
            appended("n1", 1, 0, &[7]),
            configured("n1", 1, 0, &[&[1], &[1, 2, 3]]),
            voted("n1", 2, 1, false),
        ];

        assert_eq!(check(&[before.as_slice(), &[leads("n1", 2)]].concat()).len(), 1);
    }
}
