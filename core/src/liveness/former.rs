//! Until when may an earlier leader have granted leases? Known to those who answered it.
//!
//! A leader grants nothing but what a quorum has answered, and shares a voter with every quorum that answers a later
//! one. So if each voter remembers when it last answered another leader, a new leader learns from a quorum of answers
//! the last moment at which any lease of an earlier term can have begun, instead of waiting as if one had been granted
//! when it was elected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::{MemberId, Term};
use crate::liveness::{VoterSets, has_quorum};
use crate::time::Uptime;

/// What one voter remembers of the leaders whose beats it answered.
#[derive(Clone, Debug)]
pub struct Answered {
    present: Option<((MemberId, Term), Uptime)>,
    before: Uptime,
}

impl Answered {
    /// A process that begins at `now` does not know what the one before it answered.
    pub fn new(now: Uptime) -> Self {
        Answered { present: None, before: now }
    }

    /// Answers, at `now` and in the term of the last vote, a beat of a member that says that it leads: how long ago any
    /// other leader was answered last.
    pub fn answer(&mut self, now: Uptime, leader: MemberId, voted: Term) -> Duration {
        let key = (leader, voted);
        match &mut self.present {
            Some((present, at)) if *present == key => *at = now,
            present => {
                if let Some((_, at)) = present.replace((key, now)) {
                    self.before = self.before.max(at);
                }
            }
        }
        now.since(self.before)
    }

    /// The voters are others than before: who answered an earlier leader may not be among those who answer the next.
    pub fn voters_changed(&mut self, now: Uptime) {
        self.before = self.before.max(now);
    }
}

/// What a new leader learns from those answers.
#[derive(Clone, Debug)]
pub struct FormerLeaders {
    drift_percent: u32,
    told: BTreeMap<MemberId, Uptime>,
    granted_until: Uptime,
    is_known: bool,
}

impl FormerLeaders {
    /// Elected at `now`, and told nothing yet: an earlier leader may have granted leases until this moment.
    pub fn new(now: Uptime, drift_percent: u32) -> Self {
        FormerLeaders { drift_percent, told: BTreeMap::new(), granted_until: now, is_known: false }
    }

    /// From here on clocks may differ by so much. What was told before keeps its meaning.
    pub fn follow(&mut self, drift_percent: u32) {
        self.drift_percent = drift_percent;
    }

    /// A voter answers in the term of this leader: `ago`, by its clock, it answered another leader for the last time.
    pub fn told(&mut self, now: Uptime, voter: MemberId, ago: Duration, sets: &VoterSets) {
        if self.is_known {
            return;
        }
        // A clock that runs fast counts too much: by as much as two clocks may differ, and that in either direction.
        let drift = self.drift_percent.min(50);
        let ago = ago * (100 - drift) / (100 + drift);
        self.told.insert(voter, now.back(ago));
        let who: BTreeSet<_> = self.told.keys().copied().collect();
        if has_quorum(sets, |id| who.contains(&id)) {
            let latest = self.told.values().max().copied().unwrap_or(now);
            self.granted_until = self.granted_until.min(latest);
            self.is_known = true;
        }
    }

    /// No lease that an earlier leader granted was asked for after this moment.
    pub fn granted_until(&self) -> Uptime {
        self.granted_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: MemberId = MemberId(1);
    const NEW: MemberId = MemberId(2);

    fn at(milliseconds: u64) -> Uptime {
        Uptime::from_millis(milliseconds)
    }

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn voters() -> VoterSets {
        vec![(1..=3).map(MemberId).collect()]
    }

    #[test]
    fn a_voter_tells_a_new_leader_when_it_last_answered_the_old_one() {
        let mut answered = Answered::new(at(0));
        answered.answer(at(1000), OLD, Term(1));
        answered.answer(at(2000), OLD, Term(1));

        assert_eq!(answered.answer(at(5000), NEW, Term(2)), milliseconds(3000));
        assert_eq!(answered.answer(at(6000), NEW, Term(2)), milliseconds(4000));
    }

    /// It may have answered a leader just before it was restarted.
    #[test]
    fn a_voter_that_was_restarted_remembers_nothing_and_says_so() {
        let mut answered = Answered::new(at(4900));

        assert_eq!(answered.answer(at(5000), NEW, Term(2)), milliseconds(100));
    }

    #[test]
    fn a_leader_that_leads_again_was_another_one_before() {
        let mut answered = Answered::new(at(0));
        answered.answer(at(1000), NEW, Term(1));
        answered.answer(at(1500), OLD, Term(2));

        assert_eq!(answered.answer(at(3000), NEW, Term(3)), milliseconds(1500));
    }

    #[test]
    fn one_voter_is_not_believed_alone() {
        let mut former = FormerLeaders::new(at(10_000), 0);
        former.told(at(10_000), NEW, milliseconds(3000), &voters());
        assert_eq!(former.granted_until(), at(10_000));

        former.told(at(10_010), MemberId(3), milliseconds(2010), &voters());
        assert_eq!(former.granted_until(), at(8000), "the latest of a quorum");
    }

    #[test]
    fn a_clock_that_runs_fast_makes_no_lease_older_than_it_is() {
        let mut former = FormerLeaders::new(at(10_000), 5);
        former.told(at(10_000), NEW, milliseconds(2100), &voters());
        former.told(at(10_000), MemberId(3), milliseconds(2100), &voters());

        assert_eq!(former.granted_until(), at(8100));
    }

    #[test]
    fn other_voters_may_not_know_whom_the_earlier_ones_answered() {
        let mut answered = Answered::new(at(0));
        answered.answer(at(1000), OLD, Term(1));
        answered.voters_changed(at(2500));

        assert_eq!(answered.answer(at(3000), NEW, Term(2)), milliseconds(500));
    }
}
