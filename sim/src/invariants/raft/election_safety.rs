//! Election safety: at most one leader can be elected in a given term (Raft, figure 3 and section 5.2).

use std::collections::BTreeMap;

use super::super::found;
use super::disks::Disks;
use crate::history::{Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut disks = Disks::default();
    // Of each term the member that leads it, and who said so first.
    let mut leaders: BTreeMap<u64, (u64, &str)> = BTreeMap::new();
    // Of each term the node that said that it leads, for nodes whose disks nobody sees.
    let mut nodes: BTreeMap<u64, &str> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        disks.follow(&record.event);
        let Event::Raft { node, fact } = &record.event else { continue };
        let (term, member) = match fact {
            RaftFact::Leads { term } => {
                let first = *nodes.entry(*term).or_insert(node);
                if first != node {
                    violations.push(found("election_safety", record, format!("{first} and {node} lead term {term}")));
                }
                (*term, disks.of(node).and_then(|disk| disk.member))
            }
            RaftFact::Voted { term, leader, is_elected: true } => (*term, Some(*leader)),
            _ => continue,
        };
        let Some(member) = member else { continue };
        let (first, witness) = *leaders.entry(term).or_insert((member, node));
        if first != member {
            let text = format!("member {first} leads term {term} by {witness}, and member {member} by {node}");
            violations.push(found("election_safety", record, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{is, leads, voted};
    use super::*;

    #[test]
    fn one_leader_in_each_term_is_right() {
        let history =
            [is("n1", 1), is("n2", 2), voted("n2", 1, 1, true), leads("n1", 1), leads("n1", 1), leads("n2", 2)];

        assert_eq!(check(&history), []);
    }

    #[test]
    fn two_leaders_of_a_term_are_caught_by_what_they_say_and_by_what_others_have_on_disk() {
        assert_eq!(check(&[leads("n1", 1), leads("n2", 1)]).len(), 1);
        assert_eq!(check(&[is("n1", 1), leads("n1", 1), voted("n3", 1, 2, true)]).len(), 1);
    }
}
