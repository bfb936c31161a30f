//! A quorum is never lost by our own act (architecture, section 6: what would lose the quorum is refused). When a change of
//! the voters begins while a majority of the old ones is up, a majority of the new ones is up as well; and after an order
//! that is answered as done there is a majority if there was one when it was given.
//!
//! A change counts from the moment in which it is on any disk: from then on its leader needs both majorities, and does not
//! come back to the old one (Raft, section 6). Whoever went a moment ago counts as up in the new set: nobody can know of
//! him yet. A process that stands still is up: that it does not answer is not the act of whoever changes the voters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::found;
use crate::history::{EntryId, Event, RaftFact, Record, Voters};
use crate::report::Violation;

/// How long the loss of a member may be unknown to all others (P6).
const UNKNOWN_FOR: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Members<'a> {
    of_node: BTreeMap<&'a str, u64>,
    /// Since when members have no process. Whoever has lost his disk never has one again.
    down: BTreeMap<u64, Duration>,
    /// The last entry that says who votes.
    present: Option<(EntryId, &'a Voters)>,
    /// Orders that were given while there was a majority.
    ordered: BTreeSet<u64>,
}

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut members = Members::default();
    let mut checked = BTreeSet::new();
    let mut violations = Vec::new();
    for record in history {
        members.follow(record);
        match &record.event {
            Event::Raft { node, fact: RaftFact::Configured { entry, voters } } if checked.insert(*entry) => {
                if let [old, .., new] = voters.as_slice()
                    && members.is_majority(old, None)
                    && !members.is_majority(new, Some(record.at))
                {
                    let text =
                        format!("{node} begins to change the voters from {old:?} to {new:?}, {}", members.down());
                    violations.push(found("quorum_kept", record, text));
                }
            }
            Event::Ordered { number, .. } if members.has_quorum(None) => {
                members.ordered.insert(*number);
            }
            Event::OrderAnswered { number, refusal: None, .. }
                if members.ordered.contains(number) && !members.has_quorum(Some(record.at)) =>
            {
                let text = format!("order {number} is done, and with it the quorum: {}", members.down());
                violations.push(found("quorum_kept", record, text));
            }
            _ => {}
        }
    }
    violations
}

impl<'a> Members<'a> {
    fn follow(&mut self, record: &'a Record) {
        match &record.event {
            Event::Raft { node, fact: RaftFact::Is { member } } => {
                self.of_node.insert(node, *member);
                self.down.remove(member);
            }
            Event::Raft { fact: RaftFact::Configured { entry, voters }, .. }
                if self.present.is_none_or(|(last, _)| last < *entry) =>
            {
                self.present = Some((*entry, voters));
            }
            Event::Started { node } => {
                if let Some(member) = self.of_node.get(node.as_str()) {
                    self.down.remove(member);
                }
            }
            Event::DiskLost { node } => drop(self.of_node.remove(node.as_str())),
            Event::Crashed { node } | Event::Stopped { node } | Event::Failed { node, .. } => {
                if let Some(member) = self.of_node.get(node.as_str()) {
                    self.down.entry(*member).or_insert(record.at);
                }
            }
            _ => {}
        }
    }

    /// Whether more than half of these are up; at a moment in which it counts whether that could be known.
    fn is_majority(&self, voters: &BTreeSet<u64>, at: Option<Duration>) -> bool {
        let is_up = |member: &&u64| match (self.down.get(member), at) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(since), Some(at)) => at < *since + UNKNOWN_FOR,
        };
        voters.iter().filter(is_up).count() * 2 > voters.len()
    }

    fn has_quorum(&self, at: Option<Duration>) -> bool {
        self.present.is_some_and(|(_, sets)| sets.iter().all(|set| self.is_majority(set, at)))
    }

    fn down(&self) -> String {
        let since = |(member, since): (&u64, &Duration)| format!("{member} since {:.3} s", since.as_secs_f64());
        format!("and down are {}", self.down.iter().map(since).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use cresset_core::node::Order;

    use super::super::testing::{at, is};
    use super::*;

    fn configured(milliseconds: u64, index: u64, sets: &[&[u64]]) -> Record {
        let voters = sets.iter().map(|set| set.iter().copied().collect()).collect();
        let fact = RaftFact::Configured { entry: EntryId { term: 1, index }, voters };
        at(milliseconds, Event::Raft { node: "n1".to_owned(), fact })
    }

    fn crashed(milliseconds: u64, node: &str) -> Record {
        at(milliseconds, Event::Crashed { node: node.to_owned() })
    }

    fn three() -> Vec<Record> {
        vec![is("n1", 1), is("n2", 2), is("n3", 3), configured(0, 1, &[&[1, 2, 3]])]
    }

    fn order(milliseconds: u64) -> [Record; 2] {
        let (node, order) = ("n1".to_owned(), Order::Remove { name: "n3".to_owned() });
        let answered = Event::OrderAnswered { number: 1, node: node.clone(), refusal: None };
        [at(milliseconds, Event::Ordered { number: 1, node, order }), at(milliseconds + 100, answered)]
    }

    #[test]
    fn whoever_is_gone_may_be_removed() {
        let removed = [crashed(1000, "n3"), configured(9000, 2, &[&[1, 2, 3], &[1, 2]])];
        assert_eq!(check(&[three(), removed.to_vec(), order(9000).to_vec()].concat()), []);
    }

    #[test]
    fn whoever_is_needed_may_not() {
        let removed = [crashed(1000, "n3"), configured(9000, 2, &[&[1, 2, 3], &[1, 3]])];
        assert_eq!(check(&[three(), removed.to_vec()].concat()).len(), 1);
        let unknown = [crashed(1000, "n3"), configured(1500, 2, &[&[1, 2, 3], &[1, 3]])];
        assert_eq!(check(&[three(), unknown.to_vec()].concat()), []);
    }

    #[test]
    fn an_order_that_is_done_has_left_a_quorum() {
        let [given, answered] = order(9000);
        let removed = [crashed(1000, "n3"), given, configured(9050, 2, &[&[1, 3]]), answered];
        assert_eq!(check(&[three(), removed.to_vec()].concat()).len(), 1);
    }

    #[test]
    fn who_has_lost_his_disk_is_not_who_comes_back() {
        let lost = [crashed(1000, "n3"), at(1000, Event::DiskLost { node: "n3".to_owned() }), is("n3", 9)];
        let changed = configured(9000, 2, &[&[1, 2, 3], &[1, 3]]);
        assert_eq!(check(&[three(), lost.to_vec(), vec![changed]].concat()).len(), 1);
    }
}
