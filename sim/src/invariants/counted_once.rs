//! No node is counted twice. A disk is of one member only, and one that was lost is not found again: so the member that a
//! node is with an empty disk and the one that it was before never have a vote each in one set of voters. The product
//! promises that the new one takes the vote over; while Raft moves from one set to the other, each of the two is in one of
//! them. And no member is two processes that are up.

use std::collections::BTreeMap;

use super::found;
use super::nodes::Nodes;
use crate::history::{Event, RaftFact, Record};
use crate::plan::Plan;
use crate::report::Violation;

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let mut nodes = Nodes::of(plan);
    // Whose each member was or is.
    let mut of_member: BTreeMap<u64, &str> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        nodes.follow(record);
        match &record.event {
            Event::Raft { node, fact: RaftFact::Is { member } } => {
                let twin = nodes
                    .iter()
                    .find(|(other, twin)| *other != node.as_str() && twin.is_up && twin.member == Some(*member));
                if let Some((twin, _)) = twin {
                    let text = format!("{node} is the member {member}, and so is {twin}, which is up");
                    violations.push(found("counted_once", record, text));
                }
                of_member.insert(*member, node);
            }
            Event::Raft { node, fact: RaftFact::Configured { voters, .. } } => {
                for set in voters {
                    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
                    let known = set.iter().filter_map(|member| Some((*member, *of_member.get(member)?)));
                    for (member, of) in known {
                        if let Some(other) = counted.insert(of, member) {
                            let text = format!("{node}: {of} votes as {other} and as {member} in {set:?}");
                            violations.push(found("counted_once", record, text));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, is};
    use super::*;
    use crate::history::EntryId;

    fn configured(sets: &[&[u64]]) -> Record {
        let voters = sets.iter().map(|set| set.iter().copied().collect()).collect();
        let fact = RaftFact::Configured { entry: EntryId { term: 1, index: 1 }, voters };
        at(0, Event::Raft { node: "n1".to_owned(), fact })
    }

    fn started(node: &str) -> Record {
        at(0, Event::Started { node: node.to_owned() })
    }

    #[test]
    fn a_new_member_takes_the_vote_of_the_one_before_over() {
        let history = [is("n1", 1), is("n2", 2), is("n3", 3), is("n3", 9), configured(&[&[1, 2, 3], &[1, 2, 9]])];
        assert_eq!(check(&Plan::calm(1), &history), []);
    }

    #[test]
    fn two_votes_of_one_node_are_caught() {
        let history = [is("n1", 1), is("n2", 2), is("n3", 3), is("n3", 9), configured(&[&[1, 2, 3, 9]])];
        assert_eq!(check(&Plan::calm(1), &history).len(), 1);
    }

    #[test]
    fn two_processes_of_one_member_are_caught() {
        let history = [started("n1"), is("n1", 1), started("n2"), is("n2", 1)];
        assert_eq!(check(&Plan::calm(1), &history).len(), 1);
        let moved = [started("n1"), is("n1", 1), at(1, Event::Crashed { node: "n1".to_owned() }), is("n2", 1)];
        assert_eq!(check(&Plan::calm(1), &moved), []);
    }
}
