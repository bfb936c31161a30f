//! One database has one cluster: it is founded by one member and by no other one, whoever starts when (architecture,
//! section 6). A member may found it a second time if it crashed before it had noted that it was done.

use super::found;
use crate::history::{Event, RaftFact, Record};
use crate::report::Violation;

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut founder = None;
    let mut violations = Vec::new();
    for record in history {
        let Event::Raft { node, fact: RaftFact::Founds { member } } = &record.event else { continue };
        let (first, other) = *founder.get_or_insert((*member, node));
        if first != *member {
            let text = format!("{node} founds a cluster as {member}, which {other} has founded as {first}");
            violations.push(found("one_cluster", record, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;

    fn founds(node: &str, member: u64) -> Record {
        at(0, Event::Raft { node: node.to_owned(), fact: RaftFact::Founds { member } })
    }

    #[test]
    fn who_founds_again_has_founded_one_cluster() {
        assert_eq!(check(&[founds("n1", 1), founds("n1", 1)]), []);
    }

    #[test]
    fn two_founders_are_caught() {
        let caught = check(&[founds("n1", 1), founds("n2", 2)]);

        assert!(caught[0].text.contains("n2 founds a cluster as 2, which n1 has founded as 1"), "{caught:?}");
    }
}
