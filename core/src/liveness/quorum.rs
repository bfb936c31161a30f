//! Since when has a quorum answered me? The leader's own proof, and its permission to grant.
//!
//! A leader sends beats in numbered rounds. A voter answers a beat with the term of its last vote, so an answer in the
//! leader's term proves that the voter had voted for no later leader when it answered. Once a quorum has answered a
//! round in the leader's term, no later leader can have been elected before that round began: whoever elected it must
//! share a voter with this quorum.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::{MemberId, Sequence};
use crate::time::Uptime;

/// Rounds that are remembered; as many as a lease has asks. The oldest is forgotten.
const ROUNDS_MAX: usize = 256;

/// The sets of voters that Raft counts at present: one, or two while it moves from one to the other (Ongaro, section
/// 4.3). A quorum is a majority of each.
pub type VoterSets = Vec<BTreeSet<MemberId>>;

/// Whether `members` hold a majority of every set. No sets, or an empty one, have no majority.
pub fn has_quorum(sets: &VoterSets, members: impl Fn(MemberId) -> bool) -> bool {
    !sets.is_empty() && sets.iter().all(|set| set.iter().filter(|id| members(**id)).count() > set.len() / 2)
}

/// The rounds of a leader's beats and who answered them.
#[derive(Clone, Debug, Default)]
pub struct Quorum {
    begun: VecDeque<(Sequence, Uptime)>,
    answered: BTreeMap<MemberId, Sequence>,
    confirmed: Option<Uptime>,
}

impl Quorum {
    /// Nothing confirmed: the state in which a leader begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// A round of beats with this number begins at `now`.
    pub fn round(&mut self, now: Uptime, number: Sequence) {
        if self.begun.len() == ROUNDS_MAX {
            self.begun.pop_front();
        }
        self.begun.push_back((number, now));
    }

    /// A voter answered the round in the leader's term. The leader answers itself.
    pub fn answered(&mut self, voter: MemberId, number: Sequence, sets: &VoterSets) {
        let last = self.answered.entry(voter).or_default();
        *last = (*last).max(number);
        let answered = &self.answered;
        let confirmed = self.begun.iter().rposition(|(number, _)| {
            has_quorum(sets, |id| answered.get(&id).is_some_and(|answered| answered >= number))
        });
        if let Some(at) = confirmed {
            self.confirmed = Some(self.begun[at].1);
            self.begun.drain(..=at);
        }
    }

    /// When the latest round began that a quorum has answered.
    pub fn confirmed(&self) -> Option<Uptime> {
        self.confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Uptime {
        Uptime::from_millis(milliseconds)
    }

    fn set(ids: &[u64]) -> BTreeSet<MemberId> {
        ids.iter().copied().map(MemberId).collect()
    }

    #[test]
    fn a_quorum_is_confirmed_as_of_the_beginning_of_the_round_it_answered() {
        let (mut quorum, sets) = (Quorum::new(), vec![set(&[1, 2, 3])]);
        quorum.round(at(0), Sequence(1));
        quorum.round(at(250), Sequence(2));
        quorum.answered(MemberId(1), Sequence(2), &sets);
        assert_eq!(quorum.confirmed(), None);

        quorum.answered(MemberId(3), Sequence(1), &sets);
        assert_eq!(quorum.confirmed(), Some(at(0)));

        quorum.answered(MemberId(3), Sequence(2), &sets);
        assert_eq!(quorum.confirmed(), Some(at(250)));
    }

    /// While Raft moves from one set of voters to another, a majority of only one of them could elect a leader that
    /// the other knows nothing of.
    #[test]
    fn between_two_sets_of_voters_both_must_answer() {
        let (mut quorum, sets) = (Quorum::new(), vec![set(&[1, 2, 3]), set(&[3, 4, 5])]);
        quorum.round(at(0), Sequence(1));
        for voter in [1, 2, 3] {
            quorum.answered(MemberId(voter), Sequence(1), &sets);
        }
        assert_eq!(quorum.confirmed(), None);

        quorum.answered(MemberId(5), Sequence(1), &sets);
        assert_eq!(quorum.confirmed(), Some(at(0)));
    }

    #[test]
    fn half_of_the_voters_or_none_at_all_are_no_quorum() {
        assert!(!has_quorum(&vec![set(&[1, 2])], |id| id == MemberId(1)));
        assert!(!has_quorum(&vec![set(&[])], |_| true));
        assert!(!has_quorum(&vec![], |_| true));
    }

    #[test]
    fn a_learner_does_not_count() {
        let (mut quorum, sets) = (Quorum::new(), vec![set(&[1, 2, 3])]);
        quorum.round(at(0), Sequence(1));

        quorum.answered(MemberId(1), Sequence(1), &sets);
        quorum.answered(MemberId(9), Sequence(1), &sets);

        assert_eq!(quorum.confirmed(), None);
    }
}
