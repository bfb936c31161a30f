//! Who has crashed? Dead is faster than silent.
//!
//! When a process dies its sockets close at once and its port refuses. A member that saw both says so to all others;
//! what counts is who says it *now*: a witness whose link comes up again takes its word back. Time-outs, unreachable
//! hosts and silence are never evidence. The machine only keeps what was said; whether those who say it are enough is
//! asked of it with the voters that count at that moment.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{BootId, LogIndex, MemberId, Term};
use crate::liveness::{VoterSets, has_quorum};
use crate::{planted, sometimes};

/// Where a member's log ends: who has the most may lead (Ongaro, section 3.6.1).
pub type LogEnd = (Term, LogIndex);

/// Which members say that which process is gone.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    seen: BTreeMap<(MemberId, BootId), BTreeMap<MemberId, LogEnd>>,
}

impl Evidence {
    /// Nobody says anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// `witness`, whose log ends there, saw the links of this process close and its port refuse.
    pub fn seen(&mut self, witness: MemberId, member: MemberId, boot: BootId, log_end: LogEnd) {
        self.seen.entry((member, boot)).or_default().insert(witness, log_end);
    }

    /// `witness` takes its word back: it has a link to the process.
    pub fn taken_back(&mut self, witness: MemberId, member: MemberId, boot: BootId) {
        if let Some(witnesses) = self.seen.get_mut(&(member, boot)) {
            witnesses.remove(&witness);
        }
    }

    /// The witness is itself gone: its word counts no more.
    pub fn forget_witness(&mut self, witness: MemberId) {
        for witnesses in self.seen.values_mut() {
            witnesses.remove(&witness);
        }
    }

    /// The process needs no evidence any more: its life is over.
    pub fn forget(&mut self, member: MemberId) {
        self.seen.retain(|(suspect, _), _| *suspect != member);
    }

    /// Whether enough of the others say that the process is gone to make up a quorum without it.
    pub fn is_conclusive(&self, member: MemberId, boot: BootId, voters: &VoterSets) -> bool {
        let Some(witnesses) = self.seen.get(&(member, boot)) else { return false };
        sometimes!(witnesses.len() == 1, "one_witness_of_a_crash");
        if planted!(OneWitnessIsEnough) {
            return !witnesses.is_empty();
        }
        has_quorum(voters, |id| id != member && witnesses.contains_key(&id))
    }

    /// The voters that saw it, the one whose log reaches farthest first: the order in which they should try to lead. Of
    /// those whose logs reach as far, the `reluctant` ones try last.
    pub fn successors(
        &self,
        member: MemberId,
        boot: BootId,
        voters: &VoterSets,
        reluctant: &BTreeSet<MemberId>,
    ) -> Vec<MemberId> {
        let Some(witnesses) = self.seen.get(&(member, boot)) else { return Vec::new() };
        let votes = |id: &MemberId| voters.iter().any(|set| set.contains(id));
        let mut order: Vec<_> = witnesses.iter().filter(|(id, _)| votes(id) && **id != member).collect();
        let place = |id: &MemberId| (reluctant.contains(id), *id);
        order.sort_by(|(a, a_end), (b, b_end)| b_end.cmp(a_end).then(place(a).cmp(&place(b))));
        order.into_iter().map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: BootId = BootId(40);

    fn voters() -> VoterSets {
        vec![(1..=3).map(MemberId).collect()]
    }

    fn end(term: u64, index: u64) -> LogEnd {
        (Term(term), LogIndex(index))
    }

    #[test]
    fn one_of_three_is_not_believed_and_two_are() {
        let mut evidence = Evidence::new();
        evidence.seen(MemberId(1), MemberId(3), BOOT, end(1, 5));
        assert!(!evidence.is_conclusive(MemberId(3), BOOT, &voters()));

        evidence.seen(MemberId(2), MemberId(3), BOOT, end(1, 5));
        assert!(evidence.is_conclusive(MemberId(3), BOOT, &voters()));
    }

    /// A cut between two members looks like a crash to neither for long.
    #[test]
    fn a_witness_that_has_a_link_again_is_not_counted() {
        let mut evidence = Evidence::new();
        evidence.seen(MemberId(1), MemberId(3), BOOT, end(1, 5));
        evidence.seen(MemberId(2), MemberId(3), BOOT, end(1, 5));

        evidence.taken_back(MemberId(2), MemberId(3), BOOT);

        assert!(!evidence.is_conclusive(MemberId(3), BOOT, &voters()));
    }

    #[test]
    fn evidence_against_one_process_says_nothing_of_the_next() {
        let mut evidence = Evidence::new();
        evidence.seen(MemberId(1), MemberId(3), BOOT, end(1, 5));
        evidence.seen(MemberId(2), MemberId(3), BOOT, end(1, 5));

        assert!(!evidence.is_conclusive(MemberId(3), BootId(41), &voters()));
    }

    #[test]
    fn of_two_voters_the_other_one_is_never_enough() {
        let mut evidence = Evidence::new();
        evidence.seen(MemberId(1), MemberId(2), BOOT, end(1, 5));

        assert!(!evidence.is_conclusive(MemberId(2), BOOT, &vec![(1..=2).map(MemberId).collect()]));
    }

    #[test]
    fn the_witness_with_the_longest_log_tries_first() {
        let mut evidence = Evidence::new();
        evidence.seen(MemberId(1), MemberId(3), BOOT, end(2, 5));
        evidence.seen(MemberId(2), MemberId(3), BOOT, end(2, 6));
        evidence.seen(MemberId(9), MemberId(3), BOOT, end(9, 9));

        let order = evidence.successors(MemberId(3), BOOT, &voters(), &BTreeSet::new());
        assert_eq!(order, vec![MemberId(2), MemberId(1)]);
    }

    /// T22. A witness whose log is longer than the server's must lead, for the server would not get its vote.
    #[test]
    fn a_witness_tries_last_of_those_with_the_same_log() {
        let mut evidence = Evidence::new();
        evidence.seen(MemberId(1), MemberId(3), BOOT, end(2, 5));
        evidence.seen(MemberId(2), MemberId(3), BOOT, end(2, 5));
        let order =
            |evidence: &Evidence| evidence.successors(MemberId(3), BOOT, &voters(), &BTreeSet::from([MemberId(1)]));

        assert_eq!(order(&evidence), vec![MemberId(2), MemberId(1)]);
        evidence.seen(MemberId(1), MemberId(3), BOOT, end(2, 6));
        assert_eq!(order(&evidence), vec![MemberId(1), MemberId(2)]);
    }
}
