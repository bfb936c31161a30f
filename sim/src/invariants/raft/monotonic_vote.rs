//! A vote on a disk is never taken back: in one term a member votes for one candidate, and one that is elected stays so
//! (Raft, figure 2: votedFor is persisted; Vanlightly's MonotonicVote). Who has voted for one candidate may learn that
//! another one was elected: Raft writes no vote then, openraft writes down the leader in its place.

use super::super::found;
use super::disks::Disks;
use crate::history::{Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut disks = Disks::default();
    let mut violations = Vec::new();
    for record in history {
        if let Event::Raft { node, fact: RaftFact::Voted { term, leader, is_elected } } = &record.event
            && let Some((last, candidate, was_elected)) = disks.of(node).and_then(|disk| disk.vote)
        {
            let may_follow = candidate == *leader && (*is_elected || !was_elected);
            let learns_of_another = *is_elected && !was_elected;
            if last == *term && !may_follow && !learns_of_another || last > *term {
                let before = if was_elected { "elected" } else { "for" };
                let text =
                    format!("{node} has voted for {leader} in term {term}; before: {before} {candidate} in {last}");
                violations.push(found("monotonic_vote", record, text));
            }
        }
        disks.follow(&record.event);
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::voted;
    use super::*;

    #[test]
    fn one_candidate_in_each_term_is_right() {
        assert_eq!(check(&[voted("n1", 1, 1, false), voted("n1", 1, 1, true), voted("n1", 2, 3, false)]), []);
    }

    #[test]
    fn a_candidate_that_learns_of_another_ones_election_is_right() {
        assert_eq!(check(&[voted("n1", 4, 1, false), voted("n1", 4, 3, true)]), []);
    }

    #[test]
    fn a_second_candidate_and_a_vote_that_is_taken_back_are_caught() {
        assert_eq!(check(&[voted("n1", 1, 1, false), voted("n1", 1, 2, false)]).len(), 1);
        assert_eq!(check(&[voted("n1", 1, 1, true), voted("n1", 1, 1, false)]).len(), 1);
        assert_eq!(check(&[voted("n1", 1, 1, true), voted("n1", 1, 2, true)]).len(), 1);
    }
}
