//! Log matching: if two logs contain an entry with the same index and term, the logs are identical up through it (Raft,
//! figure 3 and section 5.3). By induction: the same id means the same content and the same entry before it.

use std::collections::BTreeMap;

use super::super::found;
use super::disks::Disks;
use crate::history::{EntryId, Event, RaftFact, Record};
use crate::report::Violation;

/// Of an entry: the sum of what it says, the term of the entry before it if that is known, and on whose disk it was.
type Known<'a> = (u32, Option<u64>, &'a str);

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut disks = Disks::default();
    let mut known: BTreeMap<EntryId, Known<'_>> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        if let Event::Raft { node, fact: RaftFact::Appended { entries } } = &record.event {
            let first = entries.first().map_or(0, |(entry, _)| entry.index);
            let mut before = first.checked_sub(1).and_then(|index| disks.of(node)?.entries.get(&index)).map(|it| it.0);
            for (entry, sum) in entries {
                let (same, same_before, other) = known.entry(*entry).or_insert((*sum, before, node));
                if same != sum {
                    let text = format!("{entry} says one thing at {other} and another at {node}");
                    violations.push(found("log_matching", record, text));
                }
                match (before, *same_before) {
                    (Some(here), Some(there)) if here != there => {
                        let text =
                            format!("before {entry} is one of term {there} at {other}, of term {here} at {node}");
                        violations.push(found("log_matching", record, text));
                    }
                    (Some(here), None) => *same_before = Some(here),
                    _ => {}
                }
                before = Some(entry.term);
            }
        }
        disks.follow(&record.event);
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::appended;
    use super::*;

    #[test]
    fn logs_that_differ_by_term_only_from_where_they_part_match() {
        let history = [appended("n1", 1, 1, &[5, 6]), appended("n2", 1, 1, &[5]), appended("n2", 2, 2, &[9])];

        assert_eq!(check(&history), []);
    }

    #[test]
    fn another_content_and_another_predecessor_are_caught() {
        let content = [appended("n1", 1, 1, &[5, 6]), appended("n2", 1, 1, &[5, 7])];
        let predecessor = [
            appended("n1", 1, 1, &[5]),
            appended("n1", 3, 2, &[6]),
            appended("n2", 2, 1, &[5]),
            appended("n2", 3, 2, &[6]),
        ];

        assert_eq!(check(&content).len(), 1);
        assert_eq!(check(&predecessor).len(), 1);
    }
}
